"""``gkc center show`` over a real control socket, a link and a protocol that has heard things."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console
from typer.testing import CliRunner

from gkc_engine.cli import center
from gkc_engine.cli._center_words import LANGUAGES
from gkc_engine.cli._feed import Seen
from gkc_engine.cli._tables import fit
from gkc_engine.clock import SystemClock
from gkc_engine.control.centers import ALONE, CenterMethods, center_rows
from gkc_engine.control.pictures import Shared
from gkc_engine.control.protocol import ControlError
from gkc_engine.control.server import ControlServer
from gkc_engine.federating import CenterMetrics, Joined
from gkc_engine.federation.briefs import Briefs
from gkc_engine.federation.messages import VERSION, Deny, Load, Message, QueueLoad, encode
from gkc_engine.federation.owner import Counted
from gkc_engine.federation.peers import Refused
from gkc_engine.federation.settings import (
    CenterEntry,
    CenterLevel,
    CenterStatus,
    FederationSettings,
    LinkSettings,
    Part,
)
from gkc_engine.ids import Instant, seconds
from tests.cli.conftest import ServerThread
from tests.control.fake import AuditLog
from tests.federation.centers import Node

PEERS = ("centr", "yug", "yug-1")
LIVE, PLANNED = CenterStatus.LIVE, CenterStatus.PLANNED


def entry(name: str, level: CenterLevel, parent: str | None, status: CenterStatus) -> CenterEntry:
    return CenterEntry(name=name, level=level, parent=parent, status=status)


CENTERS = (
    entry("yug", CenterLevel.OKRUG, "centr", LIVE),
    entry("centr", CenterLevel.CITY, None, LIVE),
    entry("sever", CenterLevel.OKRUG, "centr", CenterStatus.PILOT),
    entry("yug-1", CenterLevel.DISTRICT, "yug", LIVE),
    entry("zapad", CenterLevel.OKRUG, "centr", PLANNED),
)


def told(node: Node, center_: str, body: Load | Deny, epoch: int = 1, seq: int = 1) -> None:
    message = Message(version=VERSION, center=center_, epoch=epoch, seq=seq, body=body)
    node.federation.hear(encode(message), node.engine.now(), center_)


class Still(SystemClock):
    """What was heard is worth something for 3 s: so long a command may take to start here."""

    def __init__(self, now: Instant) -> None:
        super().__init__()
        self._now = now

    def now(self) -> Instant:
        return self._now


@pytest.fixture
def node() -> Node:
    part = FederationSettings(center="sever", peers=PEERS)
    made = Node(part, LinkSettings(urls=("nats://127.0.0.1:1",)), 0)
    made.engine._clock = Still(made.engine.now())
    queue = QueueLoad(wait_us=seconds(95), ready=2, waiting=7, sl_milli=815)
    shut = QueueLoad(wait_us=seconds(900), ready=0, waiting=1, sl_milli=None, open=False)
    told(made, "centr", Load(state="normal", queues={"tax": queue, "pass": shut}))
    federation = made.federation
    federation.owner.counted["centr", Counted.ASKED] = 5
    federation.owner.counted["centr", Counted.SENT] = 3
    federation.owner.denials["centr", "own_first"] = 2
    federation.donor.counted["centr", "granted"] = 4
    federation.donor.counted["centr", "nobody_free"] = 1
    federation.donor.counted["yug", "granted"] = 1
    peer = federation.peers["centr"]
    peer.blocked_until = Instant(made.engine.now() + seconds(30))
    federation.hear(b"\xc1", made.engine.now(), "yug")
    version = Message(
        version=VERSION + 1, center="yug", epoch=1, seq=1, body=Deny(reservation_id="r", reason="")
    )
    federation.hear(encode(version), made.engine.now(), "yug")
    told(made, "vostok", Load(state="normal", queues={}))
    told(made, "sever", Load(state="normal", queues={}), epoch=7)
    return made


@pytest.fixture
def part(node: Node) -> Part:
    link = LinkSettings(urls=("nats://127.0.0.1:1",))
    return Part(settings=node.federation.settings, link=link, centers=CENTERS)


def serve(run: Path, joined: Joined | None) -> ServerThread:
    server = ControlServer(run / "engine.sock", AuditLog())
    CenterMethods(joined, "Europe/Moscow", Shared(lambda: 0.0)).register(server)
    serving = ServerThread(server)
    serving.start()
    return serving


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("GKC_RUN_DIR", str(folder))
    return folder


@pytest.fixture
def joined(node: Node, part: Part) -> Joined:
    return Joined(part, node.link, Briefs(), node.sight)


@pytest.fixture
def city(node: Node, joined: Joined, run: Path) -> Iterator[Node]:
    serving = serve(run, joined)
    yield node
    serving.stop()


def gkc(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(center.app, ["show", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_json_has_the_tree_from_above_with_its_figures(city: Node) -> None:
    del city
    rows = json.loads(gkc("--json"))
    assert [(row["center"], row["depth"]) for row in rows] == [
        ("centr", 0),
        ("yug", 1),
        ("yug-1", 2),
        ("sever", 1),
        ("zapad", 1),
    ]
    centr, yug, yug_1, sever, zapad = rows
    assert (centr["state"], centr["waiting"], centr["ready"]) == ("normal", 8, 2)
    assert (centr["expected_wait_s"], centr["service_level"]) == (95.0, 0.815)
    assert centr["queues"]["pass"]["open"] is False
    assert 0 <= centr["age_s"] < 3
    assert 25 < centr["blocked_s"] <= 30
    assert centr["out"] == {"asked": 5, "sent": 3}
    assert centr["denied_by"] == {"own_first": 2}
    assert centr["in"] == {"granted": 4, "nobody_free": 1}
    assert (yug["state"], yug["age_s"], yug["waiting"]) == ("down", None, None)
    assert yug["refused"] == {"malformed": 1, "version": 1}
    assert {why: 0 <= ago < 60 for why, ago in yug["refused_last_s"].items()} == {
        "malformed": True,
        "version": True,
    }
    assert yug_1["parent"] == "yug"
    assert sever["own"]
    assert sever["in"] == {"granted": 5, "nobody_free": 1}, "of all together"
    assert sever["refused"] == {"foreign": 1, "ourselves": 1}
    assert sever["refused_last_s"].keys() == {"foreign", "ourselves"}
    assert sever["bus_problem"]
    assert (zapad["status"], zapad["state"]) == ("planned", None)


def test_a_reload_shows_the_tree_of_the_new_config(city: Node, joined: Joined) -> None:
    del city
    joined.change(replace(joined.part, centers=CENTERS[:3]))
    rows = json.loads(gkc("--json"))
    assert [row["center"] for row in rows] == ["centr", "yug", "sever"]


def test_the_table_is_russian_and_says_what_is_wrong_in_words(city: Node) -> None:
    city.link.problem = "nats://127.0.0.1:4222 не отвечает"
    lines = gkc().splitlines()
    assert lines[0].split()[:3] == ["Центр", "Статус", "Состояние"]
    assert lines[1].startswith("centr ")
    assert lines[2].startswith("  yug ")
    assert lines[3].startswith("    yug-1 ")
    assert lines[4].startswith("  sever ← здесь  пилот")
    assert "НЕ СЛЫШЕН" in lines[2]
    text = "\n".join(lines[6:])
    for said in (
        "переток остановлен, звонки принимаются как обычно: nats://127.0.0.1:4222 не отвечает",
        "yug: другая версия протокола, сообщений: 1; нужен один и тот же выпуск",
        "sever: кто-то ещё называет себя так же, сообщений: 1",
        "центр, которого нет в настройках: сообщений: 1; добавьте его в federation.centers",
        "centr отказал нам: последние свободные — для своих граждан 2",
        "Мы отказали centr: никто не свободен 1",
        "centr: транк не отвечал",
    ):
        assert said in text


def test_what_was_refused_says_when_last(city: Node) -> None:
    federation = city.federation
    then = Instant(city.engine.now() - seconds(754))
    federation.refuse("yug", Refused.FORGED, Instant(then - seconds(9)))
    federation.refuse("yug", Refused.FORGED, then)
    federation.refuse("nobody", Refused.REPLAYED, Instant(then + seconds(600)))
    text = gkc()
    assert "yug: на его линии сообщений другого центра: 2 (последнее 12:3" in text
    assert "нет в настройках: устаревших или повторных сообщений: 1 (последнее 2:3" in text


def test_a_leaf_that_answers_and_hears_nobody_is_told_apart(city: Node) -> None:
    alone = "Лист шины отвечает, но никого не слышно"
    assert alone not in gkc()
    city.link.up, city.link.problem = True, ""
    assert alone not in gkc(), "one is heard"
    city.federation.peers["centr"].loaded = Instant(city.engine.now() - seconds(4))
    assert alone in gkc()
    assert "Нет связи с шиной" not in gkc()


def test_mistakes_of_our_own_are_shown(city: Node) -> None:
    assert "federation_failed" not in gkc()
    city.link.dropped["failed"] = 3
    assert "Ошибок программы в обмене с центрами: 3; они в журнале, federation_failed" in gkc()


def test_a_center_that_becomes_a_pilot_says_so_without_a_new_start(
    city: Node, joined: Joined, part: Part
) -> None:
    settings = part.settings
    joined.change(replace(part, settings=structs.replace(settings, own_planned=True)))
    assert "sever ← здесь  пилот     ещё не работает" in gkc()
    joined.change(part)
    assert "ещё не работает" not in gkc()
    assert city.link.federation.settings == settings


def test_a_planned_center_that_is_heard_says_how_long_ago(city: Node) -> None:
    city.federation.change(structs.replace(city.federation.settings, planned=("zapad",)))
    assert json.loads(gkc("--json"))[4]["age_s"] is None
    told(city, "zapad", Load(state="planned", queues={}))
    zapad = json.loads(gkc("--json"))[4]
    assert (zapad["center"], zapad["state"], zapad["waiting"]) == ("zapad", None, None)
    assert 0 <= zapad["age_s"] < 5


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_on_a_narrow_terminal_columns_go_before_names(city: Node, width: int) -> None:
    del city
    words = LANGUAGES["ru"]
    rows = center.flat(json.loads(gkc("--json")), words)
    fitted = fit(center.columns(words), rows, width)
    assert sum(size + 2 for _, size in fitted) - 2 <= width
    name = max(len(str(row["center"])) for row in rows)
    assert (fitted[0][1] == name) is (width > 60)
    assert len(fitted) == {60: 6, 80: 8, 120: 12, 200: 17}[width]


def test_how_old_a_live_picture_is_stands_above_it_in_words(city: Node) -> None:
    del city
    picture = {"centers": json.loads(gkc("--json"))}

    def drawn(
        language: Literal["ru", "en"], age_s: float, problem: ControlError | None = None
    ) -> str:
        console = Console(width=100, record=True, file=io.StringIO())
        seen = Seen(picture=picture, age_s=age_s, problem=problem)
        console.print(center._view(seen, console.size, language))
        return console.export_text().splitlines()[0]

    assert drawn("ru", 0.34) == "данные 0,3 с"
    gone = ControlError("not_running", "no engine")
    old = "!! ДАННЫЕ УСТАРЕЛИ: 3,0 с: он не запущен или перезапускается"
    assert drawn("ru", 3.0, gone) == old
    assert drawn("en", 0.34) == "data 0.3 s old"


def test_in_english_too(city: Node) -> None:
    del city
    text = gkc("--language", "en")
    assert text.startswith("Center")
    assert "NOT HEARD" in text
    assert "yug: another version of the protocol, messages: 1" in text


def test_a_name_of_another_center_cannot_steer_the_terminal(node: Node) -> None:
    """Only names of the config are shown, whatever somebody calls himself."""
    told(node, "zlo", Load(state="\x1b[2Jnormal", queues={}))
    told(node, "centr", Load(state="\x1b[2J", queues={}), seq=2)
    rows = center_rows(node.link, CENTERS)
    assert "\x1b" not in json.dumps(rows, ensure_ascii=False)
    assert rows[0]["state"] == "going-down"


def test_a_center_that_runs_alone_says_so(run: Path) -> None:
    serving = serve(run, None)
    try:
        assert ALONE in gkc(code=1)
    finally:
        serving.stop()


def test_metrics_of_the_others(node: Node) -> None:
    registry = CollectorRegistry()
    metrics = CenterMetrics(registry, node.link)
    metrics.set()
    node.federation.owner.counted["centr", Counted.ASKED] = 6
    metrics.set()
    text = generate_latest(registry).decode()
    for line in (
        "gkc_bus_up 0.0",
        'gkc_center_up{center="centr"} 1.0',
        'gkc_center_up{center="yug"} 0.0',
        'gkc_center_data_age_seconds{center="yug"} NaN',
        'gkc_overflow_out_total{center="centr",what="asked"} 6.0',
        'gkc_overflow_out_total{center="yug",what="asked"} 0.0',
        'gkc_overflow_in_total{center="centr",what="nobody_free"} 1.0',
        'gkc_federation_refused_total{center="yug",reason="version"} 1.0',
        'gkc_federation_refused_total{center="",reason="foreign"} 1.0',
    ):
        assert line in text.splitlines(), line


def test_a_center_that_the_config_names_no_more_has_no_gauge(node: Node) -> None:
    told(node, "centr", Load(state="normal", queues={}))
    registry = CollectorRegistry()
    metrics = CenterMetrics(registry, node.link)
    metrics.set()
    settings = node.federation.settings
    node.federation.change(msgspec.structs.replace(settings, peers=("yug",)))
    metrics.set()
    lines = generate_latest(registry).decode().splitlines()
    up = [line for line in lines if line.startswith(("gkc_center_up{", "gkc_center_data_age"))]
    assert up == [
        'gkc_center_up{center="yug"} 0.0',
        'gkc_center_data_age_seconds{center="yug"} NaN',
    ]
