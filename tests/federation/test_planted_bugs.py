"""Each invariant of the histories fails on a bug that is planted for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from gkc_engine.acd import core, guests, overflow, results
from gkc_engine.acd import events as ev
from gkc_engine.acd.state import Contact, ContactState
from gkc_engine.acd.world import World
from gkc_engine.federation.choice import Choice
from gkc_engine.federation.messages import Ask
from gkc_engine.federation.owner import Owner
from gkc_engine.federation.peers import Peer
from gkc_engine.federation.standing import Waiter
from gkc_engine.ids import Instant
from tests.federation.test_histories import ALL
from tests.federation.world import Faults, play

Patch = pytest.MonkeyPatch


def _still_offered_at_home(patch: Patch) -> None:
    """The contact goes on standing in line while it is sent elsewhere."""
    send = overflow._send

    def planted(world: World, contact: Contact, event: ev.ReservationGranted) -> None:
        send(world, contact, event)
        contact.state, contact.offer = ContactState.WAITING, None
        world.line_up(contact)

    patch.setattr(overflow, "_send", planted)


def _never_released(patch: Patch) -> None:
    """A guest that does not come keeps its operator for ever."""
    patch.setattr(results, "gone", lambda *_: None)
    patch.setattr(guests, "gone", lambda *_: None)


def _place_is_lost(patch: Patch) -> None:
    """Who comes back from nowhere is forgotten."""
    failed = results.failed

    def planted(world: World, event: ev.OfferFailed) -> None:
        offer = world.offers.get(event.offer_id)
        if offer is None or offer.reservation is None:
            failed(world, event)

    patch.setitem(core._HANDLERS, ev.OfferFailed, planted)  # type: ignore[misc]
    patch.setattr(results, "lease_expired", lambda *_: None)


def _the_last_is_given(patch: Patch) -> None:
    """The donor keeps nobody free for its own."""
    asked = guests.asked

    def planted(world: World, event: ev.ReservationAsked) -> None:
        asked(world, structs.replace(event, keep_free=0))

    patch.setitem(core._HANDLERS, ev.ReservationAsked, planted)  # type: ignore[misc]


def _asked_again(patch: Patch) -> None:
    """A contact for which a reservation is asked is asked for elsewhere, too."""
    ask = Owner._ask

    def planted(self: Owner, waiter: Waiter, peer: Peer, why: Choice, now: Instant) -> Ask:
        message = ask(self, waiter, peer, why, now)
        self._by_contact.clear()
        return message

    def anyway(world: World, event: ev.ReservationGranted) -> None:
        contact = world.contacts.get(event.contact_id)
        if contact is not None and contact.state is ContactState.OFFERED:
            contact.state, contact.offer = ContactState.WAITING, None
        granted(world, event)

    granted = overflow.granted
    patch.setattr(Owner, "_ask", planted)
    patch.setitem(core._HANDLERS, ev.ReservationGranted, anyway)  # type: ignore[misc]


BUGS: dict[Callable[[Patch], None], Faults] = {
    _still_offered_at_home: Faults(),
    _never_released: Faults(lost=0.3),
    _place_is_lost: Faults(dead_trunk=0.5),
    _the_last_is_given: Faults(),
    _asked_again: Faults(late=0.3),
}


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__.strip("_"))
def test_is_found(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    plant(monkeypatch)
    for seed in range(1, 8):
        try:
            if play(seed, BUGS[plant]).broken:
                return
        except (AssertionError, KeyError):
            return  # The core's own checks have found it first.
    pytest.fail("nobody noticed")


def test_nothing_is_planted() -> None:
    assert play(1, ALL).broken == []
