"""Erasing over the control socket: audited, and never with the number in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner

from gkc_engine.cli import records
from gkc_engine.control.destroying import DestroyingMethods
from gkc_engine.control.server import ControlServer
from gkc_engine.ids import SECOND, Instant
from gkc_engine.retention.run import Retention
from tests.cli.conftest import ServerThread
from tests.control.fake import AuditLog
from tests.retention.test_run import ANNA, BORIS, NOW, Place, place

__all__ = ["place"]

_T = TypeVar("_T")


class Here:
    """Destroys in the caller's thread."""

    def __init__(self, place: Place) -> None:
        self.place = place

    async def of(self, work: Callable[[Retention], _T]) -> _T:
        return work(self.place.retention)


@pytest.fixture
def audit(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuditLog]:
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv("GKC_RUN_DIR", str(run))
    log = AuditLog()
    server = ControlServer(run / "engine.sock", log)
    later = iter(range(1000))
    DestroyingMethods(Here(place), lambda: Instant(NOW + next(later) * SECOND)).register(server)
    serving = ServerThread(server)
    serving.start()
    yield log
    serving.stop()


def gkc(*words: str, code: int = 0, asked: str | None = None) -> Any:  # noqa: ANN401
    result = CliRunner().invoke(records.app, [*words, "--json"], input=asked)
    assert result.exit_code == code, result.output
    # The engine logs into the same stream here: its lines begin with a date.
    lines = [line for line in result.stdout.splitlines() if not line.startswith("20")]
    return json.loads("\n".join(lines)) if code == 0 else result.output


def test_erase_asks_first_and_says_what_it_did(place: Place, audit: AuditLog) -> None:
    place.call(ANNA, 1)
    words = ["erase", "--citizen", ANNA, "--reason", "заявление"]
    gkc(*words, code=1, asked="n\n")
    assert not audit
    (act,) = gkc(*words, "--yes")
    assert (act["citizens"], act["recordings"], act["legs"]) == (1, 1, 2)
    key = place.citizens.key_of(ANNA)
    (row,) = audit
    assert (row[1], row[2]) == ("records.erase", f"citizen {key}")
    assert ANNA[2:] not in str(list(audit))
    assert "(control socket, uid" in act["actor"]


def test_a_refusal_is_audited_without_the_number(place: Place, audit: AuditLog) -> None:
    place.call(ANNA, 1)
    said = gkc("erase", "--citizen", BORIS, "--reason", "заявление", "--yes", code=1)
    assert "nothing is kept under this number" in said
    (row,) = audit
    assert row[1] == "records.erase"
    assert BORIS[2:] not in str(row)


def test_retention_counts_first_and_then_destroys(place: Place, audit: AuditLog) -> None:
    place.call(ANNA, 200)
    assert gkc("retention", "--dry-run")[0]["citizens"] == 1
    assert not audit
    assert gkc("retention")[0]["citizens"] == 1
    assert [row[1] for row in audit] == ["records.retain"]
    assert gkc("retention", "--dry-run")[0]["citizens"] == 0


def test_what_is_left_is_said_and_is_exit_code_1(place: Place, audit: AuditLog) -> None:
    place.call(ANNA, 1)
    (place.folder / "legs.csv").unlink()
    said = CliRunner().invoke(records.app, ["erase", "--citizen", ANNA, "--reason", "x", "--yes"])
    assert said.exit_code == 1
    assert f"NOT destroyed: {place.folder / 'legs.csv'}: No such file" in said.stderr
    assert len(audit) == 1


def test_holds_are_added_listed_and_removed(place: Place, audit: AuditLog) -> None:
    place.call(ANNA, 200)
    gkc("hold", "add", "--citizen", "8 900 000 00 01", "--reason", "суд")
    (held,) = gkc("hold", "list")
    assert (held["citizen"], held["reason"]) == (place.citizens.key_of(ANNA), "суд")
    assert gkc("retention")[0]["citizens"] == 0
    gkc("hold", "remove", "--citizen", ANNA)
    assert gkc("hold", "list") == []
    assert [row[1] for row in audit] == ["records.hold", "records.retain", "records.release"]
    assert ANNA[2:] not in str(list(audit))
