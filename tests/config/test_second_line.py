"""``second_line`` of a service: what it makes of its queue, who may serve that, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.config.federation import federation_settings
from gkc_engine.config.loader import inspect, load_config
from gkc_engine.config.settings import to_settings
from gkc_engine.ids import SECOND, QueueId
from gkc_engine.plans import phone_plan
from tests.config.cities import tiny_city
from tests.config.test_federation import FEDERATION

SERVICE = ("mvd: {title: МВД}", "mvd: {title: МВД, second_line: experts}")
_EXPERTS = "{title: Эксперты, service: mvd, require: {english: 9}, return_after: 13s}"
QUEUE = ("  general:\n", f"  experts: {_EXPERTS}\n  general:\n")
RULE = "overflow: [{queues: [experts], to: [parent], after: 0s, gain_min: 0s, donor_sl_min: 0}]\n"
EXPERTS = QueueId("experts")
Edit = tuple[str, str]


def elsewhere(more: str = FEDERATION + RULE) -> tuple[str, str]:
    return ("calendars:\n", more + "calendars:\n")


def problems(folder: Path, *edits: tuple[str, str]) -> list[str]:
    """Return what is wrong, without its place."""
    outcome = inspect(tiny_city(folder, *edits))
    return [str(p).partition(": ")[2] for p in (*outcome.problems, *outcome.warnings)]


def test_a_second_line_may_be_another_centers(tmp_path: Path) -> None:
    config = load_config(tiny_city(tmp_path, SERVICE, QUEUE, elsewhere()))
    queues = {queue.queue_id: queue for queue in to_settings(config).queues}
    assert queues[EXPERTS].return_after_us == 13 * SECOND
    assert queues[QueueId("passport")].return_after_us is None
    part = federation_settings(config)
    assert part is not None
    assert part.second_lines == {EXPERTS}
    plan = phone_plan(config, lambda _name, _language: None)
    assert plan.second_lines == {EXPERTS}
    assert plan.second_line_of == {"passport": EXPERTS}


def test_a_planned_center_gives_nobody_to_others(tmp_path: Path) -> None:
    planned = FEDERATION.replace("tiny: {level", "tiny: {status: planned, level")
    config = load_config(tiny_city(tmp_path, SERVICE, QUEUE_OF_ANNA, elsewhere(planned)))
    part = federation_settings(config)
    assert part is not None
    assert part.second_lines == frozenset()


QUEUE_OF_ANNA = (QUEUE[0], QUEUE[1].replace("9", "2"))


@pytest.mark.parametrize(
    ("edits", "found"),
    [
        ((SERVICE,), "services.mvd.second_line: found"),
        ((SERVICE, QUEUE), "queues.experts: found a queue that nobody can ever serve"),
        (
            (SERVICE, QUEUE, elsewhere(FEDERATION + RULE.replace("experts", "passport"))),
            "queues.experts: found a queue that nobody can ever serve",
        ),
        (
            (SERVICE, (QUEUE[0], QUEUE[1].replace("service", "medium: email, service"))),
            "services.mvd.second_line: found experts, a queue of email",
        ),
        ((QUEUE_OF_ANNA,), "queues.experts.return_after: found return_after of a queue"),
        *(
            (
                (SERVICE, (QUEUE[0], QUEUE_OF_ANNA[1].replace("13s", f"13s, {key}"))),
                f"queues.experts.{key.partition(':')[0]}: found {key.partition(':')[0]} of a sec",
            )
            for key in ("maxwait: 5m", "maxwait_unstaffed: 1m", "leavewhenempty: strict")
        ),
        (
            (
                SERVICE,
                QUEUE,
                elsewhere(f"{FEDERATION}{RULE}policy: {{skills: {{passport: Паспорта}}}}\n"),
            ),
            "queues.experts.require.english: found english, which the city's policy does not know",
        ),
    ],
)
def test_what_is_wrong_is_told(
    tmp_path: Path, edits: tuple[tuple[str, str], ...], found: str
) -> None:
    told = [text.replace('"', "") for text in problems(tmp_path, *edits)]
    assert any(text.startswith(found) for text in told), told


@pytest.mark.parametrize(
    "edits",
    [
        # Its own center's alone: whom others know does not matter to it.
        (
            SERVICE,
            QUEUE_OF_ANNA,
            ("calendars:\n", "policy: {skills: {passport: Паспорта}}\ncalendars:\n"),
        ),
        # A policy that says nothing of skills.
        (
            SERVICE,
            QUEUE,
            elsewhere(f"{FEDERATION}{RULE}policy: {{services: {{mvd: {{title: МВД}}}}}}\n"),
        ),
        # What ends the waiting in a queue that is no second line.
        (("    maxlen: 20", "    maxlen: 20\n    maxwait: 5m\n    leavewhenempty: strict"),),
    ],
)
def test_what_is_right_is_not_told(tmp_path: Path, edits: tuple[Edit, ...]) -> None:
    told = problems(tmp_path, *edits)
    assert not [one for one in told if "second line" in one or "city's policy" in one], told


def test_what_would_only_be_of_no_use_is_a_warning(tmp_path: Path) -> None:
    outcome = inspect(tiny_city(tmp_path / "a", QUEUE_OF_ANNA))
    assert outcome.problems == ()
    assert any("return_after of a queue that is no second line" in str(w) for w in outcome.warnings)
    send_away = (QUEUE[0], QUEUE_OF_ANNA[1].replace("13s", "13s, maxwait: 5m"))
    assert inspect(tiny_city(tmp_path / "b", SERVICE, send_away)).problems == ()


def test_a_queue_for_others_operators_that_is_no_second_line_needs_one_here(
    tmp_path: Path,
) -> None:
    """Overflow takes what waits too long; who can never be served here is a mistake."""
    told = problems(tmp_path, QUEUE, elsewhere())
    assert any(one.startswith("queues.experts: found a queue that nobody can") for one in told)


def test_a_rule_that_asks_nobody_serves_no_second_line(tmp_path: Path) -> None:
    """It applies in centers of another level."""
    rule = RULE.replace("after:", "levels: [city], after:")
    told = problems(tmp_path, SERVICE, QUEUE, elsewhere(FEDERATION + rule))
    assert any(one.startswith("queues.experts: found a queue that nobody can") for one in told)


def test_who_was_handed_on_and_is_not_answered_goes_back_in_a_minute(tmp_path: Path) -> None:
    queue = (QUEUE[0], QUEUE_OF_ANNA[1].replace(", return_after: 13s", ""))
    settings = to_settings(load_config(tiny_city(tmp_path, SERVICE, queue)))
    (experts,) = (one for one in settings.queues if one.queue_id == EXPERTS)
    assert experts.return_after_us == 60 * SECOND
