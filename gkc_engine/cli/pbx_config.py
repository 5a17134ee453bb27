"""``gkc pbx config``: Asterisk's side of a config, as files that an administrator includes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gkc_engine.cli._console import print_json

if TYPE_CHECKING:
    from gkc_engine.config.models import Config
    from gkc_engine.pbx.model import PbxPlan

NO_EMERGENCY: Final = (
    "warning: pbx.emergency_context is not set, so operators' phones REFUSE 112 and 101-104;"
    " name the context of your dialplan that leads them out"
)


def config(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The config folder.")],
    out: Annotated[
        Path, typer.Option(help="Asterisk's folder, as /etc/asterisk; gkc.d is made in it.")
    ],
    *,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write gkc.d/*.conf for an Asterisk of your own; nothing else is touched.

    A file in gkc.d that was not written by gkc is refused. Then include the files as printed.
    """
    from gkc_engine.config.loader import load_config
    from gkc_engine.config.secrets import resolve_secret
    from gkc_engine.pbx.from_config import plan_from_config
    from gkc_engine.pbx.render import (
        GENERAL_LINES,
        MAPPINGS,
        RELOAD_LINES,
        include_lines,
        name_line,
        write_include_side,
    )

    found = load_config(folder)
    plan = plan_from_config(
        found, lambda reference: resolve_secret(reference, folder), prompts=folder / "prompts"
    )
    written = write_include_side(plan, out)
    if plan.emergency_context is None:
        print(NO_EMERGENCY, file=sys.stderr)
    if json:
        print_json(
            {
                "written": [str(path) for path in written],
                "include": include_lines(),
                "general": {name: list(lines) for name, lines in GENERAL_LINES.items()},
                "mappings": list(MAPPINGS),
                "folders": lists_folders(found),
                "options": name_line(plan),
                "reload": list(RELOAD_LINES),
            }
        )
        return
    _print(found, plan, out, written)


def _print(found: Config, plan: PbxPlan, out: Path, written: list[Path]) -> None:
    """Say what the administrator has to do."""
    from gkc_engine.pbx.render import (
        GENERAL_LINES,
        MAPPINGS,
        QUIET_LINE,
        RELOAD_LINES,
        include_lines,
        name_line,
    )

    for path in written:
        print(f"written {path}")
    print("\nAdd once, as the last line of each:")
    for name, line in include_lines().items():
        print(f"  {out / name}: {line}")
    print("\nThe engine needs these in [general]:")
    for name, lines in GENERAL_LINES.items():
        print(f"  {out / name}: {'; '.join(lines)}")
    print("  and in cel.conf no `apps = ...`: samples have it, and with it CEL stays off")
    print("\nAbove our line these need a section that is no comment, else nothing of them is read:")
    for name in MAPPINGS:
        print(f"  {out / name}: [mappings]")
    if folders := lists_folders(found):
        print("\nThese folders must be there, and Asterisk's own: it makes none for its lists.")
        print(f"  mkdir -p {' '.join(folders)}")
    if named := name_line(plan):
        print("\nThe calls of several centers must not have one id; once, then a restart:")
        print(f"  {out / 'asterisk.conf'}, [options]: {named}")
    if plan.emergency_context is not None:
        print("\nBy this context 112 and 101-104 go out of operators' phones; it must answer:")
        print(f'  asterisk -rx "dialplan show 112@{plan.emergency_context}"')
    print("\nIf nothing but the engine reads manager events, also in [general] of manager.conf:")
    print(f"  {QUIET_LINE}")
    print("\nThen, and after every change:")
    for line in RELOAD_LINES:
        print(f"  {line}")
    print("\nWhat had no mappings was not loaded; once, instead of the last two:")
    for name in MAPPINGS:
        print(f'  asterisk -rx "module load {name.removesuffix(".conf")}.so"')


def lists_folders(config: Config) -> list[str]:
    """Return where the config says that Asterisk's lists of legs and of calls lie."""
    named = (config.pbx.cel, config.pbx.cdr)
    folders = [Path(one).parent for one in named if one is not None]
    return list(dict.fromkeys(str(folder) for folder in folders if folder.is_absolute()))
