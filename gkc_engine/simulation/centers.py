"""Several centers on one virtual clock: real cores, the real protocol between them, no faults.

Citizens come as Poisson streams, operators answer at once; what one center says to another, and a
call over a trunk, take a constant time. What fails, and who is told what twice, is played in
``tests/federation``; here it is measured how long citizens wait.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, NamedTuple

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, Settings
from gkc_engine.federation.messages import QueueLoad
from gkc_engine.federation.peers import State
from gkc_engine.federation.protocol import EVERYBODY, Federation, Send
from gkc_engine.federation.settings import FederationSettings, OverflowRule
from gkc_engine.ids import (
    AgentId,
    ContactId,
    Instant,
    Micros,
    OfferId,
    QueueId,
    abroad,
    seconds,
)
from gkc_engine.simulation.plan import Arrival

QUEUE: Final = QueueId("q")
"""The one queue of every center."""

IN_TIME_US: Final = seconds(20)
"""``servicelevel``."""

_NOW_US: Final = seconds(30 * 60)
"""The window of a service level of now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One center, and whom it asks."""

    name: str
    operators: int
    rules: tuple[OverflowRule, ...] = ()
    keep_free: int = 0
    own_sl_min_milli: int = 0


class Fate(NamedTuple):
    """What became of one citizen."""

    home: str
    """The center that he called."""
    wait_us: int
    """To the answer, wherever that was; of one who left, until then."""
    by: str
    """The center that answered; empty: none."""


@dataclass(slots=True)
class _Call:
    arrival: Arrival
    contact_id: ContactId
    answered: bool = False
    by: str = ""
    guest: tuple[_Center, ContactId] | None = None
    """Where it is a guest, from when the trunk is dialled."""
    over: bool = False


class _Center:
    """Core, protocol, and what the protocol asks (``federation.protocol.Sight``)."""

    def __init__(self, city: City, site: Site, peers: tuple[str, ...]) -> None:
        self._city, self.name, self._site = city, site.name, site
        self.acd = Acd()
        ids = (ContactId(f"{site.name}-{n}") for n in itertools.count())
        part = FederationSettings(
            center=site.name,
            rules=site.rules,
            peers=peers,
            keep_free=site.keep_free,
            own_sl_min_milli=site.own_sl_min_milli,
        )
        # Who is alone takes part in nothing.
        self._federation = (
            Federation(part, self, epoch=1, new_id=lambda: next(ids)) if peers else None
        )
        self._ready: set[AgentId] = set()
        self._waiting: set[ContactId] = set()
        """As the core's commands tell it: ``queue_view`` looks at everybody, ten times as dear."""
        self._timer = 0
        self._ended: deque[tuple[Instant, bool]] = deque()
        """Own citizens whose wait ended in the window: when, and whether in time."""
        self._in_time = 0

    def begin(self) -> None:
        agents = [AgentSettings(agent_id=AgentId(f"a{n}")) for n in range(self._site.operators)]
        queue = QueueSettings(queue_id=QUEUE)
        self.tell(
            ev.SettingsApplied(
                settings=Settings(version="1", maxlen=10**9, queues=(queue,), agents=tuple(agents))
            )
        )
        for agent in agents:
            self.tell(ev.AgentLoggedIn(agent_id=agent.agent_id))

    # --- what the protocol asks -----------------------------------------------------------------

    def loads(self) -> dict[QueueId, QueueLoad]:
        load = QueueLoad(
            wait_us=None,
            ready=max(0, len(self._ready) - self._site.keep_free),
            waiting=len(self._waiting),
            sl_milli=self._level_milli(),
        )
        return {QUEUE: load}

    def state(self) -> State:
        return State.NORMAL

    def expected_wait(self, contact_id: ContactId) -> Micros | None:
        """Return that nobody can tell: the rules here ask for no gain beside "sooner"."""
        del contact_id
        return None

    def waited(self, wait_us: int, *, answered: bool) -> None:
        """Count an own citizen's wait towards the service level of now."""
        soon = answered and wait_us <= IN_TIME_US
        self._ended.append((self._city.now, soon))
        self._in_time += soon

    def _level_milli(self) -> int | None:
        while self._ended and self._ended[0][0] <= self._city.now - _NOW_US:
            self._in_time -= self._ended.popleft()[1]
        return self._in_time * 1000 // len(self._ended) if self._ended else None

    # --- the engine -----------------------------------------------------------------------------

    def tell(self, event: ev.Event) -> None:
        self._step(event)
        self.settle()

    def _step(self, event: ev.Event) -> None:
        now = self._city.now
        for command in self.acd.step(event, now):
            self._follow(command)
            if self._federation is not None:
                self._federation.said(command, now)
            self._city.perform(self, command)

    def _follow(self, command: cmd.Command) -> None:
        match command:
            case cmd.AgentStateChanged():
                if command.state is cmd.AgentState.READY and not command.reason:
                    self._ready.add(command.agent_id)
                else:
                    self._ready.discard(command.agent_id)
            case cmd.HoldContact():
                self._waiting.add(command.contact_id)
            case cmd.OfferContact() | cmd.OverflowContact() | cmd.ContactEnded():
                self._waiting.discard(command.contact_id)
            case _:
                pass

    def settle(self) -> None:
        """Let the protocol do what is due, and come again when the core or it wants to."""
        now, federation = self._city.now, self._federation
        due = self.acd.next_deadline()
        if federation is not None:
            federation.settle(now)
            self._pour(federation)
            due = self.acd.next_deadline()
            wanted = federation.next_deadline(now)
            due = wanted if due is None else min(due, wanted)
        if due is None:
            return
        self._timer += 1
        mine = self._timer
        self._city.at(max(due, now), lambda: self._due(mine))

    def _due(self, mine: int) -> None:
        if mine != self._timer:
            return
        deadline = self.acd.next_deadline()
        if deadline is not None and deadline <= self._city.now:
            self.tell(ev.Tick())
        else:
            self.settle()

    def _pour(self, federation: Federation) -> None:
        while out := federation.take():
            for one in out:
                if isinstance(one, Send):
                    self._city.post(self, one)
                else:
                    self._step(one.event)

    def hear(self, data: bytes) -> None:
        assert self._federation is not None
        self._federation.hear(data, self._city.now)
        self.settle()


