"""The invariants 1 to 7 of the architecture page, as functions. Used by tests and the simulation.

They look at the core's records (``snapshot``) and at the stream of commands, and work out for
themselves who is qualified, free or first: no index, heap or choice of the core is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import CLASS_RANK, Blending, Medium, Order, QueueSettings
from gkc_engine.acd.state import AcdState, Agent, Contact, ContactState, Slot, Work
from gkc_engine.ids import AgentId, ContactId, Instant

IN_A_SLOT = (ContactState.TALK, ContactState.DIALLING)


def slots_and_offers_agree(state: AcdState) -> None:
    """1: a slot holds one thing; open offers and reserved slots are a bijection."""
    ours = [offer for offer in state.offers if offer.reservation is None]
    legs = Counter((leg.agent, leg.slot, o.offer_id) for o in ours for leg in o.legs)
    slots = Counter(
        (agent.agent_id, index, slot.offer)
        for agent in state.agents
        for index, slot in enumerate(agent.slots)
        if slot.work is Work.OFFER
    )
    assert legs == slots, f"offers {legs} but reservations {slots}"
    assert all(n == 1 for n in legs.values()), legs
    contacts = {c.contact_id: c for c in state.contacts}
    for agent in state.agents:
        for index, slot in enumerate(agent.slots):
            if slot.work is Work.TALK:
                contact = contacts[slot.contact or ContactId("")]
                assert contact.state in IN_A_SLOT, contact
                assert (contact.agent, contact.slot) == (agent.agent_id, index), contact
            if slot.work is Work.FREE:
                assert slot.contact is None, slot
    for contact in state.contacts:
        if contact.state in IN_A_SLOT and contact.slot is not None:
            agent = next(a for a in state.agents if a.agent_id == contact.agent)
            assert agent.slots[contact.slot].contact == contact.contact_id, contact


def one_state(state: AcdState) -> None:
    """2: a contact is in exactly one state, and what it refers to says the same."""
    offers = {o.offer_id: o for o in state.offers}
    for contact in state.contacts:
        offered = contact.state is ContactState.OFFERED
        assert offered is (contact.offer is not None), contact
        if contact.offer is not None:
            assert offers[contact.offer].contact == contact.contact_id, contact
        if contact.state not in IN_A_SLOT:
            assert contact.slot is None, contact


def _ready(state: AcdState, agent: Agent, medium: Medium) -> bool:
    """Return whether the agent could be offered a contact of the medium: P8, and P6's rest."""
    if not (agent.logged_in and agent.reachable) or agent.paused or agent.removed:
        return False
    if agent.rest_until is not None:
        return False
    taken = [slot for slot in agent.slots if slot.work is not Work.FREE]
    free = any(slot.work is Work.FREE and slot.medium is medium for slot in agent.slots)
    if not free or sum(s.medium is medium for s in taken) >= agent.capacity.get(medium, 0):
        return False
    rules = state.settings.blending
    other_media = [s for s in taken if s.medium is not medium]
    if agent.in_use or agent.calls:
        other_media.append(Slot(medium=Medium.VOICE, work=Work.OFFER))
        if medium is Medium.VOICE:
            return False
    for slot in other_media:
        mine = rules.get(medium, Blending())
        excludes = slot.medium in mine.excludes or (
            slot.medium in rules and medium in rules[slot.medium].excludes
        )
        if excludes and not (slot.work is Work.TALK and slot.medium in mine.interrupts):
            return False
    return True


def _need(settings: QueueSettings, step: int) -> dict[str, int]:
    require = settings.require if step == 0 else settings.relax[step - 1].require
    return {str(skill): level for skill, level in require.items()}


def _fits(agent: Agent, need: dict[str, int]) -> bool:
    skills = {str(skill): level for skill, level in agent.skills.items()}
    return all(skills.get(skill, 0) >= level for skill, level in need.items())


def _may_serve(state: AcdState, agent: Agent, contact: Contact) -> bool:
    queues = {q.settings.queue_id: q.settings for q in state.queues}
    assert contact.queue is not None
    need, medium = _need(queues[contact.queue], contact.step), contact.medium
    if not _ready(state, agent, medium) or not _fits(agent, need):
        return False
    if contact.prefer_agent not in (None, agent.agent_id):
        return False
    others = [
        a
        for a in state.agents
        if a.logged_in and a is not agent and medium in a.capacity and _fits(a, need)
    ]
    return agent.agent_id not in contact.excluded or not others


