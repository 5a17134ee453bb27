"""Citizens put through outside in random histories: what is promised, and planted bugs."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import core, outbound, put_through, snapshots
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import Settings
from gkc_engine.acd.state import AcdState, ContactState
from gkc_engine.acd.world import World
from gkc_engine.ids import SECOND, ContactId
from tests.properties.seeded import ACTIONS, Seeded, ways_of_many
from tests.properties.test_outbound import CAPS, OutboundDriver

HISTORIES = 40


class PutThroughDriver(OutboundDriver):
    """The usual life of a center, in which agents call outside and put citizens through."""

    def __init__(self, pick: Seeded, city: Settings) -> None:
        super().__init__(pick, city)
        self.outside: set[ContactId] = set()
        """Citizens who ring or talk outside."""
        self.came_back = self.barred = self.talked = 0

    def actions(self) -> list[Callable[[], None]]:
        return [*super().actions(), *[self.put] * 6, *[self.other_answers] * 3, self.other_ends]

    def put(self) -> None:
        talks = (self.acd.contact_view(c) for c in self.contacts_in(ContactState.TALK))
        known = [v for v in talks if v is not None and v.agent_id and not v.outbound]
        if not known:
            return
        view = self.one_of(known)
        assert view.agent_id is not None
        last_hour = self.dialled.get(view.agent_id, [])
        last_hour = [at for at in last_hour if self.now - at < 3600 * SECOND]
        running = len(self.outside) + sum(c in self.calls for c in self.acd.contacts())
        there = self.acd.agent_view(view.agent_id) is not None
        said = self.apply(
            ev.PutThrough(
                contact_id=view.contact_id,
                from_agent=view.agent_id,
                outside="key",
                barred=self.one_of(["", "", "", "night"]),
            )
        )
        if any(isinstance(c, cmd.DialOut) for c in said):
            assert running < CAPS.concurrent or not there
            assert len(last_hour) < CAPS.per_operator_hour
            self.dialled[view.agent_id] = [*last_hour, self.now]
            self.outside.add(view.contact_id)
        else:
            back = [c for c in said if isinstance(c, cmd.OfferContact)]
            mine = [c for c in back if c.contact_id == view.contact_id]
            self.barred += any(c.agent_ids == (view.agent_id,) for c in mine)

    def other_answers(self) -> None:
        if dialling := [c for c in self.contacts_in(ContactState.DIALLING) if c in self.outside]:
            contact_id = self.one_of(dialling)
            if self.chance(60):
                self.send(ev.OutboundAnswered(contact_id=contact_id, leg="leg"))
                return
            if detached := self.chance(30):
                self.send(ev.ContactDetached(contact_id=contact_id))
            self.outside.discard(contact_id)
            self.came_back += 1
            failure = self.one_of([*ev.OutboundFailure])
            said = self.apply(ev.OutboundFailed(contact_id=contact_id, failure=failure))
            ours = [c for c in said if isinstance(c, cmd.HoldContact | cmd.OfferContact)]
            assert not detached or all(c.contact_id != contact_id for c in ours), said

    def other_ends(self) -> None:
        if talking := [c for c in self.contacts_in(ContactState.EXTERNAL) if c in self.outside]:
            self.talked += 1
            contact_id = self.one_of(talking)
            self.outside.discard(contact_id)
            self.send(ev.OutsideEnded(contact_id=contact_id, party=ev.Party.OUTSIDE))

    def apply(self, event: ev.Event) -> list[cmd.Command]:
        said = super().apply(event)
        for command in said:
            if isinstance(command, cmd.SegmentClosed):
                outside = command.kind is cmd.SegmentKind.EXTERNAL
                assert not outside or command.outside is not None, command
            if isinstance(command, cmd.ContactEnded):
                self.outside.discard(command.contact_id)
        return said

    def _in_hand(self) -> None:
        state = self.checker.last
        assert state is not None
        for contact in state.contacts:
            if contact.state in (ContactState.DIALLING, ContactState.EXTERNAL):
                assert contact.contact_id in self.calls or contact.agent is None, contact
            if contact.outside is not None:
                assert contact.state in (ContactState.DIALLING, ContactState.EXTERNAL), contact


def history(seed: int) -> PutThroughDriver:
    pick = Seeded(seed)
    with ways_of_many(pick) as city:
        driver = PutThroughDriver(pick, city)
        for _ in range(ACTIONS):
            driver.act()
        driver.finish()
    return driver


def test_who_is_put_through_is_never_lost() -> None:
    drivers = [history(seed) for seed in range(6)]
    reached = [sum(getattr(d, what) for d in drivers) for what in ("came_back", "barred", "talked")]
    assert all(reached), reached


# --- planted bugs ---------------------------------------------------------------------------------


def the_cap_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(put_through, "over_cap", lambda *_: "")


def he_is_not_let_out_of_the_cap(patch: pytest.MonkeyPatch) -> None:
    restore = snapshots.restore

    def planted(state: AcdState) -> World:
        world = restore(state)
        world.outbound = {c for c in world.outbound if world.contacts[c].outbound}
        return world

    patch.setattr(snapshots, "restore", planted)


def he_waits_though_nobody_holds_him(patch: pytest.MonkeyPatch) -> None:
    handlers = cast(dict[object, object], core._HANDLERS)
    failed = outbound.failed

    def planted(world: World, event: ev.OutboundFailed) -> None:
        contact = world.contacts.get(event.contact_id)
        if contact is not None:
            contact.held = True
        failed(world, event)
        if contact is not None:
            contact.held = False

    patch.setitem(handlers, ev.OutboundFailed, planted)


def his_place_is_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "count_in", lambda *_: None)


@pytest.mark.parametrize(
    "plant",
    [
        the_cap_is_forgotten,
        he_is_not_let_out_of_the_cap,
        he_waits_though_nobody_holds_him,
        his_place_is_not_counted,
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
