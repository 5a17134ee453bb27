"""The wallboard as it stands on the screen, letter by letter."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, Group, RenderableType
from typer.testing import CliRunner

from gkc_engine.__main__ import app
from gkc_engine.cli._feed import Feed, Seen, show
from gkc_engine.cli._tables import age_line
from gkc_engine.cli._wall_screen import Order, lines
from gkc_engine.cli._wall_words import EN, RU, Words
from gkc_engine.control.client import ControlClient
from gkc_engine.control.protocol import ControlError, Json, Params
from tests.cli.conftest import Running

NOTHING: dict[str, Any] = {
    **dict.fromkeys(("waiting", "ready", "busy", "wrap_up", "not_ready", "answered"), 0),
    **dict.fromkeys(("longest_wait_s", "abandon_rate", "service_level", "aht_s")),
    "service_level_30m": None,
    "closed": None,
    "closed_reason": None,
    "levels": {},
}


def queue(name: str, title: str, **values: object) -> dict[str, Any]:
    return NOTHING | {"queue": name, "title": title} | values


QUEUES = [
    queue("registry", "ЗАГС", ready=4, closed="hours"),
    queue(
        "passport",
        "Паспорта и регистрация по месту жительства",
        waiting=12,
        longest_wait_s=205.9,
        busy=9,
        wrap_up=2,
        not_ready=1,
        answered=1043,
        abandon_rate=0.129,
        service_level=0.81,
        service_level_30m=0.599,
        aht_s=245.0,
        levels={
            "longest_wait_s": "bad",
            "abandon_rate": "bad",
            "service_level_30m": "bad",
        },
    ),
    queue(
        "housing",
        "ЖКХ [все]",
        waiting=3,
        longest_wait_s=61.0,
        ready=1,
        busy=5,
        answered=77,
        abandon_rate=0.0,
        service_level=1.0,
        service_level_30m=1.0,
        aht_s=3605.0,
        levels={"longest_wait_s": "warn"},
    ),
    queue("tax", "Налоги", ready=2, answered=5, service_level=0.8, aht_s=59.9),
]
PICTURE: dict[str, Any] = {
    "now": "2026-11-18T11:06:40.000000Z",
    "age_s": 0.3,
    "center": "centr",
    "title": "Городской контакт-центр",
    "timezone": "Europe/Moscow",
    "order": ["registry", "passport", "housing", "tax"],
    "queues": QUEUES,
    "total": NOTHING
    | {
        "waiting": 15,
        "longest_wait_s": 205.9,
        "ready": 7,
        "busy": 14,
        "wrap_up": 2,
        "not_ready": 1,
        "answered": 1125,
        "abandon_rate": 0.119,
        "service_level": 0.82,
        "service_level_30m": 0.62,
        "aht_s": 250.0,
    },
    "health": {
        "accepting": True,
        "ami_up": True,
        "ami_problem": None,
        "record_mode": "ledger",
        "figures_complete": True,
    },
}


def drawn(
    width: int = 80,
    height: int = 24,
    words: Words = RU,
    order: Order = "worst",
    seen: Seen | None = None,
) -> list[str]:
    shown = lines(seen or Seen(picture=PICTURE, age_s=0.3), width, height, words, order)
    texts = [line.plain for line in shown]
    assert len(texts) <= height
    assert max(map(cell_len, texts)) <= width
    return [text.rstrip() for text in texts]


PASSPORT = "!! Паспорта и регист…   12 !!3:25   0   7   2    1 1043 !!12% !!59%  81%    4:05"
HOUSING = "!  ЖКХ [все]             3  !1:01   1   5   0    0   77    0%  100% 100% 1:00:05"
REGISTRY = "   ЗАГС (закрыта)        0      -   4   0   0    0    0     -     -    -       -"
TAX = "   Налоги                0      -   2   0   0    0    5     -     -  80%    0:59"
ALL = "   Все очереди          15   3:25   7  12   2    1 1125   11%   62%  82%    4:10"
LEGEND = "Гот готовы  Зан заняты  Пвз поствызов  УС уровень сервиса  ! внимание  !! плохо"
HEAD = "Городской контакт-центр                                   14:06:40  данные 0,3 с"
HEADS = "   Очередь            Ждут   Макс Гот Зан Пвз Пауз  Отв   Пот  УС30 УСдн    Обсл"


def test_80_by_24_in_russian() -> None:
    queues = [PASSPORT, "", HOUSING, "", REGISTRY, "", TAX, ""]
    assert drawn() == [HEAD, HEADS, *queues, ALL, LEGEND]
    assert drawn(height=8) == [HEAD, HEADS, PASSPORT, HOUSING, REGISTRY, TAX, ALL, LEGEND]
    assert drawn(height=7) == [HEAD, HEADS, PASSPORT, HOUSING, REGISTRY, TAX, ALL]


def test_the_order_of_the_config_keeps_each_queue_in_its_place() -> None:
    assert drawn(height=7, order="config")[2:6] == [REGISTRY, PASSPORT, HOUSING, TAX]


def test_a_wide_screen_has_whole_words() -> None:
    heads, passport, housing = drawn(130, 7, EN)[1:4]
    left = (
        "   Queue                         Waiting  Longest  Ready  Busy  Wrap-up  Paused  Answered"
    )
    assert heads == left + "  Abandoned  SL 30 min  SL today      AHT"
    left = (
        "!! Паспорта и регистрация по м…       12   !!3:25      0     7        2       1      1043"
    )
    assert passport == left + "      !!12%      !!59%       81%     4:05"
    left = (
        "!  ЖКХ [все]                           3    !1:01      1     5        0       0        77"
    )
    assert housing == left + "         0%       100%      100%  1:00:05"


def test_a_narrow_screen_goes_without_the_lesser_columns() -> None:
    assert drawn(44, 8, EN)[1:3] == [
        "   Queue     Wait    Max Rdy Bsy   Abn  SL30",
        "!! Паспорта…   12 !!3:25   0   7 !!12% !!59%",
    ]
    kept = [len(drawn(width, 8, EN)[1].split()) for width in (36, 44, 52, 60, 68, 80)]
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (5, 12)


def test_queues_that_do_not_fit_are_summed_up() -> None:
    assert drawn(height=6) == [HEAD, HEADS, PASSPORT, HOUSING, "+ ещё 2 очереди", ALL]
    fixed = drawn(height=6, order="config")
    rest = "+ ещё 2 очереди: ждут 3, дольше всех 1:01; из них с отметкой: 1"
    assert fixed == [HEAD, HEADS, REGISTRY, PASSPORT, rest, ALL]


@pytest.mark.parametrize(
    ("n", "russian", "english"),
    [
        (1, "+ ещё 1 очередь", "+ 1 more queue"),
        (2, "+ ещё 2 очереди", "+ 2 more queues"),
        (5, "+ ещё 5 очередей", "+ 5 more queues"),
        (11, "+ ещё 11 очередей", "+ 11 more queues"),
        (13, "+ ещё 13 очередей", "+ 13 more queues"),
        (21, "+ ещё 21 очередь", "+ 21 more queues"),
        (112, "+ ещё 112 очередей", "+ 112 more queues"),
    ],
)
def test_numbers_of_queues(n: int, russian: str, english: str) -> None:
    assert (RU.more(n), EN.more(n)) == (russian, english)


@pytest.mark.parametrize(("width", "height"), [(36, 6), (40, 40), (80, 7), (300, 90), (20, 3)])
@pytest.mark.parametrize("words", [RU, EN])
def test_every_size_holds(width: int, height: int, words: Words) -> None:
    health = PICTURE["health"] | {"ami_up": False, "accepting": False, "figures_complete": False}
    many = [queue(f"q{n}", f"Очередь {n}") for n in range(60)]
    picture = PICTURE | {
        "queues": [*QUEUES, *many],
        "order": [*PICTURE["order"], *(one["queue"] for one in many)],
        "health": health,
    }
    drawn(width, height, words, seen=Seen(picture=picture, age_s=0.1))  # which looks


def test_old_data_never_looks_fresh() -> None:
    fresh = lines(Seen(picture=PICTURE, age_s=2.0), 80, 24, RU)[0]
    stale = lines(Seen(picture=PICTURE, age_s=2.1), 80, 24, RU)[0]
    assert fresh.plain.endswith("14:06:42  данные 2,0 с")
    assert stale.plain.endswith("14:06:42  !! ДАННЫЕ УСТАРЕЛИ: 2,1 с")
    assert not any("reverse" in str(span.style) for span in fresh.spans)
    assert any("reverse" in str(span.style) for span in stale.spans)


def test_an_engine_that_is_gone_is_said_to_be_at_once() -> None:
    gone = Seen(picture=PICTURE, age_s=0.5, problem=ControlError("not_running", "No engine …"))
    shown = drawn(seen=gone)
    assert shown[0].endswith("14:06:40  !! ДАННЫЕ УСТАРЕЛИ: 0,5 с")
    assert shown[1] == (
        "!! Нет связи с движком, показано состояние на 14:06:40: он не запущен или перез…"
    )
    other = Seen(picture=PICTURE, age_s=9, problem=ControlError("x", "no queue 'a'\x1b[2J"))
    assert drawn(words=EN, seen=other)[1] == (
        "!! No engine, this is the state of 14:06:40: no queue 'a'\ufffd[2J"
    )


@pytest.mark.parametrize(
    ("health", "said"),
    [
        (
            {"ami_up": False, "ami_problem": "refused"},
            "!! Нет связи с Asterisk: refused. Звонки и операторы могли измениться",
        ),
        ({"record_mode": "journal"}, "!  Записи идут в аварийный журнал: база недоступна"),
        (
            {"record_mode": "full", "accepting": False},
            "!! Новые обращения не принимаются: записывать их некуда",
        ),
        (
            {"figures_complete": False},
            "!  Движок только что запущен: итоги за день и за 30 минут ещё неполны",
        ),
    ],
)
def test_what_is_wrong_with_the_engine_stands_above(health: dict[str, Any], said: str) -> None:
    picture = PICTURE | {"health": PICTURE["health"] | health}
    assert drawn(seen=Seen(picture=picture, age_s=0))[1] == said


def test_an_emergency_closing_stands_above() -> None:
    closed = queue("tax", "Налоги", closed="emergency", closed_reason="дым")
    picture = PICTURE | {"queues": [*QUEUES[:3], closed]}
    assert drawn(seen=Seen(picture=picture, age_s=0))[1] == "!! Налоги: экстренно закрыта (дым)"


# --- the command and its feed -----------------------------------------------------------------


@pytest.mark.usefixtures("engine")
def test_once_into_a_pipe(gkc: CliRunner) -> None:
    done = gkc.invoke(app, ["wall", "--once", "--language", "en"], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    head, _, first, *rest = [line for line in done.stdout.splitlines() if line]
    assert head.startswith("Городской контакт-центр    ")
    # One waits since 45 s, ivanova talks, petrov is ready; 2 answered, 1 of 5 left not too soon.
    assert first == ("   Паспорта и регистрация    1 0:45   1   1   0    0   2 20%  33%  33% 1:10")
    assert [line[3:13] for line in rest[:2]] == ["ЖКХ [все] ", "All queues"]


@pytest.mark.usefixtures("engine")
def test_a_pipe_is_refused_with_the_remedy(gkc: CliRunner) -> None:
    done = gkc.invoke(app, ["wall"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "For a pipe: gkc wall --once" in done.stderr


def test_without_an_engine_the_wall_says_what_to_do(run: object, gkc: CliRunner) -> None:
    assert run
    done = gkc.invoke(app, ["wall", "--once"])
    assert done.exit_code == 1
    assert done.stderr.startswith("No engine is running")


def until(feed: Feed, fact: Callable[[Seen], bool]) -> Seen:
    seen = feed.seen()
    for _ in range(500):
        if fact(seen):
            return seen
        feed.wait(0.02)
        seen = feed.seen()
    raise AssertionError(seen)


def test_the_feed_says_that_the_engine_went_and_finds_it_again(
    engine: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gkc_engine.control.pictures.SHARED_S", 0.0)
    path = engine.config.parent / ".gkc" / "run" / "engine.sock"
    away = False

    def connect() -> ControlClient:
        if away:
            raise ControlError("not_running", "nobody listens")
        return ControlClient(path)

    with Feed(connect, "wall", again_s=0.01) as feed:
        first = feed.seen()
        assert not first.stale
        assert first.picture["total"]["waiting"] == 1
        away = True
        feed._client.hang_up()  # as the engine's end does
        gone = until(feed, lambda seen: seen.problem is not None)
        assert gone.stale
        assert gone.picture == first.picture, "the last known state stays"
        until(feed, lambda seen: str(seen.problem) == "nobody listens")
        engine.backend.in_progress = []
        away = False
        back = until(feed, lambda seen: seen.picture["total"]["waiting"] == 0)
        assert not back.stale


class Silent(ControlClient):
    """An engine that says one thing and then nothing more."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def stream(self, method: str, params: Params | None = None) -> Iterator[Json]:
        assert (method, params) == ("wall", None)
        yield PICTURE
        assert self.over.wait(10)

    def hang_up(self) -> None:
        self.over.set()

    def close(self) -> None:
        pass


