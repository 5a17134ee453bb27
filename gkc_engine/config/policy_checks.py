"""The config against ``policy:``: a center may tighten, never loosen what the city has locked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from gkc_engine.config.policy_hours import first_gap
from gkc_engine.config.policy_model import PolicyModel
from gkc_engine.config.problems import Path, closest, dotted, shown
from gkc_engine.config.schema import duration_text

if TYPE_CHECKING:
    from gkc_engine.config.checks import Findings

Number = int | float


def _share(value: Number) -> str:
    return f"{value:g}"


def _duration(value: Number) -> str:
    return duration_text(int(value))


@dataclass(frozen=True, slots=True)
class Standard:
    """One figure of a queue: where a center has it, and which way it is tighter."""

    section: Literal["queues", "guardrails"]
    tighter: Literal["less", "more"]
    text: Callable[[Number], str]

    def loosens(self, own: Number | None, policy: Number) -> bool:
        """Return whether ``own`` asks less of a center than ``policy``; nothing asks nothing."""
        if own is None:
            return True
        return own > policy if self.tighter == "less" else own < policy


STANDARDS: Final[dict[str, Standard]] = {
    "servicelevel": Standard("queues", "less", _duration),
    "short_abandon": Standard("queues", "less", _duration),
    "maxwait": Standard("queues", "less", _duration),
    "sl_min": Standard("guardrails", "more", _share),
    "abandoned_max": Standard("guardrails", "less", _share),
    "asa_max": Standard("guardrails", "less", _duration),
    "p90_max": Standard("guardrails", "less", _duration),
}
"""Figures that can be locked.

A smaller ``short_abandon`` is tighter: fewer of those who gave up are left out of the count.
"""

LOCKABLE: Final = ("skills", "services", "hours", *STANDARDS)
"""Beside the figures: a skill or service may not go or be renamed; hours may only grow."""


def check_policy(findings: Findings) -> None:
    """Check the policy itself, then the config against it."""
    policy = findings.config.policy
    if policy is None:
        return
    _policy_itself(findings, policy)
    _skills(findings, policy)
    _services(findings, policy)
    for name in policy.queues:
        if name in findings.config.queues:
            _standards(findings, policy, name)
            _hours(findings, policy, name)


def _policy_itself(findings: Findings, policy: PolicyModel) -> None:
    defined = {key for queue in policy.queues.values() for key in queue.model_fields_set}
    defined |= {key for key in ("skills", "services") if getattr(policy, key)}
    seen: set[str] = set()
    for number, key in enumerate(policy.locked):
        path: Path = ("policy", "locked", number)
        if key not in LOCKABLE:
            expected = "what can be locked: " + ", ".join(LOCKABLE)
            findings.add(path, shown(key), expected, closest(key, LOCKABLE))
        elif key in seen:
            findings.add(path, f"{key} a second time", "each once")
        elif key not in defined:
            findings.warn(path, f"{key}, of which the policy says nothing", "a value to lock")
        seen.add(key)
    for name, queue in policy.queues.items():
        if queue.hours is not None and queue.hours not in policy.calendars:
            path = ("policy", "queues", name, "hours")
            hint = closest(queue.hours, policy.calendars)
            findings.add(path, shown(queue.hours), "a name from policy.calendars", hint)


def _refuse(findings: Findings, key: str, path: Path, found: str, expected: str, at: Path) -> None:
    """Tell that ``path`` falls short of the policy, which stands at ``at``."""
    policy = findings.config.policy
    assert policy is not None
    where = findings.where(at)
    if key in policy.locked:
        value = findings.source.value(path)
        add = findings.add_key if value is None or isinstance(value, dict) else findings.add
        add(path, found, f"{expected}: the city's policy locks it ({where})")
    else:
        findings.warn(path, found, f"{expected} by the city's policy ({where})")


def _skills(findings: Findings, policy: PolicyModel) -> None:
    own = findings.config.skills
    for name, title in policy.skills.items():
        at: Path = ("policy", "skills", name)
        findings.used.add(("skills", name))
        if name not in own:
            _refuse(findings, "skills", ("skills",), f"no {name}", f"{name}: {title}", at)
        elif own[name] != title:
            _refuse(findings, "skills", ("skills", name), shown(own[name]), shown(title), at)


def _services(findings: Findings, policy: PolicyModel) -> None:
    own = findings.config.services
    for name, service in policy.services.items():
        at: Path = ("policy", "services", name)
        findings.used.add(("services", name))
        if name not in own:
            wanted = f"{name}: {{title: {service.title}}}"
            _refuse(findings, "services", ("services",), f"no {name}", wanted, at)
            continue
        for key in ("title", "body"):
            ours, theirs = getattr(own[name], key), getattr(service, key)
            if theirs is not None and ours != theirs:
                path: Path = ("services", name, key)
                _refuse(findings, "services", path, shown(ours), shown(theirs), (*at, key))


def _standards(findings: Findings, policy: PolicyModel, queue: str) -> None:
    for key, standard in STANDARDS.items():
        theirs = getattr(policy.queues[queue], key)
        model = getattr(findings.config, standard.section).get(queue)
        ours = getattr(model, key, None)
        if theirs is None or not standard.loosens(ours, theirs):
            continue
        path: Path = (standard.section, queue, key)
        given = model is not None and key in model.model_fields_set
        if not given and findings.source.value(path) is not None:
            continue  # A wrong value, and told already.
        found = "nothing" if ours is None else standard.text(ours)
        if ours is not None and not given:
            found += ", the default"
        if ours is None and standard.section == "guardrails":
            path, found = ("queues", queue), f"no {dotted(path)}"
        expected = f"{standard.text(theirs)} or {standard.tighter}"
        _refuse(findings, key, path, found, expected, ("policy", "queues", queue, key))


def _hours(findings: Findings, policy: PolicyModel, queue: str) -> None:
    config = findings.config
    wanted, name = policy.queues[queue].hours, config.queues[queue].hours
    theirs = policy.calendars.get(wanted or "")
    ours = config.calendars.get(name or "")
    if theirs is None or ours is None:
        return  # Always open, or an unknown name, which is told.
    center = config.center.timezone
    base: Path = ("calendars", name or "")
    at: Path = ("policy", "calendars", wanted or "")
    if (ours.timezone or center) != (theirs.timezone or center):
        found, zone = shown(ours.timezone or center), theirs.timezone or center
        _refuse(findings, "hours", (*base, "timezone"), found, zone, (*at, "timezone"))
        return
    gap = first_gap(ours, theirs)
    if gap is not None:
        expected = f"{gap.expected} for {queue}"
        _refuse(findings, "hours", (*base, *gap.own), gap.found, expected, (*at, *gap.policy))
