"""Whether the parts of a contact add up to it, and the contacts of a period to what was offered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import sqlalchemy as sa

from gkc_engine.acd.commands import SegmentKind
from gkc_engine.acd.events import Party
from gkc_engine.ids import Instant
from gkc_engine.reconcile.model import Difference, Kind
from gkc_engine.reconcile.sides import Call
from gkc_engine.recorder import schema
from gkc_engine.recorder.queries import iso
from gkc_engine.statistics import drill, figures, rollups

_SUMS: Final = {"talk_us": SegmentKind.TALK, "hold_us": SegmentKind.HOLD}


def of_call(call: Call) -> Iterator[Difference]:
    """Segments tile a contact from its start to its end, and their kinds give its sums."""
    contact = call.contact
    tiles = [s for s in call.segments if s["party"] == Party.CITIZEN]

    def found(ours: str, theirs: str) -> Difference:
        return Difference(
            kind=Kind.SUMS,
            contact_id=contact["contact_id"],
            number=contact["number"],
            uniqueid=contact["linkedid"],
            ours=ours,
            theirs=theirs,
        )

    if not tiles:
        if contact["ended"] > contact["started"]:
            yield found("no segment", f"{contact['ended'] - contact['started']} us long")
        return
    if (tiles[0]["start"], tiles[-1]["end"]) != (contact["started"], contact["ended"]):
        edges = f"{iso(tiles[0]['start'])} to {iso(tiles[-1]['end'])}"
        whole = f"{iso(contact['started'])} to {iso(contact['ended'])}"
        yield found(f"segments {edges}", f"contact {whole}")
    for one, other in pairwise(tiles):
        if one["end"] != other["start"]:
            yield found(
                f"{one['segment_id']} ends {iso(one['end'])}",
                f"{other['segment_id']} begins {iso(other['start'])}",
            )
    for name, kind in _SUMS.items():
        added = sum(s["end"] - s["start"] for s in tiles if s["kind"] == kind)
        if added != contact[name]:
            yield found(f"{name} {contact[name]}", f"its segments give {added}")


def identity(connection: sa.Connection, since: Instant, until: Instant) -> Iterator[Difference]:
    """Every contact that entered a queue in the period is in exactly one group of `offered`."""
    c = schema.contact.c
    entered = connection.scalar(
        sa.select(sa.func.count())
        .select_from(schema.contact)
        .where(c.first_queued >= since, c.first_queued < until)
    )
    period = rollups.Period(since=since, until=until)
    total = figures.Counts()
    for contact in drill.queued(connection, period):
        total.add(rollups.counts_of_contact(contact))
    offered = figures.offered(total)
    if offered != entered:
        yield Difference(
            kind=Kind.IDENTITY,
            ours=f"{entered} contacts entered a queue",
            theirs=f"answered, abandoned, ended waiting, failed and waiting add up to {offered}",
        )
