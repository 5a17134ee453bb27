from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from gkc_engine.config.loader import check, load_config
from gkc_engine.config.models import Config
from gkc_engine.demo.people import Citizens
from gkc_engine.demo.rare import (
    BLOCKED_NUMBER,
    CALLS_OUT,
    DECISIONS,
    LEAST,
    ONE_IN,
    Rare,
    additions,
    places,
    widen,
)
from gkc_engine.demo.setup import quicker, sound_lengths
from gkc_engine.demo.tree import PORTS_FILE, Document, copy_tree
from gkc_engine.pbx.outside import CitizenCall, PhoneAct, originate_citizen, set_phone_default

CONFIG = Path(__file__).parents[2] / "config"
TINY = Path(__file__).parents[1] / "config" / "cities" / "tiny"


def widened(source: Path, folder: Path) -> Config:
    """Return the demo's own copy of a configuration."""
    given = load_config(source)

    def ours(name: str, document: Document) -> None:
        document.pop("pbx", None)
        if name == PORTS_FILE:
            document["pbx"] = {"ami": {"secret": "env:X"}}
        quicker(document)
        widen(given, document)

    copy = copy_tree(source, folder / "copy", ours)
    assert check(copy) == []
    return load_config(copy)


@pytest.mark.parametrize("count", [LEAST, 100, 2 * ONE_IN - 1, 2250])
def test_each_kind_once_in_a_round(count: int) -> None:
    found = places(count)
    rounds = max(1, count // ONE_IN)
    assert Counter(found.values()) == dict.fromkeys(Rare, rounds)
    assert 0 <= min(found) <= max(found) < count
    per_round = count / rounds
    for n in range(rounds):
        mine = [kind for at, kind in found.items() if n <= at / per_round < n + 1]
        assert sorted(mine) == sorted(Rare), "a round has all of it"


def test_a_short_run_has_nothing_rare() -> None:
    assert places(LEAST - 1) == {}


def test_a_minute_is_what_it_was_but_for_a_few() -> None:
    """Fifteen in two hundred are not served; the demo shows a center that answers."""
    unserved = set(Rare) - {
        *(Rare.BLIND, Rare.BLIND_QUEUE, Rare.BLIND_OUTSIDE, Rare.ASKED, Rare.ATTENDED),
        *(Rare.CALLED, Rare.LISTENS, Rare.TOLD),
    }
    assert sum(kind in unserved for kind in places(120).values()) <= 0.075 * 120


@pytest.mark.parametrize("source", [CONFIG, TINY])
def test_what_is_added_disturbs_nobody(tmp_path: Path, source: Path) -> None:
    """Who was to be rung for whom is as before: the new ones serve no queue that was there."""
    before, config = load_config(source), widened(source, tmp_path)
    added = additions(before)
    for name, queue in config.queues.items():
        able = {
            agent
            for agent, operator in config.operators.items()
            for step in (queue.require, *(relax.require for relax in queue.relax))
            if all(operator.skills.get(s, 0) >= level for s, level in step.items())
        }
        new = able & added["operators"].keys()
        if name in before.queues:
            was = before.queues[name]
            assert new == set(), name
            assert able == {
                agent
                for agent, operator in before.operators.items()
                for step in (was.require, *(relax.require for relax in was.relax))
                if all(operator.skills.get(s, 0) >= level for s, level in step.items())
            }, name
            assert queue.transfer_codes
        else:
            assert able == new == {"demo_lead", "demo_deputy"}, name


def drawn(seed: int = 1) -> list[CitizenCall]:
    citizens = Citizens(
        load_config(CONFIG), sound_lengths(CONFIG / "prompts"), random.Random(seed), "r"
    )
    return [arrival.call for arrival in citizens.fixed(15, 4)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sixty_citizens_meet_all_of_it(seed: int) -> None:
    calls = drawn(seed)
    acts = Counter(call.errand.act for call in calls if call.errand is not None)
    assert acts == {
        PhoneAct.REFER: 3,
        PhoneAct.ASK: 1,
        PhoneAct.ASK_BACK: 1,
        PhoneAct.CALL_OUT: 1,
    }
    added = additions(load_config(CONFIG))["numbers"]
    met = Counter(added[call.number].get("queue") for call in calls if call.number in added)
    # The announcement leads to no queue; three meet the shift leader's line, each another way.
    assert met == {
        None: 1,
        "demo_reception": 3,
        "demo_direct": 1,
        "demo_lawyer": 1,
        "demo_notary": 1,
        "demo_census": 1,
    }
    patience = [call.patience_s for call in calls if added.get(call.number, {}).get("queue")]
    assert min(patience) < 5 < 8 < max(patience)
    assert sum(call.caller == BLOCKED_NUMBER for call in calls) == 1


def test_without_an_end_it_goes_on_so() -> None:
    citizens = Citizens(
        load_config(CONFIG), sound_lengths(CONFIG / "prompts"), random.Random(1), "r"
    )
    calls = [arrival.call for arrival in islice(citizens.endless(2.0), 3 * ONE_IN)]
    assert sum(call.errand is not None for call in calls) == 3 * 6


def test_an_errand_is_told_to_the_phones_with_the_call() -> None:
    call = next(c for c in drawn() if c.errand is not None and c.errand.act is PhoneAct.ASK)
    headers = originate_citizen(call)
    told = f"GLOBAL(ERRAND_{call.caller[-10:]})=ask/1.000/2.000/291"
    assert ("Variable", told) in headers
    other = next(c for c in drawn() if c.errand is None)
    assert "ERRAND" not in str(originate_citizen(other))


def test_the_new_phones_and_calls_out_fit_into_their_actions() -> None:
    for endpoint, decision in DECISIONS.items():
        set_phone_default(decision, endpoint)  # Raises for what a dialplan could not carry.
    assert {call.number[-1] for call in CALLS_OUT} == set("23457")
