"""``gkc wall``: a wallboard for the room, on any terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._client import ConfigOption, connect, refusals
from gkc_engine.cli._feed import REPLY_S, Feed, Seen, show
from gkc_engine.cli._wall_screen import Order, lines
from gkc_engine.cli._wall_words import LANGUAGES, Language
from gkc_engine.control.protocol import ControlError

if TYPE_CHECKING:
    from rich.console import ConsoleDimensions, RenderableType


def wall(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Print it once, also into a pipe, and end.")
    ] = False,
    order: Annotated[
        Order,
        typer.Option(help="worst: what needs somebody first; config: fixed places."),
    ] = "worst",
    language: Annotated[Language, typer.Option(help="Of the words on the wall.")] = "ru",
    config: ConfigOption = None,
) -> None:
    """Show all queues on the whole screen, renewed each second, until Ctrl-C.

    Waiting, longest wait, operators, answered, abandoned, service level of the last 30 minutes and
    of today, handling time; signs by the config's thresholds: ! warning, !! bad.
    """
    from rich.console import Group

    words = LANGUAGES[language]

    def view(seen: Seen, size: ConsoleDimensions) -> RenderableType:
        return Group(*lines(seen, size.width, size.height, words, order))

    console = _tables.terminal()
    with refusals():
        if not once:
            _needs_terminal(console.is_dumb_terminal)
        with Feed(lambda: connect(config, REPLY_S), "wall") as feed:
            if once:
                console.print(view(feed.seen(), console.size), end="")
            else:
                show(feed, console, view)


def _needs_terminal(dumb: bool) -> None:
    if not sys.stdout.isatty():
        raise ControlError(
            "no_terminal",
            "gkc wall draws on a terminal, and stdout is none. For a pipe: gkc wall --once; "
            "for programs: gkc queue show --json.",
        )
    if dumb:
        raise ControlError(
            "no_terminal",
            f"gkc wall moves the cursor, which TERM={os.environ.get('TERM', '')} cannot. "
            "Set TERM to what the terminal is (xterm will mostly do), or use gkc wall --once.",
        )
