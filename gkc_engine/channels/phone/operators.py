"""What operators tell us from their phones: ``*45`` login, ``*46`` pause, ``*47``, ``*48`` result.

The codes are FreePBX's; the dialplan gives us the name of the feature and the digits behind the
code. The state is the one that ``gkc agent`` shows and changes; every code ends with a prompt
that says what has become of it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import AgentState
from gkc_engine.channels.phone.roster import Phone
from gkc_engine.channels.phone.translate import endpoint_of
from gkc_engine.ids import SECOND, AgentId, Instant
from gkc_engine.ivr.fastagi import AgiSession
from gkc_engine.ivr.fragments import count_prompts

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)

LIMIT_S: Final = 30
"""``TIMEOUT(absolute)`` of a call to a feature code: the longest prompt is far below."""

WRONG_MAX: Final = 5
"""Wrong PINs from one phone after which it is not heard for ``WRONG_FOR_US``."""

WRONG_FOR_US: Final = 300 * SECOND

ARGUMENT_MAX: Final = 16
"""Digits of a PIN, a reason or a result."""

REFUSED: Final = ("agent-refused",)

_IN_HAND: Final = frozenset(
    {AgentState.RESERVED, AgentState.RINGING, AgentState.TALK, AgentState.HOLD, AgentState.WRAP_UP}
)


class Operators:
    """Serves the feature codes; knows who sits at which phone."""

    def __init__(self, channel: PhoneChannel) -> None:
        self._channel = channel
        self._wrong: dict[str, list[Instant]] = {}
        """Times of the last wrong PINs, by phone."""

    # --- who sits where ----------------------------------------------------------------------

    def restore(self) -> None:
        """Take over from the core who was logged in at a phone that is not his own."""
        for agent_id, phone in self._channel.roster.by_agent.items():
            view = self._channel.engine.acd.agent_view(agent_id)
            if view is None or not view.logged_in or view.logged_in_by == phone.interface:
                continue
            if view.logged_in_by in self._channel.roster.own:
                self._channel.facts.seat(agent_id, view.logged_in_by)

    def observe(self, fact: cmd.AgentStateChanged) -> None:
        """Who has gone home sits at his own phone again."""
        if fact.state is AgentState.OFFLINE and fact.agent_id in self._channel.roster.seats:
            self._channel.facts.seat(fact.agent_id, None)

    # --- one call to a feature code ------------------------------------------------------------

    async def serve(self, agi: AgiSession) -> None:
        """Do what was dialled, say what came of it, hang up.

        Raises:
            AgiClosed: the operator hung up; what he asked for is done or not, as he will see.
        """
        await agi.set_variable("TIMEOUT(absolute)", LIMIT_S)
        await agi.answer()
        channel = self._channel
        name, argument = (*agi.request.arguments, "", "")[:2]
        argument = argument.strip("#*")
        phone = endpoint_of(agi.channel) or ""
        said: Sequence[str] = REFUSED
        if len(argument) <= ARGUMENT_MAX:
            said = await self._feature(name, argument, phone)
        if said == REFUSED:
            log.info("feature_refused", feature=name[:20], phone=phone)
        for prompt in said:
            sound = channel.sound(prompt, channel.plan.language)
            if sound is not None:
                await agi.stream_file(sound.path)
        await agi.set_variable("GKC_DONE", "1")
        await agi.hangup()

    async def _feature(self, name: str, argument: str, phone: str) -> Sequence[str]:
        agent_id = self._channel.roster.agent_of(phone)
        if name == "login" and argument:
            return await self._hot_desk(phone, argument)
        if agent_id is None:
            return REFUSED  # not an operator's phone
        match name:
            case "login":
                return await self._login(agent_id)
            case "pause":
                return await self._pause(agent_id, argument)
            case "queue":
                return count_prompts(self._waiting(agent_id))
            case "result":
                return await self._result(agent_id, argument)
            case _:
                return REFUSED

    def _state(self, agent_id: AgentId) -> AgentState:
        view = self._channel.engine.acd.agent_view(agent_id)
        return AgentState.OFFLINE if view is None else view.state

    async def _ask(self, event: ev.Event) -> Sequence[cmd.Command]:
        return await self._channel.engine.ask(event, source="feature")

    async def _login(self, agent_id: AgentId) -> Sequence[str]:
        """``*45``: come or go. Who is always at work does not go."""
        if self._state(agent_id) is AgentState.OFFLINE:
            await self._ask(ev.AgentLoggedIn(agent_id=agent_id))
            return ("agent-logged-in",)
        if self._channel.roster.by_agent[agent_id].always:
            return ("agent-logged-in",)
        await self._ask(ev.AgentLoggedOut(agent_id=agent_id, reason="phone"))
        return ("agent-logged-out",)

    async def _hot_desk(self, phone: str, pin: str) -> Sequence[str]:
        """``*45PIN``: come or go at any phone of an operator that nobody else works at."""
        now, roster = self._channel.now(), self._channel.roster
        wrong = [at for at in self._wrong.get(phone, ()) if now - at < WRONG_FOR_US]
        who = _by_pin(roster.by_agent.values(), pin) if len(wrong) < WRONG_MAX else None
        if who is None:
            self._wrong[phone] = [*wrong[1 - WRONG_MAX :], now]
            log.warning("pin_refused", phone=phone, wrong=len(self._wrong[phone]))
            return REFUSED
        self._wrong.pop(phone, None)
        if phone not in roster.own:
            return REFUSED  # the engine could not know its state, nor the fallback ring it
        agent_id, state = who.agent_id, self._state(who.agent_id)
        here = roster.by_agent[agent_id].interface == phone
        if here and (state is not AgentState.OFFLINE or roster.agent_of(phone) == agent_id):
            return await self._login(agent_id)
        sitting = roster.agent_of(phone)
        if sitting is not None and self._state(sitting) is not AgentState.OFFLINE:
            return REFUSED  # somebody works here
        if state in _IN_HAND:
            return REFUSED  # he has a contact at the other phone
        if state is not AgentState.OFFLINE:
            await self._ask(ev.AgentLoggedOut(agent_id=agent_id, reason="moves"))
        self._channel.facts.seat(agent_id, phone)
        await self._ask(ev.AgentLoggedIn(agent_id=agent_id, by=phone))
        return ("agent-logged-in",)

    async def _pause(self, agent_id: AgentId, reason: str) -> Sequence[str]:
        """``*46``: off work or back; with a reason always off. In wrap-up: back at once."""
        view = self._channel.engine.acd.agent_view(agent_id)
        if view is None or view.state is AgentState.OFFLINE:
            return REFUSED
        # Not by NOT_READY: this very call makes his phone busy, and so him not ready.
        away = view.paused or view.state is AgentState.WRAP_UP
        if away and not reason:
            await self._ask(ev.AgentReady(agent_id=agent_id))
            return ("agent-ready",)
        await self._ask(ev.AgentPaused(agent_id=agent_id, reason=reason))
        return ("agent-paused",)

    def _waiting(self, agent_id: AgentId) -> int:
        """Return how many wait in the queues that this operator may serve."""
        acd = self._channel.engine.acd
        views = [acd.queue_view(q) for q in self._channel.roster.by_agent[agent_id].queues]
        return sum(view.waiting + view.offered for view in views if view is not None)

    async def _result(self, agent_id: AgentId, code: str) -> Sequence[str]:
        """``*48CODE``: what came of the present contact, or of the last one."""
        if not code or self._state(agent_id) is AgentState.OFFLINE:
            return REFUSED
        said = await self._ask(ev.WrapUpCoded(agent_id=agent_id, code=code))
        kept = any(isinstance(fact, cmd.WrapUpResult) for fact in said)
        return ("agent-stored",) if kept else REFUSED


def _by_pin(phones: Iterable[Phone], pin: str) -> Phone | None:
    """Return whose PIN it is; every one is looked at, so that time tells nothing."""
    found: Phone | None = None
    for phone in phones:
        if phone.pin is not None and hmac.compare_digest(phone.pin.encode(), pin.encode()):
            found = phone
    return found
