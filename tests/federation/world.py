"""A simulated city: real cores and real protocol; lines, trunks and people that fail at will.

All that is random comes from one seed. Clocks of centers differ; messages are lost, doubled, late
and out of order; links are cut, engines die and come back by replaying their ledgers, trunks are
dead. What Asterisk would do is played here: a trunk call rings while the engine of its owner is
dead, a guest is turned away by a donor whose engine is.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from random import Random

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, Settings
from gkc_engine.acd.views import ContactView
from gkc_engine.federation.protocol import EVERYBODY, Send
from gkc_engine.federation.settings import FederationSettings, OverflowRule
from gkc_engine.ids import (
    SECOND,
    AgentId,
    ContactId,
    Micros,
    QueueId,
    abroad,
    seconds,
)
from tests.federation.center import (
    DONOR_LEVEL_MIN,
    NO_RING,
    OWN_LEVEL_MIN,
    QUEUE,
    START,
    Center,
    Citizen,
    Faults,
    Trunk,
)
from tests.federation.watch import Watch


class City:
    """The centers, the lines between them, the people, and the time."""

    def __init__(
        self,
        seed: int,
        faults: Faults,
        *,
        operators: dict[str, int],
        rules: dict[str, tuple[OverflowRule, ...]],
        keep_free: int = 0,
        second_lines: frozenset[QueueId] = frozenset(),
    ) -> None:
        self.seed, self.random = seed, Random(seed)
        self.faults, self.now = faults, START
        self.quiet = False
        """No more faults, no more citizens: what is left has to come to an end."""
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._n = itertools.count()
        self.citizens: dict[ContactId, Citizen] = {}
        self.trunks: dict[ContactId, Trunk] = {}
        self.cut: set[str] = set()
        self._rescinded: set[tuple[str, int]] = set()
        self.broken: list[str] = []
        """Invariants that did not hold, in words."""
        self.sent: list[tuple[str, str]] = []
        self.watch = Watch(self)
        names = tuple(operators)
        self.centers = {
            name: Center(
                self,
                name,
                self.settings_of(name, n),
                FederationSettings(
                    center=name,
                    rules=rules.get(name, ()),
                    peers=tuple(other for other in names if other != name),
                    keep_free=keep_free,
                    own_sl_min_milli=OWN_LEVEL_MIN.get(name, 0),
                    second_lines=second_lines,
                ),
            )
            for name, n in operators.items()
        }
        for center in self.centers.values():
            center.skew = round(self.random.uniform(-1, 1) * faults.skew_s * SECOND)
            center.tell(ev.SettingsApplied(settings=center.settings))
            for agent in center.settings.agents:
                center.tell(ev.AgentLoggedIn(agent_id=agent.agent_id))

    def may_serve(self, view: ContactView, agent: AgentId) -> bool:
        """Whether an operator is one of those for whom a contact waits, in its turn."""
        del view, agent
        return True

    def settings_of(self, name: str, operators: int) -> Settings:
        """Return what a center with so many operators is like."""
        del name
        return _settings(operators)

    # --- time -----------------------------------------------------------------------------------

    def at(self, when: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._n), what))

    def after(self, least_s: float, most_s: float, what: Callable[[], None]) -> None:
        self.at(self.now + round(self.random.uniform(least_s, most_s) * SECOND), what)

    def run(self, until: int) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, what = heapq.heappop(self._heap)
            what()
        self.now = until

    # --- the lines between centers --------------------------------------------------------------

    def post(self, sender: Center, send: Send) -> None:
        self.watch.posted(sender, send)
        for name, center in self.centers.items():
            if name == sender.name or send.center not in (EVERYBODY, name):
                continue
            if name in self.cut or sender.name in self.cut or self._happens(self.faults.lost):
                continue
            for _ in range(1 + self._happens(self.faults.doubled)):
                self._carry(center, send.data)

    def _carry(self, center: Center, data: bytes) -> None:
        if self._happens(self.faults.garbled):
            data = data[: self.random.randrange(len(data))] + bytes([self.random.randrange(256)])
        delay = 4.0 if self._happens(self.faults.late) else 0.01
        self.after(0.0005, delay, lambda: center.hear(data))
        if self._happens(self.faults.replayed):
            self.after(1, 20, lambda: center.hear(data))

    def _happens(self, chance: float) -> bool:
        return not self.quiet and chance > 0 and self.random.random() < chance

    # --- faults of a second ---------------------------------------------------------------------

    def second(self) -> None:
        for name, center in self.centers.items():
            if center.alive and self._happens(self.faults.crash):
                center.crash()
            if name in self.cut:
                if self.quiet or self.random.random() < 0.2:
                    self.cut.discard(name)
            elif self._happens(self.faults.cut):
                self.cut.add(name)
            if center.alive:
                self.watch.second(center)
        self.at(self.now + SECOND, self.second)

    # --- citizens -------------------------------------------------------------------------------

    def call(self, center: str) -> None:
        """A citizen calls; he has so much patience."""
        contact_id = ContactId(f"c{len(self.citizens)}")
        patience = round(self.random.uniform(20, 200) * SECOND)
        self.citizens[contact_id] = Citizen(
            contact=contact_id, center=center, came=self.now, patience=patience
        )
        home = self.centers[center]
        home.tell(
            ev.ContactStarted(
                contact_id=contact_id, medium=Medium.VOICE, number=contact_id, entry="+7495"
            )
        )
        home.tell(ev.QueueRequested(contact_id=contact_id, queue=QUEUE))
        self.at(self.now + patience, lambda: self._impatient(contact_id))

    def _impatient(self, contact_id: ContactId) -> None:
        citizen = self.citizens[contact_id]
        if citizen.present and not citizen.answers:
            self.hang_up(citizen)

    def hang_up(self, citizen: Citizen) -> None:
        if not citizen.present:
            return
        citizen.present = False
        citizen.with_whom.clear()
        for trunk in list(self.trunks.values()):
            if trunk.contact == citizen.contact and not trunk.over:
                self._hang_trunk(trunk, ev.Party.CITIZEN)
        self.centers[citizen.center].tell(
            ev.ContactLeft(contact_id=citizen.contact, party=ev.Party.CITIZEN)
        )

    # --- what adapters do -----------------------------------------------------------------------

    def perform(self, center: Center, command: cmd.Command) -> None:
        match command:
            case cmd.OfferContact():
                if command.contact_id in self.citizens:
                    self.after(0.05, 0.3, lambda: self._ring(center, command))
                else:
                    self._ring_guest(center, command)
            case cmd.RescindOffer():
                self._rescind(center, command)
            case cmd.ReleaseContact():
                self._let_go(command.contact_id)
            case cmd.OverflowContact():
                self._dial(center, command)
            case cmd.RefuseGuest():
                self._turn_back(center, command)
            case cmd.TreatContact():
                self._let_go(command.contact_id)
            case _:
                pass

    def _ring(self, center: Center, offer: cmd.OfferContact) -> None:
        citizen = self.citizens[offer.contact_id]
        center.tell(ev.OfferRinging(offer_id=offer.offer_id))
        if self.random.random() < 0.1:
            failure = self.random.choice([ev.OfferFailure.NO_ANSWER, ev.OfferFailure.REJECTED])
            self.after(0.5, 5, lambda: self._unless_gone(citizen, center, offer.offer_id, failure))
            return
        self.after(0.2, 3, lambda: self._answer(center, citizen, offer))

    def _unless_gone(
        self, citizen: Citizen, center: Center, offer_id: int, failure: ev.OfferFailure
    ) -> None:
        if citizen.present:
            center.tell(ev.OfferFailed(offer_id=offer_id, failure=failure))  # type: ignore[arg-type]

    def _answer(self, center: Center, citizen: Citizen, offer: cmd.OfferContact) -> None:
        if not citizen.present or self._is_rescinded(center, offer.offer_id):
            return
        (agent,) = offer.agent_ids
        self._connect(citizen, center.name, agent)
        center.tell(ev.OfferAccepted(offer_id=offer.offer_id, agent_id=agent))
        self.after(2, 40, lambda: self._talk_over(center, citizen, agent))

    def _is_rescinded(self, center: Center, offer_id: int) -> bool:
        return (center.name, offer_id) in self._rescinded

    def _rescind(self, center: Center, command: cmd.RescindOffer) -> None:
        self._rescinded.add((center.name, command.offer_id))
        for trunk in list(self.trunks.values()):
            same = trunk.owner == center.name and trunk.offer == command.offer_id
            if same and not trunk.over and not trunk.connected:
                self._hang_trunk(trunk, ev.Party.SYSTEM)
        failure = ev.OfferFailure.RESCINDED
        event = ev.OfferFailed(offer_id=command.offer_id, failure=failure)
        self.after(0.001, 0.01, lambda: center.tell(event))

    def _talk_over(self, center: Center, citizen: Citizen, agent: AgentId) -> None:
        if not citizen.present:
            return
        if self.random.random() < 0.5:
            self.hang_up(citizen)
            return
        citizen.with_whom.discard((center.name, agent))
        center.tell(
            ev.TalkEnded(
                contact_id=citizen.contact,
                agent_id=agent,
                end=ev.TalkEnd.RELEASED,
                party=ev.Party.AGENT,
            )
        )

    def _let_go(self, contact_id: ContactId) -> None:
        citizen = self.citizens.get(contact_id)
        if citizen is not None:
            if citizen.present:
                self.after(0.01, 0.2, lambda: self.hang_up(citizen))
            return
        trunk = self.trunks.get(contact_id)
        if trunk is not None and not trunk.over:
            self._hang_trunk(trunk, ev.Party.AGENT)

    def _connect(self, citizen: Citizen, center: str, agent: AgentId) -> None:
        citizen.answers += 1
        citizen.with_whom.add((center, agent))
        if len(citizen.with_whom) > 1:
            self.broken.append(f"{citizen.contact} talks with {sorted(citizen.with_whom)}")

    # --- trunks ---------------------------------------------------------------------------------

    def _dial(self, center: Center, move: cmd.OverflowContact) -> None:
        citizen = self.citizens[move.contact_id]
        if not citizen.present:
            return
        if any(t.contact == move.contact_id and not t.over for t in self.trunks.values()):
            self.broken.append(f"{move.contact_id} is sent twice at once")
        trunk = Trunk(
            owner=center.name,
            donor=move.center,
            contact=move.contact_id,
            guest=move.reservation_id,
            offer=move.offer_id,
            agent=move.agent_id,
            dead=self._happens(self.faults.dead_trunk),
        )
        self.sent.append((center.name, move.center))
        self.trunks[trunk.guest] = trunk
        self.after(0.005, 0.05, lambda: self._arrive(trunk))
        self.at(self.now + NO_RING, lambda: self._no_ring(trunk))
        self.at(self.now + move.timeout_us, lambda: self._too_long(trunk))

    def _arrive(self, trunk: Trunk) -> None:
        donor = self.centers[trunk.donor]
        if trunk.over or trunk.dead:
            return
        if not donor.alive:
            self._fail(trunk, ev.OfferFailure.UNREACHABLE)
            return
        donor.tell(ev.GuestArrived(contact_id=trunk.guest))

    def _ring_guest(self, center: Center, offer: cmd.OfferContact) -> None:
        trunk = self.trunks[offer.contact_id]
        assert trunk.donor == center.name
        if trunk.over:
            return
        center.tell(ev.OfferRinging(offer_id=offer.offer_id))
        trunk.rung = True
        owner = self.centers[trunk.owner]
        owner.tell(ev.OfferRinging(offer_id=trunk.offer))  # type: ignore[arg-type]
        if self.random.random() < 0.15:
            self.after(0.5, 5, lambda: self._guest_fails(center, trunk, offer))
        else:
            self.after(0.2, 4, lambda: self._guest_answered(center, trunk, offer))

    def _guest_fails(self, center: Center, trunk: Trunk, offer: cmd.OfferContact) -> None:
        if not trunk.over:
            failure = ev.OfferFailure.NO_ANSWER
            center.tell(ev.OfferFailed(offer_id=offer.offer_id, failure=failure))

    def _guest_answered(self, center: Center, trunk: Trunk, offer: cmd.OfferContact) -> None:
        if trunk.over:
            return
        (agent,) = offer.agent_ids
        citizen = self.citizens[trunk.contact]
        trunk.connected = True
        self._connect(citizen, center.name, agent)
        center.tell(ev.OfferAccepted(offer_id=offer.offer_id, agent_id=agent))
        named = abroad(trunk.donor, agent)
        if named != trunk.agent:
            self.broken.append(f"{trunk.agent} was granted, {named} answered")
        self.centers[trunk.owner].tell(
            ev.OfferAccepted(offer_id=trunk.offer, agent_id=named)  # type: ignore[arg-type]
        )
        self.after(2, 40, lambda: self._guest_talk_over(trunk))

    def _guest_talk_over(self, trunk: Trunk) -> None:
        citizen = self.citizens[trunk.contact]
        if not citizen.present or trunk.over:
            return
        if self.random.random() < 0.5:
            self.hang_up(citizen)
        else:
            self._hang_trunk(trunk, ev.Party.AGENT)

    def _turn_back(self, center: Center, command: cmd.RefuseGuest) -> None:
        trunk = self.trunks.get(command.contact_id)
        if trunk is not None and not trunk.over and trunk.donor == center.name:
            self._fail(trunk, ev.OfferFailure.BUSY)

    def _no_ring(self, trunk: Trunk) -> None:
        if not trunk.rung and not trunk.over:
            self._fail(trunk, ev.OfferFailure.UNREACHABLE)

    def _too_long(self, trunk: Trunk) -> None:
        if not trunk.over and not trunk.connected:
            self._fail(trunk, ev.OfferFailure.NO_ANSWER)

    def _fail(self, trunk: Trunk, failure: ev.OfferFailure) -> None:
        trunk.over = True
        self.watch.failed(trunk, failure)
        self._guest_left(trunk, ev.Party.SYSTEM)
        self.centers[trunk.owner].tell(
            ev.OfferFailed(offer_id=trunk.offer, failure=failure)  # type: ignore[arg-type]
        )

    def _hang_trunk(self, trunk: Trunk, party: ev.Party) -> None:
        """One side hangs up: the donor's line is gone, the citizen's stands if it was the agent."""
        trunk.over = True
        self._guest_left(trunk, party)
        citizen = self.citizens[trunk.contact]
        for place in [p for p in citizen.with_whom if p[0] == trunk.donor]:
            citizen.with_whom.discard(place)
        if trunk.connected and party is ev.Party.AGENT and citizen.present:
            self.centers[trunk.owner].tell(
                ev.TalkEnded(
                    contact_id=trunk.contact,
                    agent_id=trunk.agent,
                    end=ev.TalkEnd.RELEASED,
                    party=party,
                )
            )

    def _guest_left(self, trunk: Trunk, party: ev.Party) -> None:
        if not trunk.dead:
            self.centers[trunk.donor].tell(ev.ContactLeft(contact_id=trunk.guest, party=party))


def _settings(operators: int) -> Settings:
    return Settings(
        version="1",
        queues=(QueueSettings(queue_id=QUEUE, timeout_us=seconds(8), wrapup_us=seconds(1)),),
        agents=tuple(AgentSettings(agent_id=AgentId(f"a{n}")) for n in range(operators)),
        # Who misses calls near the end is back before it is looked whether all are free.
        autopause_us=seconds(60),
    )


def rule(*to: str, after: float = 1.0) -> OverflowRule:
    """Return a rule that sends whoever has waited so long to these."""
    return OverflowRule(
        queues=frozenset((QUEUE,)),
        to=to,
        after_us=seconds(after),
        gain_min_us=Micros(0),
        donor_sl_min_milli=DONOR_LEVEL_MIN,
    )


def play(seed: int, faults: Faults, broken: list[str] | None = None, *, busy_s: int = 120) -> City:
    """Let a city live for so long under faults, then in quiet until all is over.

    ``broken``: where to say what did not hold, for a history that may not come to its end.
    """
    names = ("centr", "sever", "yug")
    city = City(
        seed,
        faults,
        operators={"centr": 2, "sever": 4, "yug": 3},
        rules={name: (rule(*(other for other in names if other != name)),) for name in names},
        keep_free=seed % 2,
    )
    if broken is not None:
        city.broken = broken

    city.at(START, city.second)
    rates = {"centr": 3.0, "sever": 12.0, "yug": 9.0}

    def comes(name: str) -> None:
        if not city.quiet:
            city.call(name)
            city.after(0, 2 * rates[name], lambda: comes(name))

    for name in names:
        city.after(0, rates[name], lambda name=name: comes(name))  # type: ignore[misc]
    city.run(START + busy_s * SECOND)
    city.quiet = True
    city.run(START + (busy_s + 400) * SECOND)
    city.watch.at_the_end()
    return city
