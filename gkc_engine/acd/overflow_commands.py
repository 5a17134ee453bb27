"""What a center says about contacts that another center may serve (P10); all are actions."""

from __future__ import annotations

from msgspec import Struct

from gkc_engine.acd.settings import ContactClass
from gkc_engine.ids import AgentId, ContactId, Instant, Micros, OfferId, QueueId


class OverflowContact(Struct, kw_only=True, gc=False):
    """Connect the contact with the operator whom another center keeps free for it.

    Answered like ``OfferContact``: Ringing, Accepted (by ``agent_id``), Failed.
    """

    offer_id: OfferId
    contact_id: ContactId
    reservation_id: ContactId
    center: str
    agent_id: AgentId
    queue: QueueId
    until: Instant
    """By then it has to be there, else the operator is free again."""
    timeout_us: Micros
    """From now on, way and ring together."""
    created: Instant
    enqueued: Instant
    """First queue entry in the city."""


class ReleaseReservation(Struct, kw_only=True, gc=False):
    """Tell the donor that the contact does not come: it is served, or gone."""

    reservation_id: ContactId
    center: str
    contact_id: ContactId
    reason: str


class GrantReservation(Struct, kw_only=True, gc=False):
    """Tell the owner that this operator is kept free for its contact."""

    reservation_id: ContactId
    owner: str
    contact_id: ContactId
    """The owner's."""
    agent_id: AgentId
    queue: QueueId
    created: Instant
    hold_us: Micros
    timeout_us: Micros
    """How long his phone will ring."""
    advice: bool = False
    """For an operator there who asks for advice."""


class DenyReservation(Struct, kw_only=True, gc=False):
    """Tell the owner that nobody is free for its contact, and why."""

    reservation_id: ContactId
    owner: str
    reason: str


class ReturnGuest(Struct, kw_only=True, gc=False):
    """End a guest's line after its talk here: our operator gives it back, its owner goes on."""

    contact_id: ContactId


class RefuseGuest(Struct, kw_only=True, gc=False):
    """End a guest's line: no operator is kept free for it (any more). Its owner has it still.

    Answered with ``ContactLeft`` if we know the guest.
    """

    contact_id: ContactId
    reason: str


class ConsultQueued(Struct, kw_only=True, gc=False):
    """A call for advice stands in a second line, and another center may serve it. A fact.

    ``ContactQueued`` of one that is no contact of the record.
    """

    contact_id: ContactId
    about: ContactId | None
    """The contact that is asked about."""
    queue: QueueId
    enqueued: Instant
    sequence: int
    contact_class: ContactClass
    head_start_us: Micros


class ConsultOver(Struct, kw_only=True, gc=False):
    """It is over: who spoke has hung up, or a citizen has taken its place. A fact."""

    contact_id: ContactId


class GuestHandedOver(Struct, kw_only=True, gc=False):
    """Who asked for advice has put the citizen through: a guest like others from now on. A fact."""

    contact_id: ContactId
