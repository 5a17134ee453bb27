"""When an alert is raised and when it is cleared. Pure: values and instants in, transitions out.

Raised: the value has been beyond the threshold for ``for``, without a break. Cleared: it has been
at ``clear`` or on its good side for as long. Between the two nothing happens (hysteresis), so a
value that swings there is told once. A value that nobody knows (``None``: too few contacts) is
not beyond, and counts as calm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gkc_engine.ids import Instant, Micros


class Key(NamedTuple):
    """Which alert, of which queue (empty: of the engine)."""

    name: str
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alert of the config, of one queue."""

    key: Key
    threshold: float
    above: bool
    """Raised by a value above the threshold; else by one below it."""
    clear: float
    for_us: Micros

    def beyond(self, value: float | None) -> bool:
        """Return whether the value is past the threshold."""
        if value is None:
            return False
        return value > self.threshold if self.above else value < self.threshold

    def calm(self, value: float | None) -> bool:
        """Return whether the value is back where it belongs."""
        if value is None:
            return True
        return value <= self.clear if self.above else value >= self.clear


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """An alert was raised or cleared."""

    key: Key
    raised: bool
    at: Instant
    since: Instant
    """When the value went beyond the threshold, or came back."""
    value: float | None
    gone: bool = False
    """Cleared because the config has no such alert any more."""


@dataclass(slots=True)
class _State:
    raised: bool = False
    since: Instant | None = None
    """Since when it has been what would change ``raised``."""


@dataclass(slots=True)
class Evaluator:
    """Every alert of one config, and which of them stand."""

    rules: dict[Key, Rule] = field(default_factory=dict)
    _states: dict[Key, _State] = field(default_factory=dict)

    def restore(self, standing: Iterable[Key]) -> None:
        """Take those that stand from before: they are not raised again."""
        for key in standing:
            self._states[key] = _State(raised=True)

    @property
    def standing(self) -> set[Key]:
        """Those that are raised and not cleared."""
        return {key for key, state in self._states.items() if state.raised}

    def replace(self, rules: Iterable[Rule], now: Instant) -> list[Transition]:
        """Take the rules of another config; what stands and has none any more is cleared."""
        self.rules = {rule.key: rule for rule in rules}
        gone = [key for key in self._states if key not in self.rules]
        said = [
            Transition(key=key, raised=False, at=now, since=now, value=None, gone=True)
            for key in gone
            if self._states[key].raised
        ]
        for key in gone:
            del self._states[key]
        return said

    def look(self, now: Instant, values: Mapping[Key, float | None]) -> list[Transition]:
        """Look at every alert with its present value; one without a value is not looked at."""
        said: list[Transition] = []
        for key, rule in self.rules.items():
            if key not in values:
                continue
            value = values[key]
            state = self._states.setdefault(key, _State())
            changing = rule.calm(value) if state.raised else rule.beyond(value)
            if not changing:
                state.since = None
                continue
            if state.since is None:
                state.since = now
            if now - state.since >= rule.for_us:
                since, state.since = state.since, None
                state.raised = not state.raised
                said.append(
                    Transition(key=key, raised=state.raised, at=now, since=since, value=value)
                )
        return said
