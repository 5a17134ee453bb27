"""AMI events in, phone facts out. Untyped in, typed out; pure; ``None`` means "not ours".

Every fact is about a *leg*, known by Asterisk's Uniqueid; names of channels are for people and for
finding the endpoint. Event and header names: Asterisk 22 AMI documentation, each seen on a real
one (tests/channels/streams).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gkc_engine.ids import Instant


class AmiMessage(Protocol):
    """What we need of an AMI event (``ami.AmiEvent``)."""

    @property
    def name(self) -> str:
        """Value of the ``Event`` header."""
        ...

    @property
    def at(self) -> Instant | None:
        """Asterisk's own time of it (``timestampevents=yes``)."""
        ...

    def get(self, key: str) -> str:
        """Return a header's value, ``""`` when it is not there."""
        ...


@dataclass(slots=True, kw_only=True)
class LegStarted:
    """A channel came to be."""

    leg: str
    channel: str
    endpoint: str | None
    at: Instant | None


@dataclass(slots=True, kw_only=True)
class DialStarted:
    """``caller``'s Dial sent an INVITE to ``leg``."""

    caller: str
    leg: str
    channel: str
    endpoint: str | None
    at: Instant | None


@dataclass(slots=True, kw_only=True)
class DialRinging:
    """The far side says 180."""

    caller: str
    leg: str
    at: Instant | None


@dataclass(slots=True, kw_only=True)
class DialFinished:
    """The dialled leg answered (``ANSWER``) or did not (BUSY, NOANSWER, CANCEL, ...)."""

    caller: str
    leg: str
    endpoint: str | None
    status: str
    at: Instant | None


@dataclass(slots=True, kw_only=True)
class LegEnded:
    """The channel is gone: the only proof that somebody left."""

    leg: str
    channel: str
    endpoint: str | None
    cause: int
    cause_text: str
    at: Instant | None


@dataclass(slots=True, kw_only=True)
class LegHeld:
    """The device on ``leg`` put its peer on hold, or took it back."""

    leg: str
    held: bool
    at: Instant | None


@dataclass(slots=True, kw_only=True)
class DeviceState:
    """Asterisk's state of a device such as ``PJSIP/101``."""

    device: str
    state: str
    at: Instant | None


@dataclass(slots=True, kw_only=True)
class BridgeEntered:
    """A leg joined a bridge: it talks with whoever is in it."""

    leg: str
    endpoint: str | None
    bridge: str
    at: Instant | None


@dataclass(slots=True, kw_only=True)
class BlindTransferred:
    """A REFER took effect: ``transferee`` goes to ``exten``."""

    transferer: str
    transferee: str
    exten: str
    at: Instant | None


@dataclass(slots=True, kw_only=True)
class AttendedTransferred:
    """An attended transfer was completed; ``first`` and ``second`` are the transferer's legs."""

    first: str
    second: str
    transferee: str
    target: str
    target_endpoint: str | None
    at: Instant | None
    three: bool = False
    """All three talk now; nobody has left."""

    @property
    def by_code(self) -> bool:
        """Whether by ``*2``: on one line of his. Asterisk does not always name the target then."""
        return self.first == self.second


@dataclass(slots=True, kw_only=True)
class FallbackJoined:
    """A caller entered a native queue."""

    leg: str
    queue: str
    channel: str
    entry: str
    """What he dialled: the extension that brought him there."""
    number: str
    """The citizen's, as the network sent it; empty when it is not known."""
    at: Instant | None


@dataclass(slots=True, kw_only=True)
class FallbackConnected:
    """A native queue connected a caller with a member."""

    leg: str
    queue: str
    endpoint: str
    at: Instant | None
    member: str = ""
    """The member's leg."""


@dataclass(slots=True, kw_only=True)
class AsteriskDown:
    """Asterisk says that it is shutting down."""

    at: Instant | None


PhoneFact: TypeAlias = (
    LegStarted
    | DialStarted
    | DialRinging
    | DialFinished
    | LegEnded
    | LegHeld
    | DeviceState
    | BridgeEntered
    | BlindTransferred
    | AttendedTransferred
    | FallbackJoined
    | FallbackConnected
    | AsteriskDown
)


def endpoint_of(channel: str) -> str | None:
    """Return ``PJSIP/101`` of ``PJSIP/101-0000002a``; ``None`` when it is no such name."""
    name, dash, _ = channel.rpartition("-")
    return name if dash and "/" in name else None


def translate(message: AmiMessage) -> PhoneFact | None:
    """Return the fact that ``message`` tells; ``None`` = not ours, or it does not name its leg."""
    build = _TABLE.get(message.name)
    return None if build is None else build(message)


def _leg_started(m: AmiMessage) -> PhoneFact | None:
    leg, channel = m.get("Uniqueid"), m.get("Channel")
    if not leg:
        return None
    return LegStarted(leg=leg, channel=channel, endpoint=endpoint_of(channel), at=m.at)


