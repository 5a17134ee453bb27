"""On what operators' time went, by quarter-hours: what reports of months read of it (ADR 0039).

An operator may have several places; every instant of his counts once, as the first of
``ACTIVITIES`` that one of his places is in. The core tells of his places in the order of time, so
each change says what all since the one before was. What goes on now is in no row yet: the open
intervals tell that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gkc_engine.acd.commands import AgentState
from gkc_engine.acd.slots import DIALS
from gkc_engine.ids import CONSULT
from gkc_engine.recorder.records import Record
from gkc_engine.recorder.rollup import GRAIN_US

ACTIVITIES: Final = ("talk", "hold", "wrap_up", "dial", "ready")
"""The first of them that any place is in is what the operator does: who talks is not ready."""

COLUMNS: Final = (*(f"{activity}_us" for activity in ACTIVITIES), "paid_us")
"""Sums of a row, in microseconds."""

_PAID: Final = len(ACTIVITIES)


def doing(state: str, reason: str, contact_id: str | None) -> str | None:
    """Return on what a place's time goes; the state itself where it is none of ``ACTIVITIES``.

    ``None``: he is not there. A call of his own is no contact's talk, and who rests after a missed
    ring cannot be rung.
    """
    if state == AgentState.OFFLINE:
        return None
    if state == AgentState.TALK and reason == DIALS[1]:
        return "dial"
    if state == AgentState.READY:
        return "ready" if not reason else "rest"
    asked = contact_id is None or contact_id.startswith(CONSULT)  # by name, or by a queue
    return state if not asked or state not in ACTIVITIES else "own"


def activity_of(places: Iterable[str]) -> int | None:
    """Return which of ``ACTIVITIES`` an operator is in, given what each of his places does."""
    found = set(places)
    return next((n for n, activity in enumerate(ACTIVITIES) if activity in found), None)


class TooLongError(ValueError):
    """Something has taken longer than anything can; says what."""


@dataclass(slots=True)
class _Now:
    """What an operator's places do, and since when nothing of it has changed."""

    since: int
    places: dict[int, str] = field(default_factory=dict)


class AgentTime:
    """Follows the changes of operators' places; ``take`` gives what they add to the rows."""

    def __init__(self, longest_us: int | None = None) -> None:
        """Take how long nothing may change; ``None``: our own rows are believed."""
        self._longest_us = longest_us
        self._now: dict[str, _Now] = {}
        """Of each operator; as many as the configs had since the start."""
        self._added: dict[tuple[int, str], list[int]] = {}

    def knows(self, agent_id: str) -> bool:
        """Return whether it is known what the operator does."""
        return agent_id in self._now

    def stands(self, agent_id: str, intervals: Iterable[Mapping[str, object]]) -> None:
        """Take an operator's open intervals: all before the last of them is in the rows."""
        now = self._now[agent_id] = _Now(0)
        for one in intervals:
            start, slot, contact_id = one["start"], one["slot"], one["contact_id"]
            assert isinstance(start, int)
            assert isinstance(slot, int)
            named = None if contact_id is None else str(contact_id)
            does = doing(str(one["state"]), str(one["reason"]), named)
            now.since = max(now.since, start)
            if does is not None:
                now.places[slot] = does

    def changes(self, interval: Mapping[str, object]) -> None:
        """Take the beginning of an interval: all until then is as it was before.

        Raises:
            TooLongError: Too much time has gone by; nothing was taken.
        """
        agent_id, start = str(interval["agent_id"]), interval["start"]
        assert isinstance(start, int)
        now = self._now.setdefault(agent_id, _Now(start))
        if start > now.since:
            if now.places:
                self._not_too_long(agent_id, start - now.since)
                self._spend(agent_id, now.since, start, activity_of(now.places.values()))
            now.since = start
        slot, contact_id = interval["slot"], interval["contact_id"]
        assert isinstance(slot, int)
        named = None if contact_id is None else str(contact_id)
        does = doing(str(interval["state"]), str(interval["reason"]), named)
        if does is None:
            now.places.pop(slot, None)
        else:
            now.places[slot] = does

    def _not_too_long(self, agent_id: str, time_us: int) -> None:
        if self._longest_us is not None and time_us > self._longest_us:
            raise TooLongError(f"operator {agent_id}: {time_us} µs without a change")

    def _spend(self, agent_id: str, start: int, end: int, activity: int | None) -> None:
        while start < end:
            quarter = start - start % GRAIN_US
            until = min(end, quarter + GRAIN_US)
            sums = self._added.get((quarter, agent_id))
            if sums is None:
                sums = self._added[quarter, agent_id] = [0] * len(COLUMNS)
            sums[_PAID] += until - start
            if activity is not None:
                sums[activity] += until - start
            start = until

    def take(self) -> list[Record]:
        """Return what is to be added to the rows since the last call, by column name."""
        made: list[Record] = [
            {"start": start, "agent_id": agent_id, **dict(zip(COLUMNS, sums, strict=True))}
            for (start, agent_id), sums in self._added.items()
        ]
        self._added.clear()
        return made
