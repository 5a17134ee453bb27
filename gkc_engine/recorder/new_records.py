"""Rows of the tables as they begin: of a contact either way, of a call for advice."""

from __future__ import annotations

from typing import Final

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium, QueueSettings
from gkc_engine.recorder.numbers import parts_of
from gkc_engine.recorder.records import Record
from gkc_engine.recorder.rows import Row
from gkc_engine.recorder.schema import contact as contact_table
from gkc_engine.recorder.schema import segment as segment_table

_CONTACT_COLUMNS: Final = tuple(c.name for c in contact_table.columns)
_SEGMENT_COLUMNS: Final = tuple(c.name for c in segment_table.columns)

OUT: Final = "out"
"""``contact.direction`` of what an agent began."""

CONSULT: Final = "consult"
"""``contact.direction`` of another center's operator who asks an expert of ours for advice; no
contact, and in no figure."""

GUEST: Final = "guest"
"""``contact.direction`` of what another center owns; it is counted there."""


def contact(row: Row, fact: ev.ContactStarted) -> Record:
    """Return the row of a citizen who reached us."""
    return _contact(row, fact) | {
        "medium": str(fact.medium),
        "direction": "in",
        "initiation": "inbound",
        "did": fact.entry,
    }


def contact_out(row: Row, fact: ev.OutboundStarted) -> Record:
    """Return the row of a call that an agent made; the number is with the citizen's key."""
    return _contact(row, fact) | {
        "medium": str(Medium.VOICE),
        "direction": OUT,
        "initiation": "outbound",
        "did": "",
        "agent_id": fact.agent_id,
        "related_contact_id": fact.related,
    }


def guest(
    row: Row,
    fact: cm.GrantReservation,
    queue: QueueSettings | None,
    brief: ev.ContactBrief | None,
) -> Record:
    """Return the row of another center's contact for which an operator of ours is kept free.

    Its number is its owner's, and has no place among ours, which count our own contacts.
    """
    return _begun(row) | {
        "contact_id": fact.reservation_id,
        "number": "" if brief is None else brief.number,
        "medium": str(Medium.VOICE if queue is None else queue.medium),
        "direction": CONSULT if fact.advice else GUEST,
        "initiation": "consult" if fact.advice else "overflow",
        "did": "",
        "language": "" if brief is None else brief.language,
        "queue": fact.queue,
        "service": None if queue is None else queue.service,
        "owner": fact.owner,
        "origin": fact.contact_id,
    }


def _contact(row: Row, fact: ev.ContactStarted | ev.OutboundStarted) -> Record:
    year, sequence = parts_of(fact.number)
    return _begun(row) | {
        "contact_id": fact.contact_id,
        "number": fact.number,
        "number_year": year,
        "number_seq": sequence,
        "language": fact.language,
        "citizen_id": fact.citizen,
        "linkedid": fact.uniqueid,
    }


def _begun(row: Row) -> Record:
    record: Record = dict.fromkeys(_CONTACT_COLUMNS)
    return record | {
        "center_entry": row.center,
        "started": row.ts_us,
        "wrap_up_us": 0,
        "offers": 0,
        "agent_offers": 0,
        "offers_unanswered": 0,
        "offers_withdrawn": 0,
        "transfers": 0,
        "step": 0,
        "config_version": row.config_version,
    }


def consult(row: Row, fact: cm.ConsultEnded) -> Record:
    """Return an agent's part in a call for advice; ``peer_segment`` is the citizen's meanwhile."""
    record: Record = dict.fromkeys(_SEGMENT_COLUMNS)
    return record | {
        "segment_id": f"{fact.contact_id}.{fact.call_id}.{fact.agent_id}",
        "contact_id": fact.contact_id,
        "n": fact.n,
        "party": str(ev.Party.AGENT),
        "kind": str(cm.SegmentKind.CONSULT),
        "start": fact.started,
        "end": fact.ended,
        "center": row.center,
        "agent_id": fact.agent_id,
        "outcome": str(cm.SegmentOutcome.RELEASED),
        "end_reason": fact.kind,
        "channel_uniqueid": fact.call_id,
        "peer_segment": f"{fact.contact_id}.{fact.n}",
    }
