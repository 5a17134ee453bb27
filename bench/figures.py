"""From SIP messages to the figures of the table. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.wire import Message


@dataclass(slots=True)
class Calls:
    """The calls of one segment, as the wire shows them."""

    arrivals: dict[str, float] = field(default_factory=dict)
    """Citizen's number -> his INVITE."""
    offers: dict[str, float] = field(default_factory=dict)
    """Citizen's number -> the first INVITE to an agent for him."""
    served: set[str] = field(default_factory=set)
    """Citizens with whom an agent talked."""
    pickups: list[tuple[float, float]] = field(default_factory=list)
    """(agent's BYE, next INVITE to that agent); infinity = none came."""
    repeated: int = 0
    """INVITEs sent again for want of an answer."""
    refused: int = 0
    """Citizens' INVITEs answered by 4xx to 6xx."""


def read(messages: Iterable[Message], agents: int) -> Calls:
    """Return what happened; ``agents`` is the port of the agents' phones."""
    calls = Calls()
    legs: dict[str, tuple[str, str]] = {}
    idle: dict[str, float] = {}
    seen: set[str] = set()
    callers: set[str] = set()
    for message in messages:
        match message.method, message.status:
            case "INVITE", _ if message.call in seen:
                calls.repeated += 1
            case "INVITE", _:
                seen.add(message.call)
                if message.target == agents:
                    _offered(calls, message, legs, idle)
                else:
                    callers.add(message.call)
                    calls.arrivals[message.caller] = message.at
            case "BYE", _ if message.source == agents and message.call in legs:
                idle.setdefault(legs[message.call][0], message.at)
            case "", 200 if message.source == agents and message.cseq == "INVITE":
                calls.served.add(legs[message.call][1])
            case "", status if status >= 400 and message.call in callers:
                calls.refused += 1
    calls.pickups += [(at, math.inf) for at in idle.values()]
    return calls


def _offered(
    calls: Calls, message: Message, legs: dict[str, tuple[str, str]], idle: dict[str, float]
) -> None:
    agent, citizen = message.callee, message.caller
    legs[message.call] = (agent, citizen)
    calls.offers.setdefault(citizen, message.at)
    since = idle.pop(agent, None)
    if since is not None:
        calls.pickups.append((since, message.at))


def pickup_ms(calls: Calls, begin: float, end: float) -> list[float]:
    """Return the waits of the agents who hung up from ``begin`` to ``end``, in ms.

    Those for whom nobody was sent until the capture's end count as infinite: leaving them out
    would flatter whoever forgets them. Choose ``end`` some seconds before the capture's.
    """
    return [(to - at) * 1000 for at, to in calls.pickups if begin <= at < end]


def arrival_ms(calls: Calls) -> list[float]:
    """Return the ms from each citizen's INVITE to the INVITE of his agent; infinite = none."""
    return [
        (calls.offers.get(citizen, math.inf) - at) * 1000 for citizen, at in calls.arrivals.items()
    ]


def failed(calls: Calls) -> int:
    """Return how many citizens did not talk with an agent."""
    return len(calls.arrivals.keys() - calls.served)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; NaN when there are no values."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
