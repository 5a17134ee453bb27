"""One history at a time, told to core, oracle, restored twin and invariants at once."""

from __future__ import annotations

from typing import TypeVar

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import Medium, Settings
from gkc_engine.acd.state import ContactState
from gkc_engine.ids import AgentId, ContactId, Instant, OfferId
from tests.properties import invariants
from tests.properties.city import LETTERS
from tests.properties.oracle import Oracle
from tests.properties.support import Pick, decisions

T = TypeVar("T")


class Wiring:
    """Tells everybody of each event, and holds what they say against each other."""

    def __init__(self, settings: Settings, pick: Pick, *, with_oracle: bool) -> None:
        self.pick = pick
        self.acd = Acd()
        self.twin: Acd | None = None
        self.now = Instant(0)
        self.settings = settings
        self.oracle = Oracle(settings) if with_oracle else None
        self.checker = invariants.Checker()
        self.ledger: list[tuple[ev.Event, Instant, list[cmd.Command]]] = []
        self.arrived = 0
        self.citizens: dict[ContactId, str | None] = {}
        self.voice = [q.queue_id for q in settings.queues if q.medium is Medium.VOICE]
        self.letters = LETTERS in {q.queue_id for q in settings.queues}
        self.offers: dict[OfferId, cmd.OfferContact] = {}
        self.apply(ev.SettingsApplied(settings=settings))

    def one_of(self, items: list[T]) -> T:
        return items[self.pick.number(0, len(items) - 1)]

    def apply(self, event: ev.Event) -> list[cmd.Command]:
        before = self.checker.before(self.acd)
        commands = self.acd.step(event, self.now)
        self.ledger.append((event, self.now, commands))
        if self.twin is not None:
            assert self.twin.step(event, self.now) == commands, "a restored core acts otherwise"
        self.offers.update({c.offer_id: c for c in commands if isinstance(c, cmd.OfferContact)})
        self.checker.after(self.acd, before, event, commands)
        return commands

    def send(self, event: ev.Event) -> None:
        commands = self.apply(event)
        if self.oracle is not None:
            said = self.oracle.step(event, self.now)
            assert decisions(commands) == said, (
                f"{event}\ncore {decisions(commands)}\noracle {said}"
            )
            self.compare()

    def send_result(
        self, contact_id: ContactId, event: ev.OfferAccepted | ev.OfferFailed, outcome: str
    ) -> None:
        commands = self.apply(event)
        if self.oracle is not None:
            said = self.oracle.offer_event(contact_id, outcome, event.agent_id, self.now)
            assert decisions(commands) == said, (
                f"{event}\ncore {decisions(commands)}\noracle {said}"
            )
            self.compare()

    def compare(self) -> None:
        """The oracle and the core agree on everybody, not only on what was said."""
        assert self.oracle is not None
        for agent in self.oracle.agents.values():
            view = self.acd.agent_view(AgentId(agent.name))
            assert view is not None
            able = any(self.oracle.able(agent, medium) for medium in agent.media)
            assert view.can_take == able, agent
            assert (view.paused, view.misses) == (agent.pause is not None, agent.misses), agent
            assert not able or view.idle_since == agent.idle_since, agent
            assert view.skills == agent.skills, agent
            parked = [slot.state is cmd.AgentState.HOLD for slot in view.slots]
            assert parked == [self.oracle.parked(agent, slot) for slot in agent.slots], agent
        assert set(self.acd.contacts()) == set(self.oracle.contacts)
        for contact in self.oracle.contacts.values():
            seen = self.acd.contact_view(ContactId(contact.name))
            assert seen is not None
            assert seen.state.value == contact.state, contact
            assert seen.state is not ContactState.WAITING or seen.step == contact.step, contact
            assert (seen.queue or "") == contact.queue, contact
            assert seen.enqueued == contact.enqueued, contact
            assert seen.enqueued is None or seen.sequence == contact.seq, contact

    def contacts_in(self, *states: ContactState) -> list[ContactId]:
        views = [self.acd.contact_view(c) for c in self.acd.contacts()]
        return [v.contact_id for v in views if v is not None and v.state in states]

    def chance(self, percent: int) -> bool:
        return self.pick.number(0, 99) < percent

    def finish(self) -> None:
        """Replay: the same events give the same commands (and the last checks of the stream)."""
        again = Acd()
        for event, now, commands in self.ledger:
            assert again.step(event, now) == commands, "replay differs"
        self.checker.finish(self.acd)
