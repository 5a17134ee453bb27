"""Scenario files: read, checked, and said in the core's terms; all problems at once."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path as FilePath
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from gkc_engine.acd.settings import AgentSettings
from gkc_engine.config.checks import Findings, check_routing
from gkc_engine.config.explain import explain
from gkc_engine.config.loader import inspect, read_file
from gkc_engine.config.models import Config
from gkc_engine.config.problems import (
    InvalidConfigError,
    Path,
    Place,
    Problem,
    closest,
    problem,
    shown,
)
from gkc_engine.config.schema import duration_text
from gkc_engine.config.settings import to_settings
from gkc_engine.config.source import Source
from gkc_engine.ids import SECOND, AgentId, Instant, QueueId, SkillId
from gkc_engine.simulation.model import DistModel, PoolModel, ScenarioModel
from gkc_engine.simulation.plan import AGENTS_MAX, CONTACTS_MAX, Dist, Flow, Opening, Plan

_NOBODY: Final = {"nobody": {"name": "-", "interface": "PJSIP/0"}}
"""Stands for the operators while a config is read that has none: pools will do."""


def load_scenario(file: FilePath, *, arrivals_given: bool = False) -> Plan:
    """Return the scenario in ``file``; with ``arrivals_given`` its traffic is not needed.

    Raises:
        InvalidConfigError: (a ``ConfigError``) anything is wrong; carries all ``problems``.
    """
    source = read_file(file)
    problems = list(source.problems)
    plan: Plan | None = None
    if not source.broken:
        reading = _Reading(file, source)
        plan = reading.plan(arrivals_given=arrivals_given)
        problems += reading.problems
    if problems or plan is None:
        order = sorted(set(problems), key=lambda p: (p.file, p.line, p.col, p.path))
        raise InvalidConfigError(order)
    return plan


class _Reading:
    """One scenario file on its way to a plan; collects what is wrong."""

    def __init__(self, file: FilePath, source: Source) -> None:
        self.folder = file.parent
        self.source = source
        self.root = Place(str(file))
        self.problems: list[Problem] = []
        self.operators: tuple[str, ...] = ()

    def plan(self, *, arrivals_given: bool) -> Plan | None:
        """Return the plan, or ``None`` when ``problems`` were found."""
        model = self._model()
        config = self._config()
        if model is None or config is None:
            return None
        self._check_agents(model, config)
        self._check_traffic(model, config, arrivals_given=arrivals_given)
        return None if self.problems else _plan(model, config, self.operators)

    def _add(self, path: Path, found: str, wanted: str, hint: str | None = None) -> None:
        place = self.source.place(path) or self.root
        self.problems.append(problem(place, path, found, wanted, hint))

    def _add_key(self, path: Path, found: str, wanted: str, hint: str | None = None) -> None:
        place = self.source.key_place(path) or self.root
        self.problems.append(problem(place, path, found, wanted, hint))

    def _model(self) -> ScenarioModel | None:
        try:
            return ScenarioModel.model_validate_json(json.dumps(self.source.tree))
        except ValidationError as error:
            self.problems += explain(error, self.source, self.root, ScenarioModel)
            return None

    # --- the config ------------------------------------------------------------------------------

    def _config(self) -> Config | None:
        match self.source.tree.get("config"):
            case str() as folder if folder.strip():
                outcome = inspect(self.folder / folder)
                self.problems += outcome.problems
                if outcome.config is not None:
                    self.operators = tuple(outcome.config.operators)
                return outcome.config
            case dict() as tree:
                return self._inline(tree)
            case found if "config" in self.source.tree:
                wanted = "a config (skills, queues, operators) or a folder with one"
                self._add(("config",), shown(found), wanted)
            case _:
                pass  # Nothing there: the model has told it.
        return None

    def _inline(self, tree: dict[str, Any]) -> Config | None:
        part = _below(self.source, "config")
        config: Config | None = None
        try:
            config = Config.model_validate_json(json.dumps(_filled(tree)))
        except ValidationError as error:
            found = explain(error, part, self.source.key_place(("config",)) or self.root)
        else:
            self.operators = tuple(config.operators) if tree.get("operators") else ()
            findings = Findings(config, part, self.folder, prompts=False)
            check_routing(findings)
            found = findings.problems
        self.problems += [replace(one, path=f"config.{one.path}") for one in found]
        return config

    # --- cross checks ----------------------------------------------------------------------------

    def _check_agents(self, model: ScenarioModel, config: Config) -> None:
        for name, pool in model.pools.items():
            if name in self.operators:
                self._add_key(("pools", name), shown(name), "a name that no operator has")
            for skill in pool.skills:
                if skill not in config.skills:
                    path = ("pools", name, "skills", skill)
                    hint = closest(skill, config.skills)
                    self._add_key(path, shown(skill), "a name from skills:", hint)
        count = len(self.operators) + sum(pool.count for pool in model.pools.values())
        if not 1 <= count <= AGENTS_MAX:
            wanted = f"1 to {AGENTS_MAX} of them, from operators: and pools:"
            self._add_key(("pools",), f"{count} operators", wanted)
        for name, queue in config.queues.items():
            if model.offer.ring > queue.timeout:
                text = duration_text(queue.timeout)
                wanted = f"at most the timeout of every queue ({name} has {text})"
                self._add(("offer", "ring"), shown(self.source.value(("offer", "ring"))), wanted)
                break

    def _check_traffic(self, model: ScenarioModel, config: Config, *, arrivals_given: bool) -> None:
        for name in model.traffic:
            if name not in config.queues:
                path = ("traffic", name)
                hint = closest(name, config.queues)
                self._add_key(path, shown(name), "a name from queues:", hint)
        if arrivals_given:
            return
        if not model.traffic:
            self._add_key(("traffic",), "nothing", "the traffic of at least one queue")
        if (model.contacts is None) == (model.duration is None):
            found = "neither" if model.contacts is None else "both"
            self._add_key(("duration",), found, "exactly one of contacts: and duration:")
        if model.duration is None:
            return
        if model.warmup >= model.duration:
            found = shown(self.source.value(("warmup",)))
            self._add(("warmup",), found, "a warm-up shorter than the duration")
        mean = sum(t.rate for t in model.traffic.values()) * model.duration / SECOND
        if mean > CONTACTS_MAX:
            found = f"a duration in which {mean:.0f} contacts come"
            self._add(("duration",), found, f"at most {CONTACTS_MAX}")


def _below(source: Source, section: str) -> Source:
    """Return one section as a source of its own."""
    return Source(
        tree=source.tree[section],
        values={path[1:]: at for path, at in source.values.items() if path[0] == section},
        keys={path[1:]: at for path, at in source.keys.items() if path[:1] == (section,)},
    )


def _filled(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return an inline config with what a whole one must have and a simulation does not use."""
    filled = copy.deepcopy(dict(tree))
    filled.setdefault("pbx", {"ami": {"secret": "env:NONE"}})
    filled.setdefault("numbers", {"100": {"queue": "none"}})
    center = filled.setdefault("center", {})
    if isinstance(center, dict):
        center.setdefault("name", "scenario")
        center.setdefault("prefix", "S")
    if not filled.get("operators"):
        filled["operators"] = _NOBODY
    for number, operator in enumerate(_entries(filled, "operators")):
        operator.setdefault("name", "-")
        operator.setdefault("interface", f"PJSIP/{number}")
    for queue in _entries(filled, "queues"):
        queue.setdefault("title", "-")
    return filled


