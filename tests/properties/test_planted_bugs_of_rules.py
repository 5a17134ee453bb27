"""As ``test_planted_bugs.py``: bugs in the rules P4 to P9 that only the oracle can find."""

from __future__ import annotations

import pytest

from gkc_engine.acd import (
    agents,
    contacts,
    core,
    matching,
    matchspace,
    offers,
    places,
    presence,
    routing,
    skills,
    staffing,
)
from gkc_engine.acd import events as ev
from gkc_engine.acd.events import Phone
from gkc_engine.acd.idle import IDLE_SINCE_SHIFT, Place
from gkc_engine.acd.queues import Queue
from gkc_engine.acd.settings import EmptyFactor
from gkc_engine.acd.state import Agent, Contact, Work
from gkc_engine.acd.world import World
from gkc_engine.ids import Instant, SkillId
from tests.properties.seeded import first_failure
from tests.properties.test_planted_bugs import Bug

# --- P4 -------------------------------------------------------------------------------------------


def everybody_may_join(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Queue, "may_join", lambda *_: True)


def nobody_leaves_an_empty_queue(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(staffing.LeaveLine, "stranded", lambda _: False)


def pauses_and_phones_are_no_factors(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(staffing, "_of_agent", lambda _: 0)


def unknown_phone_is_a_known_one(patch: pytest.MonkeyPatch) -> None:
    of_agent = staffing._of_agent

    def planted(agent: Agent) -> int:
        unknown = agent.reachable and agent.phone is Phone.UNKNOWN
        return of_agent(agent) & ~(staffing.BIT[EmptyFactor.UNKNOWN] if unknown else 0)

    patch.setattr(staffing, "_of_agent", planted)


def phone_that_does_not_exist_is_only_away(patch: pytest.MonkeyPatch) -> None:
    of_agent = staffing._of_agent

    def planted(agent: Agent) -> int:
        phone, agent.phone = agent.phone, Phone.KNOWN
        bits = of_agent(agent)
        agent.phone = phone
        return bits

    patch.setattr(staffing, "_of_agent", planted)


def wrap_up_is_in_use(patch: pytest.MonkeyPatch) -> None:
    of_work = dict(staffing._OF_WORK) | {Work.WRAP_UP: staffing.BIT[EmptyFactor.INUSE]}
    patch.setattr(staffing, "_OF_WORK", of_work)


def ring_is_no_factor(patch: pytest.MonkeyPatch) -> None:
    of_work = dict(staffing._OF_WORK) | {Work.OFFER: staffing._OF_WORK[Work.FREE]}
    patch.setattr(staffing, "_OF_WORK", of_work)


def only_the_present_step_counts(patch: pytest.MonkeyPatch) -> None:
    def planted(self: staffing.LeaveLine) -> bool:
        return not self.staffs[0].live

    patch.setattr(staffing.LeaveLine, "stranded", planted)


def unstaffed_wait_is_not_awaited(patch: pytest.MonkeyPatch) -> None:
    join = staffing.LeaveLine.join

    def planted(self: staffing.LeaveLine, contact: Contact, now: Instant) -> None:
        after, self.after_us = self.after_us, type(self.after_us)(0)
        join(self, contact, now)
        self.after_us = after

    patch.setattr(staffing.LeaveLine, "join", planted)


def another_centers_help_is_none(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(core._HANDLERS, ev.StaffedElsewhere, lambda *_: None)  # type: ignore[misc]


def end_of_another_centers_help_is_not_heard(patch: pytest.MonkeyPatch) -> None:
    def planted(world: World, event: ev.StaffedElsewhere) -> None:
        world.queues[event.queue].status.staffed_elsewhere = event.staffed
        world.queues[event.queue].elsewhere.live = int(event.staffed)

    patch.setitem(core._HANDLERS, ev.StaffedElsewhere, planted)  # type: ignore[misc]


def reload_forgets_another_centers_help(patch: pytest.MonkeyPatch) -> None:
    watch = Queue._watch_staff

    def planted(self: Queue, *args: staffing.Staffing) -> None:
        watch(self, *args)
        self.elsewhere.live = 0

    patch.setattr(Queue, "_watch_staff", planted)


def another_centers_help_opens_no_door(patch: pytest.MonkeyPatch) -> None:
    may_join = Queue.may_join

    def planted(self: Queue, step: int) -> bool:
        live, self.elsewhere.live = self.elsewhere.live, 0
        joins = may_join(self, step)
        self.elsewhere.live = live
        return joins

    patch.setattr(Queue, "may_join", planted)


def changed_skills_leave_the_counts_as_they_were(patch: pytest.MonkeyPatch) -> None:
    def planted(self: World, agent: Agent) -> None:
        self.count_login(agent, -1)
        if agent.profile >= 0:
            self.set_aside(agent)
        agent.profile = self.space.profile(agent.skills)
        self.count_login(agent, +1)

    patch.setattr(World, "profile_agent", planted)


# --- resume_within --------------------------------------------------------------------------------


def nobody_has_his_old_place(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(contacts, "take_place", lambda *_: False)


def places_are_kept_for_ever(patch: pytest.MonkeyPatch) -> None:
    take_place = places.take_place

    def planted(world: World, contact: Contact, queue: Queue) -> bool:
        started, contact.started = contact.started, Instant(0)
        taken = take_place(world, contact, queue)
        contact.started = started
        return taken

    patch.setattr(contacts, "take_place", planted)


def place_is_taken_twice(patch: pytest.MonkeyPatch) -> None:
    take_place = places.take_place

    def planted(world: World, contact: Contact, queue: Queue) -> bool:
        kept = dict(world.places)
        taken = take_place(world, contact, queue)
        world.places = kept
        return taken

    patch.setattr(contacts, "take_place", planted)


def system_that_hangs_up_keeps_the_place(patch: pytest.MonkeyPatch) -> None:
    leave_line = contacts.leave_line

    def planted(world: World, contact: Contact) -> None:
        if contact.state in contacts.IN_LINE:
            places.keep_place(world, contact)
        leave_line(world, contact)

    patch.setattr(presence, "leave_line", planted)


def resumed_contact_is_refused(patch: pytest.MonkeyPatch) -> None:
    take_place = places.take_place

    def planted(world: World, contact: Contact, queue: Queue) -> bool:
        take_place(world, contact, queue)
        return False

    patch.setattr(contacts, "take_place", planted)


# --- P8 -------------------------------------------------------------------------------------------


def nothing_is_parked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "_park", lambda *_: None)


def parked_contact_does_not_come_back(patch: pytest.MonkeyPatch) -> None:
    park = World._park

    def planted(self: World, agent: Agent) -> None:
        if not any(slot.parked for slot in agent.slots):
            park(self, agent)

    patch.setattr(World, "_park", planted)


def nothing_is_interrupted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "interrupts", lambda *_: False)


def media_do_not_exclude_each_other(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "excludes", lambda *_: False)


def media_exclude_in_one_direction(patch: pytest.MonkeyPatch) -> None:
    def planted(self: World, one: object, other: object) -> bool:
        rule = self.settings.blending.get(one)  # type: ignore[call-overload]
        return rule is not None and other in rule.excludes

    patch.setattr(World, "excludes", planted)


def own_call_takes_no_slot(patch: pytest.MonkeyPatch) -> None:
    shut_out = World.shut_out

    def planted(self: World, agent: Agent, medium: object) -> int:
        calls, agent.calls = agent.calls, {}
        bits = shut_out(self, agent, medium)  # type: ignore[arg-type]
        agent.calls = calls
        return bits

    patch.setattr(World, "shut_out", planted)


def second_handling_leaves_the_idle_time(patch: pytest.MonkeyPatch) -> None:
    def planted(world: World, agent: Agent, slot: object) -> None:
        offers.free_slot(slot)  # type: ignore[arg-type]
        if all(slot.work is Work.FREE for slot in agent.slots):
            agent.idle_since = world.now

    patch.setattr(routing, "handling_over", planted)
    patch.setattr(agents, "handling_over", planted)


def failed_offer_is_made_again_to_the_other_slot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "set_aside", lambda *_: None)


# --- the rest -------------------------------------------------------------------------------------


def priority_acts_with_the_next_offer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(contacts, "_reorder", lambda *_: None)


def skills_of_the_shift_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(skills, "end_of_shift", lambda *_: None)


def override_of_a_skill_has_no_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "arm_override", lambda *_: None)


