"""Agents: they come, pause, go, are in calls of their own; their timers; their skills."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd import second_line, skills
from gkc_engine.acd.commands import Disposition
from gkc_engine.acd.contacts import end_waiting
from gkc_engine.acd.offers import free_slot, rescind
from gkc_engine.acd.preference import drop_preference, keep_preference
from gkc_engine.acd.routing import (
    after_talk,
    became_ready,
    handling_over,
    leave_config,
    release_preferences,
    resume_agent,
    serve_agent,
    serve_contact,
    set_step,
)
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.staffing import LeaveLine
from gkc_engine.acd.state import Activity, Agent, Consulting, Contact, ContactState, Work
from gkc_engine.acd.timers import DueLine, Kind, Timer, What
from gkc_engine.acd.transfers import consult_over
from gkc_engine.acd.world import World
from gkc_engine.ids import AgentId, ContactId, OfferId

# Of what every step asks for: a member of an enum costs a look-up in its class.
_STEP = What.STEP

AgentEvent = (
    ev.AgentLoggedIn
    | ev.AgentLoggedOut
    | ev.AgentPaused
    | ev.AgentReady
    | ev.AgentDeviceChanged
    | ev.AgentCallStarted
    | ev.AgentCallEnded
    | ev.WrapUpCoded
    | ev.SkillsChanged
    | ev.SkillOverridden
)


def agent_event(world: World, event: AgentEvent) -> None:
    """Apply an event that names an agent."""
    agent = world.agents.get(event.agent_id)
    if agent is None:
        kind = type(event).__name__
        world.out.append(cmd.EventRejected(kind=kind, reason=f"agent {event.agent_id}?"))
        return
    match event:
        case ev.AgentLoggedIn():
            logged_in(world, agent, event.by)
        case ev.AgentLoggedOut():
            logged_out(world, agent)
        case ev.AgentPaused():
            paused(world, agent, event)
        case ev.AgentReady():
            ready(world, agent)
        case ev.AgentDeviceChanged():
            device_changed(world, agent, event)
        case ev.AgentCallStarted() | ev.AgentCallEnded():
            call_changed(world, agent, event)
        case ev.WrapUpCoded():
            wrap_up_coded(world, agent, event.code)
        case ev.SkillsChanged() | ev.SkillOverridden():
            skills_changed(world, agent, event)


def logged_in(world: World, agent: Agent, by: str) -> None:
    """The agent came to work, ready."""
    if agent.logged_in or agent.removed:
        return
    agent.logged_in, agent.logged_in_by = True, by
    agent.misses = agent.handling_us = agent.ready_us = 0
    agent.activity, agent.activity_since = Activity.NEITHER, world.now
    world.count_login(agent, +1)
    became_ready(world, agent)


def logged_out(world: World, agent: Agent) -> None:
    """The agent goes: a ring is taken back, a talk and its wrap-up end first."""
    if not agent.logged_in:
        return
    go_home(world, agent)
    release_preferences(world, agent)
    supply_shrank(world)
    leave_config(world, agent)


def go_home(world: World, agent: Agent) -> None:
    """Log the agent out; P1 for those who waited for him, or find fewer now, is the caller's."""
    if not agent.logged_in:
        return
    world.count_login(agent, -1)
    agent.logged_in = agent.paused = False
    agent.pause_reason = agent.rest_reason = ""
    agent.pause_until = agent.rest_until = None
    if agent.shift_skills or agent.overrides:
        skills.end_of_shift(world, agent)
    world.settle(agent)
    for slot in agent.slots:
        if slot.work is Work.OFFER and slot.offer is not None:
            _recall(world, slot.offer)


def _recall(world: World, offer_id: OfferId) -> None:
    """Take an offer back from those who go; the others of ``ring: all`` ring on."""
    offer = world.offers[offer_id]
    if not any(world.agents[leg.agent].logged_in for leg in offer.legs):
        rescind(world, offer, "logged_out")


def paused(world: World, agent: Agent, event: ev.AgentPaused) -> None:
    """Not ready, from the end of what is in hand."""
    if not agent.logged_in:
        return
    agent.paused, agent.pause_reason, agent.pause_until = True, event.reason, event.until
    if event.until is not None:
        until = agent.pause_until = max(event.until, world.now)
        world.timers.push(until, Kind.AGENT_ABLE, agent.rank, What.PAUSE, agent.agent_id)
    world.settle(agent)
    release_preferences(world, agent)


def ready(world: World, agent: Agent) -> None:
    """The agent asks for work: ends a pause and wrap-up, not a rest."""
    if not agent.logged_in:
        return
    wrapping = [slot for slot in agent.slots if slot.work is Work.WRAP_UP]
    if not agent.paused and not wrapping:
        return
    agent.paused, agent.pause_reason, agent.pause_until = False, "", None
    for slot in wrapping:
        free_slot(slot)
    became_ready(world, agent)


def device_changed(world: World, agent: Agent, event: ev.AgentDeviceChanged) -> None:
    """The phone came or went, or is in a call that is not ours.

    While we ring or talk on it that shows nowhere, but it is remembered: an offer that the native
    queue was faster than ends soon, and his phone rings on.
    """
    before = (agent.reachable, agent.in_use, agent.phone)
    if before == (event.reachable, event.in_use, event.phone):
        return
    busy_by_us = any(
        slot.medium is Medium.VOICE and slot.work in (Work.OFFER, Work.TALK) for slot in agent.slots
    )
    freed = agent.in_use and not event.in_use and not busy_by_us
    better = freed or (event.reachable and not agent.reachable)
    agent.reachable, agent.in_use, agent.phone = event.reachable, event.in_use, event.phone
    if better:
        became_ready(world, agent)
    else:
        resume_agent(world, agent)


