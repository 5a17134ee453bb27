"""What must hold after (and during) a simulated history; each check names its finding in words.

The oracle is the fake Asterisk's own truth: who was really connected with whom, and when.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Disposition
from gkc_engine.acd.core import Acd
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import AgentView
from gkc_engine.ids import SECOND, AgentId, ContactId, OfferId, QueueId
from gkc_engine.recorder.rows import Step
from tests.fakes.asterisk_channel import Truth
from tests.simulation import city
from tests.simulation.center import EPOCH_US, Center
from tests.simulation.world import World

UNANSWERED = {
    Disposition.SELF_SERVED,
    Disposition.ABANDONED_MENU,
    Disposition.ABANDONED_SHORT,
    Disposition.ABANDONED,
    Disposition.FAILED_OPEN,
    Disposition.SYSTEM_FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How exact the records must be; seconds."""

    time_s: float = 2.0
    """Of waits and talks, against the truth."""
    place_may_differ: bool = False
    """Whether one who was never answered left us or the native queue: in the instants between our
    last record and our end, or the lease's, nobody can say."""
    missing_if_never_seen: bool = False
    """A call that no living engine ever took may have no record."""
    clock_steps: bool = False
    """The wall clock was stepped: instants of one run cannot be compared with another's."""


@dataclass(slots=True)
class Story:
    """One contact as the ledger tells it."""

    started: ev.ContactStarted
    ended: list[cm.ContactEnded] = field(default_factory=list)
    segments: list[cm.SegmentClosed] = field(default_factory=list)


def stories(steps: Sequence[Step]) -> dict[ContactId, Story]:
    """Return each contact's story."""
    found: dict[ContactId, Story] = {}
    for step in steps:
        if isinstance(step.event, ev.ContactStarted):
            found[step.event.contact_id] = Story(step.event)
        for command in step.commands:
            match command:
                case cm.ContactEnded():
                    found[command.contact_id].ended.append(command)
                case cm.SegmentClosed():
                    found[command.contact_id].segments.append(command)
                case _:
                    pass
    return found


def check_all(world: World, steps: Sequence[Step], bounds: Bounds) -> list[str]:
    """Return every finding."""
    told = stories(steps)
    by_leg: dict[str, list[Story]] = {}
    for story in told.values():
        by_leg.setdefault(story.started.uniqueid or "", []).append(story)
    found: list[str] = []
    for truth in world.pbx.truths.values():
        mine = by_leg.pop(truth.uniqueid, [])
        found += [f"call {truth.number}: {text}" for text in record_of(truth, mine, bounds)]
    found += [f"a record of a call that never was: {leg}" for leg in by_leg]
    for story in told.values():
        found += segments_tile(story)
    found += agents_do_one_thing(steps)
    found += replays_alike(steps)
    found += nobody_overtakes(steps)
    found += nothing_left(world.center)
    found += [f"overtaken in the fallback: {text}" for text in world.queues.overtaken]
    found += [f"loop: {text}" for text in world.loop.errors]
    return found


# --- records against the truth -----------------------------------------------------------------


def record_of(truth: Truth, mine: Sequence[Story], bounds: Bounds) -> Iterator[str]:
    """One record for a call, one disposition, and it says what happened."""
    if truth.torn:
        yield "its talk was cut by a lease"
    if not mine:
        if not (bounds.missing_if_never_seen and not truth.reached_engine):
            yield f"no record ({truth})"
        return
    if len(mine) > 1:
        yield f"{len(mine)} records"
    ends = [end for story in mine for end in story.ended]
    if len(ends) != 1:
        yield f"{len(ends)} ends ({truth})"
        return
    yield from says_what_happened(truth, ends[0], bounds)
    if not bounds.clock_steps:
        yield from times_agree(truth, mine[0], ends[0], bounds.time_s)


def says_what_happened(truth: Truth, end: cm.ContactEnded, bounds: Bounds) -> Iterator[str]:
    if truth.talks:
        talk = truth.talks[0]
        if end.disposition is not Disposition.ANSWERED:
            yield f"really answered by {talk}, recorded {end.disposition} {end.reason!r}"
            return
        if end.agent_id != city.AGENT_AT[talk.agent]:
            yield f"answered by {talk.agent}, recorded {end.agent_id}"
        if end.via != talk.via:
            yield f"answered via {talk.via}, recorded {end.via}"
        return
    if end.disposition not in UNANSWERED:
        yield f"never answered, recorded {end.disposition} ({truth})"
    expected = {
        "ring": {Disposition.ABANDONED, Disposition.ABANDONED_SHORT},
        "music": {Disposition.ABANDONED, Disposition.ABANDONED_SHORT},
        "native": {Disposition.FAILED_OPEN},
    }.get(truth.place)
    if expected and end.disposition not in expected and not bounds.place_may_differ:
        yield f"left in {truth.place}, recorded {end.disposition}"


