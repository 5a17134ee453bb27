"""YAML files as one plain tree with the place of every key and value. Never a traceback.

A subset of YAML 1.2: one document of mappings, lists and scalars. Refused: anchors and aliases
(a bomb of ten lines is a gigabyte), tags, directives, duplicate keys, anything past the limits.
Keys are always text, so ``1:`` and ``"1":`` are the same key of a menu.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from gkc_engine.config.problems import Path, Place, Problem, clip, dotted, problem

FILE_BYTES_MAX: Final = 1 << 20
DEPTH_MAX: Final = 12
NODES_MAX: Final = 100_000
"""A thousand operators are 20 000; the parser reads some 50 000 a second."""
SCALAR_CHARS_MAX: Final = 8192

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_INT: Final = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{0,15}", re.ASCII)
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(slots=True)
class Source:
    """What was read: the tree, its places, and what was wrong with it."""

    tree: dict[str, Any] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    broken: bool = False
    """The tree is not whole (unlike after a duplicate key): what it lacks says nothing."""

    def place(self, path: Path) -> Place | None:
        """Return where the value at ``path`` stands, or the nearest thing around it."""
        for length in range(len(path), 0, -1):
            found = self.values.get(path[:length]) or self.keys.get(path[:length])
            if found is not None:
                return found
        return None

    def value(self, path: Path) -> object:
        """Return what was read at ``path``, or ``None``."""
        current: Any = self.tree
        for part in path:
            try:
                current = current[part]
            except (LookupError, TypeError):
                return None
        return current

    def key_place(self, path: Path) -> Place | None:
        """Return where the key that ends ``path`` stands, or the nearest thing around it."""
        return self.keys.get(path) or self.place(path)


class _RefusedError(Exception):
    """Reading this file cannot go on; carries the problem."""

    def __init__(self, found: Problem) -> None:
        self.problem = found


def read(data: bytes, file: str) -> Source:
    """Return the tree in ``data``; any bytes whatever give a ``Source``, perhaps with problems."""
    source = Source()
    text = _decode(data, file, source)
    if text is None or not _check_marks(text, file, source):
        source.broken = True
        return source
    reader = _Reader(file, source)
    try:
        reader.run(text)
    except _RefusedError as refused:
        fatal = refused.problem
    except MarkedYAMLError as error:
        fatal = reader.syntax(error)
    except (YAMLError, ValueError, LookupError, ArithmeticError) as error:
        # ruamel leaks these on hostile input, such as an escape past the last code point.
        found = f"text that is not YAML ({clip(str(error))})"
        fatal = problem(Place(file), reader.path(), found, "YAML 1.2")
    else:
        if source.tree or source.problems:
            return source
        fatal = problem(Place(file), (), "an empty file", "at least one section such as queues:")
    source.problems.append(fatal)
    source.broken = True
    return source


def _decode(data: bytes, file: str, source: Source) -> str | None:
    if len(data) > FILE_BYTES_MAX:
        found = f"{len(data)} bytes"
        source.problems.append(
            problem(Place(file), (), found, f"a file of at most {FILE_BYTES_MAX} bytes")
        )
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Place(file, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        source.problems.append(
            problem(place, (), f"the byte 0x{data[error.start]:02x}", "text in UTF-8")
        )
        return None
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        line = text.count("\n", 0, bad.start()) + 1
        place = Place(file, line, bad.start() - text.rfind("\n", 0, bad.start()))
        found = f"the control character U+{ord(bad[0]):04X}"
        source.problems.append(problem(place, (), found, "printable text in UTF-8"))
        return None
    return text


def _check_marks(text: str, file: str, source: Source) -> bool:
    """Return whether the file is whole: what opens with ``---`` must close with ``...`` (ADR 0010).

    This is how a half-written file is known, wherever it was cut.
    """
    lines = text.splitlines()
    written = (line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    content = next(written, "")
    if not content.startswith("---"):
        if content:
            source.warnings.append(
                problem(
                    Place(file),
                    (),
                    "no --- at the top",
                    "--- as first and ... as last line, so that a half-written file is noticed",
                )
            )
        return True
    body = text.rstrip("\r\n")
    if body.endswith(("\n...", "\r...")) and text.endswith("\n"):
        return True
    found = f"a half-written file, ending in {clip(lines[-1].strip())!r}"
    if "..." in lines[:-1]:
        found = "text after the closing line ..."
    elif lines[-1] == "...":
        found = "no end of line after the closing ..."
    expected = "a last line ... since the file begins with ---"
    source.problems.append(problem(Place(file, len(lines), 1), (), found, expected))
    return False


class _Reader:
    """Builds the tree from parser events with a stack of its own, so depth costs no recursion."""

    def __init__(self, file: str, source: Source) -> None:
        self.file = file
        self.source = source
        self._containers: list[dict[str, Any] | list[Any]] = []
        self._path: list[str | int] = []
        self._key: str | None = None
        self._skipping = 0
        """Depth inside the value of a duplicate key, which is read for syntax only."""
        self._nodes = 0

    def path(self) -> Path:
        """Return where reading stands."""
        return tuple(self._path) if self._key is None else (*self._path, self._key)

    def run(self, text: str) -> None:
        documents = 0
        for event in self._events(text):
            place = Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)
            match event:
                case DocumentStartEvent():
                    documents += 1
                    self._document(event, place, documents)
                case NodeEvent():
                    self._node(event, place)
                case MappingEndEvent() | SequenceEndEvent():
                    self._close()
                case DocumentEndEvent() | _:
                    pass

    @staticmethod
    def _events(text: str) -> Iterator[Event]:
        yaml = YAML(typ="safe", pure=True)
        yield from yaml.parse(text)

    def syntax(self, error: MarkedYAMLError) -> Problem:
        mark = error.problem_mark or error.context_mark
        place = Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file)
        said = " ".join(str(error.problem or error.context or "a slip").split())
        return problem(place, self.path(), f"text that is not YAML ({clip(said)})", "YAML 1.2")

    def _refuse(self, place: Place, found: str, expected: str) -> _RefusedError:
        return _RefusedError(problem(place, self.path(), found, expected))

    def _document(self, event: DocumentStartEvent, place: Place, documents: int) -> None:
        if documents > 1:
            raise self._refuse(place, "a second document", "nothing after the end of the first")
        if event.version is not None or event.tags:
            raise self._refuse(place, "a % directive", "none: files are YAML 1.2")

    def _node(self, event: NodeEvent, place: Place) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise self._refuse(place, f"more than {NODES_MAX} values", "fewer in one file")
        if isinstance(event, AliasEvent) or event.anchor is not None:
            raise self._refuse(place, "an anchor or alias (& or *)", "the value written out")
        tag = getattr(event, "tag", None)
        if tag is not None:
            found = f"the tag {clip(str(tag))}"
            raise self._refuse(place, found, "a plain value without ! tags")
        if isinstance(event, ScalarEvent):
            self._scalar(event, place)
            return
        if self._awaits_key():
            raise self._refuse(place, "a list or mapping as a key", "a key of plain text")
        if len(self._containers) >= DEPTH_MAX:
            raise self._refuse(place, f"more than {DEPTH_MAX} levels", "a flatter file")
        self._open({} if isinstance(event, MappingStartEvent) else [], place)

    def _awaits_key(self) -> bool:
        return (
            bool(self._containers) and isinstance(self._containers[-1], dict) and self._key is None
        )

    def _scalar(self, event: ScalarEvent, place: Place) -> None:
        if len(event.value) > SCALAR_CHARS_MAX:
            found = f"{len(event.value)} characters"
            raise self._refuse(place, found, f"at most {SCALAR_CHARS_MAX}")
        bad = _UNPRINTABLE.search(event.value)
        if bad is not None:
            found = f"the control character U+{ord(bad[0]):04X}"
            raise self._refuse(place, found, "printable text")
        if not self._containers:
            if event.value:
                raise self._refuse(place, "a single text", "sections such as queues:")
            return
        if self._awaits_key():
            self._take_key(event.value, place)
            return
        plain = event.implicit[0]
        self._put(_resolve(event.value) if plain else event.value, place)

    def _take_key(self, key: str, place: Place) -> None:
        mapping = self._containers[-1]
        path = (*self._path, key)
        if not self._skipping:
            if path in self.source.keys:
                first = self.source.keys[path]
                found = f"{dotted((key,))} a second time"
                expected = f"each key once (the first stands at line {first.line})"
                self.source.problems.append(problem(place, path, found, expected))
                self._skipping = len(self._containers)
            else:
                self.source.keys[path] = place
        assert isinstance(mapping, dict)
        self._key = key

    def _put(self, value: Any, place: Place) -> None:  # noqa: ANN401 - a YAML value
        container = self._containers[-1]
        if isinstance(container, list):
            path: Path = (*self._path, len(container))
            container.append(value)
        else:
            assert self._key is not None
            path = (*self._path, self._key)
            if self._skipping != len(self._containers):
                container[self._key] = value
            self._key = None
        if not self._skipping:
            self.source.values[path] = place
        elif self._skipping == len(self._containers):
            self._skipping = 0

    def _open(self, fresh: dict[str, Any] | list[Any], place: Place) -> None:
        if not self._containers:
            if isinstance(fresh, list):
                raise self._refuse(place, "a list", "sections such as queues:")
            self.source.tree = fresh
            self._containers.append(fresh)
            return
        container = self._containers[-1]
        step: str | int = len(container) if isinstance(container, list) else self._key or ""
        skipping = self._skipping
        self._put(fresh, place)
        self._skipping = skipping
        self._containers.append(fresh)
        self._path.append(step)

    def _close(self) -> None:
        self._containers.pop()
        if self._path:
            self._path.pop()
        if self._skipping == len(self._containers):
            self._skipping = 0


def _resolve(text: str) -> str | int | float | bool | None:
    """Return a plain scalar by YAML 1.2's core schema; ``yes``, ``on`` and ``0o7`` stay text."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
