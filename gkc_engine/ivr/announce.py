"""When a waiting citizen is told the place and the expected wait, and what exactly. Pure.

The words are Asterisk's (queues.conf): ``announce-frequency`` is the longest time between two
announcements, ``min-announce-frequency`` the shortest; between them a better place is told at
once. ``announce-position`` is ``yes``, ``no``, ``limit`` (only the first N places) or ``more``
(behind them: «более N человек»), ``announce-holdtime`` is ``yes``, ``once`` or ``no``.
``periodic-announce`` is a prompt of its own rhythm, for instance «оставайтесь на линии».

Two rules are ours (docs/reference/routing-policy.md, "Expected wait"): a place or a wait is never
told worse than before without its cause, and an estimate from too few data is not told at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from gkc_engine.config.models import QueueModel
from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.ivr.fragments import (
    POSITION_MAX,
    WAIT_LADDER_MIN,
    more_prompts,
    position_prompts,
    wait_prompts,
)

PLACE_CHANGED = "place-changed"
"""The prompt that states the usual cause of a worse place: urgent calls came in."""


class PositionMode(StrEnum):
    """``announce-position``."""

    YES = "yes"
    NO = "no"
    LIMIT = "limit"
    MORE = "more"


class HoldtimeMode(StrEnum):
    """``announce-holdtime``."""

    YES = "yes"
    ONCE = "once"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceSettings:
    """The ``announce-*`` keys of one queue."""

    frequency_us: Micros = Micros(0)
    """0 = neither place nor wait is ever told."""
    min_frequency_us: Micros = Micros(15 * SECOND)
    position: PositionMode = PositionMode.YES
    position_limit: int = 20
    position_only_up: bool = False
    """Tell the place again only when it is better than the one told last."""
    holdtime: HoldtimeMode = HoldtimeMode.YES
    periodic: str | None = None
    periodic_frequency_us: Micros = Micros(0)
    """0 = never; the first one comes after one such time."""

    @classmethod
    def of(cls, queue: QueueModel) -> AnnounceSettings:
        """Return the settings that a queue's config says."""
        return cls(
            frequency_us=queue.announce_frequency,
            min_frequency_us=queue.min_announce_frequency,
            position=PositionMode(queue.announce_position),
            position_limit=queue.announce_position_limit,
            holdtime=HoldtimeMode(queue.announce_holdtime),
            periodic=queue.periodic_announce,
            periodic_frequency_us=queue.periodic_announce_frequency,
        )


@dataclass(frozen=True, slots=True)
class WaitRange:
    """An expected wait as it is told: more than ``lo_min``, at most ``hi_min`` whole minutes."""

    lo_min: int
    hi_min: int | None
    """``None``: more than ``lo_min`` and nobody knows how much more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What this citizen has heard so far; one per contact, since its first waiting."""

    since: Instant
    """When the waiting began: the periodic prompt counts from here."""
    at: Instant | None = None
    """The last announcement of place or wait."""
    position: int | None = None
    wait: WaitRange | None = None
    periodic_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """Prompts to play one after another, and what the citizen will have heard."""

    prompts: tuple[str, ...]
    told: Told
    says_wait: bool = False
    """Whether ``told.wait`` is said here, not at an earlier time."""


def wait_range(expected_us: int | None) -> WaitRange | None:
    """Return the step of the ladder that ``expected_us`` lies in, rounded up; ``None`` stays.

    Up to 1 minute is 0..1 («менее одной минуты»), up to 2 is 1..2, more than the top is open.
    """
    if expected_us is None or expected_us < 0:
        return None
    for lo, hi in pairwise((0, *WAIT_LADDER_MIN)):
        if expected_us <= hi * 60 * SECOND:
            return WaitRange(lo, hi)
    return WaitRange(WAIT_LADDER_MIN[-1], None)


