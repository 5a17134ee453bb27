"""One citizen's way through the menus, without I/O: digits in, what to play next out.

How a menu runs is told in `gkc_engine.config.menu_model`. The phone channel drives it: it carries
out ``step.action``, reports what came of it by `MenuSession.digit_or_timeout`, and stops at
`EnterQueue` or `HangUp`. Whatever is pressed, the way ends within `STEPS_MAX` steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from gkc_engine.acd.settings import ContactClass
from gkc_engine.config.menu_model import ChoiceModel, MenuModel
from gkc_engine.ids import Micros

STEPS_MAX: Final = 100
"""Prompts that one call may hear in menus; then the way of those who press nothing is taken."""

ALL_DIGITS: Final = "0123456789*#"
INVALID_CHOICE: Final = "invalid-choice"
"""What a wrong digit hears where the menu names no prompt of its own."""


@dataclass(frozen=True, slots=True)
class PlayAndCollect:
    """Play ``prompts`` one after another and wait for one digit; every digit cuts them.

    ``STREAM FILE`` for all but the last and ``GET DATA`` for that: an empty result of it that did
    not time out is the digit ``#``.
    """

    menu: str
    prompts: tuple[str, ...]
    timeout_ms: int
    """After the last prompt."""
    digits: str = ALL_DIGITS


@dataclass(frozen=True, slots=True)
class PlaySay:
    """Play a remark on the way to the next target; every digit cuts it."""

    prompt: str
    digits: str = ALL_DIGITS


@dataclass(frozen=True, slots=True)
class PlayArticle:
    """Play the answer to a question; only ``digits`` cut it."""

    prompt: str
    digits: str


@dataclass(frozen=True, slots=True)
class EnterQueue:
    """The end: the citizen is to wait for an operator. ``None`` = the queue's own value."""

    queue: str
    contact_class: ContactClass | None = None
    head_start_us: Micros | None = None
    slope_milli: int | None = None


@dataclass(frozen=True, slots=True)
class HangUp:
    """The end of the call."""

    reason: str
    """``menu`` (a choice said so) or ``menu_limit`` (too many steps, and no queue in sight)."""


Action: TypeAlias = PlayAndCollect | PlaySay | PlayArticle | EnterQueue | HangUp


@dataclass(frozen=True, slots=True)
class LanguageChosen:
    """From here on the citizen is spoken to in ``language``."""

    language: str


@dataclass(frozen=True, slots=True)
class ArticleHeard:
    """The article was heard to its end, or left by a choice: self-service."""

    article: str


Effect: TypeAlias = LanguageChosen | ArticleHeard


@dataclass(frozen=True, slots=True)
class Step:
    """Facts to be recorded at once, then one thing to do, in ``language``."""

    effects: tuple[Effect, ...]
    action: Action
    language: str


