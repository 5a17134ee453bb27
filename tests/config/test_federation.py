"""What the config says of the other centers, in the terms of the protocol, the link, the trunks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gkc_engine.config.federation import (
    KEEP_ALL_FREE,
    federation_settings,
    link_settings,
    members,
    token_key,
    trunks,
)
from gkc_engine.config.loader import inspect, load_config
from gkc_engine.config.models import Config
from gkc_engine.config.reload import diff
from gkc_engine.errors import ConfigError
from gkc_engine.federation.settings import (
    CenterLevel,
    CenterStatus,
    OverflowRule,
    Trunk,
)
from gkc_engine.ids import SECOND, Micros, QueueId
from tests.config.cities import SAMPLE, tiny_city

FEDERATION = """federation:
  nats: nats://127.0.0.1:4222
  token_key: env:GKC_TEST_TOKEN_KEY
  centers:
    centr: {level: city, trunk: "10.1.0.1:5160"}
    tiny: {level: okrug, parent: centr}
    yug: {level: okrug, parent: centr, trunk: "10.3.0.1:5160", status: pilot}
    zapad: {level: okrug, parent: centr, status: planned}
    luga: {level: district, parent: tiny, trunk: "[fd00::1]:5160"}
    polyana: {level: district, parent: tiny, trunk: "Polyana.Example.org:5060"}
"""
RULES = """overflow:
  - {queues: all, to: [parent, siblings], levels: [okrug], prefer: parent, penalties: {yug: 10s}}
  - {queues: [passport], to: [children], after: 0s, gain_min: 5s, donor_sl_min: 0.5697, max_hops: 1}
