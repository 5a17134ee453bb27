"""Metrics from the core's facts, and their page on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import socket
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gkc_engine.acd.commands import (
    Command,
    Disposition,
    EventRejected,
    OfferEnded,
    OfferOutcome,
)
from gkc_engine.acd.settings import Medium
from gkc_engine.control.day import DayCounters
from gkc_engine.control.observe import Observer
from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, OfferId
from gkc_engine.metrics import Metrics, MetricsServer, in_loop, measure_loop_lag
from tests.control.fake import HOUSING, NOW, PASSPORT, ZONE, FakeBackend
from tests.control.test_day import fact


@dataclass
class Step:
    now: Instant = NOW
    source: str = "ami"
    commands: list[Command] = field(default_factory=list)


@pytest.fixture
def observer() -> Observer:
    day = DayCounters(ZONE, NOW)
    day.configure({PASSPORT: 20 * SECOND})
    return Observer(Metrics(), day)


def value(observer: Observer, name: str, **labels: str) -> float | None:
    return observer.metrics.registry.get_sample_value(name, labels)


def offer_ended(outcome: OfferOutcome) -> OfferEnded:
    return OfferEnded(
        offer_id=OfferId(1),
        contact_id=ContactId("c"),
        agent_id=AgentId("ivanova"),
        queue=PASSPORT,
        created=NOW,
        ringing=None,
        ended=NOW,
        outcome=outcome,
    )


def test_ended_contacts_are_counted_by_queue_and_disposition(observer: Observer) -> None:
    steps = [
        Step(commands=[fact(Disposition.ANSWERED, NOW, 15)]),
        Step(commands=[fact(Disposition.ANSWERED, NOW, 25)]),
        Step(commands=[fact(Disposition.ABANDONED, NOW, 40)]),
        Step(source="agi", commands=[fact(Disposition.ABANDONED_MENU, None, 0)]),
    ]
    observer.steps(steps)
    labels = {"queue": "passport", "medium": "voice"}
    assert value(observer, "gkc_contacts_total", **labels, disposition="answered") == 2
    assert value(observer, "gkc_contacts_total", **labels, disposition="abandoned") == 1
    assert (
        value(
            observer, "gkc_contacts_total", queue="", medium="voice", disposition="abandoned_menu"
        )
        == 1
    )
    assert value(observer, "gkc_answered_in_target_total", queue="passport") == 1
    assert value(observer, "gkc_wait_seconds_count", queue="passport") == 2
    assert value(observer, "gkc_wait_seconds_sum", queue="passport") == 40
    assert value(observer, "gkc_wait_seconds_bucket", queue="passport", le="20.0") == 1
    assert value(observer, "gkc_events_total", source="ami") == 3
    assert observer.day.of(PASSPORT, NOW).answered == 2


def test_offers_and_rejections_are_counted(observer: Observer) -> None:
    refused = EventRejected(kind="AgentPaused", reason="x")
    observer.observe([offer_ended(OfferOutcome.NO_ANSWER), refused], NOW)
    assert value(observer, "gkc_offers_total", queue="passport", outcome="no_answer") == 1
    assert value(observer, "gkc_events_rejected_total", kind="AgentPaused") == 1


def test_each_series_begins_at_0(observer: Observer) -> None:
    observer.expect({PASSPORT: Medium.VOICE})
    queue = {"queue": PASSPORT}
    ended = queue | {"medium": "voice", "disposition": "timeout"}
    assert value(observer, "gkc_wait_seconds_count", **queue) == 0
    assert value(observer, "gkc_answered_in_target_total", **queue) == 0
    assert value(observer, "gkc_contacts_total", **ended) == 0
    assert value(observer, "gkc_offers_total", **queue, outcome="busy") == 0
    assert value(observer, "gkc_events_rejected_total", kind="AgentPaused") == 0
    observer.observe([offer_ended(OfferOutcome.BUSY)], NOW)
    observer.expect({PASSPORT: Medium.VOICE})
    assert value(observer, "gkc_offers_total", **queue, outcome="busy") == 1


def test_gauges_follow_the_state_and_forget_queues_that_are_gone(observer: Observer) -> None:
    backend = FakeBackend()
    observer.sample(backend)
    assert value(observer, "gkc_waiting", queue="passport") == 1
    assert value(observer, "gkc_longest_wait_seconds", queue="passport") == 45
    assert value(observer, "gkc_waiting", queue="housing") == 0
    assert value(observer, "gkc_agents", state="talk") == 1
    assert value(observer, "gkc_agents", state="faulty") == 0
    housing = {k: v for k, v in backend.directory.queues.items() if k == HOUSING}
    backend.directory = dataclasses.replace(backend.directory, queues=housing)
    observer.sample(backend)
    assert value(observer, "gkc_waiting", queue="passport") is None


def test_no_label_names_a_contact_or_an_agent(observer: Observer) -> None:
    labels = {
        label
        for family in observer.metrics.registry.collect()
        for sample in family.samples
        for label in sample.labels
    }
    observer.observe([offer_ended(OfferOutcome.BUSY), fact(Disposition.ANSWERED, NOW, 1)], NOW)
    names = {f.name for f in observer.metrics.registry.collect()}
    assert {"gkc_contacts", "gkc_wait_seconds", "gkc_ami_up", "gkc_journal_active"} <= names
    assert not labels & {"agent", "agent_id", "contact_id", "contact", "number"}
    assert "ivanova" not in str(
        [s.labels for f in observer.metrics.registry.collect() for s in f.samples]
    )


async def test_the_page_is_served_on_loopback_only() -> None:
    metrics = Metrics()
    metrics.info.labels("0.1.0", "centr").set(1)
    server = MetricsServer(metrics, port=0)

    def get() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as page:
            return str(page.read().decode())

    assert 'gkc_info{center="centr",version="0.1.0"} 1.0' in await asyncio.to_thread(get)
    await asyncio.to_thread(server.close)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) == errno.ECONNREFUSED


async def test_gauges_are_taken_in_the_loop_when_somebody_looks() -> None:
    metrics = Metrics()
    server = MetricsServer(metrics, port=0)
    looked: list[int] = []

    def look() -> None:
        looked.append(threading.get_ident())
        metrics.inbox_depth.set(len(looked))

    metrics.before_scrape = in_loop(look)

    def get() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as page:
            return str(page.read().decode())

    assert "gkc_inbox_depth 1.0" in await asyncio.to_thread(get)
    assert "gkc_inbox_depth 2.0" in await asyncio.to_thread(get)
    assert set(looked) == {threading.get_ident()}
    await asyncio.to_thread(server.close)


def test_a_loop_that_is_gone_holds_no_scrape_up() -> None:
    async def make() -> Callable[[], None]:
        return in_loop(lambda: None)

    asyncio.run(make())()


def test_a_port_in_use_is_said_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(GkcError, match=rf"127\.0\.0\.1:{port} is in use .*ss -ltnp"):
            MetricsServer(Metrics(), port=port)


def test_two_engines_in_one_process_share_nothing() -> None:
    first, second = Metrics(), Metrics()
    first.rejected.labels("x").inc()
    assert second.registry.get_sample_value("gkc_events_rejected_total", {"kind": "x"}) is None


async def test_a_blocked_loop_shows_as_lag() -> None:
    metrics, loop = Metrics(), asyncio.get_running_loop()
    shown = asyncio.Event()
    remember = metrics.loop_lag.set

    def watched(value: float) -> None:
        remember(value)
        shown.set()

    metrics.loop_lag.set = watched  # type: ignore[method-assign]
    measuring = asyncio.ensure_future(measure_loop_lag(metrics, every_s=0.01, shown_s=0.1))
    await asyncio.sleep(0)
    until = loop.time() + 0.15
    while loop.time() < until:
        pass  # Something that does not give way to the loop.
    await asyncio.wait_for(shown.wait(), 5)
    measuring.cancel()
    lag = metrics.registry.get_sample_value("gkc_loop_lag_seconds")
    assert lag is not None
    assert lag > 0.1
