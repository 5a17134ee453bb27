"""``gkc plan``: what another config would have done with the contacts of a recorded time.

Both configs are run (``rerun``) on the same contacts: today's, to see how far a run is from what
really happened, and the new one. Only the difference between the two runs is a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import sqlalchemy as sa

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Settings
from gkc_engine.config.guardrail_model import guardrails_of
from gkc_engine.config.hours import is_open, next_change, zone_of
from gkc_engine.config.models import Config, GuardrailModel
from gkc_engine.config.settings import to_settings
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, QueueId
from gkc_engine.recorder.history import HistoryError
from gkc_engine.recorder.queries import iso
from gkc_engine.simulation.measured import Fate, Figures, Measured
from gkc_engine.simulation.needs import needs_of, patience_of
from gkc_engine.simulation.past import Past, Watcher, read
from gkc_engine.simulation.rerun import Rerun

SHARE_BOUND: Final = 0.05
"""A service level or abandon rate of today's rerun further than this from the real one warns."""

ASA_BOUND_S: Final = 5.0
ASA_BOUND: Final = 0.1
"""The same for the mean wait: 5 s, or a tenth of the real one, whichever is more."""

WORSE_S: Final = 1.0
"""A contact fares worse when it waits longer by more than this."""

Timed = Sequence[tuple[Instant, ev.Event]]


@dataclass(slots=True, kw_only=True)
class Change:
    """The new config, as far as a rerun knows it."""

    settings: Settings
    guardrails: Mapping[str, GuardrailModel] = field(default_factory=dict)
    always: frozenset[AgentId] = frozenset()
    """Operators who are at work without logging in."""
    config: Config | None = None
    """For the opening hours; None = those on record hold."""


def change_of(config: Config) -> Change:
    """Return what a config means for a rerun."""
    return Change(
        settings=to_settings(config),
        guardrails=config.guardrails,
        always=frozenset(AgentId(n) for n, o in config.operators.items() if o.login == "always"),
        config=config,
    )


@dataclass(slots=True, kw_only=True)
class Worse:
    """A contact that fares worse under the new config."""

    contact_id: ContactId
    number: str
    queue: QueueId
    now: Fate
    then: Fate | None
    """None: the queue is gone."""

    @property
    def lost(self) -> bool:
        """Whether it is answered today and not then."""
        return self.now.outcome == "answered" and not self._answered

    @property
    def _answered(self) -> bool:
        return self.then is not None and self.then.outcome == "answered"

    @property
    def longer_us(self) -> int:
        """How much longer it waits."""
        return (self.then.wait_us if self.then is not None else 0) - self.now.wait_us


@dataclass(slots=True, kw_only=True)
class Breach:
    """A figure beyond its bound; ``was`` is today's rerun's (of a guard-rail), or the real one."""

    queue: QueueId
    figure: str
    bound: float
    value: float | None
    """None: nothing was counted in the rerun, and something really."""
    was: float | None


@dataclass(slots=True, kw_only=True)
class DryRun:
    """What came of it."""

    since: Instant
    until: Instant
    seed: int
    contacts: int
    """That entered a queue in that time."""
    today: str
    new: str
    """Config versions."""
    really: dict[QueueId, Figures]
    rerun: dict[QueueId, Figures]
    """Today's config, rerun, as far as the record goes: what is held against ``really``."""
    now: dict[QueueId, Figures]
    """The same until nobody waits any more."""
    then: dict[QueueId, Figures]
    """The new config."""
    at_best: dict[QueueId, Figures]
    """The same as if whoever is never served were answered where the record ends: guard-rails hold
    against this, for else it would do best to answer nobody."""
    worse: list[Worse] = field(default_factory=list)
    """The worst first."""
    off: list[Breach] = field(default_factory=list)
    """How today's rerun is too far from what happened."""
    broken: list[Breach] = field(default_factory=list)
    """Guard-rails."""
    unjudged: list[str] = field(default_factory=list)
    """Guard-rails of which nothing was counted."""
    notes: list[str] = field(default_factory=list)


