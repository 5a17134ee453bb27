"""Cross checks of ``alerts:`` and ``webhooks:``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gkc_engine.config.problems import closest, shown

if TYPE_CHECKING:
    from gkc_engine.config.checks import Findings

LOG = "log"


def check_alerts(findings: Findings) -> None:
    """Find doubled names and references to what is not there."""
    seen: set[str] = set()
    webhooks = findings.config.webhooks
    for number, alert in enumerate(findings.config.alerts):
        path = ("alerts", number)
        if alert.name in seen:
            findings.add((*path, "name"), f"{alert.name} a second time", "each name once")
        seen.add(alert.name)
        findings.refer("queues", alert.queue, (*path, "queue"))
        for place, calendar in enumerate(alert.quiet):
            findings.refer("calendars", calendar, (*path, "quiet", place))
        for place, way in enumerate(alert.to):
            if way in webhooks:
                findings.used.add(("webhooks", way))
            elif "@" in way and findings.config.mail is None:
                found = f"the address {way} without mail:"
                findings.warn((*path, "to"), found, "mail:, for without it no mail is sent")
            elif way != LOG and "@" not in way:
                known = [LOG, *webhooks]
                findings.add(
                    (*path, "to", place),
                    shown(way),
                    "log, a name from webhooks:, or a mail address",
                    closest(way, known),
                )
    if LOG in webhooks:
        findings.add_key(("webhooks", LOG), "the name log", "another: log is the engine's log")
