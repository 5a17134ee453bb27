"""nats-server as a child: what is said when it does not start (more: `tests.pbx.test_process`)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gkc_engine.bus.process import BusProcess
from gkc_engine.errors import PeerError
from tests.ports import free_port


async def test_one_that_does_not_understand_its_file_is_reported_in_its_own_words(
    tmp_path: Path,
) -> None:
    bus = BusProcess("jetstream {nonsense: yes", tmp_path, free_port())
    with pytest.raises(
        PeerError, match=r"nats-server ended at once \(status 1\):\n.*Parse error on line 1"
    ):
        await bus.start()
    assert bus.pid is None
    assert bus.log.stat().st_size > 0
    assert (tmp_path / "nats.conf").stat().st_mode & 0o777 == 0o600, "it holds secrets"


def listens(log: Path) -> None:
    """Wait until it does, however slow the machine is; our loop, and so its time, stands still."""
    end = time.monotonic() + 30
    while "Listening" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.01)


async def test_one_that_takes_no_connection_is_given_up_and_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = BusProcess(f'listen: "127.0.0.1:{free_port()}"', tmp_path, free_port())
    elsewhere._boot_s = 0.5
    takes = elsewhere.is_ready

    async def looked() -> bool:
        listens(elsewhere.log)
        return await takes()

    monkeypatch.setattr(elsewhere, "is_ready", looked)
    with pytest.raises(
        PeerError, match=r"nats-server took no connection in 0\.5 s:\n(.*\n)+.*Listening"
    ):
        await elsewhere.start()
    assert elsewhere.pid is None
