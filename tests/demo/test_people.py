from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.demo.people import (
    CALL_MAX_S,
    Arrival,
    Citizens,
    Way,
    phone_decisions,
    ways_of,
)
from gkc_engine.demo.rare import BLOCKED_NUMBER, ONE_IN, additions
from gkc_engine.demo.setup import sound_lengths
from gkc_engine.ivr.menu import ArticleHeard, EnterQueue, MenuSession, PlayArticle
from gkc_engine.pbx.outside import PhoneAct, originate_citizen, set_phone

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(CONFIG)


def citizens(config: Config, seed: int = 1) -> Citizens:
    return Citizens(config, sound_lengths(CONFIG / "prompts"), random.Random(seed), "r")


def length(call: Arrival) -> float:
    presses = sum(press.after_s + 0.3 for press in call.call.presses)
    return presses + call.call.patience_s + call.call.talk_s + call.call.after_s


@pytest.mark.parametrize(("seconds", "rate"), [(60, 2), (10, 0.5), (7, 3.3), (60, 20)])
def test_exactly_so_many_call_within_the_time(config: Config, seconds: float, rate: float) -> None:
    drawn = citizens(config).fixed(seconds, rate)
    assert len(drawn) == round(seconds * rate)
    assert all(0 <= a.at_s <= seconds for a in drawn)
    assert [a.at_s for a in drawn] == sorted(a.at_s for a in drawn)


def test_the_same_seed_gives_the_same_citizens(config: Config) -> None:
    first, again = (citizens(config).fixed(60, 2) for _ in range(2))
    assert first == again
    assert first != citizens(config, seed=2).fixed(60, 2)


def test_no_call_outlasts_the_limit_and_all_ids_and_callers_differ(config: Config) -> None:
    drawn = citizens(config).fixed(600, 5)
    assert max(map(length, drawn)) <= CALL_MAX_S
    assert len({a.call.call_id for a in drawn}) == 3000
    others = [a.call.caller for a in drawn if a.call.caller != BLOCKED_NUMBER]
    assert len(set(others)) == len(others) == 3000 - 3000 // ONE_IN
    for arrival in drawn:
        originate_citizen(arrival.call)  # Raises for what a dialplan could not carry.


def test_the_endless_stream_keeps_its_rate(config: Config) -> None:
    last = list(islice(citizens(config).endless(2.0), 2000))[-1]
    assert 900 < last.at_s < 1100


@pytest.mark.parametrize("seed", range(1, 21))
def test_a_minute_has_something_of_everything(config: Config, seed: int) -> None:
    """Whatever the seed: listeners, leavers, older numbers, and many who want a person."""
    drawn = citizens(config, seed).fixed(60, 2)
    ways = {(w.number, w.digits): w for w in ways_of(config, sound_lengths(CONFIG / "prompts"))}
    found = [ways.get((a.call.number, "".join(p.digits for p in a.call.presses))) for a in drawn]
    kinds = Counter(_kind(way) for way in found)
    assert kinds["article"] >= 5
    assert kinds["left"] >= 1
    assert kinds["queue"] >= 70
    added = additions(config)["numbers"]
    assert len({a.call.number for a in drawn} - added.keys()) == 3


def _kind(way: Way | None) -> str:
    if way is None:
        return "left"
    return "article" if way.article_s else "queue"


def test_every_way_leads_where_it_says(config: Config) -> None:
    """By the engine's own menu: press the digits, arrive at the queue or in the article."""
    ways = ways_of(config, sound_lengths(CONFIG / "prompts"))
    assert {w.queue for w in ways if w.queue} == set(config.queues)
    for way in ways:
        model = config.numbers[way.number]
        if model.ivr is None:
            assert (way.queue, way.digits) == (model.queue, "")
            continue
        session = MenuSession(config.ivr, model.ivr, "ru")
        step = session.start()
        for digit in way.digits:
            step = session.digit_or_timeout(digit, prompt_finished=False)
        while not isinstance(step.action, EnterQueue | PlayArticle):
            step = session.digit_or_timeout(None, prompt_finished=True)
        if isinstance(step.action, EnterQueue):
            assert step.action.queue == way.queue
        else:
            assert way.queue is None
            article = step.action.prompt
            assert (
                ArticleHeard(article)
                in session.digit_or_timeout(None, prompt_finished=True).effects
            )


def test_an_article_is_heard_to_its_end(config: Config) -> None:
    by_digits = {w.digits: w.article_s for w in ways_of(config, sound_lengths(CONFIG / "prompts"))}
    assert by_digits["111"] == pytest.approx(
        (CONFIG / "prompts/ru/passport_docs.alaw").stat().st_size / 8000
    )
    assert by_digits["21"] == pytest.approx(
        (CONFIG / "prompts/en/passport_docs.alaw").stat().st_size / 8000
    )


def test_phones_do_everything_and_fit_into_an_ami_line() -> None:
    rng = random.Random(1)
    decisions = phone_decisions(rng, 2000)
    acts = Counter(decision.act for decision in decisions)
    assert set(acts) == {PhoneAct.ANSWER, PhoneAct.MISS, PhoneAct.DECLINE, PhoneAct.BUSY}
    assert 0.8 < acts[PhoneAct.ANSWER] / 2000 < 0.9
    assert any(decision.talk_s for decision in decisions)
    for at in range(0, 2000, 25):
        set_phone("101", decisions[at : at + 25])  # Raises when it is too long.
