"""pydantic's errors in the administrator's words, each with its place and the nearest known key."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Final, Union, get_args, get_origin
from zoneinfo import available_timezones

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gkc_engine.config.models import Config
from gkc_engine.config.problems import Path, Place, Problem, clip, closest, problem, shown
from gkc_engine.config.source import Source

FOREIGN: Final[Mapping[str, str]] = {
    "retry": "same_agent_after",
    "weight": "class or head_start",
    "member": "operators",
    "members": "operators",
    "agents": "operators",
    "penalty": "skills",
    "autopause": "center.max_no_answer",
    "autopausedelay": "center.autopause_for",
    "leastrecent": "longest-idle",
    "ringall": "ring: all",
    "rrmemory": "longest-idle",
    "menus": "ivr",
    "password": "secret",
    "digits": "choices",
    "wrap_up": "wrapuptime",
    "monitor-format": "record",
}
"""Words of Asterisk and of other systems → our nearest."""


def explain(
    error: ValidationError, source: Source, root: Place, model: type[BaseModel] = Config
) -> list[Problem]:
    """Return one problem for each error of reading ``source`` as ``model``.

    ``root`` is the place of what is missing altogether.
    """
    return [_explain(detail, source, root, model) for detail in error.errors(include_url=False)]


def _explain(detail: ErrorDetails, source: Source, root: Place, model: type[BaseModel]) -> Problem:
    path: Path = tuple(detail["loc"])
    kind = detail["type"]
    if path and path[-1] == "[key]":
        path = path[:-1]
        place = source.key_place(path) or root
        name = shown(path[-1])
        wanted = _expected(detail, path, model)
        return problem(place, path, f"the key {name}", wanted, _hint(path[-1], detail, path[:-1]))
    if kind == "extra_forbidden":
        owner = type_at(path[:-1], model)
        place = source.key_place(path) or root
        known = keys_of(owner)
        wanted = f"a key of {_owner_words(path[:-1], model)}"
        return problem(place, path, "an unknown key", wanted, _known_hint(str(path[-1]), known))
    if kind == "missing":
        place = source.key_place(path[:-1]) or root
        return problem(place, path, "nothing", f"a value: {_missing_words(path)} is required")
    place = source.place(path) or root
    wanted = _expected(detail, path, model)
    value = source.value(path)  # Not the error's input, which a validator may have changed.
    found = shown(value, path)
    if kind == "expected" and isinstance(value, Mapping) and value:
        found = "the keys " + clip(", ".join(map(str, value)))
    return problem(place, path, found, wanted, _hint(value, detail, path))


def _owner_words(path: Path, model: type[BaseModel]) -> str:
    if not path:
        return str(getattr(model, "KEYS_OF", "the config (a section)"))
    names = [part for part in path if isinstance(part, str)]
    return names[0] if len(path) == 1 else f"an entry of {names[0]}"


def _missing_words(path: Path) -> str:
    return f"the section {path[0]}" if len(path) == 1 else f"the key {path[-1]}"


def _expected(detail: ErrorDetails, path: Path, model: type[BaseModel]) -> str:
    """Return the words after "expected"."""
    ctx = detail.get("ctx", {})
    match detail["type"]:
        case "expected":
            return str(ctx["text"])
        case "enum" | "literal_error":
            return "one of " + _list(str(ctx["expected"]))
        case "string_pattern_mismatch":
            return _pattern_words(path, str(ctx["pattern"]))
        case "greater_than_equal" | "less_than_equal" | "int_type" | "int_from_float":
            return _range(path, model)
        case "too_long":
            return f"at most {ctx['max_length']} entries"
        case kind:
            return _kind_words(kind, detail, path, model)


def _kind_words(kind: str, detail: ErrorDetails, path: Path, model: type[BaseModel]) -> str:
    words = {
        "bool_type": "true or false",
        "string_type": _text_words(detail),
        "dict_type": f"a mapping (keys and values) under {_last(path)}",
        "model_type": "the keys of " + _owner_words(path, model),
        "model_attributes_type": "the keys of " + _owner_words(path, model),
        "tuple_type": "a list in [ ]",
        "too_short": "at least one entry",
    }
    return words.get(kind, str(detail["msg"]))


def _text_words(detail: ErrorDetails) -> str:
    if isinstance(detail["input"], int | float):
        return "a text (put it in quotes)"
    return "a text"


def _list(expected: str) -> str:
    """Return pydantic's ``'a', 'b' or 'c'`` without its quotes."""
    return expected.replace("'", "")


