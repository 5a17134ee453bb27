"""What the donor is told of a contact that we send on, followed as it happens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.overflow_events import STAGES_MAX, ContactBrief, Stage
from gkc_engine.ids import ContactId

TOLD: Final = (ev.ContactStarted, ev.LanguageChosen, ev.MenuAnswered, cmd.SegmentClosed)
"""Of these a brief is made."""

WORD_MAX: Final = 64


class _Known(Struct, kw_only=True):
    number: str
    language: str
    menu: list[tuple[str, str]]
    past: list[Stage]


class Briefs:
    """Of every contact in progress that began here; a few hundred bytes each."""

    def __init__(self) -> None:
        self._known: dict[ContactId, _Known] = {}

    def of(self, contact_id: ContactId) -> ContactBrief | None:
        """Return what is to be told of a contact; ``None``: it is none of ours."""
        known = self._known.get(contact_id)
        if known is None:
            return None
        return ContactBrief(
            number=known.number,
            language=known.language,
            menu=tuple(known.menu),
            past=tuple(known.past),
        )

    def follow(self, messages: Iterable[ev.Event | cmd.Command]) -> None:
        """Take note of events and commands, in their order; others than ``TOLD`` pass."""
        for message in messages:
            match message:
                case ev.ContactStarted():
                    self._known[message.contact_id] = _Known(
                        number=message.number[:WORD_MAX],
                        language=message.language[:16],
                        menu=[],
                        past=[],
                    )
                case cmd.ContactEnded():
                    self._known.pop(message.contact_id, None)
                case ev.LanguageChosen() | ev.MenuAnswered() | cmd.SegmentClosed():
                    known = self._known.get(message.contact_id)
                    if known is not None:
                        _note(known, message)
                case _:
                    pass


def _note(known: _Known, message: ev.LanguageChosen | ev.MenuAnswered | cmd.SegmentClosed) -> None:
    match message:
        case ev.LanguageChosen():
            known.language = message.language[:16]
        case ev.MenuAnswered():
            known.menu.append((message.menu[:WORD_MAX], message.digit[:WORD_MAX]))
            del known.menu[:-STAGES_MAX]
        case cmd.SegmentClosed():
            known.past.append(
                Stage(
                    kind=message.kind.value,
                    took_us=max(0, message.ended - message.started),
                    queue=None if message.queue is None else message.queue[:WORD_MAX],
                    agent_id=None if message.agent_id is None else message.agent_id[:WORD_MAX],
                )
            )
            del known.past[:-STAGES_MAX]
