"""Logging: structlog, one JSON object a line on stderr, safe to show to anybody.

Events are snake_case facts (``offer_expired``) with values, never sentences. Whatever a value
is, it leaves here bounded, with control characters visible and telephone numbers masked. The
same goes for what libraries log through ``logging``.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor

from gkc_engine.escape import mask_number, printable

VALUE_CHARS_MAX: Final = 500
"""Longest value in a line; what is longer ends in an ellipsis."""

TRACEBACK_CHARS_MAX: Final = 8_000
ITEMS_MAX: Final = 50
"""Entries kept of a list or a mapping."""

DEPTH_MAX: Final = 4

_NUMBER: Final = re.compile(r"\+?\d(?:[\s().\-\u2010-\u2015]{0,3}\d){8,}")
"""Nine digits or more, also written in groups: no id of ours, but any subscriber's number."""

_ADDRESS: Final = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")
_UUID: Final = re.compile(
    r"\b([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})\b"
)
"""Version 7, as all our ids are: left alone wherever it stands."""

_IDENTITY: Final = re.compile(r"(?:[\w.]{1,32}-)?\d{10}\.\d{1,10}")
"""An Asterisk Uniqueid (``epoch.counter``, with a system name before it or not)."""

_IDENTITY_KEYS: Final = frozenset({"uniqueid", "linkedid", "source_key"})
_PLAIN_KEYS: Final = frozenset({"timestamp", "level", "logger"})
_MEASURES: Final = ("_us", "_ms", "_ns", "_s", "_bytes", "_total", "_at", "now", "seq")
"""Keys with these endings hold our own integers, however large; never a number dialled."""


def mask_numbers(text: str) -> str:
    """Return ``text`` with every telephone number in it masked (``+7 900 ***-**-67``)."""
    if len(text) < 9:
        return text
    parts = _UUID.split(text)
    parts[::2] = [_NUMBER.sub(_masked, part) for part in parts[::2]]
    return "".join(parts)


def _masked(found: re.Match[str]) -> str:
    text = found[0]
    return text if _ADDRESS.fullmatch(text) else mask_number(text)


def _safe_text(text: str, chars_max: int) -> str:
    # Twice: escaping may bring digits together that a hidden character kept apart.
    return mask_numbers(printable(mask_numbers(text), chars_max))


def _safe(key: str, value: object, depth: int = 0) -> object:
    match value:
        case None | bool() | float():
            return value
        case int():
            plain = abs(value) < 10**9 or key.endswith(_MEASURES)
            return value if plain else mask_number(str(value))
        case str() if key in _IDENTITY_KEYS and _IDENTITY.fullmatch(value):
            return value
        case str():
            return _safe_text(str(value), VALUE_CHARS_MAX)
        case Mapping() if depth < DEPTH_MAX:
            return {
                _safe_text(str(k), 80): _safe(str(k), v, depth + 1)
                for k, v in _first(value.items())
            }
        case list() | tuple() | set() | frozenset() if depth < DEPTH_MAX:
            return [_safe(key, v, depth + 1) for v in _first(value)]
        case _:
            return _safe_text(_repr(value), VALUE_CHARS_MAX)


def _first(items: Iterable[Any]) -> list[Any]:
    return [item for _, item in zip(range(ITEMS_MAX), items, strict=False)]


def _repr(value: object) -> str:
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except Exception:  # A value that cannot be shown must not cost the line, or the caller.
        return f"<{type(value).__name__}: no repr>"


def make_safe(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Mask, escape and bound every value; the processor that stands before the renderer."""
    safe: MutableMapping[str, Any] = {}
    for key, value in event.items():
        if key == "exception":
            lines = str(value)[-TRACEBACK_CHARS_MAX:].splitlines()
            safe[key] = "\n".join(_safe_text(line, VALUE_CHARS_MAX) for line in lines)
        elif key in _PLAIN_KEYS or key.startswith("_"):
            safe[key] = value  # Made by us: the time, the level; and structlog's own marks.
        else:
            safe[key] = _safe(key, value)
    return safe


def configure(level: str = "info", *, json: bool | None = None, to: TextIO | None = None) -> None:
    """Send all logging to ``to`` (stderr): JSON lines, or for people when ``json`` is false.

    ``json=None``: for people on a terminal, JSON anywhere else. May be called again.

    Raises:
        ValueError: ``level`` is none of debug, info, warning, error, critical.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log level {level!r}: expected debug, info, warning, error or critical")
    stream = to or sys.stderr
    as_json = not stream.isatty() if json is None else json
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        make_safe,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
