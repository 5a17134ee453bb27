"""Calls of agents' own in random histories: what they promise, and planted bugs against it.

A driver and cities of their own: the seeds of the other histories stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import core, offers, outbound, routing, snapshots
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Medium, OutboundSettings, Settings
from gkc_engine.acd.state import AcdState, ContactState, Work
from gkc_engine.acd.world import World
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros
from tests.properties.driver import Driver
from tests.properties.seeded import ACTIONS, Seeded, ways_of_many

HISTORIES = 60
CAPS = OutboundSettings(per_operator_hour=6, concurrent=2, wrapup_us=Micros(3 * SECOND))


class OutboundDriver(Driver):
    """The usual life of a center, in which agents also call outside."""

    def __init__(self, pick: Seeded, city: Settings) -> None:
        super().__init__(replace(city, outbound=CAPS), pick, with_oracle=False)
        self.calls: dict[ContactId, AgentId] = {}
        self.dialled: dict[AgentId, list[Instant]] = {}

    def actions(self) -> list[Callable[[], None]]:
        return [*super().actions(), *[self.dial] * 6, *[self.far_answers] * 4, self.far_fails]

    def dial(self) -> None:
        agent_id, contact_id = self.agent(), ContactId(f"o{len(self.calls)}")
        self.calls[contact_id] = agent_id
        before = self.acd.agent_view(agent_id)
        running = sum(c in self.calls for c in self.acd.contacts())
        last_hour = [at for at in self.dialled.get(agent_id, ()) if self.now - at < 3600 * SECOND]
        said = self.apply(
            ev.OutboundStarted(
                contact_id=contact_id,
                agent_id=agent_id,
                number="2026-ЦАО-2",
                barred=self.one_of(["", "", "", "night"]),
            )
        )
        if before is None:
            return  # gone from the config
        allowed = any(isinstance(c, cmd.DialOut) for c in said)
        if allowed:
            assert before.logged_in, "who is not at work calls"
            assert running < CAPS.concurrent, "more calls than the center may have"
            assert len(last_hour) < CAPS.per_operator_hour, "more calls than he may make"
            self.dialled[agent_id] = [*last_hour, self.now]
        else:
            (end,) = (c for c in said if isinstance(c, cmd.ContactEnded))
            assert end.disposition is cmd.Disposition.BARRED

    def outbound_in(self, *states: ContactState) -> list[ContactId]:
        return [c for c in self.contacts_in(*states) if c in self.calls]

    def far_answers(self) -> None:
        if dialling := self.outbound_in(ContactState.DIALLING):
            self.send(ev.OutboundAnswered(contact_id=self.one_of(dialling)))

    def far_fails(self) -> None:
        if calls := self.outbound_in(ContactState.DIALLING, ContactState.TALK):
            failure = self.one_of([*ev.OutboundFailure])
            self.send(ev.OutboundFailed(contact_id=self.one_of(calls), failure=failure))

    def apply(self, event: ev.Event) -> list[cmd.Command]:
        said = super().apply(event)
        for command in said:
            match command:
                case cmd.ContactQueued() | cmd.OfferContact() | cmd.HoldContact():
                    assert command.contact_id not in self.calls, "a call out stands in a queue"
                case cmd.ContactEnded() if command.contact_id in self.calls:
                    assert (command.queue, command.first_queued) == (None, None), command
                    talked = command.disposition is cmd.Disposition.ANSWERED
                    assert talked is (command.answered is not None), command
                case _:
                    pass
        self._in_hand()
        return said

    def _in_hand(self) -> None:
        """Who is in a call out is not free for another: a slot of his, or none, holds it."""
        state = self.checker.last
        assert state is not None
        agents = {a.agent_id: a for a in state.agents}
        for contact in state.contacts:
            if contact.contact_id not in self.calls:
                assert contact.state is not ContactState.DIALLING, contact
                continue
            agent = agents.get(contact.agent) if contact.agent is not None else None
            if agent is None or contact.state not in (ContactState.DIALLING, ContactState.TALK):
                continue
            voice = [slot for slot in agent.slots if slot.medium is Medium.VOICE]
            held = any(slot.contact == contact.contact_id for slot in voice)
            full = all(slot.work is not Work.FREE for slot in voice)
            assert held or full or contact.contact_id in agent.beyond, (contact, agent)


def history(seed: int) -> OutboundDriver:
    pick = Seeded(seed)
    with ways_of_many(pick) as city:
        driver = OutboundDriver(pick, city)
        for _ in range(ACTIONS):
            driver.act()
        driver.finish()
    return driver


def test_calls_out_keep_every_promise() -> None:
    drivers = [history(seed) for seed in range(6)]
    ends = [
        c.disposition
        for driver in drivers
        for _, _, said in driver.ledger
        for c in said
        if isinstance(c, cmd.ContactEnded) and c.contact_id in driver.calls
    ]
    want = {cmd.Disposition.ANSWERED, cmd.Disposition.BARRED, cmd.Disposition.CANCELLED}
    assert want <= set(ends), "the histories reach too little"


# --- planted bugs ---------------------------------------------------------------------------------


def calls_without_a_slot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbound, "_seize", lambda *_: None)


def caps_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbound, "_barred", lambda *_: "")


def calls_in_progress_are_forgotten_by_a_snapshot(patch: pytest.MonkeyPatch) -> None:
    restore = snapshots.restore

    def planted(state: AcdState) -> World:
        world = restore(state)
        world.outbound.clear()
        return world

    patch.setattr(snapshots, "restore", planted)


def talk_of_a_call_out_goes_to_the_queue(patch: pytest.MonkeyPatch) -> None:
    """As if media were lost: a call out must never come to stand anywhere."""
    handlers = cast(dict[object, object], core._HANDLERS)

    def planted(world: World, event: ev.OutboundAnswered) -> None:
        contact = world.contacts[event.contact_id]
        contact.queue = next(iter(world.queues))
        outbound.answered(world, event)

    patch.setitem(handlers, ev.OutboundAnswered, planted)


def slot_stays_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(routing, "free_slot", lambda *_: None)
    patch.setattr(offers, "free_slot", lambda *_: None)


PLANTS = [
    calls_without_a_slot,
    caps_are_forgotten,
    calls_in_progress_are_forgotten_by_a_snapshot,
    talk_of_a_call_out_goes_to_the_queue,
    slot_stays_taken,
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda p: p.__name__)
def test_histories_find(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    for seed in range(HISTORIES):
        try:
            history(seed)
        except (AssertionError, KeyError):
            return
    pytest.fail("nobody noticed")
