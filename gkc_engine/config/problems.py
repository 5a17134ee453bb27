"""A problem in the administrator's files: where, what was found, what is expected."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from gkc_engine.errors import ConfigError

Path = tuple[str | int, ...]
"""Where in the merged tree: ``("queues", "tax", "relax", 0, "after")``."""

_SHOWN_MAX = 60
_SECRETS = ("collector", "centers")
"""Each value under it is one."""

_SECRET_KEYS = frozenset({"secret", "pin", "ami", "password", "token_key"})


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A spot in a file; line and column count from 1, as editors do."""

    file: str
    line: int = 1
    col: int = 1

    def __str__(self) -> str:
        """``FILE:LINE:COL``."""
        return f"{self.file}:{self.line}:{self.col}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One line for the administrator; see ``__str__`` for its form."""

    file: str
    line: int
    col: int
    path: str
    found: str
    expected: str
    hint: str | None = None

    def __str__(self) -> str:
        """``FILE:LINE:COL: PATH: found X, expected Y[; did you mean Z?]``."""
        mean = f"; did you mean {self.hint}?" if self.hint else ""
        where = f"{self.file}:{self.line}:{self.col}: {self.path}"
        return f"{where}: found {self.found}, expected {self.expected}{mean}"

    def as_dict(self) -> dict[str, str | int | None]:
        """Return the object that ``gkc check --json`` prints."""
        return asdict(self)


def problem(
    place: Place, path: Path, found: str, expected: str, hint: str | None = None
) -> Problem:
    """Return the problem at ``place`` of the value at ``path``."""
    text = dotted(path)
    return Problem(place.file, place.line, place.col, text, found, expected, hint)


class InvalidConfigError(ConfigError):
    """The config folder has problems; ``problems`` holds all of them, in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([*map(str, problems), count_line(len(problems))]))


def count_line(count: int) -> str:
    """Return the last line of a refusal: ``3 problems``, and ``1 problems``, for programs."""
    return f"{count} problems"


_PASSWORD: Final = re.compile(
    r"(?<=nats://).*(?=@)|(?<=tls://).*(?=@)|(?<=://)[^@]*:.*(?=@)|(?<=[?&]password=)[^&]*"
)
"""In a URL: with the name before it, which may hold a colon itself. NATS' may be a token alone."""


def dotted(path: Path) -> str:
    """Return ``queues.tax.relax[0].after``; a key with other signs in it stands in quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part.replace("_", "").replace("-", "").replace("+", "").isalnum()
            shown = part if plain else json.dumps(clip(part), ensure_ascii=False)
            text += f".{shown}" if text else shown
    return text or "(file)"


def clip(text: str) -> str:
    """Return ``text`` cut to what fits a line, control characters made visible."""
    clean = "".join(c if c.isprintable() else "?" for c in text[: _SHOWN_MAX + 1])
    return clean if len(text) <= _SHOWN_MAX else clean[:_SHOWN_MAX] + "…"


def shown(value: object, path: Path = ()) -> str:
    """Return ``value`` as a problem shows what was found. A secret is never shown."""
    secret = bool(path) and (path[-1] in _SECRET_KEYS or path[:-1] == _SECRETS)
    if secret and not isinstance(value, dict | list):
        return "a value that is no reference (not shown)"
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(clip(_PASSWORD.sub("***", value)), ensure_ascii=False)
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case _:
            return clip(str(value))


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` was probably meant to be."""
    names = list(known)
    folded = {name.casefold().replace("-", "_"): name for name in names}
    wanted = word.casefold().replace("-", "_")[:200]
    near = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.6)
    if near:
        return folded[near[0]]
    longer = [name for key, name in folded.items() if len(wanted) > 3 and key.startswith(wanted)]
    return longer[0] if len(longer) == 1 else None
