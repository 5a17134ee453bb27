"""``gkc demo`` with its records in a real PostgreSQL: kills of the engine cost nothing."""

from __future__ import annotations

import json
import signal
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gkc_engine.pbx.install import Install
from tests.acceptance import killed
from tests.acceptance.home import Home, until
from tests.postgres import Server

pytestmark = pytest.mark.accept


@pytest.fixture
def home(tmp_path: Path, install: Install) -> Iterator[Home]:
    home = Home(tmp_path, install)
    yield home
    home.leave()


def _crash(server: Server, *kills: int) -> Callable[[killed.Run], None]:
    """Return what lets the server crash before these kills: they meet a journal, as a rule."""

    def crash(run: killed.Run) -> None:
        if len(run.kills) in kills:
            server.stop(signal.SIGQUIT)
            until(lambda: killed.is_behind(run))
            server.start()

    return crash


def _holds(run: killed.Run) -> None:
    killed.nothing_is_lost(run)
    killed.identity_holds(run)
    assert killed.outcomes_fit(run) == []


@pytest.mark.timeout(240)
def test_kills_of_engine_and_server_lose_nobody(home: Home, server: Server) -> None:
    calls = ("--seconds", "20", "--rate", "3", "--seed", "3")
    run = killed.killed(home, server.schema(), *calls, kills=4, seed=3, before=_crash(server, 1))
    assert run.row["failed_open"] + run.row["answered"] >= 1
    _holds(run)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_quarter_of_an_hour_with_twenty_kills(
    home: Home, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = ("--seconds", "900", "--rate", "2.5", "--seed", "5")
    run = killed.killed(
        home, server.schema(), *calls, kills=20, seed=5, before=_crash(server, 5, 12)
    )
    _holds(run)
    decided = killed.to_the_next_offer(run)
    told = {
        "kills": len(run.kills),
        "to_next_offer_p50_s": round(statistics.median(decided), 3),
        "to_next_offer_max_s": round(max(decided), 3),
    }
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(run.row | told)}\n")
