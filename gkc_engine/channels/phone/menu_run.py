"""Runs one citizen's menus over his AGI socket: what ``ivr.menu`` says, done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import ContactClass
from gkc_engine.channels.phone.calls import Call
from gkc_engine.channels.phone.host import Host, Sound
from gkc_engine.channels.phone.lease import under_lease
from gkc_engine.config.menu_model import MenuModel
from gkc_engine.ids import Micros, QueueId
from gkc_engine.ivr import menu as m
from gkc_engine.ivr.fastagi import AgiClosed, AgiSession

HANGUP_S = 0.25
"""Within this, ``HANGUP`` follows a prompt that failed because the citizen hung up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the menu found out: the queue, and the caller's own precedence if any."""

    queue: QueueId
    contact_class: ContactClass | None = None
    head_start_us: Micros | None = None
    slope_milli: int | None = None


class MenuRunner:
    """Drives ``MenuSession``; one for all calls."""

    def __init__(self, menus: Callable[[], Mapping[str, MenuModel]]) -> None:
        self._menus = menus

    async def run(self, host: Host, call: Call, agi: AgiSession, entry: str) -> Wish | None:
        """Return the citizen's wish; ``None`` when a menu said to end the call.

        Raises:
            AgiClosed: he hung up, or the socket is gone.
        """
        session = m.MenuSession(self._menus(), entry, call.language)
        step = session.start()
        while True:
            self._effects(host, call, step)
            match step.action:
                case m.EnterQueue() as wish:
                    return Wish(
                        queue=QueueId(wish.queue),
                        contact_class=wish.contact_class,
                        head_start_us=wish.head_start_us,
                        slope_milli=wish.slope_milli,
                    )
                case m.HangUp():
                    return None
                case m.PlayAndCollect() as menu:
                    digit, finished = await _collect(host, call, agi, menu)
                case m.PlaySay(prompt, digits) | m.PlayArticle(prompt, digits):
                    sound = host.sound(prompt, call.language)
                    digit, finished = await _play(host, call, agi, sound, digits)
                case _:
                    assert_never(step.action)
            if agi.hungup.is_set():
                raise AgiClosed("the citizen left in the menu")
            if digit is not None:
                host.submit(
                    ev.MenuAnswered(contact_id=call.contact_id, menu=session.menu, digit=digit),
                    None,
                )
            step = session.digit_or_timeout(digit, prompt_finished=finished)

    @staticmethod
    def _effects(host: Host, call: Call, step: m.Step) -> None:
        for effect in step.effects:
            match effect:
                case m.LanguageChosen(language):
                    call.language = language
                    host.submit(
                        ev.LanguageChosen(contact_id=call.contact_id, language=language), None
                    )
                case m.ArticleHeard(article):
                    host.submit(ev.ArticleHeard(contact_id=call.contact_id, article=article), None)
                case _:
                    assert_never(effect)


async def _play(
    host: Host, call: Call, agi: AgiSession, sound: Sound | None, digits: str
) -> tuple[str | None, bool]:
    """Play one prompt; return the digit that cut it, and whether it came to its end."""
    if sound is None:
        return None, False
    path = sound.path
    result = await under_lease(
        host, call, agi, lambda: agi.stream_file(path, digits), sound.seconds
    )
    await _told(agi, failed=result.failed)
    return result.digit, result.digit is None and not result.failed and not result.cut


async def _collect(
    host: Host, call: Call, agi: AgiSession, menu: m.PlayAndCollect
) -> tuple[str | None, bool]:
    """Play a menu's prompts and wait for one digit."""
    sounds = [s for s in (host.sound(p, call.language) for p in menu.prompts) if s is not None]
    for sound in sounds[:-1]:
        digit, _ = await _play(host, call, agi, sound, menu.digits)
        if digit is not None or agi.hungup.is_set():
            return digit, False
    last = sounds[-1] if sounds else Sound("silence/1", 1.0)
    seconds = last.seconds + menu.timeout_ms / 1000
    data = await under_lease(
        host, call, agi, lambda: agi.get_data(last.path, menu.timeout_ms, 1), seconds
    )
    await _told(agi, failed=data.failed)
    if data.digits:
        return data.digits, False
    # An empty answer that is no timeout is the closing '#'.
    return (None, True) if data.timed_out or data.failed or data.cut else ("#", False)


async def _told(agi: AgiSession, *, failed: bool) -> None:
    """-1 is a file that cannot be played, or a citizen who left: that is said in the next line."""
    if failed:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANGUP_S):
                await agi.hungup.wait()
