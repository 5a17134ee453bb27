from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import (
    AgentSettings,
    ContactClass,
    Medium,
    QueueSettings,
    RelaxStep,
    Settings,
    Treatment,
)
from gkc_engine.ids import SECOND, AgentId, ContactId, Micros, QueueId, SkillId
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.queue_log import QueueLog
from gkc_engine.recorder.queue_log_file import QueueLogFile
from tests.recorder.places import Place
from tests.recorder.support import PASSPORT, START, History

T = START // SECOND
SKILL = SkillId("passport")


def city() -> Settings:
    queue = QueueSettings(
        queue_id=PASSPORT,
        require={SKILL: 3},
        relax=(RelaxStep(after_us=Micros(30 * SECOND), require={SKILL: 1}),),
    )
    return Settings(
        version="v",
        queues=(queue, QueueSettings(queue_id=QueueId("tax"), require={SkillId("tax"): 1})),
        agents=(AgentSettings(agent_id=AgentId("anna"), skills={SKILL: 1}),),
    )


def lines(history: History) -> list[str]:
    return QueueLog().lines(history.steps)


def test_an_answered_call_reads_as_asterisk_writes_it() -> None:
    history = History()
    history.talk("c1", "anna", ring_s=3, talk_s=60)
    assert [x for x in lines(history) if "MEMBER" not in x] == [
        f"{T + 2}|c1.1|passport|NONE|ENTERQUEUE|||1",
        f"{T + 5}|c1.1|passport|anna|CONNECT|3||3",
        f"{T + 65}|c1.1|passport|anna|COMPLETECALLER|3|60|1",
    ]


def test_a_hold_is_no_second_connection() -> None:
    history = History()
    history.arrive("c1")
    for state in (cm.AgentState.TALK, cm.AgentState.HOLD, cm.AgentState.TALK):
        history.step(ev.Tick(), history.state("anna", state, "c1"))
    assert [line.split("|")[4] for line in lines(history)] == ["ENTERQUEUE", "CONNECT"]


def test_a_letter_that_ends_while_parked_is_complete() -> None:
    history = History()
    history.talk("c1", "anna")
    for step in history.steps:
        for command in step.commands:
            if isinstance(command, cm.SegmentClosed) and command.kind is cm.SegmentKind.TALK:
                command.kind = cm.SegmentKind.PARKED
    assert [line.split("|")[4] for line in lines(history)][-1] == "COMPLETECALLER"


def test_who_hangs_up_is_told_apart() -> None:
    history = History()
    history.talk("c1", "anna")
    for step in history.steps:
        for command in step.commands:
            if isinstance(command, cm.SegmentClosed) and command.kind is cm.SegmentKind.TALK:
                command.outcome = cm.SegmentOutcome.RELEASED
    assert [line.split("|")[4] for line in lines(history)][-1] == "COMPLETEAGENT"


def test_an_abandoned_call_names_its_positions_and_its_wait() -> None:
    history = History()
    history.arrive("c0", citizen="hash0")
    history.arrive("c1")
    history.abandon("c2", 7)
    assert lines(history) == [
        f"{T + 2}|c0.1|passport|NONE|ENTERQUEUE||hash0|1",
        f"{T + 4}|c1.1|passport|NONE|ENTERQUEUE|||2",
        f"{T + 6}|c2.1|passport|NONE|ENTERQUEUE|||3",
        f"{T + 13}|c2.1|passport|NONE|ABANDON|3|3|7",
    ]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [(cm.Disposition.TIMEOUT, "EXITWITHTIMEOUT"), (cm.Disposition.NO_AGENT, "EXITEMPTY")],
)
def test_a_treated_call_leaves_once(disposition: cm.Disposition, name: str) -> None:
    history = History()
    started = history.arrive("c1")
    queued = history.now
    treat = cm.TreatContact(
        contact_id=ContactId("c1"), disposition=disposition, treatment=Treatment()
    )
    history.after(60).step(ev.Tick(), treat)
    history.after(5).step(ev.Tick(), history.ended("c1", started, queued, None, None, 0, 0))
    assert lines(history)[1:] == [f"{T + 62}|c1.1|passport|NONE|{name}|1|1|60"]


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (cm.OfferOutcome.NO_ANSWER, "RINGNOANSWER"),
        (cm.OfferOutcome.REFUSED, "RINGNOANSWER"),
        (cm.OfferOutcome.WITHDRAWN, "RINGCANCELED"),
        (cm.OfferOutcome.RESCINDED, "RINGCANCELED"),
    ],
)
def test_a_ring_without_a_talk_is_in_milliseconds(outcome: cm.OfferOutcome, name: str) -> None:
    history = History()
    history.arrive("c1")
    queued = history.now
    offer = history.offered("c1", "anna")
    history.after(1.5).step(ev.Tick(), history.offer_ended("c1", "anna", offer, queued, outcome))
    assert f"{T + 3}|c1.1|passport|anna|{name}|1500" in lines(history)