"""
GENERAL_KEY = "  general:\n"
PASSPORT, GENERAL = QueueId("passport"), QueueId("general")


def city(folder: Path, more: str = FEDERATION + RULES, *edits: tuple[str, str]) -> Path:
    """Return the tiny city, its center one of several."""
    for old, new in edits:
        assert more.count(old) == 1, old
        more = more.replace(old, new)
    return tiny_city(folder, ("services:\n", f"{more}services:\n"))


def config(folder: Path, *edits: tuple[str, str]) -> Config:
    return load_config(city(folder, FEDERATION + RULES, *edits))


def test_a_single_center_needs_nothing_and_has_nothing(tmp_path: Path) -> None:
    alone = load_config(tiny_city(tmp_path))
    assert federation_settings(alone) is None
    assert link_settings(alone, tmp_path) is None
    assert token_key(alone, tmp_path) is None
    assert trunks(alone) == ()
    assert [(m.level, m.status) for m in members(alone).values()] == [(None, CenterStatus.LIVE)]


def test_a_rule_is_read_from_where_the_center_stands(tmp_path: Path) -> None:
    found = federation_settings(config(tmp_path))
    assert found is not None
    assert found.center == "tiny"
    assert found.peers == ("centr", "yug", "luga", "polyana")
    assert (found.keep_free, found.own_sl_min_milli) == (1, 800)
    assert found.rules == (
        OverflowRule(
            queues=frozenset({PASSPORT, GENERAL}),
            to=("centr", "yug"),
            after_us=Micros(20 * SECOND),
            gain_min_us=Micros(30 * SECOND),
            donor_sl_min_milli=800,
            prefer="centr",
            penalties_us={"yug": Micros(10 * SECOND)},
        ),
        OverflowRule(
            queues=frozenset({PASSPORT}),
            to=("luga", "polyana"),
            after_us=Micros(0),
            gain_min_us=Micros(5 * SECOND),
            donor_sl_min_milli=570,
        ),
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("centr", [("tiny", "yug")]),
        ("yug", [("centr", "tiny")]),
        ("luga", []),
    ],
)
def test_one_published_file_serves_every_center(
    name: str, expected: list[tuple[str, ...]], tmp_path: Path
) -> None:
    own = (("{level: okrug, parent: centr}", '{level: okrug, parent: centr, trunk: "h:1"}'),)
    folder = city(tmp_path, FEDERATION + RULES, *own)
    file = folder / "city.yaml"
    file.write_text(file.read_text("utf-8").replace("name: tiny", f"name: {name}"), "utf-8")
    found = federation_settings(load_config(folder))
    assert found is not None
    assert [rule.to for rule in found.rules] == expected


def test_a_planned_center_sends_none_and_takes_none(tmp_path: Path) -> None:
    planned = config(tmp_path, ("{level: okrug, parent: centr}", "{level: okrug, status: planned}"))
    found = federation_settings(planned)
    assert found is not None
    assert (found.rules, found.keep_free) == ((), KEEP_ALL_FREE)
    assert found.peers == ("centr", "yug", "luga", "polyana"), "it hears how the others stand"
    assert (found.planned, found.own_planned) == (("zapad",), True)
    assert trunks(planned) == ()


def test_what_center_says_and_the_published_file_leaves_out_holds(tmp_path: Path) -> None:
    without = FEDERATION.replace("    tiny: {level: okrug, parent: centr}\n", "")
    folder = tiny_city(
        tmp_path,
        ("services:\n", f"{without}services:\n"),
        ("name: tiny,", "name: tiny, level: okrug, parent: centr, status: pilot,"),
    )
    own = members(load_config(folder))["tiny"]
    assert (own.level, own.parent, own.status) == (CenterLevel.OKRUG, "centr", CenterStatus.PILOT)


def test_only_calls_are_sent(tmp_path: Path) -> None:
    folder = tiny_city(
        tmp_path,
        ("services:\n", f"{FEDERATION}{RULES}services:\n"),
        ("    title: Общая\n", "    title: Общая\n    medium: email\n"),
        ("login: always}", "login: always, capacity: {voice: 1, email: 1}}"),
        ("then: queue general", "then: hangup"),
        ('"2": {language: en, queue: general}', '"2": {language: en, queue: passport}'),
        ("    on_timeout: {queue: general}", "    on_timeout: {queue: passport}"),
        ("    fallback: general\n", ""),
    )
    found = federation_settings(load_config(folder))
    assert found is not None
    assert found.rules[0].queues == {PASSPORT}


def test_the_ways_to_the_others(tmp_path: Path) -> None:
    assert trunks(config(tmp_path)) == (
        Trunk(center="centr", host="10.1.0.1", port=5160),
        Trunk(center="yug", host="10.3.0.1", port=5160),
        Trunk(center="luga", host="fd00::1", port=5160),
        Trunk(center="polyana", host="polyana.example.org", port=5060),
    )


def test_the_link_with_a_password_and_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKC_TEST_NATS", "hunter2-hunter2")
    link = (
        "  nats: nats://127.0.0.1:4222\n",
        (
            "  nats: [tls://a.example.org:4222, 'tls://[fd00::2]']\n  user: sever\n"
            "  secret: env:GKC_TEST_NATS\n  tls: {ca: ca.pem, cert: /etc/gkc/c.pem, key: k.pem}\n"
        ),
    )
    found = config(tmp_path, link)
    settings = link_settings(found, tmp_path)
    assert settings is not None
    assert settings.urls == ("tls://a.example.org:4222", "tls://[fd00::2]")
    assert (settings.user, settings.password) == ("sever", "hunter2-hunter2")
    assert (settings.ca, settings.cert) == (f"{tmp_path}/ca.pem", "/etc/gkc/c.pem")
    assert settings.key == f"{tmp_path}/k.pem"
    assert "hunter2" not in repr(settings) + found.tree
    monkeypatch.delenv("GKC_TEST_NATS")
    with pytest.raises(ConfigError, match="GKC_TEST_NATS is not set"):
        link_settings(found, tmp_path)


def test_the_token_key_is_resolved_and_long_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = config(tmp_path)
    monkeypatch.setenv("GKC_TEST_TOKEN_KEY", "k" * 32)
    assert token_key(found, tmp_path) == "k" * 32
    assert "k" * 32 not in found.tree
    monkeypatch.setenv("GKC_TEST_TOKEN_KEY", "sesame")
    with pytest.raises(ConfigError, match="6 characters, expected at least 32") as refused:
        token_key(found, tmp_path)
    assert "sesame" not in str(refused.value)


MANY = "".join(f"  q{n}: {{title: Q}}\n" for n in range(499)) + GENERAL_KEY


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "name: tiny,",
            "name: tiny, level: district,",
            'level: found "district", expected okrug as in {0}:15:19, or no such line',
        ),
        (
            "name: tiny,",
            "name: tiny, status: planned,",
            'status: found "planned", expected live as in {0}:15:11, or no such line',
        ),
        ("name: tiny,", "name: Tiny, level: okrug,", 'center.name: found "Tiny", expected a cen'),
        ("name: tiny,", "name: parent, level: okrug,", 'center.name: found "parent", expected a n'),
        (GENERAL_KEY, "  all: {title: Все}\n" + GENERAL_KEY, "queues.all: found a queue all, "),
        (
            "    wrapuptime: 5s\n",
            "    medium: chat\n",
            'overflow[1].queues[0]: found "passport", a queue of chat, expected a queue of calls',
        ),
        (GENERAL_KEY, MANY, "queues: found 501 queues of calls, expected at most 500 beside fede"),
    ],
)
def test_what_two_sections_get_wrong_together(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    folder = tiny_city(tmp_path, ("services:\n", f"{FEDERATION}{RULES}services:\n"), (old, new))
    problems = [str(one) for one in inspect(folder).problems]
    assert [one for one in problems if said.format(folder / "city.yaml") in one] != [], problems


def test_a_wrong_level_is_told_once(tmp_path: Path) -> None:
    without = FEDERATION.replace("    tiny: {level: okrug, parent: centr}\n", "")
    more = without.replace("parent: tiny", "parent: centr")
    folder = tiny_city(
        tmp_path, ("services:\n", f"{more}services:\n"), ("name: tiny,", "name: tiny, level: up,")
    )
    assert [one.path for one in inspect(folder).problems] == ["center.level"]


@pytest.mark.parametrize(
    ("old", "new", "warned"),
    [
        (
            "nats: nats://127.0.0.1:4222",
            "nats: [nats://127.0.0.1, nats://10.1.0.1:4222]\n  user: a\n  secret: env:B",
            "federation.nats[1]: found nats:// beside user, to another machine",
        ),
        (
            "nats: nats://127.0.0.1:4222",
            "nats: nats://hub\n  user: a\n  secret: env:B",
            "city.yaml:11:3: federation.nats: found nats:// beside user, to another machine",
        ),
        (
            "to: [parent, siblings], levels: [okrug], prefer: parent",
            "to: [siblings], prefer: parent",
            "overflow[0].prefer: found parent, which to does not name",
        ),
        ("to: [children]", "to: [yug], prefer: luga", "overflow[1].prefer: found luga, which to"),
        ("to: [children]", "to: [yug]", "overflow[1]: found a rule that never applies"),
    ],
)
def test_what_is_hardly_meant_is_told(old: str, new: str, warned: str, tmp_path: Path) -> None:
    outcome = inspect(city(tmp_path, FEDERATION + RULES, (old, new)))
    assert outcome.problems == ()
    assert [str(w) for w in outcome.warnings if warned in str(w)] != []


@pytest.mark.parametrize(
    ("after", "limits", "said"),
    [
        ("119s", "maxwait_unstaffed: 45s\n    maxwait: 2m", None),
        (
            "2m",
            "maxwait: 2m",
            (
                "overflow[0].after: found 2m, and queues.passport.maxwait is 2m: who came to"
                " that queue first is never sent, expected less than 2m"
            ),
        ),
    ],
)
def test_a_rule_that_comes_too_late_for_a_queue_is_told(
    after: str, limits: str, said: str | None, tmp_path: Path
) -> None:
    rule = f"overflow:\n  - {{queues: all, to: [parent], after: {after}}}\n"
    later = "  - {queues: [passport], to: [siblings], levels: [district], after: 5m}\n"
    folder = tiny_city(
        tmp_path,
        ("services:\n", f"{FEDERATION}{rule}{later}services:\n"),
        ("    wrapuptime: 5s\n", f"    {limits}\n"),
    )
    warned = [w for w in inspect(folder).warnings if w.path.endswith(".after")]
    assert [str(w).split(": ", 1)[1] for w in warned] == ([] if said is None else [said])


def test_a_good_tree_has_no_warning_of_ours(tmp_path: Path) -> None:
    rules = RULES.replace("queues: all", "queues: [general]")
    warnings = inspect(city(tmp_path, FEDERATION + rules)).warnings
    assert [w.path for w in warnings] == ["pbx"]


def test_a_password_that_stays_on_the_machine_is_nothing_to_tell(tmp_path: Path) -> None:
    near = "[nats://127.0.0.1, 'nats://[::1]:4222', nats://localhost:4222, tls://10.1.0.1]"
    link = ("nats://127.0.0.1:4222", f"{near}\n  user: sever\n  secret: env:NATS")
    rules = RULES.replace("queues: all", "queues: [general]")
    warnings = inspect(city(tmp_path, FEDERATION + rules, link)).warnings
    assert [w.path for w in warnings] == ["pbx"]


def test_a_parent_alone_is_told(tmp_path: Path) -> None:
    folder = tiny_city(tmp_path, ("name: tiny,", "name: tiny, parent: centr,"))
    paths = [w.path for w in inspect(folder).warnings]
    assert "center.parent" in paths


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "  token_key:",
            "  keep_free: 3\n  token_key:",
            ["federation.keep_free 1→3"],
        ),
        (
            "nats://127.0.0.1:4222",
            "nats://127.0.0.1:4223",
            [
                (
                    "federation.nats [nats://127.0.0.1:4222]→[nats://127.0.0.1:4223]"
                    " (from the next start on)"
                )
            ],
        ),
        (
            "GKC_TEST_TOKEN_KEY",
            "OTHER",
            ["federation.token_key env:GKC_TEST_TOKEN_KEY→env:OTHER (from the next start on)"],
        ),
        (
            "  token_key:",
            "  user: sever\n  secret: env:NATS\n  tls: {ca: hub.pem}\n  token_key:",
            [
                "federation.user none→sever (from the next start on)",
                "federation.secret none→env:NATS (from the next start on)",
                "federation.tls none→{ca: hub.pem} (from the next start on)",
            ],
        ),
        (
            "10.3.0.1:5160",
            "10.3.0.2:5160",
            ["federation.centers.yug.trunk 10.3.0.1:5160→10.3.0.2:5160 (and gkc pbx config)"],
        ),
        (", status: pilot", "", ["federation.centers.yug.status pilot→live"]),
        (
            "parent: centr, status: planned",
            "parent: centr, trunk: '10.4.0.1:5060', status: pilot",
            [
                "federation.centers.zapad.trunk none→10.4.0.1:5060 (and gkc pbx config)",
                "federation.centers.zapad.status planned→pilot (and gkc pbx config)",
            ],
        ),
        (
            "    zapad: {level: okrug, parent: centr, status: planned}\n",
            "",
            [
                (
                    "federation.centers.zapad {level: okrug, parent: centr, status: planned}→none"
                    " (and gkc pbx config)"
                )
            ],
        ),
        (
            (
                "{yug: 10s}}\n  - {queues: [passport], to: [children], after: 0s, gain_min: 5s,"
                " donor_sl_min: 0.5697, max_hops: 1}\n"
            ),
            "{yug: 90s}}\n",
            [
                (
                    "overflow [{queues: [all], to: [parent, siblings], levels: [okrug],"
                    " prefer: parent, penalties: {yug: 10s}}, {queues: [passport], to: [children],"
                    " after: 0s, gain_min: 5s, donor_sl_min: 0.5697, max_hops: 1}]→"
                    "[{queues: [all], to: [parent, siblings], levels: [okrug], prefer: parent,"
                    " penalties: {yug: 90s}}]"
                )
            ],
        ),
    ],
)
def test_a_reload_says_what_it_changes_and_what_waits(
    old: str, new: str, said: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert diff(config(tmp_path / "a"), config(tmp_path / "b", (old, new))) == said


def test_to_join_or_to_leave_waits_for_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    alone = load_config(tiny_city(tmp_path / "a"))
    joined = load_config(city(tmp_path / "b", FEDERATION))
    [line] = diff(alone, joined)
    assert line.startswith("federation none→{nats: [nats://127.0.0.1:4222], token_key: env:GKC")
    assert line.endswith("(from the next start on)")
    [line] = diff(joined, alone)
    assert line.endswith("→none (from the next start on)")


def test_a_planned_center_goes_live_with_asterisks_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before = load_config(tiny_city(tmp_path / "a", ("name: tiny,", "name: tiny, status: planned,")))
    after = load_config(tiny_city(tmp_path / "b", ("name: tiny,", "name: tiny, status: live,")))
    assert diff(before, after) == ["center.status planned→live (and gkc pbx config)"]
    (tmp_path / "c").mkdir()
    pilot = load_config(tiny_city(tmp_path / "c", ("name: tiny,", "name: tiny, status: pilot,")))
    assert diff(pilot, after) == ["center.status pilot→live"]
    (tmp_path / "d").mkdir()
    unsaid = load_config(tiny_city(tmp_path / "d"))  # Then its entry in federation.centers counts.
    assert diff(unsaid, pilot) == ["center.status none→pilot (and gkc pbx config)"]


def test_the_samples_example_is_asleep_and_right_once_awake(tmp_path: Path) -> None:
    assert federation_settings(load_config(SAMPLE)) is None
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "center.yaml"
    before, mark, example = file.read_text("utf-8").partition("# federation:\n")
    awake = "".join(line.removeprefix("# ") for line in (mark + example).splitlines(keepends=True))
    for name, to in (("centr", [("sever", "yug")]), ("yug", [("sever", "centr")])):
        file.write_text(before.replace("name: centr ", f"name: {name} ") + awake, "utf-8")
        outcome = inspect(tmp_path)
        assert [*outcome.problems, *outcome.warnings] == []
        assert outcome.config is not None
        found = federation_settings(outcome.config)
        assert found is not None
        assert [rule.to for rule in found.rules] == to
