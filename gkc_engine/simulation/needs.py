"""What each contact needs in a rerun: recorded where it was seen, drawn where it was not.

The same seed gives the same draws, and a contact's draws depend on nothing but the seed and its
id: two configs are compared on the same citizens (common random numbers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium
from gkc_engine.ids import ContactId, Instant, Micros, QueueId
from gkc_engine.recorder.history import HistoryError
from gkc_engine.simulation.past import Past, PastContact, Ring, Talk
from gkc_engine.simulation.survival import Survival, kaplan_meier

RingGoes = tuple[Micros, ev.OfferFailure | None]
"""How long an offer rings, and how it fails; None = it is answered."""

_UNANSWERED: Final[RingGoes] = (Micros(0), ev.OfferFailure.NO_ANSWER)
"""However long that is: to the queue's timeout."""


@dataclass(slots=True, kw_only=True)
class Needs:
    """One contact of a rerun."""

    contact_id: ContactId
    start: ev.ContactStarted
    request: ev.QueueRequested
    arrives: Instant | None
    """Into its first queue; None = it stood in one before."""
    rings: list[RingGoes]
    talks: list[tuple[Micros, ev.TransferRequested | None]]
    """How long each talk lasts, and the transfer that ends it."""
    more_ring: Micros
    """How long an offer beyond the recorded ones rings until it is answered."""
    more_talk: Micros
    """How long a talk beyond the recorded ones lasts."""
    patience_us: Micros | None
    """From the first queue entry; None = never gives up."""
    wrap_up_us: Micros | None
    """After how long the operator ended his wrap-up himself, if he did."""
    rings_before: int = 0
    """Of these, over before the rerun begins."""
    talks_before: int = 0

    def ring(self, n: int) -> RingGoes:
        """Return how the n-th offer goes."""
        return self.rings[n] if n < len(self.rings) else (self.more_ring, None)

    def talk(self, n: int) -> Micros:
        """Return how long the n-th talk lasts."""
        return self.talks[n][0] if n < len(self.talks) else self.more_talk

    def then(self, n: int) -> ev.TransferRequested | None:
        """Return the transfer that ends the n-th talk, if one does."""
        return self.talks[n][1] if n < len(self.talks) else None


@dataclass(slots=True)
class _Seen:
    """What was observed, to be drawn from."""

    talks: dict[QueueId | None, list[Micros]] = field(default_factory=dict)
    """First talks by queue; None = all."""
    rings: list[RingGoes] = field(default_factory=list)
    """Those that came to their end."""
    patience: dict[QueueId, Survival] = field(default_factory=dict)


def needs_of(past: Past, seed: int) -> dict[ContactId, Needs]:
    """Return what the contacts of a stretch need, in the order in which they came.

    Raises:
        HistoryError: Nobody was answered in that time, so that no talk was ever seen.
    """
    seen = _seen(past)
    if not seen.talks.get(None):
        raise HistoryError(
            "no contact was answered in that time: how long talks last is not on record"
        )
    found = {c.contact_id: _needs(c, past, seen, seed) for c in past.contacts.values() if _came(c)}
    return dict(sorted(found.items(), key=lambda item: item[1].arrives or past.since))


def _came(contact: PastContact) -> bool:
    return contact.requested is not None or contact.enqueued is not None or bool(contact.talks)


def _seen(past: Past) -> _Seen:
    seen = _Seen()
    waits: dict[QueueId, tuple[list[int], list[int]]] = {}
    for contact in past.contacts.values():
        if contact.enqueued is None:
            continue  # Never in a queue, or a call for advice.
        for talk in contact.talks[:1]:
            if talk.ended is not None and talk.began >= past.since:
                lasts = Micros(talk.ended - talk.began)
                seen.talks.setdefault(None, []).append(lasts)
                seen.talks.setdefault(contact.queue, []).append(lasts)
        seen.rings += [(r.lasts_us, r.failure) for r in contact.rings if not r.cut]
        if contact.queue is not None and contact.wait_us is not None:
            left, stayed = waits.setdefault(contact.queue, ([], []))
            (left if contact.left else stayed).append(contact.wait_us)
    seen.patience = {queue: kaplan_meier(*both) for queue, both in waits.items()}
    return seen


def patience_of(past: Past) -> Mapping[QueueId, Survival]:
    """Return the Kaplan–Meier estimate of each queue."""
    return _seen(past).patience


def _needs(contact: PastContact, past: Past, seen: _Seen, seed: int) -> Needs:
    contact_id = contact.contact_id
    begins = past.since

    def drawn(purpose: str, values: Sequence[Micros]) -> Micros:
        return _stream(seed, contact_id, purpose).choice(values) if values else Micros(0)

    def goes(n: int, ring: Ring) -> RingGoes:
        if not ring.cut:
            return ring.lasts_us, ring.failure
        # It is only known to be longer than it was: so it goes as one of those that were.
        longer = [one for one in seen.rings if one[0] > ring.lasts_us]
        return _stream(seed, contact_id, f"ring {n}").choice(longer or [_UNANSWERED])

    more_talk = drawn("talk", seen.talks.get(contact.asked) or seen.talks[None])
    start = contact.start
    before = contact.requested is None or contact.requested < begins
    cuts = [talk.wrap_up_us for talk in contact.talks if talk.wrap_up_us is not None]
    return Needs(
        contact_id=contact_id,
        start=start or _unknown(contact_id),
        request=contact.request or ev.QueueRequested(contact_id=contact_id, queue=QueueId("")),
        arrives=None if before else contact.requested,
        rings=[goes(n, ring) for n, ring in enumerate(contact.rings)],
        talks=[(_lasts(talk, begins, more_talk), talk.then) for talk in contact.talks],
        more_ring=drawn("ring", [lasts for lasts, failure in seen.rings if failure is None]),
        more_talk=more_talk,
        patience_us=_patience(contact, seen, seed),
        wrap_up_us=cuts[0] if cuts else None,
        rings_before=sum(ring.ended < begins for ring in contact.rings),
        talks_before=sum(t.ended is not None and t.ended < begins for t in contact.talks),
    )


def _lasts(talk: Talk, begins: Instant, otherwise: Micros) -> Micros:
    """Return how long a talk lasts, from the beginning of the rerun if it was under way then."""
    if talk.ended is None:
        return otherwise
    return Micros(talk.ended - (begins if talk.began < begins <= talk.ended else talk.began))


def _patience(contact: PastContact, seen: _Seen, seed: int) -> Micros | None:
    if contact.left:
        return contact.wait_us
    curve = seen.patience.get(contact.asked) if contact.asked is not None else None
    if curve is None:
        return None
    chance = _stream(seed, contact.contact_id, "patience").random()
    waited = -1 if contact.wait_us is None else contact.wait_us
    patience = curve.draw(chance, waited)
    return None if patience is None else Micros(patience)


def _stream(seed: int, contact_id: ContactId, purpose: str) -> Random:
    return Random(f"gkc-plan/{seed}/{contact_id}/{purpose}")


def _unknown(contact_id: ContactId) -> ev.ContactStarted:
    """The start of one who was there before the record that was read."""
    return ev.ContactStarted(contact_id=contact_id, medium=Medium.VOICE, number="", entry="")
