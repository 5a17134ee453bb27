"""What centers say to each other: MessagePack, versioned, from one sender in one life.

``epoch`` is that life: the instant at which the sender's engine started, so a later one is greater;
``seq`` counts its messages. Times are durations: clocks of two centers differ.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from gkc_engine.acd.overflow_events import ContactBrief
from gkc_engine.acd.settings import ContactClass
from gkc_engine.errors import PeerError

VERSION: Final = 1
"""Of the protocol: who speaks another is shown, and not spoken with."""

BYTES_MAX: Final = 65_536
"""A message; 500 queues take about 25 000."""

QUEUES_MAX: Final = 500
"""Queues of a load."""

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
Queue = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=200)]
Duration = Annotated[int, Meta(ge=0, le=7 * 86_400 * 1_000_000)]
"""Microseconds, a week at most."""
Few = Annotated[int, Meta(ge=0, le=1_000_000)]


class QueueLoad(Struct, kw_only=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """What a center can do for one queue just now."""

    wait_us: Duration | None
    """Expected wait of one who comes now; ``None``: nobody can tell, or nobody is at work."""
    ready: Few
    """Operators who could take one now and need not stay free for the center's own citizens."""
    waiting: Few
    sl_milli: Annotated[int, Meta(ge=0, le=1000)] | None = None
    """Service level of now, in thousandths; ``None``: too few contacts to tell."""
    open: bool = True
    staffed: bool = True
    """Whether more are at work who could take one than stay free for the center's own citizens."""


class Load(Struct, kw_only=True, tag="load", forbid_unknown_fields=True):
    """How a center stands; about once a second, and when somebody becomes free."""

    state: Annotated[str, Meta(max_length=32)]
    """One of ``peers.State``; an unknown one is taken as going down."""
    queues: Annotated[dict[Queue, QueueLoad], Meta(max_length=QUEUES_MAX)]


class Ask(Struct, kw_only=True, tag="ask", forbid_unknown_fields=True, omit_defaults=True):
    """The owner asks for an operator who is free now."""

    reservation_id: Id
    contact_id: Id
    queue: Queue
    waited_us: Duration
    contact_class: ContactClass | None = None
    head_start_us: Duration | None = None
    slope_milli: Few | None = None
    brief: ContactBrief | None = None
    advice: bool = False
    """For advice about the contact, which an operator of the owner's asks for."""


class Grant(Struct, kw_only=True, tag="grant", forbid_unknown_fields=True):
    """The donor keeps this operator free, so long from when it was asked."""

    reservation_id: Id
    agent_id: Annotated[str, Meta(min_length=1, max_length=64)]
    hold_us: Duration
    timeout_us: Duration
    """How long his phone rings."""


class Deny(Struct, kw_only=True, tag="deny", forbid_unknown_fields=True):
    """The donor has nobody."""

    reservation_id: Id
    reason: Text


class Release(Struct, kw_only=True, tag="release", forbid_unknown_fields=True):
    """The owner does not need the operator (any more)."""

    reservation_id: Id
    reason: Text


Body = Load | Ask | Grant | Deny | Release


class Message(Struct, kw_only=True, forbid_unknown_fields=True):
    """One message, as it crosses the line."""

    version: int
    center: Name
    """The sender."""
    epoch: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    body: Body


class _Head(Struct):
    """What can be read of a message of any version."""

    version: int
    center: str


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Message)
_HEAD: Final = msgspec.msgpack.Decoder(_Head)


class OtherVersionError(PeerError):
    """A message of another version of the protocol; ``center`` says whose."""

    def __init__(self, center: str, version: int) -> None:
        super().__init__(
            f"center {center[:64]!r} speaks version {version} of the protocol between centers, "
            f"we speak {VERSION}: bring both engines to the same release"
        )
        self.center = center[:64]


def encode(message: Message) -> bytes:
    """Return the message as it crosses the line."""
    data = _ENCODER.encode(message)
    assert len(data) <= BYTES_MAX, f"{len(data)} bytes"
    return data


def decode(data: bytes) -> Message:
    """Read a message.

    Raises:
        OtherVersionError: It is of another version.
        PeerError: It is too long, or no message of ours.
    """
    if len(data) > BYTES_MAX:
        raise PeerError(f"a message of {len(data)} bytes; {BYTES_MAX} are allowed")
    try:
        message = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _refuse_other_version(data)
        raise PeerError(f"no message between centers: {error}") from error
    if message.version != VERSION:
        raise OtherVersionError(message.center, message.version)
    return message


def _refuse_other_version(data: bytes) -> None:
    """Raise OtherVersionError if that is why a message cannot be read."""
    try:
        head = _HEAD.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    if head.version != VERSION:
        raise OtherVersionError(head.center, head.version)