class MenuSession:
    """The menus of one call. Not to be used again after its end."""

    def __init__(self, menus: Mapping[str, MenuModel], entry: str, language: str) -> None:
        """Start at the menu ``entry``. ``KeyError`` for a menu that ``menus`` does not hold."""
        self._menus = menus
        self._menu = entry
        self._language = language
        self._round = 0
        self._steps = 0
        self._effects: list[Effect] = []
        self._waiting_for: PlayAndCollect | PlaySay | PlayArticle | None = None
        self._next: ChoiceModel | None = None
        """What follows the remark or article that is being played."""
        menus[entry]

    @property
    def language(self) -> str:
        """What the citizen is spoken to in."""
        return self._language

    @property
    def menu(self) -> str:
        """The menu that he is in."""
        return self._menu

    @property
    def ended(self) -> bool:
        """Whether the last step was `EnterQueue` or `HangUp`."""
        return self._steps > 0 and self._waiting_for is None

    def start(self) -> Step:
        """Return the first step."""
        assert self._steps == 0, "the session was started before"
        return self._step(self._play_menu())

    def digit_or_timeout(self, digit: str | None, *, prompt_finished: bool) -> Step:
        """Return the next step.

        Args:
            digit: The digit pressed, or ``None`` when none was in time.
            prompt_finished: Whether the prompt was played to its end. A prompt that has no file
                was not: an article that nobody heard is no self-service.
        """
        assert self._waiting_for is not None, "the session has not begun or is over"
        if digit is not None and (len(digit) != 1 or digit not in ALL_DIGITS):
            digit = None  # A-D of rfc4733, or a channel's whim: as if nothing was pressed.
        match self._waiting_for:
            case PlayAndCollect():
                return self._step(self._answer(digit))
            case PlaySay():
                return self._step(self._after_say(digit))
            case PlayArticle(prompt):
                return self._step(self._after_article(prompt, digit, prompt_finished))

    def _step(self, action: Action) -> Step:
        self._steps += 1
        if self._steps >= STEPS_MAX and not isinstance(action, EnterQueue | HangUp):
            action = self._way_out()
        self._waiting_for = None if isinstance(action, EnterQueue | HangUp) else action
        effects, self._effects = tuple(self._effects), []
        return Step(effects, action, self._language)

    def _answer(self, digit: str | None) -> Action:
        menu = self._menus[self._menu]
        choice = _choice(menu, digit)
        if choice is not None:
            return self._follow(choice)
        self._round += 1
        if self._round < menu.tries:
            return self._play_menu(wrong=digit is not None)
        failed = menu.on_invalid if digit is not None else None
        return self._follow(failed or menu.on_timeout)

    def _play_menu(self, *, wrong: bool = False) -> Action:
        menu = self._menus[self._menu]
        prompts = (menu.invalid or INVALID_CHOICE, menu.prompt) if wrong else (menu.prompt,)
        return PlayAndCollect(self._menu, prompts, max(1, menu.timeout // 1000))

    def _follow(self, choice: ChoiceModel) -> Action:
        """Take a choice: its language, its remark, then its target."""
        self._speak(choice)
        if choice.say is not None:
            self._next = choice
            return PlaySay(choice.say)
        return self._target(choice)

    def _speak(self, choice: ChoiceModel) -> None:
        if choice.language is not None and choice.language != self._language:
            self._language = choice.language
            self._effects.append(LanguageChosen(choice.language))

    def _target(self, choice: ChoiceModel) -> Action:
        if choice.queue is not None:
            return _queue(choice)
        if choice.article is not None:
            self._next = choice.then
            return PlayArticle(choice.article, self._digits_after(choice.then))
        if choice.menu is not None:
            self._menu, self._round = choice.menu, 0
            return self._play_menu()
        return HangUp("menu")

    def _after_say(self, digit: str | None) -> Action:
        assert self._next is not None
        action = self._target(self._next)
        if isinstance(action, PlayAndCollect) and _choice(self._menus[self._menu], digit):
            return self._answer(digit)  # Who knows the menu need not hear it.
        return action

    def _after_article(self, article: str, digit: str | None, finished: bool) -> Action:
        following, menu = self._next, self._menu_after(self._next)
        left_by_choice = menu is not None and _choice(self._menus[menu], digit) is not None
        if finished or left_by_choice:
            self._effects.append(ArticleHeard(article))
        if left_by_choice and (following is None or following.say is None):
            assert menu is not None
            if following is not None:
                self._speak(following)
            self._menu, self._round = menu, 0
            return self._answer(digit)
        if following is not None:
            return self._follow(following)
        self._round = 0
        return self._play_menu()

    def _menu_after(self, following: ChoiceModel | None) -> str | None:
        """Return the menu that follows an article: its own when nothing else is said."""
        return self._menu if following is None else following.menu

    def _digits_after(self, following: ChoiceModel | None) -> str:
        menu = self._menu_after(following)
        if menu is not None:
            return "".join(digit for digit in ALL_DIGITS if digit in self._menus[menu].choices)
        # An article may be skipped for an operator, but not for the end of the call.
        return ALL_DIGITS if following is not None and following.queue is not None else ""

    def _way_out(self) -> Action:
        """Return the first queue on the ways of those who press nothing, then on any way."""
        for choice in _ways(self._menus, self._menu):
            if choice.queue is not None:
                return _queue(choice)
        return HangUp("menu_limit")


def _choice(menu: MenuModel, digit: str | None) -> ChoiceModel | None:
    for key, choice in menu.choices.items():
        if key == digit:
            return choice
    return None


def _queue(choice: ChoiceModel) -> EnterQueue:
    assert choice.queue is not None
    return EnterQueue(choice.queue, choice.contact_class, choice.head_start, choice.slope)


def _ways(menus: Mapping[str, MenuModel], entry: str) -> Iterator[ChoiceModel]:
    """Yield every choice that can be reached, the nearest first, ``on_timeout`` before others."""
    line, seen = [entry], {entry}
    for name in line:  # The list grows while it is walked.
        menu = menus[name]
        first = [menu.on_timeout, menu.on_invalid or menu.on_timeout]
        for way in (*first, *menu.choices.values()):
            choice: ChoiceModel | None = way
            while choice is not None:
                yield choice
                if choice.menu is not None and choice.menu not in seen:
                    seen.add(choice.menu)
                    line.append(choice.menu)
                choice = choice.then
