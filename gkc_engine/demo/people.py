"""The people of the demo: what each citizen will do and how each operator's phone behaves. Pure.

Everything is drawn beforehand from one seeded generator, so that a run repeats itself as far as
a real Asterisk allows. Every way through the menus is taken from the configuration itself.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from gkc_engine.config.menu_model import ChoiceModel
from gkc_engine.config.models import Config
from gkc_engine.demo.rare import Rare, Ways, other_queue, place_of, places, planned
from gkc_engine.errors import ConfigError
from gkc_engine.numbers import normalise
from gkc_engine.pbx.outside import CitizenCall, PhoneAct, PhoneDecision, Press

PATIENCE_MAX_S: Final = 28.0
TALK_MAX_S: Final = 12.0
CALL_MAX_S: Final = 55.0
"""No simulated call lasts longer: presses + patience + talk, with the rings in the patience."""

DIGITS_MAX: Final = 5
"""Nobody presses more than so many digits."""

CITY_NUMBER_SHARE: Final = 0.8
"""Of the calls; the rest dial the older numbers."""

SELF_SERVICE_SHARE: Final = 0.16
LEAVE_MENU_SHARE: Final = 0.06
IMPATIENT_SHARE: Final = 0.08
OPERATOR_ENDS_SHARE: Final = 0.3

PHONE_ACTS: Final = {
    PhoneAct.ANSWER: 0.85,
    PhoneAct.MISS: 0.08,
    PhoneAct.DECLINE: 0.05,
    PhoneAct.BUSY: 0.02,
}
"""How often a phone does what."""

SoundLength = Callable[[str, str], float]
"""Seconds that a prompt plays, by name and language; 0 for one without a sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way through the menus of a number: the digits, and what is at its end."""

    number: str
    digits: str
    queue: str | None = None
    article_s: float = 0
    """How long the article plays, with what is said on the way to it; 0 = the way has none."""
    early_answer: bool = True
    """Whether the machine answers; else it rings until an operator does."""
    weight: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A citizen who dials ``at_s`` seconds after the start."""

    at_s: float
    call: CitizenCall


def ways_of(config: Config, sound_s: SoundLength) -> list[Way]:
    """Return every way from every number to a queue or an article.

    A way to a queue weighs as much as the operators that may serve it, so that the demo's load is
    spread as its staff is.

    Raises:
        ConfigError: no number leads anywhere.
    """
    found: list[Way] = []
    for text, number in config.numbers.items():
        dialled = normalise(text).e164
        if dialled is None:
            raise ConfigError(f"numbers: found {text!r}, expected a telephone number")
        if number.queue is not None:
            early = number.answer == "menu"
            weight = _staff(config, number.queue)
            found.append(
                Way(
                    number=dialled,
                    digits="",
                    queue=number.queue,
                    early_answer=early,
                    weight=weight,
                )
            )
        elif number.ivr is not None:
            found += _menu_ways(config, dialled, number.ivr, sound_s)
    if not found:
        raise ConfigError("numbers: found none that leads to a queue or an article")
    return found


def _menu_ways(config: Config, number: str, entry: str, sound_s: SoundLength) -> Iterator[Way]:
    line = [(entry, "", config.center.languages[0], frozenset({entry}))]
    for menu, digits, language, seen in line:  # The list grows while it is walked.
        for digit, choice in config.ivr[menu].choices.items():
            spoken = choice.language or language
            way = digits + digit
            if choice.menu is not None:
                if choice.menu not in seen and len(way) < DIGITS_MAX:
                    line.append((choice.menu, way, spoken, seen | {choice.menu}))
            elif choice.queue is not None:
                weight = _staff(config, choice.queue)
                yield Way(number=number, digits=way, queue=choice.queue, weight=weight)
            elif choice.article is not None:
                yield Way(number=number, digits=way, article_s=_article_s(choice, spoken, sound_s))


def _article_s(choice: ChoiceModel, language: str, sound_s: SoundLength) -> float:
    assert choice.article is not None
    said = 0.0 if choice.say is None else sound_s(choice.say, language)
    return max(0.5, said + sound_s(choice.article, language))


def _staff(config: Config, queue: str) -> float:
    require = config.queues[queue].require
    able = sum(
        all(operator.skills.get(skill, 0) >= level for skill, level in require.items())
        for operator in config.operators.values()
    )
    # The root: one who may answer everything does not do so all day.
    return math.sqrt(max(1, able))


def _rare_ways(config: Config, ways: list[Way]) -> Ways:
    """Return the ways that planned citizens take: the shortest of each kind."""
    queues = [way for way in ways if way.queue is not None]
    anybody = min(queues, key=lambda way: (-way.weight, len(way.digits)), default=ways[0])
    articles = [way for way in ways if way.article_s]
    article = min(articles, key=lambda way: (len(way.digits), way.article_s), default=None)
    return Ways(
        anybody=(anybody.number, anybody.digits),
        article=None if article is None else (article.number, article.digits, article.article_s),
        menu=next((way.number for way in ways if way.digits), None),
        other_queue=other_queue(config, anybody.queue or ""),
    )


