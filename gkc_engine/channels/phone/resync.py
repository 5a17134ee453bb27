"""After every (re)connect: read what Asterisk has and had, compare with what the core believes.

Talks and rings are never touched. Who waits in a native queue is taken back by
``QueueWithdrawCaller`` (a running ring there is left to finish, and an answer wins); never by
``Redirect``, which tears just begun talks apart (telephony contract).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferContact
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import ContactView
from gkc_engine.channels.phone.ami import AmiEvent
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.catch_up import SEEN, CatchUp, in_doubt, last_held, parted
from gkc_engine.channels.phone.cel import CelError, History, read_history
from gkc_engine.channels.phone.facts import FALLBACK_PREFIX
from gkc_engine.channels.phone.live import Leg, Live, booted_at, leg_of
from gkc_engine.channels.phone.past_talks import Talk
from gkc_engine.channels.phone.spell import Spell
from gkc_engine.channels.phone.wall import WallSteps
from gkc_engine.errors import PeerError
from gkc_engine.ids import SECOND, AgentId, Instant
from gkc_engine.ivr.fastagi import AgiSession

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)

UNHEARD_US = 15 * SECOND
"""A half-open link is noticed within this: so far back the past may be unknown."""

LOOK_BACK_US = 5 * SECOND
"""So long before our last sign of life a call may have come whose record was lost with us. The
keys of what is on record reach back farther than this (``recorder.recovery.RECENT_ROWS``)."""

LOOK_BACK_STEPPED_US = 60 * SECOND
"""The same when the wall clock was set back while we were away: our time stood still so long."""

PAST_S = 600
"""How long we may have been away, and calls out with us, for their end to be found in CEL."""

LOOKED_US = 5 * SECOND
"""Every leg is looked at more often than this (``channel.PATROL_S``)."""

TURN_S = 1.1
"""How long one who was taken back waits for those who stood before him; a native queue lets a
withdrawn caller go within 10 ms, without ``app_controlplayback`` within 1.0 s (measured)."""


class Resync:
    """Reads and compares; what it finds becomes ordinary events."""

    def __init__(self, channel: PhoneChannel, cel: Path | None = None) -> None:
        self._channel = channel
        self._cel = cel
        self._away: Instant | None = channel.now()
        """Since when Asterisk was not heard; ``None`` while it is."""
        self._unheard = channel.now()
        """From when on we may not have been told all: before ``_away`` if an engine came and died
        meanwhile, which never got to ask."""
        self._coming: dict[str, Instant] = {}
        """Enqueue time of those who were asked back and have not come yet."""
        self._wall = WallSteps(channel.engine.of_wall, channel.now)
        self._moved = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self.runs_total = 0
        self.imported_total = 0
        """Contacts that came and were heard of only afterwards."""

    def away_since(self, instant: Instant, unheard: Instant | None = None) -> None:
        """Asterisk was seen until ``instant``, by the last engine or before we were stopped.

        ``unheard``: until when all is known, if that engine had not caught up itself.
        """
        known = [instant] if unheard is None else [instant, unheard]
        if self._away is not None:
            known.append(self._unheard)
        self._away = instant if self._away is None else min(instant, self._away)
        self._unheard = min(known)

    def long_ago(self) -> Instant:
        """Return an instant before every call out that may still be on the line."""
        rules = self._channel.plan.outbound
        longest_s = 0 if rules is None else rules.ring_s + rules.max_s
        return Instant(self._channel.now() - (longest_s + PAST_S) * SECOND)

    def lost(self) -> None:
        """The link broke; what it told last may be a while ago."""
        if self._away is None:
            self._away = self._unheard = Instant(self._channel.now() - UNHEARD_US)

    async def run(self) -> Sequence[AmiEvent]:
        """Bring calls, operators' phones and native queues into agreement with the core.

        Returns what Asterisk said of its queues: with a thousand members no short list.

        Raises:
            PeerError: Asterisk did not tell; the link must not be trusted.
        """
        async with self._one_at_a_time:
            return await self._run()

    async def _run(self) -> Sequence[AmiEvent]:
        due = self._away is not None
        since = self._away if self._away is not None else self._channel.now()
        heard = self._unheard if due else since
        before = self._before(heard)
        ami = self._channel.ami
        listed = frozenset(self._channel.calls.by_leg)
        of_agents = tuple(self._channel.calls.by_agent_leg)
        foreign = {leg for legs in self._channel.facts.foreign.values() for leg in legs}
        asked = self._channel.now()
        rows = await ami.list_action("CoreShowChannels")
        devices = await ami.list_action("DeviceStateList")
        queues = await ami.list_action("QueueStatus")
        booted = booted_at(await ami.action("CoreStatus"), self._channel.now())
        # Before anybody is asked back: the dialplan would pass an engine by that was long silent.
        await self._channel.beat()
        # Last: what ended since the list was made is in it, and AMI tells it again harmlessly.
        past = await self.past(before)
        legs = [leg_of(row) for row in rows if row.name == "CoreShowChannel"]
        self._devices(devices)
        spell = Spell(since=since, heard=heard, before=before, asked=asked)
        catch_up = CatchUp(self._channel, Live(legs), past, spell, booted, listed)
        self.imported_total += catch_up.run()
        self._forget_ended(of_agents, legs)
        self._agent_legs(legs, foreign)
        catch_up.attach()
        self._take_back(queues)
        if due:
            self._channel.submit(ev.CaughtUp(), None)
        self._away = None
        self.runs_total += 1
        log.info("resync_done", legs=len(legs), calls=len(self._channel.calls.by_leg))
        return queues

    def _before(self, heard: Instant) -> Instant:
        stepped = abs(self._channel.engine.of_wall(Instant(0))) > SECOND
        return Instant(heard - (LOOK_BACK_STEPPED_US if stepped else LOOK_BACK_US))

    def _forget_ended(self, known: Sequence[str], legs: Sequence[Leg]) -> None:
        """Let go of operators' legs whose Hangup we were not told."""
        there = {leg.uniqueid for leg in legs}
        for leg in known:
            if leg not in there:
                self._channel.calls.leg_ended(leg, 0)

    async def past(self, since: Instant) -> History:
        """Return what Asterisk's list of legs says of `since` and later; nothing without one."""
        if self._cel is None:
            return History()
        try:
            self._wall.look()
            return await asyncio.to_thread(read_history, self._cel, since, self._wall.engine_time)
        except CelError as error:
            log.warning("cel_unread", reason=str(error))
            return History()

    async def answer_of(
        self, call: Call, offer: OfferContact
    ) -> tuple[AgentId, str | None, Instant | None]:
        """Return the answer to a Dial that runs while AMI is away: CEL is written all the same."""
        for told in (await self.past(offer.created)).dialled_for(call.leg):
            agent_id = self._channel.agent_of(call, told.endpoint)
            if agent_id in offer.agent_ids and told.answered is not None and told.ended is None:
                self._channel.calls.bind(call, told.leg, agent_id)
                return agent_id, told.leg, told.answered
        return offer.agent_ids[0], None, None

    async def talked_meanwhile(self, call: Call) -> Talk | None:
        """Tell the talks of a call that the dialplan brings out of the last of them.

        The resync that would tell them is still due, and comes too late: who was transferred while
        no engine lived did not part from the one of whom the core knows. ``None``: none is new.
        """
        if self._away is None:
            return None
        before, asked = self._before(self._unheard), self._channel.now()
        past = await self.past(before)
        spell = Spell(since=self._away, heard=self._unheard, before=before, asked=asked)
        return CatchUp(self._channel, Live(()), past, spell, None, frozenset()).talked(call)

    async def talked_unseen(self, call: Call, agi: AgiSession) -> Instant | None:
        """Tell the answer to a Dial whose talk is over before we knew of it; return its end.

        The dialplan asks (``/after``) only if the Dial of a dead engine was answered.
        """
        view = self._channel.contact(call.contact_id)
        if view is None or view.offer_id is None:
            return None  # the answer is on record, AMI or the resync tells when it ended
        in_doubt(self._channel, call, view, view.offer_id)
        offer = call.dialling
        if offer is None:
            return None
        ended = await self._answered_by_cel(call, offer)
        if call.answered_by is None and call.dialling is offer:
            talked = await agi.get_variable("ANSWEREDTIME") or "0"
            at = Instant(self._channel.now() - int(talked if talked.isdecimal() else 0) * SECOND)
            self._channel.facts.answered(call, offer.agent_ids[0], None, at)
        return ended

    async def _answered_by_cel(self, call: Call, offer: OfferContact) -> Instant | None:
        """Tell the answer to our Dial if only CEL knows of it; return when that talk ended."""
        for told in (await self.past(offer.created)).dialled_for(call.leg):
            agent_id = self._channel.agent_of(call, told.endpoint)
            if agent_id not in offer.agent_ids or told.answered is None:
                continue
            if call.answered_by is None and call.dialling is offer:
                self._channel.facts.answered(call, agent_id, told.leg, told.answered)
            if told.ended is not None:
                call.causes.setdefault(told.leg, told.cause)
            return told.ended
        return None

    async def parted(self, call: Call, view: ContactView) -> Instant | None:
        """Return when the operator left his talk with a citizen whom only the dialplan tells of."""
        return parted(await self.past(view.since), self._channel, call, view)

    async def sweep(self) -> None:
        """Take back whoever stands in a native queue of ours while we are here."""
        try:
            self._take_back(await self._channel.ami.list_action("QueueStatus"))
        except PeerError as error:
            log.warning("sweep_failed", reason=str(error))

    async def look_at(self, call: Call) -> None:
        """Ask after one call whose socket ended without a Hangup."""
        try:
            rows = await self._channel.ami.list_action("CoreShowChannels")
        except PeerError:
            return  # the next resync tells
        if self._channel.calls.by_leg.get(call.leg) is not call:
            return
        if not any(row.get("Uniqueid") == call.leg for row in rows):
            await self._left(call, call.let_go)

    async def _left(self, call: Call, at: Instant | None) -> None:
        """He is gone, and his Hangup late or lost; the answer to a Dial may be so too."""
        if self._away is not None:
            return  # a resync is due, and knows whether Asterisk went with him
        offer = call.dialling
        if offer is not None and call.answered_by is None:
            await self._answered_by_cel(call, offer)
        if self._channel.calls.by_leg.get(call.leg) is call and not _is_held(call):
            self._channel.facts.citizen_gone(call, at, SEEN)

    async def patrol(self) -> None:
        """Let go of every leg that Asterisk does not have any more, its Hangup being lost.

        While somebody stands in a native queue, or is rung without a socket, everything is
        compared: what we hear of those calls comes by AMI alone. And while a resync is due.
        """
        self._wall.look()
        facts, calls = self._channel.facts, self._channel.calls
        due = self._away is not None
        if due or any(self._is_native(call) for call in calls.by_leg.values()):
            try:
                await self.run()
            except PeerError as error:
                log.warning("patrol_failed", reason=str(error))
            return
        # A socket tells of the citizen on it and, by Dial's return, of the operator he talks
        # with. Only the others are asked after: 500 rows every 4 s would hold up everybody.
        known = (
            [call for call in calls.by_leg.values() if not _is_held(call)],
            [
                leg
                for leg, call in calls.by_agent_leg.items()
                if not (_is_held(call) and leg in call.legs)
            ],
            [(agent, leg) for agent, legs in facts.foreign.items() for leg in legs],
        )
        if not any(known):
            return
        try:
            rows = await self._channel.ami.list_action("CoreShowChannels")
        except PeerError:
            return  # the link's own watchdog tells
        await self._let_go(known, {row.get("Uniqueid") for row in rows})

    async def _let_go(
        self,
        known: tuple[Sequence[Call], Sequence[str], Sequence[tuple[AgentId, str]]],
        there: set[str],
    ) -> None:
        """Forget what was ``known`` before Asterisk listed what is ``there``."""
        facts, calls = self._channel.facts, self._channel.calls
        citizens, of_agents, foreign = known
        for leg in of_agents:
            if leg not in there:
                calls.leg_ended(leg, 0)
        for agent_id, leg in foreign:
            if leg not in there:
                facts.not_foreign(agent_id, leg)
        alive = Instant(self._channel.now() - LOOKED_US)
        for call in citizens:
            known_yet = calls.by_leg.get(call.leg) is call
            if call.leg not in there and known_yet and not _is_held(call):
                await self._left(call, last_held(call, alive))

    def _is_native(self, call: Call) -> bool:
        if call.session is not None:
            return False
        view = self._channel.contact(call.contact_id)
        return view is not None and view.state in (ContactState.DETACHED, ContactState.OFFERED)

    def _devices(self, rows: Sequence[AmiEvent]) -> None:
        for row in rows:
            if row.name == "DeviceStateChange":
                self._channel.facts.device_state(row.get("Device"), row.get("State"))

    def _agent_legs(self, legs: Sequence[Leg], known: set[str]) -> None:
        """Take the operators' own legs from the list; ``known``: those of before it was asked."""
        facts = self._channel.facts
        newer = {agent: told - known for agent, told in facts.foreign.items()}
        foreign = {agent: told for agent, told in newer.items() if told}
        for leg in legs:
            agent_id = self._channel.roster.agent_of(leg.endpoint)
            ours = leg.uniqueid in self._channel.calls.by_agent_leg
            if agent_id is not None and not ours and not facts.has_ended(leg.uniqueid):
                foreign.setdefault(agent_id, set()).add(leg.uniqueid)
        facts.replace_foreign(foreign)

    # --- native queues -----------------------------------------------------------------------

    def _take_back(self, rows: Sequence[AmiEvent]) -> None:
        now = self._channel.now()
        waiting: list[tuple[Instant, str, AmiEvent]] = []
        for row in rows:
            if row.name != "QueueEntry" or not row.get("Queue").startswith(FALLBACK_PREFIX):
                continue
            leg = row.get("Uniqueid")
            call = self._channel.calls.by_leg.get(leg)
            view = self._channel.contact(call.contact_id) if call else None
            if view is not None and view.enqueued is not None:
                waiting.append((view.enqueued, leg, row))
            else:
                waited = row.get("Wait")
                since = Instant(now - int(waited if waited.isdecimal() else 0) * SECOND)
                self._channel.entry_desk.adopted[leg] = since
                waiting.append((since, leg, row))
        waiting.sort(key=lambda entry: entry[:2])
        for since, leg, row in waiting:
            self._coming[leg] = since
            self._channel.jobs.put(
                "QueueWithdrawCaller", Queue=row.get("Queue"), Caller=row.get("Channel")
            )
            # The native queue looks at that once a second (app_queue.c: RECHECK, retry). Any frame
            # wakes it; this one means nothing to a line that plays no file, nobody hears it.
            self._channel.jobs.put("ControlPlayback", Channel=row.get("Channel"), Control="stop")
        if waiting:
            asyncio.get_running_loop().call_later(TURN_S, self._all_came, [w[1] for w in waiting])

    async def in_turn(self, leg: str) -> None:
        """Let those who were asked back with ``leg`` and stood before it come first.

        Each channel leaves the native queue in its own time; without this the first to arrive
        would be offered first. Ends after ``TURN_S`` at the latest: a caller whom the native
        queue is just ringing may never come.
        """
        mine = self._coming.get(leg)
        while mine is not None and leg in self._coming:
            if not any((at, name) < (mine, leg) for name, at in self._coming.items()):
                break
            self._moved.clear()
            await self._moved.wait()
        self.came(leg)

    def came(self, leg: str) -> None:
        """Nobody need wait for ``leg`` any more: it is back, connected or gone."""
        if self._coming.pop(leg, None) is not None:
            self._moved.set()

    def _all_came(self, legs: Sequence[str]) -> None:
        for leg in legs:
            self.came(leg)


def _is_held(call: Call) -> bool:
    """Whether a socket of ours holds the citizen: it would tell of his end."""
    return call.session is not None and not call.session.closed.is_set()
