"""What Prometheus reads: our own registry, its instruments, and ``/metrics`` on loopback.

Names and meanings: ``docs/reference/metrics.md``. Base units, ``_total`` for counters; labels
are bounded by the configuration, never an agent's or a contact's id.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable, Iterable
from typing import Protocol
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.registry import Collector

from gkc_engine.errors import GkcError

PORT = 9469
"""Where ``/metrics`` is served unless the configuration says otherwise."""

WAIT_BUCKETS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200)
FAST_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5)


SCRAPE_S = 2.0
"""How long a scrape waits for the loop to say how things are; then it gets what was said last."""


class _Look(Collector):
    """First of the registry: has the gauges set anew when somebody looks at them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        self._metrics.before_scrape()
        return ()


class Metrics:
    """Every instrument of the engine, in a registry of its own. One per process."""

    def __init__(self) -> None:
        self.before_scrape: Callable[[], None] = lambda: None
        """Called at the beginning of each scrape, in its thread: the gauges are set only then."""
        # When each series began, as a series of its own: twice as many, and nothing reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry(auto_describe=True)
        registry.register(_Look(self))
        ProcessCollector(registry=registry)
        self.info = Gauge(
            "gkc_info", "Always 1; what runs here.", ["version", "center"], registry=registry
        )
        self.contacts = Counter(
            "gkc_contacts_total",
            "Contacts that ended, by their last queue and disposition.",
            ["queue", "medium", "disposition"],
            registry=registry,
        )
        self.guests = Counter(
            "gkc_guests_total",
            "Other centers' contacts that ended here, by disposition; none is in another metric.",
            ["queue", "disposition"],
            registry=registry,
        )
        self.in_target = Counter(
            "gkc_answered_in_target_total",
            "Contacts answered within the queue's service level.",
            ["queue"],
            registry=registry,
        )
        self.wait = Histogram(
            "gkc_wait_seconds",
            "First queue entry to the answer, ring included; answered contacts.",
            ["queue"],
            buckets=WAIT_BUCKETS,
            registry=registry,
        )
        self.offers = Counter(
            "gkc_offers_total",
            "Offers to agents that ended, by outcome.",
            ["queue", "outcome"],
            registry=registry,
        )
        self.waiting = Gauge(
            "gkc_waiting", "Contacts that wait or are being offered.", ["queue"], registry=registry
        )
        self.longest_wait = Gauge(
            "gkc_longest_wait_seconds",
            "Wait of the contact that waits longest now.",
            ["queue"],
            registry=registry,
        )
        self.agents = Gauge("gkc_agents", "Agents by state.", ["state"], registry=registry)
        self._queue_instruments(registry)
        self._engine_instruments(registry)
        self._alert_instruments(registry)
        self._record_instruments(registry)

    def _queue_instruments(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, ["queue", *labels], registry=registry)

        self.queue_agents = gauge(
            "gkc_queue_agents", "Agents who may serve the queue at any step, by state.", "state"
        )
        self.talking = gauge("gkc_talking", "Contacts that are connected with a person.")
        self.queue_open = gauge("gkc_queue_open", "1 while the queue takes contacts.")
        self.service_level = gauge(
            "gkc_service_level_ratio",
            "Service level (SL-5) of the last 30 minutes; NaN when nothing counts.",
        )
        self.abandon_rate = gauge(
            "gkc_abandon_ratio",
            "Long abandons / offered of the last 30 minutes; NaN when none was offered.",
        )
        self.target = gauge(
            "gkc_service_level_threshold_seconds", "Wait within which an answer is in time."
        )
        self.handled = Counter(
            "gkc_handled_total",
            "Answered contacts whose call is over.",
            ["queue"],
            registry=registry,
        )
        self.handle_seconds = Counter(
            "gkc_handle_seconds_total",
            "Talk, hold and wrap-up of the handled contacts.",
            ["queue"],
            registry=registry,
        )

    def _record_instruments(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry)

        self.journal_active = gauge(
            "gkc_journal_active",
            "1 while records go to the emergency journal instead of the ledger.",
        )
        self.ledger_behind = gauge(
            "gkc_ledger_behind_seconds", "Since when the ledger lacks rows; 0 when it has all."
        )
        self.at_risk = gauge(
            "gkc_rows_at_risk", "Rows that stand in memory alone: a crash would lose them."
        )
        self.store_free = gauge(
            "gkc_store_disk_free_bytes", "Free on the file system of the records."
        )
        self.store_size = gauge(
            "gkc_store_disk_size_bytes", "Size of the file system of the records."
        )
        self.complete = gauge(
            "gkc_figures_complete",
            "0 after a start until what ended before has been counted again.",
        )

    def _engine_instruments(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "gkc_events_total", "Events that the core took.", ["source"], registry=registry
        )
        self.rejected = Counter(
            "gkc_events_rejected_total",
            "Events that named something unknown or could not apply.",
            ["kind"],
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "gkc_commit_seconds",
            "One group commit to the ledger.",
            buckets=FAST_BUCKETS,
            registry=registry,
        )
        self.decision_seconds = Histogram(
            "gkc_decision_seconds",
            "One step of the core.",
            buckets=(0.00001, 0.00005, 0.0001, *FAST_BUCKETS),
            registry=registry,
        )
        self.loop_lag = Gauge(
            "gkc_loop_lag_seconds",
            "By how much the event loop ran late; worst of the last second.",
            registry=registry,
        )
        self.ami_up = Gauge("gkc_ami_up", "1 while Asterisk's AMI answers.", registry=registry)
        self.inbox_depth = Gauge(
            "gkc_inbox_depth", "Events that wait for the core.", registry=registry
        )
        self.outbox_mails = Gauge(
            "gkc_outbox_mails", "Mails of reports by state.", ["state"], registry=registry
        )
        self.outbox_oldest = Gauge(
            "gkc_outbox_oldest_seconds",
            "Since when the oldest mail that is not sent yet was due.",
            registry=registry,
        )
        self.accepting = Gauge(
            "gkc_accepting", "1 while new contacts are taken.", registry=registry
        )
        self.agi_sessions = Gauge(
            "gkc_agi_sessions", "Calls that the engine holds by FastAGI.", registry=registry
        )
        self.guests_refused = Counter(
            "gkc_guests_refused_total",
            "Calls of other centers that were not let in, by what was wrong with their token.",
            ["reason"],
            registry=registry,
        )
        self.control_requests = Counter(
            "gkc_control_requests_total", "Requests at the control socket.", registry=registry
        )

    def _alert_instruments(self, registry: CollectorRegistry) -> None:
        self.alert_active = Gauge(
            "gkc_alert_active",
            "1 while an alert of the configuration stands; queue is empty for the engine's.",
            ["alert", "queue"],
            registry=registry,
        )
        self.alerts_raised = Counter(
            "gkc_alerts_raised_total", "Alerts that were raised.", ["alert"], registry=registry
        )
        self.alerts_sent = Counter(
            "gkc_alerts_sent_total",
            "Messages about alerts: by log, mail or webhook; sent, failed or dropped.",
            ["way", "outcome"],
            registry=registry,
        )


