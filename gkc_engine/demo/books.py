"""Reads the two lists of calls: the outside world's CDR and the engine's records."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from gkc_engine.acd.commands import Disposition, OfferOutcome, SegmentKind
from gkc_engine.demo.account import Account, Hand, Record, compare
from gkc_engine.ids import ABROAD, SECOND, AgentId, Instant, Micros, QueueId, is_abroad
from gkc_engine.pbx.outside import PhoneAct
from gkc_engine.recorder import schema
from gkc_engine.recorder.new_records import CONSULT, GUEST, OUT
from gkc_engine.recorder.rebuild import settle_left

_USERFIELD, _ACCOUNT, _SRC, _START, _ANSWER, _END = 0, 1, 2, 4, 5, 6
_BILLSEC, _UNIQUEID, _COLUMNS = 8, 10, 11
"""Columns of ``calls.csv`` (asterisk/README.md)."""

_TALKED: Final = (SegmentKind.TALK.value, SegmentKind.HOLD.value)
_DONE: Final = "SUCCESS"
_FALLBACK: Final = "fallback"
"""``via`` of a contact that Asterisk's own queue served: with whom is not always known."""

Row: TypeAlias = Mapping[Any, Any]

_MISSED: Final = (
    OfferOutcome.NO_ANSWER.value,
    OfferOutcome.REFUSED.value,
    OfferOutcome.BUSY.value,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Where one run wrote down its calls."""

    run: str
    """Begins the id of each of its calls."""
    since: Instant
    outside_csv: Path
    """The outside world's CDR."""
    center_csv: Path
    """The CDR of the center's Asterisk: it knows which leg carried which id."""
    store: str
    """The URL of the engine's records."""
    visitor: str = ""
    """A number whose calls nobody else wrote down: a person who tries the demo out."""
    phones: Mapping[str, str] = field(default_factory=dict)
    """The phone of each operator who is played by the outside world."""
    unheard: Callable[[Hand], bool] = lambda _hand: False
    """Whether a phone was answered for nobody: into a line that was cut."""

    def dialled(self) -> set[str]:
        """Return the ids of the run's calls in the outside world's CDR."""
        return {i for i in ids(self.outside_csv).values() if i.startswith(f"{self.run}-")}

    def balance(self, originated: Iterable[str], targets_us: Mapping[QueueId, Micros]) -> Account:
        """Compare every call that the CDR or ``originated`` knows of with the records.

        ``targets_us``: each queue's ``servicelevel``.
        """
        found = records(self.store, ids(self.center_csv), since=self.since, phones=self.phones)
        visits = legs_of(self.center_csv, self.visitor) if self.visitor else set()
        counted = [one.record for one in found if one.leg not in visits]
        hands = hands_of(self.outside_csv, self.unheard) if self.phones else None
        account = compare(self.dialled() | set(originated), counted, targets_us, hands)
        account.outbound = calls_out(self.store, since=self.since)
        return account


def calls_out(url: str, *, since: Instant) -> Counter[str]:
    """Return how the calls that operators made since then ended; ``""``: not on record."""
    c = schema.contact.c
    engine = schema.make_engine(url, read_only=True)
    query = sa.select(c.disposition).where(c.started >= since, c.direction == OUT)
    try:
        with engine.connect() as connection:
            return Counter(disposition or "" for disposition in connection.scalars(query))
    finally:
        engine.dispose()


def rows(calls_csv: Path) -> list[list[str]]:
    """Return the whole rows of a CDR file; none when no call has been written yet."""
    if not calls_csv.exists():
        return []
    with calls_csv.open(encoding="utf-8", errors="replace", newline="") as file:
        return [row for row in csv.reader(file) if len(row) == _COLUMNS]


def ids(calls_csv: Path) -> dict[str, str]:
    """Return the outside world's id of each leg that has one, by Uniqueid, from either CDR."""
    return {row[_UNIQUEID]: row[_USERFIELD] for row in rows(calls_csv) if row[_USERFIELD]}


def hands_of(
    outside_csv: Path, unheard: Callable[[Hand], bool] = lambda _hand: False
) -> dict[str, list[Hand]]:
    """Return whose phones each citizen talked on, by the call's id, as the phones tell it.

    ``unheard``: whether a phone was answered for nobody; it has no talk then.

    A phone's account code is ``PHONE/ACT/TO/STATUS`` (the outside world's extensions.conf). Its
    leg bears the citizen's number; only whom a colleague asked sees that colleague's instead, and
    has the citizen when ``ask`` was a success. Several calls may have one number (who is on the
    block list): the phone's answer lies in one of them.
    """
    written = rows(outside_csv)
    calls: defaultdict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for row in written:
        if row[_USERFIELD]:
            calls[row[_SRC]].append((float(row[_START]), float(row[_END]), row[_USERFIELD]))
    hands: dict[str, list[Hand]] = {}
    answered = (row for row in written if row[_ANSWER] and "/" in row[_ACCOUNT])
    for row in sorted(answered, key=lambda row: float(row[_ANSWER])):
        at = float(row[_ANSWER])
        mine_by_time = [call_id for start, end, call_id in calls[row[_SRC]] if start <= at <= end]
        if not mine_by_time:
            continue
        call_id = mine_by_time[-1]
        phone, act, to, status = (*row[_ACCOUNT].split("/"), "", "", "")[:4]
        talk_us = Micros(round(float(row[_BILLSEC]) * SECOND))
        mine = hands.setdefault(call_id, [])
        hand = Hand(phone=phone, talk_us=talk_us, begun_s=at)
        # That it was answered may still have come through later, when the line was whole again.
        mine.append(replace(hand, talk_us=Micros(0)) if unheard(hand) else hand)
        if (act, status) == (PhoneAct.ASK, _DONE):
            # How long they went on is known to the colleague's leg alone; long enough.
            mine.append(Hand(phone=to, talk_us=talk_us))
    return hands


def legs_of(center_csv: Path, caller: str) -> set[str]:
    """Return the Uniqueids of the calls that ``caller`` made."""
    digits = caller.lstrip("+")
    return {row[_UNIQUEID] for row in rows(center_csv) if row[_SRC].lstrip("+") == digits}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A contact's record and the leg that it was made for."""

    leg: str
    record: Record


def records(
    url: str, call_ids: Mapping[str, str], *, since: Instant, phones: Mapping[str, str]
) -> list[Found]:
    """Return the citizens' contacts that began at ``since`` or later, in that order."""
    contact, offer, segment = schema.contact, schema.offer, schema.segment
    settle_left(url)
    engine = schema.make_engine(url, read_only=True)
    mine = (contact.c.started >= since, contact.c.direction.not_in((OUT, GUEST, CONSULT)))
    try:
        with engine.connect() as connection:
            failed = sa.select(offer.c.contact_id).where(offer.c.outcome.in_(_MISSED))
            missed = set(connection.execute(failed.distinct()).scalars())
            query = sa.select(contact).where(*mine)
            query = query.order_by(contact.c.started, contact.c.contact_id)
            contacts = connection.execute(query).mappings().all()
            talks = sa.select(segment).join(contact, segment.c.contact_id == contact.c.contact_id)
            talks = talks.where(*mine).order_by(segment.c.contact_id, segment.c.n)
            segments: defaultdict[str, list[Row]] = defaultdict(list)
            for row in connection.execute(talks).mappings():
                segments[row["contact_id"]].append(row)
    finally:
        engine.dispose()
    return [
        Found(
            leg=row["linkedid"] or "",
            record=_record(row, segments[row["contact_id"]], call_ids, missed, phones),
        )
        for row in contacts
    ]


def _record(
    row: Row,
    segments: Sequence[Row],
    call_ids: Mapping[str, str],
    missed: Container[str],
    phones: Mapping[str, str],
) -> Record:
    asked = SegmentKind.CONSULT.value
    return Record(
        contact_id=row["contact_id"],
        call_id=call_ids.get(row["linkedid"] or ""),
        disposition=None if row["ended"] is None else Disposition(row["disposition"]),
        queue=None if row["queue"] is None else QueueId(row["queue"]),
        first_queued=row["first_queued"],
        wait_us=row["wait_us"] or 0,
        missed=row["contact_id"] in missed,
        hands=None if row["via"] == _FALLBACK else _hands(segments, phones),
        transfers=tuple(s["transfer_kind"] for s in segments if s["transfer_kind"] is not None),
        answered_by=_answered_by(segments),
        consultations=sum(s["kind"] == asked and s["end_reason"] == asked for s in segments),
    )


def _answered_by(segments: Sequence[Row]) -> str:
    """Return the other center whose operator was the first to talk with him; empty: none."""
    first = next((AgentId(s["agent_id"]) for s in segments if s["kind"] in _TALKED), AgentId(""))
    return first.partition(ABROAD)[0] if is_abroad(first) else ""


def _hands(segments: Sequence[Row], phones: Mapping[str, str]) -> tuple[Hand, ...] | None:
    """Return whose phones the record says he talked on; ``None``: one was a person's own."""
    hands: list[Hand] = []
    for one in (s for s in segments if s["kind"] in _TALKED):
        phone = phones.get(one["agent_id"])
        if phone is None:
            return None
        before = 0
        if hands and hands[-1].phone == phone:
            before = hands.pop().talk_us
        hands.append(Hand(phone=phone, talk_us=Micros(before + one["end"] - one["start"])))
    return tuple(hands)
