"""A small city for random histories: 5 queues of 2 media, 8 agents, every rule of the policy drawn.

``city`` is one that is the same each time; ``drawn_city`` differs from history to history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from gkc_engine.acd.settings import (
    AgentSettings,
    Blending,
    ContactClass,
    EmptyFactor,
    Medium,
    Order,
    Prefer,
    QueueSettings,
    RelaxStep,
    Ring,
    Settings,
    Strategy,
    Then,
    Treatment,
)
from gkc_engine.ids import SECOND, AgentId, Micros, QueueId, SkillId
from tests.properties.support import Pick

T = TypeVar("T")


def us(seconds: int) -> Micros:
    return Micros(seconds * SECOND)


def need(**skills: int) -> dict[SkillId, int]:
    return {SkillId(name): level for name, level in skills.items()}


SKILLS = {
    "anna": need(passport=5),
    "boris": need(passport=1, housing=4),
    "vera": need(passport=3, tatar=2),
    "gleb": need(),
    "dina": need(housing=2),
    "egor": need(tatar=3),
    "zhanna": need(passport=3, housing=5, tatar=1),
    "igor": need(passport=2),
}
AGENTS = [AgentId(name) for name in SKILLS]
QUEUES = [QueueId(name) for name in ("passport", "housing", "urgent", "tatar")]
LETTERS = QueueId("letters")


def city(order: Order = Order.FCFS, strategy: Strategy = Strategy.LONGEST_IDLE) -> Settings:
    """Return a city of voice alone, in which every queue differs from the others."""
    return Settings(
        version="1",
        order=order,
        maxlen=7,
        autopause_us=us(20),
        queues=(
            QueueSettings(
                queue_id=QueueId("passport"),
                require=need(passport=3),
                relax=(
                    RelaxStep(after_us=us(6), require=need(passport=1)),
                    RelaxStep(after_us=us(15), require=need()),
                ),
                strategy=strategy,
                timeout_us=us(10),
                wrapup_us=us(4),
                same_agent_after_us=us(12),
                no_answer_delay_us=us(3),
                reject_delay_us=us(5),
                prefer=Prefer(for_us=us(8), window_us=us(60)),
            ),
            QueueSettings(
                queue_id=QueueId("housing"),
                require=need(housing=2),
                strategy=strategy,
                head_start_us=us(5),
                slope_milli=2500,
                maxlen=2,
                wrapup_us=us(2),
                timeout_us=us(8),
                fallback=QueueId("passport"),
            ),
            QueueSettings(
                queue_id=QueueId("urgent"),
                contact_class=ContactClass.EMERGENCY,
                timeout_us=us(6),
                no_answer_delay_us=us(0),
                same_agent_after_us=us(2),
                unreachable_delay_us=us(4),
            ),
            QueueSettings(
                queue_id=QueueId("tatar"),
                require=need(tatar=1),
                relax=(RelaxStep(after_us=us(5), require=need(tatar=1, passport=1)),),
                strategy=strategy,
                contact_class=ContactClass.BACKGROUND,
                slope_milli=0,
                maxwait_us=us(30),
                maxwait_unstaffed_us=us(9),
                busy_delay_us=us(2),
                wrapup_us=us(3),
            ),
        ),
        agents=tuple(AgentSettings(agent_id=AgentId(n), skills=s) for n, s in SKILLS.items()),
    )


def rich_city(order: Order = Order.FCFS, strategy: Strategy = Strategy.LONGEST_IDLE) -> Settings:
    """Return it with ``ring: all`` in one queue, and letters, which several may hold."""
    settings = city(order, strategy)
    voice = [q for q in settings.queues if q.queue_id != QueueId("housing")]
    (housing,) = (q for q in settings.queues if q.queue_id == QueueId("housing"))
    letters = QueueSettings(
        queue_id=LETTERS,
        medium=Medium.EMAIL,
        require=need(housing=1),
        relax=(RelaxStep(after_us=us(9), require=need()),),
        timeout_us=us(10),
        wrapup_us=us(3),
    )
    settings.queues = (*voice, replace(housing, ring=Ring.ALL), letters)
    for i, agent in enumerate(settings.agents):
        if i % 2:
            agent.capacity = {Medium.VOICE: 1, Medium.EMAIL: 2}
    return settings


# --- drawn ----------------------------------------------------------------------------------------

REQUIREMENTS = [
    need(),
    need(passport=1),
    need(passport=3),
    need(housing=2),
    need(tatar=1),
    need(passport=1, tatar=1),
]
FACTORS: list[tuple[EmptyFactor, ...]] = [
    (EmptyFactor.INVALID,),
    (EmptyFactor.PAUSED, EmptyFactor.INVALID, EmptyFactor.UNAVAILABLE),
    (EmptyFactor.INUSE, EmptyFactor.WRAPUP, EmptyFactor.UNKNOWN),
    (EmptyFactor.RINGING, EmptyFactor.INUSE, EmptyFactor.PAUSED),
    (EmptyFactor.UNKNOWN, EmptyFactor.PAUSED, EmptyFactor.UNAVAILABLE),
]
BLENDINGS: list[dict[Medium, Blending]] = [
    {},
    {Medium.VOICE: Blending(excludes=(Medium.EMAIL,))},
    {Medium.EMAIL: Blending(excludes=(Medium.VOICE,))},
    {Medium.VOICE: Blending(interrupts=(Medium.EMAIL,))},
    {Medium.VOICE: Blending(excludes=(Medium.EMAIL,), interrupts=(Medium.EMAIL,))},
]


class _Draw:
    """Draws what stands in a config; most queues have few of the keys."""

    def __init__(self, pick: Pick) -> None:
        self.pick = pick

    def of(self, items: list[T]) -> T:
        return items[self.pick.number(0, len(items) - 1)]

    def sometimes(self, percent: int, make: Callable[[], T], otherwise: T) -> T:
        return make() if self.pick.number(0, 99) < percent else otherwise

    def span(self, low: int, high: int) -> Micros:
        return us(self.pick.number(low, high))

    def queue(self, queue_id: QueueId, medium: Medium, others: list[QueueId]) -> QueueSettings:
        relax: list[RelaxStep] = []
        after = 0
        for _ in range(self.pick.number(0, 2)):
            after += self.pick.number(1, 8)
            relax.append(RelaxStep(after_us=us(after), require=self.of(REQUIREMENTS)))
        return QueueSettings(
            queue_id=queue_id,
            service=self.of([None, "mvd"]),
            medium=medium,
            require=self.of(REQUIREMENTS),
            relax=tuple(relax),
            strategy=self.of(list(Strategy)),
            ring=self.sometimes(15, lambda: Ring.ALL, Ring.ONE),
            contact_class=self.sometimes(
                30, lambda: self.of(list(ContactClass)), ContactClass.NORMAL
            ),
            head_start_us=self.sometimes(30, lambda: self.span(1, 8), us(0)),
            slope_milli=self.of([1000, 1000, 2500, 0]),
            timeout_us=self.span(5, 10),
            wrapup_us=self.sometimes(60, lambda: self.span(1, 5), us(0)),
            same_agent_after_us=self.span(0, 12),
            reject_delay_us=self.span(0, 5),
            busy_delay_us=self.span(0, 5),
            no_answer_delay_us=self.span(0, 5),
            unreachable_delay_us=self.span(0, 5),
            maxlen=self.sometimes(30, lambda: self.pick.number(0, 3), None),
            maxwait_us=self.sometimes(20, lambda: self.span(5, 30), None),
            maxwait_unstaffed_us=self.sometimes(20, lambda: self.span(0, 9), None),
            joinempty=self.sometimes(20, lambda: self.of(FACTORS), ()),
            leavewhenempty=self.sometimes(25, lambda: self.of(FACTORS), ()),
            resume_within_us=self.sometimes(60, lambda: self.span(1, 20), us(0)),
            prefer=self.sometimes(
                40, lambda: Prefer(for_us=self.span(1, 9), window_us=self.span(5, 60)), None
            ),
            fallback=self.of([None, *others]),
            full=self.treatment(others),
            closed=self.treatment(others),
            timed_out=self.treatment(others),
            unstaffed=self.treatment(others),
        )

    def treatment(self, others: list[QueueId]) -> Treatment:
        say = self.sometimes(50, lambda: "sorry", None)
        if not others or self.pick.number(0, 1):
            return Treatment(say=say)
        return Treatment(say=say, then=Then.QUEUE, queue=self.of(others))


def drawn_city(pick: Pick) -> Settings:
    """Return a city with every rule drawn: 3 or 4 queues of calls, 1 of letters, 8 agents."""
    draw = _Draw(pick)
    voice = QUEUES[: pick.number(3, 4)]
    queues = [draw.queue(q, Medium.VOICE, [o for o in voice if o != q]) for q in voice]
    queues.append(draw.queue(LETTERS, Medium.EMAIL, []))
    capacities: list[dict[Medium, int]] = [
        {Medium.VOICE: 1},
        {Medium.VOICE: 1, Medium.EMAIL: 1},
        {Medium.VOICE: 1, Medium.EMAIL: 1},
        {Medium.VOICE: 1, Medium.EMAIL: 2},
        {Medium.VOICE: 2},
        {Medium.EMAIL: 1},
    ]
    return Settings(
        version="1",
        order=draw.of([Order.FCFS, *Order]),
        maxlen=pick.number(2, 9),
        max_no_answer=pick.number(1, 3),
        autopause_us=draw.span(5, 20),
        blending=draw.of(BLENDINGS),
        queues=tuple(queues),
        agents=tuple(
            AgentSettings(agent_id=AgentId(n), skills=s, capacity=draw.of(capacities))
            for n, s in SKILLS.items()
        ),
    )


def without_staffing(settings: Settings) -> Settings:
    """Return the city without the rules that ask whether anybody is left to serve."""
    queues = [
        replace(queue, joinempty=(), leavewhenempty=(), maxwait_unstaffed_us=None)
        for queue in settings.queues
    ]
    return replace(settings, queues=tuple(queues))
