"""Metrics from the core's facts, and their page on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import math
import shutil
import socket
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from gkc_engine.acd.commands import (
    AgentState,
    AgentStateChanged,
    Command,
    Disposition,
    EventRejected,
    OfferEnded,
    OfferOutcome,
)
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.views import Closing
from gkc_engine.control.day import DayCounters
from gkc_engine.control.observe import Observer
from gkc_engine.errors import GkcError
from gkc_engine.gauges import with_disk
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, OfferId
from gkc_engine.metrics import Metrics, MetricsServer, in_loop, measure_loop_lag
from tests.control.fake import HOUSING, IVANOVA, NOW, PASSPORT, ZONE, FakeBackend
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


def test_the_gauges_say_what_the_rows_say(observer: Observer) -> None:
    """ivanova talks with a citizen of passport, petrov is ready, one waits since 45 s."""
    backend = FakeBackend()
    observer.sample(backend)
    passport = {"queue": "passport"}
    for name, expected in (
        ("gkc_waiting", 1),
        ("gkc_longest_wait_seconds", 45),
        ("gkc_talking", 1),
        ("gkc_queue_open", 1),
        ("gkc_service_level_threshold_seconds", 20),
        # As in `queue show`: one of 2 answered + 2 abandoned - 1 short; 1 of 4 whose wait ended.
        ("gkc_service_level_ratio", 0.3333),
        ("gkc_abandon_ratio", 0.25),
    ):
        assert value(observer, name, **passport) == expected, name
    agents = {"ready": 1, "busy": 1, "wrap_up": 0, "not_ready": 0, "offline": 0}
    for state, count in agents.items():
        assert value(observer, "gkc_queue_agents", **passport, state=state) == count, state
    backend._agents[IVANOVA].state = AgentState.WRAP_UP
    observer.sample(backend)
    for state, count in (agents | {"busy": 0, "wrap_up": 1}).items():
        assert value(observer, "gkc_queue_agents", **passport, state=state) == count, state
    nothing = value(observer, "gkc_service_level_ratio", queue="housing")
    assert nothing is not None
    assert math.isnan(nothing), "0 and 1 would both mislead"
    backend.closed[HOUSING] = Closing(emergency=True, reason="")
    observer.sample(backend)
    assert value(observer, "gkc_queue_open", queue="housing") == 0


def test_handling_is_counted_with_a_wrap_up_that_ends_later(observer: Observer) -> None:
    ended = msgspec.structs.replace(
        fact(Disposition.ANSWERED, NOW, 5), talk_us=60 * SECOND, hold_us=5 * SECOND
    )

    def state(to: AgentState, at_s: int, contact: ContactId | None) -> AgentStateChanged:
        since = Instant(NOW + at_s * SECOND)
        return AgentStateChanged(
            agent_id=AgentId("ivanova"), slot=0, state=to, since=since, contact_id=contact
        )

    observer.observe([state(AgentState.WRAP_UP, 70, ended.contact_id), ended], NOW)
    assert value(observer, "gkc_handle_seconds_total", queue="passport") == 65
    observer.observe([state(AgentState.READY, 80, None)], NOW)
    assert value(observer, "gkc_handle_seconds_total", queue="passport") == 75
    assert value(observer, "gkc_handled_total", queue="passport") == 1


def test_a_disk_that_cannot_be_asked_keeps_no_scrape_up(tmp_path: Path) -> None:
    metrics, looked = Metrics(), []

    def look() -> None:
        looked.append(1)

    with_disk(metrics, tmp_path, look)()
    size = metrics.registry.get_sample_value("gkc_store_disk_size_bytes")
    assert size is not None
    assert abs(size - shutil.disk_usage(tmp_path).total) < 1
    with_disk(metrics, tmp_path / "gone", look)()
    assert looked == [1, 1]


def test_no_series_says_when_another_began(observer: Observer) -> None:
    observer.expect({PASSPORT: Medium.VOICE})
    names = {
        sample.name for family in observer.metrics.registry.collect() for sample in family.samples
    }
    assert [name for name in names if name.endswith("_created")] == []
    assert "process_open_fds" in names
