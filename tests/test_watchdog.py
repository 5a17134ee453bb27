"""The watchdog: kills who is silent, starts again who died, lets go who ended on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gkc_engine import watchdog
from gkc_engine.endings import end_tasks
from gkc_engine.watchdog import ENV_PIPE, ENV_SPARE, TAKE, Watchdog

pytestmark = pytest.mark.accept
"""Real processes over real seconds, mostly waited for: they go on beside the acceptance's waits."""

BEATS = f"""
import os, sys, time
fd = int(os.environ[{ENV_PIPE!r}])
order = os.environ.get({ENV_SPARE!r})
if order:
    time.sleep(LOADS_S)
    os.write(fd, b".")
    if os.read(int(order), 1) != {TAKE!r}:
        sys.exit(0)
os.write(fd, b".")
"""


def worker(tmp_path: Path, body: str, *, spare_loads_s: float = 0.0) -> list[str]:
    """Return the command of a worker; it notes each start in ``starts``."""
    begin = BEATS.replace("LOADS_S", str(spare_loads_s))
    path = tmp_path / "worker.py"
    path.write_text(
        f"{begin}\nwith open({str(tmp_path / 'starts')!r}, 'a') as f: f.write('x')\n{body}\n",
        encoding="utf-8",
    )
    return [sys.executable, str(path)]


def starts(tmp_path: Path) -> int:
    return len((tmp_path / "starts").read_text(encoding="utf-8"))


@pytest.mark.parametrize("code", [0, 2])
async def test_an_end_on_purpose_or_a_bad_config_is_final(tmp_path: Path, code: int) -> None:
    async with asyncio.timeout(20):
        assert await Watchdog(worker(tmp_path, f"sys.exit({code})")).run() == code
    assert starts(tmp_path) == 1


async def test_a_crash_is_followed_by_a_start_after_its_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "RESTART_S", 0.5)
    body = f"sys.exit(1 if os.path.getsize({str(tmp_path / 'starts')!r}) < 3 else 0)"
    loop = asyncio.get_running_loop()
    begun = loop.time()
    dog = Watchdog(worker(tmp_path, body))
    assert await dog.run() == 0
    assert (starts(tmp_path), dog.restarts) == (3, 2)
    assert loop.time() - begun >= 2 * watchdog.RESTART_S


async def test_without_restart_a_crash_is_final(tmp_path: Path) -> None:
    assert await Watchdog(worker(tmp_path, "sys.exit(1)"), restart=False).run() == 1
    assert starts(tmp_path) == 1


async def test_a_silent_worker_is_killed_though_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "SILENCE_S", 0.3)
    pids: list[int] = []
    dog = Watchdog(
        worker(tmp_path, "os.kill(os.getpid(), 19)\ntime.sleep(60)"),
        restart=False,
        on_start=pids.append,
    )
    async with asyncio.timeout(20):
        assert await dog.run() == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


async def test_a_worker_that_never_begins_is_killed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "BOOT_S", 0.3)
    dog = Watchdog([sys.executable, "-c", "import time; time.sleep(60)"], restart=False)
    async with asyncio.timeout(20):
        assert await dog.run() == -signal.SIGKILL


async def test_a_worker_that_speaks_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "SILENCE_S", 2.5)  # a machine may stand still for 2 s
    body = "for _ in range(30): time.sleep(0.1); os.write(fd, b'.')"
    assert await Watchdog(worker(tmp_path, body), restart=False).run() == 0


async def test_a_machine_that_stood_still_is_no_silence_of_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "SILENCE_S", 0.5)
    reading, writing = os.pipe()
    signs, killed, begun = watchdog._Signs(reading), asyncio.Event(), asyncio.Event()
    of: Any = SimpleNamespace(signs=signs, kill=killed.set, process=SimpleNamespace(pid=1))
    watching = asyncio.ensure_future(Watchdog(["true"])._watch(of, begun))
    try:
        for _ in range(2):  # It is excused each time, for it has spoken meanwhile.
            begun.clear()
            os.write(writing, b".")
            await begun.wait()
            time.sleep(0.5 + watchdog.LATE_S + 0.1)  # noqa: ASYNC251 - nothing runs, as we do not
            for _ in range(5):
                await asyncio.sleep(0)
            assert not killed.is_set()
        async with asyncio.timeout(20):
            await killed.wait()  # It is silent for as long as it may be, and we run.
    finally:
        await end_tasks([watching])
        os.close(writing)
        signs.close()


async def test_stop_ends_the_worker_and_starts_no_other(tmp_path: Path) -> None:
    begun = asyncio.Event()
    dog = Watchdog(worker(tmp_path, "time.sleep(60)"), on_start=lambda _pid: begun.set())
    running = asyncio.ensure_future(dog.run())
    await begun.wait()
    await dog.stop()
    assert await running == -signal.SIGTERM
    assert dog.pid is None


async def test_a_stopped_watchdog_does_not_stop_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_fd, b"." * 4096)
    monkeypatch.setenv(ENV_PIPE, str(write_fd))
    monkeypatch.setattr(watchdog, "BEAT_S", 0.01)
    beating = asyncio.ensure_future(watchdog.beat_forever())
    done, _ = await asyncio.wait({beating}, timeout=0.1)
    assert not done
    beating.cancel()
    os.close(read_fd)
    os.close(write_fd)


