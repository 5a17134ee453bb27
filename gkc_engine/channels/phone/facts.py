"""Phone facts to core events: what Asterisk saw, told to the engine once.

Facts may come twice, late, or in another order than on the AGI socket; each is submitted with a
source key made of Uniqueid and kind, so that the engine steps it once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, assert_never

from gkc_engine.acd import events as ev
from gkc_engine.channels.phone import translate as tr
from gkc_engine.channels.phone.calls import Call, Calls
from gkc_engine.channels.phone.roster import Roster
from gkc_engine.ids import SECOND, AgentId, Instant

Submit = Callable[[ev.Event, str | None], None]
"""Event and source key, to the engine's inbox."""

FALLBACK_PREFIX = "gkc-"
"""Native queues of ours begin with it; others are the administrator's and are left alone."""

_REACHABLE = frozenset(
    {"NOT_INUSE", "INUSE", "BUSY", "RINGING", "RINGINUSE", "ONHOLD", "UNKNOWN"},
)
"""Device states in which a phone can be rung at all; UNAVAILABLE and INVALID are the others."""

_PHONES = {"INVALID": ev.Phone.INVALID, "UNKNOWN": ev.Phone.UNKNOWN}

_FAILURES = {
    "BUSY": ev.OfferFailure.BUSY,
    "NOANSWER": ev.OfferFailure.NO_ANSWER,
    "CHANUNAVAIL": ev.OfferFailure.UNREACHABLE,
    "CONGESTION": ev.OfferFailure.UNREACHABLE,
}
"""Without ``CANCEL``: he left, or another phone answered."""

APART_US: Final = SECOND // 5
"""Asterisk ends both legs of a talk within a few milliseconds, whoever hangs up; whose citizen
stays for longer was left by his operator."""

ENDED_MAX = 20_000
"""Ended legs remembered: at 70 calls/s the last few minutes; an event is late by seconds."""


def _was_before(call: Call, at: Instant | None) -> bool:
    """Whether what happened at ``at`` to a citizen out of our hands is over: he is back."""
    held = call.session is not None and not call.session.closed.is_set()
    return held and call.back is not None and at is not None and at < call.back


