"""The three centers of ``gkc demo --centers 3`` and what makes each one's config its own. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gkc_engine.bus.config import LINK_USER, RECORDS_USER
from gkc_engine.config.models import Config
from gkc_engine.demo.tree import Document
from gkc_engine.plans import may_serve

LINES_SOCKET: Final = "demo.sock"
"""Where ``gkc demo cut`` and ``heal`` find the demo, beside ``demo.json``."""

CITY_STORE: Final = "city.sqlite"
"""The records of all centers, under the state of the collector."""

TOKEN_VARIABLE: Final = "GKC_DEMO_TOKEN_KEY"
BUS_VARIABLE: Final = "GKC_DEMO_BUS_SECRET"
"""Environment variables of the engines."""

AFTER: Final = "2s"
GAIN_MIN: Final = "2s"
"""Citizens of the demo are served, or give up, within half a minute."""

CITY_PENALTY: Final = "2s"
"""So that okrugs help each other first."""

DONOR_SL_MIN: Final = 0.2
KEEP_FREE: Final = 1

SILENCE_S: Final = 4
"""Whoever holds a phone hangs up when he has heard nothing for so long: when the line was cut.

Asterisk counts RTCP as a sign of life, and that comes every 5 s from the center that is left.
"""

AFTER_S: Final = 14.0
"""So long a citizen stays who suddenly hears nobody: longer than his center takes to know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CenterPlan:
    """One of the centers."""

    name: str
    level: str
    parent: str | None
    prefix: str
    """Of its contacts' numbers."""
    title: str
    share: float
    """Of all calls."""
    every: int
    """Of the configuration's operators each so many-th works here, and who else is needed so that
    each queue has somebody."""
    phones: str = ""
    """Digit before their phones' numbers, so that no two of the city have the same."""
    citizens: str = "+7900"
    """What its citizens' numbers begin with."""


CENTERS: Final = (
    CenterPlan(
        name="centr",
        level="city",
        parent=None,
        prefix="ЦАО",
        title="Городской контакт-центр, Центральный округ",
        share=0.25,
        every=1,
    ),
    CenterPlan(
        name="sever",
        level="okrug",
        parent="centr",
        prefix="САО",
        title="Контакт-центр Северного округа",
        share=0.5,
        every=6,
        phones="1",
        citizens="+7901",
    ),
    CenterPlan(
        name="yug",
        level="okrug",
        parent="centr",
        prefix="ЮАО",
        title="Контакт-центр Южного округа",
        share=0.25,
        every=2,
        phones="2",
        citizens="+7902",
    ),
)
"""The first is the city's. The second has half of the calls, and a sixth of the operators."""

NAMES: Final = tuple(one.name for one in CENTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How one center reaches the others."""

    nats_port: int
    """Of its leaf node."""
    sip_port: int
    """Its own."""
    trunks: Mapping[str, int]
    """Center -> the port by which it is called."""
    hub_port: int | None = None
    """Of the hub, for the collector; only the city's center has one."""
    hub_secrets: Mapping[str, str] = field(default_factory=dict)
    """Center -> a reference to the secret of its records on the hub."""


def staff_of(plan: CenterPlan, config: Config) -> frozenset[str]:
    """Return who of the configuration's operators work in a center."""
    everybody = config.operators
    chosen = list(everybody)[:: plan.every]
    for queue in config.queues.values():
        able = [name for name, one in everybody.items() if may_serve(one, queue)]
        if not set(able) & set(chosen):
            chosen += able[:1]
    return frozenset(chosen)


def make_own(plan: CenterPlan, staff: Collection[str], ways: Ways, document: Document) -> None:
    """Make one file of the configuration's copy that of this center, where ``staff`` works."""
    if "center" in document:
        document["center"] |= {"name": plan.name, "prefix": plan.prefix, "title": plan.title}
        document["center"]["level"] = plan.level
        if plan.parent is not None:
            document["center"]["parent"] = plan.parent
    operators = document.get("operators")
    if operators:
        for name in list(operators):
            if name not in staff:
                del operators[name]
                continue
            kind, _, phone = operators[name]["interface"].partition("/")
            operators[name]["interface"] = f"{kind}/{plan.phones}{phone}"
    if "pbx" in document:
        document.update(_sections(plan, ways))
        if ways.hub_port is not None:
            document["collector"] = _collector(ways)


def _sections(plan: CenterPlan, ways: Ways) -> dict[str, Any]:
    ports = {**ways.trunks, plan.name: ways.sip_port}
    centers: dict[str, dict[str, Any]] = {}
    for one in CENTERS:
        centers[one.name] = {"level": one.level, "trunk": f"127.0.0.1:{ports[one.name]}"}
        if one.parent is not None:
            centers[one.name]["parent"] = one.parent
    return {
        "federation": {
            "nats": f"nats://127.0.0.1:{ways.nats_port}",
            "user": LINK_USER,
            "secret": f"env:{BUS_VARIABLE}",
            "token_key": f"env:{TOKEN_VARIABLE}",
            "records": {"user": RECORDS_USER, "secret": f"env:{BUS_VARIABLE}"},
            "keep_free": KEEP_FREE,
            "sl_min": DONOR_SL_MIN,
            "centers": centers,
        },
        "overflow": [
            {
                "queues": "all",
                "to": ["siblings", "parent"],
                "levels": ["okrug"],
                "after": AFTER,
                "gain_min": GAIN_MIN,
                "donor_sl_min": DONOR_SL_MIN,
                "penalties": {CENTERS[0].name: CITY_PENALTY},
            }
        ],
    }


def _collector(ways: Ways) -> dict[str, Any]:
    return {
        "nats": f"nats://127.0.0.1:{ways.hub_port}",
        "store": {"path": CITY_STORE},
        "centers": dict(ways.hub_secrets),
    }
