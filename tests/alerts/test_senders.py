"""Webhooks to a real HTTP server: signature, retries, and one that hangs."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import queue
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stamina

from gkc_engine.alerts import senders
from gkc_engine.alerts.senders import PENDING_MAX, Notice, Webhook

SECRET = "not a real one"


class Heard:
    """What the server got, and what it answers."""

    def __init__(self) -> None:
        self.posts: queue.Queue[tuple[str, dict[str, str], bytes]] = queue.Queue()
        self.answers: list[int] = []
        self.url = ""


@contextmanager
def listening() -> Iterator[Heard]:
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.posts.put((self.path, dict(self.headers), body))
            self.send_response(heard.answers.pop(0) if heard.answers else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    heard.url = f"http://127.0.0.1:{server.server_port}/hook?room=1"
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def notice(n: int = 1) -> Notice:
    return Notice(
        delivery=f"{n}.raised", subject="ТРЕВОГА", text="ТРЕВОГА", body={"alert_id": n, "text": "ж"}
    )


class Counts:
    """Outcomes, to be waited for."""

    def __init__(self) -> None:
        self.all: queue.Queue[tuple[str, str]] = queue.Queue()

    def __call__(self, way: str, outcome: str) -> None:
        self.all.put((way, outcome))


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with stamina.set_testing(testing=True, attempts=3):
        yield


def test_a_message_is_signed_over_time_and_body() -> None:
    counts = Counts()
    with listening() as heard:
        webhook = Webhook("chat", heard.url, SECRET, counts)
        webhook.send(notice(7))
        path, headers, body = heard.posts.get(timeout=5)
        assert counts.all.get(timeout=5) == ("webhook", "sent")
        webhook.close()
    assert path == "/hook?room=1"
    assert json.loads(body) == {"alert_id": 7, "text": "ж"}
    assert headers["X-GKC-Delivery"] == "7.raised"
    assert headers["Content-Type"].startswith("application/json")
    signed = f"{headers['X-GKC-Timestamp']}.".encode() + body
    hexed = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-GKC-Signature"] == f"sha256={hexed}"


def test_an_error_is_tried_again_and_then_given_up() -> None:
    counts = Counts()
    with listening() as heard:
        webhook = Webhook("chat", heard.url, SECRET, counts)
        heard.answers += [500, 302, 200, 500, 500, 500]
        webhook.send(notice(1))
        webhook.send(notice(2))
        assert counts.all.get(timeout=5) == ("webhook", "sent")
        assert counts.all.get(timeout=5) == ("webhook", "failed")
        deliveries = [heard.posts.get(timeout=5)[1]["X-GKC-Delivery"] for _ in range(6)]
        webhook.close()
    assert deliveries == ["1.raised"] * 3 + ["2.raised"] * 3


def test_an_answer_that_drips_has_its_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "TIMEOUT_S", 0.06)
    counts = Counts()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            """Send a status a byte at a time, each in time, until the other side has enough."""
            line, _ = server.accept()
            with line, contextlib.suppress(OSError):
                line.sendall(b"HTTP/1.1 2")
                while not select.select([line], [], [], 0.01)[0] or line.recv(65536):
                    line.sendall(b"a")

        threads = [threading.Thread(target=drip, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        webhook = Webhook("drips", f"http://127.0.0.1:{server.getsockname()[1]}/", SECRET, counts)
        webhook.send(notice(1))
        assert counts.all.get(timeout=3) == ("webhook", "failed")
        for thread in threads:
            thread.join(5)
        webhook.close()


def test_one_that_hangs_costs_only_its_own_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(senders, "TIMEOUT_S", 0.05)
    counts = Counts()
    with socket.create_server(("127.0.0.1", 0)) as silent, listening() as heard:
        hangs = Webhook("hangs", f"http://127.0.0.1:{silent.getsockname()[1]}/", SECRET, counts)
        works = Webhook("works", heard.url, SECRET, Counts())
        for n in range(PENDING_MAX + 2):
            hangs.send(notice(n))
        works.send(notice(1))
        assert heard.posts.get(timeout=5)[1]["X-GKC-Delivery"] == "1.raised"
        dropped = counts.all.get(timeout=5)
        assert dropped == ("webhook", "dropped"), "at most so many wait"
        outcomes = {counts.all.get(timeout=5) for _ in range(2)}
        assert ("webhook", "failed") in outcomes, "each attempt has its end"
        hangs.close()
        works.close()
        hangs._thread.join(5)
        works._thread.join(5)
