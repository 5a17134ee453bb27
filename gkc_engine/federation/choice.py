"""Which center is asked for a contact, and why not the others. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gkc_engine.federation.peers import Peer, State
from gkc_engine.federation.settings import OverflowRule
from gkc_engine.ids import Instant, Micros, QueueId

_TAKES: Final = frozenset((State.NORMAL, State.OVERLOADED))
"""One who is overloaded in one queue may have operators free for another."""


class Why(StrEnum):
    """Why a center is not asked."""

    UNKNOWN = "unknown"
    """Not heard within 3 s."""
    STATE = "state"
    BLOCKED = "blocked"
    """Its trunk gave no sign lately."""
    NO_QUEUE = "no_queue"
    CLOSED = "closed"
    UNSTAFFED = "unstaffed"
    """Nobody is at work there who could take one, but those it keeps for its own citizens."""
    NOBODY_FREE = "nobody_free"
    FLOOR = "floor"
    """Its own service level is below what it keeps for its citizens."""
    GAIN = "gain"
    """Not sooner there by enough."""
    ASKED = "asked"
    """It has just denied this contact."""


_FOR_NOW: Final = frozenset((Why.NOBODY_FREE, Why.FLOOR))
"""What may be otherwise at the next instant: the center is there."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to ask (``None``: nobody), and why not each of the others."""

    center: str | None
    gain_us: int | None
    """So much sooner than here; ``None``: nobody can tell when here."""
    not_asked: Mapping[str, Why]


def choose(
    rule: OverflowRule,
    queue: QueueId,
    own_wait_us: Micros | None,
    peers: Mapping[str, Peer],
    now: Instant,
    denied: frozenset[str] = frozenset(),
) -> Choice:
    """Return which of the rule's centers to ask for a contact.

    Args:
        rule: That applies to the contact.
        queue: In which it waits.
        own_wait_us: How much longer it is expected to wait here; ``None``: for ever.
        peers: What is known of the centers.
        now: This instant.
        denied: Centers that have denied this contact since they last said how they stand.
    """
    not_asked: dict[str, Why] = {}
    able: list[tuple[bool, int, int, int, str]] = []
    for place, name in enumerate(rule.to):
        peer = peers.get(name)
        why = Why.UNKNOWN if peer is None else _why_not(rule, queue, peer, now, denied)
        if peer is None or why is not None:
            not_asked[name] = why or Why.UNKNOWN
            continue
        # A free operator there means no wait but what the config counts for the center.
        penalty = rule.penalties_us.get(name, 0)
        if own_wait_us is not None and own_wait_us - penalty < rule.gain_min_us:
            not_asked[name] = Why.GAIN
            continue
        able.append((name != rule.prefer, penalty, -_free(peer, queue, now), place, name))
    if not able:
        return Choice(None, None, not_asked)
    _, penalty, _, _, name = min(able)
    return Choice(name, None if own_wait_us is None else own_wait_us - penalty, not_asked)


def may_help(rule: OverflowRule, queue: QueueId, peers: Mapping[str, Peer], now: Instant) -> bool:
    """Return whether any of the rule's centers could take a contact, if not at this instant."""
    found = (peers.get(name) for name in rule.to)
    reasons = (_why_not(rule, queue, peer, now, frozenset()) for peer in found if peer is not None)
    return any(why is None or why in _FOR_NOW for why in reasons)


def _why_not(
    rule: OverflowRule, queue: QueueId, peer: Peer, now: Instant, denied: frozenset[str]
) -> Why | None:
    load = peer.fresh(now)
    if load is None:
        return Why.UNKNOWN
    if peer.state(now) not in _TAKES:
        return Why.STATE
    if peer.blocked(now):
        return Why.BLOCKED
    found = load.queues.get(queue)
    if found is None:
        return Why.NO_QUEUE
    if not found.open:
        return Why.CLOSED
    if not found.staffed:
        return Why.UNSTAFFED
    if peer.name in denied:
        return Why.ASKED
    if _free(peer, queue, now) <= 0:
        return Why.NOBODY_FREE
    if found.sl_milli is not None and found.sl_milli < rule.donor_sl_min_milli:
        return Why.FLOOR
    return None


def _free(peer: Peer, queue: QueueId, now: Instant) -> int:
    """Return how many operators may still be free there: those asked for count as taken."""
    load = peer.fresh(now)
    if load is None or queue in peer.empty or queue not in load.queues:
        return 0
    return load.queues[queue].ready - peer.taken
