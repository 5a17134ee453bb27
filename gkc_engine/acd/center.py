"""The center as a whole: a config version takes effect, hours, emergency closing, a restart."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.agents import logged_out, supply_shrank
from gkc_engine.acd.commands import Disposition, SegmentKind, SegmentOutcome
from gkc_engine.acd.contacts import IN_LINE, announce_queued, end_waiting
from gkc_engine.acd.preference import keep_preference
from gkc_engine.acd.presence import detach
from gkc_engine.acd.routing import (
    arm_lease,
    release_preferences,
    serve_agent,
    set_step,
    step_in_force,
)
from gkc_engine.acd.settings import AgentSettings, Medium, Treatment
from gkc_engine.acd.state import DOUBT_US, Agent, Contact, ContactState, QueueStatus, Slot
from gkc_engine.acd.world import Queue, World
from gkc_engine.ids import AgentId, Instant, QueueId

CenterEvent = ev.SettingsApplied | ev.HoursChanged | ev.EmergencyClosed | ev.EmergencyOpened


def center_event(world: World, event: CenterEvent) -> None:
    """Apply an event of the whole center."""
    match event:
        case ev.SettingsApplied():
            settings_applied(world, event)
        case ev.HoursChanged():
            hours_changed(world, event)
        case ev.EmergencyClosed():
            emergency_closed(world, event)
        case ev.EmergencyOpened():
            emergency_opened(world, event)


# --- config ----------------------------------------------------------------------------------


def settings_applied(world: World, event: ev.SettingsApplied) -> None:
    """A config version took effect; those who wait keep their places under the new rules."""
    world.settings = event.settings
    world.new_space()
    homeless = _apply_queues(world)
    gone = _apply_agents(world)
    for contact in in_order(world):
        if contact.state is ContactState.WAITING:
            _move_home(world, contact, homeless)
            set_step(world, contact, step_in_force(world, contact))
            keep_preference(world, contact)
            world.line_up(contact)
        elif contact.state in IN_LINE:
            _move_home(world, contact, homeless)
    for agent in gone:
        agent.removed = True
        logged_out(world, agent)
    for agent in by_rank(world):
        world.settle(agent)
    for agent in by_rank(world):
        release_preferences(world, agent)
        serve_agent(world, agent)
    supply_shrank(world)
    _drop_drained(world)


def in_order(world: World) -> list[Contact]:
    """Return the contacts that have stood in a queue, by sequence number."""
    return sorted((c for c in world.contacts.values() if c.sequence >= 0), key=lambda c: c.sequence)


def by_rank(world: World) -> list[Agent]:
    """Return the agents in config order."""
    return sorted(world.agents.values(), key=lambda a: (a.rank, a.agent_id))


def _apply_queues(world: World) -> dict[QueueId, QueueId]:
    """Install the queues; return where the contacts of removed queues go."""
    old = world.queues
    named = {settings.queue_id for settings in world.settings.queues}
    world.queues = {}
    for settings in world.settings.queues:
        before = old.get(settings.queue_id)
        status = QueueStatus(settings=settings, emergency=world.emergency)
        if before is not None and not before.status.draining:
            status.open, status.emergency = before.status.open, before.status.emergency
        queue = world.queues[settings.queue_id] = Queue(status, world.space, world.staffing)
        queue.count = before.count if before is not None else 0
    homeless: dict[QueueId, QueueId] = {}
    for queue_id, before in old.items():
        if queue_id in named:
            continue
        status = before.status
        status.draining = True
        queue = world.queues[queue_id] = Queue(status, world.space, world.staffing)
        queue.count = before.count
        if status.settings.fallback in named:
            assert status.settings.fallback is not None
            homeless[queue_id] = status.settings.fallback
    return homeless


def _move_home(world: World, contact: Contact, homeless: dict[QueueId, QueueId]) -> None:
    """Move a contact of a removed queue to the queue's fallback, at its old place."""
    if contact.queue is None or contact.queue not in homeless:
        return
    target = homeless[contact.queue]
    world.count_out(contact)
    world.count_in(contact, target)
    if contact.state is ContactState.WAITING:
        world.next_segment(contact, SegmentKind.QUEUE, SegmentOutcome.MOVED, None, "queue removed")
        contact.step = 0
    announce_queued(world, contact)


