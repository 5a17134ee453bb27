"""What a comparison of the records with Asterisk's lists can find, in words for people. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gkc_engine.ids import SECOND, Instant, Micros

START_US: Final = Micros(5 * SECOND)
"""The engine notes when it heard of a call, 0.04 s after CHAN_START (measured); stopped meanwhile,
up to the lease of 4 s: later than that the dialplan has gone on without it."""

NEAR_US: Final = Micros(2 * SECOND)
"""An offer and the ring that it made begin no farther apart."""

STAMP_US: Final = Micros(SECOND)
"""Answers and ends are Asterisk's own stamps on both sides (0.004 s apart measured)."""

HEARD_US: Final = Micros(5 * SECOND)
"""So late a busy engine may hear that a citizen has gone."""

BILLSEC_US: Final = Micros(SECOND)
"""CDR counts in whole seconds where its format has no fractions."""


class Kind(StrEnum):
    """One kind of difference; the names are for ever, programs read them."""

    NO_LEG = "no_leg"
    NO_CONTACT = "no_contact"
    TWO_CONTACTS = "two_contacts"
    START_MISSING = "start_missing"
    ANSWER_MISSING = "answer_missing"
    END_MISSING = "end_missing"
    NOT_ENDED = "not_ended"
    TIMES = "times"
    SEGMENT_LEG = "segment_leg"
    TALK_UNRECORDED = "talk_unrecorded"
    RING_UNRECORDED = "ring_unrecorded"
    RING_WITHOUT_LEG = "ring_without_leg"
    OWN_CALL_UNRECORDED = "own_call_unrecorded"
    CDR_MISSING = "cdr_missing"
    CDR_UNKNOWN = "cdr_unknown"
    BILLSEC = "billsec"
    QUEUE_LOG_MISSING = "queue_log_missing"
    QUEUE_LOG_UNKNOWN = "queue_log_unknown"
    SUMS = "sums"
    IDENTITY = "identity"
    ROLL_UP = "roll_up"
    CEL_BEGINS_LATE = "cel_begins_late"
    TORN = "torn"


_CEL_ROW: Final = (
    "a line of legs.csv is gone: deleted by hand, or Asterisk could not write it (disk full?)"
)
_REPORT: Final = "a fault of the engine: keep the store and both files, and report it"
_CEL_LOST: Final = "look at the disk of Asterisk's log folder and at who edits its files"

MEANING: Final[dict[Kind, tuple[str, str]]] = {
    Kind.NO_LEG: (
        "the records have a call that Asterisk never had, or its lines of legs.csv are gone",
        "look for the call in Asterisk's messages; restore legs.csv from the backup",
    ),
    Kind.NO_CONTACT: ("a citizen's call that is on no record", _REPORT),
    Kind.TWO_CONTACTS: ("one call is counted twice", _REPORT),
    Kind.START_MISSING: (_CEL_ROW, _CEL_LOST),
    Kind.ANSWER_MISSING: (_CEL_ROW, _CEL_LOST),
    Kind.END_MISSING: (_CEL_ROW, _CEL_LOST),
    Kind.NOT_ENDED: ("the call is over, and its record still open", _REPORT),
    Kind.TIMES: ("the two disagree about when it was", _REPORT),
    Kind.SEGMENT_LEG: ("a talk stands on a leg that was not in this call", _REPORT),
    Kind.TALK_UNRECORDED: (
        "an operator's phone talked in this call, and no segment says so",
        _REPORT,
    ),
    Kind.RING_UNRECORDED: ("a phone rang for this call that nobody was offered on", _REPORT),
    Kind.RING_WITHOUT_LEG: ("an offer rang on a phone, and Asterisk has no such leg", _CEL_LOST),
    Kind.OWN_CALL_UNRECORDED: ("an operator's own call that is on no record", _REPORT),
    Kind.CDR_MISSING: ("Asterisk's list of calls lacks this one", _CEL_LOST),
    Kind.CDR_UNKNOWN: ("Asterisk's list of calls has one that its list of legs lacks", _CEL_LOST),
    Kind.BILLSEC: ("the seconds of the CDR are not those between answer and end", _CEL_LOST),
    Kind.QUEUE_LOG_MISSING: (
        "the queue_log file lacks a line that the ledger gives",
        "was the disk full, or the file edited? The ledger has the call",
    ),
    Kind.QUEUE_LOG_UNKNOWN: (
        "the queue_log file has a line that the ledger does not give",
        _REPORT,
    ),
    Kind.SUMS: (
        "the parts of a contact do not add up to it",
        "gkc records rebuild --check says whether the tables differ from the ledger",
    ),
    Kind.IDENTITY: ("contacts are counted in no group, or in two", _REPORT),
    Kind.ROLL_UP: (
        "a sum that reports read is not what its contacts add up to",
        "gkc records rebuild makes the tables anew from the ledger; keep the store, and report it",
    ),
    Kind.CEL_BEGINS_LATE: (
        "legs.csv was emptied or rotated away: these calls cannot be compared",
        "keep rotated files beside it under its name and a suffix (.1, -20261129, .gz)",
    ),
    Kind.TORN: ("a line that cannot be read", "look at the line; a full disk cuts lines"),
}
"""What each kind means, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing on which the sides disagree."""

    kind: Kind
    ours: str
    """What the records say."""
    theirs: str
    """What the other side says: Asterisk, or the file that is compared."""
    contact_id: str | None = None
    number: str | None = None
    uniqueid: str | None = None

    @property
    def means(self) -> str:
        """What it means."""
        return MEANING[self.kind][0]

    @property
    def remedy(self) -> str:
        """What to do."""
        return MEANING[self.kind][1]


class Count(StrEnum):
    """What was looked at, and what was set aside by a rule (docs/reference/records.md)."""

    CONTACTS = "contacts"
    LEGS = "legs"
    IN_PROGRESS = "in_progress"
    LATER = "after_the_last_word"
    """Came or ended after the last row of an engine that does not run."""
    BEFORE_US = "before_the_engine"
    """Over before the first row of the ledger."""
    BEFORE_FILE = "before_the_file"
    NOT_OURS = "not_ours"
    """Emergency calls and the administrator's own dialplan: no engine is asked."""
    FEATURE_CODES = "feature_codes"
    OWN_CALLS = "own_calls"
    REFUSED_OWN_CALLS = "refused_own_calls"
    NATIVE_RINGS = "native_rings"
    """By Asterisk's own queue, while it had the citizen."""
    HEARD_LATE = "heard_late"
    """Offered after he had gone, before the engine heard of it."""
    RINGS_OUTSIDE = "rings_outside"
    """A citizen was put through to a number outside, and it did not answer."""
    LOST_WITH_ASTERISK = "lost_with_asterisk"
    """Asterisk ended without writing their end."""
    CDR_ROWS = "cdr_rows"
    QUEUE_LOG_LINES = "queue_log_lines"
    ROLL_UPS = "roll_ups"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one comparison gave."""

    since: Instant
    until: Instant
    counts: Counter[Count] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    """The first ones; ``found`` has how many there are."""
    found: int = 0
    steps: list[tuple[Instant, Micros]] = field(default_factory=list)
    """Steps of the wall clock: when, and by how much the records and Asterisk lie apart since."""
    notes: list[str] = field(default_factory=list)
    """What was not compared, and why."""
