"""Cross checks of ``outbound:``: rules that never apply, and numbers that are not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gkc_engine.numbers import normalise

if TYPE_CHECKING:
    from gkc_engine.config.checks import Findings


def check_outbound(findings: Findings) -> None:
    """Check the section, if there is one."""
    outbound = findings.config.outbound
    if outbound is None:
        return
    for n, prefix in enumerate(outbound.allow):
        covering = next((d for d in outbound.deny if prefix.startswith(d)), None)
        if covering is not None:
            found = f"{prefix}, of which deny: {covering} leaves nothing"
            findings.add(("outbound", "allow", n), found, "a prefix that deny does not cover")
    for n, prefix in enumerate(outbound.deny):
        if not any(prefix.startswith(a) or a.startswith(prefix) for a in outbound.allow):
            findings.warn(
                ("outbound", "deny", n), f"{prefix}, which allow does not allow", "no such line"
            )
    night = outbound.night
    for n, prefix in enumerate(night.allow if night is not None else ()):
        if not any(prefix.startswith(a) or a.startswith(prefix) for a in outbound.allow):
            where = ("outbound", "night", "allow", n)
            findings.add(where, f"{prefix}, which allow does not allow", "a prefix within allow")
    ours = {normalise(number).e164 for number in findings.config.numbers}
    if outbound.caller_id not in ours:
        findings.warn(
            ("outbound", "caller_id"),
            f"{outbound.caller_id}, which is none of numbers",
            "a number of ours: who calls back is to reach us",
        )
