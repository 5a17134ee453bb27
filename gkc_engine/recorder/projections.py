"""The tables that people ask, folded from the ledger in its order. Nothing here decides anything.

The fold depends on the order of the rows alone, never on how they were grouped into commits:
that is what makes a rebuilt table byte-identical to the one that grew during the day.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import QueueSettings
from gkc_engine.ids import QueueId, is_abroad
from gkc_engine.recorder import new_records
from gkc_engine.recorder.agent_time import AgentTime
from gkc_engine.recorder.codec import KINDS, Message, decode
from gkc_engine.recorder.records import Changes, Reader, Record
from gkc_engine.recorder.rollup import RollUps, count_offer
from gkc_engine.recorder.rows import Row
from gkc_engine.recorder.schema import offer as offer_table
from gkc_engine.recorder.schema import segment as segment_table

_OFFER_COLUMNS: Final = tuple(c.name for c in offer_table.columns)

_SEGMENT_COLUMNS: Final = tuple(c.name for c in segment_table.columns)

CACHE_MAX: Final = 20_000
"""Contacts kept at hand; older ones are read back when a late fact (wrap-up) names them."""


class Projector:
    """Folds rows of the ledger; ``take_changes`` gives what became of them."""

    def __init__(self, reader: Reader, *, longest_us: int | None = None) -> None:
        """Take what reads back; ``longest_us``: what takes longer is no honest center's."""
        self._reader = reader
        self.cache_max = CACHE_MAX
        self._contacts: OrderedDict[str, Record] = OrderedDict()
        self._offers: dict[tuple[int, str], Record] = {}
        self._open: dict[tuple[str, int], Record] = {}
        self._queues: Mapping[QueueId, QueueSettings] | None = None
        self._dirty_contacts: dict[str, Record] = {}
        self._dirty_offers: dict[tuple[int, str], Record] = {}
        self._dirty_intervals: dict[tuple[str, int, int], Record] = {}
        self._segments: dict[str, Record] = {}
        self._talks: OrderedDict[tuple[str, str], Record] = OrderedDict()
        """The last segment of a contact with an agent, for the wrap-up that follows it."""
        self._versions: dict[str, Record] = {}
        self._asked: tuple[str, ev.ContactBrief | None] = ("", None)
        """The reservation that was asked for last, and what its owner told of its contact."""
        self._rollups = RollUps()
        self._time = AgentTime(longest_us)
        self.touched: list[Record] | None = None if longest_us is None else []
        """Contacts of which something was said, if anybody wants to look at them; he empties it."""

    def fold(self, row: Row, message: Message | None = None) -> None:
        """Take one row of the ledger; ``message`` spares decoding when it is at hand."""
        handler = _HANDLERS.get(row.kind)
        if handler is not None:
            handler(self, row, decode(row.kind, row.data) if message is None else message)

    def take_changes(self) -> Changes:
        """Return the rows changed since the last call; what is over need not stay at hand."""
        for contact in self._dirty_contacts.values():
            self._rollups.count(contact)
        changes = Changes(
            contacts=list(self._dirty_contacts.values()),
            segments=list(self._segments.values()),
            offers=list(self._dirty_offers.values()),
            intervals=list(self._dirty_intervals.values()),
            versions=list(self._versions.values()),
            rollups=self._rollups.take(),
            times=self._time.take(),
        )
        for key, offer in self._dirty_offers.items():
            if offer["ended"] is not None:
                self._offers.pop(key, None)
        for dirty in (
            self._dirty_contacts,
            self._dirty_offers,
            self._dirty_intervals,
            self._segments,
            self._versions,
        ):
            dirty.clear()
        while len(self._contacts) > self.cache_max:
            self._rollups.forget(self._contacts.popitem(last=False)[0])
        while len(self._talks) > self.cache_max:
            self._talks.popitem(last=False)
        return changes

    # --- contacts ----------------------------------------------------------------------------

    def _contact(self, contact_id: str | None) -> Record | None:
        """Return the contact's row, to be changed; ``None`` if it was never registered."""
        if contact_id is None:
            return None
        record = self._contacts.get(contact_id)
        if record is None:
            record = self._reader.contact(contact_id)
            if record is None:
                return None
            self._contacts[contact_id] = record
            self._rollups.stands(record)
        self._dirty(record)
        return record

    def _started(self, row: Row, fact: ev.ContactStarted) -> None:
        if self._contact(fact.contact_id) is not None:
            return  # Said again after a restart: the first registration stands.
        self._put_contact(new_records.contact(row, fact))

    def _started_out(self, row: Row, fact: ev.OutboundStarted) -> None:
        if self._contact(fact.contact_id) is None:
            self._put_contact(new_records.contact_out(row, fact))

    def _put_contact(self, record: Record) -> None:
        self._contacts[record["contact_id"]] = record
        self._dirty(record)

    def _dirty(self, record: Record) -> None:
        self._dirty_contacts[record["contact_id"]] = record
        if self.touched is not None:
            self.touched.append(record)

    def _guest_asked(self, _row: Row, fact: ev.ReservationAsked) -> None:
        # The grant is of the same step, if it is one.
        self._asked = (fact.reservation_id, fact.brief)

    def _guest(self, row: Row, fact: cm.GrantReservation) -> None:
        asked, brief = self._asked
        if self._contact(fact.reservation_id) is None:
            brief = brief if asked == fact.reservation_id else None
            self._put_contact(new_records.guest(row, fact, self._queue(fact.queue), brief))

    def _guest_handed_over(self, _row: Row, fact: cm.GuestHandedOver) -> None:
        record = self._contact(fact.contact_id)
        if record is not None:
            record["direction"] = new_records.GUEST

    def _guest_came(self, _row: Row, fact: ev.GuestArrived) -> None:
        record = self._contact(fact.contact_id)
        if record is not None and record["linkedid"] is None and record["ended"] is None:
            record |= {
                "citizen_id": fact.citizen,
                "language": fact.language,
                "linkedid": fact.uniqueid,
            }

    def _answered_out(self, row: Row, fact: ev.OutboundAnswered) -> None:
        record = self._contact(fact.contact_id)
        if record is not None and record["answered"] is None and record["ended"] is None:
            record["answered"] = row.ts_us if fact.at is None else fact.at

    def _language(self, _row: Row, fact: ev.LanguageChosen) -> None:
        record = self._contact(fact.contact_id)
        if record is not None:
            record["language"] = fact.language

    def _queued(self, _row: Row, fact: cm.ContactQueued) -> None:
        record = self._contact(fact.contact_id)
        if record is None:
            return
        record["queue"] = fact.queue
        record["class"] = str(fact.contact_class)
        record["step"] = 0
        record["related_contact_id"] = fact.resumes
        if record["first_queued"] is None:
            record["first_queued"] = fact.enqueued
        queue = self._queue(fact.queue)
        if queue is not None and record["answered"] is None:
            # A contact that was answered and moved on has had its service level measured.
            record["service"] = queue.service
            record["sl_threshold_us"] = queue.servicelevel_us
        self._require(record)

    def _priority(self, _row: Row, fact: cm.PriorityChanged) -> None:
        record = self._contact(fact.contact_id)
        if record is not None:
            record["class"] = str(fact.contact_class)

    def _step(self, _row: Row, fact: cm.StepReached) -> None:
        record = self._contact(fact.contact_id)
        if record is not None:
            record["step"] = fact.step
            self._require(record)

    def _require(self, record: Record) -> None:
        """Keep the requirement of the present step: at the end it is the one that was served."""
        queue = self._queue(record["queue"])
        if queue is None:
            return  # Gone from the config: it is served under the rules known last.
        needs = (queue.require, *(step.require for step in queue.relax))
        if record["step"] < len(needs):
            need = dict(sorted(needs[record["step"]].items()))
            record["requirement_final"] = msgspec.json.encode(need).decode()

    def _ended(self, row: Row, fact: cm.ContactEnded) -> None:
        record = self._contact(fact.contact_id)
        if record is None:
            return
        threshold = record["sl_threshold_us"]
        in_time = None if threshold is None else fact.wait_us <= threshold
        record |= {
            "started": fact.started,
            "first_queued": fact.first_queued,
            "answered": fact.answered,
            "ended": fact.ended,
            "queue": fact.queue,
            "agent_id": fact.agent_id,
            "menu_us": fact.menu_us,
            "wait_us": fact.wait_us,
            "ring_us": fact.ring_us,
            "talk_us": fact.talk_us,
            "hold_us": fact.hold_us,
            "offers": fact.offers,
            "disposition": str(fact.disposition),
            "reason": fact.reason,
            "via": fact.via,
            "end_party": str(fact.party),
            "article": fact.article,
            "sl_met": in_time if fact.answered is not None else None,
            "short": _SHORT.get(fact.disposition),
            "config_version": row.config_version,
        }
        if fact.first_queued is None and fact.queue is not None:  # Refused at that queue's door.
            queue = self._queue(fact.queue)
            record["service"] = None if queue is None else queue.service
        if fact.queue is not None and record["requirement_final"] is not None:
            self._require(record)  # A reload may have changed it while the contact waited.

    def _wrap_up_code(self, _row: Row, fact: cm.WrapUpResult) -> None:
        record = self._contact(fact.contact_id)
        if record is not None:
            record["wrap_up_code"] = fact.code

    def _told(self, row: Row, fact: ev.WaitTold) -> None:
        record = self._contact(fact.contact_id)
        if record is None or record["answered"] is not None or record["ended"] is not None:
            return
        if record["ewt_queue"] == fact.queue:
            return  # What he was told first counts: it was said with the least known.
        record |= {
            "ewt_queue": fact.queue,
            "ewt_told": row.ts_us,
            "ewt_said_us": fact.expected_us,
            "ewt_lo_us": fact.lo_us,
            "ewt_hi_us": fact.hi_us,
        }

    def _recorded(self, _row: Row, fact: ev.RecordingStarted) -> None:
        record = self._contact(fact.contact_id)
        if record is not None:
            refs = (record["recording_refs"] or "").split("\n")
            if fact.path not in refs:
                record["recording_refs"] = "\n".join([*filter(None, refs), fact.path])

    # --- segments and offers -----------------------------------------------------------------

    def _segment(self, row: Row, fact: cm.SegmentClosed) -> None:
        segment = self._segments[fact.segment_id] = {
            "segment_id": fact.segment_id,
            "contact_id": fact.contact_id,
            "n": fact.n,
            "party": str(ev.Party.CITIZEN),
            "kind": str(fact.kind),
            "start": fact.started,
            "end": fact.ended,
            "center": row.center,
            "queue": fact.queue,
            "agent_id": fact.agent_id,
            "offer_id": fact.offer_id,
            "step": fact.step,
            "outcome": str(fact.outcome),
            "end_reason": fact.reason,
            "channel_uniqueid": fact.channel_uniqueid,
            "transfer_kind": fact.transfer_kind and str(fact.transfer_kind),
            "peer_segment": None,
            "citizen_id": fact.outside or None,
        }
        if fact.agent_id is not None and fact.kind in (cm.SegmentKind.TALK, cm.SegmentKind.HOLD):
            self._talks[fact.contact_id, fact.agent_id] = segment
        if fact.agent_id is not None and fact.outcome is cm.SegmentOutcome.TRANSFERRED:
            contact = self._contact(fact.contact_id)
            if contact is not None:
                contact["transfers"] += 1

    def _consulted(self, row: Row, fact: cm.ConsultEnded) -> None:
        segment = new_records.consult(row, fact)
        self._segments[segment["segment_id"]] = segment

    def _wrapped_up(self, interval: Record) -> None:
        """Put the agent's wrap-up behind his talk: he is another party than the citizen.

        It begins where the talk ended by Asterisk's clock; the interval begins when the engine
        took that up. A wrap-up that changes on its way (its end, by a reload) stays one segment.
        """
        contact_id, agent_id = interval["contact_id"], interval["agent_id"]
        talk = self._talks.get((contact_id, agent_id))
        talk = talk or self._reader.last_talk(contact_id, agent_id)
        if talk is None or talk["end"] > interval["start"]:
            return  # Not on record, or he talks with the citizen again on another slot.
        segment: Record = dict.fromkeys(_SEGMENT_COLUMNS)
        segment |= {
            "segment_id": f"{talk['segment_id']}.w",
            "contact_id": contact_id,
            "n": talk["n"],
            "party": str(ev.Party.AGENT),
            "kind": str(cm.SegmentKind.WRAP_UP),
            "start": talk["end"],
            "end": interval["end"],
            "center": talk["center"],
            "queue": talk["queue"],
            "agent_id": agent_id,
            "offer_id": talk["offer_id"],
            "outcome": str(cm.SegmentOutcome.RELEASED),
            "end_reason": "",
            "peer_segment": talk["segment_id"],
        }
        self._segments[segment["segment_id"]] = segment

    def _offered(self, _row: Row, fact: cm.OfferContact) -> None:
        # An older ledger's has no slots: then the end of the offer tells.
        slots = fact.slots or (None,) * len(fact.agent_ids)
        for agent_id, slot in zip(fact.agent_ids, slots, strict=True):
            self._put_offer(fact, agent_id, slot, fact.step)

    def _sent(self, _row: Row, fact: cm.OverflowContact) -> None:
        record = self._contact(fact.contact_id)
        self._put_offer(fact, fact.agent_id, None, 0 if record is None else record["step"])
        if record is not None:
            _one_more(record, "overflow_count")

    def _put_offer(
        self,
        fact: cm.OfferContact | cm.OverflowContact | cm.OfferEnded,
        agent_id: str,
        slot: int | None,
        step: int,
    ) -> Record:
        record: Record = dict.fromkeys(_OFFER_COLUMNS)
        record |= {
            "offer_id": fact.offer_id,
            "agent_id": agent_id,
            "contact_id": fact.contact_id,
            "slot": slot,
            "queue": fact.queue,
            "step": step,
            "created": fact.created,
        }
        self._offers[fact.offer_id, agent_id] = record
        self._dirty_offers[fact.offer_id, agent_id] = record
        return record

    def _offer_ended(self, _row: Row, fact: cm.OfferEnded) -> None:
        key = (fact.offer_id, fact.agent_id)
        offer = self._offers.get(key) or self._reader.offer(*key)
        if offer is None:
            # Never said by us (a transfer to a named agent may skip it): still an offer.
            offer = self._put_offer(fact, fact.agent_id, fact.slot, 0)
        accepted, said_before = fact.outcome is cm.OfferOutcome.ACCEPTED, offer["ended"] is not None
        offer |= {
            "ringing": fact.ringing,
            "answered": fact.ended if accepted else None,
            "ended": fact.ended,
            "outcome": str(fact.outcome),
            "reason": fact.reason,
            "ring_us": 0 if fact.ringing is None else fact.ended - fact.ringing,
        }
        self._dirty_offers[key] = offer
        record = self._contact(fact.contact_id)
        if record is None or said_before:
            return
        if not is_abroad(fact.agent_id):
            count_offer(record, fact.outcome)
        elif accepted:
            self._answered(record, fact.agent_id, fact.ended)  # He has no interval of ours.
        elif fact.outcome is not cm.OfferOutcome.WITHDRAWN:
            _one_more(record, "overflow_returned")
        if record["ended"] is None:  # Else the contact's own sum is on record already.
            record["offers"] += 1

    # --- agents ------------------------------------------------------------------------------

    def _agent_state(self, _row: Row, fact: cm.AgentStateChanged) -> None:
        slot = (fact.agent_id, fact.slot)
        if not self._time.knows(fact.agent_id):
            there = self._reader.open_intervals(fact.agent_id)
            self._open |= {(one["agent_id"], one["slot"]): one for one in there}
            self._time.stands(fact.agent_id, there)
        last = self._open.get(slot)
        start = int(fact.since)
        if last is not None:
            start = max(start, last["start"])  # Intervals of a slot never overlap.
            self._close_interval(last, start)
        contact = self._contact(fact.contact_id)
        inbound = contact is not None and contact["direction"] != new_records.OUT
        if contact is not None and inbound and fact.state is cm.AgentState.TALK:
            self._answered(contact, fact.agent_id, start)
        begun = self._open[slot] = self._put_interval(
            {
                "agent_id": fact.agent_id,
                "slot": fact.slot,
                "start": start,
                "end": None,
                "state": str(fact.state),
                "reason": fact.reason,
                "medium": None if contact is None else contact["medium"],
                "contact_id": fact.contact_id,
            }
        )
        self._time.changes(begun)

    def _answered(self, contact: Record, agent_id: str, at: int) -> None:
        # Not from the accepted offer: an answer that crossed its withdrawal has none.
        if contact["answered"] is None and contact["ended"] is None:
            contact |= {"answered": at, "agent_id": agent_id}

    def _close_interval(self, interval: Record, end: int) -> None:
        # One without length has the key of the next, which takes its place.
        interval["end"] = end
        self._put_interval(interval)
        if interval["state"] == cm.AgentState.WRAP_UP:
            contact = self._contact(interval["contact_id"])
            if contact is not None:
                contact["wrap_up_us"] += end - interval["start"]
                self._wrapped_up(interval)

    def _put_interval(self, interval: Record) -> Record:
        key = (interval["agent_id"], interval["slot"], interval["start"])
        self._dirty_intervals[key] = interval
        return interval

    # --- config ------------------------------------------------------------------------------

    def _settings(self, row: Row, fact: ev.SettingsApplied) -> None:
        self._queues = {q.queue_id: q for q in fact.settings.queues}
        self._versions[fact.settings.version] = {
            "hash": fact.settings.version,
            "author": fact.author or None,
            "applied": row.ts_us,
            "diff": "\n".join(fact.diff) or None,
            "event_id": row.event_id,
        }

    def _queue(self, queue_id: QueueId) -> QueueSettings | None:
        if self._queues is None:
            settings = self._reader.settings()
            self._queues = {} if settings is None else {q.queue_id: q for q in settings.queues}
        return self._queues.get(queue_id)


