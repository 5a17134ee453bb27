"""``gkc reload``: the running engine takes the changed configuration, or says why not."""

from __future__ import annotations

from typing import Annotated

import typer

from gkc_engine.cli._client import ConfigOption, JsonOption, connect, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.config.reload import NEXT_START

RELOAD_S = 70.0
"""Longer than the engine's own limit for a reload."""


def reload(
    *,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also when over 30 % of queues or operators would go."),
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Let the running engine take changed files: all of them or, with one mistake, none.

    Prints what changed. Contacts in progress are not disturbed.
    """
    with refusals(), connect(config, reply_s=RELOAD_S) as client:
        rows = client.call("core.reload", {"force": force})
    if json:
        print_json(rows)
        return
    lines = rows[0]["diff"]
    for line in lines:
        print(line)
    later = sum(line.endswith(NEXT_START) for line in lines)
    count = len(lines) - later
    said = [f"{count} change{'' if count == 1 else 's'} applied"] if count else []
    said += [f"{later} {NEXT_START.strip(' ()')}"] if later else []
    print(f"{', '.join(said)}, version {rows[0]['version']}." if said else "Nothing changed.")
