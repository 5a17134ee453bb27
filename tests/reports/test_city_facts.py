"""Names in the city's reports: of all centers, as each had them last in the time of the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from gkc_engine.ids import Instant
from gkc_engine.recorder import city, migrate, schema
from gkc_engine.recorder.city import name_in_city
from gkc_engine.reports.periods import stretch
from gkc_engine.reports.source import CENTERS_SHOWN, facts

OF = stretch(Instant(1_000), Instant(2_000), Instant(9_000))


def tree(prefix: str, **services: str) -> dict[str, Any]:
    """Return a config as it stands on record; its queues have the names of its services."""
    return {
        "center": {"prefix": prefix, "title": f"Центр {prefix}", "timezone": "Europe/Moscow"},
        "services": {
            key: {"title": title, "body": f"Дом {key}"} for key, title in services.items()
        },
        "queues": {f"q_{key}": {"title": title} for key, title in services.items()},
        "guardrails": {f"q_{key}": {"sl_min": len(title) / 100} for key, title in services.items()},
    }


class Store:
    """A city's store with nothing in it but configs."""

    def __init__(self) -> None:
        engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        self.connection = engine.connect()
        migrate.bring_up(self.connection)
        self.connection.execute(schema.meta.insert(), {"key": city.KIND, "value": city.CITY})
        self._seq = 0

    def center(self, name: str, number: int) -> None:
        blank = dict.fromkeys(("seq", "ts_us", "taken_us", "stream_seq", "told_seq", "refused"), 0)
        feed = {"center": name, "number": number, "event_id": "", **blank}
        self.connection.execute(schema.feed.insert(), feed)

    def config(self, center: str, version: str, applied: int, told: dict[str, Any] | None) -> None:
        self._seq += 1
        event_id = f"e{self._seq}"
        data = json.dumps({} if told is None else {"tree": json.dumps(told)})
        event = {
            "seq": self._seq,
            "event_id": event_id,
            "ts_us": applied,
            "center": center,
            "kind": "gkc.config.applied",
            "config_version": version,
            "source": "core",
            "role": "in",
            "schema_version": 1,
            "data": data,
        }
        self.connection.execute(schema.event.insert(), event)
        row = {"hash": name_in_city(center, version), "applied": applied, "event_id": event_id}
        self.connection.execute(schema.config_version.insert(), row)


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.connection.close()


def test_names_of_all_centers_and_of_two_the_first_ones(store: Store) -> None:
    store.center("sever", 2)
    store.center("yug", 1)  # The first, though its name is not.
    store.config("yug", "v", 500, tree("ЮГ", tax="Налоги", zags="ЗАГС"))
    store.config("sever", "v", 500, tree("СВ", tax="Сборы"))
    found = facts(store.connection, OF)
    assert found.center == "ЮГ, СВ"
    assert found.services == {"tax": "Налоги", "zags": "ЗАГС"}
    assert found.bodies == {"tax": "Дом tax", "zags": "Дом zags"}
    assert found.queues == {"q_tax": "Налоги", "q_zags": "ЗАГС"}
    assert found.goals == {"q_tax": 0.06, "q_zags": 0.04}


def test_each_as_it_had_them_last_in_that_time(store: Store) -> None:
    store.center("sever", 1)
    for version, applied in (("a", 100), ("b", 1_500), ("c", 1_999), ("d", 2_000), ("e", 3_000)):
        store.config("sever", version, applied, tree("СВ", tax=f"Налоги {version}"))
    assert facts(store.connection, OF).services["tax"] == "Налоги c"
    until_now = stretch(Instant(1_000), Instant(2_000), Instant(1_900))
    assert facts(store.connection, until_now).services["tax"] == "Налоги b"


def test_who_came_after_that_time_is_named_all_the_same(store: Store) -> None:
    store.center("sever", 1)
    store.config("sever", "d", 2_000, tree("СВ", tax="Налоги"))
    assert facts(store.connection, OF).services["tax"] == "Налоги"


def test_a_center_that_has_told_nothing_is_left_out(store: Store) -> None:
    for number, name in enumerate(("sever", "sever2", "yug"), 1):
        store.center(name, number)
    store.config("sever2", "v", 500, tree("СВ2", tax="Налоги"))
    store.config("yug", "v", 500, None)  # A ledger of before had no trees.
    found = facts(store.connection, OF)
    assert (found.center, found.services) == ("СВ2", {"tax": "Налоги"})


@pytest.mark.parametrize("more", [0, 1])
def test_only_some_of_many_centers_are_shown(store: Store, more: int) -> None:
    names = [f"c{n:02d}" for n in range(1, CENTERS_SHOWN + more + 1)]
    for number, name in enumerate(names, 1):
        store.center(name, number)
        store.config(name, "v", 500, tree(name.upper()))
    shown = ", ".join(name.upper() for name in names[:CENTERS_SHOWN])
    assert facts(store.connection, OF).center == shown + "…" * more
