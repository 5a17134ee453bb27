"""Cross checks of second lines: there is one, and nothing in it turns citizens away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gkc_engine.acd.settings import Medium
from gkc_engine.config.federation import is_served_elsewhere, second_lines
from gkc_engine.config.problems import Path, shown

if TYPE_CHECKING:
    from gkc_engine.config.checks import Findings

_SEND_AWAY: Final = ("maxwait", "maxwait_unstaffed", "leavewhenempty")
"""Keys by which a queue ends the waiting; they count from the first queue, and local operators."""


def check_second_lines(findings: Findings) -> None:
    """Check what ``services`` say of second lines, and the queues that are one."""
    config = findings.config
    for name, service in config.services.items():
        where: Path = ("services", name, "second_line")
        findings.refer("queues", service.second_line, where)
        queue = config.queues.get(service.second_line or "")
        if queue is not None and queue.medium is not Medium.VOICE:
            found = f"{shown(service.second_line)}, a queue of {queue.medium}"
            findings.add(where, found, "a queue of calls: only they are handed on")
    lines = second_lines(config)
    for name, queue in config.queues.items():
        if name not in lines:
            if "return_after" in queue.model_fields_set:
                found = "return_after of a queue that is no second line"
                expected = "services: {…: {second_line: " + name + "}}, or no such line"
                findings.warn(("queues", name, "return_after"), found, expected)
            continue
        for key in _SEND_AWAY:
            if getattr(queue, key):
                found = f"{key} of a second line"
                expected = "return_after alone: this would end the call of who was handed on"
                findings.warn(("queues", name, key), found, expected)
        _skills(findings, name)


def _skills(findings: Findings, name: str) -> None:
    """Who asks another center for a specialist asks by the queue: its skills are the city's."""
    config = findings.config
    if config.policy is None or not is_served_elsewhere(name, config):
        return
    for skill in config.queues[name].require:
        if config.policy.skills and skill not in config.policy.skills:
            found = f"{shown(skill)}, which the city's policy does not know"
            expected = "a skill from policy.skills: other centers know no others"
            findings.warn(("queues", name, "require", skill), found, expected)
