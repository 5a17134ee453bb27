"""How a center speaks with the others: messages and the core's commands in, the same out.

Sans-IO: no socket, no clock, no thread. The driver hands in what comes, takes what is to be sent
and submitted, and comes again at ``next_deadline``. One owner, one donor, and what is known of the
peers, put together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import msgspec

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.overflow_events import ContactBrief
from gkc_engine.acd.settings import CLASS_RANK, ContactClass
from gkc_engine.errors import PeerError
from gkc_engine.federation.choice import may_help
from gkc_engine.federation.donor import Donor
from gkc_engine.federation.messages import (
    VERSION,
    Ask,
    Body,
    Deny,
    Grant,
    Load,
    Message,
    OtherVersionError,
    QueueLoad,
    Release,
    decode,
    encode,
)
from gkc_engine.federation.owner import Owner
from gkc_engine.federation.peers import Peer, Refused, State
from gkc_engine.federation.settings import (
    ASK_TIMEOUT_US,
    LOAD_EVERY_US,
    LOAD_GAP_US,
    RIVALS_US,
    FederationSettings,
)
from gkc_engine.ids import ContactId, Instant, Micros, QueueId

EVERYBODY: Final = ""
"""``Send.center`` of what all are told."""


KEPT_MAX: Final = 1_000
"""Askings that wait to be answered together; what comes beyond is answered at once."""


@dataclass(frozen=True, slots=True)
class Send:
    """A message for another center, or for everybody."""

    center: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Submit:
    """An event for our own core."""

    event: ev.ReservationGranted | ev.ReservationAsked | ev.ReservationReleased


Output: TypeAlias = Send | Submit

HEARD: Final = frozenset(
    (
        cmd.GrantReservation,
        cmd.DenyReservation,
        cmd.ReleaseReservation,
        cmd.OverflowContact,
        cmd.ContactQueued,
        cmd.ConsultQueued,
        cmd.ConsultOver,
        cmd.PriorityChanged,
        cmd.HoldContact,
        cmd.OfferContact,
        cmd.OfferEnded,
        cmd.TreatContact,
        cmd.ContactEnded,
    )
)
"""Commands of which `said` takes note; of the others it need not be told."""


class Sight(Protocol):
    """What is to be known of our own center."""

    def loads(self) -> Mapping[QueueId, QueueLoad]:
        """Return how each queue stands at this instant."""

    def state(self) -> State:
        """Return how the center stands."""

    def expected_wait(self, contact_id: ContactId) -> Micros | None:
        """Return how much longer a contact is expected to wait; ``None``: for ever."""


class Federation:
    """One center's part in the city."""

    def __init__(
        self,
        settings: FederationSettings,
        sight: Sight,
        epoch: int,
        new_id: Callable[[], ContactId],
        brief: Callable[[ContactId], ContactBrief | None] = lambda _contact_id: None,
    ) -> None:
        """Take part.

        Args:
            settings: Whom to ask, whom to listen to.
            sight: Our own center.
            epoch: Greater than in every life of this center before: the instant of the start.
            new_id: Makes the names of reservations, unique in the city.
            brief: Says what the donor is told of a contact (``briefs.Briefs.of``).
        """
        self.settings = settings
        self.peers = {name: Peer(name) for name in settings.peers}
        self.owner = Owner(settings, new_id, brief)
        self.donor = Donor(settings)
        self.refused: Counter[tuple[str, Refused]] = Counter()
        """(Center as it calls itself, at most of those we know) -> messages not listened to."""
        self.refused_last: dict[tuple[str, Refused], Instant] = {}
        """The same -> when the last of them came."""
        self.planned_heard: dict[str, Instant] = {}
        """Planned center -> when it was last heard."""
        self.sight, self._epoch, self._seq = sight, epoch, 0
        self._out: list[Output] = []
        self._kept: list[tuple[str, Ask]] = []
        """Askings that are answered together, the longest wait first; and from when on."""
        self._kept_until: Instant | None = None
        self._told: Instant | None = None
        """When we last said how we stand."""
        self._free: frozenset[QueueId] = frozenset()
        """Queues of which we then said that somebody is free."""

    def change(self, settings: FederationSettings) -> None:
        """Take other settings from now on. What is under way goes on; our name stays."""
        settings = msgspec.structs.replace(settings, center=self.settings.center)
        self.settings = self.owner.settings = self.donor.settings = settings
        self.peers = {name: self.peers.get(name) or Peer(name) for name in settings.peers}

    # --- in -------------------------------------------------------------------------------------

    def hear(self, data: bytes, now: Instant, by: str | None = None) -> None:
        """Take a message from the line, whatever it is; ``settle`` is due after it.

        ``by``: whose line it is, if the line knows; nobody speaks for another.
        """
        try:
            message = decode(data)
        except OtherVersionError as error:
            self.refuse(by or error.center, Refused.VERSION, now)
            return
        except PeerError:
            self.refuse(by or "", Refused.MALFORMED, now)
            return
        if by is not None and message.center != by:
            self.refuse(by, Refused.FORGED, now)
            return
        if message.center == self.settings.center:
            if message.epoch != self._epoch:
                self.refuse(message.center, Refused.OURSELVES, now)
            return
        if message.center in self.settings.planned:
            self.planned_heard[message.center] = now
            return
        peer = self.peers.get(message.center)
        if peer is None:
            self.refuse(message.center, Refused.FOREIGN, now)
            return
        why = peer.accept(message, now)
        if why is not None:
            self.refuse(peer.name, why, now)
            return
        self._heard(peer, message.body, now)

    def _heard(self, peer: Peer, body: Body, now: Instant) -> None:
        match body:
            case Load():
                pass  # Who is to be sent there is looked for when we settle.
            case Ask():
                self._asked(peer.name, body, now)
            case Release():
                released = self.donor.released(peer.name, body)
                if released is not None:
                    self._out.append(Submit(released))
            case Grant():
                found = self.owner.granted(peer.name, body)
                if isinstance(found, Release):
                    self._send(peer.name, found)
                elif found is not None:
                    self._out.append(Submit(found))
            case Deny():
                self.owner.denied(peer, body)

    def _asked(self, owner: str, ask: Ask, now: Instant) -> None:
        """Answer at once, unless another center has somebody waiting: it may be about to ask."""
        if len(self._kept) >= KEPT_MAX or not self._has_rivals(owner, QueueId(ask.queue), now):
            self._answer(owner, self.donor.asked(owner, ask, self.sight.loads()))
            return
        self._kept.append((owner, ask))
        if self._kept_until is None:
            self._kept_until = Instant(now + RIVALS_US)

    def _has_rivals(self, owner: str, queue: QueueId, now: Instant) -> bool:
        for name, peer in self.peers.items():
            load = None if name == owner else peer.fresh(now)
            if load is not None and queue in load.queues and load.queues[queue].waiting > 0:
                return True
        return False

    def _answer_kept(self, late_us: int) -> None:
        kept, self._kept, self._kept_until = self._kept, [], None
        if late_us >= ASK_TIMEOUT_US:
            return  # The line was cut meanwhile: whoever asked has given up.
        for owner, ask in sorted(kept, key=lambda one: _precedence(one[1])):
            self._answer(owner, self.donor.asked(owner, ask, self.sight.loads()))

    def _answer(self, owner: str, found: ev.ReservationAsked | Grant | Deny | None) -> None:
        if isinstance(found, ev.ReservationAsked):
            self._out.append(Submit(found))
        elif found is not None:
            self._send(owner, found)

    def said(self, command: cmd.Command, now: Instant) -> None:
        """Take note of a command of our core, in their order."""
        answer = self.donor.said(command)
        if answer is not None:
            self._send(*answer)
        release = self.owner.said(command, self.peers, now)
        if release is not None and isinstance(command, cmd.ReleaseReservation):
            self._send(command.center, release)

    def unheard(self, submit: Submit) -> None:
        """Our core has no room for an event. Of the others whoever waits for it gives up."""
        if isinstance(submit.event, ev.ReservationGranted):
            self._send(submit.event.center, self.owner.unheard(submit.event))

    def settle(self, now: Instant) -> None:
        """After the commands of a step, and at ``next_deadline``: say and ask what is due."""
        if self._kept_until is not None and now >= self._kept_until:
            self._answer_kept(now - self._kept_until)
        since = None if self._told is None else now - self._told
        if since is None or since >= LOAD_EVERY_US:
            self._say_load(now, self.sight.loads())
        elif since >= LOAD_GAP_US:
            loads = self.sight.loads()
            if not self._free_in(loads) <= self._free:
                self._say_load(now, loads)
        self._look(now)

    def take(self) -> list[Output]:
        """Return what is to be sent and submitted, in this order."""
        out, self._out = self._out, []
        return out

    def next_deadline(self, now: Instant) -> Instant:
        """Return when ``settle`` is due at the latest."""
        told = now if self._told is None else Instant(self._told + LOAD_EVERY_US)
        due = (told, self.owner.next_deadline(), self._kept_until)
        return min(at for at in due if at is not None)

    def leave(self, now: Instant) -> None:
        """Say that the center goes down: nobody is to be sent here any more."""
        self._say_load(now, {}, State.GOING_DOWN)

    def may_help(self, queue: QueueId, now: Instant) -> bool:
        """Return whether some other center is there to serve contacts of a queue of ours."""
        rule = next((rule for rule in self.settings.rules if queue in rule.queues), None)
        return rule is not None and may_help(rule, queue, self.peers, now)

    # --- out ------------------------------------------------------------------------------------

    def _look(self, now: Instant) -> None:
        for center, body in self.owner.look(self.peers, self.sight.expected_wait, now):
            self._send(center, body)

    def _say_load(
        self, now: Instant, loads: Mapping[QueueId, QueueLoad], state: State | None = None
    ) -> None:
        self._told, self._free = now, self._free_in(loads)
        queues: dict[str, QueueLoad] = dict(loads.items())
        self._send(EVERYBODY, Load(state=state or self.sight.state(), queues=queues))

    @staticmethod
    def _free_in(loads: Mapping[QueueId, QueueLoad]) -> frozenset[QueueId]:
        return frozenset(queue for queue, load in loads.items() if load.ready > 0)

    def _send(self, center: str, body: Body) -> None:
        self._seq += 1
        message = Message(
            version=VERSION,
            center=self.settings.center,
            epoch=self._epoch,
            seq=self._seq,
            body=body,
        )
        self._out.append(Send(center, encode(message)))

    def refuse(self, center: str, why: Refused, now: Instant) -> None:
        """Count a message that is not listened to."""
        known = center if center in self.peers or center == self.settings.center else ""
        self.refused[known, why] += 1
        self.refused_last[known, why] = now


def _precedence(ask: Ask) -> tuple[int, int]:
    """Return an asking's place among others: as in one queue, by class and by wait."""
    contact_class = ask.contact_class or ContactClass.NORMAL
    return CLASS_RANK[contact_class], -(ask.waited_us + (ask.head_start_us or 0))