def _entries(tree: Mapping[str, Any], section: str) -> Iterable[dict[str, Any]]:
    entries = tree.get(section)
    if isinstance(entries, dict):
        yield from (entry for entry in entries.values() if isinstance(entry, dict))


# --- into the core's terms -----------------------------------------------------------------------


def _plan(model: ScenarioModel, config: Config, operators: tuple[str, ...]) -> Plan:
    settings = to_settings(config)
    agents = [agent for agent in settings.agents if operators]
    groups: dict[AgentId, str] = {agent.agent_id: agent.agent_id for agent in agents}
    for name, pool in model.pools.items():
        for agent in _members(name, pool):
            agents.append(agent)
            groups[agent.agent_id] = name
    start = None
    if model.start is not None:
        start = _instant(model.start, ZoneInfo(config.center.timezone))
    return Plan(
        settings=replace(settings, agents=tuple(agents)),
        groups=groups,
        flows=tuple(
            Flow(
                queue=QueueId(name),
                per_s=traffic.rate,
                handle=_dist(traffic.handle),
                patience=None if traffic.patience is None else _dist(traffic.patience),
            )
            for name, traffic in model.traffic.items()
        ),
        contacts=model.contacts,
        duration_us=model.duration,
        warmup_us=model.warmup,
        ring_us=model.offer.ring,
        miss=model.offer.miss,
        start=start,
        hours=_openings(config),
    )


def _members(name: str, pool: PoolModel) -> Iterable[AgentSettings]:
    for number in range(1, pool.count + 1):
        yield AgentSettings(
            agent_id=AgentId(f"{name}/{number}"),
            skills={SkillId(skill): level for skill, level in pool.skills.items()},
            capacity=dict(pool.capacity),
        )


def _dist(model: DistModel) -> Dist:
    return Dist(name=model.dist, mean_us=model.mean, cv=model.cv or 0.0, k=model.k or 0)


def _openings(config: Config) -> dict[QueueId, Opening]:
    openings: dict[QueueId, Opening] = {}
    for name, queue in config.queues.items():
        if queue.hours is not None:
            calendar = config.calendars[queue.hours]
            zone = calendar.timezone or config.center.timezone
            openings[QueueId(name)] = Opening(calendar=calendar, zone=zone)
    return openings


def _instant(local: datetime, zone: ZoneInfo) -> Instant:
    since = local.replace(tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)
    return Instant(since // timedelta(microseconds=1))