def _apply_agents(world: World) -> list[Agent]:
    """Install the agents; return those who are gone from the config."""
    named: set[AgentId] = set()
    for rank, settings in enumerate(world.settings.agents):
        named.add(settings.agent_id)
        agent = world.agents.get(settings.agent_id)
        if agent is None:
            agent = world.agents[settings.agent_id] = Agent(
                agent_id=settings.agent_id,
                rank=rank,
                skills=dict(settings.skills),
                capacity={},
                slots=[],
            )
        agent.rank, agent.removed = rank, False
        if not agent.shift_skills:
            agent.skills = dict(settings.skills)
        _resize(agent, settings)
    others = [a for a in by_rank(world) if a.agent_id not in named]
    for rank, agent in enumerate(others, start=len(named)):
        agent.rank = rank
    for agent in world.agents.values():
        world.profile_agent(agent)
        world.arm_agent(agent)
    return [a for a in others if not a.removed]


def _resize(agent: Agent, settings: AgentSettings) -> None:
    """Give the agent the slots of the config; one in use is kept until the config fits again.

    Slots are only ever added at the end, because open offers and talks know theirs by number.
    """
    agent.capacity = {m: n for m in Medium if (n := settings.capacity.get(m, 0)) > 0}
    for medium in Medium:
        have = sum(slot.medium is medium for slot in agent.slots)
        want = agent.capacity.get(medium, 0)
        agent.slots += [Slot(medium=medium) for _ in range(want - have)]


def _drop_drained(world: World) -> None:
    """Forget removed queues that nobody stands in and no talk or offer refers to."""
    used = {c.queue for c in world.contacts.values()}
    used |= {slot.queue for agent in world.agents.values() for slot in agent.slots}
    used |= {offer.queue for offer in world.offers.values()}
    for queue_id in [q for q, queue in world.queues.items() if queue.status.draining]:
        if queue_id not in used:
            del world.queues[queue_id]


# --- hours -----------------------------------------------------------------------------------


def hours_changed(world: World, event: ev.HoursChanged) -> None:
    """A queue opened or closed to new contacts; those who wait are served."""
    queue = world.queues.get(event.queue)
    if queue is None:
        world.out.append(cmd.EventRejected(kind="HoursChanged", reason=f"queue {event.queue}?"))
        return
    queue.status.open = event.open


def emergency_closed(world: World, event: ev.EmergencyClosed) -> None:
    """A queue (or all) is closed at once: those who wait get the announcement."""
    queues = _named(world, "EmergencyClosed", event.queue)
    said = Treatment(say=event.say) if event.say is not None else None
    if event.queue is None:
        world.emergency = said or Treatment()
    for queue in queues:
        queue.status.emergency = said or Treatment(say=queue.settings.closed.say)
    closed = {queue.settings.queue_id for queue in queues}
    for contact in in_order(world):
        if contact.state is ContactState.WAITING and contact.queue in closed:
            emergency = world.queues[contact.queue].status.emergency
            assert emergency is not None
            end_waiting(world, contact, Disposition.CLOSED, emergency)


def emergency_opened(world: World, event: ev.EmergencyOpened) -> None:
    """The emergency closing is over."""
    if event.queue is None:
        world.emergency = None
    for queue in _named(world, "EmergencyOpened", event.queue):
        queue.status.emergency = None


def _named(world: World, kind: str, queue_id: QueueId | None) -> list[Queue]:
    if queue_id is None:
        return list(world.queues.values())
    if queue_id not in world.queues:
        world.out.append(cmd.EventRejected(kind=kind, reason=f"queue {queue_id}?"))
        return []
    return [world.queues[queue_id]]


# --- restart ---------------------------------------------------------------------------------


def restarted(world: World, now: Instant) -> None:
    """The engine was away: who waited stands in the native queue now, rings are in doubt.

    Applied at the last instant known, before the timers that came due meanwhile: none of them
    may offer a contact that we do not hold.
    """
    for contact in in_order(world):
        if contact.state is ContactState.WAITING:
            detach(world, contact, None)
        elif contact.state is ContactState.OFFERED:
            contact.held = False
    for offer in world.offers.values():
        offer.doubt = True
        # A phone that rings goes on to its timeout: the doubt lasts at least as long.
        offer.lease = Instant(max(now + DOUBT_US, offer.lease))
        arm_lease(world, offer, world.contacts[offer.contact])
