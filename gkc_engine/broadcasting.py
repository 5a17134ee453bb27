"""What a supervisor may have said to those who wait: the prompts in force, and new texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gkc_engine.errors import GkcError
from gkc_engine.ivr.prompts import PromptStore, TtsError


class SpeechError(GkcError):
    """The text cannot be spoken: why, and what to do instead."""


class BroadcastVoice:
    """Implements ``control.reactions.Voice`` over the prompts of the config in force."""

    def __init__(self, prompts: Callable[[], PromptStore], language: Callable[[], str]) -> None:
        self._prompts = prompts
        self._language = language

    def prompts(self) -> Sequence[str]:
        """Names of the prompts that can be played."""
        return sorted(self._prompts().names)

    async def speak(self, text: str) -> None:
        """Render ``text`` in the center's first language; raises SpeechError."""
        try:
            await self._prompts().speak(text, self._language())
        except TtsError as error:
            raise SpeechError(
                f"the text cannot be spoken: {error}; set tts.command in the config, or record it "
                "as prompts/ru/NAME.alaw, run `gkc reload`, and announce NAME"
            ) from error
