"""The control socket against well-behaved, broken and hostile clients."""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gkc_engine.control.client import ControlClient
from gkc_engine.control.listener import SocketHeldError
from gkc_engine.control.protocol import REQUEST_BYTES_MAX, ControlError, Json
from gkc_engine.control.server import Call, ControlServer, Limits
from gkc_engine.errors import GkcError
from tests.control.conftest import LIMITS
from tests.control.fake import AuditLog, FakeBackend


class Anything(msgspec.Struct):
    pass


async def dial(server: ControlServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(str(server.path), limit=1 << 22)


async def ask(server: ControlServer, *lines: bytes) -> list[dict[str, Any]]:
    """Send ``lines`` on one connection and return the replies to all of them."""
    reader, writer = await dial(server)
    writer.write(b"".join(lines))
    replies = [json.loads(await reader.readline()) for _ in lines]
    writer.close()
    await writer.wait_closed()
    return replies


def request(method: str, params: dict[str, Any] | None = None, **rest: object) -> bytes:
    return json.dumps({"id": 7, "method": method, "params": params or {}, **rest}).encode() + b"\n"


async def test_the_socket_is_for_its_owner_alone(server: ControlServer) -> None:
    status = server.path.stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700


async def test_a_known_method_is_answered_with_its_id(server: ControlServer) -> None:
    [reply] = await ask(server, request("queue.show"))
    assert reply["id"] == 7
    assert [row["queue"] for row in reply["result"]] == ["passport", "housing"]


async def test_several_requests_on_one_connection_are_answered_in_order(
    server: ControlServer,
) -> None:
    replies = await ask(server, request("queue.show"), request("agent.show", {"agent": "petrov"}))
    assert replies[1]["result"][0]["agent_id"] == "petrov"


@pytest.mark.parametrize(
    ("line", "error_id"),
    [
        (b"\n", "bad_request"),
        (b"not json\n", "bad_request"),
        (b'{"id": 1}\n', "bad_request"),
        (b'{"id": "x", "method": "queue.show"}\n', "bad_request"),
        (b'{"id": 1, "method": "queue.show", "more": 1}\n', "bad_request"),
        (b"\xff\xfe\x00\n", "bad_request"),
        (b"[" * 30_000 + b"\n", "bad_request"),
        (request("queue.drop"), "unknown_method"),
        (request("__class__"), "unknown_method"),
        (request("queue.show", {"queue": 5}), "bad_params"),
        (request("queue.show", {"name": "passport"}), "bad_params"),
        (request("queue.show", {"queue": "q" * 65}), "bad_params"),
        (request("queue.show", {"queue": "none"}), "unknown_queue"),
        (request("agent.show", {"agent": "nobody"}), "unknown_agent"),
        (request("contact.list", {"limit": 0}), "bad_params"),
        (request("contact.list", {"limit": 10**9}), "bad_params"),
        (request("contact.show", {"contact": "none"}), "unknown_contact"),
    ],
)
async def test_what_is_wrong_is_refused_by_name_and_the_connection_goes_on(
    server: ControlServer, line: bytes, error_id: str
) -> None:
    refused, answered = await ask(server, line, request("queue.show"))
    assert refused["error"]["error_id"] == error_id
    assert refused["error"]["message"]
    assert answered["result"]


async def test_a_line_over_the_limit_ends_the_connection(server: ControlServer) -> None:
    reader, writer = await dial(server)
    writer.write(b"x" * (REQUEST_BYTES_MAX + 10))
    reply = json.loads(await reader.readline())
    assert reply["error"]["error_id"] == "line_too_long"
    assert await reader.read() == b""
    writer.close()
    assert server.counts.dropped == 1
    assert (await ask(server, request("queue.show")))[0]["result"]


async def test_half_a_request_does_nothing(server: ControlServer, backend: FakeBackend) -> None:
    _, writer = await dial(server)
    writer.write(request("agent.logout", {"agent": "petrov"})[:-1])
    writer.close()
    await writer.wait_closed()
    await ask(server, request("queue.show"))
    assert backend.submitted == []


async def test_one_connection_too_many_is_told_so(server: ControlServer) -> None:
    held = []
    for _ in range(LIMITS.connections):
        reader, writer = await dial(server)
        writer.write(request("queue.show"))
        await reader.readline()  # Accepted for certain.
        held.append(writer)
    reader, writer = await dial(server)
    reply = json.loads(await reader.readline())
    assert reply["error"]["error_id"] == "busy"
    assert await reader.read() == b""
    for one in (*held, writer):
        one.close()


async def test_a_client_that_says_nothing_is_dropped(tmp_path: Path, audit: AuditLog) -> None:
    server = ControlServer(tmp_path / "s", audit, Limits(idle_s=0.05))
    await server.start()
    reader, writer = await dial(server)
    assert await reader.read() == b""
    writer.close()
    assert server.counts.dropped == 1
    await server.close()


async def test_a_client_that_does_not_read_is_dropped_and_others_are_served(
    tmp_path: Path, audit: AuditLog
) -> None:
    async def much(_params: Anything, _call: Call) -> Json:
        return "x" * 2_000_000

    async def little(_params: Anything, _call: Call) -> Json:
        return 1

    server = ControlServer(tmp_path / "s", audit, LIMITS)
    server.method("much", Anything, much)
    server.method("little", Anything, little)
    await server.start()
    deaf = socket.socket(socket.AF_UNIX)
    deaf.connect(str(server.path))
    deaf.sendall(request("much"))
    assert (await ask(server, request("little")))[0]["result"] == 1
    hung_up = select.poll()
    hung_up.register(deaf, select.POLLHUP)
    assert await asyncio.to_thread(hung_up.poll, 5_000), "the deaf one was not dropped"
    assert server.counts.dropped == 1
    deaf.close()
    await server.close()


async def test_a_slow_method_is_answered_with_timeout(tmp_path: Path, audit: AuditLog) -> None:
    async def slow(_params: Anything, _call: Call) -> Json:
        await asyncio.Event().wait()

    server = ControlServer(tmp_path / "s", audit, Limits(handle_s=0.05))
    server.method("slow", Anything, slow)
    await server.start()
    [reply] = await ask(server, request("slow"))
    assert reply["error"]["error_id"] == "timeout"
    await server.close()


async def test_a_method_that_breaks_costs_one_answer_and_tells_no_details(
    tmp_path: Path, audit: AuditLog
) -> None:
    async def broken(_params: Anything, _call: Call) -> Json:
        raise KeyError("+79001234567")

    server = ControlServer(tmp_path / "s", audit)
    server.method("broken", Anything, broken)
    await server.start()
    first, second = await ask(server, request("broken"), request("broken"))
    assert first["error"]["error_id"] == second["error"]["error_id"] == "internal"
    assert "900" not in first["error"]["message"]
    await server.close()


async def test_an_answer_that_cannot_be_sent_costs_that_answer_only(
    tmp_path: Path, audit: AuditLog
) -> None:
    async def surrogate(_params: Anything, _call: Call) -> Json:
        return "\udc80"

    server = ControlServer(tmp_path / "s", audit)
    server.method("surrogate", Anything, surrogate)
    await server.start()
    first, second = await ask(server, request("surrogate"), request("surrogate"))
    assert first["error"]["error_id"] == second["error"]["error_id"] == "internal"
    await server.close()


async def test_an_answer_over_the_limit_is_a_refusal(tmp_path: Path, audit: AuditLog) -> None:
    async def much(_params: Anything, _call: Call) -> Json:
        return "x" * 5_000

    server = ControlServer(tmp_path / "s", audit, Limits(reply_bytes=1_000))
    server.method("much", Anything, much)
    await server.start()
    assert (await ask(server, request("much")))[0]["error"]["error_id"] == "reply_too_long"
    await server.close()


# --- the stream ------------------------------------------------------------------------------


async def test_watch_streams_snapshots_until_the_client_speaks(
    tmp_path: Path, audit: AuditLog
) -> None:
    calls = 0

    async def count(_params: Anything, _call: Call) -> Json:
        nonlocal calls
        calls += 1
        return calls

    server = ControlServer(tmp_path / "s", audit)
    server.stream("watch", Anything, count, every_s=0.01)
    await server.start()
    reader, writer = await dial(server)
    writer.write(request("watch"))
    seen = [json.loads(await reader.readline()) for _ in range(3)]
    assert [reply["result"] for reply in seen] == [1, 2, 3]
    assert {reply["id"] for reply in seen} == {7}
    writer.write(b"\n")
    await reader.read()  # Ends: the server closes.
    writer.close()
    await server.close()


async def test_watch_shows_the_whole_center(server: ControlServer) -> None:
    reader, writer = await dial(server)
    writer.write(request("watch"))
    snapshot = json.loads(await reader.readline())["result"]
    assert set(snapshot) == {
        *("now", "age_s", "center", "title", "timezone"),
        *("queues", "agents", "contacts", "health"),
    }
    writer.close()


# --- the file --------------------------------------------------------------------------------


async def test_a_stale_socket_is_replaced(tmp_path: Path, audit: AuditLog) -> None:
    path = tmp_path / "engine.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    assert path.exists()
    server = ControlServer(path, audit)
    await server.start()
    assert "unknown_method" in json.dumps(await ask(server, request("x")))
    await server.close()
    assert not path.exists()


async def test_a_live_socket_is_refused_and_its_holder_named(
    server: ControlServer, audit: AuditLog
) -> None:
    second = ControlServer(server.path, audit)
    with pytest.raises(SocketHeldError, match=rf"process {os.getpid()}\b") as refused:
        await second.start()
    assert refused.value.pid == os.getpid()
    await second.close()
    assert (await ask(server, request("queue.show")))[0]["result"], "the first one still serves"


async def test_a_live_socket_without_a_lock_is_refused(tmp_path: Path, audit: AuditLog) -> None:
    path = tmp_path / "engine.sock"
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(path))
    other.listen()
    with pytest.raises(SocketHeldError):
        await ControlServer(path, audit).start()
    other.close()


@pytest.mark.parametrize("kind", ["file", "link"])
async def test_what_is_no_socket_is_never_removed(
    tmp_path: Path, audit: AuditLog, kind: str
) -> None:
    path = tmp_path / "engine.sock"
    if kind == "file":
        path.write_text("precious")
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GkcError, match="not a socket"):
        await ControlServer(path, audit).start()
    assert path.is_symlink() or path.read_text() == "precious"


async def test_a_socket_in_a_deep_directory_works(tmp_path: Path, audit: AuditLog) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60) / "engine.sock"
    server = ControlServer(deep, audit)
    await server.start()

    def look() -> str:
        with ControlClient(deep) as client:
            try:
                client.call("x")
            except ControlError as error:
                return error.error_id
        return ""

    assert await asyncio.to_thread(look) == "unknown_method"
    await server.close()


async def test_closing_ends_streams_and_may_be_repeated(server: ControlServer) -> None:
    reader, writer = await dial(server)
    writer.write(request("watch"))
    await reader.readline()
    await server.close()
    await server.close()
    assert await reader.read() == b""
    writer.close()
    assert not server.path.exists()
