"""What the driver needs of the outside: choices, the oracle's language, snapshots on disk."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.state import AcdState
from tests.properties.oracle import Decision

FAILURES = {
    ev.OfferFailure.REJECTED: "rejected",
    ev.OfferFailure.BUSY: "busy",
    ev.OfferFailure.NO_ANSWER: "no_answer",
    ev.OfferFailure.UNREACHABLE: "unreachable",
    ev.OfferFailure.RESCINDED: "rescinded",
}


class Pick(Protocol):
    """Where choices come from: hypothesis, or a seeded generator."""

    def number(self, low: int, high: int) -> int: ...


def decisions(commands: list[cmd.Command]) -> list[Decision]:
    """Return what the oracle would say of these commands."""
    out: list[Decision] = []
    for c in commands:
        match c:
            case cmd.OfferContact():
                out.append(("offer", c.contact_id, tuple(c.agent_ids), c.step, c.created))
            case cmd.RescindOffer():
                out.append(("rescind", c.contact_id))
            case cmd.TreatContact():
                out.append(("treat", c.contact_id, c.disposition.value))
            case cmd.ReleaseContact():
                out.append(("release", c.contact_id))
            case cmd.ContactEnded():
                out.append(("end", c.contact_id, c.disposition.value))
            case _:
                pass
    return out


def copy_of(acd: Acd) -> Acd:
    """Return the core as it comes back from a snapshot on disk."""
    text = msgspec.json.encode(acd.snapshot())
    return Acd.restore(msgspec.json.decode(text, type=AcdState))