def _one_more(record: Record, name: str) -> None:
    record[name] = (record[name] or 0) + 1


_Handler = Callable[[Projector, Row, Any], None]

_HANDLERS: Final[dict[str, _Handler]] = {
    KINDS[ev.ContactStarted]: Projector._started,
    KINDS[ev.OutboundStarted]: Projector._started_out,
    KINDS[ev.OutboundAnswered]: Projector._answered_out,
    KINDS[ev.ReservationAsked]: Projector._guest_asked,
    KINDS[ev.GuestArrived]: Projector._guest_came,
    KINDS[cm.GrantReservation]: Projector._guest,
    KINDS[cm.GuestHandedOver]: Projector._guest_handed_over,
    KINDS[cm.OverflowContact]: Projector._sent,
    KINDS[ev.LanguageChosen]: Projector._language,
    KINDS[ev.WaitTold]: Projector._told,
    KINDS[ev.RecordingStarted]: Projector._recorded,
    KINDS[ev.SettingsApplied]: Projector._settings,
    KINDS[cm.ContactQueued]: Projector._queued,
    KINDS[cm.PriorityChanged]: Projector._priority,
    KINDS[cm.StepReached]: Projector._step,
    KINDS[cm.OfferContact]: Projector._offered,
    KINDS[cm.OfferEnded]: Projector._offer_ended,
    KINDS[cm.SegmentClosed]: Projector._segment,
    KINDS[cm.ConsultEnded]: Projector._consulted,
    KINDS[cm.AgentStateChanged]: Projector._agent_state,
    KINDS[cm.ContactEnded]: Projector._ended,
    KINDS[cm.WrapUpResult]: Projector._wrap_up_code,
}

FOLDED: Final = frozenset(_HANDLERS)
"""Kinds of rows that say something to the tables."""

_SHORT: Final = {cm.Disposition.ABANDONED_SHORT: True, cm.Disposition.ABANDONED: False}
