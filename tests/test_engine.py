"""The engine around the core: what it does when it stood still, hears twice, or starts again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import structlog

from gkc_engine import engine as module
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import OfferContact
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import Medium
from gkc_engine.config.loader import load_config
from gkc_engine.config.settings import to_settings
from gkc_engine.endings import end_tasks
from gkc_engine.engine import Engine, Step
from gkc_engine.errors import PeerError
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, OfferId, QueueId
from gkc_engine.recorder import rows
from gkc_engine.recorder.ledger import engine_version
from gkc_engine.recorder.recovery import Recovery
from gkc_engine.recovered import recovered_core
from tests.channels.world import CITY, T0, HandClock, Memory, at
from tests.simulation.loop import SimLoop

PASSPORT = QueueId("passport")


def waiting(n: int) -> Sequence[ev.Event]:
    contact_id = ContactId(f"c{n}")
    return (
        ev.ContactStarted(
            contact_id=contact_id, medium=Medium.VOICE, number=str(n), entry="+74951112233"
        ),
        ev.QueueRequested(contact_id=contact_id, queue=PASSPORT),
    )


class Running:
    """An engine with a core of the acceptance city."""

    def __init__(self) -> None:
        self.clock, self.memory = HandClock(), Memory()
        self.engine = Engine(Acd(), self.clock, self.memory)
        self.task = asyncio.get_running_loop().create_task(self.engine.run())

    async def said(self, *events: ev.Event) -> None:
        for event in events:
            self.engine.submit(event)
        await self.engine.drain()

    def offers(self) -> list[OfferContact]:
        return [c for s in self.memory.steps for c in s.commands if isinstance(c, OfferContact)]

    async def stop(self) -> None:
        await end_tasks([self.task])


async def day() -> Running:
    """One citizen is answered, another waits, one leaves."""
    run = Running()
    await run.said(ev.SettingsApplied(settings=to_settings(load_config(CITY))))
    await run.said(ev.AgentLoggedIn(agent_id=AgentId("anna")), *waiting(1))
    (offer,) = run.offers()
    run.clock.moment = at(2)
    await run.said(ev.OfferAccepted(offer_id=offer.offer_id, agent_id=AgentId("anna"), at=at(2)))
    await run.said(*waiting(2), *waiting(3))
    run.clock.moment = at(5)
    await run.said(ev.ContactLeft(contact_id=ContactId("c3"), party=ev.Party.CITIZEN, at=at(5)))
    return run


async def test_after_a_standstill_nothing_is_offered_from_what_was_believed_before() -> None:
    run = await day()
    told: list[int] = []
    run.engine.on_stood_still = told.append
    run.engine._alive -= 9.0  # as after SIGCONT: the loop's clock went on without it
    anna = AgentId("anna")
    await run.said(
        ev.TalkEnded(
            contact_id=ContactId("c1"),
            agent_id=anna,
            end=ev.TalkEnd.RELEASED,
            party=ev.Party.AGENT,
        )
    )
    kinds = [type(s.event).__name__ for s in run.memory.steps[-2:]]
    assert kinds == ["EngineRestarted", "TalkEnded"]
    assert len(run.offers()) == 1, "the one who waited is in the native queue by now"
    assert 8.9 * SECOND < told[0] < 10 * SECOND
    await run.said(ev.ContactAttached(contact_id=ContactId("c2")))
    assert len(run.offers()) == 2
    await run.stop()


def test_a_loop_that_turns_is_not_taken_for_one_that_stood_still() -> None:
    """In a time of its own: a real loop may stand still, on a machine with others at work."""

    async def work() -> list[str]:
        run = Running()
        await asyncio.sleep(3 * module.STILL_S)
        await run.said(ev.SettingsApplied(settings=to_settings(load_config(CITY))))
        await run.stop()
        return [type(s.event).__name__ for s in run.memory.steps]

    loop = SimLoop()  # type: ignore[abstract]
    try:
        assert loop.run_until_complete(work()) == ["SettingsApplied"]
    finally:
        loop.close()


async def test_a_fact_told_twice_is_stepped_once_also_after_a_restart() -> None:
    run = Running()
    started, _ = waiting(1)
    run.engine.restore(at(3), [("ami", "left:old")])
    run.engine.submit(started, source="ami", key="started:a")
    run.engine.submit(started, source="ami", key="started:a")
    run.engine.submit(started, source="ami", key="left:old")
    await run.engine.drain()
    assert len(run.memory.steps) == 1
    assert run.engine.repeats_total == 2
    assert run.engine.has_taken("ami", "started:a")
    assert not run.engine.has_taken("ami", "started:b")
    assert run.memory.steps[0].now == at(3), "time does not go back over a restart"
    await run.stop()


async def test_the_clock_may_go_back_but_the_engines_time_does_not() -> None:
    run = await day()
    run.clock.moment = Instant(T0 - 3600 * SECOND)
    await run.said(*waiting(4))
    instants = [s.now for s in run.memory.steps]
    assert instants == sorted(instants)
    run.clock.moment = Instant(T0 + 3600 * SECOND)
    await run.said(*waiting(5))
    assert run.engine.now() == T0 + 3600 * SECOND
    await run.stop()


def recovery(steps: Sequence[Step], version: str | None) -> Recovery:
    tail = [
        rows.Step(
            now=s.now,
            event=s.event,
            source=s.source,
            source_key=s.source_key,
            commands=list(s.commands),
            config_version=s.config_version,
        )
        for s in steps
    ]
    return Recovery(
        snapshot_state=None,
        snapshot_seq=0,
        snapshot_engine=version,
        tail=tail,
        recent_source_keys=[],
        last_numbers={},
        next_offer_id=OfferId(1),
        settings=None,
        last_now=steps[-1].now,
    )


async def test_a_replay_gives_the_same_commands_and_the_same_core() -> None:
    run = await day()
    await run.stop()
    with structlog.testing.capture_logs() as logs:
        acd = recovered_core(recovery(run.memory.steps, engine_version()))
    assert [entry for entry in logs if entry["event"] == "replay_differs"] == []
    assert {"event": "replayed", "steps": len(run.memory.steps), "differences": 0}.items() <= logs[
        -1
    ].items()
    assert acd.snapshot() == run.engine.acd.snapshot()


@pytest.mark.parametrize(("version", "told"), [(engine_version(), 1), ("0.0.0-other", 0)])
async def test_a_replay_that_differs_is_said_unless_the_version_did(
    version: str, told: int
) -> None:
    run = await day()
    await run.stop()
    tail = recovery(run.memory.steps, version)
    next(s for s in tail.tail if s.commands).commands.clear()
    with structlog.testing.capture_logs() as logs:
        recovered_core(tail)
    assert len([entry for entry in logs if entry["event"] == "replay_differs"]) == told


async def turns() -> None:
    """Let the engine do all it can do without the clock."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_facts_share_a_commit_and_an_action_waits_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An hour: who lingers before an action, or does not hear of a later one, fails by timeout.
    monkeypatch.setattr(module, "LINGER_S", 3600.0)
    run = await day()
    groups: list[list[str]] = []
    write = run.memory.write

    async def noted(steps: Sequence[Step]) -> None:
        groups.append([type(s.event).__name__ for s in steps])
        await write(steps)

    monkeypatch.setattr(run.memory, "write", noted)
    done = asyncio.Event()
    run.engine.attach(lambda command, _: done.set() if isinstance(command, OfferContact) else None)
    started, _ = waiting(4)
    run.engine.submit(started)
    await turns()
    run.engine.submit(ev.HoldStarted(contact_id=ContactId("c1"), agent_id=AgentId("anna")))
    await turns()
    assert groups == []
    ended = ev.TalkEnded(
        contact_id=ContactId("c1"),
        agent_id=AgentId("anna"),
        end=ev.TalkEnd.RELEASED,
        party=ev.Party.AGENT,
    )
    run.engine.submit(ended)
    async with asyncio.timeout(5):
        await done.wait()
    assert groups == [["ContactStarted", "HoldStarted", "TalkEnded"]]
    await run.stop()


async def test_a_fact_alone_is_written_down_when_nothing_follows() -> None:
    run = await day()
    written, committed = len(run.memory.steps), asyncio.Event()
    run.engine.observe(lambda _: committed.set())
    started, _ = waiting(4)
    run.engine.submit(started)
    async with asyncio.timeout(5):
        await committed.wait()
    assert len(run.memory.steps) == written + 1
    await run.stop()


async def test_what_is_logged_while_a_command_is_carried_out_names_the_contact() -> None:
    run = await day()

    def raises(command: object, _now: Instant) -> None:
        if isinstance(command, OfferContact):
            raise PeerError("no more")

    run.engine.attach(raises)
    merge = structlog.contextvars.merge_contextvars
    with structlog.testing.capture_logs(processors=[merge]) as logs:
        await run.said(ev.AgentLoggedIn(agent_id=AgentId("boris")))
        structlog.get_logger().info("after")
    (failed, after) = (e for e in logs if e["event"] in ("perform_failed", "after"))
    assert failed["contact_id"] == run.offers()[-1].contact_id == "c2"
    assert "contact_id" not in after
    await run.stop()