def _dial_started(m: AmiMessage) -> PhoneFact | None:
    caller, leg, channel = m.get("Uniqueid"), m.get("DestUniqueid"), m.get("DestChannel")
    if not caller or not leg:
        return None
    return DialStarted(
        caller=caller, leg=leg, channel=channel, endpoint=endpoint_of(channel), at=m.at
    )


def _dial_ringing(m: AmiMessage) -> PhoneFact | None:
    caller, leg = m.get("Uniqueid"), m.get("DestUniqueid")
    if not caller or not leg or m.get("DialStatus") != "RINGING":
        return None
    return DialRinging(caller=caller, leg=leg, at=m.at)


def _dial_finished(m: AmiMessage) -> PhoneFact | None:
    caller, leg = m.get("Uniqueid"), m.get("DestUniqueid")
    if not caller or not leg:
        return None
    return DialFinished(
        caller=caller,
        leg=leg,
        endpoint=endpoint_of(m.get("DestChannel")),
        status=m.get("DialStatus"),
        at=m.at,
    )


def _leg_ended(m: AmiMessage) -> PhoneFact | None:
    leg, channel, cause = m.get("Uniqueid"), m.get("Channel"), m.get("Cause")
    if not leg:
        return None
    return LegEnded(
        leg=leg,
        channel=channel,
        endpoint=endpoint_of(channel),
        cause=int(cause) if cause.isdecimal() else 0,
        cause_text=m.get("Cause-txt"),
        at=m.at,
    )


def _leg_held(m: AmiMessage) -> PhoneFact | None:
    leg = m.get("Uniqueid")
    return LegHeld(leg=leg, held=m.name == "Hold", at=m.at) if leg else None


def _device_state(m: AmiMessage) -> PhoneFact | None:
    device = m.get("Device")
    return DeviceState(device=device, state=m.get("State"), at=m.at) if device else None


def _bridge_entered(m: AmiMessage) -> PhoneFact | None:
    leg, bridge = m.get("Uniqueid"), m.get("BridgeUniqueid")
    if not leg or not bridge:
        return None
    endpoint = endpoint_of(m.get("Channel"))
    return BridgeEntered(leg=leg, endpoint=endpoint, bridge=bridge, at=m.at)


def _blind(m: AmiMessage) -> PhoneFact | None:
    transferee = m.get("TransfereeUniqueid")
    if not transferee or m.get("Result") != "Success":
        return None
    return BlindTransferred(
        transferer=m.get("TransfererUniqueid"),
        transferee=transferee,
        exten=m.get("Extension"),
        at=m.at,
    )


def _attended(m: AmiMessage) -> PhoneFact | None:
    if m.get("Result") != "Success":
        return None
    return AttendedTransferred(
        first=m.get("OrigTransfererUniqueid"),
        second=m.get("SecondTransfererUniqueid"),
        transferee=m.get("TransfereeUniqueid"),
        target=m.get("TransferTargetUniqueid"),
        target_endpoint=endpoint_of(m.get("TransferTargetChannel")),
        at=m.at,
        three=m.get("DestType") == "Threeway",
    )


def _fallback_joined(m: AmiMessage) -> PhoneFact | None:
    leg = m.get("Uniqueid")
    if not leg:
        return None
    number = m.get("CallerIDNum")
    return FallbackJoined(
        leg=leg,
        queue=m.get("Queue"),
        channel=m.get("Channel"),
        entry=m.get("Exten"),
        number="" if number == "<unknown>" else number,
        at=m.at,
    )


def _fallback_connected(m: AmiMessage) -> PhoneFact | None:
    leg = m.get("Uniqueid")
    if not leg:
        return None
    return FallbackConnected(
        leg=leg,
        queue=m.get("Queue"),
        endpoint=m.get("Interface") or endpoint_of(m.get("DestChannel")) or "",
        at=m.at,
        member=m.get("DestUniqueid"),
    )


def _shutdown(m: AmiMessage) -> PhoneFact | None:
    return AsteriskDown(at=m.at)


_TABLE: dict[str, Callable[[AmiMessage], PhoneFact | None]] = {
    "Newchannel": _leg_started,
    "DialBegin": _dial_started,
    "DialState": _dial_ringing,
    "DialEnd": _dial_finished,
    "Hangup": _leg_ended,
    "Hold": _leg_held,
    "Unhold": _leg_held,
    "DeviceStateChange": _device_state,
    "BridgeEnter": _bridge_entered,
    "BlindTransfer": _blind,
    "AttendedTransfer": _attended,
    "QueueCallerJoin": _fallback_joined,
    "AgentConnect": _fallback_connected,
    "Shutdown": _shutdown,
}
