"""The roll-ups once more, from the other tables, and none of the code that keeps them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import sqlalchemy as sa

from gkc_engine.recorder import schema

QUARTER = 900_000_000
KEY = ("start", "queued", "center", "direction", "medium", "did", "queue", "service", "outcome")


def rows(connection: sa.Connection, name: str) -> list[dict[str, Any]]:
    table = schema.metadata.tables[name]
    return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def stands(connection: sa.Connection) -> dict[tuple[Any, ...], dict[str, int]]:
    """The roll-ups as they are kept, by their key."""
    return {
        tuple(row[name] for name in KEY): {k: v for k, v in row.items() if k not in KEY}
        for row in rows(connection, "rollup")
    }


def counted(connection: sa.Connection) -> dict[tuple[Any, ...], dict[str, int]]:
    """The same from contacts, offers and segments, as ADR 0030 says it."""
    offers, segments = rows(connection, "offer"), rows(connection, "segment")
    refusals = {"refused", "no_answer", "busy", "unreachable"}
    found: defaultdict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for one in rows(connection, "contact"):
        queued = one["first_queued"] is not None
        at = one["first_queued"] if queued else one["started"]
        made = [o for o in offers if o["contact_id"] == one["contact_id"]]
        ended = [o["outcome"] for o in made if ":" not in o["agent_id"]]
        sent = [o["outcome"] for o in made if ":" in o["agent_id"]]
        handed = [
            s
            for s in segments
            if s["contact_id"] == one["contact_id"] and s["outcome"] == "transferred"
        ]
        if one["disposition"]:
            outcome, wait = one["disposition"], one["wait_us"]
        elif one["answered"]:
            outcome, wait = "talking", one["answered"] - at
        else:
            outcome, wait = "waiting", None
        threshold = 20_000_000 if one["sl_threshold_us"] is None else one["sl_threshold_us"]
        came = (at // QUARTER * QUARTER, queued, one["center_entry"], one["direction"])
        place = (
            *came,
            one["medium"],
            one["did"],
            one["queue"] or "",
            one["service"] or "",
            outcome,
        )
        found[place].update(
            contacts=1,
            in_target=int(wait is not None and wait <= threshold),
            wait_us=wait or 0,
            talk_us=one["talk_us"] or 0,
            hold_us=one["hold_us"] or 0,
            wrap_up_us=one["wrap_up_us"],
            agent_offers=sum(o is not None for o in ended),
            offers_unanswered=sum(o in refusals for o in ended),
            offers_withdrawn=ended.count("withdrawn"),
            transfers=sum(s["agent_id"] is not None for s in handed),
            overflow_sent=int(bool(sent)),
            overflow_answered=int(one["answered"] is not None and ":" in (one["agent_id"] or "")),
            overflow_returned=int(any(o not in (None, "accepted", "withdrawn") for o in sent)),
        )
    return {key: dict(sums) for key, sums in found.items()}
