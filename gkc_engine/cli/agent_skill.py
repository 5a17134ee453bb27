"""``gkc agent skill``: a supervisor lends a skill, or takes it away, for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, instant_ahead, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.cli.queue import zone_of
from gkc_engine.control.protocol import ControlError, Params

app = typer.Typer(help="Skills of an operator, over the config.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="AGENT", help="The key under `operators:`.")]
Until = Annotated[
    str | None,
    typer.Option(help="Until when: 14:30, 2h. Without it, until he logs out.", metavar="TIME"),
]


@app.callback()
def _root() -> None:
    """Skills of an operator, over the config; who waits is served by them at once."""


@app.command()
def add(
    agent: Name,
    skill: Annotated[
        str, typer.Argument(metavar="SKILL[=LEVEL]", help="Without LEVEL, what the queues ask for.")
    ],
    *,
    until: Until = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Give an operator a skill, or another level of one."""
    name, equals, level = skill.partition("=")
    params: Params = {"agent": agent, "skill": name}
    with refusals():
        if equals:
            if not (level.isascii() and level.isdigit() and 1 <= int(level) <= 10):
                raise ControlError("bad_params", f"found level {level!r}, expected 1 to 10")
            params["level"] = int(level)
    _change("agent.skill", params, until, json=json, config=config)


@app.command()
def remove(
    agent: Name,
    skill: Annotated[str, typer.Argument(help="The key under `skills:`.")],
    *,
    until: Until = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Take a skill away from an operator; a ring or a talk that has begun goes on."""
    params: Params = {"agent": agent, "skill": skill, "level": 0}
    _change("agent.skill", params, until, json=json, config=config)


@app.command()
def reset(
    agent: Name,
    skill: Annotated[str | None, typer.Argument(help="One skill; without it, all.")] = None,
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """End overrides now: the operator has what the config says."""
    params: Params = {"agent": agent, "skill": skill}
    _change("agent.skill_reset", params, None, json=json, config=config)


def _change(
    method: str, params: Params, until: str | None, *, json: bool, config: ConfigOption
) -> None:
    with refusals(), connect(config) as client:
        if until is not None:
            params["until_us"] = instant_ahead(client, "--until", until)
        rows = client.call(method, params)
        if json:
            print_json(rows)
            return
        zone = zone_of(client)
        _tables.print_rows(_tables.agents(zone), rows, "No operators.")
        for line in _tables.override_lines(rows, zone):
            print(line)
