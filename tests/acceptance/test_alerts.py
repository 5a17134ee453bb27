"""An alert on a real surge: raised and cleared once and in time, also over a crash."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Scene, all_answer, scene, until
from tests.acceptance.rtp import wall
from tests.acceptance.shell import Shell

pytestmark = [pytest.mark.accept, pytest.mark.usefixtures("sipp")]

SECRET = "this test's own"
PASSPORT = "+74951112233"
FOR_S, IN_TIME_S = 1.0, 5.0
CITIZENS, ABOVE, CLEAR = 6, 3, 1


class Hook:
    """What a webhook's server got: instant (Unix time), headers, body."""

    def __init__(self) -> None:
        self.posts: queue.Queue[tuple[float, dict[str, str], bytes]] = queue.Queue()
        self.url = ""

    async def next(self, timeout_s: float) -> tuple[float, dict[str, Any]]:
        """Wait for a message; return when it came, and what it says. Its signature is right."""

        async def look() -> tuple[float, dict[str, str], bytes] | None:
            return None if self.posts.empty() else self.posts.get()

        at, headers, body = await until(look, "a webhook comes", timeout_s)
        signed = headers["X-GKC-Timestamp"].encode() + b"." + body
        right = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert headers["X-GKC-Signature"] == f"sha256={right}"
        assert abs(int(headers["X-GKC-Timestamp"]) - at) < 10
        said: dict[str, Any] = json.loads(body)
        second = int(datetime.fromisoformat(said["raised"]).timestamp())
        assert headers["X-GKC-Delivery"] == f"{said['alert_id']}.{said['event']}.{second}"
        return at, said


@contextmanager
def listening(on: socket.socket | None = None) -> Iterator[Hook]:
    """Serve, on a socket that is bound already or on one of its own."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.posts.put((wall(), dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    at = ("127.0.0.1", 0)
    server = ThreadingHTTPServer(at, Handler, bind_and_activate=on is None)
    if on is not None:
        server.socket.close()
        server.socket = on
        server.server_address = on.getsockname()
        server.server_activate()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tuned(folder: Path, url: str, hung: str, late: str) -> Callable[[CityOptions], CityOptions]:
    """Let the city watch one queue; the webhook that hangs is told first."""
    secret = folder / "hook.secret"
    secret.write_text(SECRET, encoding="utf-8")

    def tune(document: Document) -> None:
        if "queues" not in document:
            return
        document["alerts"] = [
            {
                "name": "crowd",
                "when": "waiting",
                "queue": "passport",
                "above": ABOVE,
                "clear": CLEAR,
                "for": f"{FOR_S:g}s",
                "to": ["hangs", "late", "works", "log"],
            }
        ]
        document["webhooks"] = {
            "works": {"url": url, "secret": f"file:{secret}"},
            "hangs": {"url": hung, "secret": f"file:{secret}"},
            "late": {"url": late, "secret": f"file:{secret}"},
        }

    return lambda options: dataclasses.replace(options, tune=tune)


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def crossing(city: Scene) -> float:
    """Return when the line grew beyond the threshold, from the records of the contacts."""
    rows = await city.contacts()
    return sorted(unix(row["first_queued"]) for row in rows)[ABOVE]


async def calm_again(city: Scene) -> float:
    """Return when the line was at ``clear`` again."""
    rows = await city.ended(CITIZENS)
    return sorted(unix(row["ended"]) for row in rows)[CITIZENS - CLEAR - 1]


async def test_a_surge_is_told_once_and_in_time_also_over_a_crash(
    install: Install, tmp_path: Path
) -> None:
    with (
        listening() as hook,
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.socket() as away,
    ):
        away.bind(("127.0.0.1", 0))  # Nobody listens there yet: refused.
        hung, late_url = (f"http://127.0.0.1:{one.getsockname()[1]}/" for one in (silent, away))
        options = tuned(tmp_path, hook.url, hung, late_url)
        async with scene(tmp_path, install, phones=all_answer, options=options) as city:
            shell = Shell(city)
            ids = [f"surge-{n}" for n in range(CITIZENS)]
            await city.bench.citizens(PASSPORT, ids, rate=20)
            at, raised = await hook.next(30)
            assert (raised["event"], raised["alert"], raised["queue"]) == (
                "raised",
                "crowd",
                "passport",
            )
            assert raised["text"].startswith("ТРЕВОГА: «Паспорта»: ожидают ответа")
            late = at - (await crossing(city) + FOR_S)
            assert -0.1 <= late <= IN_TIME_S, "on time although the other webhook hangs"
            (row,) = await shell.rows("alert", "ack", "1", "--note", "вызвали смену")
            assert (row["alert_id"], row["note"]) == (1, "вызвали смену")
            city.city.kill_engine()
            await city.city.start_engine()
            with listening(away) as waited:
                _, told = await waited.next(20)
                assert (told["event"], told["alert_id"]) == ("raised", 1), "kept over the kill"
                assert waited.posts.empty()
            (row,) = await shell.rows("alert", "list")
            assert (row["alert_id"], row["cleared"]) == (1, None), "it stands, and is no new one"
            await city.city.asterisk.cli("channel request hangup all")  # it is over
            at, cleared = await hook.next(40)
            assert (cleared["event"], cleared["alert_id"]) == ("cleared", 1)
            late = at - (await calm_again(city) + FOR_S)
            assert -0.1 <= late <= IN_TIME_S
            assert hook.posts.empty(), "once each"
            (row,) = await shell.rows("alert", "history")
            assert row["cleared"] is not None
            assert await shell.rows("alert", "list") == []
            assert logged(city) == ["alert_raised", "alert_cleared"]


def logged(city: Scene) -> list[str]:
    """Return the words of the engine's log about alerts."""
    words = ("alert_raised", "alert_cleared")
    lines = city.city.log.read_text(encoding="utf-8").splitlines()
    return [word for line in lines for word in words if word in line]