class Citizens:
    """Draws one citizen after another."""

    def __init__(
        self,
        config: Config,
        sound_s: SoundLength,
        rng: random.Random,
        run: str,
        *,
        rare: bool = True,
        numbers: str = "+7900",
        line: str = "city",
        after_s: float = 1.0,
    ) -> None:
        """Draw from ``rng``, on the ways that ``config`` has.

        ``run`` begins every call's id, so that the calls of two runs differ. ``rare``: whether
        some meet what `demo.rare` plans; the center's config must have been widened for it.
        ``numbers``: what theirs begin with. ``line``: which center they call.
        ``after_s``: how long they stay when the operator is suddenly gone.
        """
        self._numbers, self._line, self._after_s = numbers, line, after_s
        self._rng = rng
        self._run = run
        self._count = itertools.count(1)
        ways = ways_of(config, sound_s)
        city = next((way.number for way in ways if way.digits), ways[0].number)
        self._city = [way for way in ways if way.number == city]
        self._older = [way for way in ways if way.number != city]
        self._first_caller = rng.randrange(10_000_000)
        self._rare = _rare_ways(config, ways) if rare else None

    def fixed(self, seconds: float, rate: float) -> list[Arrival]:
        """Return exactly ``seconds * rate`` citizens, at the instants of a Poisson process."""
        at = sorted(self._rng.uniform(0, seconds) for _ in range(round(seconds * rate)))
        kinds = places(len(at))
        return [self._arrival(at_s, kinds.get(n)) for n, at_s in enumerate(at)]

    def endless(self, rate: float) -> Iterator[Arrival]:
        """Yield citizens for ever, ``rate`` a second on average."""
        at_s = 0.0
        for n in itertools.count():
            at_s += self._rng.expovariate(rate)
            yield self._arrival(at_s, place_of(n))

    def _arrival(self, at_s: float, kind: Rare | None) -> Arrival:
        call = self._draw()
        if kind is not None and self._rare is not None:
            call = planned(kind, call, self._rare, self._rng)
        return Arrival(at_s=at_s, call=call)

    def _draw(self) -> CitizenCall:
        n = next(self._count)
        rng = self._rng
        older = self._older and rng.random() >= CITY_NUMBER_SHARE
        way = self._choose(self._older if older else self._city)
        presses = self._presses(way)
        if way.digits and rng.random() < LEAVE_MENU_SHARE:
            presses = presses[: rng.randrange(len(presses))]
            patience = rng.uniform(1.0, 4.0)
        else:
            patience = self._patience(way)
        return CitizenCall(
            call_id=f"{self._run}-{n}",
            number=way.number,
            caller=f"{self._numbers}{(self._first_caller + n) % 10_000_000:07d}",
            presses=presses,
            patience_s=patience,
            talk_s=rng.triangular(3.0, TALK_MAX_S, 6.0),
            after_s=self._after_s,
            ring_s=20.0 if way.early_answer else max(2.0, patience),
            line=self._line,
        )

    def _choose(self, ways: list[Way]) -> Way:
        articles = [way for way in ways if way.article_s]
        queues = [way for way in ways if not way.article_s]
        listens = self._rng.random() < SELF_SERVICE_SHARE
        among = articles if articles and (listens or not queues) else queues
        return self._rng.choices(among, [way.weight for way in among])[0]

    def _presses(self, way: Way) -> tuple[Press, ...]:
        # The first menu greets; who calls often presses at once, others listen a little.
        pauses = itertools.chain([self._rng.uniform(1.2, 4.0)], itertools.repeat(None))
        return tuple(
            Press(after_s=pause or self._rng.uniform(1.0, 2.5), digits=digit)
            for digit, pause in zip(way.digits, pauses, strict=False)
        )

    def _patience(self, way: Way) -> float:
        rng = self._rng
        if way.article_s:
            return way.article_s + rng.uniform(1.5, 4.0)
        if rng.random() < IMPATIENT_SHARE:
            return rng.uniform(0.5, 3.0)
        return min(PATIENCE_MAX_S, 10.0 + rng.expovariate(1 / 15))


def phone_decisions(rng: random.Random, count: int) -> list[PhoneDecision]:
    """Return what one phone does with its next calls."""
    acts = rng.choices(list(PHONE_ACTS), list(PHONE_ACTS.values()), k=count)
    return [_decision(rng, act) for act in acts]


def _decision(rng: random.Random, act: PhoneAct) -> PhoneDecision:
    ends = act is PhoneAct.ANSWER and rng.random() < OPERATOR_ENDS_SHARE
    return PhoneDecision(
        act=act,
        ring_s=rng.triangular(0.5, 4.0, 1.2),
        talk_s=rng.uniform(2.0, TALK_MAX_S) if ends else 0,
    )