def work_conserving(state: AcdState) -> None:
    """3: no agent is ready for whom a contact waits that they may serve now."""
    ready = [a for a in state.agents if any(_ready(state, a, medium) for medium in a.capacity)]
    for contact in state.contacts:
        if contact.state is ContactState.WAITING:
            for agent in ready:
                assert not _may_serve(state, agent, contact), (
                    f"{contact.contact_id} waits, {agent.agent_id} is ready"
                )


def _key(state: AcdState, contact: Contact) -> tuple[int, int, int]:
    queues = {q.settings.queue_id: q.settings for q in state.queues}
    assert contact.queue is not None
    assert contact.enqueued is not None
    queue = queues[contact.queue]
    own, head = contact.own_class, contact.own_head_start
    rank = CLASS_RANK[queue.contact_class if own is None else own]
    head_start = queue.head_start_us if head is None else head
    return rank, contact.enqueued - head_start, contact.sequence


def no_overtaking(before: AcdState, after: AcdState, commands: list[cmd.Command]) -> None:
    """4: nobody who waited throughout the step, before the one offered, could have been taken.

    By (class, enqueue time - head start, sequence), so only where ``center.order`` is ``fcfs``.
    """
    if after.settings.order is not Order.FCFS or before.settings is not after.settings:
        return
    then = {c.contact_id: c for c in before.contacts}
    now = {c.contact_id: c for c in after.contacts}
    moved = {c.contact_id for c in commands if isinstance(c, cmd.ContactQueued)}
    waited = [
        contact
        for contact_id, contact in now.items()
        if contact_id in then and contact_id not in moved and _alike(then[contact_id], contact)
    ]
    for command in commands:
        if not isinstance(command, cmd.OfferContact) or command.contact_id not in now:
            continue
        taken = now[command.contact_id]
        if taken.queue != command.queue or command.contact_id in moved:
            continue
        if _key(before, then.get(command.contact_id, taken)) == _key(after, taken):
            _first_of(after, command, taken, waited)


def _alike(old: Contact, new: Contact) -> bool:
    """Return whether the contact waited before and after, under the same rules."""
    waiting = (old.state, new.state) == (ContactState.WAITING, ContactState.WAITING)
    keys = ("step", "excluded", "prefer_agent", "own_class", "own_head_start")
    return waiting and all(getattr(old, key) == getattr(new, key) for key in keys)


def _first_of(
    state: AcdState, offer: cmd.OfferContact, taken: Contact, waited: list[Contact]
) -> None:
    agents = {a.agent_id for a in state.agents}
    for contact in waited:
        if contact.queue != offer.queue or contact.step != offer.step:
            continue
        for agent_id in offer.agent_ids:
            assert (
                agent_id not in agents
                or agent_id in contact.excluded
                or contact.prefer_agent not in (None, agent_id)
                or _key(state, taken) <= _key(state, contact)
            ), f"{taken.contact_id} overtakes {contact.contact_id} at {agent_id}"


def place_kept(before: AcdState, after: AcdState) -> None:
    """4: enqueue time and sequence number never change once set."""
    then = {c.contact_id: c for c in before.contacts}
    for contact in after.contacts:
        old = then.get(contact.contact_id)
        if old is not None and old.enqueued is not None and contact.enqueued is not None:
            assert old.enqueued == contact.enqueued, contact
            assert old.sequence == contact.sequence, contact


def only_qualified(
    after: AcdState, commands: list[cmd.Command], named: Container[AgentId | None] = ()
) -> None:
    """5: an offer goes to agents who meet the requirement of the step that stands on it.

    ``named``: agents to whom a colleague transferred the citizen by name, or to whom he is back.
    """
    agents = {a.agent_id: a for a in after.agents}
    queues = {q.settings.queue_id: q.settings for q in after.queues}
    for command in commands:
        if isinstance(command, cmd.OfferContact) and command.queue in queues:
            need = _need(queues[command.queue], command.step)
            for agent_id in command.agent_ids:
                if agent_id in agents and agent_id not in named:
                    assert _fits(agents[agent_id], need), f"{agent_id} lacks {need}"