class City:
    """The centers, the way between them, the people, and the time."""

    def __init__(self, sites: tuple[Site, ...], delay_us: Micros, *, joined: bool = True) -> None:
        """Make it.

        Args:
            sites: The centers. If there is but one, everybody calls there.
            delay_us: What a message, or a call over a trunk, takes from one to another.
            joined: Whether they know of each other.
        """
        self.now = Instant(0)
        self.messages = 0
        self.sent = 0
        """Contacts that went over a trunk, each time."""
        self.fates: dict[int, Fate] = {}
        """By order of arrival."""
        self._delay_us = delay_us
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._n = itertools.count()
        self._calls: dict[ContactId, _Call] = {}
        self._guests: dict[ContactId, tuple[_Call, _Center, OfferId]] = {}
        """Reservation -> the call, its home, and the offer that stands for it there."""
        names = tuple(site.name for site in sites)
        self._centers = {
            site.name: _Center(self, site, tuple(n for n in names if joined and n != site.name))
            for site in sites
        }

    def run(self, arrivals: Iterator[Arrival], contacts: int) -> dict[int, Fate]:
        """Let so many citizens call, each the center that his arrival's queue names.

        Returns:
            What became of each, by order of arrival; nothing of those whose call is not over when
            the last one comes.
        """
        for center in self._centers.values():
            center.begin()
        for n in range(contacts):
            arrival = next(arrivals)
            self._until(arrival.at)
            self._comes(n, arrival)
        return self.fates

    # --- time -----------------------------------------------------------------------------------

    def at(self, when: int, what: Callable[[], None]) -> None:
        """Do something at an instant."""
        heappush(self._heap, (when, next(self._n), what))

    def _until(self, when: Instant) -> None:
        while self._heap and self._heap[0][0] <= when:
            now, _, what = heappop(self._heap)
            self.now = Instant(now)
            what()
        self.now = when

    def post(self, sender: _Center, send: Send) -> None:
        """Carry a message to whom it is for."""
        for name, center in self._centers.items():
            if name != sender.name and send.center in (EVERYBODY, name):
                self.messages += 1
                self.at(self.now + self._delay_us, lambda c=center: c.hear(send.data))  # type: ignore[misc]

    # --- people ---------------------------------------------------------------------------------

    def _comes(self, n: int, arrival: Arrival) -> None:
        contact_id = ContactId(str(n))
        call = self._calls[contact_id] = _Call(arrival, contact_id)
        home = self._home(call)
        home.tell(
            ev.ContactStarted(contact_id=contact_id, medium=Medium.VOICE, number="", entry="")
        )
        home.tell(ev.QueueRequested(contact_id=contact_id, queue=QUEUE))
        if arrival.patience_us is not None:
            self.at(arrival.at + arrival.patience_us, lambda: self._impatient(call))

    def _home(self, call: _Call) -> _Center:
        named = self._centers.get(call.arrival.queue)
        return next(iter(self._centers.values())) if named is None else named

    def _impatient(self, call: _Call) -> None:
        if not call.answered:
            self._leaves(call)

    def _leaves(self, call: _Call) -> None:
        """The citizen hangs up: his line at home is gone, and that over the trunk with it."""
        call.over = True
        home = self._home(call)
        home.tell(ev.ContactLeft(contact_id=call.contact_id, party=ev.Party.CITIZEN))
        if call.guest is not None:
            donor, guest = call.guest
            self._guests.pop(guest, None)
            left = ev.ContactLeft(contact_id=guest, party=ev.Party.CITIZEN)
            self.at(self.now + self._delay_us, lambda: donor.tell(left))

    # --- what adapters do -----------------------------------------------------------------------

    def perform(self, center: _Center, command: cmd.Command) -> None:
        """Carry out what a core says."""
        match command:
            case cmd.OfferContact():
                self.at(self.now, lambda: self._answers(center, command))
            case cmd.OverflowContact():
                self._dial(center, command)
            case cmd.RefuseGuest():
                self._turned_back(command)
            case cmd.ContactEnded() if command.owner is None:
                self._ended(center, command)
            case cmd.EventRejected():
                raise AssertionError(f"{center.name} knows nothing of it: {command}")
            case _:
                pass

    def _answers(self, center: _Center, offer: cmd.OfferContact) -> None:
        """The operator answers at once, if the citizen is still there."""
        (agent,) = offer.agent_ids
        sent = self._guests.get(offer.contact_id)
        call = self._calls.get(offer.contact_id) if sent is None else sent[0]
        if call is None or call.over:
            return
        call.answered, call.by = True, center.name
        self.at(self.now + call.arrival.handle_us, lambda: self._leaves(call))
        center.tell(ev.OfferAccepted(offer_id=offer.offer_id, agent_id=agent))
        if sent is not None:
            _, home, offer_id = sent
            heard = ev.OfferAccepted(offer_id=offer_id, agent_id=abroad(center.name, agent))
            self.at(self.now + self._delay_us, lambda: home.tell(heard))

    def _dial(self, home: _Center, move: cmd.OverflowContact) -> None:
        call, donor = self._calls[move.contact_id], self._centers[move.center]
        self.sent += 1
        call.guest = (donor, move.reservation_id)
        self._guests[move.reservation_id] = (call, home, move.offer_id)
        came = ev.GuestArrived(contact_id=move.reservation_id)
        self.at(self.now + self._delay_us, lambda: donor.tell(came))

    def _turned_back(self, refused: cmd.RefuseGuest) -> None:
        """The donor knows nothing of it any more: the contact has its place at home."""
        sent = self._guests.pop(refused.contact_id, None)
        if sent is None:
            return
        call, home, offer_id = sent
        call.guest = None
        failed = ev.OfferFailed(offer_id=offer_id, failure=ev.OfferFailure.BUSY)
        self.at(self.now + self._delay_us, lambda: home.tell(failed))

    def _ended(self, center: _Center, ended: cmd.ContactEnded) -> None:
        call = self._calls.pop(ended.contact_id)
        center.waited(ended.wait_us, answered=call.answered)
        self.fates[int(ended.contact_id)] = Fate(call.arrival.queue, ended.wait_us, call.by)
