"""The config folder: every ``*.yaml`` read, merged, checked; all problems at once."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import ValidationError

from gkc_engine.config.checks import cross_check
from gkc_engine.config.explain import explain
from gkc_engine.config.models import Config
from gkc_engine.config.problems import InvalidConfigError, Place, Problem, problem
from gkc_engine.config.source import FILE_BYTES_MAX, Source, read

FILES_MAX: Final = 256
PROBLEMS_MAX: Final = 1000
"""More are counted, not shown: nobody mends the thousandth before the first."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What reading a folder gave: a config, or the problems for which there is none."""

    config: Config | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def load_config(folder: FilePath) -> Config:
    """Return the config in ``folder``.

    Raises:
        InvalidConfigError: (a ``ConfigError``) anything is wrong; carries all ``problems``.
    """
    outcome = inspect(folder)
    if outcome.config is None:
        raise InvalidConfigError(outcome.problems)
    return outcome.config


def check(folder: FilePath) -> list[Problem]:
    """Return every problem in ``folder``; none means that ``load_config`` gives a config."""
    return list(inspect(folder).problems)


def inspect(folder: FilePath) -> Outcome:
    """Read and check ``folder``; never raises for what the files hold."""
    source = read_folder(folder)
    problems = list(source.problems)
    warnings = list(source.warnings)
    config: Config | None = None
    if not source.broken:
        config, found = _validate(source, Place(str(folder)))
        problems += found
    if config is not None:
        findings = cross_check(config, source, folder)
        problems += findings.problems
        warnings += findings.warnings
    ordered = sorted(set(problems), key=_order)[:PROBLEMS_MAX]
    return Outcome(
        None if ordered else config, tuple(ordered), tuple(sorted(set(warnings), key=_order))
    )


def _validate(source: Source, root: Place) -> tuple[Config | None, list[Problem]]:
    """Return the config and the problems of single values.

    With problems, the config is the one that the rest makes (without what only adds detail), so
    that cross checks can tell theirs in the same run; ``None`` when the rest is not enough.
    """
    try:
        return Config.model_validate_json(json.dumps(source.tree)), []
    except ValidationError as error:
        found = explain(error, source, root)
        rest = _without(source.tree, error)
    try:
        return (Config.model_validate_json(json.dumps(rest)) if rest else None), found
    except ValidationError:
        return None, found


def _without(tree: dict[str, Any], error: ValidationError) -> dict[str, Any] | None:
    """Return ``tree`` without its wrong scalars; ``None`` if more than scalars are wrong."""
    rest = copy.deepcopy(tree)
    for detail in error.errors(include_url=False):
        *way, last = detail["loc"]
        holder: Any = rest
        for step in way:
            holder = holder[step] if last != "[key]" else None
        if not isinstance(holder, dict) or isinstance(holder.get(str(last), {}), dict | list):
            return None
        del holder[last]
    return rest


def _order(found: Problem) -> tuple[str, int, int, str]:
    return (found.file, found.line, found.col, found.path)


def read_folder(folder: FilePath) -> Source:
    """Return the merged tree of ``folder``'s files; each section stands in one file only."""
    merged = Source()
    try:
        files = sorted(
            p for p in folder.iterdir() if p.suffix == ".yaml" and not p.name.startswith(".")
        )
    except OSError as error:
        found = f"no readable folder ({error.strerror})"
        merged.problems.append(problem(Place(str(folder)), (), found, "a folder of *.yaml files"))
        merged.broken = True
        return merged
    if not files or len(files) > FILES_MAX:
        found = f"{len(files)} files *.yaml"
        expected = f"1 to {FILES_MAX} of them"
        merged.problems.append(problem(Place(str(folder)), (), found, expected))
        merged.broken = True
        return merged
    for file in files:
        _merge(merged, read_file(file))
    return merged


def read_file(file: FilePath) -> Source:
    """Return what ``file`` holds, or the problem for which it cannot be read."""
    name = str(file).encode("utf-8", "backslashreplace").decode()
    found = "something that is no file"
    try:
        # Asked first: opening a pipe would wait for its writer.
        if file.is_file() or file.is_dir():
            with file.open("rb") as stream:
                return _parsed(stream.read(FILE_BYTES_MAX + 1), name)
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
    source = Source(broken=True)
    source.problems.append(problem(Place(name), (), found, "a readable file"))
    return source


@lru_cache(maxsize=64)
def _parsed(data: bytes, name: str) -> Source:
    """Parsing is the slow part (0.3 s for 1000 operators) and most files did not change."""
    return read(data, name)


def _merge(merged: Source, part: Source) -> None:
    merged.problems += part.problems
    merged.broken |= part.broken
    merged.warnings += part.warnings
    taken: Mapping[str, Any] = merged.tree
    for section, value in part.tree.items():
        place = part.keys[section,]
        if section in taken:
            first = merged.keys[section,]
            found = f"the section {section} a second time"
            expected = f"it in one file only (it stands in {first.file}:{first.line})"
            merged.problems.append(problem(place, (section,), found, expected))
            continue
        merged.tree[section] = value
        merged.values |= {p: v for p, v in part.values.items() if p[0] == section}
        merged.keys |= {p: v for p, v in part.keys.items() if p[0] == section}