def within_capacity(after: AcdState, commands: list[cmd.Command]) -> None:
    """1: whoever is asked has, with that offer, no more in hand than the config allows."""
    agents = {a.agent_id: a for a in after.agents}
    contacts = {c.contact_id: c for c in after.contacts}
    rules = {a.agent_id: a for a in after.settings.agents}
    for command in commands:
        contact = (
            contacts.get(command.contact_id) if isinstance(command, cmd.OfferContact) else None
        )
        if contact is None or contact.state is not ContactState.OFFERED:
            continue
        for agent_id in command.agent_ids:  # type: ignore[union-attr]
            if agent_id not in agents or agent_id not in rules:
                continue
            slots = [s for s in agents[agent_id].slots if s.medium is contact.medium]
            taken = sum(s.work is not Work.FREE for s in slots)
            allowed = rules[agent_id].capacity.get(contact.medium, 0)
            assert taken <= allowed, f"{agent_id} has {taken} in hand, more than {allowed}"


@dataclass
class Checker:
    """All of it over one history; ``before`` and ``after`` surround each step."""

    edges: dict[ContactId, tuple[int, Instant]] = field(default_factory=dict)
    ended: dict[ContactId, cmd.Disposition] = field(default_factory=dict)
    open_offers: set[tuple[int, AgentId]] = field(default_factory=set)
    started: set[ContactId] = field(default_factory=set)
    last: AcdState | None = None
    """After the last step: nothing but a step changes the core, which ``finish`` makes sure of."""

    def before(self, acd: Acd) -> AcdState:
        return acd.snapshot() if self.last is None else self.last

    def after(
        self, acd: Acd, before: AcdState, event: ev.Event, commands: list[cmd.Command]
    ) -> None:
        after = self.last = acd.snapshot()
        slots_and_offers_agree(after)
        one_state(after)
        work_conserving(after)
        place_kept(before, after)
        within_capacity(after, commands)
        skills_moved = isinstance(event, ev.SkillsChanged | ev.SettingsApplied) or any(
            isinstance(command, cmd.SkillsInForce) for command in commands
        )
        if not skills_moved:
            no_overtaking(before, after, commands)
            named = {c.sender for c in before.contacts}  # given back by the second line
            if isinstance(event, ev.TransferRequested):
                named.add(event.to_agent)
            if isinstance(event, ev.PutThrough | ev.TransferRequested | ev.HandedBack):
                named.add(event.from_agent)  # not allowed: he has him back
            only_qualified(after, commands, named)
        self.started |= {c.contact_id for c in after.contacts}
        self.started |= {  # a call that was not allowed begins and ends in one step
            c.contact_id
            for c in commands
            if isinstance(c, cmd.ContactEnded) and c.disposition is cmd.Disposition.BARRED
        }
        for command in commands:
            self._record(command)
        alive = {c.contact_id for c in after.contacts}
        assert alive.isdisjoint(self.ended), "a contact lives on after its end"
        assert self.started - alive == self.ended.keys(), "a contact vanished without an end"

    def _record(self, command: cmd.Command) -> None:
        match command:
            case cmd.SegmentClosed():
                self._segment(command)
            case cmd.ContactEnded():
                assert command.contact_id not in self.ended, "a second disposition"
                self.ended[command.contact_id] = command.disposition
                assert self.edges[command.contact_id][1] == command.ended, "does not tile"
                spent = command.menu_us + command.talk_us + command.hold_us
                assert spent <= command.ended - command.started, command
            case cmd.OfferContact():
                for agent_id in command.agent_ids:
                    self.open_offers.add((command.offer_id, agent_id))
            case cmd.OverflowContact():
                self.open_offers.add((command.offer_id, command.agent_id))
            case cmd.OfferEnded():
                # Exactly one end for each agent of each offer.
                self.open_offers.remove((command.offer_id, command.agent_id))
                assert command.created <= command.ended, command
            case _:
                pass

    def _segment(self, segment: cmd.SegmentClosed) -> None:
        """2: segments tile arrival..end, numbered from 0."""
        n, at = self.edges.get(segment.contact_id, (0, segment.started))
        assert segment.contact_id not in self.ended, "a segment after the end"
        assert (segment.n, segment.started) == (n, at), f"segments do not tile: {segment}"
        assert segment.started <= segment.ended, segment
        self.edges[segment.contact_id] = (n + 1, segment.ended)

    def finish(self, acd: Acd) -> None:
        """At the end of a history: every offer that is not open has ended."""
        state = acd.snapshot()
        assert state == self.last, "changed without a step"
        open_now = {(offer.offer_id, leg.agent) for offer in state.offers for leg in offer.legs}
        assert open_now == self.open_offers, "an offer without an end"
