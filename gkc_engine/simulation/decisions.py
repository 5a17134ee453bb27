"""Names the rule behind each offer while a history is stepped: P1, P2, or a transfer to a person.

The core does not say which of its two choices made an offer. It follows from what is known at that
moment: whether the contact stood in line already, whether the agent has just become able, and
which choice the two keys allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState, SegmentOutcome
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import Order, Requirement, Ring, Strategy
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.timers import Kind
from gkc_engine.acd.transfers import NAMED
from gkc_engine.acd.watch import Eyes
from gkc_engine.acd.why import Candidate, Part, Place, parted_by
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId, QueueId


class Rule(StrEnum):
    """Who chose whom."""

    P1 = "P1"
    """The contact became able to be served: it takes an agent."""
    P2 = "P2"
    """The agent became able to take: he takes a contact."""
    KEPT = "P10"
    """Kept free for another center's contact, which has come now."""
    TRANSFER = "transfer"
    """A colleague named the agent."""


class Decider(StrEnum):
    """The part of P1's key in which the agent who was chosen differs from the next."""

    ONLY = "only one"
    IN_HAND = "fewer contacts in hand"
    STRATEGY = "strategy"
    IDLE = "longest idle"
    RANK = "order of the config"


@dataclass(slots=True, kw_only=True)
class Decision:
    """One offer, with everything that it was decided on."""

    at: Instant
    rule: Rule
    offer_id: OfferId
    contact_id: ContactId
    agents: tuple[AgentId, ...]
    queue: QueueId
    step: int
    requirement: Requirement
    strategy: Strategy
    order: Order
    ring_all: bool
    candidates: tuple[Candidate, ...]
    """Every agent in config order, with what stands against each."""
    line: tuple[Place, ...]
    """What the first of ``agents`` could have taken, the contact itself included, first first."""

    @property
    def able(self) -> list[Candidate]:
        """Who may be offered the contact, the first by P1 first."""
        return sorted((c for c in self.candidates if c.may), key=lambda c: c.key)

    @property
    def chosen(self) -> Candidate:
        """What P1 knows of the (first) agent who was chosen."""
        return next(c for c in self.candidates if c.agent_id == self.agents[0])

    @property
    def decider(self) -> Decider:
        """Which part of P1's key parts the agent who was chosen from the next."""
        rest = [c for c in self.able if c.agent_id not in self.agents]
        if not rest:
            return Decider.ONLY
        pairs = zip(Decider, (None, *zip(self.chosen.key, rest[0].key, strict=True)), strict=True)
        return next(part for part, pair in pairs if pair is not None and pair[0] != pair[1])

    @property
    def parted(self) -> Part | None:
        """Which part of P2's key parts the contact from the next; None = there is no next."""
        places = iter(self.line)
        mine = next((place for place in places if place.contact_id == self.contact_id), None)
        following = next(places, None)
        return None if mine is None or following is None else parted_by(mine, following, self.order)


class Decisions:
    """Follows a history; knows of each offer who chose."""

    def __init__(self, acd: Acd) -> None:
        views = [acd.contact_view(contact_id) for contact_id in acd.contacts()]
        self._held = {
            view.contact_id
            for view in views
            if view is not None and view.state is ContactState.WAITING
        }
        """Who stands in line unserved: what serves him now is P2, unless he changes himself."""
        self._able: dict[AgentId, Instant] = {}
        """When an agent last came back to ready, by what was said of him."""
        self._event: ev.Event = ev.Tick()
        self._went = False
        self._named = False
        """The contact of a transfer goes to the colleague who was named, not back into line."""

    def begin(self, event: ev.Event) -> None:
        """A step with this event begins."""
        self._event, self._went, self._named = event, False, False

    def heard(self, command: cmd.Command, eyes: Eyes) -> None:
        """Take note of a command; call it for each, after ``decision`` where that is asked."""
        match command:
            case cmd.HoldContact():
                self._held.add(command.contact_id)
            case cmd.ContactQueued():
                # A new config may move who waits to another queue: he stands in line all the same.
                if eyes.kind is not Kind.CONFIG:
                    self._held.discard(command.contact_id)
            case cmd.OfferContact() | cmd.TreatContact() | cmd.ContactEnded():
                self._held.discard(command.contact_id)
            case cmd.SegmentClosed(outcome=SegmentOutcome.DETACHED):
                self._held.discard(command.contact_id)
            case cmd.SegmentClosed(outcome=SegmentOutcome.TRANSFERRED):
                self._named = command.reason == NAMED
            case (
                cmd.AgentStateChanged(state=AgentState.READY, until=None)
                | cmd.OfferEnded()
                | cmd.SkillsInForce()
            ):
                # The end of an offer, too: what rings may shut out what a talk does not (P8).
                self._able[command.agent_id] = eyes.now
            case cmd.AgentStateChanged(state=AgentState.OFFLINE | AgentState.NOT_READY):
                # He goes: nobody becomes able by that, but some contacts do (P6, P7).
                event = self._event
                if isinstance(event, ev.AgentLoggedOut | ev.AgentPaused):
                    self._went |= command.agent_id == event.agent_id
            case _:
                pass

    def decision(self, offer: cmd.OfferContact, eyes: Eyes) -> Decision:
        """Return what an offer was decided on, at the moment of the offer."""
        queue = eyes.queue_of(offer.contact_id)
        decision = Decision(
            at=eyes.now,
            rule=Rule.P1,
            offer_id=offer.offer_id,
            contact_id=offer.contact_id,
            agents=offer.agent_ids,
            queue=offer.queue,
            step=offer.step,
            requirement=eyes.requirement(offer.contact_id),
            strategy=queue.strategy,
            order=eyes.settings.order,
            ring_all=queue.ring is Ring.ALL and len(offer.agent_ids) > 1,
            candidates=eyes.candidates(offer.contact_id),
            line=eyes.line_of(offer.agent_ids[0], offer.contact_id),
        )
        decision.rule = self._rule(decision, eyes)
        return decision

    def _rule(self, decision: Decision, eyes: Eyes) -> Rule:
        """Return who chose; where one step lets both become able and both choices agree: P2."""
        if self._by_transfer(decision):
            return Rule.TRANSFER
        if isinstance(self._event, ev.GuestArrived):
            return Rule.KEPT
        if decision.ring_all:
            return Rule.P1
        first = decision.able[0].agent_id == decision.agents[0]
        foremost = decision.line[0].contact_id == decision.contact_id
        if first != foremost:
            return Rule.P1 if first else Rule.P2
        waited = decision.contact_id in self._held and eyes.kind is not Kind.STEP
        return Rule.P2 if waited and self._became_able(decision.agents[0], eyes) else Rule.P1

    def _by_transfer(self, decision: Decision) -> bool:
        event = self._event
        return (
            self._named
            and isinstance(event, ev.TransferRequested)
            and event.contact_id == decision.contact_id
            and decision.agents == (event.to_agent,)
        )

    def _became_able(self, agent_id: AgentId, eyes: Eyes) -> bool:
        if self._went:
            return False
        if eyes.now in (self._able.get(agent_id), eyes.idle_since(agent_id)):
            return True
        event = self._event
        if isinstance(event, ev.SkillsChanged):
            return event.agent_id == agent_id
        return eyes.kind is Kind.CONFIG
