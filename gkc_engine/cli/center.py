"""``gkc center``: the centers of the city, as the running engine sees them."""

from __future__ import annotations

import contextlib
import json as json_module
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gkc_engine.cli import _tables
from gkc_engine.cli._center_words import LANGUAGES, Words
from gkc_engine.cli._client import ConfigOption, JsonOption, connect, refusals
from gkc_engine.cli._console import print_json
from gkc_engine.cli._feed import REPLY_S, Feed, Seen
from gkc_engine.cli._feed import show as draw
from gkc_engine.cli._wall_words import LANGUAGES as OF_LIVE_VIEWS
from gkc_engine.cli._wall_words import Language
from gkc_engine.control.when import span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import ConsoleDimensions, RenderableType
    from rich.text import Text

app = typer.Typer(help="The other centers of the city.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """The other centers of the city."""


@app.command()
def show(
    *,
    live: Annotated[bool, typer.Option("--live", help="Again each second until Ctrl-C.")] = False,
    language: Annotated[Language, typer.Option(help="Of the words in the table.")] = "ru",
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the tree of centers: who is heard, how he stands, who was sent where."""
    words = LANGUAGES[language]
    with refusals():
        if live and not json and sys.stdout.isatty():
            with Feed(lambda: connect(config, REPLY_S), "center.watch") as feed:
                draw(feed, _tables.terminal(), lambda seen, size: _view(seen, size, language))
            return
        with connect(config) as client:
            if live:
                with contextlib.suppress(KeyboardInterrupt):  # The ordinary way to end it.
                    for picture in client.stream("center.watch", {}):
                        if json:
                            text = json_module.dumps(picture["centers"], ensure_ascii=False)
                            print(text, flush=True)
                        else:
                            _print(picture["centers"], words)
                            print(flush=True)
                return
            rows = client.call("center.show")
            if json:
                print_json(rows)
            else:
                _print(rows, words)


def _print(rows: list[_tables.Row], words: Words) -> None:
    _tables.print_rows(columns(words), flat(rows, words), words.never)
    for line in lines(rows, words):
        print(line)
    print(words.legend)


def _view(seen: Seen, size: ConsoleDimensions, language: Language) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    rows, words = seen.picture["centers"], LANGUAGES[language]
    return Group(
        _age(seen, language),
        _tables.rich_table(columns(words), flat(rows, words), size.width),
        *(Text(line, style="bold red") for line in lines(rows, words)),
        Text(words.legend, style="dim"),
    )


def _age(seen: Seen, language: Language) -> Text:
    """Return how old the picture is, and why no newer one comes."""
    from rich.text import Text

    words = OF_LIVE_VIEWS[language]
    age = f"{seen.age_s:.1f}".replace(".", words.decimal)
    if not seen.stale:
        return Text(words.data.format(age=age), style="dim")
    text = words.stale.format(age=age)
    if seen.problem is not None:
        text += f": {words.problems.get(seen.problem.error_id, str(seen.problem))}"
    return Text(text, style="bold reverse red")


def columns(words: Words) -> tuple[_tables.Column, ...]:
    """Return the columns; on a narrow terminal those of overflow go first."""

    def column(key: str, drops: int = 0) -> _tables.Column:
        return _tables.Column(key=key, head=words.heads[key], right=True, drops=drops)

    return (
        _tables.Column(key="center", head=words.heads["center"], shrinks_last=True),
        _tables.Column(key="status", head=words.heads["status"], drops=2),
        _tables.Column(key="state", head=words.heads["state"]),
        column("age", 1),
        column("waiting"),
        column("ready"),
        column("expected_wait_s"),
        column("service_level"),
        column("asked", 7),
        column("granted", 6),
        column("denied", 6),
        column("sent", 4),
        column("answered", 3),
        column("returned", 4),
        column("in_granted", 5),
        column("in_answered", 3),
        column("in_returned", 5),
    )


def flat(rows: list[_tables.Row], words: Words) -> list[_tables.Row]:
    """Return the rows as they are shown: the tree by indents, a state in words."""
    shown: list[_tables.Row] = []
    for row in rows:
        age, state = row["age_s"], row["state"]
        name = "  " * row["depth"] + row["center"]
        out = {what: row["out"].get(what, 0) for what in ("asked", "granted", "denied", "sent")}
        back = {what: row["out"].get(what, 0) for what in ("answered", "returned")}
        guests = {f"in_{what}": row["in"].get(what, 0) for what in ("granted", *back)}
        shown.append(
            {
                "center": f"{name} {words.here}" if row["own"] else name,
                "status": words.statuses.get(row["status"], row["status"]),
                "state": None if state is None else words.states.get(state, state),
                "age": words.never if age is None else _ago(age, words),
                "waiting": row["waiting"],
                "ready": row["ready"],
                "expected_wait_s": span(row["expected_wait_s"]),
                "service_level": _tables.percent(row["service_level"]),
                **out,
                **back,
                **guests,
            }
        )
    return shown


def _ago(age_s: float, words: Words) -> str:
    return words.ago.format(seconds=f"{age_s:.1f}".replace(".", words.decimal))


def lines(rows: list[_tables.Row], words: Words) -> Iterator[str]:
    """Iterate over what is wrong, a sentence each."""
    for row in rows:
        name = row["center"]
        if row["own"]:
            yield from _of_the_bus(row, words)
        if row["blocked_s"] is not None:
            yield words.blocked.format(center=name, seconds=round(row["blocked_s"]))
        denied = _reasons(row["denied_by"], words)
        if denied and not row["own"]:
            yield words.denied.format(center=name, reasons=denied)
        ours = _reasons({w: n for w, n in row["in"].items() if w in words.reasons}, words)
        if ours and not row["own"]:
            yield words.guests_denied.format(center=name, reasons=ours)
        for why, n in row["refused"].items():
            # What the config does not name has no row of its own.
            who = words.unnamed if row["own"] and why != "ourselves" else name
            last = words.last.format(ago=span(row["refused_last_s"][why]))
            yield words.refused[why].format(center=who, n=n) + last


def _of_the_bus(own: _tables.Row, words: Words) -> Iterator[str]:
    if own["bus_problem"]:
        yield words.bus.format(problem=own["bus_problem"])
    elif own["bus_alone"]:
        yield words.alone
    if failed := own["bus_dropped"].get("failed"):
        yield words.failed.format(n=failed)


def _reasons(counted: dict[str, int], words: Words) -> str:
    return ", ".join(f"{words.reasons.get(why, why)} {n}" for why, n in counted.items())
