"""Each invariant of the histories fails on a bug that is planted for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import pytest
from msgspec import structs

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import core, guests, overflow, results, transfers
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferOutcome
from gkc_engine.acd.contacts import come_back
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import Contact, ContactState, Offer
from gkc_engine.acd.world import World
from gkc_engine.federation import owner as owner_module
from gkc_engine.federation import peers
from gkc_engine.federation.choice import Choice, choose
from gkc_engine.federation.donor import Donor
from gkc_engine.federation.messages import Ask, Deny, Grant, Message, QueueLoad, Release
from gkc_engine.federation.owner import Owner
from gkc_engine.federation.peers import Peer, Refused
from gkc_engine.federation.settings import OverflowRule
from gkc_engine.federation.standing import Waiter
from gkc_engine.ids import ContactId, Instant, Micros, OfferId, QueueId, abroad, is_abroad, seconds
from tests.federation.center import Faults
from tests.federation.test_histories import ALL
from tests.federation.world import play

Patch = pytest.MonkeyPatch


def _still_offered_at_home(patch: Patch) -> None:
    """The contact goes on standing in line while it is sent elsewhere."""

    def planted(world: World, contact: Contact, event: ev.ReservationGranted) -> None:
        assert contact.queue is not None
        assert contact.enqueued is not None
        world.next_offer = OfferId(world.next_offer + 1)
        world.out.append(
            cmd.OverflowContact(
                offer_id=OfferId(world.next_offer - 1),
                contact_id=contact.contact_id,
                reservation_id=event.reservation_id,
                center=event.center,
                agent_id=event.agent_id,
                queue=contact.queue,
                until=event.until,
                timeout_us=event.timeout_us,
                created=world.now,
                enqueued=contact.enqueued,
            )
        )

    patch.setattr(overflow, "_send", planted)


def _never_released(patch: Patch) -> None:
    """A guest that does not come keeps its operator for ever."""
    patch.setattr(guests, "gone", lambda *_: None)
    patch.setattr(guests, "arm_lease", lambda *_: None)


def _place_is_lost(patch: Patch) -> None:
    """Who comes back from nowhere stands in no line."""

    def planted(world: World, contact: Contact) -> None:
        if contact.state is ContactState.OFFERED:
            contact.state = ContactState.WAITING
        else:
            come_back(world, contact)

    patch.setattr(results, "come_back", planted)


def _it_is_not_heard_that_the_call_failed(patch: Patch) -> None:
    """Who is sent nowhere is taken for one who rings there."""
    failed = results.failed

    def planted(world: World, event: ev.OfferFailed) -> None:
        offer = world.offers.get(event.offer_id)
        if offer is None or offer.reservation is None:
            failed(world, event)

    patch.setitem(core._HANDLERS, ev.OfferFailed, planted)  # type: ignore[misc]
    patch.setattr(overflow, "arm_lease", lambda *_: None)


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


def _the_answer_is_not_noted(patch: Patch) -> None:
    """That another center's operator has answered is not known at home."""
    accepted = results.accepted

    def planted(world: World, event: ev.OfferAccepted) -> None:
        if not is_abroad(event.agent_id):
            accepted(world, event)

    patch.setitem(core._HANDLERS, ev.OfferAccepted, planted)  # type: ignore[misc]


def _served_once_more(patch: Patch) -> None:
    """Who was served elsewhere stands in line again afterwards."""

    def planted(world: World, event: ev.TalkEnded) -> None:
        contact = world.contacts.get(event.contact_id)
        if contact is None or contact.queue is None or not is_abroad(event.agent_id):
            transfers.talk_ended(world, event)
            return
        back = ev.TransferRequested(
            contact_id=contact.contact_id, from_agent=event.agent_id, to_queue=contact.queue
        )
        transfers.transfer_requested(world, back)

    patch.setitem(core._HANDLERS, ev.TalkEnded, planted)  # type: ignore[misc]


def _the_end_of_the_talk_is_not_heard(patch: Patch) -> None:
    """The operator there has hung up, and the citizen hears nothing any more."""

    def planted(world: World, event: ev.TalkEnded) -> None:
        if not is_abroad(event.agent_id):
            transfers.talk_ended(world, event)

    patch.setitem(core._HANDLERS, ev.TalkEnded, planted)  # type: ignore[misc]


