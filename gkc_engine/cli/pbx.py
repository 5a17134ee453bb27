"""``gkc pbx``: the Asterisk under the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gkc_engine.cli._console import print_json, progress, state_dir
from gkc_engine.cli.pbx_config import config

pbx_app = typer.Typer(help="Asterisk: install it, write its configuration.", no_args_is_help=True)
pbx_app.command("config")(config)


@pbx_app.command()
def install(
    asterisk: Annotated[
        Path | None, typer.Option(help="Take this program or unpacked root, and no other.")
    ] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Find an Asterisk >= 18, or fetch Debian's into .gkc; say which one it is."""
    from gkc_engine.pbx.install import find_or_install

    found = find_or_install(state_dir(), named=asterisk, progress=progress)
    if json:
        print_json(
            {
                "how": found.how,
                "version": found.version,
                "command": list(found.command),
                "modules": str(found.modules),
                "data": str(found.data),
            }
        )
    else:
        print(f"Asterisk {found.version}: {found.how}")