def dry_run(
    connection: sa.Connection, change: Change, since: Instant, until: Instant, *, seed: int = 1
) -> DryRun:
    """Return what ``change`` would have done with the contacts of [since, until).

    Args:
        connection: Of the store, read only.
        change: The new config.
        since: First instant.
        until: The instant after the last.
        seed: Of what was not observed and is drawn: patience of those who were answered, talks of
            those who were not.

    Raises:
        HistoryError: What it needs is not on record; says what is missing.
        EndlessRunError: A contact is offered again and again.
    """
    measured: list[Measured] = []

    def watch(past: Past) -> Watcher:
        measured.append(Measured(past.state, past.since, past.until))
        return measured[0].observe

    past = read(connection, since, until, watch)
    (real,) = measured
    real.finish(past.end)
    needs = needs_of(past, seed)
    if not any(agent.logged_in for agent in past.state.agents) and not any(
        isinstance(event, ev.AgentLoggedIn) for _, event in past.presence
    ):
        raise HistoryError("no operator was at work in that time: there is nobody to distribute to")
    today = Rerun(past, past.settings, needs, past.presence)
    now = today.run()
    then = Rerun(past, change.settings, needs, _presence(past, change)).run()
    run = DryRun(
        since=past.since,
        until=past.until,
        seed=seed,
        contacts=len(past.queued()),
        today=past.settings.version,
        new=change.settings.version,
        really=real.by_queue(past.settings),
        rerun=today.at_end.by_queue(past.settings),
        now=now.by_queue(past.settings),
        then=then.by_queue(change.settings),
        at_best=then.at_best(change.settings),
    )
    numbers = {c.contact_id: c.start.number for c in past.contacts.values() if c.start is not None}
    run.worse = _worse(now.fates, then.fates, numbers)
    run.off = _off(run)
    rails, dropped = _rails(past, change)
    judge(run, rails)
    run.notes = [*_notes(past, change, (since, until)), *_still_waiting(run)]
    if dropped:
        run.notes.append(f"today's guard-rails, judged though dropped: {', '.join(dropped)}")
    return run


def _presence(past: Past, change: Change) -> Timed:
    """Return the facts beside the contacts as they are under the new config."""
    today = {agent.agent_id for agent in past.settings.agents}
    always = [a.agent_id for a in change.settings.agents if a.agent_id in change.always - today]
    facts: list[tuple[Instant, ev.Event]] = [
        (past.since, ev.AgentLoggedIn(agent_id=agent_id, by="always")) for agent_id in always
    ]
    facts += past.presence
    if change.config is None:
        return facts
    facts = [fact for fact in facts if not isinstance(fact[1], ev.HoursChanged)]
    return [*opening_hours(change.config, past.since, past.end), *facts]


def opening_hours(config: Config, since: Instant, until: Instant) -> list[tuple[Instant, ev.Event]]:
    """Return when each queue opens and closes by its calendar; first what it is at ``since``."""
    found: list[tuple[Instant, ev.Event]] = []
    for name, queue in config.queues.items():
        calendar = config.calendars.get(queue.hours) if queue.hours else None
        at: Instant | None = since
        while at is not None and at <= until:
            opened = calendar is None or is_open(calendar, zone_of(calendar, _zone(config)), at)
            found.append((at, ev.HoursChanged(queue=QueueId(name), open=opened)))
            at = next_change(calendar, zone_of(calendar, _zone(config)), at) if calendar else None
    return found


def _zone(config: Config) -> str:
    return config.center.timezone


# --- comparing -------------------------------------------------------------------------------


def _worse(
    now: Mapping[ContactId, Fate],
    then: Mapping[ContactId, Fate],
    numbers: Mapping[ContactId, str],
) -> list[Worse]:
    found = [
        Worse(
            contact_id=contact_id,
            number=numbers.get(contact_id, ""),
            queue=fate.queue,
            now=fate,
            then=then.get(contact_id),
        )
        for contact_id, fate in now.items()
    ]
    found = [one for one in found if one.lost or _waits_longer(one)]
    return sorted(found, key=lambda one: (not one.lost, -one.longer_us, one.contact_id))


def _waits_longer(one: Worse) -> bool:
    both = one.then is not None and one.now.outcome == one.then.outcome == "answered"
    return both and one.longer_us > WORSE_S * SECOND


def _off(run: DryRun) -> list[Breach]:
    found: list[Breach] = []
    for queue, real in run.really.items():
        now = run.rerun[queue]
        asa_bound = max(ASA_BOUND_S, ASA_BOUND * (real.asa_s or 0.0))
        for figure, bound in (
            ("sl", SHARE_BOUND),
            ("abandon_rate", SHARE_BOUND),
            ("asa_s", asa_bound),
            ("waiting_rate", SHARE_BOUND),
        ):
            was, value = getattr(real, figure), getattr(now, figure)
            if was is None:
                continue
            if value is None or abs(value - was) > bound:
                breach = Breach(queue=queue, figure=figure, bound=bound, value=value, was=was)
                found.append(breach)
    return found


