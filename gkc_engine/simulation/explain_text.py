"""An explanation in words, for supervisors: English, with every name and key. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gkc_engine.acd.settings import Order, Requirement, Strategy
from gkc_engine.acd.why import ENDED, RULE_OF, UNSKILLED, Bar, Candidate, Obstacle, Part, Place
from gkc_engine.ids import ABROAD, SECOND, AgentId, ContactId, Instant
from gkc_engine.simulation.decisions import Decider, Decision, Rule
from gkc_engine.simulation.explain import Explanation, Moment, What

Numbers = Mapping[ContactId, str]
"""Registration numbers of the contacts that are named."""

NAMES_MAX = 12
"""Agents or contacts named in one line; of the others their count."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seconds_text(us: int) -> str:
    """Return a duration: ``20s``, ``1m05s``, ``1h00m00s``; below a second with its decimals."""
    if 0 < us < SECOND:
        return f"{us / SECOND:.3f}s"
    whole = us // SECOND
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m{rest:02d}s"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def listed(items: Sequence[str]) -> str:
    """Return the items in one line, at most so many of them."""
    more = len(items) - NAMES_MAX
    return ", ".join(items[:NAMES_MAX]) + (f" and {more} more" if more > 0 else "")


def needs(requirement: Requirement) -> str:
    """Return a requirement: ``passport 3, english 1``."""
    return ", ".join(f"{skill} {level}" for skill, level in requirement.items()) or "nothing"


def worth_telling(obstacles: Iterable[Obstacle]) -> list[Obstacle]:
    """Return the obstacles worth telling: a slot that is just being freed only if it is all."""
    found = list(obstacles)
    return [o for o in found if o.reason != ENDED] or found


