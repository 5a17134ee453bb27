"""``gkc report day`` and its like, as people and the scheduler call them: files, periods, names."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pypdf
import pytest
from typer.testing import CliRunner

from gkc_engine.cli import report
from gkc_engine.cli._formats import ROWS_MAX, Format, out_of
from gkc_engine.config.store import sqlite_path
from gkc_engine.control.protocol import ControlError
from tests.cli.test_report import SPAN, make_day
from tests.recorder.places import copied
from tests.reports.support import TREE, City

DAY = ["--from", "2026-09-21"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, module_store_url: str) -> str:
    """The store of `make_day`; its only queue is passport, of the service mvd."""
    path = make_day(tmp_path_factory.mktemp("reports") / "gkc.sqlite")
    return str(path) if sqlite_path(module_store_url) else copied(path, module_store_url)


@pytest.fixture
def day(run: Path, store: str) -> None:
    """The last engine left that store."""
    note = {"store": store, "timezone": "UTC"}
    (run / "demo.json").write_text(json.dumps(note), encoding="utf-8")


@pytest.mark.usefixtures("day")
def test_a_day_as_text(gkc: CliRunner) -> None:
    result = gkc.invoke(report.app, ["day", *DAY])
    assert result.exit_code == 0
    text = result.stdout
    assert "\ufffd" not in text
    assert "\u00a0" not in text
    assert text.startswith("Отчёт за день: понедельник, 21 сентября 2026 г.\n")
    assert "В очереди поступило 5 обращений: этого мало для выводов." in text


@pytest.mark.usefixtures("day")
@pytest.mark.parametrize("kind", ["day", "month", "outcomes", "bodies"])
def test_every_kind_as_json(gkc: CliRunner, kind: str) -> None:
    span = SPAN if kind in ("outcomes", "bodies") else DAY
    result = gkc.invoke(report.app, [kind, *span, "--format", "json"])
    assert result.exit_code == 0
    made = json.loads(result.stdout)
    tables = made["tables"]
    first = {"outcomes": "by_outcome", "bodies": "by_body"}.get(kind, "by_service")
    key = "contacts" if kind == "outcomes" else "offered"
    assert sum(row[key] for row in tables[first] if row.get("body", "") is not None) == 5


@pytest.mark.usefixtures("day")
def test_the_same_day_again_is_the_same_file(gkc: CliRunner, tmp_path: Path) -> None:
    span = ["--from", "2026-09-21", "--to", "2026-09-22"]  # As the scheduler asks for it.
    files = [tmp_path / f"{n}.html" for n in range(2)]
    for file in files:
        made = gkc.invoke(report.app, ["day", *span, "--language", "en", "--output", str(file)])
        assert made.exit_code == 0
    first, second = (file.read_text(encoding="utf-8") for file in files)
    assert first == second
    assert "<title>Report of the day: Monday, 21 September 2026</title>" in first


@pytest.mark.usefixtures("day")
@pytest.mark.parametrize("kind", ["queues", "interval", "operators", "versions"])
def test_the_other_reports_are_documents_too(gkc: CliRunner, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "r.html"
    assert gkc.invoke(report.app, [kind, *SPAN, "--output", str(file)]).exit_code == 0
    assert f'<table id="{kind}">' in file.read_text(encoding="utf-8")


@pytest.mark.usefixtures("day")
@pytest.mark.parametrize(
    ("asked", "figure", "n"),
    [
        (["day", *DAY], "offered", 5),
        (["month", *DAY], "abandoned_short", 1),
        (["bodies", *SPAN], "answered_in_target", 2),
        (["outcomes", *SPAN], "answered", 3),
        (["outcomes", *SPAN], "contacts", 5),
        (["outcomes", *SPAN], "outgoing:busy", 0),
        (["day", *DAY, "--service", "-"], "offered", 0),
    ],
)
def test_every_figure_leads_to_its_contacts(
    gkc: CliRunner, asked: list[str], figure: str, n: int
) -> None:
    result = gkc.invoke(report.app, [*asked, "--drill", figure, "--json"])
    assert result.exit_code == 0, result.stderr
    assert len(json.loads(result.stdout)) == n


@pytest.mark.usefixtures("day")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["day", "--drill", "offred"], "did you mean offered?"),
        (["outcomes", "--drill", "waiting"], "--drill: found 'waiting', expected one of abandoned"),
        (["day", *DAY, "--body", "Гормост"], "--body: found 'Гормост', expected one"),
    ],
)
def test_a_figure_that_is_not_there(gkc: CliRunner, asked: list[str], said: str) -> None:
    result = gkc.invoke(report.app, asked)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.usefixtures("day")
def test_a_list_of_contacts_as_pdf(gkc: CliRunner) -> None:
    drill = ["queues", *SPAN, "--drill", "abandoned", "--format", "pdf"]
    result = gkc.invoke(report.app, drill)
    page = pypdf.PdfReader(io.BytesIO(result.stdout_bytes)).pages[0].extract_text()
    assert page.count("2026-ЦАО-") == 2


@pytest.mark.usefixtures("day")
def test_each_config_has_its_service_before_and_after(gkc: CliRunner) -> None:
    asked = ["versions", "--from", "2026-09-01", "--to", "2026-09-30"]
    (row,) = json.loads(gkc.invoke(report.app, [*asked, "--json"]).stdout)
    assert (row["offered"], row["before_offered"], row["service_level"]) == (5, 0, 0.5)
    assert " 50% " in gkc.invoke(report.app, asked).stdout
    nothing = gkc.invoke(report.app, ["versions", "--from", "2026-08-01", "--to", "2026-08-02"])
    assert nothing.stdout == "No config was applied in that time.\n"
    assert gkc.invoke(report.app, [*asked, "--days", "0"]).exit_code == 2


@pytest.mark.usefixtures("day")
def test_no_file_is_written_over(gkc: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text("mine", encoding="utf-8")
    refused = gkc.invoke(report.app, ["day", *DAY, "--output", str(file)])
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert file.read_text(encoding="utf-8") == "mine"
    forced = gkc.invoke(report.app, ["day", *DAY, "--output", str(file), "--force"])
    assert forced.exit_code == 0
    with pytest.raises(ControlError, match="--force"):
        out_of(None, file)  # Before anything is counted.
    assert file.read_text(encoding="utf-8").startswith("table,")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".day")] == []


@pytest.mark.usefixtures("day")
def test_a_file_that_came_meanwhile_stays(
    gkc: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gkc_engine.cli import _formats

    file, made = tmp_path / "day.html", _formats.content_of

    def slow(*args: object) -> bytes:
        file.write_text("of another", encoding="utf-8")
        return made(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(_formats, "content_of", slow)
    refused = gkc.invoke(report.app, ["day", *DAY, "--output", str(file)])
    assert (refused.exit_code, file.read_text(encoding="utf-8")) == (1, "of another")
    assert len([p for p in tmp_path.iterdir() if p.is_file()]) == 1


def test_a_binary_form_is_not_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for form in (Format.PDF, Format.XLSX):
        with pytest.raises(ControlError, match=rf"add --output FILE\.{form}"):
            out_of(form)
    assert out_of(Format.HTML).form is Format.HTML
    assert out_of(None, Path("day.PDF")).form is Format.PDF
    assert out_of(Format.JSON, Path("day.pdf")).form is Format.JSON


@pytest.mark.usefixtures("day")
def test_a_document_has_a_limit_of_rows(gkc: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROWS_MAX, Format.HTML, 23)
    hours = ["interval", *SPAN, "--every", "60", "--format"]
    refused = gkc.invoke(report.app, [*hours, "html"])
    assert refused.exit_code == 2
    assert "found 25 rows, expected at most 23" in refused.stderr
    assert len(gkc.invoke(report.app, [*hours, "csv"]).stdout.splitlines()) == 26


@pytest.mark.usefixtures("day")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["day", "--from", "soon"], "--from: found 'soon', expected a duration"),
        (["day", *DAY, "--to", "2026-09-20"], "--to is not after --from"),
        (["day", *DAY, "--to", "2026-09-23"], "expected at most 2026-09-22, the end of that day"),
        (["week", "--from", "2999-01-01"], "that week is to come yet"),
        (["outcomes", "--from", "1h", "--to", "2h"], "--to is not after --from"),
        (["day", *DAY, "--output", "/nowhere/day.pdf"], "found no folder for it"),
        (["day", *DAY, "--queue", "pasport"], "--queue: found 'pasport'"),
        (["queues", *SPAN, "--service", "mdv"], "--service: found 'mdv'"),
    ],
)
def test_bad_questions(gkc: CliRunner, words: list[str], said: str) -> None:
    result = gkc.invoke(report.app, words)
    assert said in result.stderr
    assert result.exit_code == 2


def test_a_name_is_guessed_from_the_config_on_record(run: Path, gkc: CliRunner) -> None:
    City().store(run.parent / "gkc.sqlite", TREE).dispose()
    result = gkc.invoke(report.app, ["day", "--queue", "pasport"])
    assert result.exit_code == 2
    assert "expected one of housing, passport; did you mean passport?" in result.stderr
    known = gkc.invoke(report.app, ["day", "--queue", "passport"])
    assert known.exit_code == 0
    assert "За это время нет ни одного обращения." in known.stdout


@pytest.mark.usefixtures("day")
def test_a_month_as_it_stood(gkc: CliRunner) -> None:
    made = json.loads(gkc.invoke(report.app, ["month", *SPAN, "--json"]).stdout)
    assert made["until"] == "2026-10-01T00:00:00.000000Z"
    assert made["counted_until"] == "2026-09-22T00:00:00.000000Z"
    before = ["month", "--to", "2026-09-21T14:14", "--json"]
    tables = json.loads(gkc.invoke(report.app, before).stdout)["tables"]
    assert tables["by_queue"][0]["offered"] == 1  # The first came at 14:13:22.


@pytest.mark.usefixtures("day")
def test_the_end_alone_says_which_period(gkc: CliRunner) -> None:
    made = gkc.invoke(report.app, ["week", "--to", "2026-09-28", "--json"])
    assert json.loads(made.stdout)["since"] == "2026-09-21T00:00:00.000000Z"
