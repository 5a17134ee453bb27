"""Centers that ran alone for long and join later; two that bear one name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium
from gkc_engine.bus.config import Leaf, leaf_text
from gkc_engine.bus.process import BusProcess
from gkc_engine.clock import new_uuid
from gkc_engine.engine import Step
from gkc_engine.federation.settings import LinkSettings, ShipperSettings
from gkc_engine.ids import AgentId, ContactId, OfferId, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.queries import NoSuchContactError, show_contact
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.shipping.collector import Collector
from gkc_engine.shipping.shipper import Shipper
from tests.federation.centers import SECRET, buses, until
from tests.ports import free_port
from tests.recorder.test_records_columns import ANNA, TAX, Play
from tests.shipping.net import BETWEEN_S, collector_of, running, shipper_of
from tests.shipping.world import (
    anew,
    expected_rows,
    ledger,
    numbered,
    records,
    rows_in,
    tables,
    url_of,
    whole_city,
)

CONTACTS = 30


class Alone(Play):
    """A center by itself: the real core, ids as the engine makes them."""

    def __init__(self, store: LedgerStore, center: str) -> None:
        self.center = center
        super().__init__(store)

    def say(self, event: ev.Event) -> None:
        commands = self.acd.step(event, self.now)
        step = Step(now=self.now, event=event, source="core", source_key=None, commands=commands)
        self.store.append(batch_of([step], self.center))

    def day(self) -> None:
        """Contacts one after the other, each answered by the same operator."""
        for n in range(1, CONTACTS + 1):
            contact = ContactId(new_uuid(self.now))
            self.say(
                ev.ContactStarted(
                    contact_id=contact,
                    medium=Medium.VOICE,
                    number=f"2026-ЦАО-{n:06d}",
                    entry="+74957777777",
                )
            )
            self.say(ev.QueueRequested(contact_id=contact, queue=TAX))
            self.after(40)  # until one who can less may take it
            self.say(ev.OfferAccepted(offer_id=OfferId(n), agent_id=AgentId(ANNA), leg=f"1790.{n}"))
            self.after(20)
            self.say(ev.ContactLeft(contact_id=contact, party=ev.Party.CITIZEN))
            self.after(30)


def test_two_that_ran_alone_with_one_config_join_whole(tmp_path: Path) -> None:
    """Same operators, same queues, same prefix of numbers, same instants: nothing collides."""
    stores = {}
    for name in ("sever", "yug"):
        store = LedgerStore(schema.sqlite_url(str(tmp_path / f"{name}.sqlite")))
        store.open()
        Alone(store, name).day()
        store.settle()
        stores[name] = store
    ledgers = {name: numbered(store) for name, store in stores.items()}
    city = whole_city(schema.sqlite_url(str(tmp_path / "city.sqlite")), ledgers)
    for name, rows in ledgers.items():
        assert rows_in(city, name) == expected_rows(city, rows)
    contacts = records(city.store, schema.contact)
    assert len(contacts) == 2 * CONTACTS
    assert {one["agent_id"] for one in contacts} == {"sever/anna", "yug/anna"}
    assert all(one["talk_us"] == seconds(20) for one in contacts)
    offers = records(city.store, schema.offer)
    assert len({one["offer_id"] for one in offers}) == len(offers) >= 2 * CONTACTS
    for table in (schema.agent_interval, schema.agent_time, schema.rollup, schema.segment):
        own = sum(len(records(store, table)) for store in stores.values())
        assert len(records(city.store, table)) == own, table.name
    with pytest.raises(NoSuchContactError, match="several contacts have this number") as refused:
        show_contact(city.store.engine, "2026-ЦАО-000001")
    both = [one["contact_id"] for one in contacts if one["number"] == "2026-ЦАО-000001"]
    assert all(one in str(refused.value) for one in both)
    assert show_contact(city.store.engine, both[0])["contact_id"] == both[0]
    grown = tables(city.store)
    assert anew(city.store) == grown
    city.close()
    for store in stores.values():
        store.close()


@pytest.mark.accept
async def test_two_centers_with_one_name_are_seen_and_never_mixed(
    tmp_path: Path, past: dict[str, list[Step]]
) -> None:
    first = ledger(tmp_path, "sever", past["sever"])
    second = ledger(tmp_path, "sever", past["centr"], name="impostor")
    async with buses(tmp_path / "bus", ("sever",)) as city:
        collector = collector_of(city, ("sever",), tmp_path)
        async with running(collector, shipper_of(city, first, "sever")):
            want = len(numbered(first))
            await until(lambda: _seq(collector) == want, BETWEEN_S)
            port = free_port()
            text = leaf_text(
                Leaf(
                    center="sever",
                    port=port,
                    store=tmp_path / "bus" / "other" / "store",
                    secret=SECRET,
                    hub=f"127.0.0.1:{city.leaf_port}",
                    hub_secret=SECRET,
                )
            )
            bus = LinkSettings(urls=(f"nats://127.0.0.1:{port}",), user="records", password=SECRET)
            settings = ShipperSettings(center="sever", bus=bus)
            other = BusProcess(text, tmp_path / "bus" / "other", port)
            async with other, running(Shipper(url_of(second), settings)):
                await city.leaves["sever"].kill()  # now the other alone is heard
                await until(lambda: collector.store.feeds["sever"].refused >= 1, BETWEEN_S)
            assert "two centers bear this name" in str(collector.store.feeds["sever"].problem)
            rows = await collector.do(lambda: rows_in(collector.store, "sever"))
            assert rows == expected_rows(collector.store, numbered(first))
            await city.leaves["sever"].start()
            await until(lambda: collector.feeds["sever"].problem == "", BETWEEN_S)
    first.close()
    second.close()


def _seq(collector: Collector) -> int:
    feed = collector.store.feeds.get("sever")
    return 0 if feed is None else feed.position.seq