# --- the spare -------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spare stands by as soon as the worker lives; who says nothing more is not killed for it."""
    monkeypatch.setattr(watchdog, "SPARE_AFTER_S", 0.0)
    monkeypatch.setattr(watchdog, "RESTART_S", 0.1)
    monkeypatch.setattr(watchdog, "SILENCE_S", 60.0)


class Pair:
    """A watchdog with a worker that does nothing, and its spare."""

    def __init__(self, argv: list[str], *, warm: bool = True, restart: bool = True) -> None:
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.spares: asyncio.Queue[int] = asyncio.Queue()
        self.dog = Watchdog(
            argv,
            warm=warm,
            restart=restart,
            on_start=self.begun.put_nowait,
            on_spare=self.spares.put_nowait,
        )
        self.running = asyncio.ensure_future(self.dog.run())

    async def end(self) -> int:
        await self.dog.stop()
        return await self.running


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.usefixtures("at_once")
async def test_a_spare_takes_the_place_of_a_worker_that_died(tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        pair = Pair(worker(tmp_path, "time.sleep(60)"))
        for _ in range(2):
            first, spare = await pair.begun.get(), await pair.spares.get()
            assert first != spare
            os.kill(first, signal.SIGKILL)
            assert await pair.begun.get() == spare == pair.dog.pid
            pair.begun.put_nowait(spare)
        assert await pair.end() == -signal.SIGTERM


@pytest.mark.usefixtures("at_once")
async def test_a_spare_that_does_not_answer_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(20):
        pair = Pair(worker(tmp_path, "time.sleep(60)"))
        first, spare = await pair.begun.get(), await pair.spares.get()
        monkeypatch.setattr(watchdog, "SILENCE_S", 0.3)  # from here on: the first has all its time
        os.kill(spare, signal.SIGSTOP)
        os.kill(first, signal.SIGKILL)
        assert await pair.begun.get() not in (first, spare)
        assert is_gone(spare)
        await pair.end()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("loads_s", "limit_s"), [(2.0, 20.0), (60.0, 0.6)])
async def test_a_spare_that_still_loads_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loads_s: float, limit_s: float
) -> None:
    monkeypatch.setattr(watchdog, "SPARE_LOADS_S", limit_s)
    async with asyncio.timeout(30):
        pair = Pair(worker(tmp_path, "time.sleep(60)", spare_loads_s=loads_s))
        first = await pair.begun.get()
        while (spare := pair.dog.spare_pid) is None:  # noqa: ASYNC110 - nothing tells of it yet
            await asyncio.sleep(0.01)
        monkeypatch.setattr(watchdog, "SILENCE_S", 1.0)  # shorter than it loads
        os.kill(first, signal.SIGKILL)
        assert (await pair.begun.get() == spare) is (loads_s < limit_s)
        await pair.end()


@pytest.mark.usefixtures("at_once")
async def test_a_spare_that_died_is_missed_by_nobody(tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        pair = Pair(worker(tmp_path, "time.sleep(60)"))
        first, spare = await pair.begun.get(), await pair.spares.get()
        os.kill(spare, signal.SIGKILL)
        os.kill(first, signal.SIGKILL)
        assert await pair.begun.get() not in (first, spare)
        await pair.end()


@pytest.mark.usefixtures("at_once")
async def test_a_spare_that_died_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "SPARE_AGAIN_S", 0.0)
    async with asyncio.timeout(20):
        pair = Pair(worker(tmp_path, "time.sleep(60)"))
        first, spare = await pair.begun.get(), await pair.spares.get()
        os.kill(spare, signal.SIGKILL)
        assert await pair.spares.get() not in (first, spare)
        await pair.end()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("how", ["stopped", "ended"])
async def test_the_spare_ends_with_the_watch(tmp_path: Path, how: str) -> None:
    word = tmp_path / "end"
    body = f"while not os.path.exists({str(word)!r}): time.sleep(0.01)"
    async with asyncio.timeout(20):
        pair = Pair(worker(tmp_path, body))
        spare = await pair.spares.get()
        if how == "stopped":
            assert await pair.end() == -signal.SIGTERM
        else:
            word.touch()
            assert await pair.running == 0
        assert is_gone(spare)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("how", [{"warm": False}, {"restart": False}])
async def test_where_none_is_wanted_none_stands_by(tmp_path: Path, how: dict[str, bool]) -> None:
    async with asyncio.timeout(20):
        pair = Pair(worker(tmp_path, "time.sleep(0.5)"), **how)
        await pair.begun.get()
        assert await pair.running == 0
        assert starts(tmp_path) == 1
        assert pair.dog.spare_pid is None


async def test_asked_to_stop_between_two_workers_it_starts_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "RESTART_S", 0.0)
    pair = Pair(worker(tmp_path, "time.sleep(60)"), warm=False)
    spawn, made = pair.dog._spawn, 0

    async def spawned(*, spare: bool) -> watchdog._Worker:
        nonlocal made
        process, made = await spawn(spare=spare), made + 1
        if made == 2:
            await pair.dog.stop()
        return process

    monkeypatch.setattr(pair.dog, "_spawn", spawned)
    async with asyncio.timeout(20):
        os.kill(await pair.begun.get(), signal.SIGKILL)
        await pair.running
    assert made == 2
    assert pair.begun.empty()
