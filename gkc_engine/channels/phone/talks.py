"""With whom a citizen talked while nobody told us: what Asterisk holds now, and its past legs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gkc_engine.acd.state import ContactState
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.cel import History, PastLeg
from gkc_engine.channels.phone.live import Leg, Live, born
from gkc_engine.channels.phone.past_talks import AgentOf, Talk, before
from gkc_engine.channels.phone.spell import NEW_US, Spell
from gkc_engine.ids import SECOND, Instant, Micros

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

OURS_US = 2 * SECOND
"""A leg that began later than this after a dead engine's last sign of life was not made by its
Dial. Of this engine's own sockets the end is known: no Dial of ours begins after it."""

STEP_US = 60 * SECOND
"""Asterisk's stamp of a call and ours lie this far apart only if the wall clock was stepped."""


class Talks:
    """The talks of each call, for one comparison of the core with Asterisk."""

    def __init__(self, channel: PhoneChannel, live: Live, past: History, spell: Spell) -> None:
        self._channel = channel
        self._live = live
        self._past = past
        self._since, self._asked = spell.since, spell.asked

    def agents_of(self, call: Call) -> AgentOf:
        """Return whose phone an endpoint is, in this call."""
        return lambda endpoint: self._channel.agent_of(call, endpoint)

    def _last(self, call: Call, leg: Leg | None) -> Talk | None:
        """Return the last talk of the call: the one that runs, else what CEL tells of."""
        agent_of = self.agents_of(call)
        view = self._channel.contact(call.contact_id)
        talker = view.agent_id if view is not None and view.state is ContactState.TALK else None
        with_him = self._live.with_him(leg) if leg is not None else []
        # Three may talk; and while his operator asks a colleague (*2), he is alone on hold.
        with_him.sort(key=lambda other: agent_of(other.endpoint) != talker)
        if not with_him and talker is not None:
            answered = self._live.answered_for(call.leg)
            with_him = [x for x in answered if agent_of(x.endpoint) == talker]
        for other in with_him:
            agent_id = agent_of(other.endpoint)
            if agent_id is not None and leg is not None:
                told = self._past.legs.get(other.uniqueid)
                return Talk(
                    agent_id=agent_id,
                    leg=other.uniqueid,
                    answered=told.answered if told is not None else None,
                    ended=None,
                    native=leg.in_native_queue,
                )
        ended = [
            (told.ended or self._asked, told)
            for told in self._past.dialled_for(call.leg)
            if self._is_over(told)
        ]
        # Who left last: a colleague who was only asked came later and left before.
        for at, told in sorted(ended, key=lambda one: one[0], reverse=True):
            agent_id = agent_of(told.endpoint)
            if agent_id is not None and told.answered is not None:
                return Talk(
                    agent_id=agent_id,
                    leg=told.leg,
                    answered=told.answered,
                    ended=at,
                    native=self.is_native(call, told),
                )
        return None

    def _is_over(self, told: PastLeg) -> bool:
        """Whether a leg is gone: CEL says so, or will, for Asterisk does not list it any more."""
        if told.ended is not None:
            return True
        if told.answered is None:
            return False
        return told.answered < self._asked - NEW_US and told.leg not in self._live.by_id

    def of(self, call: Call, leg: Leg | None) -> list[Talk]:
        """Return the talks of the call in their order; the last one may be going on."""
        last = self._last(call, leg)
        if last is None:
            return []
        agent_of = self.agents_of(call)
        earlier = [
            Talk(
                agent_id=agent_id,
                leg=told.leg,
                answered=told.answered,
                ended=told.ended,
                native=self.is_native(call, told),
            )
            for told in before(self._past, call.leg, last, agent_of)
            if (agent_id := agent_of(told.endpoint)) is not None
        ]
        return [*earlier, last]

    def is_native(self, call: Call, told: PastLeg) -> bool:
        """Whether the native queue made this leg, and not a Dial of ours."""
        if told.leg in call.legs:
            return call.dialling is None  # AMI told of our Dial's leg when it began
        if call.session is not None:
            return False  # who comes back out of the native queue was not connected there
        ours_until = call.let_go
        if ours_until is None:
            ours_until = Instant(self._since + OURS_US + self._stepped(call))
        return told.started is None or told.started > ours_until

    def _stepped(self, call: Call) -> Micros:
        """Return how far the wall clock was stepped before he came, while the dead engine ran.

        Its own time, which is what it wrote, went on without the step; Asterisk's did not.
        """
        view, came = self._channel.contact(call.contact_id), born(call.leg)
        if view is None or came is None:
            return Micros(0)
        apart = self._channel.engine.of_wall(came) - view.started
        return Micros(apart if abs(apart) > STEP_US else 0)
