"""A contact's end with nothing special about it."""

from __future__ import annotations

from msgspec.structs import replace

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium
from gkc_engine.ids import ContactId, Instant, Micros


def contact_ended(contact_id: ContactId, at: Instant, **other: object) -> cmd.ContactEnded:
    """Return the end of a contact that came and went at ``at``; ``other``: what is not so."""
    return replace(
        cmd.ContactEnded(
            contact_id=contact_id,
            disposition=cmd.Disposition.ABANDONED,
            medium=Medium.VOICE,
            started=at,
            ended=at,
            party=ev.Party.CITIZEN,
            reason="",
            via="engine",
            queue=None,
            first_queued=None,
            answered=None,
            agent_id=None,
            menu_us=Micros(0),
            wait_us=Micros(0),
            ring_us=Micros(0),
            talk_us=Micros(0),
            hold_us=Micros(0),
            offers=0,
        ),
        **other,
    )
