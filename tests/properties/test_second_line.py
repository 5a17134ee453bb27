"""A second line in random histories: who is handed on goes back in time, to whom he should.

A driver of its own: the seeds of the other histories stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd import second_line, snapshots
from gkc_engine.acd.settings import Medium, Settings
from gkc_engine.acd.state import AcdState, Contact, ContactState
from gkc_engine.acd.world import World
from gkc_engine.channels.phone.overflow import as_offer
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId
from tests.properties.city import QUEUES
from tests.properties.driver import Driver
from tests.properties.seeded import ACTIONS, Seeded, ways_of_many

HISTORIES = 60
EXPERTS = QUEUES[1]
RETURN_AFTER = Micros(4 * SECOND)
THERE = AgentId("sever:7")


class SecondLineDriver(Driver):
    """The usual life of a center, one queue of which is a second line."""

    def __init__(self, pick: Seeded, city: Settings) -> None:
        queues = (
            replace(q, return_after_us=RETURN_AFTER) if q.queue_id == EXPERTS else q
            for q in city.queues
        )
        self.returned = self.barred = self.handed_back = self.sent = 0
        super().__init__(replace(city, queues=tuple(queues)), pick, with_oracle=False)

    def actions(self) -> list[Callable[[], None]]:
        more = [*[self.hand_on] * 9, *[self.grant] * 4, *[self.ends_there] * 4]
        return [*super().actions(), *more, *[self.hand_back, self.snapshot] * 2]

    def talks(self) -> tuple[ContactId, AgentId] | None:
        views = (self.acd.contact_view(c) for c in self.contacts_in(ContactState.TALK))
        voice = (v for v in views if v is not None and v.medium is Medium.VOICE)
        known = [(v.contact_id, v.agent_id) for v in voice if v.agent_id]
        return self.one_of(known) if known else None

    def hand_on(self) -> None:
        if (talk := self.talks()) is None:
            return
        contact_id, agent_id = talk
        barred = self.one_of(["", "", "", "nobody"])
        said = self.apply(
            ev.TransferRequested(
                contact_id=contact_id, from_agent=agent_id, to_queue=EXPERTS, barred=barred
            )
        )
        back = [c for c in said if isinstance(c, cmd.OfferContact) and c.contact_id == contact_id]
        self.barred += bool(barred) and any(c.agent_ids == (agent_id,) for c in back)

    def hand_back(self) -> None:
        if (talk := self.talks()) is not None:
            contact_id, agent_id = talk
            self.send(ev.HandedBack(contact_id=contact_id, from_agent=agent_id))
            self.handed_back += 1

    def grant(self) -> None:
        if waiting := self.contacts_in(ContactState.WAITING):
            contact_id = self.one_of(waiting)
            self.sent += 1
            self.apply(
                ev.ReservationGranted(
                    contact_id=contact_id,
                    reservation_id=ContactId(f"r{self.sent}"),
                    center="sever",
                    agent_id=THERE,
                    until=Instant(self.now + 3 * SECOND),
                    timeout_us=Micros(8 * SECOND),
                )
            )

    def ends_there(self) -> None:
        """A talk there ends in one way or the other."""
        views = (self.acd.contact_view(c) for c in self.contacts_in(ContactState.TALK))
        there = [v.contact_id for v in views if v is not None and v.agent_id == THERE]
        if there:
            self.send(
                ev.TalkEnded(
                    contact_id=self.one_of(there),
                    agent_id=THERE,
                    end=self.one_of([*ev.TalkEnd]),
                    party=ev.Party.AGENT,
                )
            )

    def apply(self, event: ev.Event) -> list[cmd.Command]:
        before = self.checker.last
        offered = ContactState.OFFERED
        there = before.contacts if before is not None else []
        late = [c for c in there if c.back_due and c.state is offered]
        said = super().apply(event)
        sent = (c for c in said if isinstance(c, cmd.OverflowContact))
        self.offers.update({c.offer_id: as_offer(c) for c in sent})
        state = self.checker.last
        assert state is not None
        now = {contact.contact_id: contact for contact in state.contacts}
        for contact in now.values():
            self._look(state, contact)
        moved = {c.contact_id for c in said if isinstance(c, cmd.ContactQueued)}
        for contact in late:
            after = now.get(contact.contact_id)
            waits = after is not None and after.state is ContactState.WAITING
            if waits and contact.contact_id not in moved:  # A closed queue may lead there anew.
                reload = isinstance(event, ev.SettingsApplied)
                assert reload or not self._known(state, contact), contact
        reasons = [c.reason for c in said if isinstance(c, cmd.SegmentClosed)]
        self.returned += second_line.NOT_ANSWERED in reasons
        return said

    @staticmethod
    def _known(state: AcdState, contact: Contact) -> bool:
        """Return whether the queue that it came from, and the second line, are still there."""
        there = {s.settings.queue_id: s for s in state.queues if not s.draining}
        line = there.get(EXPERTS)
        is_one = line is not None and line.settings.return_after_us is not None
        return is_one and contact.sender_queue in there

    def _look(self, state: AcdState, contact: Contact) -> None:
        queues = {status.settings.queue_id: status for status in state.queues}
        known = self._known(state, contact)
        mine: QueueId | None = contact.queue
        if contact.sender_queue is None:
            assert contact.back_at is None, contact
            assert contact.sender is None, contact
        elif contact.state is ContactState.WAITING and mine in queues and known:
            is_one = queues[mine].settings.return_after_us is not None
            # At the very instant, what comes first of it may not have been handled yet.
            late = contact.back_at is not None and contact.back_at < state.now
            assert not (is_one and (late or contact.back_due)), contact


def history(seed: int) -> SecondLineDriver:
    pick = Seeded(seed)
    with ways_of_many(pick) as city:
        driver = SecondLineDriver(pick, city)
        for _ in range(ACTIONS):
            driver.act()
        driver.finish()
    return driver


def test_who_is_handed_on_is_never_lost() -> None:
    drivers = [history(seed) for seed in range(8)]
    reached = [
        sum(getattr(d, what) for d in drivers)
        for what in ("returned", "barred", "handed_back", "sent")
    ]
    assert all(reached), reached


# --- planted bugs ---------------------------------------------------------------------------------


def nobody_looks_at_the_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(second_line, "arm", lambda *_: None)


def a_restart_forgets_the_time(patch: pytest.MonkeyPatch) -> None:
    restore = snapshots.restore

    def planted(state: AcdState) -> World:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(second_line, "arm", lambda *_: None)
            return restore(state)

    patch.setattr(snapshots, "restore", planted)


def his_place_there_is_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(second_line, "leave_line", lambda *_: None)


def the_ring_that_is_open_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(second_line, "is_due", lambda *_: False)


@pytest.mark.parametrize(
    "plant",
    [
        nobody_looks_at_the_time,
        a_restart_forgets_the_time,
        his_place_there_is_kept,
        the_ring_that_is_open_is_forgotten,
    ],
    ids=lambda p: p.__name__,
)
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
