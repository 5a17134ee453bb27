"""What Asterisk lists and no contact is: operators' own calls, other people's, what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from gkc_engine.channels.phone.cel import CITIZENS_CONTEXTS
from gkc_engine.channels.phone.live import born
from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.numbers import EMERGENCY_NUMBERS
from gkc_engine.reconcile.ledger import Told
from gkc_engine.reconcile.model import Count, Difference, Kind
from gkc_engine.reconcile.sides import Known, Leg
from gkc_engine.reconcile.spool import Spool
from gkc_engine.recorder.queries import iso

_OURS: Final = "gkc"
"""What the names of our contexts begin with."""

_FEATURE: Final = "*"

LONGEST_US: Final = Micros(3 * 3600 * SECOND)
"""A call ends before: by ``TIMEOUT(absolute)`` after 2 h, and the native queue after 10 min."""

_FIRST_LEGS: Final = """
SELECT leg.* FROM leg LEFT JOIN contact ON contact.uid = leg.uid
WHERE contact.uid IS NULL AND leg.uid = leg.linked
"""


def strays(
    spool: Spool,
    known: Known,
    told: Told,
    counts: Counter[Count],
    since: Instant,
    until: Instant,
    *,
    running: bool,
) -> Iterator[Difference]:
    """Yield what calls without a contact have to say; each first leg is one call.

    Args:
        spool: With both sides in it.
        known: Of the comparison.
        told: Of the ledger.
        counts: What was set aside is counted here.
        since: Of the period: legs that began before, or at ``until`` or later, are left out.
        until: See ``since``.
        running: Whether an engine is at work; without one nobody has taken the last calls up.
    """
    yield from _orphans(spool, known, since, until)
    for row in spool.rows(_FIRST_LEGS):
        leg = Leg.of(row)
        if not since <= leg.began < until:
            continue
        if leg.ended is None or leg.ended > known.settled:
            yield from _open(known, counts, leg, running=running)
        elif leg.ended < told.first:
            counts[Count.BEFORE_US] += 1
        elif leg.context in CITIZENS_CONTEXTS:
            yield _found(Kind.NO_CONTACT, leg, "no contact", f"{leg.channel} from {iso(leg.began)}")
        elif spool.value("SELECT count(*) FROM own WHERE uid = ?", leg.uid):
            counts[Count.OWN_CALLS] += 1
        elif not leg.context.startswith(_OURS) or leg.exten in EMERGENCY_NUMBERS:
            counts[Count.NOT_OURS] += 1
        elif leg.exten.startswith(_FEATURE):
            counts[Count.FEATURE_CODES] += 1
        else:
            yield from _own_call(spool, known, counts, leg)


def _open(known: Known, counts: Counter[Count], leg: Leg, *, running: bool) -> Iterator[Difference]:
    """A call without an end: it lasts, or went with Asterisk, or its line is gone."""
    if leg.ended is None and known.restarted_after(leg.began):
        counts[Count.LOST_WITH_ASTERISK] += 1
    elif leg.ended is None and leg.began < known.settled - LONGEST_US:
        theirs = f"{leg.channel} from {iso(leg.began)}: no HANGUP since"
        yield _found(Kind.END_MISSING, leg, "no call lasts so long", theirs)
    else:
        counts[Count.IN_PROGRESS if running else Count.LATER] += 1


_ORPHANS: Final = """
SELECT leg.* FROM leg LEFT JOIN leg AS first ON first.uid = leg.linked
LEFT JOIN contact ON contact.uid = leg.linked
WHERE leg.uid <> leg.linked AND first.uid IS NULL AND contact.uid IS NULL
"""


def _orphans(spool: Spool, known: Known, since: Instant, until: Instant) -> Iterator[Difference]:
    """Yield the legs that were made for a call of which there is no line at all."""
    for row in spool.rows(_ORPHANS):
        leg, call = Leg.of(row), born(row["linked"])
        if since <= leg.began < until and (call is None or call >= known.file_from):
            theirs = f"leg {leg.uid} ({leg.channel}) of a call without a line"
            yield Difference(
                kind=Kind.NO_LEG, uniqueid=leg.linked, ours="no contact", theirs=theirs
            )


def _own_call(spool: Spool, known: Known, counts: Counter[Count], leg: Leg) -> Iterator[Difference]:
    """An operator's call that is on no record: nobody was rung, or no engine was there."""
    if not spool.value("SELECT count(*) FROM leg WHERE linked = ? AND uid <> linked", leg.uid):
        counts[Count.REFUSED_OWN_CALLS] += 1
    elif known.was_away(leg.began):
        counts[Count.OWN_CALLS] += 1
    else:
        theirs = f"{leg.channel} called {leg.exten} at {iso(leg.began)}"
        yield _found(Kind.OWN_CALL_UNRECORDED, leg, "no such call", theirs)


def _found(kind: Kind, leg: Leg, ours: str, theirs: str) -> Difference:
    return Difference(kind=kind, uniqueid=leg.uid, ours=ours, theirs=theirs)


_TWICE: Final = """
SELECT uid, min(contact_id) AS first, group_concat(contact_id, ' ') AS every FROM contact
WHERE uid <> '' AND started >= ? AND started < ? GROUP BY uid HAVING count(*) > 1
"""


def doubled(spool: Spool, since: Instant, until: Instant) -> Iterator[Difference]:
    """Yield the calls that stand in the records more than once."""
    for row in spool.rows(_TWICE, since, until):
        yield Difference(
            kind=Kind.TWO_CONTACTS,
            contact_id=row["first"],
            uniqueid=row["uid"],
            ours=f"contacts {row['every']}",
            theirs="one call",
        )
