"""The diff in words, and the guard against a tree that lost its entries."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.config.reload import NEXT_START, diff, shrink
from tests.config.cities import SAMPLE, tiny_config


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("timeout: 15s", "timeout: 20s", ["passport.timeout 15s→20s"]),
        ("timeout: 15s", "timeout: 1.5m", ["passport.timeout 15s→90s"]),
        ("maxlen: 20", "maxlen: 0", ["passport.maxlen 20→0"]),
        ("    maxlen: 20\n", "", ["passport.maxlen 20→none"]),
        ("    maxlen: 20", "    maxlen: 20\n    maxwait: 2m", ["passport.maxwait none→2m"]),
        ("    maxlen: 20", "    maxlen: 20\n    slope: 1.5", ["passport.slope 1→1.5"]),
        (
            "{after: 30s, require: {passport: 1}}",
            "{after: 40s, require: {}}",
            ["passport.relax [{after: 30s, require: {passport: 1}}]→[{after: 40s, require: {}}]"],
        ),
        (
            "{passport: 5, english: 2}",
            "{passport: 6}",
            [
                "anna.skills.passport 5→6",
                "anna.skills.english 2→none",
            ],
        ),
        ("title: Малый центр", "title: Центр", ["center.title Малый центр→Центр"]),
        ("port: 4573", "port: 4574", ["pbx.fastagi.port 4573→4574 (from the next start on)"]),
        ("port: 5038", "port: 5039", ["pbx.ami.port 5038→5039 (from the next start on)"]),
        (
            "{queue: passport}\nskills",
            "{queue: general}\nskills",
            ["numbers.+74951112233.queue passport→general"],
        ),
        (
            '"14:00-18:00"',
            '"22:00-06:00"',
            [
                (
                    "calendars.workdays.week.mon-fri "
                    "[09:00-13:00, 14:00-18:00]→[09:00-13:00, 22:00-06:00]"
                )
            ],
        ),
        ("  boris:", "  bob:", ["operator boris removed", "operator bob added"]),
        ("services:\n", "services:\n  zags: {title: ЗАГС}\n", ["service zags added"]),
        ("    title: Общая", "    title:   'Общая'   # as before", []),
        (
            "services:\n",
            "policy: {queues: {passport: {servicelevel: 1m, sl_min: 0.8}}}\nservices:\n",
            ["policy none→{queues: {passport: {servicelevel: 1m, sl_min: 0.8}}}"],
        ),
    ],
)
def test_what_changes_is_said_in_words(old: str, new: str, said: list[str], tmp_path: Path) -> None:
    before = tiny_config(tmp_path / "before")
    after = tiny_config(tmp_path / "after", (old, new))
    assert diff(before, after) == said


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("pbx:\n  cel: legs.csv", "pbx.cel none→legs.csv"),
        ("metrics: {port: 9470}\npbx:", "metrics.port 9469→9470"),
        ("store: {path: other.sqlite}\npbx:", "store.path gkc.sqlite→other.sqlite"),
    ],
)
def test_what_is_bound_at_a_start_is_said_to_wait_for_one(
    section: str, said: str, tmp_path: Path
) -> None:
    before = tiny_config(tmp_path / "before")
    after = tiny_config(tmp_path / "after", ("pbx:", section))
    assert diff(before, after) == [said + NEXT_START]


@pytest.mark.parametrize("key", ["name", "prefix"])
def test_the_names_in_the_records_wait_for_a_start(key: str, tmp_path: Path) -> None:
    old = tiny_config(tmp_path)
    center = old.center.model_copy(update={key: "other"})
    (said,) = diff(old, old.model_copy(update={"center": center}))
    assert said == f"center.{key} {getattr(old.center, key)}→other{NEXT_START}"


def test_another_order_of_operators_is_a_change(tmp_path: Path) -> None:
    line = "  clara: {name: Клара К., interface: PJSIP/203, login: always}\n"
    before = tiny_config(tmp_path / "before")
    after = tiny_config(tmp_path / "after", (line, ""), ("operators:\n", "operators:\n" + line))
    assert diff(before, after) == ["operators in another order"]
    assert before.version != after.version


def without(config: Config, section: str, count: int) -> Config:
    kept = dict(list(getattr(config, section).items())[count:])
    return config.model_copy(update={section: kept})


@pytest.mark.parametrize(("section", "allowed"), [("queues", 3), ("operators", 7)])
def test_more_than_30_percent_fewer_must_be_forced(section: str, allowed: int) -> None:
    config = load_config(SAMPLE)
    assert allowed == len(getattr(config, section)) * 30 // 100
    assert shrink(config, without(config, section, allowed)) == []
    (reason,) = shrink(config, without(config, section, allowed + 1))
    assert f"{allowed + 1} of {len(getattr(config, section))} {section} would go" in reason
    assert shrink(config, config) == []
