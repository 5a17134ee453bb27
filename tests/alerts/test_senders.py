"""Webhooks to a real HTTP server: signature, retries, and one that hangs."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import queue
import select
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gkc_engine.alerts import box, senders
from gkc_engine.alerts.box import GIVE_UP_US, Box, BoxError
from gkc_engine.alerts.senders import Notice, Webhook
from gkc_engine.ids import Instant

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

    def next(self) -> str:
        way, outcome = self.all.get(timeout=5)
        assert way == "webhook"
        return outcome


class Town:
    """The boxes and webhooks of engines, one after another, over one file."""

    def __init__(self, path: Path) -> None:
        self.path, self.counts, self.now = path, Counts(), Instant(10**15)
        self.box = Box(path)
        self.box.open()
        self._all: list[Webhook] = []

    def webhook(self, url: str, name: str = "chat", former: Webhook | None = None) -> Webhook:
        target = (name, url, SECRET)
        self._all.append(Webhook(target, self.counts, self.box, lambda: self.now, former))
        return self._all[-1]

    def close(self) -> None:
        for webhook in self._all:
            webhook.close()
        self.box.close(5)
        for webhook in self._all:
            webhook.join(5)
        self._all.clear()

    def waiting(self) -> list[str]:
        connection = sqlite3.connect(self.path)
        rows = connection.execute("SELECT delivery FROM message ORDER BY message_id").fetchall()
        connection.close()
        return [row[0] for row in rows]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(senders, "PAUSE_MAX_S", 0.01)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path / "webhooks.db")
    yield made
    made.close()


def deliveries(heard: Heard, count: int) -> list[str]:
    return [heard.posts.get(timeout=5)[1]["X-GKC-Delivery"] for _ in range(count)]


def test_a_message_is_signed_over_time_and_body(town: Town) -> None:
    with listening() as heard:
        town.webhook(heard.url).send(notice(7))
        path, headers, body = heard.posts.get(timeout=5)
        assert town.counts.next() == "sent"
    assert path == "/hook?room=1"
    assert json.loads(body) == {"alert_id": 7, "text": "ж"}
    assert headers["X-GKC-Delivery"] == "7.raised"
    assert headers["Content-Type"].startswith("application/json")
    signed = f"{headers['X-GKC-Timestamp']}.".encode() + body
    hexed = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-GKC-Signature"] == f"sha256={hexed}"
    assert town.waiting() == []


def test_a_server_that_does_not_serve_is_tried_until_it_does_in_order(town: Town) -> None:
    with listening() as heard:
        heard.answers += [500, 503, 429, 408, 500, 502, 204]
        webhook = town.webhook(heard.url)
        webhook.send(notice(1))
        webhook.send(notice(2))
        assert [town.counts.next(), town.counts.next()] == ["sent", "sent"]
        assert deliveries(heard, 8) == ["1.raised"] * 7 + ["2.raised"]


def test_a_message_that_is_not_wanted_is_given_up_and_the_next_one_goes(town: Town) -> None:
    with listening() as heard:
        heard.answers += [400, 302, 404, 410, 401, 204]
        webhook = town.webhook(heard.url)
        webhook.send(notice(1))
        webhook.send(notice(2))
        assert [town.counts.next(), town.counts.next()] == ["failed", "sent"]
        assert deliveries(heard, 6) == ["1.raised"] * 5 + ["2.raised"]
    assert town.waiting() == []


def test_what_waits_when_the_engine_ends_is_sent_by_the_next_one_once(
    town: Town,
) -> None:
    """The server is away, then there; a message of before is no second time in line."""
    nobody = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
    nobody.close()
    webhook = town.webhook(url)
    for n in (1, 2, 2):
        webhook.send(notice(n))
    town.close()
    assert town.waiting() == ["1.raised", "2.raised"]
    after = Town(town.path)
    with listening() as heard:
        after.webhook(heard.url).send(notice(3))
        assert [after.counts.next() for _ in range(3)] == ["sent"] * 3
        assert deliveries(heard, 3) == ["1.raised", "2.raised", "3.raised"]
        assert heard.posts.empty()
    after.close()
    assert town.waiting() == []


def test_a_reload_sends_nothing_a_second_time(town: Town) -> None:
    """What is being sent to the former address is none of the new one's business until it fails."""
    with socket.create_server(("127.0.0.1", 0)) as slow, listening() as heard:
        former = town.webhook(f"http://127.0.0.1:{slow.getsockname()[1]}/")
        former.send(notice(1))
        line, _ = slow.accept()
        former.close()
        town.webhook(heard.url, former=former).send(notice(2))
        while town.waiting() != ["1.raised", "2.raised"]:
            pass  # Until the new one could have them both.
        assert line.recv(65536)
        line.sendall(b"HTTP/1.1 204 Late\r\n\r\n")
        line.close()
        assert [town.counts.next(), town.counts.next()] == ["sent", "sent"]
        assert deliveries(heard, 1) == ["2.raised"]
        assert heard.posts.empty()


