"""The panels of the dashboard, row by row: expressions, units, titles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gkc_engine.monitoring.bounds import Figure

Titles = tuple[str, str]
"""Russian, English."""

AT: Final = 'instance=~"$instance"'
_OF: Final = 'instance=~"$instance", queue=~"$queue"'
GREEN, YELLOW, RED = "green", "#EAB839", "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel before it has a place."""

    kind: Literal["stat", "timeseries", "heatmap"]
    title: Titles
    unit: str
    series: tuple[tuple[str, str], ...]
    """Expression, legend."""
    width: int
    height: int = 8
    bound: Figure | None = None
    """The figure whose bounds are drawn."""
    steps: tuple[tuple[str, float | None], ...] = ()
    """Colour from a value on, when no figure of the config says it."""
    stacked: bool = False
    to: float | None = None
    """The top of the axis."""


_ENDED: Final = f'gkc_contacts_total{{{_OF}, disposition=~"answered|abandoned"}}'
_SHARE: Final = "sum(increase({part}[30m])) / sum(increase({of}[30m]))"
_MEAN: Final = "sum by (queue) (increase({sum}[30m])) / sum by (queue) (increase({n}[30m]))"
_BUCKETS: Final = "sum by (le) (increase({metric}[$__rate_interval]))"
_P99: Final = "histogram_quantile(0.99, sum by (le) (rate({metric}[$__rate_interval])))"
_PER_MINUTE: Final = "60 * sum by ({by}) (rate({metric}[$__rate_interval]))"