def _rails(past: Past, change: Change) -> tuple[dict[str, GuardrailModel], list[str]]:
    """Return the guard-rails to hold, and which of them only today's config has.

    A bound that the new config changes is as it says. One that it drops holds all the same: else a
    change that breaks it would need no more than to leave the line out.
    """
    rails, dropped = dict(change.guardrails), []
    queues = {queue.queue_id for queue in change.settings.queues}
    for name, today in guardrails_of(past.tree).items():
        new = rails.get(name)
        bounds = {k: v for k, v in today if v is not None and getattr(new, k, None) is None}
        if bounds and name in queues:
            rails[name] = (new or today).model_copy(update=bounds)
            dropped += [f"{name}: {key}" for key in bounds]
    return rails, dropped


def judge(run: DryRun, guardrails: Mapping[str, GuardrailModel]) -> None:
    """Add to the run which guard-rails the new config breaks, and which cannot be judged."""
    for name, rail in guardrails.items():
        queue = QueueId(name)
        then, now = run.at_best[queue], run.now.get(queue)
        for key, figure, bound in (
            ("sl_min", "sl", rail.sl_min),
            ("abandoned_max", "abandon_rate", rail.abandoned_max),
            ("asa_max", "asa_s", None if rail.asa_max is None else rail.asa_max / SECOND),
            ("p90_max", "p90_s", None if rail.p90_max is None else rail.p90_max / SECOND),
        ):
            if bound is None:
                continue
            value = getattr(then, figure)
            if value is None:
                run.unjudged.append(f"{name}: {key}")
            elif value < bound if key == "sl_min" else value > bound:
                was = None if now is None else getattr(now, figure)
                breach = Breach(queue=queue, figure=key, bound=bound, value=value, was=was)
                run.broken.append(breach)


def _still_waiting(run: DryRun) -> list[str]:
    told = [
        f"{queue} {run.now[queue].waiting if queue in run.now else '-'} -> {then.waiting}"
        for queue, then in run.then.items()
        if then.waiting
    ]
    if not told:
        return []
    who = f"still waiting an hour after the record ends, in no figure of waits: {', '.join(told)}"
    return [f"{who}; guard-rails take them for answered where it ends"]


def _changed_but_away(past: Past, change: Change) -> list[str]:
    """Return the agents of today's config whom the new one has otherwise, and who never came."""
    there = {agent.agent_id for agent in past.state.agents if agent.logged_in}
    there |= {event.agent_id for _, event in past.presence if isinstance(event, ev.AgentLoggedIn)}
    new = {agent.agent_id: agent for agent in change.settings.agents}
    return [
        agent.agent_id
        for agent in past.settings.agents
        if agent.agent_id not in there and new.get(agent.agent_id) != agent
    ]


def _notes(past: Past, change: Change, asked: tuple[Instant, Instant]) -> list[str]:
    notes: list[str] = []
    if asked[0] < past.since or asked[1] > past.until:
        notes.append(f"the ledger holds {iso(past.since)} to {iso(past.until)} of what was asked")
    if past.changes:
        notes.append(
            f"the config changed {past.changes} times within; both runs keep one from end to end"
        )
    if past.version != past.settings.version:
        notes.append("today's config is a later one than that of the time")
    if past.by_fallback:
        notes.append(
            f"{len(past.by_fallback)} contacts were answered by the native queue, while the engine "
            f"was away; in both runs it never is, and {past.never_ours} of them, who were in no "
            "queue of ours, are left out"
        )
    patient = [
        queue
        for queue, curve in patience_of(past).items()
        if not curve.times and queue in {contact.queue for contact in past.queued()}
    ]
    if patient:
        notes.append(f"nobody gave up, so in both runs nobody does, in: {', '.join(patient)}")
    if replace(change.settings, version="") == replace(past.settings, version=""):
        notes.append("the new config decides nothing otherwise than today's")
    today = {agent.agent_id for agent in past.settings.agents}
    absent = [
        agent.agent_id
        for agent in change.settings.agents
        if agent.agent_id not in today and agent.agent_id not in change.always
    ]
    if absent:
        notes.append(f"never at work, because no login is on record: {', '.join(absent)}")
    away = _changed_but_away(past, change)
    if away:
        notes.append(f"not at work in that time, so their change shows nothing: {', '.join(away)}")
    shifted = {a.agent_id for a in past.state.agents if a.shift_skills or a.overrides}
    changed = ev.SkillsChanged | ev.SkillOverridden
    shifted |= {e.agent_id for _, e in past.presence if isinstance(e, changed)}
    if shifted:
        notes.append(
            "a supervisor had changed their skills for a while, which holds in both runs: "
            + ", ".join(sorted(shifted))
        )
    return notes