def test_a_day_is_long_enough(town: Town) -> None:
    with listening() as heard:
        nobody = town.webhook("http://127.0.0.1:1/", "gone")
        nobody.send(notice(1))
        nobody.send(notice(2))
        town.now = Instant(town.now + GIVE_UP_US)
        assert [town.counts.next(), town.counts.next()] == ["failed", "failed"]
        assert heard.posts.empty()


def test_so_many_wait_and_no_more(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "WAITING_MAX", 3)
    webhook = town.webhook("http://127.0.0.1:1/")
    for n in range(5):
        webhook.send(notice(n))
    assert [town.counts.next(), town.counts.next()] == ["dropped", "dropped"]
    assert town.waiting() == ["0.raised", "1.raised", "2.raised"]


def test_what_cannot_be_written_down_is_sent_all_the_same(tmp_path: Path) -> None:
    town = Town(tmp_path / "not there" / "webhooks.db")
    with listening() as heard, capture_logs() as logs:
        heard.answers += [500, 400]
        town.webhook(heard.url).send(notice(1))
        assert town.counts.next() == "sent"
        assert deliveries(heard, 3) == ["1.raised"] * 3
        town.close()
    said = [entry["reason"] for entry in logs if entry["event"] == "webhook_not_kept"]
    assert "look at its disk and its rights" in said[0]


def test_what_was_sent_but_stays_on_a_full_disk_is_not_sent_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    full.set()
    remove = town.box.remove

    def removed(message_id: int) -> None:
        if full.is_set():
            raise BoxError("database or disk is full")
        remove(message_id)

    monkeypatch.setattr(town.box, "remove", removed)
    monkeypatch.setattr(senders, "LOOK_AGAIN_S", 0.01)
    with listening() as heard:
        webhook = town.webhook(heard.url)
        webhook.send(notice(1))
        assert town.counts.next() == "sent"
        webhook.send(notice(2))
        full.clear()
        assert town.counts.next() == "sent"
        assert deliveries(heard, 2) == ["1.raised", "2.raised"]
        assert heard.posts.empty()
    town.close()
    assert town.waiting() == []


def test_what_was_for_a_webhook_that_is_no_more_goes_after_a_day(town: Town) -> None:
    town.webhook("http://127.0.0.1:1/", "old").send(notice(1))
    town.webhook("http://127.0.0.1:1/", "new").send(notice(2))
    town.box.forget_others(["new"], town.now)  # not older than that
    town.box.forget_others(["old", "new"], Instant(town.now + 1))
    town.box.forget_others(["new"], Instant(town.now + 1))
    town.close()
    assert town.waiting() == ["2.raised"]


def test_an_answer_that_drips_has_its_end_too(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "TIMEOUT_S", 0.06)
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
        town.webhook(f"http://127.0.0.1:{server.getsockname()[1]}/").send(notice(1))
        for thread in threads:  # Each ends when it is cut, and the next try begins.
            thread.join(5)
            assert not thread.is_alive()


def test_one_that_hangs_costs_only_its_own_messages(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, listening() as heard:
        hangs = town.webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/", "hangs")
        works = town.webhook(heard.url, "works")
        hangs.send(notice(1))
        lines = [silent.accept()[0] for _ in range(3)]  # Each attempt has its end.
        works.send(notice(2))
        assert deliveries(heard, 1) == ["2.raised"]
        assert town.counts.next() == "sent"
        for line in lines:
            line.close()
