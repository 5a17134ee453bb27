"""``gkc check``: find every mistake in a folder of configuration, each with its place."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from gkc_engine.config.loader import inspect
from gkc_engine.config.models import Config
from gkc_engine.config.problems import count_line
from gkc_engine.config.schema import json_schema


def check(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of *.yaml.")] = Path(
        "config"
    ),
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the problems as a list of objects.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the files, for editors.")
    ] = False,
) -> None:
    """Check DIR: exit code 0 and a summary, or every problem with its place and exit code 2."""
    if schema:
        print(json.dumps(json_schema(), ensure_ascii=False, indent=2))
        return
    outcome = inspect(directory)
    if as_json:
        print(json.dumps([p.as_dict() for p in outcome.problems], ensure_ascii=False, indent=2))
    else:
        for warning in () if outcome.problems else outcome.warnings:
            print(f"{warning} (warning)", file=sys.stderr)  # Else stderr holds problems only.
        for found in outcome.problems:
            print(found, file=sys.stderr)
    if outcome.config is None:
        if not as_json:
            print(count_line(len(outcome.problems)), file=sys.stderr)
        raise typer.Exit(2)
    if not as_json:
        print(f"{directory}: ok: {_summary(outcome.config)}")


def _summary(config: Config) -> str:
    counts = {
        "number": len(config.numbers),
        "service": len(config.services),
        "skill": len(config.skills),
        "queue": len(config.queues),
        "operator": len(config.operators),
        "menu": len(config.ivr),
        "calendar": len(config.calendars),
        "prompt": len(config.prompts),
    }
    words = [f"{n} {word}" + ("" if n == 1 else "s") for word, n in counts.items()]
    return ", ".join(words) + f"; version {config.version}"
