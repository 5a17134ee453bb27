"""The heap of what is due loses nothing when it drops the dead."""

from __future__ import annotations

from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import Contact
from gkc_engine.acd.timers import DueLine, Kind, Timer, Timers, What
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant


def waiting(name: str, sequence: int) -> Contact:
    contact = Contact(contact_id=ContactId(name), medium=Medium.VOICE, started=Instant(0))
    contact.sequence = contact.entry = sequence
    return contact


def alive(timer: Timer) -> bool:
    """As the core has it, but that no offer is open."""
    due, _, rank, *_, ref = timer
    return isinstance(ref, DueLine) and ref.next_due() == (due, rank)


def test_a_line_whose_head_left_is_still_armed_when_many_timers_died() -> None:
    timers, line = Timers(alive, {}), DueLine(What.STEP)
    gone, stays = waiting("gone", 1), waiting("stays", 2)
    timers.add(line, Instant(60 * SECOND), gone)
    timers.add(line, Instant(61 * SECOND), stays)
    gone.entry = 0
    for n in range(5_000):
        timers.push(Instant(n), Kind.AGENT_ABLE, 0, What.REST, AgentId(f"a{n}"))
    head = timers.head()
    assert head is not None
    assert (head[0], head[6]) == (61 * SECOND, line)
