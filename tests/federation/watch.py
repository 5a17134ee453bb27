"""What must hold in a city whatever fails: looked at from outside, by its own count.

None of it asks the protocol: who heard what, who is free, who came first is counted here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferOutcome
from gkc_engine.acd.guests import NO_RESERVATION
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import ContactView
from gkc_engine.errors import PeerError
from gkc_engine.federation.messages import Ask, Deny, Load, decode
from gkc_engine.federation.protocol import EVERYBODY, Send
from gkc_engine.ids import SECOND, AgentId, ContactId, is_abroad

if TYPE_CHECKING:
    from tests.federation.center import Center, Trunk
    from tests.federation.world import City

FRESH: Final = 3 * SECOND
LEFT_ALONE: Final = 30 * SECOND
SAME_AGENT: Final = 30 * SECOND
"""So long a contact is not offered again to one who did not take it."""
RESULT: Final = 5 * SECOND
"""So soon it is known at home that a call to another center has come to nothing."""
SLACK: Final = 4 * SECOND
"""A queue that is asked for while the engine is dead begins when it is back."""


@dataclass(slots=True)
class Heard:
    """What one life of a center has taken from another."""

    place: tuple[int, int] = (-1, -1)
    """Life and number of the last load."""
    load: Load | None = None
    at: int = -FRESH
    asked: set[str] = field(default_factory=set)
    """Reservations asked for since, and not denied."""


@dataclass(slots=True)
class Watch:
    """Looks on; what does not hold is said in ``City.broken``."""

    city: City
    _heard: dict[tuple[str, int, str], Heard] = field(default_factory=dict)
    _no_sign: dict[tuple[str, int, str], int] = field(default_factory=dict)
    _free: int = 0
    _failed: dict[tuple[ContactId, AgentId], int] = field(default_factory=dict)
    _lost: dict[ContactId, int] = field(default_factory=dict)
    """Sent elsewhere, with no call that goes there -> since when."""

    def _says(self, text: str) -> None:
        self.city.broken.append(text)

    # --- between centers ------------------------------------------------------------------------

    def took(self, center: Center, data: bytes) -> None:
        """After a message was heard: was its load taken, and is it newer than the one before?"""
        try:
            message = decode(data)
        except PeerError:
            return
        peer = center.federation.peers.get(message.center)
        heard = self._of(center, message.center)
        if isinstance(message.body, Deny):
            heard.asked.discard(message.body.reservation_id)
        if peer is None or peer.load is heard.load:
            return
        place = message.epoch, message.seq
        if place <= heard.place:
            self._says(f"{center.name} believes {message.center} {place} after {heard.place}")
        heard.place, heard.load, heard.at, heard.asked = place, peer.load, self.city.now, set()

    def _of(self, center: Center, other: str) -> Heard:
        return self._heard.setdefault((center.name, center.life, other), Heard())

    def posted(self, center: Center, send: Send) -> None:
        """An asking leaves: what is known of the other must bear it."""
        body = decode(send.data).body
        if send.center == EVERYBODY or not isinstance(body, Ask):
            return
        self._asks(center, send.center, body)

    def _asks(self, center: Center, other: str, ask: Ask) -> None:
        heard, now = self._of(center, other), self.city.now
        load = None if heard.load is None else heard.load.queues.get(ask.queue)
        heard.asked.add(ask.reservation_id)
        who = f"{center.name} asks {other}"
        if load is None or now - heard.at > FRESH:
            self._says(f"{who}, of whom nothing is known")
        elif len(heard.asked) > load.ready:
            self._says(f"{who} for {len(heard.asked)} operators, {load.ready} were free")
        elif load.sl_milli is not None and load.sl_milli < _floor(center, ask):
            self._says(f"{who}, whose level is {load.sl_milli}")
        quiet = self._no_sign.get((center.name, center.life, other))
        if quiet is not None and now < quiet + LEFT_ALONE:
            self._says(f"{who}, whose trunk was dead {(now - quiet) / SECOND:.1f} s ago")
        citizen = self.city.citizens.get(ContactId(ask.contact_id))
        if citizen is None:
            self._says(f"{who}: a guest is sent on: {ask.contact_id}")
        elif abs(ask.waited_us - (now - citizen.came)) > SLACK:
            self._says(f"{who}: {ask.contact_id} waited {ask.waited_us}, not {now - citizen.came}")

    def failed(self, trunk: Trunk, failure: ev.OfferFailure) -> None:
        """A trunk's call came to nothing."""
        owner = self.city.centers[trunk.owner]
        if not trunk.rung and owner.alive and failure is not ev.OfferFailure.BUSY:
            self._no_sign[owner.name, owner.life, trunk.donor] = self.city.now

    # --- in a center ----------------------------------------------------------------------------

    def before(self, center: Center, event: ev.Event) -> None:
        """Look at what the core is about to be asked: how many are free."""
        if isinstance(event, ev.ReservationAsked):
            views = [center.acd.agent_view(agent_id) for agent_id in center.acd.agents()]
            self._free = sum(view is not None and view.can_take for view in views)

    def says(self, center: Center, command: cmd.Command) -> None:
        """A center's core says something."""
        match command:
            case cmd.GrantReservation():
                self._grants(center, command)
            case cmd.RefuseGuest() if command.reason == NO_RESERVATION:
                if not self.city.faults.crash:
                    self._says(f"{center.name} turns {command.contact_id} away, whom it granted")
            case cmd.OfferContact() if command.contact_id in self.city.citizens:
                self._offers(center, command)
            case cmd.OfferEnded() if command.outcome not in (
                OfferOutcome.ACCEPTED,
                OfferOutcome.RESCINDED,
            ):
                self._failed[command.contact_id, command.agent_id] = self.city.now
            case cmd.ContactEnded() if command.contact_id in self.city.citizens:
                self._ends(command)
            case _:
                pass

    def _grants(self, center: Center, grant: cmd.GrantReservation) -> None:
        kept = 0 if grant.queue in center.part.second_lines else center.part.keep_free
        if self._free <= kept:
            self._says(f"{center.name} gave its last {self._free}")
        if grant.contact_id not in self.city.citizens:
            self._says(f"{center.name}: a guest is sent on: {grant.contact_id}")
        level = center.level()
        if level is not None and level < center.part.own_sl_min_milli:
            self._says(f"{center.name} gave an operator at a level of {level}")
        for contact_id in self._waiting(center, grant.agent_id):
            self._says(f"{center.name} gave {grant.agent_id} away, {contact_id} waits for him")

    def second(self, center: Center) -> None:
        """Now and then: nobody waits whom a free operator could serve, nobody rings nowhere."""
        for agent_id in center.acd.agents():
            agent = center.acd.agent_view(agent_id)
            waiting = self._waiting(center, agent_id) if agent and agent.can_take else ()
            for contact_id in waiting:
                self._says(f"{center.name}: {contact_id} is forgotten, {agent_id} is free")
        rings = {trunk.contact for trunk in self.city.trunks.values() if not trunk.over}
        for contact_id in self.city.citizens.keys() & center.acd.contacts():
            if contact_id in rings or not _is_sent(center.acd.contact_view(contact_id)):
                self._lost.pop(contact_id, None)
            elif self.city.now - self._lost.setdefault(contact_id, self.city.now) > RESULT:
                self._says(f"{center.name}: {contact_id} rings nowhere")

    def _offers(self, center: Center, offer: cmd.OfferContact) -> None:
        (agent,) = offer.agent_ids
        view = center.acd.contact_view(offer.contact_id)
        if view is None or not self.city.may_serve(view, agent):
            return
        came = self.city.citizens[offer.contact_id].came
        for contact_id in self._waiting(center, agent):
            if self.city.citizens[contact_id].came < came:
                self._says(f"{offer.contact_id} is offered before {contact_id}")

    def _waiting(self, center: Center, agent: AgentId) -> list[ContactId]:
        """Return who waits at home and may be offered to an operator."""
        found = []
        for contact_id in center.acd.contacts():
            view = center.acd.contact_view(contact_id)
            failed = self._failed.get((contact_id, agent))
            barred = failed is not None and self.city.now <= failed + SAME_AGENT
            waits = view is not None and view.state is ContactState.WAITING and not barred
            if view is not None and waits and self.city.may_serve(view, agent):
                found.append(contact_id)
        return found

    def _ends(self, ended: cmd.ContactEnded) -> None:
        citizen = self.city.citizens[ended.contact_id]
        answered = ended.answered is not None
        if answered is not (citizen.answers > 0):
            self._says(f"{ended.contact_id} is {ended.disposition}, answers {citizen.answers}")
        if citizen.answers > citizen.most:
            self._says(f"{ended.contact_id} was answered {citizen.answers} times")

    # --- at the end -----------------------------------------------------------------------------

    def at_the_end(self) -> None:
        """After the quiet: nobody waits, nothing is held, no contact is left."""
        for citizen in self.city.citizens.values():
            if citizen.present:
                self._says(f"{citizen.contact} is still on the line")
        for name, center in self.city.centers.items():
            left = list(center.acd.contacts())
            if left:
                self._says(f"{name} still has {left}")
            for agent_id in center.acd.agents():
                view = center.acd.agent_view(agent_id)
                if view is None or not view.can_take:
                    self._says(f"{name}: {agent_id} is not free: {view}")


def _floor(center: Center, ask: Ask) -> int:
    """Return the level below which the rule for a queue sends nobody to a center."""
    return next(r.donor_sl_min_milli for r in center.part.rules if ask.queue in r.queues)


def _is_sent(view: ContactView | None) -> bool:
    """Return whether a contact is offered to another center's operator."""
    offered = view is not None and view.state is ContactState.OFFERED
    return offered and view.agent_id is not None and is_abroad(view.agent_id)  # type: ignore[union-attr]
