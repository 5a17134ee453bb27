"""What centers have told each other about one contact (P10).

The contact's owner keeps it, and its place. The center that helps, the *donor*, keeps an operator
free for it: a *reservation*. The contact is the donor's *guest* from the grant on.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from gkc_engine.acd.settings import ContactClass
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, QueueId

STAGES_MAX: Final = 16
"""So many stages, and digits of menus, go along: the last ones."""

_Word = Annotated[str, Meta(max_length=64)]


class Stage(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A segment of the contact at its owner's, before it was sent on."""

    kind: _Word
    """``commands.SegmentKind``."""
    took_us: Annotated[int, Meta(ge=0, le=2**53)]
    queue: _Word | None = None
    agent_id: _Word | None = None


class ContactBrief(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What its owner tells the donor of a contact: who answers need not ask it all again.

    Nothing in it is the citizen's name or number.
    """

    number: _Word = ""
    """Its registration number, for people."""
    language: Annotated[str, Meta(pattern=r"^[A-Za-z-]{0,16}$")] = ""
    menu: Annotated[tuple[tuple[_Word, _Word], ...], Meta(max_length=STAGES_MAX)] = ()
    """(Menu, digit), as it was answered."""
    past: Annotated[tuple[Stage, ...], Meta(max_length=STAGES_MAX)] = ()


class ReservationGranted(Struct, kw_only=True, gc=False):
    """To the owner: another center keeps an operator free for a contact of ours."""

    contact_id: ContactId
    reservation_id: ContactId
    center: str
    """The donor."""
    agent_id: AgentId
    """Its operator, as ``ids.abroad`` names him."""
    until: Instant
    """The contact has to be there by then, by our clock."""
    timeout_us: Micros
    """How long his phone rings."""
    gain_us: Micros | None = None
    """So much sooner than here it was expected to be answered there; ``None``: nobody could tell
    when here."""
    not_asked: dict[str, str] = {}
    """Other centers of the rule, a few at most, and why each was not asked (``federation.choice``).
    For the record only."""


class ReservationAsked(Struct, kw_only=True, gc=False):
    """To the donor: another center asks for an operator for a contact of its own."""

    reservation_id: ContactId
    """The guest's name in our records: made by the owner, for this one time."""
    owner: str
    contact_id: ContactId
    """The owner's name of the contact."""
    queue: QueueId
    waited_us: Micros
    """Since its first queue in the city. A duration: clocks of two centers differ."""
    hold_us: Micros
    """How long the operator is to be kept free."""
    keep_free: int = 0
    """So many who could take it have to stay free for our own citizens."""
    contact_class: ContactClass | None = None
    head_start_us: Micros | None = None
    slope_milli: int | None = None
    brief: ContactBrief | None = None
    advice: bool = False
    """An operator asks for advice about the contact; it does not come itself."""


class ReservationReleased(Struct, kw_only=True, gc=False):
    """To the donor: the contact does not come; its operator may be asked for others."""

    reservation_id: ContactId
    reason: str = ""


class StaffedElsewhere(Struct, kw_only=True, gc=False):
    """Whether another center is there to serve contacts of a queue of ours (P4).

    Of no queue it is so until the first of these.
    """

    queue: QueueId
    staffed: bool


class GuestArrived(Struct, kw_only=True, gc=False):
    """To the donor: the guest's line is with us; its operator's phone may ring."""

    contact_id: ContactId
    """The reservation's."""
    citizen: str | None = None
    """Keyed hash of the citizen's number, by our key."""
    language: str = ""
    uniqueid: str | None = None
    """Asterisk's Uniqueid of the line by which it came to us."""
    at: Instant | None = None
