"""One contact explained from a ledger: what it waited for, who came before it, by which rule."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import (
    Blending,
    ContactClass,
    EmptyFactor,
    Medium,
    QueueSettings,
    Then,
    Treatment,
)
from gkc_engine.acd.why import Bar, Part
from gkc_engine.ids import AgentId, ContactId, QueueId, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.history import HistoryError
from gkc_engine.simulation.decisions import Decider, Rule
from gkc_engine.simulation.explain import Explanation, Moment, What, explain, numbers_of
from gkc_engine.simulation.explain_citizen import Answer, duration, plural
from gkc_engine.simulation.explain_json import as_json
from gkc_engine.simulation.explain_text import Teller
from tests.simulation.ledgers import CITY, Center, change, overtaken

MOSCOW = ZoneInfo("Europe/Moscow")


def told_of(path: Path, contact: str) -> tuple[Explanation, dict[ContactId, str]]:
    engine = schema.make_engine(schema.sqlite_url(str(path)), read_only=True)
    with engine.connect() as connection:
        told = explain(connection, ContactId(contact))
        numbers = numbers_of(connection, told)
    engine.dispose()
    return told, numbers


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return overtaken().write(tmp_path_factory.mktemp("explain") / "ledger.sqlite")


def only(told: Explanation, what: What) -> Moment:
    (moment,) = [m for m in told.moments if m.what is what]
    return moment


def bars(moment: Moment) -> dict[str, set[Bar]]:
    return {c.agent_id: {o.bar for o in c.obstacles} for c in moment.candidates}


def test_the_moments_of_a_contact_that_was_overtaken(store: Path) -> None:
    told, _ = told_of(store, "c2")
    assert [m.what for m in told.moments] == [
        What.STARTED,
        What.QUEUED,
        What.WAITS,
        What.STEP,
        What.OVERTAKEN,
        What.OFFERED,
        What.OFFER_ENDED,
        What.WAITS,
        What.OFFERED,
        What.ANSWERED,
        What.ENDED,
    ]
    assert told.differences == 0
    assert told.passed_by == {(Bar.SKILL, "passport"): 1}, "c4 went to vera, who has no passport"


def test_an_emergency_overtakes_by_class(store: Path) -> None:
    told, numbers = told_of(store, "c2")
    passed = only(told, What.OVERTAKEN)
    assert passed.other is not None
    assert (passed.other.contact_id, passed.agent_id) == ("c3", "anna")
    assert (passed.part, passed.rules, passed.version) == (Part.CLASS, ("P2(1)",), "v1")
    text = Teller(told, MOSCOW, numbers).text()
    assert "overtaken by an emergency contact: 2026-ЦАО-000004" in text
    assert "[P2(1)]" in text


def test_who_was_not_asked_and_why(store: Path) -> None:
    told, _ = told_of(store, "c2")
    first, again = [m for m in told.moments if m.what is What.WAITS]
    assert bars(first) == {
        "anna": {Bar.TAKEN},
        "boris": {Bar.LEVEL, Bar.PAUSED},
        "vera": {Bar.SKILL},
        "gleb": {Bar.OFFLINE},
    }
    assert {Bar.RESTING, Bar.EXCLUDED} < bars(again)["anna"]
    assert bars(only(told, What.STEP))["boris"] == {Bar.PAUSED}, "the step has widened"


def test_the_decisions_name_their_rule(store: Path) -> None:
    first, second = [m.decision for m in told_of(store, "c2")[0].moments if m.decision is not None]
    assert (first.rule, second.rule) == (Rule.P2, Rule.P2)
    arrival = only(told_of(store, "c1")[0], What.OFFERED).decision
    assert arrival is not None
    assert (arrival.rule, arrival.decider) == (Rule.P1, Decider.ONLY)


def test_the_answer_to_a_citizen_names_nobody_else(store: Path) -> None:
    told, _ = told_of(store, "c2")
    text = Answer(told, MOSCOW).text()
    assert text.splitlines()[:2] == [
        "Обращение № 2026-ЦАО-000002",
        "21 сентября 2026 г., время Europe/Moscow",
    ]
    assert (
        "17:13:43  Раньше Вашего оператору передано обращение, поступившее позже. Причина: оно "
        "относится к экстренным, а они принимаются раньше всех остальных (правило P2(1))."
    ) in text
    assert "17:14:27  Оператор ответил. Вы ожидали 1 мин 2 с." in text
    assert "Операторов с нужной подготовкой на работе: 2; на перерыве: 1; короткая" in text
    others = "anna|boris|vera|gleb|lunch|c1|c3|c4|key-|2026-ЦАО-00000[134]"
    assert re.search(others, text) is None
    latin = set(re.findall(r"[A-Za-z]\S*", text))
    assert latin == {"Europe/Moscow", "P0–P10),", "v1.", *(w for w in latin if re.match(r"P\d", w))}


def test_json_says_all_of_it_in_json_s_own_types(store: Path) -> None:
    told, numbers = told_of(store, "c2")
    value = json.loads(json.dumps(as_json(told, numbers)))
    (passed,) = [m for m in value["moments"] if m["what"] == "overtaken"]
    assert (passed["by"], passed["rules"], passed["other"]["number"]) == (
        "class",
        ["P2(1)"],
        "2026-ЦАО-000004",
    )
    assert passed["other"]["key"] < passed["key"]["key"]


def test_a_contact_in_progress_and_one_that_never_was(tmp_path: Path) -> None:
    center = Center()
    center.at(1).arrive("c1", "passport")
    path = center.write(tmp_path / "ledger.sqlite")
    told, _ = told_of(path, "c1")
    assert [m.what for m in told.moments] == [What.STARTED, What.QUEUED, What.WAITS]
    with pytest.raises(HistoryError, match="not in the ledger"):
        told_of(path, "c9")


def test_a_record_that_differs_is_said_to_prove_nothing(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "changed.sqlite"
    path.write_bytes(store.read_bytes())
    change(path, "UPDATE event SET data = replace(data, 'anna', 'gleb') WHERE kind LIKE '%offer%'")
    told, numbers = told_of(path, "c2")
    assert told.differences > 0
    assert "NOT CERTAIN" in Teller(told, MOSCOW, numbers).text()
    assert "ВНИМАНИЕ" in Answer(told, MOSCOW).text()


# --- the reasons, one history each -----------------------------------------------------------


def after_a_reload(center: Center) -> None:
    center.arrive("c1", "passport")
    center.at(3).say(ev.SettingsApplied(settings=replace(CITY, version="v2")))


def left_waiting(center: Center) -> None:
    center.arrive("c1", "passport")
    center.at(3).leave("c1")


def closed(center: Center) -> None:
    center.say(ev.HoursChanged(queue=QueueId("passport"), open=False))
    center.arrive("c1", "passport")
    center.leave("c1")


def lost(center: Center) -> None:
    center.login("anna")
    center.arrive("c1", "passport")
    center.answer("c1")
    center.at(4).say(
        ev.TalkEnded(
            contact_id=ContactId("c1"),
            agent_id=AgentId("anna"),
            end=ev.TalkEnd.MEDIA_LOST,
            party=ev.Party.SYSTEM,
        )
    )


def away(center: Center) -> None:
    center.arrive("c1", "passport")
    center.at(3).say(ev.EngineRestarted())
    center.at(5).say(ev.ContactAttached(contact_id=ContactId("c1")))


def fallback(center: Center) -> None:
    center.login("anna")
    center.say(ev.AgentPaused(agent_id=AgentId("anna"), reason="lunch"))
    away(center)
    center.at(6).say(ev.ContactDetached(contact_id=ContactId("c1")))
    answered = ev.FallbackAnswered(contact_id=ContactId("c1"), agent_id=None, at=center.now)
    center.at(7).say(answered)


PASSPORT = CITY.queues[0]
LETTERS = QueueSettings(queue_id=QueueId("letters"), title="Письма", medium=Medium.EMAIL)


def configured(center: Center, passport: QueueSettings = PASSPORT) -> None:
    """Let other rules hold for the passport queue; calls park letters."""
    queues = (passport, *CITY.queues[1:], LETTERS)
    first_agent, *others = CITY.agents
    both = replace(first_agent, capacity={Medium.VOICE: 1, Medium.EMAIL: 1})
    blending = {Medium.VOICE: Blending(interrupts=(Medium.EMAIL,))}
    agents = (both, *others)
    center.say(
        ev.SettingsApplied(settings=replace(CITY, queues=queues, agents=agents, blending=blending))
    )


def empty_at_the_door(center: Center) -> None:
    configured(center, replace(PASSPORT, joinempty=(EmptyFactor.PAUSED,)))
    center.login("anna")
    center.say(ev.AgentPaused(agent_id=AgentId("anna"), reason="lunch"))
    center.arrive("c1", "passport")


def empty_while_it_waits(center: Center) -> None:
    configured(
        center,
        replace(PASSPORT, leavewhenempty=(EmptyFactor.PAUSED,), unstaffed=Treatment(say="nobody")),
    )
    center.login("anna")
    center.arrive("c0", "passport")
    center.answer("c0")
    center.arrive("c1", "passport")
    center.say(ev.AgentPaused(agent_id=AgentId("anna"), reason="lunch"))
    center.at(2)


def empty_and_sent_on(center: Center) -> None:
    onward = Treatment(then=Then.QUEUE, queue=QueueId("urgent"))
    configured(center, replace(PASSPORT, leavewhenempty=(EmptyFactor.PAUSED,), unstaffed=onward))
    center.login("anna")
    center.arrive("c0", "passport")
    center.answer("c0")
    center.arrive("c1", "passport")
    center.say(ev.AgentPaused(agent_id=AgentId("anna"), reason="lunch"))
    center.at(2)


def nobody_for_long(center: Center) -> None:
    configured(
        center,
        replace(PASSPORT, maxwait_unstaffed_us=seconds(3), leavewhenempty=(EmptyFactor.INVALID,)),
    )
    center.login("anna")
    center.arrive("c0", "passport")
    center.answer("c0")
    configured(center, replace(PASSPORT, maxwait_unstaffed_us=seconds(3)))
    center.arrive("c1", "passport")
    center.say(ev.AgentLoggedOut(agent_id=AgentId("anna"), reason="end of shift"))
    center.at(9)


def called_again(center: Center) -> None:
    configured(center, replace(PASSPORT, resume_within_us=seconds(60)))
    center.arrive("c0", "passport", citizen="key-one")
    center.at(5).leave("c0")
    center.at(9).arrive("c1", "passport", citizen="key-one")


def interrupted(center: Center) -> None:
    configured(center)
    center.login("anna")
    center.arrive("c1", "letters", medium=Medium.EMAIL)
    center.answer("c1")
    center.arrive("c2", "passport")
    center.at(3).answer("c2")
    center.at(8).leave("c2")
    center.at(20)


def made_urgent(center: Center) -> None:
    center.arrive("c1", "passport")
    center.say(
        ev.ContactPriorityChanged(contact_id=ContactId("c1"), contact_class=ContactClass.EMERGENCY)
    )


def moved_by_hand(center: Center) -> None:
    center.arrive("c1", "passport")
    center.at(3).say(
        ev.QueueRequested(
            contact_id=ContactId("c1"), queue=QueueId("urgent"), reason=ev.BY_SUPERVISOR
        )
    )


@pytest.mark.parametrize(
    ("happens", "what", "english", "russian"),
    [
        (
            empty_at_the_door,
            What.TREATED,
            "ends by config: no_agent (joinempty)  [P4]",
            "в очередь оно не поставлено (правило P4)",
        ),
        (empty_at_the_door, What.TREATED, "anna (paused: lunch)", "Не было операторов, которые"),
        (
            empty_while_it_waits,
            What.TREATED,
            "ends by config: no_agent (leavewhenempty)  [P4]",
            "Не осталось операторов, которые могли бы принять обращение (правило P4)",
        ),
        (
            empty_and_sent_on,
            What.QUEUED,
            "enters urgent, which requires passport 1, sent on by config: no_agent  [P2, P4]",
            "по настройкам прежней очереди (правило P4)",
        ),
        (
            nobody_for_long,
            What.TREATED,
            "ends by config: no_agent (maxwait_unstaffed)  [P4]",
            "На работе не было операторов, которые могли бы ответить (правило P4)",
        ),
        (
            called_again,
            What.QUEUED,
            "it has the place of 2026-ЦАО-000001, which was cut off",
            "место, которое Вы занимали до обрыва связи",
        ),
        (interrupted, What.PARKED, "parked: anna has taken", "Оператор принял срочный вызов"),
        (interrupted, What.RESUMED, "anna goes on with it", "вернулся к Вашему обращению"),
        (
            made_urgent,
            What.PRIORITY,
            "another priority, given by a supervisor: emergency",
            "Обращению старшим смены установлена другая очерёдность; категория: экстренная",
        ),
        (
            moved_by_hand,
            What.QUEUED,
            "enters urgent, which requires passport 1, moved by a supervisor  [P2]",
            "Перевёл старший смены; время постановки в очередь сохранено.",
        ),
        (after_a_reload, What.CONFIG, "config version v2", "новая версия настроек: v2"),
        (left_waiting, What.ENDED, "ended: abandoned_short, waited 2s", "завершено с Вашей сторон"),
        (closed, What.TREATED, "ends by config: closed  [P4]", "был закрыт (правило P4)"),
        (lost, What.TRANSFERRED, "no longer has it: media_lost", "Соединение с оператором прервал"),
        (away, What.DETACHED, "in the native queue", "ожидает в резервной очереди"),
        (away, What.ATTACHED, "taken back", "возвращено в основную очередь"),
        (fallback, What.ANSWERED, "through the native queue", "ответил через резервную очередь"),
    ],
)
def test_each_kind_of_moment_has_its_words(
    tmp_path: Path, happens: Callable[[Center], None], what: What, english: str, russian: str
) -> None:
    center = Center()
    happens(center.at(1))
    told, numbers = told_of(center.write(tmp_path / "ledger.sqlite"), "c1")
    assert what in [m.what for m in told.moments]
    assert english in Teller(told, MOSCOW, numbers).text()
    assert russian in Answer(told, MOSCOW).text()


def test_russian_counts_and_durations() -> None:
    forms = [plural(n, "обращение", "обращения", "обращений") for n in (1, 2, 5, 11, 21, 112, 0)]
    assert forms == ["обращение", "обращения", *["обращений"] * 2, "обращение", *["обращений"] * 2]
    assert [duration(n * 1_000_000) for n in (0, 62, 3_725)] == [
        "0 с",
        "1 мин 2 с",
        "1 ч 2 мин 5 с",
    ]
