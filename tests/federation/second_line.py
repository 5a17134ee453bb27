"""The simulated city with a second line: centr's operators are it, and all centers hand on to them.

Operators send citizens there blindly, or ask an expert first and then put the citizen through or
come back; experts give citizens back, and their lines get lost. All else is as in ``world``.
"""

from __future__ import annotations

import itertools
from collections import Counter

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.settings import QueueSettings, Settings
from gkc_engine.acd.state import ContactState
from gkc_engine.acd.views import ContactView
from gkc_engine.federation.settings import OverflowRule
from gkc_engine.ids import CONSULT, SECOND, AgentId, ContactId, Micros, QueueId, SkillId, seconds
from tests.federation.center import QUEUE, START, Center, Citizen, Faults, Trunk
from tests.federation.world import City, rule

EXPERTS = QueueId("experts")
EXPERT = SkillId("expert")
RETURN_AFTER = seconds(20)
LONGEST = RETURN_AFTER + SECOND
"""Nobody who was handed on waits longer, unless he is rung for at this instant."""
TO_EXPERTS = OverflowRule(
    queues=frozenset((EXPERTS,)),
    to=("centr",),
    after_us=Micros(0),
    gain_min_us=Micros(0),
    donor_sl_min_milli=0,
)


class Escalating(City):
    """A city in which citizens are handed on."""

    _consults = itertools.count()

    def __init__(self, seed: int, faults: Faults, *, keep_free: int) -> None:
        names = ("centr", "sever", "yug")
        self.did: Counter[str] = Counter()
        """What has happened -> how often."""
        self._handed: dict[ContactId, int] = {}
        """When each was handed on last."""
        self._asks: dict[ContactId, tuple[Center, Citizen, AgentId]] = {}
        """Call for advice -> where, about whom, and who asks."""
        super().__init__(
            seed,
            faults,
            operators={"centr": 4, "sever": 4, "yug": 3},
            rules={
                name: (
                    *((TO_EXPERTS,) if name != "centr" else ()),
                    rule(*(other for other in names if other != name)),
                )
                for name in names
            },
            keep_free=keep_free,
            second_lines=frozenset((EXPERTS,)),
        )

    def settings_of(self, name: str, operators: int) -> Settings:
        settings = super().settings_of(name, operators)
        experts = QueueSettings(
            queue_id=EXPERTS,
            require={EXPERT: 1},
            timeout_us=seconds(8),
            wrapup_us=seconds(1),
            return_after_us=RETURN_AFTER,
        )
        settings.queues += (experts,)
        for agent in settings.agents:
            agent.skills = {EXPERT: 1} if name == "centr" else {}
        return settings

    def may_serve(self, view: ContactView, agent: AgentId) -> bool:
        """Who was handed on comes before others, or to one operator; `second` watches those."""
        del agent
        return view.queue == QUEUE and view.contact_id not in self._handed

    def _note(self, what: str) -> None:
        self.did[what] += 1

    # --- handed on ------------------------------------------------------------------------------

    def _talk_over(self, center: Center, citizen: Citizen, agent: AgentId) -> None:
        chance = self.random.random()
        asks = citizen.contact in self._asks
        talks = citizen.present and (center.name, agent) in citizen.with_whom
        if self.quiet or not talks or asks or chance >= 0.8 or not center.alive:
            super()._talk_over(center, citizen, agent)
        elif chance < 0.2:
            self._hand_on(center, citizen, agent)
        else:
            self._ask(center, citizen, agent)

    def _hand_on(self, center: Center, citizen: Citizen, agent: AgentId) -> None:
        view = center.acd.queue_view(EXPERTS)
        there = center.federation.may_help(EXPERTS, center.now)
        barred = "" if (view is not None and view.logged_in) or there else "nobody"
        citizen.with_whom.discard((center.name, agent))
        citizen.most += 2  # an expert, and who has him back
        self._note("barred" if barred else "handed on")
        self._handed[citizen.contact] = self.now
        center.tell(
            ev.TransferRequested(
                contact_id=citizen.contact, from_agent=agent, to_queue=EXPERTS, barred=barred
            )
        )

    def second(self) -> None:
        super().second()
        for contact_id, at in self._handed.items():
            center = self.centers[self.citizens[contact_id].center]
            view = center.acd.contact_view(contact_id) if center.alive else None
            waits = view is not None and view.state is ContactState.WAITING
            if view is not None and waits and view.queue == EXPERTS and self.now - at > LONGEST:
                self.broken.append(f"{contact_id} waits for an expert since {self.now - at} us")

    # --- asked ----------------------------------------------------------------------------------

    def _ask(self, center: Center, citizen: Citizen, agent: AgentId) -> None:
        leg = f"k{next(self._consults)}"
        consult = ContactId(f"{CONSULT}{leg}")
        self.citizens[consult] = Citizen(
            contact=consult, center=center.name, came=self.now, patience=20 * SECOND
        )
        self._asks[consult] = (center, citizen, agent)
        center.tell(
            ev.AgentCallStarted(
                agent_id=agent, call_id=leg, kind="consult", contact_id=citizen.contact
            )
        )
        center.tell(
            ev.ConsultStarted(
                contact_id=consult, agent_id=agent, queue=EXPERTS, about=citizen.contact
            )
        )
        self.after(8, 30, lambda: self._decide(consult))

    def _decide(self, consult: ContactId) -> None:
        """Put the citizen through if an expert has answered; else he is talked with on."""
        center, citizen, agent = self._asks[consult]
        call = self.citizens[consult]
        trunk = next((t for t in self.trunks.values() if t.contact == consult and not t.over), None)
        goes = citizen.present and (center.name, agent) in citizen.with_whom and call.present
        if goes and trunk is not None and trunk.connected and self.random.random() < 0.7:
            self._put_through(center, citizen, agent, call, trunk)
        elif call.present:
            self.hang_up(call)
        self._call_over(center, consult, agent)
        self.after(1, 10, lambda: super(Escalating, self)._talk_over(center, citizen, agent))

    def _put_through(
        self, center: Center, citizen: Citizen, agent: AgentId, call: Citizen, trunk: Trunk
    ) -> None:
        self._note("put through")
        expert = trunk.agent
        trunk.contact = citizen.contact
        citizen.with_whom.discard((center.name, agent))
        citizen.most += 2
        call.with_whom.clear()
        call.present = False
        self._connect(citizen, trunk.donor, AgentId(expert.partition(":")[2]))
        center.tell(
            ev.TransferCompleted(
                contact_id=citizen.contact,
                from_agent=agent,
                to_agent=expert,
                to_queue=EXPERTS,
                consult=call.contact,
            )
        )
        center.tell(ev.ContactLeft(contact_id=call.contact, party=ev.Party.SYSTEM))

    def _call_over(self, center: Center, consult: ContactId, agent: AgentId) -> None:
        leg = consult.removeprefix(CONSULT)
        center.tell(ev.AgentCallEnded(agent_id=agent, call_id=leg))

    # --- given back -----------------------------------------------------------------------------

    def _guest_talk_over(self, trunk: Trunk) -> None:
        citizen = self.citizens[trunk.contact]
        chance = self.random.random()
        asked = trunk.contact in self._asks
        if self.quiet or trunk.over or not citizen.present or asked or chance >= 0.7:
            super()._guest_talk_over(trunk)
            return
        donor = self.centers[trunk.donor]
        if chance < 0.4 and donor.alive:
            agent = AgentId(trunk.agent.partition(":")[2])
            donor.tell(ev.HandedBack(contact_id=trunk.guest, from_agent=agent))
        else:  # Its engine is dead, and Asterisk says so alone; or its line is lost.
            self._back(trunk, ev.TalkEnd.HANDED_BACK if chance < 0.4 else ev.TalkEnd.MEDIA_LOST)

    def _back(self, trunk: Trunk, end: ev.TalkEnd) -> None:
        """The talk at the donor is over and the citizen is to talk on."""
        self._note(end.value)
        citizen = self.citizens[trunk.contact]
        trunk.over = True
        self._guest_left(trunk, ev.Party.AGENT)
        for place in [p for p in citizen.with_whom if p[0] == trunk.donor]:
            citizen.with_whom.discard(place)
        citizen.most += 1
        self.centers[trunk.owner].tell(
            ev.TalkEnded(
                contact_id=trunk.contact, agent_id=trunk.agent, end=end, party=ev.Party.AGENT
            )
        )

    def perform(self, center: Center, command: cmd.Command) -> None:
        if isinstance(command, cmd.ReturnGuest):
            trunk = self.trunks[command.contact_id]
            if not trunk.over:
                self._back(trunk, ev.TalkEnd.HANDED_BACK)
            return
        super().perform(center, command)


def play(seed: int, faults: Faults, *, busy_s: int = 120) -> Escalating:
    """Let a city with a second line live for so long under faults, then in quiet."""
    city = Escalating(seed, faults, keep_free=seed % 2)
    city.at(START, city.second)
    rates = {"centr": 40.0, "sever": 10.0, "yug": 10.0}

    def comes(name: str) -> None:
        if not city.quiet:
            city.call(name)
            city.after(0, 2 * rates[name], lambda: comes(name))

    for name in rates:
        city.after(0, rates[name], lambda name=name: comes(name))  # type: ignore[misc]
    city.run(START + busy_s * SECOND)
    city.quiet = True
    city.run(START + (busy_s + 400) * SECOND)
    city.watch.at_the_end()
    return city
