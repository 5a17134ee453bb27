"""Citizens in menus: patient, hasty, silent and playful ones. Every way ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gkc_engine.acd.settings import ContactClass
from gkc_engine.config.menu_model import MenuModel
from gkc_engine.ids import seconds
from gkc_engine.ivr.menu import (
    ALL_DIGITS,
    INVALID_CHOICE,
    STEPS_MAX,
    ArticleHeard,
    EnterQueue,
    HangUp,
    LanguageChosen,
    MenuSession,
    PlayAndCollect,
    PlayArticle,
    PlaySay,
    Step,
)

TREE: Mapping[str, Any] = {
    "main": {
        "prompt": "welcome",
        "timeout": "5s",
        "tries": 2,
        "choices": {
            "1": {"language": "ru", "menu": "services"},
            "2": {"language": "en", "menu": "services"},
            "0": {"queue": "general"},
        },
        "on_timeout": {"menu": "services"},
    },
    "services": {
        "prompt": "services_menu",
        "tries": 3,
        "invalid": "no_such_service",
        "choices": {
            "1": {"article": "passport_docs"},
            "2": {"article": "terms", "then": {"queue": "passport"}},
            "3": {"article": "night", "then": {"say": "thanks", "hangup": True}},
            "4": {"say": "connecting", "queue": "emergency", "class": "emergency"},
            "5": {"say": "moment", "menu": "main"},
            "6": {"article": "meters", "then": {"language": "en", "menu": "main"}},
            "#": {"queue": "passport", "head_start": "30s", "slope": 1.5},
            "*": {"menu": "main"},
        },
        "on_timeout": {"queue": "general"},
        "on_invalid": {"say": "sorry", "hangup": True},
    },
}


def menus(tree: Mapping[str, Any]) -> dict[str, MenuModel]:
    return {name: MenuModel.model_validate_json(json.dumps(menu)) for name, menu in tree.items()}


MENUS = menus(TREE)


def walk(keys: str, tree: Mapping[str, MenuModel] = MENUS) -> tuple[MenuSession, list[Step]]:
    """Press ``keys`` one after another: ``.`` = silence to the end, ``!`` = the file is missing."""
    session = MenuSession(tree, "main", "ru")
    first = session.start()
    later = [
        session.digit_or_timeout(None if key in ".!" else key, prompt_finished=key == ".")
        for key in keys
    ]
    return session, [first, *later]


def actions(keys: str) -> list[object]:
    return [step.action for step in walk(keys)[1]]


def test_the_entry_menu_is_played_first() -> None:
    session, steps = walk("")
    assert steps == [Step((), PlayAndCollect("main", ("welcome",), 5000), "ru")]
    assert not session.ended


def test_a_choice_leads_into_a_queue() -> None:
    session, steps = walk("0")
    assert steps[-1].action == EnterQueue("general")
    assert session.ended


def test_a_language_is_chosen_once_and_kept() -> None:
    _, steps = walk("2*1")
    assert [step.effects for step in steps] == [
        (),
        (LanguageChosen("en"),),
        (),
        (LanguageChosen("ru"),),
    ]
    assert [step.language for step in steps] == ["ru", "en", "en", "ru"]


def test_the_language_that_is_spoken_already_is_no_choice() -> None:
    assert walk("1")[1][-1].effects == ()


def test_silence_repeats_the_menu_and_then_leads_on() -> None:
    assert actions("..") == [
        PlayAndCollect("main", ("welcome",), 5000),
        PlayAndCollect("main", ("welcome",), 5000),
        PlayAndCollect("services", ("services_menu",), 5000),
    ]
    assert actions(".....")[-1] == EnterQueue("general")


def test_a_wrong_digit_is_told_and_uses_up_a_round() -> None:
    assert actions("1777")[2:] == [
        PlayAndCollect("services", ("no_such_service", "services_menu"), 5000),
        PlayAndCollect("services", ("no_such_service", "services_menu"), 5000),
        PlaySay("sorry"),
    ]
    assert actions("7")[-1] == PlayAndCollect("main", (INVALID_CHOICE, "welcome"), 5000)


def test_the_last_round_decides_between_wrong_and_silent() -> None:
    assert actions("177.")[-1] == EnterQueue("general")
    assert actions("1..7")[-1] == PlaySay("sorry")


def test_without_on_invalid_a_wrong_digit_leads_where_silence_does() -> None:
    assert actions("77")[-1] == PlayAndCollect("services", ("services_menu",), 5000)


def test_a_menu_entered_again_has_all_its_rounds() -> None:
    assert actions("1..*1..")[-1] == PlayAndCollect("services", ("services_menu",), 5000)


def test_the_citizens_own_precedence_goes_with_him() -> None:
    assert actions("14.")[-2:] == [
        PlaySay("connecting"),
        EnterQueue("emergency", ContactClass.EMERGENCY),
    ]
    assert actions("1#")[-1] == EnterQueue("passport", None, seconds(30), 1500)


def test_an_article_heard_to_its_end_is_self_service_and_its_menu_returns() -> None:
    _, steps = walk("11.")
    assert steps[-2].action == PlayArticle("passport_docs", "123456*#")
    assert steps[-1].effects == (ArticleHeard("passport_docs"),)
    assert steps[-1].action == PlayAndCollect("services", ("services_menu",), 5000)


def test_an_article_left_by_a_choice_counts_and_the_choice_is_taken() -> None:
    _, steps = walk("114")
    assert steps[-1].effects == (ArticleHeard("passport_docs"),)
    assert steps[-1].action == PlaySay("connecting")


def test_an_article_left_by_a_choice_of_another_menu() -> None:
    _, steps = walk("162")
    assert steps[-2].action == PlayArticle("meters", "012")
    assert steps[-1].effects == (ArticleHeard("meters"), LanguageChosen("en"))
    assert steps[-1].action == PlayAndCollect("services", ("services_menu",), 5000)
    assert steps[-1].language == "en"


def test_an_article_that_could_not_be_played_is_no_self_service() -> None:
    _, steps = walk("11!")
    assert steps[-1].effects == ()
    assert steps[-1].action == PlayAndCollect("services", ("services_menu",), 5000)


def test_an_article_may_be_skipped_for_the_operator() -> None:
    _, steps = walk("127")
    assert steps[-2].action == PlayArticle("terms", ALL_DIGITS)
    assert steps[-1].effects == ()
    assert steps[-1].action == EnterQueue("passport")
    assert walk("12.")[1][-1].effects == (ArticleHeard("terms"),)


def test_no_digit_ends_the_call_in_the_middle_of_an_article() -> None:
    assert actions("13")[-1] == PlayArticle("night", "")
    assert actions("13..")[-2:] == [PlaySay("thanks"), HangUp("menu")]


def test_a_digit_cuts_a_remark_and_is_the_next_menus_choice() -> None:
    assert actions("150")[-1] == EnterQueue("general")
    assert actions("157")[-1] == PlayAndCollect("main", ("welcome",), 5000)
    assert actions("149")[-1] == EnterQueue("emergency", ContactClass.EMERGENCY)


@pytest.mark.parametrize("digit", ["A", "", "12", "٣", "x"])
def test_what_is_no_digit_is_silence(digit: str) -> None:
    session = MenuSession(MENUS, "main", "ru")
    session.start()
    step = session.digit_or_timeout(digit, prompt_finished=True)
    assert step.action == PlayAndCollect("main", ("welcome",), 5000)


def test_a_citizen_who_plays_with_the_keys_reaches_the_first_queue_of_the_silent() -> None:
    session, steps = walk("1*" * ((STEPS_MAX - 1) // 2) + "1")
    assert len(steps) == STEPS_MAX
    assert steps[-1].action == EnterQueue("general")
    assert session.ended


def test_menus_without_any_queue_end_the_call() -> None:
    ring = menus(
        {
            "main": {
                "prompt": "a",
                "tries": 1,
                "choices": {"1": {"menu": "other"}},
                "on_timeout": {"menu": "other"},
            },
            "other": {
                "prompt": "b",
                "tries": 1,
                "choices": {"1": {"menu": "main"}},
                "on_timeout": {"menu": "main"},
            },
        }
    )
    session, steps = walk("." * (STEPS_MAX - 1), ring)
    assert steps[-1].action == HangUp("menu_limit")
    assert session.ended


def test_a_session_that_is_over_takes_nothing_more() -> None:
    session, _ = walk("0")
    with pytest.raises(AssertionError, match="over"):
        session.digit_or_timeout("1", prompt_finished=True)
    with pytest.raises(AssertionError, match="before"):
        session.start()


def test_an_unknown_entry_is_refused_at_once() -> None:
    with pytest.raises(KeyError):
        MenuSession(MENUS, "nowhere", "ru")


NAMES = ("main", "b", "c")
targets = st.one_of(
    st.builds(lambda name: {"menu": name}, st.sampled_from(NAMES)),
    st.builds(lambda name: {"queue": name}, st.sampled_from(("q1", "q2"))),
    st.just({"hangup": True}),
    st.just({"article": "text"}),
)


def decorated(
    target: dict[str, Any], then: dict[str, Any] | None, say: str | None, language: str | None
) -> dict[str, Any]:
    extra = {"say": say, "language": language, "then": then if "article" in target else None}
    return target | {key: value for key, value in extra.items() if value is not None}


choices = st.builds(
    decorated,
    targets,
    st.one_of(st.none(), targets),
    st.sampled_from([None, "remark"]),
    st.sampled_from([None, "ru", "en"]),
)
trees = st.fixed_dictionaries(
    {
        name: st.builds(
            lambda name, tries, keys, on_timeout, on_invalid: {
                "prompt": f"prompt_{name}",
                "tries": tries,
                "choices": keys,
                "on_timeout": on_timeout,
                "on_invalid": on_invalid,
            },
            st.just(name),
            st.integers(1, 4),
            st.dictionaries(st.sampled_from(ALL_DIGITS), choices, min_size=1, max_size=6),
            choices,
            st.one_of(st.none(), choices),
        )
        for name in NAMES
    }
)


def reachable_queues(tree: Mapping[str, Any]) -> set[str]:
    """The test's own walk over the raw tree."""
    found: set[str] = set()
    line, seen = ["main"], {"main"}
    while line:
        menu = tree[line.pop()]
        ways = [menu["on_timeout"], menu["on_invalid"], *menu["choices"].values()]
        while ways:
            way = ways.pop()
            if way is None:
                continue
            ways.append(way.get("then"))
            if "queue" in way:
                found.add(way["queue"])
            if "menu" in way and way["menu"] not in seen:
                seen.add(way["menu"])
                line.append(way["menu"])
    return found


@settings(deadline=None)
@given(trees, st.lists(st.tuples(st.sampled_from([*ALL_DIGITS, None]), st.booleans()), max_size=30))
def test_every_way_ends_within_the_bound(
    tree: dict[str, Any], presses: list[tuple[str | None, bool]]
) -> None:
    session = MenuSession(menus(tree), "main", "ru")
    step, count, heard, articles = session.start(), 1, 0, 0
    while not session.ended:
        assert isinstance(step.action, PlayAndCollect | PlaySay | PlayArticle)
        articles += isinstance(step.action, PlayArticle)
        # After the scripted presses the citizen goes on with them from the start.
        digit, finished = presses[count % len(presses)] if presses else (None, True)
        step = session.digit_or_timeout(digit, prompt_finished=finished)
        assert step.language == session.language
        heard += sum(isinstance(effect, ArticleHeard) for effect in step.effects)
        count += 1
        assert count <= STEPS_MAX
    assert isinstance(step.action, EnterQueue | HangUp)
    assert heard <= articles
    if isinstance(step.action, EnterQueue):
        assert step.action.queue in reachable_queues(tree)
    elif step.action.reason == "menu_limit":
        assert count == STEPS_MAX
