"""The config in the core's own terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gkc_engine.acd.events import SettingsApplied
from gkc_engine.acd.settings import (
    AgentSettings,
    Blending,
    OutboundSettings,
    Prefer,
    QueueSettings,
    RelaxStep,
    Settings,
    Then,
    Treatment,
)
from gkc_engine.config.federation import second_lines
from gkc_engine.config.models import Config, OperatorModel, PreferModel, QueueModel, TreatmentModel
from gkc_engine.config.outbound_model import OutboundModel
from gkc_engine.ids import AgentId, QueueId, SkillId


def applied(config: Config, *, author: str, diff: Sequence[str] = ()) -> SettingsApplied:
    """Return the event by which ``config`` comes into force, with all of it for the record.

    ``author``: who had it applied, as in the audit; ``diff``: what it changes, a line each.
    """
    return SettingsApplied(
        settings=to_settings(config), tree=config.tree, author=author, diff=tuple(diff)
    )


def to_settings(config: Config) -> Settings:
    """Return what the core needs of ``config``; queues and agents in the order of the files."""
    center, lines = config.center, second_lines(config)
    return Settings(
        version=config.version,
        center=center.name,
        order=center.order,
        maxlen=center.maxlen,
        max_no_answer=center.max_no_answer,
        autopause_us=center.autopause_for,
        blending={
            medium: Blending(excludes=b.excludes, interrupts=b.interrupts)
            for medium, b in center.blending.items()
        },
        outbound=_outbound(config.outbound),
        queues=tuple(
            _queue(QueueId(name), q, second_line=name in lines) for name, q in config.queues.items()
        ),
        agents=tuple(_agent(AgentId(name), o) for name, o in config.operators.items()),
    )


def _outbound(model: OutboundModel | None) -> OutboundSettings:
    if model is None:
        return OutboundSettings()
    return OutboundSettings(
        per_operator_hour=model.caps.per_operator_hour,
        concurrent=model.caps.concurrent,
        wrapup_us=model.wrapuptime,
    )


def _levels(levels: Mapping[str, int]) -> dict[SkillId, int]:
    return {SkillId(skill): level for skill, level in levels.items()}


def _treatment(model: TreatmentModel, own: str) -> Treatment:
    """``own``: the engine's announcement, so that nobody is cut off in silence."""
    queue = model.queue
    if queue is None:
        return Treatment(say=model.say or own)
    return Treatment(say=model.say, then=Then.QUEUE, queue=QueueId(queue))


def _queue(queue_id: QueueId, q: QueueModel, *, second_line: bool) -> QueueSettings:
    return QueueSettings(
        queue_id=queue_id,
        title=q.title,
        service=q.service,
        medium=q.medium,
        require=_levels(q.require),
        relax=tuple(RelaxStep(after_us=s.after, require=_levels(s.require)) for s in q.relax),
        strategy=q.strategy,
        ring=q.ring,
        contact_class=q.contact_class,
        head_start_us=q.head_start,
        slope_milli=q.slope,
        timeout_us=q.timeout,
        wrapup_us=q.wrapuptime,
        same_agent_after_us=q.same_agent_after,
        reject_delay_us=q.reject_delay,
        busy_delay_us=q.busy_delay,
        no_answer_delay_us=q.no_answer_delay,
        unreachable_delay_us=q.unreachable_delay,
        servicelevel_us=q.servicelevel,
        short_abandon_us=q.short_abandon,
        maxlen=q.maxlen,
        maxwait_us=q.maxwait,
        maxwait_unstaffed_us=q.maxwait_unstaffed,
        joinempty=q.joinempty,
        leavewhenempty=q.leavewhenempty,
        return_after_us=q.return_after if second_line else None,
        resume_within_us=q.resume_within,
        prefer=_prefer(q.prefer),
        fallback=QueueId(q.fallback) if q.fallback else None,
        full=_treatment(q.full, "full"),
        closed=_treatment(q.closed, "closed"),
        leave_at_closing=q.at_closing == "leave",
        emergency_closed=_treatment(q.emergency_closed, "emergency-closed"),
        timed_out=_treatment(q.timed_out, "timed-out"),
        unstaffed=_treatment(q.unstaffed, "unstaffed"),
    )


def _prefer(model: PreferModel | None) -> Prefer | None:
    return None if model is None else Prefer(for_us=model.for_, window_us=model.window)


def _agent(agent_id: AgentId, operator: OperatorModel) -> AgentSettings:
    return AgentSettings(
        agent_id=agent_id, skills=_levels(operator.skills), capacity=dict(operator.capacity)
    )
