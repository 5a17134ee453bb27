"""The config in the core's terms: values, defaults, order."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gkc_engine.acd.settings import (
    AgentSettings,
    ContactClass,
    Medium,
    QueueSettings,
    Ring,
    Strategy,
    Then,
    Treatment,
)
from gkc_engine.config.loader import load_config
from gkc_engine.config.settings import to_settings
from gkc_engine.ids import SECOND, AgentId, Micros, QueueId, SkillId
from tests.config.cities import SAMPLE, tiny_config


def test_defaults_are_those_of_the_routing_policy(tmp_path: Path) -> None:
    """The core's own defaults, but for the announcements of treatments that end the call."""
    settings = to_settings(tiny_config(tmp_path))
    general = settings.queues[1]
    assert general == QueueSettings(
        queue_id=QueueId("general"),
        title="Общая",
        full=Treatment(say="full"),
        closed=Treatment(say="closed"),
        emergency_closed=Treatment(say="emergency-closed"),
        timed_out=Treatment(say="timed-out"),
        unstaffed=Treatment(say="unstaffed"),
    )
    assert settings.agents[2] == AgentSettings(agent_id=AgentId("clara"))
    assert (settings.maxlen, settings.max_no_answer) == (100_000, 2)
    assert settings.autopause_us == 300 * SECOND


def test_every_key_of_a_queue_reaches_the_core(tmp_path: Path) -> None:
    keys = """    title: Общая
    medium: chat
    strategy: best-match
    ring: all
    class: background
    head_start: 1.5m
    slope: 0.125
    timeout: 250ms
    wrapuptime: 1s
    same_agent_after: 2s
    reject_delay: 3s
    busy_delay: 4s
    no_answer_delay: 5s
    unreachable_delay: 6s
    servicelevel: 7s
    short_abandon: 8s
    maxlen: 0
    maxwait: 9s
    maxwait_unstaffed: 10s
    joinempty: strict
    leavewhenempty: [paused]
    resume_within: 11s
    prefer: {operator: last, for: 12s, window: 7d}
    fallback: passport
    service: mvd
    require: {english: 2}
    relax: [{after: 13s, require: {}}]
    full: {say: topics}
    closed: {then: queue passport}
    at_closing: leave
    emergency_closed: {say: topics, then: queue passport}
    timed_out: {say: topics, then: queue passport}
    unstaffed: {say: topics, then: hangup}"""
    config = tiny_config(
        tmp_path,
        ("    title: Общая", keys),
        ("    fallback: general\n", ""),
        ("closed: {then: queue general}", "closed: {}"),
        ("skills: {passport: 5, english: 2}", "skills: {english: 2}, capacity: {chat: 3}"),
        ("{passport: 3}", "{passport: 1}"),
    )
    queue = to_settings(config).queues[1]
    assert queue.medium is Medium.CHAT
    assert queue.strategy is Strategy.BEST_MATCH
    assert queue.ring is Ring.ALL
    assert queue.contact_class is ContactClass.BACKGROUND
    assert queue.slope_milli == 125
    assert queue.prefer is not None
    micros = [
        queue.head_start_us,
        queue.timeout_us,
        queue.wrapup_us,
        queue.same_agent_after_us,
        queue.reject_delay_us,
        queue.busy_delay_us,
        queue.no_answer_delay_us,
        queue.unreachable_delay_us,
        queue.servicelevel_us,
        queue.short_abandon_us,
        queue.maxwait_us,
        queue.maxwait_unstaffed_us,
        queue.resume_within_us,
        queue.prefer.for_us,
        queue.relax[0].after_us,
    ]
    assert micros == [90_000_000, 250_000, *(n * SECOND for n in range(1, 14))]
    assert queue.prefer.window_us == Micros(7 * 86400 * SECOND)
    assert (queue.maxlen, queue.fallback, queue.service) == (0, "passport", "mvd")
    assert queue.require == {SkillId("english"): 2}
    assert queue.joinempty == ("paused", "invalid", "unavailable")
    assert queue.leavewhenempty == ("paused",)
    assert queue.full == Treatment(say="topics")
    assert queue.closed == Treatment(then=Then.QUEUE, queue=QueueId("passport"))
    assert queue.leave_at_closing
    assert queue.emergency_closed == queue.timed_out
    assert queue.timed_out == Treatment(say="topics", then=Then.QUEUE, queue=QueueId("passport"))
    assert queue.unstaffed == Treatment(say="topics")
    defaults = QueueSettings(queue_id=QueueId("general"))
    unset = [
        f.name
        for f in dataclasses.fields(queue)
        if f.name not in ("queue_id", "return_after_us")  # that: test_second_line.py
        and getattr(queue, f.name) == getattr(defaults, f.name)
    ]
    assert unset == [], "keys that this test does not set, or that never reach the core"


@pytest.mark.parametrize(
    ("word", "joining", "leaving"),
    [
        ("yes", "", "paused invalid"),
        ("no", "paused invalid", ""),
        ("loose", "invalid", "invalid"),
        ("strict", "paused invalid unavailable", "paused invalid unavailable"),
        ("[inuse, wrapup]", "inuse wrapup", "inuse wrapup"),
        ("[]", "", ""),
    ],
)
def test_short_words_for_empty_queues_are_asterisks(
    tmp_path: Path, word: str, joining: str, leaving: str
) -> None:
    """``yes`` lets everybody in, but sends away those who wait (app_queue.c)."""
    keys = f"    title: Общая\n    joinempty: {word}\n    leavewhenempty: {word}"
    queue = to_settings(tiny_config(tmp_path, ("    title: Общая", keys))).queues[1]
    assert (" ".join(queue.joinempty), " ".join(queue.leavewhenempty)) == (joining, leaving)


def test_the_center_reaches_the_core(tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path,
        (
            "timezone: Europe/Moscow}",
            (
                "order: match-first, maxlen: 7, max_no_answer: 3, autopause_for: 1m, "
                "blending: {voice: {excludes: [chat], interrupts: [email]}}}"
            ),
        ),
    )
    settings = to_settings(config)
    assert (settings.center, settings.order, settings.maxlen) == ("tiny", "match-first", 7)
    assert (settings.max_no_answer, settings.autopause_us) == (3, 60 * SECOND)
    assert settings.blending[Medium.VOICE].excludes == (Medium.CHAT,)
    assert settings.blending[Medium.VOICE].interrupts == (Medium.EMAIL,)


def test_order_and_version_are_those_of_the_files() -> None:
    config = load_config(SAMPLE)
    settings = to_settings(config)
    assert [q.queue_id for q in settings.queues] == list(config.queues)
    assert [a.agent_id for a in settings.agents] == list(config.operators)
    assert settings.version == config.version
