"""An agent's skills: those of the config or of the shift, and a supervisor's overrides on top."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.state import Agent, Override
from gkc_engine.acd.world import World
from gkc_engine.ids import Instant, SkillId


def base(agent: Agent) -> dict[SkillId, int]:
    """Return the agent's skills without the overrides."""
    return agent.skills if agent.under is None else agent.under


def put(agent: Agent, skills: dict[SkillId, int]) -> None:
    """Give the agent these skills, with the overrides in force on top of them."""
    if not agent.overrides:
        agent.skills, agent.under = skills, None
        return
    agent.under = skills
    over = {skill: o.level for skill, o in agent.overrides.items()}
    agent.skills = {skill: level for skill, level in {**skills, **over}.items() if level}


def changed(world: World, agent: Agent, event: ev.SkillsChanged | ev.SkillOverridden) -> bool:
    """Take new skills; say whether they are to act now."""
    if isinstance(event, ev.SkillOverridden):
        return overridden(world, agent, event)
    agent.shift_skills = True
    put(agent, dict(event.skills))
    return True


def overridden(world: World, agent: Agent, event: ev.SkillOverridden) -> bool:
    """Set or take back one override; say whether that changed anything.

    One whose end has passed already, or of a level that was never one, is refused.
    """
    if event.level is not None and not 0 <= event.level <= 10:
        _refuse(world, f"level {event.level}?")
        return False
    if event.until is not None and event.until <= world.now:
        _refuse(world, "its end has passed")
        return False
    before = agent.overrides.get(event.skill)
    if event.level is None:
        if before is None:
            return False
        _keep(agent, {s: o for s, o in agent.overrides.items() if s != event.skill})
    else:
        override = Override(level=event.level, until=event.until)
        if override == before:
            return False
        _keep(agent, {**agent.overrides, event.skill: override})
        if event.until is not None:
            world.arm_override(agent, event.until)
    _say(world, agent)
    return True


def _refuse(world: World, reason: str) -> None:
    world.out.append(cmd.EventRejected(kind="SkillOverridden", reason=reason))


def _keep(agent: Agent, overrides: dict[SkillId, Override]) -> None:
    """Let these overrides be in force and no others."""
    skills = base(agent)
    agent.overrides = overrides
    put(agent, skills)


def _say(world: World, agent: Agent) -> None:
    world.out.append(cmd.SkillsInForce(agent_id=agent.agent_id, skills=dict(agent.skills)))


def override_over(world: World, agent: Agent, due: Instant) -> None:
    """End the overrides whose end this instant is."""
    _keep(agent, {s: o for s, o in agent.overrides.items() if o.until is None or o.until > due})
    _say(world, agent)


def end_of_shift(world: World, agent: Agent) -> None:
    """The agent logs out: what has no end of its own ends now.

    What a supervisor changed was for the shift; an agent gone from the config keeps it.
    """
    had = agent.overrides
    timed = {s: o for s, o in had.items() if o.until is not None}
    if len(timed) < len(had):
        _keep(agent, timed)
    if agent.shift_skills:
        agent.shift_skills = False
        mine = (a for a in world.settings.agents if a.agent_id == agent.agent_id)
        settings = next(mine, None)
        if settings is not None:
            put(agent, dict(settings.skills))
    world.profile_agent(agent)
    if len(timed) < len(had):
        _say(world, agent)
