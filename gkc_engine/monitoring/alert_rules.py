"""Prometheus' alert rules for a center, their bounds from its config. Pure.

Format: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/ (2.42 or newer,
for ``keep_firing_for``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from gkc_engine.config.models import Config
from gkc_engine.monitoring.bounds import Figure, Language, bounds, number, spoken
from gkc_engine.monitoring.rule_texts import TEXTS, Text

Rule = dict[str, Any]

CONTACTS_MIN: Final = 5
"""Fewer in half an hour say nothing about a share: one who leaves at night is not an alarm."""

_ENOUGH: Final = (
    "sum by (job, instance, queue)"
    ' (increase(gkc_contacts_total{disposition=~"answered|abandoned"}[30m]))'
    f" >= {CONTACTS_MIN}"
)
_STAFFED: Final = 'sum by (job, instance, queue) (gkc_queue_agents{state=~"ready|busy|wrap_up"})'

_FIGURES: Final[tuple[tuple[Figure, str, str], ...]] = (
    ("longest_wait", "GkcLongWait", "30s"),
    ("waiting", "GkcManyWaiting", "30s"),
    ("service_level", "GkcServiceLevelLow", "5m"),
    ("abandon_rate", "GkcAbandonmentHigh", "5m"),
)
"""Figure, the alert's name, and how long it must last."""

_KEEP: Final = "1m"
"""An alert outlasts its cause by so much: a figure at its bound does not ring again and again."""


def alert_rules(config: Config, job: str, language: Language) -> dict[str, Any]:
    """Return the rule file as a tree for YAML.

    Args:
        config: the center's.
        job: Prometheus' ``job_name`` of the engines.
        language: of the texts for people.
    """
    rules = [
        *_of_queues(config, language),
        *_staffing(language),
        *_of_engine(job, language),
        *_of_disk(config, language),
    ]
    return {"groups": [{"name": f"gkc-{config.center.name}", "interval": "15s", "rules": rules}]}


def _of_queues(config: Config, language: Language) -> Iterator[Rule]:
    for figure, name, lasts in _FIGURES:
        for level, severity in _SEVERITIES:
            found = bounds(config, figure, level)
            if not found:
                continue
            expression = " or ".join(bound.condition for bound in found)
            if figure in ("service_level", "abandon_rate"):
                expression = f"({expression}) and on (job, instance, queue) {_ENOUGH}"
            yield _rule(name, expression, lasts, severity, language, spoken(found, language))


_SEVERITIES: Final[tuple[tuple[Literal["warn", "bad"], str], ...]] = (
    ("warn", "warning"),
    ("bad", "critical"),
)


def _staffing(language: Language) -> Iterator[Rule]:
    nobody = f"{_STAFFED} == 0 and on (job, instance, queue) gkc_queue_open == 1"
    waited = f"{nobody} and on (job, instance, queue) gkc_waiting > 0"
    yield _rule("GkcNobodyStaffed", nobody, "2m", "warning", language)
    yield _rule("GkcNobodyStaffed", waited, "30s", "critical", language)


def _of_engine(job: str, language: Language) -> Iterator[Rule]:
    for name, expression, lasts, severity in (
        ("GkcEngineDown", f'up{{job="{job}"}} == 0', "15s", "critical"),
        ("GkcEngineUnknown", f'absent(up{{job="{job}"}})', "1m", "critical"),
        (
            "GkcEngineRestarts",
            f'changes(process_start_time_seconds{{job="{job}"}}[15m]) > 2',
            "0s",
            "warning",
        ),
        ("GkcAmiDown", "gkc_ami_up == 0", "10s", "critical"),
        ("GkcNotAccepting", "gkc_accepting == 0", "0s", "critical"),
        ("GkcLedgerBehind", "gkc_ledger_behind_seconds > 30", "0s", "warning"),
        ("GkcLedgerBehind", "gkc_ledger_behind_seconds > 300", "0s", "critical"),
        ("GkcRowsAtRisk", "gkc_rows_at_risk > 0", "0s", "critical"),
        ("GkcLoopLag", "gkc_loop_lag_seconds > 0.2", "1m", "warning"),
    ):
        yield _rule(name, expression, lasts, severity, language)


def _of_disk(config: Config, language: Language) -> Iterator[Rule]:
    free = "gkc_store_disk_free_bytes / gkc_store_disk_size_bytes"
    band = config.thresholds.disk_free
    for value, severity in ((band.warn, "warning"), (band.bad, "critical")):
        yield _rule("GkcDiskLow", f"{free} < {number(value)}", "1m", severity, language)


def _rule(
    name: str,
    expression: str,
    lasts: str,
    severity: str,
    language: Language,
    limit: str = "",
) -> Rule:
    text: Text = TEXTS[name][language]
    rule: Rule = {"alert": name, "expr": expression}
    if lasts != "0s":
        rule["for"] = lasts
    return rule | {
        "keep_firing_for": _KEEP,
        "labels": {"severity": severity},
        "annotations": {
            "summary": text.summary,
            "description": text.description.replace("LIMIT", limit),
            "runbook": text.runbook,
        },
    }