def call_changed(
    world: World, agent: Agent, event: ev.AgentCallStarted | ev.AgentCallEnded
) -> None:
    """A call of his own began or is over."""
    before = len(agent.calls)
    if isinstance(event, ev.AgentCallStarted):
        if event.call_id not in agent.calls:
            agent.calls = {**agent.calls, event.call_id: event.kind}
            _asks(world, agent, event)
    else:
        kind = agent.calls.get(event.call_id, "")
        consult_over(world, agent, event.call_id, kind, event.at)
        agent.calls = {c: kind for c, kind in agent.calls.items() if c != event.call_id}
    if before and not agent.calls:
        became_ready(world, agent)
    elif before != len(agent.calls):
        world.settle(agent)


def _asks(world: World, agent: Agent, event: ev.AgentCallStarted) -> None:
    """Note about which contact his call is."""
    about = world.contacts.get(event.contact_id) if event.contact_id is not None else None
    if about is not None and not about.consult:
        started = world.now if event.at is None else min(event.at, world.now)
        consulting = Consulting(contact=about.contact_id, n=about.segment_n, started=started)
        agent.consults = {**agent.consults, event.call_id: consulting}


def wrap_up_coded(world: World, agent: Agent, code: str) -> None:
    """Put the result code on record, for the present contact or else the last one."""
    slots = [slot for slot in agent.slots if slot.work is Work.TALK]
    talks = [slot.contact for slot in sorted(slots, key=lambda slot: slot.parked)]
    contact_id = talks[0] if talks else agent.last_contact
    if contact_id is not None:
        world.out.append(
            cmd.WrapUpResult(agent_id=agent.agent_id, contact_id=contact_id, code=code)
        )


def skills_changed(
    world: World, agent: Agent, event: ev.SkillsChanged | ev.SkillOverridden
) -> None:
    """A supervisor gave the agent other skills."""
    if skills.changed(world, agent, event):
        skills_moved(world, agent)


def skills_moved(world: World, agent: Agent) -> None:
    """New skills act on those who wait at once."""
    world.profile_agent(agent)
    world.settle(agent)
    release_preferences(world, agent)
    serve_agent(world, agent)
    supply_shrank(world)


def supply_shrank(world: World) -> None:
    """Fewer agents than before may serve some contacts: the exception to P6 may hold for them."""
    if world.barred:
        for contact in sorted(world.barred.values(), key=lambda c: c.sequence):
            if contact.state is ContactState.WAITING:
                serve_contact(world, contact)


# --- timers ----------------------------------------------------------------------------------


def agent_timer(world: World, timer: Timer) -> None:
    """P5's kind 1: the end of a wrap-up, a rest, a pause or an override of skills."""
    agent = world.agents[AgentId(str(timer[6]))]
    match timer[3]:
        case What.WRAP_UP:
            handling_over(world, agent, agent.slots[timer[4]])
            after_talk(world, agent)
        case What.OVERRIDE:
            skills.override_over(world, agent, timer[0])
            skills_moved(world, agent)
        case What.REST:
            agent.rest_until, agent.rest_reason = None, ""
            became_ready(world, agent)
        case _:
            agent.paused, agent.pause_reason, agent.pause_until = False, "", None
            became_ready(world, agent)


def line_due(world: World, line: DueLine) -> None:
    """P5's kinds 2 and 3: the next step of the first of a line, or the end of its waiting."""
    if isinstance(line, LeaveLine):
        line.ripen(world.now)
    contact = line.take()[3]
    assert contact.queue is not None
    if line.what is _STEP:
        step = contact.step + 1
        set_step(world, contact, step)
        assert contact.step == step, f"no progress: {contact}"
        if contact.prefer_agent is not None:
            keep_preference(world, contact)
        world.age(contact)
        serve_contact(world, contact)
    else:
        settings = world.queues[contact.queue].settings
        if line.what is What.MAXWAIT:
            end_waiting(world, contact, Disposition.TIMEOUT, settings.timed_out)
        else:
            end_waiting(world, contact, Disposition.NO_AGENT, settings.unstaffed)


def contact_timer(world: World, timer: Timer) -> None:
    """The end of an exclusion or of a preference, or of the time that a second line has."""
    contact = world.contacts[ContactId(str(timer[6]))]
    if timer[3] is What.GIVE_BACK:
        second_line.overdue(world, contact)
        return
    if timer[3] is What.PREFERENCE:
        _preference_over(world, contact)
        return
    contact.excluded = {a: until for a, until in contact.excluded.items() if until > world.now}
    if not contact.excluded:
        world.barred.pop(contact.contact_id, None)
    if contact.state is ContactState.WAITING:
        serve_contact(world, contact)


def _preference_over(world: World, contact: Contact) -> None:
    """P7: ``for`` has ended; a ring at the preferred agent is taken back."""
    drop_preference(world, contact)
    if contact.state is ContactState.WAITING:
        world.line_up(contact)
        serve_contact(world, contact)
    elif contact.offer is not None:
        rescind(world, world.offers[contact.offer], "preference over")
