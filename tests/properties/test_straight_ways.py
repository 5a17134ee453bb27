"""The short ways say what the long ways say, word for word, and leave the same behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import pytest

from gkc_engine.acd import contacts
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Command, OfferContact
from gkc_engine.acd.core import Acd
from gkc_engine.acd.hands import Hands
from gkc_engine.acd.queues import Queue
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, RelaxStep, Settings
from gkc_engine.acd.state import AcdState, Agent, Contact
from gkc_engine.acd.world import World
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId, SkillId
from tests.properties.seeded import history

SEEDS = (*range(20), 21, 28, 33, 47, 51, 62)
"""Every rule of the door that is forgotten is found by one of them, but for hours and a step that
begins at once: those have tests of their own."""

MANY = range(400)


@cache
def _by_the_short_way(seed: int) -> list[Command | AcdState]:
    """Of the code as it is: asked before anything is patched."""
    with pytest.MonkeyPatch.context() as patch:
        return _lived(seed, patch)


def _lived(seed: int, patch: pytest.MonkeyPatch) -> list[Command | AcdState]:
    """Return everything that the core says in a history, and what it remembers after its steps."""
    lived: list[Command | AcdState] = []
    step = Acd.step

    def heard(self: Acd, event: ev.Event, now: Instant) -> list[Command]:
        out = step(self, event, now)
        lived.extend(out)
        if len(lived) % 8 == 0:
            lived.append(self.snapshot())
        return out

    with patch.context() as inner:
        inner.setattr(Acd, "step", heard)
        history(seed, with_oracle=False)
    return lived


def _never_straight(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Queue, "look_at_the_door", lambda _self: None)


def _always_settled(patch: pytest.MonkeyPatch) -> None:
    def settled(self: Hands, agent: Agent) -> None:
        self.settle(agent, seeks=True)

    patch.setattr(Hands, "freed", settled)


def _aged_by_lining_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "age", World.line_up)


LONG_WAYS = [_never_straight, _always_settled, _aged_by_lining_up]


@pytest.mark.parametrize("long_way", LONG_WAYS)
def test_the_short_way_says_what_the_long_way_says(
    long_way: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _compare(SEEDS, long_way, monkeypatch)


@pytest.mark.long
@pytest.mark.parametrize("long_way", LONG_WAYS)
def test_in_many_histories_too(
    long_way: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _compare(MANY, long_way, monkeypatch)


def _compare(
    seeds: Iterable[int],
    long_way: Callable[[pytest.MonkeyPatch], None],
    patch: pytest.MonkeyPatch,
) -> None:
    short = {seed: _by_the_short_way(seed) for seed in seeds}
    long_way(patch)
    for seed, lived in short.items():
        assert _lived(seed, patch) == lived, seed


def test_a_step_that_begins_at_once_is_begun_at_the_door() -> None:
    now, queue, anna = Instant(1_790_000_000 * SECOND), QueueId("q"), AgentId("anna")
    rules = QueueSettings(
        queue_id=queue,
        require={SkillId("tax"): 5},
        relax=(RelaxStep(after_us=Micros(0), require={SkillId("tax"): 1}),),
    )
    acd = Acd()
    staff = (AgentSettings(agent_id=anna, skills={SkillId("tax"): 1}),)
    acd.step(ev.SettingsApplied(settings=Settings(version="1", queues=(rules,), agents=staff)), now)
    acd.step(ev.AgentLoggedIn(agent_id=anna), now)
    citizen = ContactId("c")
    acd.step(ev.ContactStarted(contact_id=citizen, medium=Medium.VOICE, number="", entry=""), now)
    said = acd.step(ev.QueueRequested(contact_id=citizen, queue=queue), now)
    assert [c.agent_ids for c in said if isinstance(c, OfferContact)] == [(anna,)]


def test_the_short_way_in_is_taken_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above compares the long way with itself."""
    ways = {"short": 0, "long": 0}
    before, after = contacts._straight_in, contacts.enter_queue

    def short(world: World, contact: Contact, queue: Queue, queue_id: QueueId) -> None:
        ways["short"] += 1
        before(world, contact, queue, queue_id)

    def long(*args: object, **more: object) -> None:
        ways["long"] += 1
        after(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(contacts, "_straight_in", short)
    monkeypatch.setattr(contacts, "enter_queue", long)
    for seed in SEEDS:
        history(seed, with_oracle=False)
    assert ways["short"] > 30, ways
    assert ways["long"] > 30, ways
