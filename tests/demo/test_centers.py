"""The three centers' configurations, their account, and how they are seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gkc_engine.acd.commands import Disposition
from gkc_engine.cli._demo_centers import COLUMNS, line, rows, table
from gkc_engine.cli._tables import rich_table
from gkc_engine.config.federation import federation_settings, trunks
from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config
from gkc_engine.demo.account import Account, Hand, Record, compare
from gkc_engine.demo.centers_account import CityAccount, added, at_once, city_report
from gkc_engine.demo.centers_plan import CENTERS, NAMES, CenterPlan, Ways, make_own, staff_of
from gkc_engine.demo.centers_records import city_records, wrong_of
from gkc_engine.demo.centers_seen import Seen
from gkc_engine.demo.setup import quicker
from gkc_engine.demo.tree import Document, copy_tree
from gkc_engine.errors import ConfigError
from gkc_engine.ids import SECOND, Instant, Micros, QueueId
from gkc_engine.pbx.model import Ami, OperatorPhone, OutsideCenter, OutsidePlan
from gkc_engine.plans import may_serve

CONFIG = Path(__file__).parents[2] / "config"
PORTS = {"centr": 5060, "sever": 5160, "yug": 5260}
TAX = QueueId("tax")
TARGETS = {TAX: Micros(20 * SECOND)}


def own(plan: CenterPlan, folder: Path) -> Config:
    """Return the configuration of a center, checked as ``gkc run`` checks it."""
    source = load_config(CONFIG)
    others = {name: port + 1 for name, port in PORTS.items() if name != plan.name}
    ways = Ways(nats_port=4222, sip_port=PORTS[plan.name], trunks=others)
    staff = staff_of(plan, source)

    def change(name: str, document: Document) -> None:
        if name == "pbx.yaml":
            document.setdefault("pbx", {})
        make_own(plan, staff, ways, document)
        quicker(document)

    return load_config(copy_tree(CONFIG, folder / plan.name, change))


def test_each_center_is_its_own_and_together_they_are_one_city(tmp_path: Path) -> None:
    configs = {plan.name: own(plan, tmp_path) for plan in CENTERS}
    phones = [one.interface for config in configs.values() for one in config.operators.values()]
    assert len(phones) == len(set(phones)), "one outside world plays the phones of all"
    assert len({config.center.prefix for config in configs.values()}) == 3
    for name, config in configs.items():
        assert config.center.name == name
        settings = federation_settings(config)
        assert settings is not None
        assert set(settings.peers) == set(NAMES) - {name}
        assert {trunk.center: trunk.port for trunk in trunks(config)} == {
            other: PORTS[other] + 1 for other in NAMES if other != name
        }
        asks = {to for rule in settings.rules for to in rule.to}
        assert asks == (set() if name == "centr" else set(NAMES) - {name})


def test_everybody_can_be_served_everywhere_and_one_center_has_too_few(tmp_path: Path) -> None:
    loads = {}
    for plan in CENTERS:
        config = own(plan, tmp_path)
        for queue in config.queues.values():
            assert any(may_serve(one, queue) for one in config.operators.values()), plan.name
        loads[plan.name] = plan.share / len(config.operators)
    assert sum(plan.share for plan in CENTERS) == 1
    assert loads["sever"] > 3 * max(loads["centr"], loads["yug"])


# --- the account ----------------------------------------------------------------------------------


def record(call_id: str, wait_s: float, by: str = "", phone: str = "201") -> Record:
    return Record(
        contact_id=f"contact of {call_id}",
        call_id=call_id,
        disposition=Disposition.ANSWERED,
        queue=TAX,
        first_queued=Instant(0),
        wait_us=round(wait_s * SECOND),
        hands=(Hand(phone=phone, talk_us=Micros(5 * SECOND)),),
        answered_by=by,
    )


def account(*records: Record) -> Account:
    return compare([r.call_id or "" for r in records], records, TARGETS)


def test_the_city_is_the_sum_of_its_centers() -> None:
    accounts = {
        "centr": account(record("c-1", 1)),
        "sever": account(record("s-1", 2), record("s-2", 30, "centr"), record("s-3", 8, "yug")),
        "yug": account(record("y-1", 4, "centr")),
    }
    row = city_report(
        CityAccount(centers=accounts, whole=added(accounts.values())),
        seconds=60,
        rate=1,
        seed=1,
        shares={"centr": 0.25, "sever": 0.5, "yug": 0.25},
    )
    assert (row["offered"], row["answered"], row["overflow_answered"]) == (5, 5, 3)
    assert (row["lost"], row["doubled"], row["city_records"]) == (0, 0, None)
    assert row["service_level"] == 0.8
    assert row["waits"]["with_overflow"]["mean_s"] == 9.0
    assert row["waits"]["without_overflow"] == {
        "answered": 2,
        "mean_s": 1.5,
        "p50_s": 1.0,
        "p90_s": 2.0,
        "max_s": 2.0,
    }
    centers = row["centers"]
    assert [one["guests_answered"] for one in centers.values()] == [2, 0, 1]
    assert centers["sever"]["answered_by"] == {"centr": 1, "yug": 1}
    assert [one["rate"] for one in centers.values()] == [0.25, 0.5, 0.25]
    assert centers["sever"]["waits"]["without_overflow"]["answered"] == 1
    printed = table(row)
    assert printed[0].split() == ["city", *NAMES]
    assert next(text for text in printed if text.startswith("overflow_answered")).split() == [
        *("overflow_answered", "3", "0", "2", "1")
    ]


def test_what_is_lost_or_doubled_in_one_center_is_so_in_the_city() -> None:
    lost = compare(["s-1"], [], TARGETS)
    doubled = account(record("y-1", 1), record("y-1", 1))
    for one, what in ((lost, "lost"), (doubled, "doubled")):
        whole = added([account(record("c-1", 1)), one])
        assert len(getattr(whole, what)) == 1
        assert not CityAccount(centers={}, whole=whole).balanced
    fine = added([account(record("c-1", 1))])
    assert CityAccount(centers={}, whole=fine).balanced
    assert not CityAccount(centers={}, whole=fine, wrong=["a row is missing"]).balanced


def talk(phone: str, begun_s: float, talk_s: float) -> Hand:
    return Hand(phone=phone, talk_us=Micros(round(talk_s * SECOND)), begun_s=begun_s)


@pytest.mark.parametrize(
    ("talks", "twice"),
    [
        ([talk("201", 10, 5), talk("1205", 15, 5)], False),
        ([talk("201", 10, 5), talk("1205", 14.5, 5)], False),  # a blind transfer crosses
        ([talk("201", 10, 5), talk("1205", 12, 5)], True),
        ([talk("1205", 12, 5), talk("201", 10, 5)], True),
        ([talk("201", 10, 20), talk("1205", 12, 2), talk("202", 20, 5)], True),
        ([talk("201", 10, 20), talk("1205", 12, 0.5)], False),  # a blink
        ([talk("201", 10, 20), talk("1205", 12, 0.5), talk("202", 20, 5)], True),
        ([talk("201", 10, 5), Hand(phone="291", talk_us=Micros(5 * SECOND))], False),
    ],
)
def test_nobody_talks_on_two_phones_at_once(talks: list[Hand], twice: bool) -> None:
    assert at_once({"s-1": talks}) == (["s-1"] if twice else [])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(2, 20)), max_size=6))
def test_at_once_is_what_any_two_talks_are(drawn: list[tuple[int, int]]) -> None:
    talks = [talk(str(n), begun, length) for n, (begun, length) in enumerate(drawn)]
    pairs = [
        min(a + b, c + d) - max(a, c) for n, (a, b) in enumerate(drawn) for c, d in drawn[n + 1 :]
    ]
    assert bool(at_once({"x": talks})) == any(shared > 1 for shared in pairs)


# --- the city's records ---------------------------------------------------------------------------


def compared(**changed: object) -> dict[str, Any]:
    """Return a row of ``gkc records verify --city --json``, of a center with nothing wrong."""
    counts = {"rows": 100, "begun in": 7, "begun out": 2, "begun guest": 3, "ended in answered": 7}
    row = {
        "center": "sever",
        "answered": True,
        "problem": "",
        "differences": {},
        "behind_rows": 0,
        "counts": counts,
        "center_counts": dict(counts),
    }
    return row | changed


def test_the_citys_records_are_counted_once() -> None:
    found = city_records([compared(), compared(center="yug")])
    assert (found["rows"], found["contacts"], found["differences"]) == (200, 18, 0)
    assert found["centers"]["yug"] == {
        "rows": 100,
        "city_rows": 100,
        "contacts": 9,  # a guest is another center's contact
        "city_contacts": 9,
        "differences": 0,
        "behind": 0,
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"answered": False, "problem": "no reply", "center_counts": None}, "does not answer"),
        ({"behind_rows": 5}, "lacks 5 rows of sever"),
        ({"differences": {"rows": {"center": 100, "city": 99}}}, "of sever differ"),
        ({"problem": "another ledger"}, "another ledger"),
    ],
)
def test_what_is_wrong_with_them_is_said(changed: dict[str, object], said: str) -> None:
    row = compared(**changed)
    assert said in wrong_of(row)
    assert bool(wrong_of(row)) == bool(said)
    assert city_records([row])["differences"] == len(row["differences"])


# --- the outside world ----------------------------------------------------------------------------


def test_phones_of_two_centers_with_one_name_are_refused() -> None:
    phone = OperatorPhone(endpoint="201", agent_id="anna", contact="sip:201@127.0.0.1:5070")
    other = OutsideCenter(name="sever", port=5160, phones=(phone,))
    with pytest.raises(ConfigError, match="phones of the outside world"):
        OutsidePlan(ami=Ami(secret="s" * 20), phones=(phone,), others=(other,))


# --- the screen -----------------------------------------------------------------------------------


def seen() -> list[Seen]:
    centr, sever, yug = (Seen(name, away=False) for name in NAMES)
    sever.waiting, sever.longest_s, sever.parted, sever.there = 7, 12.3, True, 4
    yug.away = True
    return [centr, sever, yug]


@pytest.mark.parametrize("width", [60, 80, 150])
def test_three_centers_fit_into_a_terminal(width: int) -> None:
    console = Console(width=width, highlight=False)
    with console.capture() as drawn:
        console.print(rich_table(COLUMNS, rows(seen()), width))
    lines = drawn.get().splitlines()
    assert max(map(len, lines)) <= width
    assert any("sever" in text and "CUT" in text and "0:12" in text for text in lines)
    (away,) = [text for text in lines if "yug" in text]
    assert "no engine" in away
    assert not any(char.isdigit() for char in away), "what it was is not what it is"


def test_a_line_tells_who_is_cut_off_and_whose_engine_is_away() -> None:
    _, sever, yug = seen()
    assert line(sever) == (
        "sever (cut off): 7 waiting, 0 ready, 0 busy, 0 answered, 4 there, 0 guests"
    )
    assert line(yug) == "yug: no engine"