class FactHandler:
    """Keeps the registry of calls and tells the core."""

    def __init__(
        self,
        calls: Calls,
        roster: Roster,
        submit: Submit,
        *,
        hang_up: Callable[[str, int], None],
        on_citizen_gone: Callable[[Call], None],
        on_fallback: Callable[[tr.FallbackJoined], None],
        set_roster: Callable[[Roster], None],
        agent_of: Callable[[Call, str | None], AgentId | None],
        on_answered: Callable[[Call, Instant | None], None],
        on_attended: Callable[[tr.AttendedTransferred], None],
        on_own_leg_ended: Callable[[str], None],
        handed_on: Callable[[Call, AgentId], bool],
    ) -> None:
        self.calls = calls
        self.roster = roster
        self._submit = submit
        self._hang_up = hang_up
        self._on_citizen_gone = on_citizen_gone
        self._on_fallback = on_fallback
        self.set_roster = set_roster
        self._agent_of = agent_of
        self._on_answered = on_answered
        self._on_attended = on_attended
        self._on_own_leg_ended = on_own_leg_ended
        self._handed_on = handed_on
        self.own_dials: dict[str, str] = {}
        """Legs that operators' own calls ring or have rung, by the caller's leg."""
        self.own_answered: set[str] = set()
        """Those of these legs that were answered."""
        self.reachable: dict[AgentId, bool] = {}
        self.devices: dict[str, bool] = {}
        """Whether each device of Asterisk can be reached."""
        self.phones: dict[str, ev.Phone] = {}
        """Devices that do not exist, or whose state Asterisk does not know."""
        self.foreign: dict[AgentId, set[str]] = {}
        """Legs on operators' phones that no offer of ours made: their own calls."""
        self._ended: OrderedDict[str, None] = OrderedDict()
        """Operators' legs that are gone: what is told of them once more, late, is not news."""

    def handle(self, fact: tr.PhoneFact) -> None:
        """Take one fact. Unknown legs are not ours: administrators' other traffic."""
        match fact:
            case tr.LegStarted():
                self._leg_started(fact)
            case tr.DialStarted():
                self._dial_started(fact)
            case tr.DialRinging():
                self._dial_ringing(fact)
            case tr.DialFinished():
                self._dial_finished(fact)
                self._not_answered(fact)
            case tr.LegEnded():
                self._leg_ended(fact)
            case tr.LegHeld():
                self._leg_held(fact)
            case tr.DeviceState():
                self.device_state(fact.device, fact.state)
            case _:
                self._rare(fact)

    def _rare(
        self,
        fact: tr.BridgeEntered
        | tr.BlindTransferred
        | tr.AttendedTransferred
        | tr.FallbackJoined
        | tr.FallbackConnected
        | tr.AsteriskDown,
    ) -> None:
        match fact:
            case tr.FallbackJoined():
                self._fallback_joined(fact)
            case tr.FallbackConnected():
                self._fallback_connected(fact)
            case tr.AttendedTransferred():
                self._on_attended(fact)
            case tr.BridgeEntered():
                self._bridge_entered(fact)
            case tr.BlindTransferred() | tr.AsteriskDown():
                pass
            case _:
                assert_never(fact)

    def _leg_started(self, fact: tr.LegStarted) -> None:
        agent_id = self.roster.agent_of(fact.endpoint)
        if agent_id is None or fact.leg in self.calls.by_agent_leg or fact.leg in self._ended:
            return
        if self.calls.awaits_leg_of(agent_id):
            return  # our own ring: DialStarted follows and binds it
        self.foreign.setdefault(agent_id, set()).add(fact.leg)
        self._tell_device(agent_id)

    def _dial_started(self, fact: tr.DialStarted) -> None:
        call = self.calls.by_leg.get(fact.caller)
        if call is None:
            if self.roster.agent_of(fact.endpoint) is not None:
                self.own_dials[fact.caller] = fact.leg
            return
        agent_id = self._agent_of(call, fact.endpoint)
        if call.dialling is None or agent_id is None or fact.leg in self._ended:
            return
        self.calls.bind(call, fact.leg, agent_id)
        self.not_foreign(agent_id, fact.leg)
        if call.dialling.offer_id in call.rescinded:
            self._hang_up(fact.leg, 26)

    def _dial_ringing(self, fact: tr.DialRinging) -> None:
        call = self.calls.by_leg.get(fact.caller)
        if call is None or call.dialling is None or fact.leg not in call.legs:
            return
        call.rang.add(fact.leg)
        offer_id = call.dialling.offer_id
        self._submit(ev.OfferRinging(offer_id=offer_id, at=fact.at), f"ringing:{offer_id}")

    def _dial_finished(self, fact: tr.DialFinished) -> None:
        call = self.calls.by_leg.get(fact.caller)
        if fact.status == "ANSWER" and self.own_dials.get(fact.caller) == fact.leg:
            self.own_answered.add(fact.leg)
        if call is None or fact.status != "ANSWER" or fact.leg in self._ended:
            return  # of an ended leg: told twice, that of an earlier Dial
        if call.dialling is None:
            self._native_answer(call, self.roster.agent_of(fact.endpoint), fact.leg, fact.at)
            return
        agent_id = call.legs.get(fact.leg) or self._agent_of(call, fact.endpoint)
        if agent_id is None:
            return
        self.answered(call, agent_id, fact.leg, fact.at)

    def _not_answered(self, fact: tr.DialFinished) -> None:
        """A ring of ours may have ended while no socket was there that would tell so."""
        call, failure = self.calls.by_leg.get(fact.caller), _FAILURES.get(fact.status)
        if call is None or failure is None or fact.leg not in call.legs or fact.leg in call.out:
            return
        if self.calls.leg_out(call, fact.leg):
            self._one_out(call, fact, failure)
        else:
            self.ring_over(call, failure, fact.status, fact.at)

    def _one_out(self, call: Call, fact: tr.DialFinished, failure: ev.OfferFailure) -> None:
        """One of several phones (``ring: all``) does not take the call, others ring on."""
        offer = call.dialling
        if offer is None or call.answered_by is not None or offer.offer_id in call.rescinded:
            return
        # As of a single one (`CitizenSession`): who let it ring has seen it.
        rang, missed = fact.leg in call.rang, failure is ev.OfferFailure.NO_ANSWER
        if rang is not missed:
            failure = ev.OfferFailure.REJECTED if rang else failure
            failure = ev.OfferFailure.UNREACHABLE if missed else failure
        self._submit(
            ev.OfferFailed(
                offer_id=offer.offer_id,
                failure=failure,
                agent_id=call.legs[fact.leg],
                reason=fact.status,
                at=fact.at,
            ),
            f"failed:{offer.offer_id}:{fact.leg}",
        )

    def ring_over(
        self, call: Call, failure: ev.OfferFailure, reason: str, at: Instant | None
    ) -> None:
        """Our Dial for a citizen whom nobody holds has ended without an answer."""
        held = call.session is not None and not call.session.closed.is_set()
        if held or call.dialling is None or call.answered_by is not None:
            return
        offer_id = call.dialling.offer_id
        self.calls.end_dial(call)
        self._submit(
            ev.OfferFailed(offer_id=offer_id, failure=failure, reason=reason, at=at),
            f"failed:{offer_id}",
        )

    def _bridge_entered(self, fact: tr.BridgeEntered) -> None:
        """The second word on an answer, for when the first (``DialEnd``) was lost."""
        call = self.calls.by_agent_leg.get(fact.leg)
        if call is None or call.dialling is None or call.answered_by is not None:
            return
        agent_id = call.legs.get(fact.leg)
        if agent_id is not None:
            self.answered(call, agent_id, fact.leg, fact.at)

    def answered(self, call: Call, agent_id: AgentId, leg: str | None, at: Instant | None) -> None:
        """Tell the core that ``agent_id`` and the citizen are connected; once an offer."""
        assert call.dialling is not None
        call.answered_by = agent_id
        call.talk_leg = leg
        offer_id = call.dialling.offer_id
        self._submit(
            ev.OfferAccepted(offer_id=offer_id, agent_id=agent_id, leg=leg, at=at),
            f"accepted:{offer_id}",
        )
        self._on_answered(call, at)

    def _leg_ended(self, fact: tr.LegEnded) -> None:
        call = self.calls.by_leg.get(fact.leg)
        if call is not None:
            outside = call.outside
            if outside is not None and outside.unbridged and outside.ended is not None:
                # He stands in the other's Dial: its end is his, and no socket hears it before.
                call.ended_by = call.ended_by or ev.Party.OUTSIDE
            self.citizen_gone(call, fact.at, f"cause {fact.cause}")
            if not call.consult:
                return
        ours = self.calls.leg_ended(fact.leg, fact.cause, fact.at) is not None
        self.own_dials.pop(fact.leg, None)
        self.own_answered.discard(fact.leg)
        self._on_own_leg_ended(fact.leg)
        agent_id = self.roster.agent_of(fact.endpoint)
        if ours or agent_id is not None:
            self._ended[fact.leg] = None
            if len(self._ended) > ENDED_MAX:
                self._ended.popitem(last=False)
        if agent_id is not None:
            self.not_foreign(agent_id, fact.leg)

    def has_ended(self, leg: str) -> bool:
        """Whether Asterisk has told the end of an operator's leg."""
        return leg in self._ended

    def not_foreign(self, agent_id: AgentId, leg: str) -> None:
        """The leg is a citizen's talk after all, or gone."""
        if leg in self.foreign.get(agent_id, ()):
            self.foreign[agent_id].discard(leg)
            self._tell_device(agent_id)

    def citizen_gone(self, call: Call, at: Instant | None, reason: str) -> None:
        """The citizen's channel does not exist any more."""
        self._operator_left_first(call, at)
        self._submit(
            ev.ContactLeft(
                contact_id=call.contact_id,
                party=call.ended_by or ev.Party.CITIZEN,
                reason=call.end_reason or reason,
                at=at,
            ),
            f"left:{call.leg}",
        )
        self.calls.remove(call)
        self._on_citizen_gone(call)

    def _operator_left_first(self, call: Call, at: Instant | None) -> None:
        """Tell when the talk was over, if nobody held the citizen from then to his end.

        The socket tells it when Dial returns; a socket that is gone, or late, does not.
        """
        ended = call.ends.get(call.talk_leg or "")
        if call.answered_by is None or ended is None or at is None or at - ended < APART_US:
            return
        self._submit(
            ev.TalkEnded(
                contact_id=call.contact_id,
                agent_id=call.answered_by,
                end=ev.TalkEnd.RELEASED,
                party=ev.Party.AGENT,
                at=ended,
            ),
            None,
        )

    def _leg_held(self, fact: tr.LegHeld) -> None:
        call = self.calls.by_agent_leg.get(fact.leg)
        if call is None or call.answered_by is None:
            return  # the citizen's own hold button is not our hold
        kind = ev.HoldStarted if fact.held else ev.HoldEnded
        event = kind(contact_id=call.contact_id, agent_id=call.answered_by, at=fact.at)
        self._submit(event, f"{'hold' if fact.held else 'unhold'}:{fact.leg}:{fact.at}")

    def device_state(self, device: str, state: str) -> None:
        """Note a device's state: an operator whose phone is away is not offered calls."""
        reachable = self.devices[device] = state in _REACHABLE
        before, phone = self._phone(device), _PHONES.get(state, ev.Phone.KNOWN)
        self.phones[device] = phone
        agent_id = self.roster.agent_of(device)
        if agent_id is None:
            return
        if self.reachable.get(agent_id) is not reachable or before is not phone:
            self.reachable[agent_id] = reachable
            self._tell_device(agent_id)

    def _phone(self, device: str) -> ev.Phone:
        return self.phones.get(device, ev.Phone.KNOWN)

    def _tell_device(self, agent_id: AgentId) -> None:
        self._submit(
            ev.AgentDeviceChanged(
                agent_id=agent_id,
                reachable=self.reachable.get(agent_id, True),
                in_use=bool(self.foreign.get(agent_id)),
                phone=self._phone(self.roster.by_agent[agent_id].interface),
            ),
            None,
        )

    def seat(self, agent_id: AgentId, interface: str | None) -> None:
        """Let an operator sit at another's phone, or (``None``) at his own again.

        The calls on that phone are the sitter's from now on; whose phone is taken is as if his
        phone could not be reached.
        """
        before = self.roster.by_agent[agent_id].interface
        seats = dict(self.roster.seats)
        seats.pop(agent_id, None)
        if interface is not None:
            seats = {a: i for a, i in seats.items() if i != interface} | {agent_id: interface}
        legs = self.foreign.pop(self.roster.agent_of(interface or before) or agent_id, set())
        self.set_roster(Roster(self.roster.phones, seats))
        sits = self.roster.agent_of(interface or before) or agent_id
        self.foreign[sits] = self.foreign.get(sits, set()) | legs
        for changed in {agent_id, *(self.roster.own[i] for i in (before, interface) if i)}:
            phone = self.roster.by_agent[changed].interface
            mine = self.roster.agent_of(phone) == changed
            self.reachable[changed] = mine and self.devices.get(phone, True)
            self._tell_device(changed)

    def replace_foreign(self, foreign: dict[AgentId, set[str]]) -> None:
        """Take the operators' own legs from a full list of channels (resync)."""
        changed = {a for a in {*self.foreign, *foreign} if self.foreign.get(a) != foreign.get(a)}
        self.foreign = foreign
        for agent_id in sorted(changed):
            self._tell_device(agent_id)

    def _fallback_joined(self, fact: tr.FallbackJoined) -> None:
        call = self.calls.by_leg.get(fact.leg)
        if fact.queue.startswith(FALLBACK_PREFIX):
            self._on_fallback(fact)
        if call is None or _was_before(call, fact.at):
            return
        self._submit(
            ev.ContactDetached(contact_id=call.contact_id, at=fact.at),
            f"detached:{fact.leg}:{fact.at}",
        )
        self._fell_out_of_dial(call, fact.at)

    def _fell_out_of_dial(self, call: Call, at: Instant | None) -> None:
        """He stands in the native queue, so our Dial is over: the second word on its end."""
        offer = call.dialling
        if offer is None or (at is not None and at < offer.created):
            return  # told late: he came back since
        # Who was perhaps never rung is not to blame.
        rung = call.leg_bound.is_set()
        failure = ev.OfferFailure.NO_ANSWER if rung else ev.OfferFailure.RESCINDED
        self.ring_over(call, failure, "in the native queue", at)

    def _fallback_connected(self, fact: tr.FallbackConnected) -> None:
        call = self.calls.by_leg.get(fact.leg)
        if call is None or fact.at is None:
            return
        agent_id = self.roster.agent_of(fact.endpoint)
        if agent_id is not None and fact.member:
            self.calls.bind(call, fact.member, agent_id)
            call.answered_by, call.talk_leg = agent_id, fact.member
        self._submit(
            ev.FallbackAnswered(
                contact_id=call.contact_id,
                agent_id=agent_id,
                at=fact.at,
                leg=fact.member or None,
            ),
            f"fallback:{fact.leg}:{fact.at}",
        )
        if agent_id is not None:
            # Only now: between the two he would be free and be offered somebody.
            self.not_foreign(agent_id, fact.member)

    def _native_answer(
        self, call: Call, agent_id: AgentId | None, leg: str, at: Instant | None
    ) -> None:
        """The first word on an answer in the native queue (``DialEnd``): the other may be lost."""
        held = call.session is not None and not call.session.closed.is_set()
        if agent_id is None or at is None or held or call.answered_by is not None:
            return
        if self._handed_on(call, agent_id):
            return
        connected = tr.FallbackConnected(leg=call.leg, queue="", endpoint="", at=at, member=leg)
        connected.endpoint = self.roster.by_agent[agent_id].interface
        self._fallback_connected(connected)