def in_loop(*works: Callable[[], None]) -> Callable[[], None]:
    """Return a ``before_scrape`` that lets ``works`` run in the running event loop.

    A loop that does not get to it within `SCRAPE_S` must not hold the scrape up: that it lags is
    among what is scraped.
    """
    loop = asyncio.get_running_loop()

    def look() -> None:
        done = threading.Event()

        def run() -> None:
            try:
                for work in works:
                    work()
            finally:
                done.set()

        with contextlib.suppress(RuntimeError):  # the loop is closed: we end
            loop.call_soon_threadsafe(run)
            done.wait(SCRAPE_S)

    return look


async def measure_loop_lag(metrics: Metrics, every_s: float = 0.05, shown_s: float = 1.0) -> None:
    """Set ``gkc_loop_lag_seconds`` to the worst of each ``shown_s``, until cancelled."""
    loop = asyncio.get_running_loop()
    worst, show_at = 0.0, loop.time() + shown_s
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        worst = max(worst, loop.time() - due)
        if loop.time() >= show_at:
            metrics.loop_lag.set(worst)
            worst, show_at = 0.0, loop.time() + shown_s


class Served(Protocol):
    """What can be served."""

    registry: CollectorRegistry


class MetricsServer:
    """Serves a registry over HTTP from a thread of its own: a slow reader costs no call."""

    def __init__(self, metrics: Served, port: int = PORT, address: str = "127.0.0.1") -> None:
        """Listen at ``port``; 0 takes a free one (``port`` then says which).

        Raises:
            GkcError: the port is taken, or the address is not this machine's.
        """
        server: WSGIServer
        thread: threading.Thread
        try:
            server, thread = start_http_server(port, addr=address, registry=metrics.registry)
        except OSError as error:
            raise GkcError(_why(error, address, port)) from error
        self._server = server
        self._thread = thread
        self.port = int(server.server_port)

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def _why(error: OSError, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Metrics cannot be served: {address}:{port} is in use by another process. "
            f"See which with `ss -ltnp 'sport = :{port}'`, or choose another port."
        )
    return f"Metrics cannot be served at {address}:{port}: {error.strerror or error}."
