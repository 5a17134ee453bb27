"""Cross checks of ``mail:``, ``recipients:`` and ``reports:``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gkc_engine.config.problems import Path, shown

if TYPE_CHECKING:
    from gkc_engine.config.checks import Findings
    from gkc_engine.config.report_model import ReportModel

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check_reports(findings: Findings) -> None:
    """Check who is sent what: every name known, no body shown what is not its own."""
    config = findings.config
    for name, recipient in config.recipients.items():
        for n, service in enumerate(recipient.services):
            findings.refer("services", service, ("recipients", name, "services", n))
    if config.reports and config.mail is None:
        findings.add_key(("reports",), "reports without mail", "the section mail: who sends them")
    _mail(findings)
    seen: dict[str, int] = {}
    for n, report in enumerate(config.reports):
        path: Path = ("reports", n)
        findings.refer("recipients", report.recipient, (*path, "recipient"))
        findings.refer("services", report.service, (*path, "service"))
        findings.refer("queues", report.queue, (*path, "queue"))
        for key in ("service", "queue"):
            if report.what == "operators" and getattr(report, key) is not None:
                found = f"{key} beside what: operators"
                findings.add((*path, key), found, "recipient, or neither: they work for several")
        _sent_to_somebody(findings, path, report)
        _within_scope(findings, path, report)
        if report.key in seen:
            wanted = f"a name of its own (reports[{seen[report.key]}] is {report.key}, too)"
            at: Path = (*path, "name") if report.name is not None else path
            findings.add(at, f"{report.key} a second time", wanted)
        seen.setdefault(report.key, n)


def _mail(findings: Findings) -> None:
    mail = findings.config.mail
    if mail is not None and mail.user and mail.tls == "none" and mail.host not in LOOPBACK:
        findings.warn(
            ("mail", "tls"),
            "none beside user, to another machine",
            "starttls or tls: the password would cross the network in clear",
        )


def _sent_to_somebody(findings: Findings, path: Path, report: ReportModel) -> None:
    known = findings.config.recipients
    recipient = known.get(report.recipient) if report.recipient else None
    if report.to or (recipient is not None and recipient.to):
        return
    if findings.source.value((*path, "to")) or (report.recipient and recipient is None):
        return  # What stands there is wrong, and told already.
    what = f"recipients.{report.recipient}.to" if recipient is not None else "recipient"
    findings.add(path, "a report that goes to nobody", f"to: ADDRESS here, or {what}")


def _within_scope(findings: Findings, path: Path, report: ReportModel) -> None:
    recipient = findings.config.recipients.get(report.recipient or "")
    if recipient is None:
        return
    own = f"what {report.recipient} may see: {', '.join(recipient.services)}"
    if report.service is not None and report.service not in recipient.services:
        findings.add((*path, "service"), shown(report.service), f"one of {own}")
    queue = findings.config.queues.get(report.queue or "")
    if queue is not None and queue.service not in recipient.services:
        found = f"{shown(report.queue)}, a queue of {queue.service or 'no service'}"
        findings.add((*path, "queue"), found, f"a queue of {own}")