def test_the_age_grows_while_the_engine_is_silent() -> None:
    now = 100.0
    with Feed(Silent, "wall", clock=lambda: now) as feed:
        assert (feed.seen().age_s, feed.seen().stale) == (0.3, False)
        now = 101.6
        assert (round(feed.seen().age_s, 3), feed.seen().stale) == (1.9, False)
        now = 101.8
        assert (round(feed.seen().age_s, 3), feed.seen().stale) == (2.1, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_ordinary_end_gives_the_screen_back(number: signal.Signals) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    before = signal.getsignal(signal.SIGTERM)
    frames = 0

    def view(seen: Seen, size: ConsoleDimensions) -> RenderableType:
        nonlocal frames
        frames += 1
        if frames == 2:
            os.kill(os.getpid(), number)
        return Group(*lines(seen, size.width, size.height, RU))

    with Feed(Silent, "wall") as feed:
        feed.wait = lambda _for_s: None  # type: ignore[assignment]
        show(feed, console, view)
    assert isinstance(console.file, io.StringIO)
    drawn_to = console.file.getvalue()
    assert "Паспорта и регист" in drawn_to
    assert drawn_to.startswith("\x1b[?1049h"), "a screen of its own"
    assert drawn_to.endswith("\x1b[?25h\x1b[?1049l"), "the cursor and the screen of before"
    assert signal.getsignal(signal.SIGTERM) is before


def test_queue_show_live_draws_the_age_and_why_it_is_old() -> None:
    assert age_line(0.3, None, stale=False).plain == "data 0.3 s old"
    gone = ControlError("gone", "The engine went away.")
    assert age_line(3.04, gone, stale=True).plain == (
        "!! STALE DATA: 3.0 s old, tried again each second: The engine went away."
    )


def test_a_feed_of_what_is_not_there_is_refused_at_once(engine: Running) -> None:
    path = engine.config.parent / ".gkc" / "run" / "engine.sock"
    with pytest.raises(ControlError, match="no queue 'pasport'"):
        Feed(lambda: ControlClient(path), "watch", {"queue": "pasport"})


@pytest.fixture(autouse=True)
def _no_leftover_thread() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
