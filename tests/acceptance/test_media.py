"""What a citizen hears and what it costs him, from the RTP and the SIP that reached his phone."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.desk import Desk
from tests.acceptance.harness import CONFIG, Row, Scene, scene, until
from tests.acceptance.phone import Leg, OnCall, answers, only_rings
from tests.acceptance.rtp import MUSIC, Ear, EarLeg, Library, Piece, names, stamped, wall
from tests.acceptance.stream import FRAME_S

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

FREE_RING = "+74951112255"
"""``answer: operator``, to a queue that tells place and wait."""
TOLD = "+74951112277"
"""The same queue by a number that is answered at once."""
CLOSED = {"menu": "+74951112244", "operator": "+74951112288"}
FULL = {"menu": "+74951112266", "operator": "+74951112299"}
MENU = "+74957777777"
AGENTS = ("anna", "boris", "vera", "gleb", "dina", "egor")
QUIET_S = 1.0
"""The longest stretch without a sound that a citizen may take for a lost line."""

CUT_S = 1.0
"""From the operator's being free to his phone's INVITE, and to the end of the announcement.

It takes some 20 ms; a test machine under load may be late, the announcement takes 1.2 s."""


def _tune(document: Document) -> None:
    """Announce each five seconds; one queue is closed, one always full; two languages."""
    if "queues" not in document:
        return
    queues, numbers, main = document["queues"], document["numbers"], document["ivr"]["main"]
    queues["operator"] |= {"announce-frequency": "5s", "min-announce-frequency": "2s"}
    queues["operator"] |= {"wrapuptime": "0s"}
    queues["housing"]["hours"] = "never"
    queues["narrow"] = {"title": "Узкая", "maxlen": 0}
    today = datetime.fromtimestamp(wall(), tz=UTC).date()
    span = f"{today - timedelta(days=2)}..{today + timedelta(days=2)}"
    document["calendars"] = {"never": {"week": {"mon-sun": ["00:00-24:00"]}, "dates": {span: []}}}
    for answer in ("menu", "operator"):
        numbers[CLOSED[answer]] = {"queue": "housing", "answer": answer}
        numbers[FULL[answer]] = {"queue": "narrow", "answer": answer}
    numbers[FREE_RING] = {"queue": "operator", "answer": "operator"}
    numbers[TOLD] = {"queue": "operator"}
    main["prompt"] = "welcome"
    main["choices"]["2"] = {"language": "en", "menu": "english"}
    document["ivr"]["english"] = {
        "prompt": "services_menu_en",
        "choices": {"1": {"queue": "operator"}, "2": {"queue": "housing"}},
        "on_timeout": {"queue": "operator"},
    }
    document["prompts"] = {
        "welcome": {"ru": "-", "en": "-"},  # committed sound, never rendered from this
        "services_menu_en": {"ru": "-", "en": "-"},
    }


def _options(options: CityOptions) -> CityOptions:
    return dataclasses.replace(
        options, tune=_tune, adjust=lambda plan: dataclasses.replace(plan, rtp_timeout_s=0)
    )


@dataclasses.dataclass(slots=True)
class Stage:
    """The city, its phones, and its sounds."""

    city: Scene
    desk: Desk
    library: Library
    past: set[str] = dataclasses.field(default_factory=set)
    arrivals: list[float] = dataclasses.field(default_factory=list)
    """When operators' phones were rung in this case."""
    ears: list[Ear] = dataclasses.field(default_factory=list)

    async def call(self, number: str) -> EarLeg:
        """Let a citizen dial who records what he hears."""
        host, _, port = self.city.bench.server.partition(":")
        ear = Ear((host, int(port)))
        self.ears.append(ear)
        await ear.start()
        return await ear.listen(number)

    def phones(self, on_call: OnCall) -> None:
        """Say what every operator's phone does."""
        for phone in self.desk.phones.values():
            phone.on_call = stamped(on_call, self.arrivals)

    def heard(self, leg: EarLeg) -> list[Piece]:
        """Return what the citizen heard so far."""
        return leg.recording.pieces(self.library)

    async def hears(self, leg: EarLeg, name: str, frames: int = 15) -> Piece:
        """Wait until the citizen hears this piece now, for ``frames`` of 20 ms already."""

        async def look() -> Piece | None:
            pieces = self.heard(leg)
            last = pieces[-1] if pieces else None
            if last and last.name.startswith(name) and last.end - last.begin >= frames * FRAME_S:
                return last
            return None

        return await until(look, f"he hears {name}", 25, every_s=0.02)

    async def over(self, count: int) -> list[Row]:
        """Wait until this case's ``count`` contacts have ended; return everything about each."""

        async def look() -> list[Row] | None:
            rows = [r for r in await self.city.contacts() if r["contact_id"] not in self.past]
            return rows if len(rows) >= count and all(r["ended"] for r in rows) else None

        rows = await until(look, f"{count} contacts have ended", 30)
        assert len(rows) == count, "one record for each citizen"
        return [await self.city.story(row["contact_id"]) for row in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    desk = Desk()
    folder = tmp_path_factory.mktemp("media")
    async with scene(folder, install, phones=desk.start, options=_options) as city:
        (music,) = (folder / "city" / "asterisk").rglob("gkc-hold.alaw")
        prompts = CONFIG / "prompts"
        yield Stage(city, desk, Library.of([prompts / "ru", prompts / "en"], music))
        await desk.stop()


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _calm(stage: Stage) -> AsyncIterator[None]:
    stage.past |= {r["contact_id"] for r in await stage.city.contacts()}
    stage.arrivals.clear()
    yield
    for ear in stage.ears:
        for leg in ear.calls:
            if not leg.ended.is_set():
                await leg.bye() if leg.answered.is_set() else leg.cancel()
    await stage.desk.calm()
    for agent in AGENTS:
        await stage.city.ask("agent.logout", agent=agent)
    for ear in stage.ears:
        await ear.stop()
    stage.ears.clear()


def _between(pieces: list[Piece], begin: float, end: float) -> list[Piece]:
    return [p for p in pieces if begin - 0.05 <= p.begin and p.end <= end + 0.05]


# --- what it costs -----------------------------------------------------------------------------


async def test_he_pays_from_the_operators_answer_on(stage: Stage) -> None:
    picked_up: list[float] = []

    async def slow(leg: Leg) -> None:
        leg.ring()
        await asyncio.sleep(1.5)
        picked_up.append(wall())
        await leg.answer()

    stage.phones(slow)
    await stage.city.login("dina")
    leg = await stage.call(FREE_RING)
    async with asyncio.timeout(20):
        await leg.answered.wait()
    early, ok = leg.recording.said(183), leg.recording.said(200)
    assert early is not None
    assert ok is not None
    assert early < ok
    # The statuses are stamped when we read them: the first sound may be older than the 183.
    music = _between(stage.heard(leg), leg.recording.frames[0].at, ok)
    await leg.bye()
    assert names(music) == [MUSIC], "music as early media while it rings"
    assert sum(p.end - p.begin for p in music) > 1.0
    assert 0 <= ok - picked_up[0] < 0.7, "he paid before, or the phone rang on"
    (story,) = await stage.over(1)
    assert story["disposition"] == "answered"


async def test_who_has_to_wait_is_answered(stage: Stage) -> None:
    leg = await stage.call(FREE_RING)
    async with asyncio.timeout(20):
        await leg.answered.wait()
    await stage.hears(leg, MUSIC)
    await leg.bye()


async def test_a_miss_of_a_free_ring_becomes_an_answered_wait(stage: Stage) -> None:
    stage.phones(only_rings)
    await stage.city.login("dina")
    leg = await stage.call(FREE_RING)
    await stage.desk.phones["105"].next_call()
    assert not leg.answered.is_set()
    await stage.city.agent_is("dina", "ready", 30)  # his phone is given up after its timeout
    async with asyncio.timeout(30):
        await leg.answered.wait()
    await stage.hears(leg, MUSIC)
    await leg.bye()


async def test_who_is_turned_away_hears_why_and_pays_nothing(stage: Stage) -> None:
    """Four at once, for each hears his announcement to its end."""
    ways = [(CLOSED[answer], "closed", 480) for answer in ("menu", "operator")]
    ways += [(FULL[answer], "full", 486) for answer in ("menu", "operator")]
    legs = [await stage.call(number) for number, _, _ in ways]
    for leg, (number, prompt, status) in zip(legs, ways, strict=True):
        async with asyncio.timeout(30):
            await leg.ended.wait()
        (piece,) = stage.heard(leg)
        statuses = [s for _, s in leg.recording.statuses]
        assert piece.name == f"ru/{prompt}", number
        assert piece.whole, number
        assert 200 not in statuses, number
        assert statuses[-1] == status, number
        assert 183 in statuses, number
    rows = await stage.over(len(ways))
    for row in rows:
        _, prompt, _ = next(way for way in ways if way[0] == row["did"])
        assert row["disposition"] == prompt
        assert row["end_party"] == "system"
    assert {row["did"] for row in rows} == {number for number, _, _ in ways}


async def test_after_a_menu_closed_is_said_in_his_language_and_ends_with_bye(stage: Stage) -> None:
    leg = await stage.call(MENU)
    await stage.hears(leg, "ru/welcome")
    await leg.press("2")
    await stage.hears(leg, "en/services_menu_en")
    await leg.press("2")
    async with asyncio.timeout(30):
        await leg.ended.wait()
    assert names(stage.heard(leg)) == ["ru/welcome", "en/services_menu_en", "en/closed"]
    assert leg.how == "BYE"


# --- what he hears -----------------------------------------------------------------------------


async def _teach(stage: Stage, count: int) -> None:
    """Let the engine handle ``count`` calls, so that it can say how long one waits."""
    stage.phones(answers)
    await stage.city.login(*AGENTS)
    for begin in range(0, count, len(AGENTS)):
        legs = [await stage.call(TOLD) for _ in range(min(len(AGENTS), count - begin))]
        await stage.city.in_state("talk", len(legs))
        for leg in legs:
            await leg.bye()
        for agent in AGENTS:
            await stage.city.agent_is(agent, "ready")
    for agent in AGENTS:
        await stage.city.ask("agent.logout", agent=agent)
    await stage.desk.calm()


async def test_the_whole_way_from_the_menu_to_the_talk_sounds_without_a_gap(stage: Stage) -> None:
    await _teach(stage, 12)
    stage.phones(answers)
    await stage.city.login("egor")
    other = await stage.call(TOLD)  # keeps the only operator busy
    await stage.desk.phones["106"].next_call()
    await stage.city.agent_is("egor", "talk")
    leg = await stage.call(MENU)
    await stage.hears(leg, "ru/welcome", 60)
    await leg.press("2")
    await stage.hears(leg, "en/services_menu_en")
    await leg.press("1")
    await stage.hears(leg, "en/numbers/position-1")
    await stage.hears(leg, MUSIC)
    await stage.hears(leg, "en/numbers/wait-")  # told again, 5 s after the first time
    await other.bye()
    async with asyncio.timeout(20):
        await (await stage.desk.phones["106"].next_call()).answered.wait()
    talk = wall()

    async def talks() -> bool:
        return leg.hears(0.3)[0x26] > 10  # the signature of phone 106

    await until(talks, "he hears the operator", 15)
    quiet = leg.recording.silences(leg.recording.frames[0].at, talk, QUIET_S)
    pieces = stage.heard(leg)
    await leg.bye()
    first_frame = leg.recording.frames[0].at - (leg.recording.said(200) or 0.0)
    told = ["en/numbers/position-1", "en/numbers/wait-under-1", MUSIC]
    assert [p.name for p in pieces] == ["ru/welcome", "en/services_menu_en", *told, *told]
    assert [p.whole for p in pieces[2:4]] == [True, True]
    assert not pieces[1].whole, "a digit cuts the menu"
    assert min(leg.recording.loudest(p) for p in pieces) > -35
    assert first_frame < QUIET_S
    assert quiet == []


async def test_an_announcement_is_cut_when_an_operator_is_free(stage: Stage) -> None:
    stage.phones(only_rings)
    await stage.city.login("dina")  # else Asterisk may not have found his phone yet
    await stage.city.ask("agent.logout", agent="dina")
    leg = await stage.call(TOLD)
    await stage.hears(leg, "ru/numbers/position-1", 5)
    free = wall()
    await stage.city.ask("agent.login", agent="dina")
    ring = await stage.desk.phones["105"].next_call()
    assert ring.caller
    await stage.hears(leg, MUSIC)
    told = [p for p in stage.heard(leg) if p.name == "ru/numbers/position-1"][-1]
    await leg.bye()
    assert not told.whole, "it had ended by itself"
    assert stage.arrivals[0] - free < CUT_S
    assert told.end - free < CUT_S
