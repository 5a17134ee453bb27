"""The short ways say what the long ways say, word for word, and leave the same behind."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from gkc_engine.acd import contacts
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Command
from gkc_engine.acd.core import Acd
from gkc_engine.acd.hands import Hands
from gkc_engine.acd.queues import Queue
from gkc_engine.acd.state import AcdState, Agent, Contact
from gkc_engine.acd.world import World
from gkc_engine.ids import Instant, QueueId
from tests.properties.seeded import history

SEEDS = range(60)


@cache
def _by_the_short_way() -> list[list[Command | AcdState]]:
    """Of the code as it is: asked before anything is patched."""
    with pytest.MonkeyPatch.context() as patch:
        return [_lived(seed, patch) for seed in SEEDS]


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


@pytest.mark.parametrize("long_way", [_never_straight, _always_settled, _aged_by_lining_up])
def test_the_short_way_says_what_the_long_way_says(
    long_way: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = _by_the_short_way()
    long_way(monkeypatch)
    assert [_lived(seed, monkeypatch) for seed in SEEDS] == short


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