class Teller:
    """Tells one explanation in the center's local time."""

    def __init__(self, told: Explanation, zone: ZoneInfo, numbers: Numbers) -> None:
        self._told = told
        self._zone = zone
        self._numbers = numbers

    def text(self) -> str:
        """Return the whole story."""
        told = self._told
        start = told.moments[0].at
        lines = [
            f"contact  {told.number or '-'}  {told.contact_id}",
            f"started  {self._local(start):%Y-%m-%d %H:%M:%S} {self._zone.key}",
            f"config   {', '.join(dict.fromkeys(m.version for m in told.moments))}",
            *([f"guest    of center {told.owner}"] if told.owner else []),
            "rules    docs/reference/routing-policy.md (P0 to P10)",
            "",
        ]
        for moment in told.moments:
            first, *rest = self._moment(moment)
            rules = f"  [{', '.join(moment.rules)}]" if moment.rules else ""
            since = "+" + seconds_text(max(0, moment.at - start) // SECOND * SECOND)
            lines.append(f"{self.clock(moment.at)}  {since:>9}  {first}{rules}")
            lines += [f"{'':21}    {line}" for line in rest]
        return "\n".join([*lines, *self._end()])

    def _end(self) -> list[str]:
        told = self._told
        lines = [""]
        if told.served_before:
            lines.append(f"offered before it, having come earlier: {told.served_before}")
        for (bar, skill), count in sorted(told.passed_by.items()):
            why = f"{bar.value} {skill}" if skill else bar.value
            lines.append(
                f"offered before it in other queues, by operators who could not take it: "
                f"{count} ({why}, {RULE_OF[bar]})"
            )
        if told.differences:
            lines.append(
                f"NOT CERTAIN: {told.differences} of {told.steps} steps are decided otherwise now "
                "than recorded; see `gkc replay`"
            )
        else:
            lines.append(f"recomputed from {told.steps} recorded steps, none differs")
        return lines

    # --- small words -------------------------------------------------------------------------

    def _local(self, at: Instant) -> datetime:
        return (_EPOCH + timedelta(microseconds=at)).astimezone(self._zone)

    def clock(self, at: Instant) -> str:
        """Return the local time of day, to the second (cut off)."""
        return f"{self._local(at):%H:%M:%S}"

    def _exact(self, at: Instant) -> str:
        return f"{self._local(at):%H:%M:%S.%f}"

    def number(self, contact_id: ContactId) -> str:
        """Return what people call a contact."""
        return self._numbers.get(contact_id, contact_id)

    def _place(self, place: Place, order: Order | None = None) -> str:
        text = f"{place.contact_class.value}, enqueued {self._exact(place.enqueued)}"
        if place.head_start_us:
            text += f" - {seconds_text(place.head_start_us)} head start"
        if order is Order.MATCH_FIRST and place.match is not None:
            text += f", match {place.match}"
        if order is Order.ACCUMULATING:
            text += f", slope {place.slope_milli / 1000:g}"
        return f"{text}, sequence {place.sequence}"

    def _obstacle(self, obstacle: Obstacle) -> str:
        text = _OBSTACLES[obstacle.bar](obstacle)
        if obstacle.contact_id is not None:
            text += f" {self.number(obstacle.contact_id)}"
        if obstacle.until is not None:
            text += f" until {self.clock(obstacle.until)}"
        return text

    # --- moments -----------------------------------------------------------------------------

    def _moment(self, moment: Moment) -> list[str]:
        tellers: Mapping[What, Callable[[Moment], list[str]]] = {
            What.QUEUED: self._queued,
            What.WAITS: self._waits,
            What.STEP: self._step,
            What.OFFERED: self._offered,
            What.OVERTAKEN: self._overtaken,
            What.TREATED: self._treated,
            What.PRIORITY: self._priority,
        }
        teller = tellers.get(moment.what)
        return [_plain(moment)] if teller is None else teller(moment)

    def _queued(self, moment: Moment) -> list[str]:
        assert moment.place is not None
        sent_on = f", sent on by config: {moment.reason}" if moment.reason else ""
        sent_on += ", moved by a supervisor" if moment.by_supervisor else ""
        lines = [
            f"enters {moment.queue}, which requires {needs(moment.requirement)}{sent_on}",
            f"its key: {self._place(moment.place)}",
        ]
        if moment.resumes is not None:
            lines.append(f"it has the place of {self.number(moment.resumes)}, which was cut off")
        return lines

    def _priority(self, moment: Moment) -> list[str]:
        assert moment.place is not None
        by = ", given by a supervisor" if moment.by_supervisor else ""
        place = self._place(moment.place)
        return [f"goes on in {moment.queue} with another priority{by}: {place}"]

    def _waits(self, moment: Moment) -> list[str]:
        lines = [
            f"waits in {moment.queue}: nobody who may serve it is ready",
            *self._nobody(moment.candidates),
        ]
        if moment.before:
            names = [f"{self.number(p.contact_id)} ({self._place(p)})" for p in moment.before]
            lines.append(f"before it, {len(names)}: {listed(names)}")
        else:
            lines.append("nobody stands before it")
        return lines

    def _nobody(self, candidates: Iterable[Candidate]) -> list[str]:
        """Tell why nobody could: first of those who will, then of those who never can."""
        ways: dict[str, list[str]] = {"not now": [], "cannot": [], "not at work": []}
        for candidate in candidates:
            bars = {o.bar for o in candidate.obstacles}
            if not bars:
                continue
            way = "cannot" if bars & UNSKILLED else "not now"
            way = "not at work" if way == "not now" and Bar.OFFLINE in bars else way
            why = "; ".join(self._obstacle(o) for o in worth_telling(candidate.obstacles))
            name = candidate.agent_id
            ways[way].append(name if way == "not at work" else f"{name} ({why})")
        return [f"{way}: {listed(names)}" for way, names in ways.items() if names]

    def _step(self, moment: Moment) -> list[str]:
        able = [c.agent_id for c in moment.candidates if c.may]
        now, former = needs(moment.requirement), needs(moment.former or {})
        return [
            f"step {moment.step} of {moment.queue}: requires {now} from here on, {former} before",
            f"ready and able: {listed(able)}" if able else "nobody who may serve it is ready",
            *([] if able else self._nobody(moment.candidates)),
        ]

    def _offered(self, moment: Moment) -> list[str]:
        decision = moment.decision
        assert decision is not None
        names = listed(decision.agents)
        head = f"offer {decision.offer_id} to {names}"
        match decision.rule:
            case Rule.P1:
                return [f"{head}, {self._chosen_agent(decision)}", *self._rivals(decision)]
            case Rule.P2:
                return [f"{head}, {self._chosen_contact(decision)}", *self._line(decision)]
            case Rule.KEPT:
                return [f"{head}, kept free for it"]
            case Rule.TRANSFER:
                return [f"{head}: named by the colleague who hands over"]

    def _chosen_agent(self, decision: Decision) -> str:
        if decision.ring_all:
            return "everybody who is ready and may serve it (ring: all)"
        if decision.decider is Decider.ONLY:
            return "the only one who is ready and may serve it"
        count = len(decision.able)
        if decision.decider is Decider.STRATEGY:
            return f"first of {count} by {decision.strategy.value}"
        return f"first of {count} by {decision.strategy.value}: {decision.decider.value}"

    def _rivals(self, decision: Decision) -> list[str]:
        able = [f"{c.agent_id} ({self._standing(decision, c)})" for c in decision.able]
        lines = [f"ready, in the order of P1: {listed(able)}"]
        return lines + self._nobody(c for c in decision.candidates if not c.may)

    def _standing(self, decision: Decision, candidate: Candidate) -> str:
        value = {
            Strategy.LONGEST_IDLE: "",
            Strategy.BEST_MATCH: f"match {-candidate.value}, ",
            Strategy.SPARE_SPECIALISTS: f"{candidate.value} other queues, ",
            Strategy.LEAST_OCCUPIED: f"occupied {candidate.value}, ",
        }[decision.strategy]
        hand = f"{candidate.in_hand} in hand, " if candidate.in_hand else ""
        return f"{hand}{value}idle since {self._exact(candidate.idle_since)}"

    def _chosen_contact(self, decision: Decision) -> str:
        agent, part = decision.agents[0], decision.parted
        if part is None:
            return f"who has become able; it is all that {agent} may take"
        count = len(decision.line)
        return f"who has become able: first of {count} that {agent} may take, by {part.value}"

    def _line(self, decision: Decision) -> list[str]:
        names = [
            f"{self.number(p.contact_id)} ({self._place(p, decision.order)})"
            for p in decision.line[1:]
        ]
        own = self._place(decision.line[0], decision.order)
        return [f"its key: {own}", *([f"behind it: {listed(names)}"] if names else [])]

    def _overtaken(self, moment: Moment) -> list[str]:
        assert moment.other is not None
        assert moment.place is not None
        offered = f"{self.number(moment.other.contact_id)} is offered to {moment.agent_id}"
        if moment.part is None:
            why = (
                "; ".join(self._obstacle(o) for o in worth_telling(moment.obstacles))
                or "named in a transfer"
            )
            return [f"{offered}; it came later, but he could not take this one: {why}"]
        word = moment.other.contact_class.value
        whom = "a contact that came later"
        if moment.part is Part.CLASS:
            whom = f"{'an' if word[0] in 'aeiou' else 'a'} {word} contact"
        return [
            f"overtaken by {whom}: {offered}, by {moment.part.value}",
            f"its key:      {self._place(moment.place)}",
            f"the other's:  {self._place(moment.other)}",
        ]

    def _treated(self, moment: Moment) -> list[str]:
        return [
            f"its waiting ends by config: {moment.outcome}"
            + (f" ({moment.reason})" if moment.reason else ""),
            *self._nobody(moment.candidates),
        ]


def named(agent: AgentId) -> str:
    """Return what an operator is called: another center's with his center."""
    center, _, there = agent.partition(ABROAD)
    return f"operator {there} of center {center}" if there else agent


def _sent(moment: Moment) -> str:
    assert moment.agent_id is not None
    assert moment.wait_us is not None
    why = [moment.reason] if moment.reason else []
    if moment.not_asked:
        others = [f"{name} ({w.replace('_', ' ')})" for name, w in moment.not_asked.items()]
        why.append(f"not asked: {listed(others)}")
    told = f" ({'; '.join(why)})" if why else ""
    waited = seconds_text(moment.wait_us)
    return f"sent to {named(moment.agent_id)}, after {waited} here; the place is kept{told}"


def _plain(moment: Moment) -> str:
    agent = named(moment.agent_id) if moment.agent_id else "somebody"
    wait = "" if moment.wait_us is None else f", waited {seconds_text(moment.wait_us)}"
    reason = f" ({moment.reason})" if moment.reason else ""
    match moment.what:
        case What.CONFIG:
            return f"config version {moment.version} holds from here on"
        case What.ANSWERED:
            where = " through the native queue" if moment.outcome == "fallback" else ""
            return f"{agent} answers{where}{wait}"
        case What.SENT:
            return _sent(moment)
        case What.OFFER_ENDED:
            return f"offer to {agent} ends: {moment.outcome}{reason}; the place is kept"
        case What.RESCINDED:
            return f"the offer is taken back{reason}"
        case What.TRANSFERRED:
            return f"{agent} no longer has it: {moment.outcome}{reason}; the place is kept"
        case What.PARKED:
            return f"parked: {agent} has taken what interrupts it, and returns to it"
        case What.RESUMED:
            return f"{agent} goes on with it"
        case _:
            return _FIXED.get(moment.what) or f"{moment.what.value}: {moment.outcome}{reason}{wait}"


_FIXED: Mapping[What, str] = {
    What.STARTED: "reaches us",
    What.DETACHED: "stands in the native queue: the place is kept, it is not offered",
    What.ATTACHED: "taken back by the engine, at its old place",
}

_OBSTACLES: Mapping[Bar, Callable[[Obstacle], str]] = {
    Bar.SKILL: lambda o: f"no {o.skill}, needed {o.needs}",
    Bar.LEVEL: lambda o: f"{o.skill} {o.has}, needed {o.needs}",
    Bar.MEDIUM: lambda _: "no slot for this medium",
    Bar.OFFLINE: lambda _: "not logged in",
    Bar.REMOVED: lambda _: "no longer in the config",
    Bar.UNREACHABLE: lambda _: "phone unreachable",
    Bar.PAUSED: lambda o: f"paused: {o.reason}" if o.reason else "paused",
    Bar.RESTING: lambda o: f"rests after {o.reason}",
    Bar.IN_USE: lambda _: "phone in a call that is not ours",
    Bar.OWN_CALL: lambda o: f"in a call of the operator's own: {o.reason}",
    Bar.TAKEN: lambda o: o.reason.replace("_", "-"),
    Bar.BLENDING: lambda o: f"shut out by another medium: {o.reason}",
    Bar.EXCLUDED: lambda _: "was asked for it already",
    Bar.PREFERENCE: lambda o: f"it is kept for {o.agent_id}",
    Bar.OTHER: lambda _: "cannot take it",
}
