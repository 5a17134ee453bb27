"""The block list over the control socket: audited, and never with the number in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner

from gkc_engine.cli import citizen, records
from gkc_engine.control.blocking import BlockingMethods
from gkc_engine.control.destroying import DestroyingMethods
from gkc_engine.control.methods import Methods
from gkc_engine.control.server import ControlServer
from gkc_engine.ids import SECOND, Instant
from tests.cli.conftest import ServerThread
from tests.control.fake import NOW, AuditLog, FakeBackend, directory
from tests.control.test_destroying import Here
from tests.retention.test_run import ANNA, BORIS, Place, place

__all__ = ["place"]

_T = TypeVar("_T")

DAYS_90 = Instant(NOW + 90 * 86_400 * SECOND)


async def write(work: Callable[[], _T]) -> _T:
    return work()


@pytest.fixture
def audit(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuditLog]:
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv("GKC_RUN_DIR", str(run))
    log = AuditLog()
    server = ControlServer(run / "engine.sock", log)
    Methods(FakeBackend(directory=directory()), "0.1.0").register(server)
    BlockingMethods(place.citizens, write, lambda: NOW).register(server)
    later = iter(range(1000))  # each act is a file of its own instant
    DestroyingMethods(Here(place), lambda: Instant(NOW + next(later) * SECOND)).register(server)
    serving = ServerThread(server)
    serving.start()
    yield log
    serving.stop()


def gkc(*words: str, code: int = 0, app: Any = citizen.app) -> Any:  # noqa: ANN401
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == code, result.output
    # The engine logs into the same stream here: its lines begin with a date.
    lines = [line for line in result.stdout.splitlines() if not line.startswith("20")]
    return json.loads("\n".join(lines)) if code == 0 else result.output


def test_a_citizen_is_blocked_listed_and_unblocked_by_his_key(
    place: Place, audit: AuditLog
) -> None:
    key, blocks = place.citizens.key_of(ANNA), place.citizens.blocks
    (row,) = gkc("block", "8 900 000 00 01", "--for", "30d", "--reason", "оскорбления")
    assert (row["citizen"], row["until"]) == (key, "2026-12-18T11:06:40.000000Z")
    assert blocks.refuses(key, NOW)
    (listed,) = gkc("blocked")
    assert (listed["citizen"], listed["reason"], listed["refused"]) == (key, "оскорбления", 1)
    assert listed["actor"].endswith(")")
    gkc("unblock", ANNA)
    assert gkc("blocked") == []
    assert not blocks.refuses(key, NOW)
    assert [row[1:3] for row in audit] == [
        ("citizen.block", f"citizen {key}"),
        ("citizen.unblock", f"citizen {key}"),
    ]
    assert audit[0][4]["until"] == row["until"]
    assert ANNA[2:] not in str(list(audit))


@pytest.mark.parametrize(
    ("words", "until"),
    [
        ((), "2027-02-16T11:06:40.000000Z"),
        (("--until", "15:00"), "2026-11-18T12:00:00.000000Z"),
        (("--until", "2026-12-24"), "2026-12-23T21:00:00.000000Z"),
    ],
)
def test_how_long(audit: AuditLog, words: tuple[str, ...], until: str) -> None:
    del audit
    (row,) = gkc("block", ANNA, "--reason", "x", *words)
    assert row["until"] == until


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((ANNA, "--for", "91d"), 2, "for_s"),
        ((ANNA, "--until", "2027-12-24"), 1, "at most 90 days"),
        ((ANNA, "--for", "1h", "--until", "15:00"), 2, "not both"),
        ((ANNA, "--for", "soon"), 2, "expected a duration such as 30d"),
        (("anonymous",), 1, "a withheld number names nobody"),
        (("112",), 1, "never blocked"),
    ],
)
def test_what_is_refused(audit: AuditLog, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in gkc("block", *words, "--reason", "x", code=code)
    assert gkc("blocked") == []
    assert ANNA[2:] not in str(list(audit))


def test_a_reason_with_his_number_in_it_lands_nowhere(audit: AuditLog) -> None:
    said = gkc("block", ANNA, "--reason", "звонит с 8 (900) 000-00-01", code=2)
    assert "has his number in it" in said
    (row,) = audit
    assert "000-00-01" not in str(row)


def test_who_is_not_blocked_cannot_be_unblocked(audit: AuditLog) -> None:
    assert "is not blocked" in gkc("unblock", BORIS, code=1)
    assert audit[0][4] == {"refused": "refused"}


def test_who_is_erased_is_not_blocked_any_longer_and_the_act_says_so(
    place: Place, audit: AuditLog
) -> None:
    """Also one who never called: the key in the list is all that is known of him."""
    for who in (ANNA, BORIS):
        gkc("block", who, "--reason", "x")
    place.call(ANNA, 20)
    words = ("erase", "--reason", "заявление", "--yes", "--citizen")
    for who in (ANNA, BORIS):
        (act,) = gkc(*words, who, app=records.app)
        assert act["blocks"] == 1
    assert gkc("blocked") == []
    texts = [path.read_text(encoding="utf-8") for path in place.folder.rglob("*-erasure.txt")]
    assert all("- записи в списке запрещённых номеров (таблица block): 1" in t for t in texts)
    assert "nothing is kept" in gkc(*words, BORIS, code=1, app=records.app)
    assert len(audit) == 5


def test_the_list_for_people(audit: AuditLog, place: Place) -> None:
    del audit
    gkc("block", ANNA, "--reason", "оскорбления")
    said = CliRunner().invoke(citizen.app, ["blocked"]).stdout
    assert place.citizens.key_of(ANNA)[:8] in said
    assert "2027-02-16 14:06:40" in said
    assert place.citizens.key_of(ANNA)[:9] not in said
