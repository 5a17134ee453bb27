"""The owner's side: for whom another center is asked, and what becomes of it. Sans-IO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import islice
from typing import Final, TypeAlias

from msgspec import Struct

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd import guests
from gkc_engine.acd.commands import OfferOutcome
from gkc_engine.acd.overflow_events import ContactBrief
from gkc_engine.federation.choice import Choice, choose
from gkc_engine.federation.donor import FLOOR, NOT_ASKABLE, RELEASED
from gkc_engine.federation.messages import Ask, Body, Deny, Grant, Release
from gkc_engine.federation.peers import Peer
from gkc_engine.federation.settings import (
    ASK_TIMEOUT_US,
    ASKS_MAX,
    BLOCK_US,
    FederationSettings,
    OverflowRule,
)
from gkc_engine.federation.standing import Standing, Waiter
from gkc_engine.ids import ABROAD, ContactId, Instant, Micros, QueueId, abroad

NOT_ASKED_MAX: Final = 8
"""So many centers of a rule go on record with why they were not asked."""

LOOKED_AT: Final = 32
"""So many of each queue, the first of it, are looked at at a time."""

NO_SIGN: Final = frozenset((OfferOutcome.UNREACHABLE, OfferOutcome.NO_ANSWER))
"""If it has not even rung, its trunk is dead or its engine is."""

DENIALS: Final = frozenset((*guests.DENIALS, FLOOR, NOT_ASKABLE, RELEASED))
"""Why a donor of our release denies."""

BUSY: Final = "busy"
"""Reason of a release: our own core is too far behind to hear of the grant."""

ExpectedWait: TypeAlias = Callable[[ContactId], Micros | None]


class Counted(StrEnum):
    """What is counted of a center's askings."""

    ASKED = "asked"
    GRANTED = "granted"
    DENIED = "denied"
    LATE = "late"
    """No word in time."""
    GIVEN_BACK = "given_back"
    """Granted, but served at home meanwhile, or gone."""
    SENT = "sent"
    ANSWERED = "answered"
    RETURNED = "returned"
    """Sent and not answered there."""


class Asking(Struct, kw_only=True, gc=False):
    """One reservation that was asked for and not yet answered."""

    reservation_id: ContactId
    contact_id: ContactId
    center: str
    queue: QueueId
    asked: Instant
    why: Choice
    load: tuple[int, int]
    """Life and number of the donor's load that was known then: in its count of those free one
    stands for this asking, in no later one's."""


