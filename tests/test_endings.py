"""What was told to end ends, also where asyncio loses the word, and leaves no socket behind."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

import gkc_engine
from gkc_engine.app import App
from gkc_engine.channels.phone.ami import AmiLink
from gkc_engine.channels.phone.channel import PhoneChannel
from gkc_engine.channels.phone.jobs import AmiJobs
from gkc_engine.control.server import ControlServer, _Connection
from gkc_engine.demo.lines import Cable, TcpLine
from gkc_engine.endings import end_tasks
from gkc_engine.federation.settings import CollectorSettings, LinkSettings
from gkc_engine.ids import Instant
from gkc_engine.ivr.fastagi import AgiServer
from gkc_engine.shipping.collector import Collector
from gkc_engine.tasks import Tasks
from gkc_engine.watchdog import _Signs
from tests.control.fake import AuditLog
from tests.ports import free_port


async def deaf(heard: list[str]) -> None:
    """Pass the first cancel over, as ``asyncio.wait_for`` may."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        heard.append("cancel")
    await asyncio.Event().wait()


async def test_who_passes_a_cancel_over_is_told_again() -> None:
    heard: list[str] = []
    task = asyncio.get_running_loop().create_task(deaf(heard))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_tasks([task], again_s=0.01)
    assert task.cancelled()
    assert heard == ["cancel"]


async def test_who_has_failed_or_ended_is_waited_for_too() -> None:
    async def fails() -> None:
        raise ValueError

    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(fails()), loop.create_task(asyncio.sleep(0))]
    await end_tasks(tasks)
    assert all(task.done() for task in tasks)


