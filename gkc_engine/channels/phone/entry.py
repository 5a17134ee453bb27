"""A call's first minute with us: who is it, what did he dial, what does he want."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import ContactState
from gkc_engine.channels.phone import lease
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.dialling import notice
from gkc_engine.channels.phone.host import Announcer
from gkc_engine.channels.phone.live import born
from gkc_engine.channels.phone.menu_run import MenuRunner, Wish
from gkc_engine.ids import SECOND, Instant, QueueId
from gkc_engine.ivr.fastagi import AgiSession

if TYPE_CHECKING:
    from gkc_engine.channels.phone.channel import PhoneChannel

log = structlog.get_logger(__name__)

PRIO_SPAN = 2_147_483_647
"""``QUEUE_PRIO`` is a positive 32-bit int, the highest first."""

LATE_US = 2 * SECOND
LATE_MAX_US = 1200 * SECOND

TRANSFER_CONTEXT = "gkc-transfer"

_PLAIN_TITLE = re.compile(r"[\w .:;!?/+№«»–—-]+")
"""A queue's title that ``MSet`` takes as it is; commas, quotes and brackets are syntax to it."""


def queue_prio(enqueued: Instant) -> int:
    """Return the native queue's priority that puts callers in the order of their enqueue times.

    Hundredths of a second, counted down: tenths left callers of one tenth in any order (seen). It
    starts anew every 248 days, when those who wait in a native queue across that instant may be
    served out of order.
    """
    return PRIO_SPAN - (enqueued // (SECOND // 100)) % PRIO_SPAN


def _began(leg: str, now: Instant, of_wall: Callable[[Instant], Instant]) -> Instant | None:
    """Return when a call began that comes to us late, out of the native queue or a stopped engine.

    A fresh one began when we saw it, to the microsecond; a Uniqueid knows whole seconds only.
    """
    stamp = born(leg)
    began = of_wall(stamp) if stamp is not None else now
    # Longer ago than a native queue keeps anybody: the clock was stepped since.
    return began if LATE_US < now - began < LATE_MAX_US else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where a dialled number leads: a menu or a queue."""

    menu: str | None = None
    queue: QueueId | None = None
    language: str | None = None
    """What is spoken at first, if not the center's first language."""
    answer_by: str = "menu"
    """``menu``: by the menu, else as soon as he rings or waits; ``operator``: when one answers
    or when he has to wait. Announcements that end a call before that are early media."""


async def _dialled(agi: AgiSession) -> str:
    """Return the number that the citizen dialled; the dialplan keeps it through its own turns."""
    extension = agi.request.extension
    if extension in ("T", "s", ""):
        return await agi.get_variable("GKC_ENTRY") or extension
    return extension


class EntryDesk:
    """Admits new calls, runs the menu, puts them into a queue; takes known ones back."""

    def __init__(self, menus: MenuRunner, announcer: Announcer, default_queue: QueueId) -> None:
        self._menus = menus
        self._announcer = announcer
        self._default_queue = default_queue
        self.adopted: dict[str, Instant] = {}
        """Enqueue time of callers who came to the native queue while we were away."""

    def announcer(self) -> Announcer:
        """Return who decides what waiting citizens hear."""
        return self._announcer

    async def admit(self, channel: PhoneChannel, agi: AgiSession, *, waited: bool = False) -> Call:
        """Register a new call: from here on it has a number and a record.

        ``waited``: he comes out of a native queue, where whoever is blocked was taken, too.
        """
        now = channel.now()
        contact_id, number = channel.desk.new_contact(now)
        dialled = await _dialled(agi)
        call = Call(
            contact_id=contact_id,
            leg=agi.uniqueid,
            channel=agi.channel,
            entry=dialled,
            language=channel.first_language(dialled),
        )
        citizen = channel.desk.citizen(agi.request.callerid_num, agi.request.callerid_name, now)
        call.blocked = not waited and channel.desk.blocked(citizen, now)
        channel.submit(
            ev.ContactStarted(
                contact_id=contact_id,
                medium=Medium.VOICE,
                number=number,
                entry=dialled,
                citizen=citizen,
                language=call.language,
                uniqueid=agi.uniqueid,
                at=_began(agi.uniqueid, now, channel.engine.of_wall),
            ),
            f"started:{agi.uniqueid}",
        )
        return call

    async def enter(
        self, channel: PhoneChannel, call: Call, agi: AgiSession, queue: QueueId | None
    ) -> bool:
        """Bring a new call to its queue, or to the door. False = a menu ended the call."""
        if self._refused(channel, call):
            return True
        if not call.entry:  # he was registered in a native queue
            call.entry = await _dialled(agi)
        entry = Entry(queue=queue) if queue else self._entry(channel, call)
        call.free_ring = entry.answer_by == "operator"
        wish: Wish | None
        if entry.menu is not None:
            if call.free_ring:
                await agi.exec("Progress")
            else:
                call.answered = True
                await agi.answer()
            wish = await self._menus.run(channel, call, agi, entry.menu)
        else:
            wish = Wish(queue=entry.queue or self._default_queue)
        if wish is None:
            call.ended_by, call.end_reason = ev.Party.SYSTEM, ev.MENU_ENDED
            await agi.set_variable("GKC_DONE", "1")
            await agi.hangup()
            return False
        await self._queue(channel, call, agi, wish)
        return True

    def _refused(self, channel: PhoneChannel, call: Call) -> bool:
        """Whether he is to be told that he is blocked; of one who was before, the core knows it.

        Who comes back out of a native queue is not asked anew: there he was taken, and it holds
        from his next call on.
        """
        view = channel.contact(call.contact_id)
        told = view is not None and view.state is ContactState.TREATED and view.queue is None
        if not (call.blocked or told):
            return False
        channel.submit(ev.ContactBlocked(contact_id=call.contact_id), None)
        return True

    def _entry(self, channel: PhoneChannel, call: Call) -> Entry:
        entry = channel.plan.entries.get(channel.entry_key(call.entry))
        if entry is None:
            # A number that the dialplan sends us and the config does not know: never refuse a
            # citizen for it, but say so.
            log.warning("number_unknown", entry=call.entry)
            return Entry(queue=self._default_queue)
        return entry

    def queue_behind(self, channel: PhoneChannel, number: str) -> QueueId | None:
        """Return the queue of a city number, as `queue_of`; ``None`` when it is none of ours."""
        known = channel.entry_key(number) in channel.plan.entries
        return self.queue_of(channel, number) if known else None

    def queue_of(self, channel: PhoneChannel, number: str) -> QueueId:
        """Return the queue that a number leads to when an operator transfers there.

        A number with a menu leads to the center's first queue: he has had his menu.
        """
        entry = channel.plan.entries.get(channel.entry_key(number))
        return (entry.queue if entry is not None else None) or self._default_queue

    async def _queue(self, channel: PhoneChannel, call: Call, agi: AgiSession, wish: Wish) -> None:
        enqueued = self.adopted.pop(call.leg, None)
        await self._notice(channel, call, agi, wish.queue)
        channel.submit(
            ev.QueueRequested(
                contact_id=call.contact_id,
                queue=wish.queue,
                contact_class=wish.contact_class,
                head_start_us=wish.head_start_us,
                slope_milli=wish.slope_milli,
                enqueued=enqueued,
            ),
            None,
        )
        since = enqueued if enqueued is not None else channel.now()
        title = channel.voice(wish.queue).title
        plain = _PLAIN_TITLE.fullmatch(title) is not None
        # While the commit of his arrival runs: an offer finds it done. All in one command.
        call.shown = wish.queue
        await agi.exec(
            "MSet",
            f"GKC_CONTACT={call.contact_id}",
            f"GKC_ENQ={since}",
            f"GKC_FALLBACK={channel.plan.fallbacks.get(wish.queue, 'gkc-default')}",
            f"QUEUE_PRIO={queue_prio(since)}",
            f"__TRANSFER_CONTEXT={TRANSFER_CONTEXT}",
            *((f"CALLERID(name)={title}",) if plain else ()),
            *lease.first(call),
        )
        if not plain:
            await agi.set_variable("CALLERID(name)", title)

    async def _notice(
        self, channel: PhoneChannel, call: Call, agi: AgiSession, queue: QueueId
    ) -> None:
        """Say that the talk will be recorded before he waits, so that no operator waits for it.

        Unanswered calls hear it as early media; who comes to a closed queue does not hear it.
        """
        voice = channel.voice(queue)
        if voice.record == "never" or voice.record_notice is None:
            return
        view = channel.engine.acd.queue_view(queue)  # looks at every operator: only if need be
        if view is None or not view.open:
            return
        if not call.answered:
            await agi.exec("Progress")
        await notice(channel, call, agi, voice)

    def returned(self, channel: PhoneChannel, call: Call) -> None:
        """Tell the core what the return of a known call to AGI means."""
        view = channel.contact(call.contact_id)
        if view is None:
            return
        channel.put_through.came_back(call)
        call.blocked = False  # said once, or a native queue had him
        call.answered = True  # by an operator, or by the dialplan before the native queue
        if call.dialling is not None or view.offer_id is not None:
            # The Dial of before has ended without us, or he would not be here.
            offer_id = view.offer_id
            dialled = call.dialling is None or call.leg_bound.is_set()
            channel.calls.end_dial(call)
            if offer_id is not None:
                channel.submit(
                    ev.OfferFailed(
                        offer_id=offer_id,
                        # The socket may have died before the operator's phone was asked.
                        failure=ev.OfferFailure.NO_ANSWER if dialled else ev.OfferFailure.RESCINDED,
                        reason="returned to AGI",
                    ),
                    f"failed:{offer_id}",
                )
        if view.state is ContactState.TALK and view.agent_id is not None:
            # Handed over while we were away, and nobody answered.
            channel.calls.end_dial(call)
            channel.submit(
                ev.TransferRequested(
                    contact_id=call.contact_id, from_agent=view.agent_id, to_queue=view.queue
                ),
                None,
            )
        channel.submit(ev.ContactAttached(contact_id=call.contact_id), None)