def override_ends_at_logout_whatever_its_end(patch: pytest.MonkeyPatch) -> None:
    end_of_shift = skills.end_of_shift

    def planted(world: World, agent: Agent) -> None:
        end_of_shift(world, agent)
        agent.overrides = {}
        skills.put(agent, skills.base(agent))
        world.profile_agent(agent)

    patch.setattr(skills, "end_of_shift", planted)


def override_is_for_those_to_come(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(agents, "skills_moved", lambda world, agent: world.profile_agent(agent))


def override_adds_to_the_level(patch: pytest.MonkeyPatch) -> None:
    def planted(agent: Agent, own: dict[SkillId, int]) -> None:
        over = {s: o.level for s, o in agent.overrides.items()}
        agent.under = own if over else None
        agent.skills = {s: n for s, n in {**over, **own}.items() if n}

    patch.setattr(skills, "put", planted)


def ring_all_rings_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(routing, "all_agents", lambda world, c: matching.all_agents(world, c)[:1])


def wide_requirement_loses_who_is_idle(patch: pytest.MonkeyPatch) -> None:
    push = matchspace.Req.push

    def planted(self: matchspace.Req, medium: object, place: Place) -> None:
        if (place >> IDLE_SINCE_SHIFT) % 3:
            push(self, medium, place)  # type: ignore[arg-type]

    patch.setattr(matchspace.Req, "push", planted)


def emergency_forgets_who_was_being_offered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("gkc_engine.acd.results.come_back", routing.wait_again)


BUGS: list[Bug] = [
    (everybody_may_join, 18),
    (nobody_leaves_an_empty_queue, 2),
    (pauses_and_phones_are_no_factors, 18),
    (unknown_phone_is_a_known_one, 19),
    (phone_that_does_not_exist_is_only_away, 19),
    (wrap_up_is_in_use, 19),
    (ring_is_no_factor, 56),
    (only_the_present_step_counts, 4),
    (unstaffed_wait_is_not_awaited, 59),
    (another_centers_help_is_none, 2001),
    (end_of_another_centers_help_is_not_heard, 2019),
    (reload_forgets_another_centers_help, 2001),
    (another_centers_help_opens_no_door, 2174),
    (changed_skills_leave_the_counts_as_they_were, 2),
    (nobody_has_his_old_place, 0),
    (places_are_kept_for_ever, 14),
    (place_is_taken_twice, 2),
    (system_that_hangs_up_keeps_the_place, 0),
    (resumed_contact_is_refused, 6),
    (nothing_is_parked, 36),
    (parked_contact_does_not_come_back, 118),
    (nothing_is_interrupted, 10),
    (media_do_not_exclude_each_other, 0),
    (media_exclude_in_one_direction, 0),
    (own_call_takes_no_slot, 0),
    (second_handling_leaves_the_idle_time, 4),
    (failed_offer_is_made_again_to_the_other_slot, 8),
    (priority_acts_with_the_next_offer, 20),
    (skills_of_the_shift_stay, 84),
    (override_of_a_skill_has_no_end, 1001),
    (override_ends_at_logout_whatever_its_end, 1013),
    (override_is_for_those_to_come, 1001),
    (override_adds_to_the_level, 1000),
    (ring_all_rings_one, 9),
    (wide_requirement_loses_who_is_idle, 1),
    (emergency_forgets_who_was_being_offered, 1),
]


@pytest.mark.parametrize(("plant", "seed"), BUGS, ids=lambda p: getattr(p, "__name__", ""))
def test_oracle_finds(plant: object, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(plant)
    plant(monkeypatch)
    assert first_failure(seed, with_oracle=True) is not None, "nobody noticed"