ROWS: Final[tuple[tuple[Titles, tuple[Panel, ...]], ...]] = (
    (
        ("Сейчас", "Now"),
        (
            Panel(
                kind="stat",
                title=("Ждут", "Waiting"),
                unit="short",
                series=((f"sum(gkc_waiting{{{_OF}}})", ""),),
                width=4,
                height=4,
            ),
            Panel(
                kind="stat",
                title=("Дольше всех ждут", "Longest wait"),
                unit="s",
                series=((f"max(gkc_longest_wait_seconds{{{_OF}}})", ""),),
                width=4,
                height=4,
                bound="longest_wait",
            ),
            Panel(
                kind="stat",
                title=("Уровень сервиса за 30 мин", "Service level, 30 min"),
                unit="percentunit",
                series=(
                    (
                        _SHARE.format(part=f"gkc_answered_in_target_total{{{_OF}}}", of=_ENDED),
                        "",
                    ),
                ),
                width=4,
                height=4,
                bound="service_level",
            ),
            Panel(
                kind="stat",
                title=("Операторы готовы", "Agents ready"),
                unit="short",
                series=((f'sum(gkc_agents{{{AT}, state="ready"}})', ""),),
                width=4,
                height=4,
                steps=((RED, None), (GREEN, 1)),
            ),
            Panel(
                kind="stat",
                title=("Связь с Asterisk (1 = есть)", "Link to Asterisk (1 = up)"),
                unit="short",
                series=((f"min(gkc_ami_up{{{AT}}})", ""),),
                width=4,
                height=4,
                steps=((RED, None), (GREEN, 1)),
            ),
            Panel(
                kind="stat",
                title=("Записи отстают", "Records behind"),
                unit="s",
                series=((f"max(gkc_ledger_behind_seconds{{{AT}}})", ""),),
                width=4,
                height=4,
                steps=((GREEN, None), (YELLOW, 1), (RED, 30)),
            ),
        ),
    ),
    (
        ("Очереди", "Queues"),
        (
            Panel(
                kind="timeseries",
                title=("Ждут", "Waiting"),
                unit="short",
                series=((f"gkc_waiting{{{_OF}}}", "{{queue}}"),),
                width=12,
                bound="waiting",
            ),
            Panel(
                kind="timeseries",
                title=("Дольше всех ждут", "Longest wait"),
                unit="s",
                series=((f"gkc_longest_wait_seconds{{{_OF}}}", "{{queue}}"),),
                width=12,
                bound="longest_wait",
            ),
            Panel(
                kind="timeseries",
                title=("Уровень сервиса за 30 мин", "Service level, 30 min"),
                unit="percentunit",
                series=((f"gkc_service_level_ratio{{{_OF}}}", "{{queue}}"),),
                width=12,
                bound="service_level",
                to=1,
            ),
            Panel(
                kind="timeseries",
                title=("Потеряно за 30 мин", "Abandoned, 30 min"),
                unit="percentunit",
                series=((f"gkc_abandon_ratio{{{_OF}}}", "{{queue}}"),),
                width=12,
                bound="abandon_rate",
            ),
            Panel(
                kind="timeseries",
                title=("Обращения в минуту, по итогу", "Contacts a minute, by disposition"),
                unit="short",
                series=(
                    (
                        _PER_MINUTE.format(by="disposition", metric=f"gkc_contacts_total{{{_OF}}}"),
                        "{{disposition}}",
                    ),
                ),
                width=12,
                stacked=True,
            ),
            Panel(
                kind="heatmap",
                title=("Ожидание до ответа", "Wait before the answer"),
                unit="s",
                series=(
                    (
                        _BUCKETS.format(metric=f"gkc_wait_seconds_bucket{{{_OF}}}"),
                        "{{le}}",
                    ),
                ),
                width=12,
            ),
        ),
    ),
    (
        ("Операторы", "Agents"),
        (
            Panel(
                kind="timeseries",
                title=("Операторы по состоянию", "Agents by state"),
                unit="short",
                series=((f"sum by (state) (gkc_agents{{{AT}}})", "{{state}}"),),
                width=8,
                stacked=True,
            ),
            Panel(
                kind="timeseries",
                title=("Предложения в минуту, по результату", "Offers a minute, by outcome"),
                unit="short",
                series=(
                    (
                        _PER_MINUTE.format(by="outcome", metric=f"gkc_offers_total{{{_OF}}}"),
                        "{{outcome}}",
                    ),
                ),
                width=8,
                stacked=True,
            ),
            Panel(
                kind="timeseries",
                title=("Среднее время обслуживания за 30 мин", "Handling time (AHT), 30 min"),
                unit="s",
                series=(
                    (
                        _MEAN.format(
                            sum=f"gkc_handle_seconds_total{{{_OF}}}",
                            n=f"gkc_handled_total{{{_OF}}}",
                        ),
                        "{{queue}}",
                    ),
                ),
                width=8,
            ),
        ),
    ),
    (
        ("Движок", "Engine"),
        (
            Panel(
                kind="timeseries",
                title=("Задержки, P99", "Delays, P99"),
                unit="s",
                series=(
                    *(
                        (
                            _P99.format(metric=f"{metric}_bucket{{{AT}}}"),
                            metric.removeprefix("gkc_").removesuffix("_seconds"),
                        )
                        for metric in ("gkc_commit_seconds", "gkc_decision_seconds")
                    ),
                    (f"max(gkc_loop_lag_seconds{{{AT}}})", "loop lag"),
                ),
                width=8,
            ),
            Panel(
                kind="timeseries",
                title=("Свободно для записей", "Free for records"),
                unit="percentunit",
                series=(
                    (
                        f"gkc_store_disk_free_bytes{{{AT}}} / gkc_store_disk_size_bytes{{{AT}}}",
                        "{{instance}}",
                    ),
                ),
                width=8,
                to=1,
            ),
            Panel(
                kind="timeseries",
                title=("Процессор и память движка", "Engine's CPU and memory"),
                unit="short",
                series=(
                    (
                        f"rate(process_cpu_seconds_total{{{AT}}}[$__rate_interval])",
                        "CPU {{instance}}",
                    ),
                    (
                        f"process_resident_memory_bytes{{{AT}}} / 1073741824",
                        "GiB {{instance}}",
                    ),
                ),
                width=8,
            ),
        ),
    ),
)