class Owner:
    """Asks for reservations, and hands grants to the core."""

    def __init__(
        self,
        settings: FederationSettings,
        new_id: Callable[[], ContactId],
        brief: Callable[[ContactId], ContactBrief | None],
    ) -> None:
        self.settings, self._brief = settings, brief
        self.standing = Standing()
        self.counted: Counter[tuple[str, Counted]] = Counter()
        """(Center, what) -> how often, since the start."""
        self.denials: Counter[tuple[str, str]] = Counter()
        """(Center, why it denied) -> how often, since the start."""
        self._new_id = new_id
        self._asking: dict[ContactId, Asking] = {}
        """By reservation."""
        self._by_contact: dict[ContactId, ContactId] = {}
        """Contact -> the reservation that is asked for it, or on its way."""
        self._denied: dict[ContactId, dict[str, tuple[int, int]]] = {}
        """Contact -> center that denied it -> life and number of its load then."""

    # --- asking ---------------------------------------------------------------------------------

    def look(
        self, peers: dict[str, Peer], expected: ExpectedWait, now: Instant
    ) -> Iterator[tuple[str, Body]]:
        """Ask for whom a rule applies, first come first; give (center, message) for each."""
        for reservation_id, asking in list(self._asking.items()):
            if now - asking.asked >= ASK_TIMEOUT_US:
                self._over(asking, Counted.LATE)
                yield asking.center, Release(reservation_id=reservation_id, reason="late")
        for queue in self.standing.queues():
            for rule in self.settings.rules:
                if queue in rule.queues:
                    yield from self._look_at(rule, queue, peers, expected, now)
                    break

    def _look_at(
        self,
        rule: OverflowRule,
        queue: QueueId,
        peers: dict[str, Peer],
        expected: ExpectedWait,
        now: Instant,
    ) -> Iterator[tuple[str, Body]]:
        if not any(_may_take(peers.get(name), queue, now) for name in rule.to):
            return
        for waiter in self.standing.first(queue, LOOKED_AT):
            if len(self._asking) >= ASKS_MAX:
                return
            if now < waiter.enqueued + rule.after_us or waiter.contact_id in self._by_contact:
                continue
            denied = self._denied_by(waiter.contact_id, peers)
            found = choose(rule, queue, expected(waiter.contact_id), peers, now, denied)
            if found.center is None:
                continue
            yield found.center, self._ask(waiter, peers[found.center], found, now)

    def _denied_by(self, contact_id: ContactId, peers: dict[str, Peer]) -> frozenset[str]:
        """Return who has denied it and has not said since how he stands."""
        told = self._denied.get(contact_id)
        if not told:
            return frozenset()
        return frozenset(
            name
            for name, then in told.items()
            if name in peers and (peers[name].epoch, peers[name].load_seq) <= then
        )

    def _ask(self, waiter: Waiter, peer: Peer, why: Choice, now: Instant) -> Ask:
        reservation_id = self._new_id()
        peer.taken += 1
        self.counted[peer.name, Counted.ASKED] += 1
        self._asking[reservation_id] = Asking(
            reservation_id=reservation_id,
            contact_id=waiter.contact_id,
            center=peer.name,
            queue=waiter.queue,
            asked=now,
            why=why,
            load=(peer.epoch, peer.load_seq),
        )
        self._by_contact[waiter.contact_id] = reservation_id
        # Of a call for advice the other center hears about whom; its own name is of no use there.
        about = (waiter.about or reservation_id) if waiter.consult else waiter.contact_id
        return Ask(
            reservation_id=reservation_id,
            contact_id=about,
            queue=waiter.queue,
            waited_us=max(0, now - waiter.enqueued),
            contact_class=waiter.contact_class,
            head_start_us=max(0, waiter.head_start_us),
            brief=self._brief(about),
            advice=waiter.consult,
        )

    # --- answers --------------------------------------------------------------------------------

    def granted(self, center: str, grant: Grant) -> ev.ReservationGranted | Release | None:
        """Return what the core is to be told; of what nobody asks for any more, what the donor."""
        asking = self._asking.get(ContactId(grant.reservation_id))
        if asking is None and grant.reservation_id in self._by_contact.values():
            return None  # Said twice: its contact is on the way, and needs the operator.
        if asking is None or asking.center != center:
            return Release(reservation_id=grant.reservation_id, reason="late")
        del self._asking[asking.reservation_id]
        self.counted[center, Counted.GRANTED] += 1
        return ev.ReservationGranted(
            contact_id=asking.contact_id,
            reservation_id=asking.reservation_id,
            center=center,
            agent_id=abroad(center, grant.agent_id),
            # The donor began to count after we asked: by our count it ends sooner.
            until=Instant(asking.asked + grant.hold_us),
            timeout_us=Micros(grant.timeout_us),
            gain_us=None if asking.why.gain_us is None else Micros(asking.why.gain_us),
            not_asked=dict(islice(asking.why.not_asked.items(), NOT_ASKED_MAX)),
        )

    def unheard(self, granted: ev.ReservationGranted) -> Release:
        """Our core has no room for a grant: its contact may be asked for again, later."""
        self._by_contact.pop(granted.contact_id, None)
        self.counted[granted.center, Counted.GIVEN_BACK] += 1
        return Release(reservation_id=granted.reservation_id, reason=BUSY)

    def denied(self, peer: Peer, deny: Deny) -> None:
        """The donor has nobody: it is not asked again for this contact, nor this queue."""
        asking = self._asking.get(ContactId(deny.reservation_id))
        if asking is None or asking.center != peer.name:
            return
        if asking.load == (peer.epoch, peer.load_seq):
            peer.taken = max(0, peer.taken - 1)
        peer.empty.add(asking.queue)
        # Its words, as far as we know them: it could make up any number of them.
        self.denials[peer.name, deny.reason if deny.reason in DENIALS else "other"] += 1
        if asking.contact_id in self._by_contact:  # Else it is over, and would never be forgotten.
            denied = self._denied.setdefault(asking.contact_id, {})
            denied[peer.name] = (peer.epoch, peer.load_seq)
        self._over(asking, Counted.DENIED)

    def _over(self, asking: Asking, what: Counted) -> None:
        self._asking.pop(asking.reservation_id, None)
        self._by_contact.pop(asking.contact_id, None)
        self.counted[asking.center, what] += 1

    # --- what the core says ---------------------------------------------------------------------

    def said(self, command: cmd.Command, peers: dict[str, Peer], now: Instant) -> Release | None:
        """Take note of a command of the core; return what the donor is to be told."""
        self.standing.said(command)
        match command:
            case cmd.ReleaseReservation():
                if command.reason != guests.HANDED_OVER:
                    self._by_contact.pop(command.contact_id, None)
                    self.counted[command.center, Counted.GIVEN_BACK] += 1
                return Release(reservation_id=command.reservation_id, reason=command.reason)
            case cmd.OverflowContact():
                self.counted[command.center, Counted.SENT] += 1
            case cmd.OfferEnded() if ABROAD in command.agent_id:
                self._sent_is_over(command, peers, now)
            case cmd.ContactEnded() | cmd.ConsultOver():
                self._by_contact.pop(command.contact_id, None)
                self._denied.pop(command.contact_id, None)
            case _:
                pass
        return None

    def _sent_is_over(self, ended: cmd.OfferEnded, peers: dict[str, Peer], now: Instant) -> None:
        center = ended.agent_id.partition(ABROAD)[0]
        ours = self._by_contact.pop(ended.contact_id, None) is not None
        answered = ended.outcome is OfferOutcome.ACCEPTED
        self.counted[center, Counted.ANSWERED if answered else Counted.RETURNED] += 1
        peer = peers.get(center)
        # Whom an engine before us had sent may have rung there, and nobody lived to hear of it.
        if ours and peer is not None and ended.ringing is None and ended.outcome in NO_SIGN:
            peer.blocked_until = Instant(now + BLOCK_US)

    def next_deadline(self) -> Instant | None:
        """Return when the oldest asking is late."""
        asked = min((asking.asked for asking in self._asking.values()), default=None)
        return None if asked is None else Instant(asked + ASK_TIMEOUT_US)


def _may_take(peer: Peer | None, queue: QueueId, now: Instant) -> bool:
    """Return False if it is clear that nobody is free there: then nobody need be looked at."""
    load = None if peer is None else peer.fresh(now)
    if peer is None or load is None or queue in peer.empty or queue not in load.queues:
        return False
    return load.queues[queue].ready > peer.taken
