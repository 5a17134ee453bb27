"""The config's thresholds as conditions over series: who shares a bound shares a condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from gkc_engine.config.models import Config
from gkc_engine.config.thresholds_model import Bounds
from gkc_engine.ids import SECOND

Language = Literal["ru", "en"]
Figure = Literal["waiting", "longest_wait", "service_level", "abandon_rate"]

METRIC: Final[dict[Figure, str]] = {
    "waiting": "gkc_waiting",
    "longest_wait": "gkc_longest_wait_seconds",
    "service_level": "gkc_service_level_ratio",
    "abandon_rate": "gkc_abandon_ratio",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One bound of a figure and the queues that it is for."""

    metric: str
    queues: str
    """A matcher of the label ``queue``, in braces; empty = every queue."""
    named: tuple[str, ...]
    """The queues that have it alone; empty for the center's."""
    value: float
    """In the metric's unit."""
    falls: bool
    """Whether the figure is bad below it."""

    @property
    def condition(self) -> str:
        """The expression that holds while the figure is on the worse side."""
        return f"{self.metric}{self.queues} {'<' if self.falls else '>'} {number(self.value)}"


def bounds(config: Config, figure: Figure, level: Literal["warn", "bad"]) -> list[Bound]:
    """Return the bounds of ``figure``: the center's first, then those that queues have alone."""
    thresholds = config.thresholds
    common: Bounds | None = getattr(thresholds, figure)
    own: dict[Bounds, list[str]] = {}
    for queue, model in thresholds.queues.items():
        band = getattr(model, figure)
        if band is not None:
            own.setdefault(band, []).append(queue)
    named = [queue for queues in own.values() for queue in queues]
    found = [] if common is None else [_bound(figure, common, level, "!~" if named else "", named)]
    return found + [_bound(figure, band, level, "=~", queues) for band, queues in own.items()]


def _bound(
    figure: Figure, band: Bounds, level: Literal["warn", "bad"], how: str, queues: list[str]
) -> Bound:
    unit = SECOND if figure == "longest_wait" else 1
    value = (band.warn if level == "warn" else band.bad) / unit
    return Bound(
        metric=METRIC[figure],
        queues=f'{{queue{how}"{"|".join(queues)}"}}' if how else "",
        named=tuple(queues) if how == "=~" else (),
        value=value,
        falls=band.bad < band.warn,
    )


def spoken(found: list[Bound], language: Language) -> str:
    """Return the bounds for people: ``60 s; tax, emergency: 10 s``."""
    texts = []
    for one in found:
        value = number(one.value)
        if one.metric.endswith("_ratio"):
            value = f"{number(round(one.value * 100, 1))} %"
        elif one.metric.endswith("_seconds"):
            value += " с" if language == "ru" else " s"
        texts.append(f"{', '.join(one.named)}: {value}" if one.named else value)
    return "; ".join(texts)


def number(value: float) -> str:
    """Return ``value`` as PromQL and people write it: ``60``, ``0.05``."""
    return f"{value:g}" if value != int(value) else str(int(value))
