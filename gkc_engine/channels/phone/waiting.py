"""What a waiting citizen is told, and when: place, expected wait, the queue's own prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import ContactEnded
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.state import Broadcast
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.host import Sound
from gkc_engine.config.models import Config, QueueModel
from gkc_engine.engine import Engine, EngineBusyError, Step
from gkc_engine.ids import SECOND, ContactId, Instant, Micros, QueueId
from gkc_engine.ivr.announce import (
    PLACE_CHANGED,
    AnnounceSettings,
    Told,
    WaitRange,
    announcement,
    next_check,
    wait_range,
)

log = structlog.get_logger(__name__)

ASK_AGAIN_US = SECOND
"""A better place may come at any time; looked at once a second when an announcement is due."""

MINUTE_US = 60 * SECOND

TOLD_MAX = 20_000
"""Waiting citizens whose announcements are remembered."""


class Announcements:
    """Implements ``host.Announcer`` over the core's views."""

    def __init__(
        self,
        config: Callable[[], Config],
        engine: Engine,
        sounds: Callable[[Sequence[str], str], Sequence[Sound]],
        expected: ExpectedWait | None = None,
        *,
        spoken: Callable[[str, str], Sound | None] = lambda _text, _language: None,
    ) -> None:
        """``expected``: shared with those who show it; it learns here (``observe``).

        ``spoken``: the sound of a broadcast's text in a language.
        """
        self._config = config
        self._engine = engine
        self._sounds = sounds
        self._spoken = spoken
        self.on_broadcast: Callable[[QueueId], None] = lambda _queue: None
        """Told that those who wait in the queue have something to hear at once."""
        self._silent: set[int] = set()
        """Broadcasts that no sound is found for; the log has said so."""
        self._told: dict[ContactId, tuple[QueueId, Told]] = {}
        """In which queue it was told: another queue is another line."""
        self._asked: dict[ContactId, Instant] = {}
        self.expected = ExpectedWait() if expected is None else expected

    def replace(
        self,
        sounds: Callable[[Sequence[str], str], Sequence[Sound]],
        spoken: Callable[[str, str], Sound | None],
    ) -> None:
        """Take the prompts of a reloaded config."""
        self._sounds, self._spoken = sounds, spoken
        self._silent.clear()

    def observe(self, steps: Sequence[Step]) -> None:
        """Learn from what was committed."""
        for step in steps:
            self.expected.learn(step.commands)
            if isinstance(step.event, ev.QueueAnnounced):
                self.on_broadcast(step.event.queue)
            for command in step.commands:
                # Not only at the Hangup: a session that is not over yet may ask once more.
                if isinstance(command, ContactEnded):
                    self.forget(command.contact_id)

    def next_due(self, call: Call, now: Instant) -> Instant | None:
        """Return when :meth:`prompts` may next have something to say."""
        queue = self._queue(call)
        if queue is None:
            return None
        due = next_check(self._told_to(call, now), AnnounceSettings.of(queue))
        for at, broadcast in self._engine.acd.broadcast_due(call.contact_id, now):
            if broadcast.broadcast_id not in self._silent:
                due = at if due is None else min(due, at)
        if due is None:
            return None
        asked = self._asked.get(call.contact_id)
        return due if asked is None else max(due, Instant(asked + ASK_AGAIN_US))

    def prompts(self, call: Call, now: Instant) -> Sequence[Sound]:
        """Return what to say now, and take it as said; of broadcasts the session says so."""
        self._asked[call.contact_id] = now
        return [*self._regular(call, now), *self._broadcasts(call, now)]

    def _broadcasts(self, call: Call, now: Instant) -> Sequence[Sound]:
        """Return what a supervisor has said to those who wait here, the earliest first."""
        said: list[Sound] = []
        for at, broadcast in self._engine.acd.broadcast_due(call.contact_id, now):
            if at > now or broadcast.broadcast_id in self._silent:
                continue
            sound = self._sound_of(broadcast, call.language)
            if sound is None:
                self._silent.add(broadcast.broadcast_id)
                log.error("broadcast_has_no_sound", broadcast=broadcast.broadcast_id)
            else:
                said.append(replace(sound, broadcast_id=broadcast.broadcast_id))
        return said

    def _sound_of(self, broadcast: Broadcast, language: str) -> Sound | None:
        if broadcast.text:
            return self._spoken(broadcast.text, self._config().center.languages[0])
        sounds = self._sounds([broadcast.say], language)
        return sounds[0] if sounds else None

    def _regular(self, call: Call, now: Instant) -> Sequence[Sound]:
        """Return place, expected wait or the queue's own prompt, if one is due."""
        queue = self._queue(call)
        view = self._engine.acd.contact_view(call.contact_id)
        if queue is None or view is None or view.queue is None:
            return ()
        place = view.place  # looks at the whole queue
        if not place:
            return ()
        told = self._told_to(call, now)
        # Only one of a higher class, or with a head start, can come in before him; a longer
        # estimate alone has no such cause and is then not told.
        overtaken = told.position is not None and place > told.position
        expected = self.expected.expect(self._engine.acd, call.contact_id, now)
        said = announcement(
            now,
            told,
            place,
            wait_range(expected),
            AnnounceSettings.of(queue),
            PLACE_CHANGED if overtaken else None,
        )
        if said is None:
            return ()
        self._told[call.contact_id] = (view.queue, said.told)
        if said.says_wait and said.told.wait is not None and expected is not None:
            self._record(call, view.queue, expected, said.told.wait)
        return self._sounds(said.prompts, call.language)

    def _record(self, call: Call, queue: QueueId, expected: Micros, wait: WaitRange) -> None:
        """Put on record what he is told, to be compared with what comes true."""
        event = ev.WaitTold(
            contact_id=call.contact_id,
            queue=queue,
            expected_us=expected,
            lo_us=Micros(wait.lo_min * MINUTE_US),
            hi_us=None if wait.hi_min is None else Micros(wait.hi_min * MINUTE_US),
        )
        try:
            self._engine.submit(event, source="agi")
        except EngineBusyError:
            log.warning("wait_told_not_recorded", contact_id=call.contact_id)

    def forget(self, contact_id: ContactId) -> None:
        """The citizen has left or is served."""
        self._told.pop(contact_id, None)
        self._asked.pop(contact_id, None)

    def _told_to(self, call: Call, now: Instant) -> Told:
        view = self._engine.acd.contact_view(call.contact_id)
        assert view is not None, call.contact_id
        assert view.queue is not None, call.contact_id
        queue, told = self._told.get(call.contact_id, (None, None))
        if told is None or queue != view.queue:
            if told is None and len(self._told) >= TOLD_MAX:
                self._told.pop(next(iter(self._told)))
            told = Told(since=now)
            self._told[call.contact_id] = (view.queue, told)
        return told

    def _queue(self, call: Call) -> QueueModel | None:
        view = self._engine.acd.contact_view(call.contact_id)
        if view is None or view.queue is None:
            return None
        return self._config().queues.get(view.queue)
