"""What no honest center can say is refused where it comes in: the city's tables go on for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium, Settings
from gkc_engine.engine import Step
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, OfferId, QueueId
from gkc_engine.recorder.city import LONGEST_US, OFFERS_MAX
from gkc_engine.recorder.codec import Message, encode, kind_of
from gkc_engine.shipping import bounds
from gkc_engine.shipping.batches import BadMessageError, Numbered, messages, rows_of
from gkc_engine.shipping.city_store import CityStore
from tests.fakes.ended import contact_ended
from tests.recorder.places import Place
from tests.shipping.world import (
    anew,
    batches,
    deliver,
    ledger,
    numbered,
    position,
    tables,
    whole_city,
)

NOW = Instant(2_000_000 * SECOND)
YEAR = 366 * 86_400 * SECOND
X, Y = ContactId("x"), ContactId("y")


@pytest.fixture
def ledgers(tmp_path: Path, past: dict[str, list[Step]]) -> dict[str, list[Numbered]]:
    made = {}
    for name in ("centr", "sever"):
        store = ledger(tmp_path, name, past[name][:40])
        made[name] = numbered(store)
        store.close()
    return made


@pytest.fixture
def city(place: Place, ledgers: dict[str, list[Numbered]]) -> Iterator[CityStore]:
    made = whole_city(place.url, ledgers)
    yield made
    made.close()


STARTED = ev.ContactStarted(contact_id=X, medium=Medium.VOICE, number="n", entry="e")
ENDED = contact_ended(X, NOW, disposition=cm.Disposition.ANSWERED, via="")
OFFERED = cm.OfferContact(
    offer_id=OfferId(1),
    contact_id=X,
    agent_ids=(AgentId("anna"),),
    queue=QueueId("q"),
    timeout_us=Micros(1),
    step=0,
    created=NOW,
)
SEGMENT = cm.SegmentClosed(
    contact_id=X,
    n=1,
    kind=cm.SegmentKind.TALK,
    started=NOW,
    ended=NOW,
    queue=None,
    agent_id=None,
    outcome=cm.SegmentOutcome.RELEASED,
    reason="",
)


def at(state: cm.AgentState, since: int, contact: ContactId | None = X) -> Message:
    return cm.AgentStateChanged(
        agent_id=AgentId("eve"), slot=0, state=state, since=Instant(since), contact_id=contact
    )


TALK, WRAP_UP, READY = cm.AgentState.TALK, cm.AgentState.WRAP_UP, cm.AgentState.READY
LONG = "".join(chr(0x4E00 + 7 * n) for n in range(1_200))
"""Too long for a key of PostgreSQL, and nothing in it repeats."""

STRANGE: list[tuple[str, list[Message]]] = [
    ("an offer that no center has given", [replace(OFFERED, offer_id=OfferId(OFFERS_MAX))]),
    ("an offer below nothing", [replace(OFFERED, offer_id=OfferId(-1))]),
    ("a segment's offer", [replace(SEGMENT, offer_id=OfferId(OFFERS_MAX))]),
    ("more than INTEGER holds", [replace(SEGMENT, n=2**31)]),
    ("a place that is none", [replace(OFFERED, slots=(2**31,))]),
    ("a wait of a million years", [STARTED, replace(ENDED, wait_us=Micros(2**53))]),
    ("a talk of eleven years", [STARTED, replace(ENDED, talk_us=Micros(11 * YEAR))]),
    ("the year 2255", [STARTED, replace(ENDED, started=Instant(2**53))]),
    (
        "an operator who talks for eleven years",
        [at(TALK, NOW), at(READY, NOW + 11 * YEAR, None)],
    ),
    (
        "wrap-ups of six years each",
        [
            STARTED,
            *(at((WRAP_UP, READY)[n % 2], NOW + 6 * n * YEAR) for n in range(4)),
        ],
    ),
    (
        "wrap-ups between talks with others",
        [
            STARTED,
            replace(STARTED, contact_id=Y),
            *(at((WRAP_UP, TALK)[n % 2], NOW + 6 * n * YEAR, (X, Y)[n % 2]) for n in range(4)),
        ],
    ),
    ("who answered before the time began", [STARTED, at(TALK, -11 * YEAR)]),
    ("a NUL", [replace(STARTED, entry="a\0b")]),
    ("a number without end", [replace(STARTED, number=LONG)]),
    ("a contact without end", [replace(STARTED, contact_id=ContactId(LONG))]),
    ("an operator without end", [replace(OFFERED, agent_ids=(AgentId(LONG),))]),
    (
        "a config without end",
        [ev.SettingsApplied(settings=Settings(version=LONG, queues=(), agents=()))],
    ),
]


def deliver_all(city: CityStore, rows: Sequence[Numbered], said: Sequence[Message]) -> None:
    """Bring rows of sever in which these things are said, as one who has its secret could."""
    seq, row = rows[-1]
    new = [
        (
            seq + n,
            row._replace(
                event_id=f"strange-{n}",
                ts_us=NOW,
                contact_id=None,  # Whatever stands beside it.
                offer_id=None,
                source_key=None,
                kind=kind_of(one),
                data=encode(one),
            ),
        )
        for n, one in enumerate(said, 1)
    ]
    known = position(city, "sever")
    assert known.ledger is not None
    ((header, _),) = messages(
        new, ledger=known.ledger, after=known.seq, after_id=known.event_id, told=seq
    )
    city.take(header, new, now=1, stream_seq=1)


@pytest.mark.parametrize(("what", "said"), STRANGE, ids=[what for what, _ in STRANGE])
def test_what_the_tables_could_not_take_is_refused(
    city: CityStore, ledgers: dict[str, list[Numbered]], what: str, said: list[Message]
) -> None:
    del what
    before, grown = position(city, "sever"), tables(city.store)
    with pytest.raises(BadMessageError):
        deliver_all(city, ledgers["sever"], said)
    assert position(city, "sever") == before
    city.settle()
    assert tables(city.store) == grown
    # And what is in bounds is taken after it, of the same center.
    deliver_all(city, ledgers["sever"], [STARTED, ENDED])
    city.settle()
    assert len(tables(city.store)) > len(grown)
    after = tables(city.store)
    assert anew(city.store) == after


def test_a_row_of_no_time_is_refused(city: CityStore, ledgers: dict[str, list[Numbered]]) -> None:
    seq, row = ledgers["sever"][-1]
    strange = row._replace(event_id="strange", ts_us=2**53)
    known = position(city, "sever")
    ((header, _),) = messages(
        [(seq + 1, strange)], ledger=known.ledger or "", after=seq, after_id=known.event_id, told=1
    )
    with pytest.raises(BadMessageError, match="instant"):
        city.take(header, [(seq + 1, strange)], now=1, stream_seq=1)


def test_what_is_at_the_bounds_is_taken(
    city: CityStore, ledgers: dict[str, list[Numbered]]
) -> None:
    longest = Micros(LONGEST_US)
    said: list[Message] = [
        STARTED,
        replace(OFFERED, offer_id=OfferId(OFFERS_MAX - 1)),
        replace(SEGMENT, n=2**31 - 1),
        at(TALK, NOW),
        at(READY, NOW + LONGEST_US, None),
        replace(ENDED, talk_us=longest, wait_us=longest, answered=NOW),
        replace(STARTED, contact_id=Y, number="ю" * bounds.NAME_MAX, entry=r"\u0000"),
    ]
    deliver_all(city, ledgers["sever"], said)
    city.settle()
    grown = tables(city.store)
    assert anew(city.store) == grown


def test_honest_centers_say_nothing_of_the_kind(
    ledgers: dict[str, list[Numbered]], place: Place
) -> None:
    city = CityStore(place.url)
    city.open(sorted(ledgers))
    for rows in ledgers.values():
        for header, data in batches(rows, 500):
            assert rows_of(header, data.partition(b"\n")[2])
            assert deliver(city, data).verdict == "take"
    city.close()
