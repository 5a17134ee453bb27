"""What every command shares: where to print, how to print it as JSON, where the state lies."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@cache
def out() -> Console:
    """Return the console on stdout: results only, so that they can be piped."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def progress(text: str) -> None:
    """Say on stderr what is being done now; one line, for every step longer than a second."""
    print(f"gkc: {text}", file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """Print ``value`` (of JSON's own types) on stdout, Cyrillic left readable."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Print ``rows`` as a plain table; ``None`` and a missing key as ``-``."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        cells = (row.get(column) for column in columns)
        table.add_row(*("-" if cell is None else escape(str(cell)) for cell in cells))
    out().print(table)


def home() -> Path:
    """Return the folder that ``./gkc`` stands in; for an installed ``gkc``, the current folder."""
    named = os.environ.get("GKC_HOME")
    if named:
        return Path(named)
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "requirements.lock").is_file() else Path.cwd()


def state_dir() -> Path:
    """Return the folder of everything that ``gkc`` makes at run time: ``.gkc`` under `home`."""
    return home() / ".gkc"
