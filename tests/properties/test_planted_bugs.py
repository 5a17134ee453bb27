"""Every check is seen to fail: a bug is planted in the core, and some history must find it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, cast

import pytest

from gkc_engine.acd import (
    agents,
    commands,
    contacts,
    core,
    hands,
    matching,
    offers,
    presence,
    reload,
    results,
    routing,
)
from gkc_engine.acd import events as ev
from gkc_engine.acd.idle import tail_of
from gkc_engine.acd.lazyheap import LineEntry
from gkc_engine.acd.lines import EMPTY, Head, Line
from gkc_engine.acd.matchspace import MatchSpace, Req
from gkc_engine.acd.queues import Queue
from gkc_engine.acd.settings import AgentSettings
from gkc_engine.acd.state import Agent, Contact, ContactState
from gkc_engine.acd.world import World
from gkc_engine.ids import Instant
from tests.properties.seeded import NEIGHBOURS, SUPERVISED, first_failure, history

HANDLERS: dict[object, object] = cast(Any, core._HANDLERS)
Plant = Callable[[pytest.MonkeyPatch], None]
Bug = tuple[Plant, int]
"""What plants it, and a seed whose history finds it: tried first, so that this stays cheap."""


# --- bugs that an invariant finds -----------------------------------------------------------------


def agent_who_is_free_again_gets_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(routing, "serve_agent", lambda *_: None)


def last_comes_first(patch: pytest.MonkeyPatch) -> None:
    order_key = World.order_key

    def planted(self: World, contact: Contact) -> tuple[int, int, int]:
        rank, key, seq = order_key(self, contact)
        return rank, -key, -seq

    patch.setattr(World, "order_key", planted)


def everybody_is_qualified(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("gkc_engine.acd.matchspace.meets", lambda *_: True)


def talk_takes_a_slot_that_is_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(presence, "find_slot", lambda *_: 0)


def segment_begins_too_early(patch: pytest.MonkeyPatch) -> None:
    next_segment = World.next_segment

    def planted(self: World, contact: Contact, *args: object) -> Instant:
        ended = Instant(next_segment(self, contact, *args) - 1)  # type: ignore[arg-type]
        contact.segment_started = ended
        return ended

    patch.setattr(World, "next_segment", planted)


def contact_lives_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(presence, "_forget", lambda *_: None)


def failed_offer_costs_the_place(patch: pytest.MonkeyPatch) -> None:
    come_back = contacts.come_back

    def planted(world: World, contact: Contact) -> None:
        contact.enqueued = world.now
        come_back(world, contact)

    patch.setattr(results, "come_back", planted)


def stale_event_is_answered(patch: pytest.MonkeyPatch) -> None:
    attached = presence.attached

    def planted(world: World, event: ev.ContactAttached) -> None:
        if event.contact_id not in world.contacts:
            world.out.append(commands.EventRejected(kind="ContactAttached", reason="?"))
        attached(world, event)

    patch.setitem(HANDLERS, ev.ContactAttached, planted)


def timer_makes_no_progress(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(agents, "agent_timer", lambda *_: None)


def restored_core_forgets_timers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "arm_agent", lambda *_: None)


def something_outside_the_events_decides(patch: pytest.MonkeyPatch) -> None:
    order_key, n = World.order_key, count()

    def planted(self: World, contact: Contact) -> tuple[int, int, int]:
        rank, key, seq = order_key(self, contact)
        return rank, key + next(n) * 7_000_003 % 60_000_000, seq

    patch.setattr(World, "order_key", planted)


def reload_drops_a_contact(patch: pytest.MonkeyPatch) -> None:
    settings_applied = reload.settings_applied

    def planted(world: World, event: ev.SettingsApplied) -> None:
        for contact in list(world.contacts.values())[:1]:
            if contact.state is ContactState.WAITING:
                contacts.leave_line(world, contact)
                world.contacts.pop(contact.contact_id)
        settings_applied(world, event)

    patch.setitem(HANDLERS, ev.SettingsApplied, planted)


def who_waits_by_changed_rules_stays(patch: pytest.MonkeyPatch) -> None:
    steps_alike = Queue.steps_alike

    def planted(self: Queue, before: Queue) -> frozenset[int]:
        same = steps_alike(self, before)
        return frozenset(range(len(self.steps))) if same else same

    patch.setattr(Queue, "steps_alike", planted)


def config_that_took_slots_away_is_not_heeded(patch: pytest.MonkeyPatch) -> None:
    resize = reload._resize

    def planted(agent: Agent, settings: AgentSettings) -> None:
        before = dict(agent.capacity)
        resize(agent, settings)
        agent.capacity = {m: max(n, before.get(m, 0)) for m, n in agent.capacity.items()}

    patch.setattr(reload, "_resize", planted)


def queue_of_a_former_config_goes_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Queue, "waits_alike", lambda *_: True)


def offer_ends_twice(patch: pytest.MonkeyPatch) -> None:
    end_leg = offers.end_leg

    def planted(world: World, *rest: object) -> object:
        agent = end_leg(world, *rest)  # type: ignore[arg-type]
        world.out.append(world.out[-1])
        return agent

    patch.setattr(results, "end_leg", planted)


INVARIANTS: list[tuple[Plant, int, str]] = [
    (agent_who_is_free_again_gets_nothing, 0, "is ready"),
    (last_comes_first, 51, "overtakes"),
    (everybody_is_qualified, 0, "lacks"),
    (talk_takes_a_slot_that_is_taken, 61, "reservations|TALK"),
    (segment_begins_too_early, 0, "do not tile|does not tile"),
    (contact_lives_on, 0, "lives on"),
    (failed_offer_costs_the_place, 0, "Contact"),
    (stale_event_is_answered, 0, "gone"),
    (timer_makes_no_progress, 0, "no progress"),
    (restored_core_forgets_timers, 3, "restored core"),
    (something_outside_the_events_decides, 6, "replay|restored|overtakes"),
    (who_waits_by_changed_rules_stays, 86, "restored core|is ready|lacks|overtakes"),
    (reload_drops_a_contact, 18, "drops a contact|vanished"),
    (queue_of_a_former_config_goes_on, 9, "restored core|is ready|lacks|overtakes"),
    (offer_ends_twice, 0, "KeyError"),
    (config_that_took_slots_away_is_not_heeded, 10, "more than"),
]


@pytest.mark.parametrize(
    ("plant", "seed", "finding"), INVARIANTS, ids=lambda p: getattr(p, "__name__", "")
)
def test_invariant_finds(
    plant: Plant, seed: int, finding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    failure = first_failure(seed, with_oracle=False)
    assert failure is not None, "nobody noticed"
    assert any(word in failure for word in finding.split("|")), failure


# --- bugs that only the oracle finds --------------------------------------------------------------


def last_in_the_config_wins_a_tie(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hands, "tail_of", lambda rank, profile: tail_of(99 - rank, profile))


def no_head_start(patch: pytest.MonkeyPatch) -> None:
    order_key = World.order_key

    def planted(self: World, contact: Contact) -> tuple[int, int, int]:
        rank, key, sequence = order_key(self, contact)
        return rank, key if contact.enqueued is None else contact.enqueued, sequence

    patch.setattr(World, "order_key", planted)


def the_same_agent_is_asked_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(results, "exclude", lambda *_: None)


def misses_have_no_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(results, "_pause_by_itself", lambda *_: None)


def room_without_walls(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(contacts, "_no_room", lambda *_: False)


def withdrawn_agent_goes_to_the_end(patch: pytest.MonkeyPatch) -> None:
    def planted(world: World, freed: list[Agent]) -> None:
        for agent in freed:
            routing.became_ready(world, agent)

    patch.setattr(presence, "resume_agents", planted)


def steps_are_not_reached(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(agents, "set_step", lambda *_: None)


def who_comes_forward_elsewhere_is_overlooked(patch: pytest.MonkeyPatch) -> None:
    def planted(line: Line, head: Head, entry: LineEntry) -> None:
        nobody, line.req.profiles = line.req.profiles, []
        forward(line, head, entry)
        line.req.profiles = nobody

    forward = Line._come_forward
    patch.setattr(Line, "_come_forward", planted)


def who_stood_behind_one_of_the_next_step_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def planted(line: Line) -> None:
        if line.top is None:
            line._heads[line.index] = EMPTY
            line._occupied.discard(line.index)
        else:
            renew(line)

    renew = Line.renew
    patch.setattr(Line, "renew", planted)


def a_reload_forgets_what_is_in_use(patch: pytest.MonkeyPatch) -> None:
    def planted(space: MatchSpace, used: set[Req]) -> None:
        forget(space, used - {min(used, key=lambda req: sorted(req.need.items()))})

    forget = MatchSpace.forget
    patch.setattr(MatchSpace, "forget", planted)


def strategies_are_all_alike(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(matching, "_score", lambda *_: 0)


def specialists_are_not_spared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(matching, "_breadth", lambda *_: 1)


def occupancy_counts_for_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "occupied", lambda *_: (0, 0))


def laws_are_all_alike(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(matching, "_law", lambda _w, _l, _p, entry: entry[:2])


def nobody_is_preferred(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(contacts, "_prefer_last", lambda *_: None)


def detached_contact_is_short_abandoned(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(presence, "_disposition", lambda *_: commands.Disposition.ABANDONED_SHORT)


ORACLE: list[Bug] = [
    (last_in_the_config_wins_a_tie, 1),
    (no_head_start, 2),
    (the_same_agent_is_asked_at_once, 1),
    (misses_have_no_end, 0),
    (room_without_walls, 1),
    (withdrawn_agent_goes_to_the_end, 2),
    (steps_are_not_reached, 0),
    (who_comes_forward_elsewhere_is_overlooked, 1),
    (who_stood_behind_one_of_the_next_step_is_forgotten, 28),
    (a_reload_forgets_what_is_in_use, 2),
    (strategies_are_all_alike, 13),
    (specialists_are_not_spared, 27),
    (occupancy_counts_for_nothing, 3),
    (laws_are_all_alike, 9),
    (nobody_is_preferred, 10),
    (detached_contact_is_short_abandoned, 0),
]


@pytest.mark.parametrize(("plant", "seed"), ORACLE, ids=lambda p: getattr(p, "__name__", ""))
def test_oracle_finds(plant: Plant, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert first_failure(seed, with_oracle=True) is not None, "nobody noticed"


@pytest.mark.parametrize("with_oracle", [True, False])
def test_without_a_bug_nothing_is_found(with_oracle: bool) -> None:
    for first in (0, SUPERVISED, NEIGHBOURS):
        for seed in range(first, first + 8):
            history(seed, with_oracle=with_oracle)
