"""Events and commands as JSON, and back. The names of the kinds are for ever: they are in ledgers.

A field that an older engine did not write takes its default; a field that a newer engine wrote
is passed over: a ledger may be read one version forward and one back.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.errors import GkcError

SCHEMA_VERSION: Final = 1
"""Of the JSON in ``event.data``; raised when a field changes its meaning."""

Message: TypeAlias = ev.Event | cm.Command

KINDS: Final[dict[type[Any], str]] = {
    ev.ContactStarted: "gkc.contact.started",
    ev.ContactBlocked: "gkc.contact.blocked",
    ev.LanguageChosen: "gkc.contact.language_chosen",
    ev.ArticleHeard: "gkc.contact.article_heard",
    ev.MenuAnswered: "gkc.contact.menu_answered",
    ev.WaitTold: "gkc.contact.wait_told",
    ev.BroadcastHeard: "gkc.contact.broadcast_heard",
    ev.RecordingStarted: "gkc.recording.started",
    ev.RecordingPaused: "gkc.recording.paused",
    ev.QueueRequested: "gkc.contact.queue_requested",
    ev.ContactPriorityChanged: "gkc.contact.priority_changed",
    ev.ConsultStarted: "gkc.consult.started",
    ev.ContactDetached: "gkc.contact.detached",
    ev.ContactAttached: "gkc.contact.attached",
    ev.FallbackAnswered: "gkc.contact.fallback_answered",
    ev.ContactLeft: "gkc.contact.left",
    ev.OutboundStarted: "gkc.outbound.started",
    ev.OutboundAnswered: "gkc.outbound.answered",
    ev.OutboundFailed: "gkc.outbound.failed",
    ev.PutThrough: "gkc.transfer.outside",
    ev.OutsideEnded: "gkc.transfer.outside_ended",
    ev.ReservationGranted: "gkc.overflow.granted",
    ev.ReservationAsked: "gkc.guest.asked",
    ev.ReservationReleased: "gkc.guest.released",
    ev.StaffedElsewhere: "gkc.queue.staffed_elsewhere",
    ev.GuestArrived: "gkc.guest.arrived",
    ev.OfferRinging: "gkc.offer.ringing",
    ev.OfferAccepted: "gkc.offer.accepted",
    ev.OfferFailed: "gkc.offer.failed",
    ev.HoldStarted: "gkc.talk.hold_started",
    ev.HoldEnded: "gkc.talk.hold_ended",
    ev.TalkEnded: "gkc.talk.ended",
    ev.TransferRequested: "gkc.transfer.requested",
    ev.TransferCompleted: "gkc.transfer.completed",
    ev.HandedBack: "gkc.transfer.back",
    ev.AgentLoggedIn: "gkc.agent.logged_in",
    ev.AgentLoggedOut: "gkc.agent.logged_out",
    ev.AgentPaused: "gkc.agent.paused",
    ev.AgentReady: "gkc.agent.ready",
    ev.AgentDeviceChanged: "gkc.agent.device_changed",
    ev.AgentCallStarted: "gkc.agent.call_started",
    ev.AgentCallEnded: "gkc.agent.call_ended",
    ev.WrapUpCoded: "gkc.agent.wrap_up_coded",
    ev.SkillsChanged: "gkc.agent.skills_changed",
    ev.SkillOverridden: "gkc.agent.skill_overridden",
    ev.SettingsApplied: "gkc.config.applied",
    ev.HoursChanged: "gkc.queue.hours_changed",
    ev.EmergencyClosed: "gkc.queue.emergency_closed",
    ev.EmergencyOpened: "gkc.queue.emergency_opened",
    ev.QueueAnnounced: "gkc.queue.announced",
    ev.BroadcastStopped: "gkc.queue.broadcast_stopped",
    ev.EngineRestarted: "gkc.engine.restarted",
    ev.CaughtUp: "gkc.engine.caught_up",
    ev.Tick: "gkc.engine.tick",
    cm.HoldContact: "gkc.contact.hold",
    cm.OfferContact: "gkc.offer.created",
    cm.RescindOffer: "gkc.offer.rescind",
    cm.TreatContact: "gkc.contact.treat",
    cm.ReleaseContact: "gkc.contact.release",
    cm.DialOut: "gkc.outbound.dial",
    cm.OverflowContact: "gkc.overflow.send",
    cm.ReleaseReservation: "gkc.overflow.release",
    cm.GrantReservation: "gkc.guest.grant",
    cm.DenyReservation: "gkc.guest.deny",
    cm.RefuseGuest: "gkc.guest.refuse",
    cm.ReturnGuest: "gkc.guest.return",
    cm.ContactQueued: "gkc.contact.queued",
    cm.PriorityChanged: "gkc.contact.priority",
    cm.StepReached: "gkc.contact.step_reached",
    cm.OfferEnded: "gkc.offer.ended",
    cm.SegmentClosed: "gkc.segment.closed",
    cm.AgentStateChanged: "gkc.agent.state",
    cm.ConsultEnded: "gkc.consult.ended",
    cm.ConsultQueued: "gkc.consult.queued",
    cm.ConsultOver: "gkc.consult.over",
    cm.GuestHandedOver: "gkc.guest.handed_over",
    cm.ContactEnded: "gkc.contact.ended",
    cm.WrapUpResult: "gkc.contact.wrap_up_result",
    cm.SkillsInForce: "gkc.agent.skills",
    cm.BroadcastStarted: "gkc.queue.broadcast_started",
    cm.EventRejected: "gkc.engine.event_rejected",
}
"""One CloudEvents-style name for every class of the two unions; a test walks the unions."""

_ENCODER: Final = msgspec.json.Encoder()
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {}


class CodecError(GkcError):
    """A row of the ledger that this engine cannot read: damaged, or from a newer engine."""


def kind_of(message: Message) -> str:
    """Return the kind of ``message``, e.g. ``gkc.contact.started``."""
    return KINDS[type(message)]


def encode(message: Message) -> str:
    """Return ``message`` as JSON; the same message gives the same text."""
    return _ENCODER.encode(message).decode()


def decode(kind: str, data: str | bytes) -> Message:
    """Return the event or command of ``kind`` that ``encode`` wrote.

    Raises:
        CodecError: The kind is unknown, or the data does not fit it.
    """
    try:
        message: Message = _decoder(kind).decode(data)
    except msgspec.MsgspecError as error:
        raise CodecError(f"ledger row of kind {kind}: {error}") from error
    return message


def _decoder(kind: str) -> msgspec.json.Decoder[Any]:
    if kind not in _DECODERS:
        # Made on first use: the type hints of the dataclasses are resolved only then.
        _DECODERS.update({name: msgspec.json.Decoder(cls) for cls, name in KINDS.items()})
    if kind not in _DECODERS:
        raise CodecError(f"ledger row of kind {kind}: unknown to this engine; is it newer?")
    return _DECODERS[kind]
