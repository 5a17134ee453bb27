"""An explanation for programs: JSON's own types, with the words of docs/reference/cli.md."""

from __future__ import annotations

from typing import Any

from gkc_engine.acd.why import RULE_OF, Candidate, Obstacle, Place
from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder.queries import iso
from gkc_engine.simulation.decisions import Decision
from gkc_engine.simulation.explain import Explanation, Moment
from gkc_engine.simulation.explain_text import Numbers

Json = dict[str, Any]


def as_json(told: Explanation, numbers: Numbers) -> Json:
    """Return the whole explanation."""
    return {
        "contact_id": told.contact_id,
        "number": told.number,
        "owner": told.owner or None,
        "steps": told.steps,
        "differences": told.differences,
        "served_before": told.served_before,
        "passed_by": [
            {"bar": bar.value, "rule": RULE_OF[bar], "skill": skill, "contacts": count}
            for (bar, skill), count in sorted(told.passed_by.items())
        ],
        "moments": [_moment(moment, numbers) for moment in told.moments],
    }


def _moment(moment: Moment, numbers: Numbers) -> Json:
    whole: Json = {
        "at": iso(moment.at),
        "what": moment.what.value,
        "seq": moment.seq,
        "rules": list(moment.rules),
        "config_version": moment.version,
        "queue": moment.queue,
        "step": moment.step,
        "requirement": dict(moment.requirement),
        "former": None if moment.former is None else dict(moment.former),
        "key": _place(moment.place, numbers),
        "before": [_place(place, numbers) for place in moment.before],
        "agents": [_candidate(candidate) for candidate in moment.candidates],
        "decision": _decision(moment.decision, numbers),
        "agent_id": moment.agent_id,
        "other": _place(moment.other, numbers),
        "by": None if moment.part is None else moment.part.value,
        "obstacles": [_obstacle(obstacle) for obstacle in moment.obstacles],
        "outcome": moment.outcome,
        "reason": moment.reason,
        "not_asked": dict(moment.not_asked),
        "resumes": moment.resumes,
        "by_supervisor": moment.by_supervisor or None,
        "wait_s": None if moment.wait_us is None else moment.wait_us / SECOND,
    }
    always = ("at", "what", "seq", "rules", "config_version")
    return {k: v for k, v in whole.items() if k in always or v not in (None, [], {}, "")}


def _place(place: Place | None, numbers: Numbers) -> Json | None:
    if place is None:
        return None
    return {
        "contact_id": place.contact_id,
        "number": numbers.get(place.contact_id),
        "queue": place.queue,
        "state": place.state.value,
        "class": place.contact_class.value,
        "enqueued": iso(place.enqueued),
        "head_start_s": place.head_start_us / SECOND,
        "slope": place.slope_milli / 1000,
        "match": place.match,
        "sequence": place.sequence,
        "key": list(place.key),
    }


def _candidate(candidate: Candidate) -> Json:
    return {
        "agent_id": candidate.agent_id,
        "may": candidate.may,
        "in_hand": candidate.in_hand,
        "value": str(candidate.value),
        "idle_since": iso(candidate.idle_since),
        "rank": candidate.rank,
        "obstacles": [_obstacle(obstacle) for obstacle in candidate.obstacles],
    }


def _obstacle(obstacle: Obstacle) -> Json:
    whole: Json = {
        "bar": obstacle.bar.value,
        "rule": RULE_OF[obstacle.bar],
        "skill": obstacle.skill,
        "has": obstacle.has if obstacle.skill is not None else None,
        "needs": obstacle.needs if obstacle.skill is not None else None,
        "reason": obstacle.reason or None,
        "until": _when(obstacle.until),
        "contact_id": obstacle.contact_id,
        "agent_id": obstacle.agent_id,
    }
    return {key: value for key, value in whole.items() if value is not None}


def _when(at: Instant | None) -> str | None:
    return None if at is None else iso(at)


def _decision(decision: Decision | None, numbers: Numbers) -> Json | None:
    if decision is None:
        return None
    part = decision.parted
    return {
        "rule": decision.rule.value,
        "offer_id": decision.offer_id,
        "agents": list(decision.agents),
        "strategy": decision.strategy.value,
        "order": decision.order.value,
        "ring_all": decision.ring_all,
        "agent_by": decision.decider.value,
        "contact_by": None if part is None else part.value,
        "able": [candidate.agent_id for candidate in decision.able],
        "line": [_place(place, numbers) for place in decision.line],
    }
