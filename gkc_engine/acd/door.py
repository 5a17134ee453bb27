"""Who is refused at the door, before any menu or queue."""

from __future__ import annotations

from typing import Final

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.acd.contacts import treat
from gkc_engine.acd.settings import Treatment
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.world import World

BLOCKED: Final = Treatment(say="blocked")
"""The engine's own prompt, then the call ends: no queue has him, so none can say otherwise."""


def blocked(world: World, event: ev.ContactBlocked) -> None:
    """Refuse a citizen who is on the block list, unless a queue has or had him already.

    Who was told so before is told again: the engine was away meanwhile, and nobody ended his call.
    """
    contact = world.contacts.get(event.contact_id)
    if contact is None:
        return
    if contact.state is ContactState.MENU and contact.enqueued is None:
        treat(world, contact, Disposition.BLOCKED, BLOCKED)
    elif contact.state is ContactState.TREATED and contact.decided is Disposition.BLOCKED:
        world.out.append(
            cmd.TreatContact(
                contact_id=contact.contact_id, disposition=Disposition.BLOCKED, treatment=BLOCKED
            )
        )
