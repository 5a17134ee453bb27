"""A recorded hour once more through the core: under its own config it comes out as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium, Settings
from gkc_engine.config.models import GuardrailModel
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId, SkillId, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.history import HistoryError
from gkc_engine.simulation import dryrun_text
from gkc_engine.simulation.dryrun import Change, DryRun, dry_run, judge, opening_hours
from gkc_engine.simulation.needs import Needs
from tests.config.cities import tiny_config
from tests.recorder.support import START
from tests.simulation.ledgers import (
    CITY,
    Center,
    busy_hour,
    change,
    overtaken,
    played,
    without_skill,
)

PASSPORT, HOUSING = QueueId("passport"), QueueId("housing")
HOUR = (2.0, 4000.0)
LESS = without_skill(CITY, "gleb", "passport")


def tried(
    path: Path,
    settings: Settings = CITY,
    span: tuple[float, float] = HOUR,
    *,
    seed: int = 1,
    **rails: GuardrailModel,
) -> DryRun:
    engine = schema.make_engine(schema.sqlite_url(str(path)), read_only=True)
    since, until = (Instant(START + seconds(s)) for s in span)
    try:
        with engine.connect() as connection:
            change = Change(settings=settings, guardrails=rails)
            return dry_run(connection, change, since, until, seed=seed)
    finally:
        engine.dispose()


def railed(bounds: dict[str, object]) -> GuardrailModel:
    return GuardrailModel.model_validate_json(json.dumps(bounds))


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return busy_hour().write(tmp_path_factory.mktemp("plan") / "ledger.sqlite")


# --- today's config ----------------------------------------------------------------------------


@pytest.mark.parametrize("span", [HOUR, (300.0, 900.0)], ids=["all", "from the middle on"])
def test_today_s_config_comes_out_as_it_was(hour: Path, span: tuple[float, float]) -> None:
    run = tried(hour, span=span)
    assert run.now == run.really
    assert (run.off, run.worse) == ([], [])
    assert run.now == run.then
    passport = run.really[PASSPORT]
    assert passport.abandoned > 0, "somebody must have left"
    assert passport.answered > 20


def early(center: Center) -> None:
    """anna ends her wrap-up herself; then a call of her own; gleb hands a citizen over."""
    center.login("anna", "gleb", "boris")
    center.at(2).arrive("c1", "passport")
    center.at(3).answer("c1")
    center.at(4).arrive("c2", "passport")
    center.at(5).answer("c2")
    center.at(8).arrive("c3", "passport")
    center.at(20).leave("c1")
    center.at(22).say(ev.AgentReady(agent_id=AgentId("anna")))
    center.at(24).answer("c3")
    center.at(30).say(
        ev.TransferRequested(
            contact_id=ContactId("c2"), from_agent=AgentId("gleb"), to_queue=HOUSING
        )
    )
    center.at(33).answer("c2")
    center.at(50).leave("c2")
    center.at(60).leave("c3")
    anna = AgentId("anna")
    center.at(70).say(ev.AgentCallStarted(agent_id=anna, call_id="own", kind="outbound"))
    center.at(71).arrive("c4", "passport")
    center.at(75).fail("c4", ev.OfferFailure.REJECTED)
    center.at(80).say(ev.AgentCallEnded(agent_id=anna, call_id="own"))
    center.at(83).answer("c4")
    center.at(99).leave("c4")
    center.at(120).say(ev.AgentLoggedOut(agent_id=anna))


def cut(center: Center) -> None:
    """c2 leaves while anna's phone rings, longer than any that is answered; c3's ring at hers is
    taken back when she goes, and gleb, who comes then, lets it ring for 4 s."""
    center.login("anna")
    center.at(2).arrive("c1", "passport")
    center.at(3).answer("c1")
    center.at(10).leave("c1")
    center.at(32).arrive("c2", "passport")
    center.at(38).leave("c2")
    center.at(75).arrive("c3", "passport")
    center.at(77).say(ev.AgentLoggedOut(agent_id=AgentId("anna")))
    center.fail("c3", ev.OfferFailure.RESCINDED)
    center.at(78).login("gleb")
    center.at(82).answer("c3")
    center.at(90).leave("c3")
    center.at(120).say(ev.AgentLoggedOut(agent_id=AgentId("gleb")))


@pytest.mark.parametrize("since", [0.5, 31, 74])
@pytest.mark.parametrize("happens", [early, None, cut], ids=["early", "overtaken", "cut"])
def test_misses_transfers_pauses_and_own_calls_come_out_as_they_were(
    tmp_path: Path, happens: Callable[[Center], None] | None, since: float
) -> None:
    center = overtaken() if happens is None else Center()
    if happens is not None:
        happens(center.at(1))
    # Something must come in the stretch that is looked at.
    center.at(130).arrive("c9", "passport")
    center.at(131).say(ev.AgentLoggedIn(agent_id=AgentId("anna")))
    center.at(133).answer("c9")
    center.at(140).leave("c9")
    run = tried(center.write(tmp_path / "ledger.sqlite"), span=(since, 150))
    assert run.now == run.really
    assert run.off == []


def test_a_rerun_that_is_off_is_told(hour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: every talk lasts a minute longer than it did."""
    lasts = Needs.talk
    longer = Micros(60 * SECOND)
    monkeypatch.setattr(Needs, "talk", lambda self, n: Micros(lasts(self, n) + longer))
    run = tried(hour)
    assert {breach.figure for breach in run.off} >= {"sl", "asa_s"}
    told = dryrun_text.warnings(run)
    assert any(line.startswith("the rerun of today's config is off: passport: sl") for line in told)