@pytest.mark.parametrize(
    ("event", "rest"),
    [
        (
            ev.TransferRequested(
                contact_id=ContactId("c1"), from_agent=AgentId("anna"), to_queue=QueueId("tax")
            ),
            "BLINDTRANSFER|tax||0|30|1",
        ),
        (
            ev.TransferCompleted(
                contact_id=ContactId("c1"), from_agent=AgentId("anna"), to_agent=AgentId("ben")
            ),
            "ATTENDEDTRANSFER|AGENT|ben|0|30|1",
        ),
        (
            ev.TransferCompleted(
                contact_id=ContactId("c1"), from_agent=AgentId("anna"), to_external="+79990001122"
            ),
            "ATTENDEDTRANSFER|EXTERNAL||0|30|1",
        ),
    ],
)
def test_a_transfer_names_its_goal_but_no_outside_number(event: ev.Event, rest: str) -> None:
    history = History()
    history.arrive("c1")
    offer = history.offered("c1", "anna")
    at = history.now
    history.step(
        ev.OfferAccepted(offer_id=offer, agent_id=AgentId("anna")),
        history.offer_ended("c1", "anna", offer, at, cm.OfferOutcome.ACCEPTED),
        history.state("anna", cm.AgentState.TALK, "c1"),
    )
    history.after(30).step(
        event, history.segment("c1", 2, cm.SegmentKind.TALK, at, cm.SegmentOutcome.TRANSFERRED)
    )
    assert lines(history)[-1] == f"{T + 32}|c1.1|passport|anna|{rest}"


def test_a_shift_shows_membership_and_pauses_of_the_queues_served() -> None:
    history = History()
    history.step(ev.SettingsApplied(settings=city()))
    paused = history.state("anna", cm.AgentState.NOT_READY)
    paused.reason = "обед|x\ny"
    for change in (
        history.state("anna", cm.AgentState.READY),
        paused,
        history.state("anna", cm.AgentState.READY),
        history.state("anna", cm.AgentState.OFFLINE),
    ):
        history.step(ev.Tick(), change)
    assert [line.split("|", 1)[1] for line in lines(history)] == [
        "NONE|passport|anna|ADDMEMBER|",
        "NONE|NONE|anna|PAUSEALL|обед_x_y",
        "NONE|passport|anna|PAUSE|обед_x_y",
        "NONE|NONE|anna|UNPAUSEALL|",
        "NONE|passport|anna|UNPAUSE|",
        "NONE|passport|anna|REMOVEMEMBER|",
    ]


def test_a_move_closes_the_first_queue_and_a_repeat_writes_nothing() -> None:
    history = History()
    history.arrive("c1")
    again = history.steps[-1].commands[-1]
    history.step(ev.Tick(), again)
    moved = cm.ContactQueued(
        contact_id=ContactId("c1"),
        queue=QueueId("tax"),
        enqueued=history.now,
        sequence=1,
        contact_class=ContactClass.NORMAL,
        head_start_us=Micros(0),
        medium=Medium.VOICE,
    )
    history.after(4).step(ev.Tick(), moved)
    assert [line.split("|")[2:5:2] for line in lines(history)] == [
        ["passport", "ENTERQUEUE"],
        ["passport", "EXITWITHTIMEOUT"],
        ["tax", "ENTERQUEUE"],
    ]


def test_a_result_code_is_written() -> None:
    history = History()
    history.talk("c1", "anna")
    code = cm.WrapUpResult(agent_id=AgentId("anna"), contact_id=ContactId("c1"), code="ok")
    history.step(ev.Tick(), code)
    assert lines(history)[-1].endswith("|anna|CALLSTATUS|ok")


def test_after_a_restart_the_running_calls_go_on(place: Place) -> None:
    history = History()
    history.configured()
    started = history.arrive("c1", citizen="hash")
    queued = history.now
    store = place.store()
    store.open()
    store.append(batch_of(history.steps, "centr"))
    store.settle()
    log = QueueLog()
    with store.transaction() as connection:
        log.prime(connection, city())
    end = history.after(9).step(ev.Tick(), history.ended("c1", started, queued, None, None, 0, 0))
    assert log.lines([end]) == [f"{T + 11}|c1.1|passport|NONE|ABANDON|1|1|9"]
    store.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[QueueLogFile]:
    file = QueueLogFile(tmp_path / "queue_log", QueueLog())
    yield file
    file.reopen()


def test_a_rotated_file_is_left_alone_after_reopening(file: QueueLogFile, tmp_path: Path) -> None:
    history = History()
    history.arrive("c1")
    file(history.steps)
    (tmp_path / "queue_log").rename(tmp_path / "queue_log.1")
    file.reopen()
    history = History()
    history.arrive("c2")
    file(history.steps)
    assert (tmp_path / "queue_log.1").read_text().count("\n") == 1
    assert "c2.1|passport" in (tmp_path / "queue_log").read_text()


def test_a_disk_that_fails_costs_no_line(file: QueueLogFile, tmp_path: Path) -> None:
    (tmp_path / "queue_log").mkdir()
    history = History()
    history.arrive("c1")
    file(history.steps)
    assert file.failures == 1
    (tmp_path / "queue_log").rmdir()
    later = History()
    later.arrive("c2")
    file(later.steps)
    text = (tmp_path / "queue_log").read_text()
    assert [line.split("|")[1] for line in text.splitlines()] == ["c1.1", "c2.1"]


def test_a_disk_that_takes_half_a_line_has_it_whole_afterwards(
    file: QueueLogFile, tmp_path: Path
) -> None:
    path = tmp_path / "queue_log"
    history = History()
    history.arrive("c1")
    file(history.steps)
    one = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (one + 10, hard))
    later = History()
    later.arrive("c2")
    try:
        with capture_logs():  # The limit is on pytest's own files, too.
            file(later.steps)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (file.failures, path.stat().st_size) == (1, one)
    last = History()
    last.arrive("c3")
    file(last.steps)
    calls = [line.split("|")[1] for line in path.read_text().splitlines()]
    assert calls == ["c1.1", "c2.1", "c3.1"]