def times_agree(truth: Truth, story: Story, end: cm.ContactEnded, within_s: float) -> Iterator[str]:
    """Start, end, answer and talk within the bound."""
    assert truth.left is not None
    pairs = [("ended", truth.left, end.ended - EPOCH_US)]
    if end.started - EPOCH_US - truth.arrived < -within_s * SECOND:
        yield f"started before it was there: {truth.arrived} {end.started - EPOCH_US}"
    if truth.talks and end.answered is not None:
        pairs.append(("answered", truth.talks[0].began, end.answered - EPOCH_US))
        talked = sum((t.ended or truth.left) - t.began for t in truth.talks)
        pairs.append(("talked", talked, end.talk_us + end.hold_us))
    for name, real, recorded in pairs:
        if abs(real - recorded) > within_s * SECOND:
            yield (
                f"{name} really {real / SECOND:.3f}, recorded {recorded / SECOND:.3f}"
                f" ({end.disposition} via {end.via}, {end.reason!r})"
            )
    del story


# --- the record by itself ----------------------------------------------------------------------


def segments_tile(story: Story) -> Iterator[str]:
    """Segments lie end to end from start to end, in their order."""
    if not story.ended:
        return
    end = story.ended[0]
    at = end.started
    for n, segment in enumerate(story.segments):
        if segment.n != n or segment.started != at or segment.ended < segment.started:
            yield f"{end.contact_id}: segment {segment} does not begin at {at}"
        at = segment.ended
    if at != end.ended:
        yield f"{end.contact_id}: segments end at {at}, the contact at {end.ended}"


def agents_do_one_thing(steps: Sequence[Step]) -> Iterator[str]:
    """An operator has one offer or one talk at a time, and his states follow one another."""
    last: dict[AgentId, int] = {}
    offered: dict[AgentId, OfferId] = {}
    for step in steps:
        for command in step.commands:
            match command:
                case cm.AgentStateChanged():
                    if command.since < last.get(command.agent_id, 0):
                        yield f"{command.agent_id}: {command.state} begins before the last state"
                    last[command.agent_id] = command.since
                case cm.OfferContact():
                    for agent_id in command.agent_ids:
                        if agent_id in offered:
                            yield f"{agent_id} is asked twice: {command}"
                        offered[agent_id] = command.offer_id
                case cm.OfferEnded() if offered.get(command.agent_id) == command.offer_id:
                    del offered[command.agent_id]
                case _:
                    pass


def replays_alike(steps: Sequence[Step]) -> Iterator[str]:
    """The ledger replayed gives the same commands: a restarted core is the same core."""
    acd = Acd()
    for step in steps:
        commands = acd.step(step.event, step.now)
        if commands != step.commands:
            yield f"replay differs at {step.now}: {step.event}"
            return


class Line:
    """Who waits in which queue since when, as the ledger tells it."""

    def __init__(self) -> None:
        self._waiting: dict[ContactId, tuple[QueueId, int]] = {}
        self._tried: dict[ContactId, set[AgentId]] = {}
        self._since: dict[ContactId, tuple[QueueId, int]] = {}

    def event(self, event: ev.Event) -> None:
        if isinstance(event, ev.ContactDetached | ev.ContactLeft):
            self._waiting.pop(event.contact_id, None)
        if isinstance(event, ev.EngineRestarted):
            self._waiting.clear()

    def command(self, command: cm.Command) -> Iterator[str]:
        match command:
            case cm.ContactQueued():
                self._since[command.contact_id] = (command.queue, command.enqueued)
            case cm.HoldContact():
                self._waiting[command.contact_id] = self._since[command.contact_id]
            case cm.OfferEnded():
                self._tried.setdefault(command.contact_id, set()).add(command.agent_id)
            case cm.ContactEnded() | cm.TreatContact() | cm.ReleaseContact():
                self._waiting.pop(command.contact_id, None)
            case cm.OfferContact():
                self._waiting.pop(command.contact_id, None)
                yield from self._before(command)
            case _:
                pass

    def _before(self, offer: cm.OfferContact) -> Iterator[str]:
        queue, mine = self._since[offer.contact_id]
        for other, (where, theirs) in self._waiting.items():
            able = not self._tried.get(other, set()) & set(offer.agent_ids)
            if where == queue and theirs < mine and able:
                yield f"{offer.contact_id} overtakes {other} in {queue}"


def nobody_overtakes(steps: Sequence[Step]) -> Iterator[str]:
    """Of those who wait in a queue, the one who came first is offered first.

    Not counted: an operator whom he was offered to before (he is not asked again for a while).
    """
    line = Line()
    for step in steps:
        line.event(step.event)
        for command in step.commands:
            yield from line.command(command)


# --- the engine after the last call ------------------------------------------------------------