def test_a_rerun_in_which_they_wait_for_ever_is_told(
    hour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: no talk ends. In housing nobody gives up, so that its SL and ASA stay well."""
    monkeypatch.setattr(Needs, "talk", lambda _self, _n: Micros(36_000 * SECOND))
    run = tried(hour)
    assert [b.figure for b in run.off if b.queue == HOUSING] == ["waiting_rate"]


# --- another config ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def less(hour: Path) -> DryRun:
    return tried(hour, LESS)


def test_a_skill_removed_makes_the_service_level_worse(less: DryRun) -> None:
    run = less
    now, then = run.now[PASSPORT], run.then[PASSPORT]
    assert now.sl is not None
    assert then.sl is not None
    assert then.sl < now.sl - 0.3
    assert (then.asa_s or 0) > (now.asa_s or 0)
    assert (then.occupancy or 0) > (now.occupancy or 0)
    assert run.then[HOUSING] == run.now[HOUSING]
    assert run.worse[0].lost
    text = dryrun_text.text(run)
    assert "today's config v1 -> new config v1-gleb" in text
    assert f"{len(run.worse)} contacts fare worse" in text


def test_who_waits_when_it_begins_is_served_by_the_new_config_at_once(tmp_path: Path) -> None:
    """By hand: vera may take c2 from 30 s on, talks from 32 to 45 and wraps up to 50; c3, which has
    come at 31, is offered to her then and answered at 52, after 21 s."""
    center = Center()
    center.at(1).login("anna", "vera")
    center.at(2).arrive("c1", "passport")
    center.at(3).answer("c1")
    center.at(10).arrive("c2", "passport")
    center.at(31).arrive("c3", "passport")
    center.at(60).leave("c1")
    center.at(67).answer("c2")
    center.at(80).leave("c2")
    center.at(87).answer("c3")
    center.at(97).leave("c3")
    center.at(150)
    agents = tuple(
        replace(a, skills={**a.skills, SkillId("passport"): 5}) if a.agent_id == "vera" else a
        for a in CITY.agents
    )
    path = center.write(tmp_path / "ledger.sqlite")
    run = tried(path, replace(CITY, version="v2", agents=agents), (30, 100))
    assert (run.now[PASSPORT].asa_s, run.then[PASSPORT].asa_s) == (56.0, 21.0)


def test_the_same_seed_gives_the_same_bytes(hour: Path) -> None:
    one, two, other = (
        json.dumps(dryrun_text.as_json(tried(hour, LESS, seed=seed))) for seed in (1, 1, 2)
    )
    assert one == two != other


@pytest.mark.parametrize(
    ("rail", "breaks"),
    [
        ({"sl_min": 0.8}, True),
        ({"sl_min": 0.01}, False),
        ({"abandoned_max": 0.1}, True),
        ({"abandoned_max": 0.9}, False),
        ({"asa_max": "20s"}, True),
        ({"asa_max": "1h"}, False),
        ({"p90_max": "60s"}, True),
        ({"p90_max": "1h"}, False),
    ],
)
def test_guard_rails(less: DryRun, rail: dict[str, object], *, breaks: bool) -> None:
    run = replace(less, broken=[])
    judge(run, {"passport": railed(rail)})
    assert [b.figure for b in run.broken] == [*rail] * breaks
    assert ("guard-rail broken: passport" in dryrun_text.text(run)) is breaks


def test_a_guard_rail_of_which_nothing_is_known_is_said(hour: Path) -> None:
    run = tried(hour, LESS, urgent=GuardrailModel(sl_min=0.5))
    assert (run.broken, run.unjudged) == ([], ["urgent: sl_min"])


def test_leaving_all_to_wait_for_ever_breaks_the_guard_rails(tmp_path: Path) -> None:
    """By hand: they come at 5, 25 and 45 s, and at 62 s the record ends; 17 s may still be well."""
    calls = [(5.0 + 20 * n, "passport", 10.0, 600.0) for n in range(3)]
    path = played(calls, CITY, "anna", "vera").write(tmp_path / "ledger.sqlite")
    rail = railed({"sl_min": 0.1, "asa_max": "46s", "p90_max": "56s"})
    run = tried(path, without_skill(CITY, "anna", "passport"), passport=rail)
    then = run.then[PASSPORT]
    assert (then.offered, then.waiting, then.sl, then.asa_s) == (3, 3, None, None)
    assert [(b.figure, b.value) for b in run.broken] == [
        ("sl_min", 0.0),
        ("asa_max", 47.0),
        ("p90_max", 57.0),
    ]
    assert len(run.worse) == 3
    assert "still waiting an hour after the record ends" in " ".join(dryrun_text.warnings(run))
    assert "passport 0 -> 3" in " ".join(run.notes)


def test_who_waits_where_the_record_ends_is_waited_for(tmp_path: Path) -> None:
    """By hand: the record ends with anna's wrap-up at 52 s; then c1 rings at hers for 2 s."""
    calls = [(5.0, "passport", 40.0, 600.0), (10.0, "passport", 10.0, 600.0)]
    path = played(calls, CITY, "anna", "gleb").write(tmp_path / "ledger.sqlite")
    run = tried(path, LESS)
    assert run.rerun[PASSPORT] == run.now[PASSPORT] == run.really[PASSPORT]
    then = run.then[PASSPORT]
    assert (then.answered, then.waiting, then.sl, then.asa_s) == (2, 0, 0.5, (2 + 44) / 2)
    (worse,) = run.worse
    assert (worse.lost, worse.longer_us) == (False, 42 * SECOND)


def test_a_guard_rail_that_the_new_config_drops_holds(tmp_path: Path) -> None:
    """One that it changes holds as it stands there."""
    rails = "guardrails: {passport: {sl_min: 1, asa_max: 1.5s}, general: {sl_min: 1}}\n"
    config = tiny_config(tmp_path, ("services:\n", rails + "services:\n"))
    center = played([(5.0, "passport", 10.0, 60.0)], CITY, "anna")
    center.say(ev.SettingsApplied(settings=replace(CITY, version="v2"), tree=config.tree))
    path = center.write(tmp_path / "ledger.sqlite")
    run = tried(path, LESS, (2, 20), passport=GuardrailModel(sl_min=0.1))
    assert [(b.figure, b.bound, b.value) for b in run.broken] == [("asa_max", 1.5, 2.0)]
    notes = " ".join(run.notes)
    assert "today's guard-rails, judged though dropped: passport: asa_max" in notes
    assert "a later one than that of the time" in notes


def test_who_found_no_room_and_now_finds_it_is_as_patient_as_the_others(tmp_path: Path) -> None:
    """By hand: c1 waits for 30 s and leaves; c2, for whom there was no room then, does the same."""
    passport, *others = CITY.queues
    today = replace(CITY, queues=(replace(passport, maxlen=1), *others))
    calls = [(5.0, "passport", 300.0, 60.0), (20.0, "passport", 9.0, 30.0)]
    calls.append((25.0, "passport", 9.0, 1.0))
    path = played(calls, today, "anna").write(tmp_path / "ledger.sqlite")
    run = tried(path, CITY)
    now, then = run.now[PASSPORT], run.then[PASSPORT]
    assert now == run.really[PASSPORT]
    assert (now.offered, now.refused, now.abandoned) == (2, 1, 1)
    assert (then.offered, then.refused, then.abandoned, then.waiting) == (3, 0, 2, 0)


@pytest.mark.parametrize("fallback", [None, HOUSING])
def test_contacts_of_a_queue_that_is_gone(tmp_path: Path, fallback: QueueId | None) -> None:
    """They go to its fallback, or are said to have nowhere to go."""
    passport, *others = CITY.queues
    today = replace(CITY, queues=(replace(passport, fallback=fallback), *others))
    calls = [(5.0 + 20 * n, "passport", 10.0, 60.0) for n in range(3)]
    path = played(calls, today, "anna", "vera").write(tmp_path / "ledger.sqlite")
    run = tried(path, replace(CITY, version="v2", queues=tuple(others)))
    assert run.now[PASSPORT].answered == 3
    assert PASSPORT not in run.then
    if fallback is None:
        assert [one.then for one in run.worse] == [None] * 3
        assert "its queue is gone" in dryrun_text.text(run)
    else:
        assert (run.worse, run.then[fallback].answered) == ([], 3)


def test_what_both_runs_cannot_know_is_noted(hour: Path) -> None:
    agents = (*CITY.agents, replace(CITY.agents[0], agent_id=AgentId("zoya")))
    notes = " ".join(tried(hour, replace(CITY, agents=agents), (-100, 4000)).notes)
    assert "no login is on record: zoya" in notes
    assert "the ledger holds" in notes
    assert "the config changed" not in notes, "the first one of all is no change"
    assert "nobody gave up, so in both runs nobody does, in: housing" in notes
    assert "decides nothing otherwise" in " ".join(tried(hour).notes)


def test_whom_the_native_queue_answered_is_counted_once_and_said_to_be_left_out(
    tmp_path: Path,
) -> None:
    """c2 never reached a queue of ours; each start of the engine tells of both answers again."""
    center = Center()
    center.at(1).login("anna", "gleb")
    center.at(5).arrive("c1", "passport")
    center.at(7).answer("c1")
    center.at(9).arrive("c3", "passport")
    center.say(
        ev.ContactStarted(
            contact_id=ContactId("c2"), medium=Medium.VOICE, number="2026-ЦАО-000009", entry=""
        )
    )
    for second in (20, 30):
        center.at(second)
        for contact in ("c2", "c3"):
            center.say(ev.ContactDetached(contact_id=ContactId(contact)))
            answered = Instant(START + seconds(15))
            center.say(
                ev.FallbackAnswered(contact_id=ContactId(contact), agent_id=None, at=answered)
            )
    for contact in ("c1", "c2", "c3"):
        center.at(40).leave(contact)
    run = tried(center.write(tmp_path / "ledger.sqlite"))
    (note,) = [note for note in run.notes if "native queue" in note]
    assert note.startswith("2 contacts were answered by the native queue")
    assert "and 1 of them, who were in no queue of ours, are left out" in note
    assert run.now[PASSPORT].offered == 2


@pytest.mark.parametrize(("agent", "noted"), [("boris", True), ("gleb", False)])
def test_a_change_of_somebody_who_was_not_at_work_is_noted(
    hour: Path, agent: str, *, noted: bool
) -> None:
    run = tried(hour, without_skill(CITY, agent, "passport"))
    assert (
        f"not at work in that time, so their change shows nothing: {agent}" in run.notes
    ) is noted
    assert (run.then == run.now) is noted


def test_opening_hours_come_from_the_new_config(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    monday = Instant(1_795_402_800 * SECOND)  # 2026-11-23 06:00 in Moscow
    facts = opening_hours(config, monday, Instant(monday + 16 * 3600 * SECOND))
    of_passport = [
        ((at - monday) // (3600 * SECOND), event.open)
        for at, event in facts
        if isinstance(event, ev.HoursChanged) and event.queue == PASSPORT
    ]
    assert of_passport == [(0, False), (3, True), (7, False), (8, True), (12, False)]
    assert [e for _, e in facts if getattr(e, "queue", "") == "general"] == [
        ev.HoursChanged(queue=QueueId("general"), open=True)
    ]


# --- what is missing -----------------------------------------------------------------------------


def nobody_came(center: Center) -> None:
    center.login("anna")
    center.at(50).say(ev.AgentLoggedOut(agent_id=AgentId("anna")))


def nobody_answered(center: Center) -> None:
    center.login("anna")
    center.at(5).arrive("c1", "passport")
    center.at(6).leave("c1")
    center.at(50).say(ev.AgentLoggedOut(agent_id=AgentId("anna")))


@pytest.mark.parametrize(
    ("happens", "span", "said"),
    [
        (nobody_came, (0.5, 40), "no contact entered a queue"),
        (nobody_answered, (0.5, 40), "how long talks last is not on record"),
        (nobody_answered, (500, 900), "name a stretch within"),
        (nobody_answered, (40, 0.5), "no stretch of time"),
        (lambda center: center.steps.clear(), (0.5, 40), "the ledger is empty"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, happens: Callable[[Center], None], span: tuple[float, float], said: str
) -> None:
    center = Center()
    happens(center.at(1))
    path = center.write(tmp_path / "ledger.sqlite")
    with pytest.raises(HistoryError, match=said):
        tried(path, span=span)


def test_a_gapped_ledger_is_refused(hour: Path, tmp_path: Path) -> None:
    path = tmp_path / "gapped.sqlite"
    path.write_bytes(hour.read_bytes())
    change(path, "DELETE FROM event WHERE seq BETWEEN 300 AND 310")
    with pytest.raises(HistoryError, match="rows 300 to 310 are missing"):
        tried(path)
