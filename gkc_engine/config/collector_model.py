"""``collector:`` where the city's collector finds the hub, centers' records, its own store."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gkc_engine.config.federation_model import CenterName, LinkTlsModel, NatsUrls
from gkc_engine.config.store import StoreModel
from gkc_engine.config.values import Host, Model, Port, SecretRef


class CityStoreModel(StoreModel):
    """The records of all centers: a store of its own, never a center's."""

    path: Annotated[str, Field(min_length=1, max_length=4096)] = "city.sqlite"
    """The SQLite file; a relative path lies under the collector's state folder."""


class CollectorMetricsModel(Model):
    """Where Prometheus fetches what the collector says."""

    host: Host = "127.0.0.1"
    port: Port = 9470


class CollectorModel(Model):
    """The city's collector (``gkc city collect``). Only the city's config has this section."""

    nats: NatsUrls
    """The hub; a list: the next is tried when one does not answer."""
    tls: LinkTlsModel | None = None
    store: CityStoreModel = CityStoreModel()
    metrics: CollectorMetricsModel | None = None
    """Absent: nothing is served."""
    centers: Annotated[dict[CenterName, SecretRef], Field(min_length=1, max_length=1000)]
    """Center → the secret of the hub's user ``NAME-records``."""
