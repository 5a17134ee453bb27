"""The tree of centers as one of them sees it: who is heard, how he stands, who is sent where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from gkc_engine.control.live import Row
from gkc_engine.control.methods import Nothing
from gkc_engine.control.pictures import Shared
from gkc_engine.control.protocol import ControlError, Json
from gkc_engine.control.server import Call, ControlServer
from gkc_engine.control.views import iso, seconds_of
from gkc_engine.federation.messages import QueueLoad
from gkc_engine.federation.protocol import Federation
from gkc_engine.federation.settings import FRESH_US, CenterEntry, Part
from gkc_engine.ids import Instant, Micros

if TYPE_CHECKING:  # Loads NATS, of which a center alone has no need.
    from gkc_engine.federation.link import Link

ALONE: Final = "this center has no others: there is no federation: in its config"


class JoinedLike(Protocol):
    """What of ``federating.Joined`` is needed; a reload changes ``part``."""

    @property
    def part(self) -> Part:
        """What the config says of the others."""
        ...

    @property
    def link(self) -> Link:
        """The line to them."""
        ...


class CenterMethods:
    """``center.show`` and ``center.watch``; of a center that runs alone they say so."""

    def __init__(self, joined: JoinedLike | None, timezone: str, shared: Shared) -> None:
        self._joined = joined
        self._timezone, self._shared = timezone, shared

    def register(self, server: ControlServer) -> None:
        """Enter the methods into the server's table."""
        server.method("center.show", Nothing, self.show)
        server.stream("center.watch", Nothing, self.watch)

    async def show(self, _params: Nothing, _call: Call) -> Json:
        """Return a row for each center, parents before their children."""
        return self._rows()

    async def watch(self, _params: Nothing, _call: Call) -> Json:
        """Return a picture; the server asks again each second."""
        return self._shared.get("centers", self._picture)

    def _picture(self) -> Row:
        rows = self._rows()
        assert self._joined is not None
        now = iso(self._joined.link.now())
        return {"now": now, "timezone": self._timezone, "centers": rows}

    def _rows(self) -> list[Row]:
        if self._joined is None:
            raise ControlError("refused", ALONE)
        return center_rows(self._joined.link, self._joined.part.centers)


def center_rows(link: Link, centers: Sequence[CenterEntry]) -> list[Row]:
    """Return a row for each center of the tree."""
    own = link.federation.settings.center
    return [
        {
            "center": one.name,
            "level": None if one.level is None else one.level.value,
            "parent": one.parent,
            "depth": depth,
            "status": one.status.value,
            "own": one.name == own,
            **(_own(link) if one.name == own else _peer(link.federation, one, link.now())),
        }
        for depth, one in _tree(centers)
    ]


def _tree(centers: Sequence[CenterEntry]) -> Iterator[tuple[int, CenterEntry]]:
    """Iterate over the tree from above, each center with its depth; the config's order else."""
    names = {one.name for one in centers}
    children: dict[str | None, list[CenterEntry]] = {}
    for one in centers:
        children.setdefault(one.parent if one.parent in names else None, []).append(one)
    stack = [(0, one) for one in reversed(children.get(None, []))]
    while stack:
        depth, one = stack.pop()
        yield depth, one
        stack += [(depth + 1, child) for child in reversed(children.get(one.name, []))]


def _own(link: Link) -> Row:
    federation = link.federation
    return {
        "state": federation.sight.state().value,
        "age_s": 0.0,
        **_loads(federation.sight.loads()),
        "blocked_s": None,
        "out": _sums(federation.owner.counted, None),
        "denied_by": _sums(federation.owner.denials, None),
        "in": _sums(federation.donor.counted, None),
        **_refused(federation, {federation.settings.center, ""}, link.now()),
        "bus_up": link.up,
        "bus_problem": link.problem or None,
        "bus_alone": link.up and _hears_nobody(federation, link.now()),
        "bus_dropped": dict(link.dropped),
    }


def _peer(federation: Federation, one: CenterEntry, now: Instant) -> Row:
    peer = federation.peers.get(one.name)
    if peer is None:  # Planned: of it no more is known than that it is heard.
        heard = federation.planned_heard.get(one.name)
        age = None if heard is None else seconds_of(Micros(now - heard))
        return {"state": None, "age_s": age, **_loads(None), **_nothing()}
    load = peer.fresh(now)
    until = peer.blocked_until
    return {
        "state": peer.state(now).value,
        "age_s": seconds_of(peer.age_us(now)),
        **_loads(None if load is None else load.queues),
        "blocked_s": seconds_of(Micros(until - now)) if until is not None and until > now else None,
        "out": _sums(federation.owner.counted, one.name),
        "denied_by": _sums(federation.owner.denials, one.name),
        "in": _sums(federation.donor.counted, one.name),
        **_refused(federation, {one.name}, now),
    }


def _nothing() -> Row:
    return {
        "blocked_s": None,
        "out": {},
        "denied_by": {},
        "in": {},
        "refused": {},
        "refused_last_s": {},
    }


def _hears_nobody(federation: Federation, now: Instant) -> bool:
    """Return whether all others are silent: then it is rather our line than each of theirs."""
    ages = [peer.age_us(now) for peer in federation.peers.values()]
    return bool(ages) and all(age is None or age > FRESH_US for age in ages)


def _refused(federation: Federation, centers: set[str], now: Instant) -> Row:
    """Return what was not listened to of these: how often, and how long ago the last was."""
    sums: Counter[str] = Counter()
    last: dict[str, Instant] = {}
    for (center, why), n in federation.refused.items():
        if center in centers:
            sums[why.value] += n
            at = federation.refused_last[center, why]
            last[why.value] = max(at, last.get(why.value, at))
    ages = {why: seconds_of(Micros(now - at)) for why, at in last.items()}
    return {"refused": dict(sums), "refused_last_s": ages}


def _sums(counted: Mapping[tuple[str, Any], int], center: str | None) -> dict[str, int]:
    """Return what was counted of one center, or of all."""
    sums: dict[str, int] = {}
    for (name, what), n in counted.items():
        if center in (None, name):
            sums[str(what)] = sums.get(str(what), 0) + n
    return sums


def _loads(queues: Mapping[Any, QueueLoad] | None) -> Row:
    """Return the figures of a center: of the queues the sum, or the one that is worst."""
    loads = [] if queues is None else list(queues.values())
    waits = [load.wait_us for load in loads if load.wait_us is not None and load.open]
    levels = [load.sl_milli for load in loads if load.sl_milli is not None]
    return {
        "waiting": None if queues is None else sum(load.waiting for load in loads),
        "ready": None if queues is None else max((load.ready for load in loads), default=0),
        "expected_wait_s": seconds_of(max(waits, default=None)),
        "service_level": None if not levels else min(levels) / 1000,
        "queues": {
            str(name): {
                "waiting": load.waiting,
                "ready": load.ready,
                "expected_wait_s": seconds_of(load.wait_us),
                "service_level": None if load.sl_milli is None else load.sl_milli / 1000,
                "open": load.open,
                "staffed": load.staffed,
            }
            for name, load in (queues or {}).items()
        },
    }