def nothing_left(center: Center) -> Iterator[str]:
    """All calls are over: no registry remembers one, and every operator is free."""
    phone = center.phone
    registries = {
        "calls.by_leg": phone.calls.by_leg,
        "calls.by_contact": phone.calls.by_contact,
        "calls.by_agent_leg": phone.calls.by_agent_leg,
        "calls offered": phone.calls._offered,
        "foreign legs": [leg for legs in phone.facts.foreign.values() for leg in legs],
        "announcements told": center.announcements._told,
        "announcements asked": center.announcements._asked,
        "adopted": phone.entry_desk.adopted,
        "AGI sessions": range(phone.agi.sessions),
        "AGI handlers": range(len(phone.agi._tasks)),
        "phone tasks": range(max(0, len(phone._tasks) - 2)),  # the heartbeat and the patrol
        "contacts of the core": list(center.engine.acd.contacts()),
    }
    for name, registry in registries.items():
        if registry:
            yield f"left over in {name}: {registry}"
    for agent_id in center.engine.acd.agents():
        view = center.engine.acd.agent_view(agent_id)
        assert view is not None
        if view.state in (cm.AgentState.RESERVED, cm.AgentState.RINGING, cm.AgentState.TALK):
            yield f"{agent_id} is stuck in {view.state}"


# --- while it runs ------------------------------------------------------------------------------


WRAPUP_US = 4 * SECOND
"""The longest wrap-up of the city takes 3 s."""


class Watch:
    """Looked at several times a second: who waits although he could be served, who is stuck."""

    def __init__(self, world: World, patience_s: float) -> None:
        self._world = world
        self._patience_us = round(patience_s * SECOND)
        self._since: dict[str, int] = {}
        self.found: list[str] = []

    def look(self) -> None:
        """Note what has been wrong for longer than it may be."""
        now = self._world.loop.now_us
        wrong = set(self._wrong())
        for text in wrong:
            since = self._since.setdefault(text, now)
            allowed = WRAPUP_US if "wrap_up" in text else 0
            if now - since > self._patience_us + allowed and text not in self.found:
                self.found.append(f"at {now / SECOND:.2f} s: {text}")
                self._since[text] = now + 3_600 * SECOND
        for text in [t for t in self._since if t not in wrong]:
            del self._since[text]

    def _wrong(self) -> Iterator[str]:
        world, center = self._world, self._world.center
        if not center.ready or not center.process.alive or center.process.paused:
            return
        for leg in center.phone.calls.by_leg:
            if leg not in world.pbx.channels:
                yield f"zombie call {leg}"
        acd = center.engine.acd
        views = {a: v for a in acd.agents() if (v := acd.agent_view(a)) is not None}
        yield from self._phones(views)
        ready = [view for view in views.values() if view.can_take]
        for uniqueid, channel in world.pbx.channels.items():
            if channel.truth is None or channel.truth.place not in ("music", "native"):
                continue
            # "A running ring is left to finish, and an answer wins" (telephony contract).
            if not world.queues.rings_for(uniqueid):
                yield from self._forgotten(uniqueid, channel.truth, ready)

    def _phones(self, views: Mapping[AgentId, AgentView]) -> Iterator[str]:
        """What the core believes of an operator that his phone knows better."""
        world = self._world
        talking = {
            t.agent for truth in world.pbx.truths.values() for t in truth.talks if not t.ended
        }
        for phone in world.phones:
            view = views[AgentId(city.AGENT_AT[phone.interface])]
            busy = view.state in (cm.AgentState.RINGING, cm.AgentState.TALK)
            if phone.leg is None and view.state is cm.AgentState.WRAP_UP:
                yield f"{view.agent_id} is in wrap_up and nothing ends it"
            if phone.leg is None and busy:
                yield f"{view.agent_id} is in {view.state}, his phone is idle"
            # A talk from the native queue may count as a call of his own: he is not asked.
            if phone.interface in talking and view.can_take:
                yield f"{view.agent_id} talks, the core says {view.state}"

    def _forgotten(self, uniqueid: str, truth: Truth, ready: Sequence[AgentView]) -> Iterator[str]:
        center = self._world.center
        call = center.phone.calls.by_leg.get(uniqueid)
        view = None if call is None else center.phone.contact(call.contact_id)
        if view is None:
            if truth.place == "music":
                yield f"call {truth.number} hears music and nobody knows of him"
            return
        if truth.place == "music" and view.state is not ContactState.WAITING:
            yield f"call {truth.number} hears music, the core says {view.state}"
        if view.queue is None:
            return
        queue = self._world.center.config.queues[view.queue]
        # Who refused him before is not asked again for a while (P6).
        barred = center.engine.acd._world.contacts[view.contact_id].excluded
        for agent in ready:
            skilled = all(agent.skills.get(s, 0) >= n for s, n in queue.require.items())  # type: ignore[call-overload]
            if skilled and agent.agent_id not in barred:
                yield f"call {truth.number} waits in {truth.place}, {agent.agent_id} is ready"
