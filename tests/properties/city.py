"""A small city for random histories: 4 queues that differ in every rule, 8 agents."""

from __future__ import annotations

from dataclasses import replace

from gkc_engine.acd.settings import (
    AgentSettings,
    ContactClass,
    Medium,
    Order,
    Prefer,
    QueueSettings,
    RelaxStep,
    Ring,
    Settings,
    Strategy,
)
from gkc_engine.ids import SECOND, AgentId, Micros, QueueId, SkillId

LETTERS = QueueId("letters")


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


def rich_city(order: Order = Order.FCFS, strategy: Strategy = Strategy.LONGEST_IDLE) -> Settings:
    """Return the city with ``ring: all`` in one queue, and letters, which several may hold."""
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


def city(order: Order = Order.FCFS, strategy: Strategy = Strategy.LONGEST_IDLE) -> Settings:
    """Return the city that the oracle knows."""
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