def _another_is_named(patch: Patch) -> None:
    """The owner is told of an operator who is not the one kept free."""
    granted = Owner.granted

    def planted(self: Owner, center: str, grant: Grant) -> ev.ReservationGranted | Release | None:
        found = granted(self, center, grant)
        if isinstance(found, ev.ReservationGranted):
            return structs.replace(found, agent_id=abroad(center, "a0"))
        return found

    patch.setattr(Owner, "granted", planted)


def _a_guest_stands_in_line(patch: Patch) -> None:
    """A guest whose operator does not answer is taken for one of the donor's own."""
    turn_back = guests.turn_back

    def planted(
        world: World, guest: Contact, offer: Offer, at: Instant | None, reason: str
    ) -> None:
        turn_back(world, guest, offer, at, reason)
        own = ContactId(f"{guest.contact_id}-own")
        for event in (
            ev.ContactStarted(contact_id=own, medium=Medium.VOICE, number="", entry="+7495"),
            ev.QueueRequested(contact_id=own, queue=offer.queue),
        ):
            core._HANDLERS[type(event)](world, event)

    patch.setattr(results, "turn_back", planted)


def _the_donors_own_level_counts_for_nothing(patch: Patch) -> None:
    asked = Donor.asked

    def planted(
        self: Donor, owner: str, ask: Ask, loads: Mapping[QueueId, QueueLoad]
    ) -> ev.ReservationAsked | Grant | Deny | None:
        loads = {queue: structs.replace(load, sl_milli=None) for queue, load in loads.items()}
        return asked(self, owner, ask, loads)

    patch.setattr(Donor, "asked", planted)


def _the_floor_of_the_rule_counts_for_nothing(patch: Patch) -> None:
    def planted(
        rule: OverflowRule,
        queue: QueueId,
        own_wait_us: Micros | None,
        peers: Mapping[str, Peer],
        now: Instant,
        denied: frozenset[str] = frozenset(),
    ) -> Choice:
        rule = structs.replace(rule, donor_sl_min_milli=0)
        return choose(rule, queue, own_wait_us, peers, now, denied)

    patch.setattr(owner_module, "choose", planted)


def _guests_come_before_its_own(patch: Patch) -> None:
    """Who is free again is not given to those who wait there."""
    patch.setattr("gkc_engine.acd.routing.serve_agent", lambda *_: None)


def _who_comes_back_goes_to_the_end(patch: Patch) -> None:
    returned = results._return

    def planted(
        world: World, contact: Contact, offer: Offer, at: Instant | None, outcome: OfferOutcome
    ) -> None:
        if contact.state is not ContactState.GUEST:
            contact.enqueued = world.now
        returned(world, contact, offer, at, outcome)

    patch.setattr(results, "_return", planted)


def _the_wait_begins_anew(patch: Patch) -> None:
    ask = Owner._ask

    def planted(self: Owner, waiter: Waiter, peer: Peer, why: Choice, now: Instant) -> Ask:
        return structs.replace(ask(self, waiter, peer, why, now), waited_us=0)

    patch.setattr(Owner, "_ask", planted)


def _a_life_that_is_over_is_believed(patch: Patch) -> None:
    accept = Peer.accept

    def planted(self: Peer, message: Message, now: Instant) -> Refused | None:
        if message.epoch < self.epoch:
            self.epoch, self.seq, self.load_seq = message.epoch, -1, -1
        return accept(self, message, now)

    patch.setattr(Peer, "accept", planted)


def _what_was_said_before_is_believed(patch: Patch) -> None:
    accept = Peer.accept

    def planted(self: Peer, message: Message, now: Instant) -> Refused | None:
        self.load_seq = -1
        return accept(self, message, now)

    patch.setattr(Peer, "accept", planted)


def _old_loads_are_acted_upon(patch: Patch) -> None:
    patch.setattr(peers, "FRESH_US", seconds(60))


