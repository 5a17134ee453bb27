"""``gkc clean``: leave nothing behind but what git knows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gkc_engine.cli._console import home, state_dir
from gkc_engine.errors import GkcError

SOURCES = ("gkc_engine", "tests", "bench", "scripts")
"""Folders of a checkout in which Python leaves its bytecode."""


def clean(
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also while a demo or an engine runs from it.")
    ] = False,
) -> None:
    """Remove .gkc (Asterisk, the demo's state, caches) and, in a checkout, .venv and bytecode."""
    running = sorted(set(_running(state_dir() / "run")))
    if running and not force:
        listed = "\n".join(f"  pid {pid}: {_called(pid)}" for pid in running)
        raise GkcError(
            f"not removed, because these run from {state_dir()}:\n{listed}\n"
            "stop them (Ctrl-C in the demo, or kill), or say gkc clean --force"
        )
    folders = [state_dir()]
    if (home() / "gkc").is_file() and (home() / "requirements.lock").is_file():
        folders.append(home() / ".venv")  # The one we run from: nothing is imported after this.
        for part in SOURCES:
            for bytecode in sorted((home() / part).rglob("__pycache__")):
                shutil.rmtree(bytecode)
    for folder in folders:
        if folder.is_dir():
            shutil.rmtree(folder)
            print(f"removed {folder}")


def _running(run_dir: Path) -> Iterator[int]:
    """Yield the living processes that the demo and the engines have written down."""
    for path in run_dir.glob("*.pid"):
        text = path.read_text(encoding="utf-8", errors="replace").split()
        yield from (int(word) for word in text[:1] if word.isdigit() and _alive(int(word)))
    for path in run_dir.glob("*.json"):
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # Half-written by a demo that died: it cannot be among the living.
        if isinstance(written, dict):
            yield from (pid for pid in _whole_numbers(written.get("pids")) if _alive(pid))


def _whole_numbers(value: object) -> Iterator[int]:
    """Yield the pids in a number, a list or a mapping of name to pid, nested at will."""
    if isinstance(value, int) and value > 0:
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _whole_numbers(part)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # Somebody else's, but alive.
    return True


def _called(pid: int) -> str:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "(its command cannot be read)"
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()[:100]
