"""Scenario files: what is read, and every mistake with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gkc_engine.acd.settings import Medium, Order
from gkc_engine.config.explain import keys_of
from gkc_engine.config.problems import InvalidConfigError
from gkc_engine.ids import SECOND, AgentId, Micros, QueueId
from gkc_engine.simulation.model import ScenarioModel
from gkc_engine.simulation.plan import (
    AGENTS_MAX,
    CONTACTS_MAX,
    OFFERS_MAX,
    REPLICATIONS_MAX,
    Dist,
    Flow,
    Plan,
)
from gkc_engine.simulation.scenario import load_scenario
from tests.config.cities import tiny_city

HERE = Path(__file__).parent
BASE = (HERE / "base.yaml").read_text(encoding="utf-8")
EXPECTED = HERE / "bad_scenarios.txt"
SCENARIOS = sorted((HERE.parents[1] / "config" / "scenarios").glob("*.yaml"))

CASES = [
    ("unknown key", "duration: 8h", "duration: 8h\ndurations: 9h"),
    ("unknown key of traffic", "rate: 120/h", "rate: 120/h\n    rates: 1/h"),
    ("unknown key of an offer", "miss: 0.1", "mis: 0.1"),
    ("unknown key of a pool", "count: 5,", "count: 5, skill: {tax: 1},"),
    ("unknown key of the config", "  center: {order: fcfs}", "  centre: {order: fcfs}"),
    ("unknown key of a queue", "maxlen: 20", "maxlength: 20"),
    ("Asterisk's word", "maxlen: 20", "retry: 5s"),
    ("no config", "config:\n", "configs:\n"),
    ("config of nothing", "offer: {ring: 5s, miss: 0.1}", "offer: 17"),
    ("unknown order", "order: fcfs", "order: lifo"),
    ("unknown skill of a queue", "{require: {passport: 1}", "{require: {pasport: 1}"),
    ("unknown skill of an operator", "{passport: 3, tax: 2}", "{passport: 3, taxes: 2}"),
    ("unknown skill of a pool", "skills: {passport: 5}", "skills: {pasport: 5}"),
    ("level over 10", "skills: {passport: 5}", "skills: {passport: 11}"),
    ("unknown queue of traffic", "  tax: {rate", "  taxes: {rate"),
    ("unknown queue of a treatment", "{then: queue passport}", "{then: queue pasport}"),
    ("treatments in a circle", "maxlen: 20", "full: {then: queue tax}"),
    ("pool without people", "count: 5", "count: 0"),
    ("pool of half a person", "count: 5", "count: 2.5"),
    ("too many people", "count: 5", "count: 100001"),
    ("pool named as an operator", "  p0:", "  anna:"),
    ("name with a slash", "  p0:", "  p/0:"),
    ("rate without a unit", "rate: 120/h", "rate: 120"),
    ("no rate", "rate: 120/h", "rate: 0/h"),
    ("negative rate", "rate: 120/h", "rate: -1/h"),
    ("rate a week", "rate: 120/h", "rate: 120/w"),
    ("duration without a unit", "mean: 240s}", "mean: 240}"),
    ("negative time", "mean: 240s}", "mean: -240s}"),
    ("NaN for a time", "mean: 240s}", "mean: .nan}"),
    ("unknown distribution", "dist: exp", "dist: normal"),
    ("no distribution", "{dist: exp, mean: 240s}", "{mean: 240s}"),
    ("no mean", "{dist: exp, mean: 240s}", "{dist: exp}"),
    ("mean of nothing", "{dist: exp, mean: 240s}", "{dist: exp, mean: 0s}"),
    ("cv of an exponential", "{dist: exp, mean: 240s}", "{dist: exp, mean: 240s, cv: 2.0}"),
    ("erlang without k", "mean: 240s, k: 3", "mean: 240s"),
    ("erlang of half a phase", "k: 3", "k: 0.5"),
    ("lognormal without cv", "mean: 2m, cv: 1.5", "mean: 2m"),
    ("NaN for a number", "cv: 1.5", "cv: .nan"),
    ("infinite cv", "cv: 1.5", "cv: .inf"),
    ("negative cv", "cv: 1.5", "cv: -1.5"),
    ("hyper2 below 1", "dist: lognormal, mean: 2m, cv: 1.5", "dist: hyper2, mean: 2m, cv: 0.5"),
    ("contacts and duration", "duration: 8h", "duration: 8h\ncontacts: 100"),
    ("neither contacts nor duration", "duration: 8h\n", ""),
    ("no contacts", "duration: 8h", "contacts: 0"),
    ("absurdly many contacts", "duration: 8h", "contacts: 5000001"),
    ("absurdly long", "duration: 8h", "duration: 3660d"),
    ("absurdly many in the time", "rate: 120/h", "rate: 9999/s"),
    ("a warm-up that never ends", "warmup: 30m", "warmup: 8h"),
    ("a ring that outlasts the timeout", "ring: 5s", "ring: 16s"),
    ("misses for ever", "miss: 0.1", "miss: 1"),
    ("miss in per cent", "miss: 0.1", "miss: 10"),
    ("miss by chance", "miss: 0.1", "miss: often"),
    ("start without a time", "warmup: 30m", "start: 2026-11-23"),
    ("start on no day", "warmup: 30m", "start: 2026-02-30T09:00"),
    ("unknown calendar", "timeout: 15s", "hours: workdays"),
    ("no folder", "  p0: {count: 5, skills: {passport: 5}}", "  p0: {count: 5}\nconfig: no/such"),
    ("half a file", "offer: {ring: 5s, miss: 0.1}\n...\n", "offer: {ring: 5"),
    ("duplicate key", "warmup: 30m", "duration: 30m"),
    ("no YAML", "pools:\n", "pools: [\n"),
]
WHOLE = [
    ("a folder that is not there", "config: no/such\ntraffic: {}\ncontacts: 5\n"),
    ("a config that is a list", "config: [queues]\ncontacts: 5\ntraffic: {}\n"),
    ("a config without queues", "config: {skills: {}}\npools: {p: {count: 1}}\ncontacts: 1\n"),
    ("nobody at all", "config: {queues: {a: {}}}\ncontacts: 1\ntraffic: {}\n"),
    ("an empty file", ""),
    ("a list", "- config\n"),
]


def reported(folder: Path, text: str) -> list[str]:
    file = folder / "s.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidConfigError) as caught:
        load_scenario(file)
    return [str(p).replace(f"{folder}/", "") for p in caught.value.problems]


def edited(old: str, new: str) -> str:
    assert BASE.count(old) == 1, f"{old!r} stands {BASE.count(old)} times in base.yaml"
    return BASE.replace(old, new)


ALL = [*((name, edited(old, new)) for name, old, new in CASES), *WHOLE]


def expectations() -> dict[str, list[str]]:
    cases: dict[str, list[str]] = {}
    for line in EXPECTED.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            cases[next(reversed(cases))].append(line.strip())
        elif line:
            cases[line] = []
    return cases


@pytest.mark.parametrize(("name", "text"), ALL, ids=[name for name, _ in ALL])
def test_a_mistake_is_refused_at_its_place(name: str, text: str, tmp_path: Path) -> None:
    assert reported(tmp_path, text) == expectations()[name]


def test_every_case_is_reviewed_and_refused() -> None:
    expected = expectations()
    assert sorted(expected) == sorted(name for name, _ in ALL)
    assert all(expected.values())


# --- what is read --------------------------------------------------------------------------------


def written(folder: Path, text: str, *, arrivals_given: bool = False) -> Plan:
    file = folder / "s.yaml"
    file.write_text(text, encoding="utf-8")
    return load_scenario(file, arrivals_given=arrivals_given)


def test_a_scenario_in_the_cores_terms(tmp_path: Path) -> None:
    plan = written(tmp_path, BASE)
    assert [(a.agent_id, dict(a.skills)) for a in plan.settings.agents] == [
        ("anna", {"passport": 3, "tax": 2}),
        *((f"p0/{n}", {"passport": 5}) for n in range(1, 6)),
    ]
    assert list(plan.groups.items())[:2] == [("anna", "anna"), ("p0/1", "p0")]
    assert plan.flows == (
        Flow(
            queue=QueueId("passport"),
            per_s=120 / 3600,
            handle=Dist(name="exp", mean_us=Micros(240 * SECOND)),
            patience=Dist(name="lognormal", mean_us=Micros(120 * SECOND), cv=1.5),
        ),
        Flow(
            queue=QueueId("tax"),
            per_s=10 / 3600,
            handle=Dist(name="erlang", mean_us=Micros(240 * SECOND), k=3),
        ),
    )
    assert (plan.contacts, plan.duration_us, plan.warmup_us) == (
        None,
        28800 * SECOND,
        1800 * SECOND,
    )
    assert (plan.ring_us, plan.miss, plan.start, dict(plan.hours)) == (5 * SECOND, 0.1, None, {})


def test_only_queues_and_somebody_to_serve_them_are_required(tmp_path: Path) -> None:
    text = "config:\n  queues: {a: {}}\n  operators: {anna: {}}\n"
    plan = written(tmp_path, text, arrivals_given=True)
    assert [(q.queue_id, q.maxlen) for q in plan.settings.queues] == [("a", None)]
    assert plan.settings.order is Order.FCFS
    assert plan.settings.agents[0].capacity == {Medium.VOICE: 1}
    for operators in ("  operators: {}\n", "  operators:\n", ""):
        text = f"config:\n  queues: {{a: {{}}}}\n{operators}pools: {{p: {{count: 2}}}}\n"
        plan = written(tmp_path, text, arrivals_given=True)
        assert list(plan.groups) == ["p/1", "p/2"]


def test_an_operator_without_a_name_may_be_called_anything(tmp_path: Path) -> None:
    text = "config:\n  queues: {a: {}}\n  operators: {nobody: {}, b: {}}\npools: {p: {count: 1}}\n"
    plan = written(tmp_path, text, arrivals_given=True)
    assert list(plan.groups.values()) == ["nobody", "b", "p"]


def test_the_center_may_have_laws_alone(tmp_path: Path) -> None:
    text = BASE.replace("{order: fcfs}", "{order: accumulating, maxlen: 0, max_no_answer: 3}")
    settings = written(tmp_path, text).settings
    assert (settings.order, settings.maxlen, settings.max_no_answer) == (Order.ACCUMULATING, 0, 3)


def test_announcements_need_not_be_there(tmp_path: Path) -> None:
    plan = written(tmp_path, edited("{then: queue passport}", "{say: sorry, then: queue passport}"))
    assert plan.settings.queues[1].full.say == "sorry"


def test_a_folder_lies_beside_the_scenario(tmp_path: Path) -> None:
    tiny_city(tmp_path)
    (tmp_path / "scenarios").mkdir()
    text = "config: ..\npools: {p: {count: 2}}\nstart: 2026-11-23T09:00\n"
    plan = written(tmp_path / "scenarios", text, arrivals_given=True)
    assert list(plan.groups)[-3:] == [AgentId("clara"), AgentId("p/1"), AgentId("p/2")]
    assert list(plan.hours) == ["passport"]
    assert plan.start == 1795413600 * SECOND  # 06:00 UTC: Moscow is three hours ahead.


def test_what_is_wrong_in_the_folder_is_told_with_its_own_place(tmp_path: Path) -> None:
    tiny_city(tmp_path, ("timeout: 15s", "timeout: 15 sec"))
    (tmp_path / "s").mkdir()
    assert reported(tmp_path / "s", "config: ..\n") == [
        (
            '../city.yaml:18:14: queues.passport.timeout: found "15 sec", '
            "expected a duration such as 20s or 2m; did you mean 15s?"
        )
    ]


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: str(file.stem))
def test_the_shipped_scenarios_are_whole(file: Path) -> None:
    plan = load_scenario(file)
    assert plan.flows
    assert plan.contacts or plan.duration_us


def test_scenarios_are_shipped() -> None:
    names = {file.stem for file in SCENARIOS}
    assert names >= {"erlang-b", "erlang-c", "erlang-a", *(f"design-{d}" for d in "nvwmx")}


def test_the_page_tells_every_key() -> None:
    page = (HERE.parents[1] / "docs" / "howto" / "simulate.md").read_text(encoding="utf-8")
    models = ScenarioModel.model_json_schema()["$defs"].values()
    keys = {key for model in models for key in model.get("properties", {})}
    untold = {k for k in keys | set(keys_of(ScenarioModel)) if not re.search(rf"\b{k}\b", page)}
    assert untold == set()
    for limit in (CONTACTS_MAX, AGENTS_MAX, REPLICATIONS_MAX, OFFERS_MAX):
        assert f"{limit:,}".replace(",", " ") in page
