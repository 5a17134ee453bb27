"""What a reload would change, in words; and the guard against a tree that lost its entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

from gkc_engine.config.explain import bare, type_at
from gkc_engine.config.models import Config
from gkc_engine.config.problems import dotted
from gkc_engine.config.schema import duration_text
from gkc_engine.config.values import MINUTES_A_DAY
from gkc_engine.federation.settings import CenterStatus
from gkc_engine.ids import Micros

GUARDED: Final = ("queues", "operators")
SHRINK_MAX_PERCENT: Final = 30
_PLAIN: Final = ("queues", "operators", "services", "skills")
"""Sections whose entries are well enough known to be named without their section."""

START_ONLY: Final = (
    ("center", "name"),
    ("center", "prefix"),
    ("pbx", "ami"),
    ("pbx", "fastagi"),
    ("pbx", "cel"),
    ("metrics",),
    ("store",),
    ("collector",),
    ("federation", "nats"),
    ("federation", "user"),
    ("federation", "secret"),
    ("federation", "tls"),
    ("federation", "records"),
    ("federation", "token_key"),
)
"""What is bound when the engine starts: sockets, files, and the names in the records."""

NEXT_START: Final = " (from the next start on)"
PBX_ANEW: Final = " (and gkc pbx config)"
"""What stands in Asterisk's files too: to be written anew; a planned center has no trunk."""


def diff(old: Config, new: Config) -> list[str]:
    """Return what differs, one change a line: ``zhkh.timeout 15s→20s``, ``queue tax removed``.

    Values stand as the files write them; secrets are references, so they may be shown. A line
    that ends in ``NEXT_START`` is of what a running engine cannot change, in ``PBX_ANEW`` of
    what Asterisk must be told, too.
    """
    lines: list[str] = []
    for section in Config.model_fields:
        before, after = getattr(old, section), getattr(new, section)
        if isinstance(before, dict):
            lines += _entries(section, before, after)
        elif before != after:
            lines += _changes((section,), before, after)
    return lines


def shrink(old: Config, new: Config) -> list[str]:
    """Return why ``new`` must be forced: it drops more than 30 % of queues or of operators.

    Such a tree is valid but hardly meant: most often half of a file was deleted or not copied.
    """
    reasons = []
    for section in GUARDED:
        before, after = getattr(old, section), getattr(new, section)
        gone = [name for name in before if name not in after]
        if len(gone) * 100 > len(before) * SHRINK_MAX_PERCENT:
            reasons.append(f"{len(gone)} of {len(before)} {section} would go: {', '.join(gone)}")
    return reasons


def _entries(section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    noun = {"queues": "queue", "operators": "operator", "ivr": "menu"}.get(
        section, section.removesuffix("s")
    )
    for name in old:
        if name not in new:
            yield f"{noun} {name} removed"
    for name, value in new.items():
        if name not in old:
            yield f"{noun} {name} added"
        elif old[name] != value:
            yield from _changes((section, name), old[name], value)
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        yield f"{section} in another order"


def _changes(path: tuple[str, ...], old: object, new: object) -> Iterator[str]:
    """Yield the changed leaves under ``path``."""
    if isinstance(old, BaseModel) and isinstance(new, BaseModel):
        for name, info in type(new).model_fields.items():
            before, after = getattr(old, name), getattr(new, name)
            if before != after:
                yield from _changes((*path, info.alias or name), before, after)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            if old.get(key) != new.get(key):
                yield from _changes((*path, str(key)), old.get(key), new.get(key))
    else:
        shown = path[1:] if len(path) > 1 and path[0] in _PLAIN else path
        kind = type_at(path)
        yield (
            f"{dotted(shown)} {_value(old, kind, path[-1])}→{_value(new, kind, path[-1])}"
            f"{_when(path, old, new)}"
        )


def _when(path: tuple[str, ...], old: object, new: object) -> str:
    """Return what a change of ``path`` waits for; nothing: the reload is enough."""
    if path == ("federation",) or any(path[: len(p)] == p for p in START_ONLY):
        return NEXT_START
    if path == ("center", "status"):
        return PBX_ANEW if CenterStatus.PLANNED in (old, new) or None in (old, new) else ""
    if path[:2] != ("federation", "centers"):
        return ""
    trunk = len(path) == 3 or path[3] == "trunk"
    if trunk or (path[3] == "status" and CenterStatus.PLANNED in (old, new)):
        return PBX_ANEW
    return ""


def _value(value: object, kind: object = None, key: str = "") -> str:
    """Return ``value`` as the files write it; ``kind`` and ``key`` tell what it measures."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case int() if kind is Micros:
            return duration_text(value)
        case int() if key == "slope":
            return f"{value / 1000:g}"
        case (int(start), int(end)):
            return f"{_clock(start)}-{_clock(end)}"
        case tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case BaseModel():
            return _fields(value)
        case dict():
            of = get_args(kind)[1] if get_origin(kind) is dict else None
            return "{" + ", ".join(f"{k}: {_value(v, bare(of))}" for k, v in value.items()) + "}"
        case _:
            return str(value)


def _fields(model: BaseModel) -> str:
    """Return the fields that were given, as a flow mapping."""
    fields = type(model).model_fields
    parts = [
        f"{info.alias or name}: {_value(getattr(model, name), bare(info.annotation), name)}"
        for name, info in fields.items()
        if name in model.model_fields_set
    ]
    return "{" + ", ".join(parts) + "}"


def _clock(minute: int) -> str:
    shown = minute if minute <= MINUTES_A_DAY else minute - MINUTES_A_DAY
    return f"{shown // 60:02}:{shown % 60:02}"
