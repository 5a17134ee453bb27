"""With whom a citizen talked, one after the other, as Asterisk's list of past legs has it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gkc_engine.channels.phone.cel import History, PastLeg
from gkc_engine.ids import AgentId, Instant

AgentOf = Callable[[str | None], AgentId | None]
"""Whose phone an endpoint is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """An operator's leg that was connected with a citizen."""

    agent_id: AgentId
    leg: str
    answered: Instant | None
    ended: Instant | None
    native: bool
    """The native queue connected them, not our Dial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How a talk came from one operator to the next."""

    at: Instant | None
    """When the next one had the citizen: a colleague who was asked may have answered long before.
    """
    left: Instant | None
    """When the first one had gone, if the citizen waited for the next one since."""
    attended: bool | None
    """Whether the next one was asked first; ``None``: the list does not say."""


def before(past: History, citizen: str, last: Talk, agent_of: AgentOf) -> list[PastLeg]:
    """Return the operators' legs that a citizen had talked on before ``last``, in their order.

    Who was only asked for advice came later and left before one of the others.
    """
    answered = [
        told
        for told in past.dialled_for(citizen)
        if told.answered is not None and agent_of(told.endpoint) is not None
    ]
    return sorted(
        (
            told
            for told in answered
            if told.ended is not None and told.leg != last.leg
            if last.answered is None or _at(told.answered) < last.answered
            if not any(_within(told, other) for other in answered)
        ),
        key=lambda told: _at(told.answered),
    )


def apart(one: Talk, other: Talk) -> bool:
    """Whether a talk was over when the next began: of one operator, sent to a queue by him, too."""
    return one.ended is not None and other.answered is not None and one.ended <= other.answered


def moved(past: History, from_legs: Sequence[PastLeg], talk: Talk) -> Moved:
    """Return how ``talk`` became the citizen's after ``from_legs``, the legs of who had him.

    A completed transfer ends the leg of who transferred; asked first, the colleague had been called
    by then, rung later, his leg begins after that.
    """
    ends = [
        _at(told.ended)
        for told in from_legs
        if told.ended is not None and told.leg != talk.leg
        if talk.answered is None or told.started is None or told.started < talk.answered
    ]
    gone = max(ends, default=None)
    at = max((x for x in (talk.answered, gone) if x is not None), default=None)
    told = past.legs.get(talk.leg)
    if gone is None or told is None or told.started is None:
        return Moved(at=at, left=None, attended=None)
    attended = told.started < gone
    waited = not attended and at is not None and gone < at
    return Moved(at=at, left=gone if waited else None, attended=attended)


def _within(told: PastLeg, other: PastLeg) -> bool:
    if told.leg == other.leg:
        return False
    over = other.ended is None or _at(told.ended) <= other.ended
    return _at(other.answered) <= _at(told.answered) and over


def _at(instant: Instant | None) -> Instant:
    assert instant is not None
    return instant