def _all_run_to_one_operator(patch: Patch) -> None:
    """Who is asked for is not counted until the other says so."""
    ask = Owner._ask

    def planted(self: Owner, waiter: Waiter, peer: Peer, why: Choice, now: Instant) -> Ask:
        message = ask(self, waiter, peer, why, now)
        peer.taken = 0
        return message

    patch.setattr(Owner, "_ask", planted)


def _a_dead_trunk_is_tried_again(patch: Patch) -> None:
    patch.setattr(owner_module, "BLOCK_US", Micros(0))


def _a_grant_said_twice_is_given_back(patch: Patch) -> None:
    granted = Owner.granted

    def planted(self: Owner, center: str, grant: Grant) -> ev.ReservationGranted | Release | None:
        if ContactId(grant.reservation_id) not in self._asking:
            return Release(reservation_id=grant.reservation_id, reason="late")
        return granted(self, center, grant)

    patch.setattr(Owner, "granted", planted)


def _a_guest_that_ended_keeps_its_operator(patch: Patch) -> None:
    """After a talk with a guest nobody comes back from it."""
    from gkc_engine.acd import presence

    left = presence.left

    def planted(world: World, event: ev.ContactLeft) -> None:
        contact = world.contacts.get(event.contact_id)
        if contact is None or contact.owner is None or contact.answered is None:
            left(world, event)

    patch.setitem(core._HANDLERS, ev.ContactLeft, planted)  # type: ignore[misc]


BUGS: dict[Callable[[Patch], None], tuple[Faults, str]] = {
    _still_offered_at_home: (Faults(), "talks with"),
    _asked_again: (Faults(late=0.3), "is sent twice at once"),
    _another_is_named: (Faults(), "was granted,"),
    _the_answer_is_not_noted: (Faults(), ", answers 1"),
    _served_once_more: (Faults(), "was answered 2 times"),
    _place_is_lost: (Faults(dead_trunk=0.5), "is forgotten, "),
    _it_is_not_heard_that_the_call_failed: (Faults(dead_trunk=0.5), "rings nowhere"),
    _the_end_of_the_talk_is_not_heard: (Faults(), "is still on the line"),
    _never_released: (Faults(lost=0.3), "still has"),
    _a_guest_that_ended_keeps_its_operator: (Faults(), "is not free"),
    _the_last_is_given: (Faults(), "gave its last"),
    _the_donors_own_level_counts_for_nothing: (Faults(), "at a level of"),
    _the_floor_of_the_rule_counts_for_nothing: (Faults(), "whose level is"),
    _guests_come_before_its_own: (Faults(), "waits for him"),
    _a_guest_stands_in_line: (Faults(), "a guest is sent on"),
    _who_comes_back_goes_to_the_end: (Faults(dead_trunk=0.5), "is offered before"),
    _the_wait_begins_anew: (Faults(), "waited 0"),
    _a_life_that_is_over_is_believed: (Faults(crash=0.05, late=0.3), " believes "),
    _what_was_said_before_is_believed: (Faults(replayed=0.3), " believes "),
    _old_loads_are_acted_upon: (Faults(cut=0.05), "of whom nothing is known"),
    _all_run_to_one_operator: (Faults(), "operators, "),
    _a_dead_trunk_is_tried_again: (Faults(dead_trunk=0.3), "whose trunk was dead"),
    _a_grant_said_twice_is_given_back: (Faults(doubled=0.5), "whom it granted"),
}
"""What is planted -> what happens in the city, and the promise that it must be seen to break."""


@pytest.mark.parametrize("plant", BUGS, ids=lambda plant: plant.__name__.strip("_"))
def test_is_found(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    faults, broken = BUGS[plant]
    plant(monkeypatch)
    seen: list[str] = []
    for seed in range(1, 8):
        with contextlib.suppress(AssertionError, KeyError):  # The core's own checks find it, too.
            play(seed, faults, seen)
        if any(broken in line for line in seen):
            return
    pytest.fail(f"nobody noticed; of the last: {seen[:5]}")


def test_nothing_is_planted() -> None:
    for faults, _ in BUGS.values():
        assert play(1, faults).broken == []
    assert play(1, ALL).broken == []
