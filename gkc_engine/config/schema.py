"""JSON Schema of the files, so that an editor completes keys and underlines mistakes."""

from __future__ import annotations

from typing import Any, Final

from gkc_engine.config.models import Config

_UNITS: Final = (("d", 86400 * 10**6), ("h", 3600 * 10**6), ("m", 60 * 10**6), ("s", 10**6))


def duration_text(us: int) -> str:
    """Return a duration as the files write it, in the largest unit that leaves no fraction."""
    for unit, size in _UNITS:
        if us % size == 0 and (us or unit == "s"):
            return f"{us // size}{unit}"
    return f"{us / 1000:g}ms"


def json_schema() -> dict[str, Any]:
    """Return the schema of one file: any of the sections, none of them required in each file."""
    schema = Config.model_json_schema()
    schema.pop("required", None)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Configuration of a GKC center"
    for model in schema.get("$defs", {}).values():
        for entry in model.get("properties", {}).values():
            _default_as_written(entry)
    return schema


def _default_as_written(entry: dict[str, Any]) -> None:
    """Inside, durations are microseconds and the slope is in thousandths; in files they are not."""
    default = entry.get("default")
    if not isinstance(default, int) or isinstance(default, bool):
        return
    if entry.get("type") == "string":
        entry["default"] = duration_text(default)
    elif entry.get("type") == "number":
        entry["default"] = default / 1000
