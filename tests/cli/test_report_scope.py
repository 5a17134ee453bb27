"""A body of the city is shown its own services: in no report, form or total anything of another."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gkc_engine.cli import report
from gkc_engine.config.settings import applied
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from tests.config.cities import tiny_config
from tests.recorder.support import History
from tests.recorder.test_compare import change
from tests.rolled import count_anew

SPAN = ["--from", "2026-09-21", "--to", "2026-09-22"]
CENTER_S_OWN = {"ewt", "outbox", "send", "retry"}
"""Not for a body: of the engine, not of a service."""

TWO_BODIES = (
    "services:\n  mvd: {title: МВД}\n",
    """\
services:
  mvd: {title: МВД}
  zhkh: {title: ЖКХ}
recipients:
  police: {title: Полиция, services: [mvd]}
  housing: {title: Дома, services: [zhkh]}
""",
)
FOREIGN = ("zhkh", "ЖКХ", "general", "boris", "t1x", "a1x", "+74951112233")
"""What only contacts of zhkh have in the store below."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of mvd: anna's t0 and a0, given up. Of zhkh: boris's t1x, a1x, given up. Of nobody: t2."""
    folder = tmp_path_factory.mktemp("bodies")
    history = History()
    history.step(applied(tiny_config(folder / "city", TWO_BODIES), author="start"))
    for name, agent in (("t0", "anna"), ("t1x", "boris"), ("t2", "clara")):
        history.talk(name, agent, ring_s=5)
    history.abandon("a0", 40)
    history.abandon("a1x", 70)
    path = folder / "gkc.sqlite"
    ledger = LedgerStore(schema.sqlite_url(str(path)))
    ledger.open()
    ledger.append(batch_of(history.steps, "tiny"))
    ledger.close()
    there = "service = 'zhkh', queue = 'general', did = '+74951112233'"
    change(
        path,
        f"UPDATE contact SET {there} WHERE contact_id = 't1x'",
        f"UPDATE contact SET {there} WHERE contact_id = 'a1x'",
        "UPDATE contact SET service = NULL WHERE contact_id = 't2'",
    )
    engine = schema.make_engine(schema.sqlite_url(str(path)))
    with engine.begin() as connection:
        count_anew(connection)
    engine.dispose()
    return path


@pytest.fixture
def store(made: Path, run: Path) -> None:
    shutil.copy(made, run.parent / "gkc.sqlite")


@cache
def kinds() -> dict[str, Any]:
    commands = typer.main.get_group(report.app).commands
    return {name: c for name, c in commands.items() if name not in CENTER_S_OWN}


def options(kind: str) -> set[str]:
    return {option for parameter in kinds()[kind].params for option in parameter.opts}


@pytest.mark.parametrize("kind", kinds())
def test_every_report_can_be_asked_for_a_recipient(kind: str) -> None:
    assert "--recipient" in options(kind)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("kind", kinds())
def test_nothing_of_another_service_is_shown(gkc: CliRunner, kind: str) -> None:
    own = ["--recipient", "police"]
    asked = [[kind, *SPAN, *own, "--format", form] for form in ("table", "csv", "json")]
    if "--drill" in options(kind):
        figure = {"outcomes": "contacts", "operators": "handled"}.get(kind, "offered")
        asked.append([kind, *SPAN, *own, "--drill", figure, "--json"])
    for words in asked:
        result = gkc.invoke(report.app, words)
        assert result.exit_code == 0, result.stderr
        assert not [word for word in (*FOREIGN, "clara", "t2") if word in result.stdout], words


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("kind", ["queues", "interval"])
def test_figures_are_of_its_own_contacts(gkc: CliRunner, kind: str) -> None:
    def total(*words: str) -> tuple[int, int, int]:
        *_, row = json.loads(gkc.invoke(report.app, [kind, *SPAN, *words, "--json"]).stdout)
        return row["offered"], row["answered"], row["abandoned"]

    assert total() == (5, 3, 2)
    assert total("--recipient", "police") == (2, 1, 1)
    assert total("--recipient", "housing", "--service", "zhkh") == (2, 1, 1)
    drilled = [kind, *SPAN, "--recipient", "police", "--drill", "offered", "--json"]
    ids = [row["contact_id"] for row in json.loads(gkc.invoke(report.app, drilled).stdout)]
    assert ids == ["t0", "a0"]


@pytest.mark.usefixtures("store")
def test_operators_are_shown_by_what_they_did_for_it(gkc: CliRunner) -> None:
    asked = ["operators", *SPAN, "--recipient", "police", "--json"]
    (row,) = json.loads(gkc.invoke(report.app, asked).stdout)
    assert (row["agent_id"], row["handled"], row["talk_s"], row["offers"]) == ("anna", 1, 60.0, 1)
    assert [row[key] for key in ("ready_s", "paid_s", "occupancy", "utilisation")] == [None] * 4
    everybody = json.loads(gkc.invoke(report.app, ["operators", *SPAN, "--json"]).stdout)
    assert [row["agent_id"] for row in everybody] == ["anna", "boris", "clara", None]
    assert everybody[-1]["paid_s"] > 180


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--service", "zhkh"], "service 'zhkh' is not police's; police is shown: mvd"),
        (["--service", "nothing"], "service 'nothing' is not police's; police is shown: mvd"),
        (["--queue", "general"], "queue 'general' is not police's; police is shown: mvd"),
        (["--queue", "nothing"], "queue 'nothing' is not police's; police is shown: mvd"),
        (["--recipient", "polise"], "no recipient 'polise'; there are: housing, police"),
    ],
)
def test_what_is_another_s_is_refused_by_name(gkc: CliRunner, words: list[str], said: str) -> None:
    result = gkc.invoke(report.app, ["queues", *SPAN, "--recipient", "police", *words])
    assert result.exit_code == 2
    assert (result.stdout, result.stderr) == ("", f"--recipient: {said}\n")


@pytest.mark.usefixtures("store")
def test_its_own_queue_may_be_asked_for(gkc: CliRunner) -> None:
    asked = ["queues", *SPAN, "--recipient", "police", "--queue", "passport", "--json"]
    (row,) = json.loads(gkc.invoke(report.app, asked).stdout)
    assert (row["queue"], row["offered"]) == ("passport", 2)