def _last(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "the config")


def _pattern_words(path: Path, pattern: str) -> str:
    described = {"prefix": "1 to 8 letters or digits", "user": "letters, digits, _ or -"}
    return described.get(_last(path), f"letters as in {pattern}")


def _range(path: Path, model: type[BaseModel]) -> str:
    """Return ``a whole number from 0 to 100000``: every integer key has both bounds."""
    low = high = None
    for meta in _metadata(_annotation_at(path, model)):
        low = getattr(meta, "ge", low)
        high = getattr(meta, "le", high)
    return "a whole number" if low is None else f"a whole number from {low} to {high}"


def _hint(value: object, detail: ErrorDetails, path: Path) -> str | None:
    if "duration" in detail["msg"]:
        return _duration_hint(str(value))
    if not isinstance(value, str):
        return None
    if detail["type"] in ("enum", "literal_error"):
        words = _list(str(detail.get("ctx", {})["expected"])).replace(" or ", ", ").split(", ")
        return _known_hint(value, words)
    if path and path[-1] == "timezone":
        return closest(value, available_timezones())
    return None


def _duration_hint(value: str) -> str | None:
    """Return ``20s`` for ``20 sec``, ``20``… when that is plainly what was meant."""
    found = re.fullmatch(r"(\d{1,6}) *([a-zA-Z]*)\.?", value.strip())
    if found is None:
        return None
    unit = found[2].lower()
    units = {"": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m"}
    units |= {"mins": "m", "minute": "m", "minutes": "m", "hour": "h", "hours": "h", "hr": "h"}
    units |= {"day": "d", "days": "d", "msec": "ms", "s": "s", "m": "m", "h": "h", "d": "d"}
    meant = f"{found[1]}{units.get(unit, '')}"
    return meant if unit in units and meant != value else None


def _known_hint(word: str, known: list[str]) -> str | None:
    return FOREIGN.get(word) or closest(word, known)


# --- walking the models by a path ------------------------------------------------------------


def keys_of(model: object) -> list[str]:
    """Return the keys of a model as the file writes them."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [f.alias or name for name, f in model.model_fields.items()]
    return []


def type_at(path: Path, model: type[BaseModel] = Config) -> object:
    """Return the bare type of what may stand at ``path``; ``None`` if nothing may."""
    return bare(_annotation_at(path, model))


def _annotation_at(path: Path, model: type[BaseModel]) -> object:
    current: object = model
    for part in path:
        kind = bare(current)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            current = _field(kind, part)
        elif get_origin(kind) is dict:
            current = get_args(kind)[1]
        elif get_origin(kind) is tuple:
            current = get_args(kind)[0]
        else:
            return None
    return current


def _field(model: type[BaseModel], key: str | int) -> object:
    for name, info in model.model_fields.items():
        if key == (info.alias or name):
            return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return None


def bare(annotation: object) -> object:
    """Return ``annotation`` without Annotated and without ``| None``."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
        else:
            return annotation


def _metadata(annotation: object) -> list[Any]:
    found: list[Any] = []
    while get_origin(annotation) in (Annotated, Union, types.UnionType):
        if get_origin(annotation) is Annotated:
            first, *rest = get_args(annotation)
            for meta in rest:
                found += [meta, *getattr(meta, "metadata", ())]
            annotation = first
        else:
            annotation = next(a for a in get_args(annotation) if a is not type(None))
    return found