def announcement(
    now: Instant,
    told: Told,
    position: int,
    expected: WaitRange | None,
    settings: AnnounceSettings,
    cause: str | None = None,
) -> Announcement | None:
    """Return what is to be said now, or ``None``.

    Args:
        now: The present instant.
        told: What was said to this citizen.
        position: The place in line, from 1.
        expected: The wait, or ``None`` when the data are too few to say.
        settings: Those of the queue.
        cause: The prompt that explains why the place or the wait is worse than was told, for
            instance `PLACE_CHANGED`; ``None`` when there is none, and then nothing worse is told.
    """
    if position < 1:
        raise ValueError(f"found place {position}, expected 1 or more")
    if settings.position is not PositionMode.LIMIT:
        # Behind the limit all places sound alike: none of them is news to the citizen.
        position = min(position, _limit(settings) + 1)
    regular = _regular(now, told, position, expected, settings, cause)
    if regular is not None:
        return regular
    if settings.periodic is not None and now >= _periodic_due(told, settings):
        return Announcement(prompts=(settings.periodic,), told=replace(told, periodic_at=now))
    return None


def next_check(told: Told, settings: AnnounceSettings) -> Instant | None:
    """Return when `announcement` may next have something to say; ``None`` = never.

    After it returned ``None`` at or past that instant, ask again each second: a better place
    may be told at any time.
    """
    due = []
    if _tells(settings):
        due.append(told.since if told.at is None else told.at + settings.min_frequency_us)
    if settings.periodic is not None and settings.periodic_frequency_us > 0:
        due.append(_periodic_due(told, settings))
    return Instant(min(due)) if due else None


def _tells(settings: AnnounceSettings) -> bool:
    return settings.frequency_us > 0 and (
        settings.position is not PositionMode.NO or settings.holdtime is not HoldtimeMode.NO
    )


def _periodic_due(told: Told, settings: AnnounceSettings) -> Instant:
    if settings.periodic_frequency_us <= 0:
        return Instant(2**63 - 1)
    return Instant((told.periodic_at or told.since) + settings.periodic_frequency_us)


def _regular(
    now: Instant,
    told: Told,
    position: int,
    expected: WaitRange | None,
    settings: AnnounceSettings,
    cause: str | None,
) -> Announcement | None:
    if not _tells(settings) or not _is_time(now, told, position, settings):
        return None
    worse = told.position is not None and position > told.position
    place = [] if worse and cause is None else _place(position, told, settings)
    longer = _is_longer(expected, told.wait)
    wait = [] if longer and cause is None else _wait(expected, told, settings)
    if not place and not wait:
        return None
    said_cause = [cause] if cause is not None and ((worse and place) or (longer and wait)) else []
    heard = replace(
        told,
        at=now,
        position=position if place else told.position,
        wait=expected if wait else told.wait,
    )
    return Announcement(prompts=(*said_cause, *place, *wait), told=heard, says_wait=bool(wait))


def _is_time(now: Instant, told: Told, position: int, settings: AnnounceSettings) -> bool:
    if told.at is None:
        return True
    elapsed = now - told.at
    if elapsed < settings.min_frequency_us:
        return False
    better = (
        settings.position is not PositionMode.NO
        and told.position is not None
        and position < told.position
    )
    return better or elapsed >= settings.frequency_us


def _place(position: int, told: Told, settings: AnnounceSettings) -> list[str]:
    if settings.position is PositionMode.NO:
        return []
    if settings.position_only_up and told.position is not None and position >= told.position:
        return []
    limit = _limit(settings)
    if position <= limit:
        return position_prompts(position)
    return [] if settings.position is PositionMode.LIMIT else more_prompts(limit)


def _limit(settings: AnnounceSettings) -> int:
    if settings.position in (PositionMode.LIMIT, PositionMode.MORE):
        return min(POSITION_MAX, settings.position_limit)
    return POSITION_MAX


def _wait(expected: WaitRange | None, told: Told, settings: AnnounceSettings) -> list[str]:
    if expected is None or settings.holdtime is HoldtimeMode.NO:
        return []
    if settings.holdtime is HoldtimeMode.ONCE and told.wait is not None:
        return []
    return wait_prompts(expected.lo_min, _upper(expected))


def _is_longer(expected: WaitRange | None, said: WaitRange | None) -> bool:
    return expected is not None and said is not None and _upper(expected) > _upper(said)


def _upper(wait: WaitRange) -> int:
    return 10**6 if wait.hi_min is None else wait.hi_min