def begun(tasks: Tasks, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    before = asyncio.all_tasks()
    tasks.spawn(work)
    (task,) = asyncio.all_tasks() - before
    return task


async def test_the_engine_ends_though_a_task_passes_a_cancel_over() -> None:
    heard: list[str] = []
    tasks = Tasks(lambda: None)
    task = begun(tasks, deaf(heard))
    await asyncio.sleep(0)
    tasks.failed = ValueError()
    try:
        async with asyncio.timeout(5):
            await App._end_tasks(cast("Any", SimpleNamespace(tasks=tasks)))
        assert task.cancelled()
    finally:
        task.cancel()


async def test_the_engine_ends_its_tasks_though_its_last_steps_cannot_be_written() -> None:
    async def drain() -> None:
        await asyncio.Event().wait()

    async def waits() -> None:
        await asyncio.Event().wait()

    tasks = Tasks(lambda: None)
    task = begun(tasks, waits())
    app = SimpleNamespace(tasks=tasks, engine=SimpleNamespace(drain=drain))
    await App._end_tasks(cast("Any", app))
    assert task.cancelled()


async def test_a_work_that_fails_ends_the_engine_and_one_that_is_cancelled_does_not() -> None:
    async def fails() -> None:
        raise ValueError("ours")

    async def ends() -> None:
        return

    told: list[str] = []
    tasks = Tasks(lambda: told.append("failed"))
    begun(tasks, ends())
    begun(tasks, asyncio.sleep(60)).cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (told, tasks.failed) == ([], None)
    with capture_logs() as logs:
        failing = begun(tasks, fails())
        await asyncio.wait([failing])
        await asyncio.sleep(0)
    assert told == ["failed"]
    assert str(tasks.failed) == "ours"
    assert [line["event"] for line in logs] == ["engine_failed"]
    await tasks.end()


async def test_the_collector_ends_though_a_feed_passes_a_cancel_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = CollectorSettings(
        buses={"sever": LinkSettings(urls=("nats://127.0.0.1:1",))},
        store=str(tmp_path / "city.sqlite"),
        timezone="UTC",
    )
    collector = Collector(settings, tmp_path, tmp_path)
    heard: list[str] = []
    monkeypatch.setattr(collector.feeds["sever"], "run", lambda: deaf(heard))
    loop = asyncio.get_running_loop()
    running = loop.create_task(collector.run())
    loop.call_later(0.2, collector.request_stop)
    done, _ = await asyncio.wait({running}, timeout=10)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    assert done, "it hangs"


async def agi_calls(_folder: Path, task: asyncio.Task[None]) -> Callable[[], Awaitable[None]]:
    made = AgiServer(cast("Any", None), host="127.0.0.1", port=free_port())
    await made.start()
    made._tasks.add(task)
    return made.stop


async def control_requests(folder: Path, task: asyncio.Task[None]) -> Callable[[], Awaitable[None]]:
    made = ControlServer(folder / "engine.sock", AuditLog())
    await made.start()
    nobody = cast("Any", None)
    made._connections.add(_Connection(nobody, nobody, nobody, task))
    return made.close


async def ami_line(_folder: Path, task: asyncio.Task[None]) -> Callable[[], Awaitable[None]]:
    never = cast("Any", None)
    made = AmiLink("127.0.0.1", 1, "gkc", "", on_event=never, on_up=never, on_down=never)
    made._task = task
    return made.stop


async def ami_jobs(_folder: Path, task: asyncio.Task[None]) -> Callable[[], Awaitable[None]]:
    made = AmiJobs(cast("Any", None))
    made._tasks = [task]
    return made.stop


async def phone_work(_folder: Path, task: asyncio.Task[None]) -> Callable[[], Awaitable[None]]:
    async def stop() -> None: ...

    part = SimpleNamespace(stop=stop)
    made: Any = SimpleNamespace(_tasks={task}, jobs=part, agi=part, ami=part)
    return partial(PhoneChannel.stop, made)


@pytest.mark.parametrize("part", [agi_calls, control_requests, ami_line, ami_jobs, phone_work])
async def test_a_part_ends_though_its_task_passes_a_cancel_over(
    part: Callable[[Path, asyncio.Task[None]], Awaitable[Callable[[], Awaitable[None]]]],
    tmp_path: Path,
) -> None:
    task = asyncio.get_running_loop().create_task(deaf([]))
    await asyncio.sleep(0)
    try:
        stop = await part(tmp_path, task)
        async with asyncio.timeout(10):
            await stop()
        assert task.cancelled()
    finally:
        await end_tasks([task], again_s=0.01)


async def test_a_watched_worker_that_dies_in_the_instant_of_its_sign_is_let_go() -> None:
    reading, writing = os.pipe()
    signs = _Signs(reading)
    loop = asyncio.get_running_loop()
    try:
        for turns in range(6):
            waits = loop.create_task(signs.next(60))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            os.write(writing, b".")
            await signs._heard.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            over = waits.done()
            waits.cancel()
            await asyncio.wait({waits})
            assert over or waits.cancelled(), f"{turns} turns after the sign"
    finally:
        os.close(writing)
        signs.close()


def test_nothing_of_ours_waits_by_what_passes_a_cancel_over() -> None:
    """``asyncio.timeout`` does the same, and hears a cancel."""
    source = Path(gkc_engine.__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in source.rglob("*.py")}
    assert sum("asyncio.timeout(" in text for text in texts.values()) > 10
    assert [path for path, text in texts.items() if "asyncio.wait_for(" in text] == []


Served = tuple[str | tuple[str, int], Callable[[], Awaitable[None]]]
"""Where it listens, and what ends it."""


async def control(folder: Path) -> Served:
    path = folder / "engine.sock"
    made = ControlServer(path, AuditLog())
    await made.start()
    return str(path), made.close


async def line(_folder: Path) -> Served:
    made = TcpLine(free_port(), Cable(lambda: Instant(0)))
    await made.start()
    return ("127.0.0.1", made.port), made.stop


async def agi(_folder: Path) -> Served:
    async def nobody(_session: object) -> None: ...

    port = free_port()
    made = AgiServer(cast("Any", nobody), host="127.0.0.1", port=port)
    await made.start()
    return ("127.0.0.1", port), made.stop


@pytest.mark.parametrize("serve", [control, line, agi])
def test_a_connection_that_has_just_been_accepted_is_not_lost(
    serve: Callable[[Path], Awaitable[Served]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def once(turns: int) -> None:
        where, stop = await serve(tmp_path)
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        with socket.socket(family) as client:
            client.connect(where)
            for _ in range(turns):
                await asyncio.sleep(0)
            await stop()

    for turns in range(8):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            asyncio.run(once(turns))
            gc.collect()
        assert [str(one.message) for one in seen] == [], f"{turns} turns after it came"
    assert caplog.records == []
