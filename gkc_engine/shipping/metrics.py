"""What Prometheus reads of a shipper (in the engine's registry) and of the collector (its own)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector as Registered

from gkc_engine.federation.settings import ShipperSettings
from gkc_engine.ids import SECOND
from gkc_engine.metrics import MetricsServer
from gkc_engine.shipping.shipper import Shipper

if TYPE_CHECKING:
    from gkc_engine.shipping.collector import Collector


class ShipperMetrics(Registered):
    """Register it with the engine's; it is asked at each scrape."""

    def __init__(self, shipper: Shipper) -> None:
        self._shipper = shipper

    def collect(self) -> Iterator[Metric]:
        """Give the instruments as they are now."""
        one = self._shipper
        _, last_us = one.last
        yield GaugeMetricFamily(
            "gkc_shipping_up",
            "1 while the leaf node takes this center's records.",
            value=one.up and not one.problem,
        )
        yield GaugeMetricFamily(
            "gkc_shipping_behind_rows",
            "Rows of the ledger that are not in the local stream yet.",
            value=one.behind,
        )
        age = max(0, last_us - one.sent_us) / SECOND if one.behind and one.sent_us else 0.0
        yield GaugeMetricFamily(
            "gkc_shipping_behind_seconds",
            "Between the last row that was sent and the ledger's last one, by their instants.",
            value=age,
        )
        yield CounterMetricFamily(
            "gkc_shipping_rows_total", "Rows put into the local stream.", value=one.rows_sent
        )
        failed = CounterMetricFamily(
            "gkc_shipping_failed_total", "Why something was not sent or answered.", labels=["why"]
        )
        for why, n in one.failed.copy().items():
            failed.add_metric([why], n)
        yield failed


def shipper_of(url: str, settings: ShipperSettings, registry: CollectorRegistry) -> Shipper:
    """Return the shipper of the ledger at ``url``; what it does is among the engine's metrics."""
    shipper = Shipper(url, settings)
    registry.register(ShipperMetrics(shipper))
    return shipper


class CollectorMetrics(Registered):
    """The collector's page; nothing is served where the config names no port."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._server: MetricsServer | None = None
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def open(self) -> None:
        """Serve.

        Raises:
            GkcError: The port is taken, or the address is not this machine's.
        """
        place = self._collector.settings.metrics
        if place is not None:
            host, port = place
            self._server = MetricsServer(self, port, host)

    def close(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.close()

    def collect(self) -> Iterator[Metric]:
        """Give the instruments as they are now."""
        feeds = self._collector.feeds
        stored = self._collector.store.feeds
        label = ["center"]
        up = GaugeMetricFamily(
            "gkc_city_feed_up", "1 while a center's records are taken.", labels=label
        )
        behind = GaugeMetricFamily(
            "gkc_city_behind_rows",
            "Rows that a center has and the city has not, as far as the center has told.",
            labels=label,
        )
        age = GaugeMetricFamily(
            "gkc_city_age_seconds",
            "Age of the last row that the city has of a center.",
            labels=label,
        )
        rows = CounterMetricFamily("gkc_city_rows_total", "Rows taken.", labels=label)
        refused = CounterMetricFamily(
            "gkc_city_refused_total", "Messages not taken.", labels=[*label, "why"]
        )
        now = time.time_ns() // 1_000
        for name, feed in feeds.items():
            up.add_metric([name], feed.up)
            rows.add_metric([name], feed.rows)
            known = stored.get(name)
            if known is not None and known.position.seq:
                behind.add_metric([name], max(0, known.told_seq - known.position.seq))
                age.add_metric([name], max(0, now - known.ts_us) / SECOND)
            for why, n in feed.refused.copy().items():
                refused.add_metric([name, why], n)
        yield from (up, behind, age, rows, refused)
        still = self._collector.standstill
        yield GaugeMetricFamily(
            "gkc_city_tables_still_seconds",
            "Since when the city's tables do not follow the rows that come; 0 while they do.",
            value=0.0 if still is None else max(0, now - still.since_us) / SECOND,
        )
