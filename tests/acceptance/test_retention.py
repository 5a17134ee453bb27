"""A citizen is forgotten while a real Asterisk goes on writing about others, and him."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.desk import Desk
from tests.acceptance.harness import Row, Scene, scene, until
from tests.acceptance.phone import Leg, Phone, answers
from tests.acceptance.shell import Shell
from tests.acceptance.sipp import SippBench
from tests.acceptance.stage import Stage, sounds
from tests.acceptance.trials import now

pytestmark = [pytest.mark.accept, pytest.mark.usefixtures("sipp")]

HOUSING, OPERATOR = "+74951112244", "+74951112255"
"""Recorded always, with a notice; answered by anybody."""
CITIZEN, NAME = "+79000000042", "Zabytova"
DIGITS = (b"9000000042", b"900 000-00-42", b"900 000 00 42", b"900.000.00.42", b"%2B79000000042")
"""Of his number as it may stand in a file: with +7, 7 or 8 before it, or nothing."""
AT_ONCE = 10
"""Citizens who call one after another, again and again, while he is being forgotten."""


@dataclasses.dataclass(slots=True)
class Town:
    """The city, and the telephone network behind its trunk."""

    stage: Stage
    network: Phone
    shell: Shell

    @property
    def city(self) -> Scene:
        return self.stage.city

    @property
    def folder(self) -> Path:
        """Everything that our engine and our Asterisk have written, config and log too."""
        return self.city.city.run_dir

    @property
    def store(self) -> Path:
        return self.city.city.state / "gkc.sqlite"

    @property
    def lists(self) -> tuple[Path, ...]:
        """What Asterisk writes callers into, and our queue_log."""
        log = self.city.city.asterisk.legs_csv.parents[1]
        return (
            self.city.city.asterisk.legs_csv,
            self.city.city.asterisk.calls_csv,
            log / "messages",
            log / "queue_log",
            self.city.city.state / "queue_log",
        )

    def recordings(self) -> list[Path]:
        """Return the recorded talks."""
        folder = self.city.city.state / "recordings"
        return [path for path in folder.rglob("*") if path.is_file()]

    def inodes(self) -> list[int]:
        """Return which files the lists are."""
        return [path.stat().st_ino for path in self.lists if path.exists()]

    def figures_of_citizens(self) -> tuple[int, int]:
        """Return how many citizens and how many keys of theirs the store has."""
        connection = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)
        try:
            count = [
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("citizen", "citizen_key")
            ]
        finally:
            connection.close()
        return (count[0], count[1])

    def holding(self, *texts: bytes) -> dict[str, list[bytes]]:
        """Return the files that hold any of these bytes, with those that they hold."""
        found = {}
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                if there := [text for text in texts if text in data]:
                    found[str(path.relative_to(self.folder))] = there
        return found


@asynccontextmanager
async def town(folder: Path, install: Install) -> AsyncIterator[Town]:
    desk = Desk()
    network: list[Phone] = []

    async def phones(bench: SippBench) -> Mapping[str, int]:
        at = await desk.start(bench)
        host, _, port = bench.server.partition(":")
        network.append(await Phone("network", (host, int(port)), signature=0x70).start())
        return at

    def tune(document: Document) -> None:
        if "queues" not in document:
            return
        document["outbound"] = {
            "allow": ["+7900"],
            "dial": "PJSIP/{number}@network",
            "caller_id": "+74957777777",
            "wrapuptime": "0s",
        }
        document["queues"]["housing"] |= {"wrapuptime": "0s"}
        document["queues"]["housing"].pop("record_notice")
        log = folder / "city" / "asterisk" / "log"
        document["retention"] = {
            "citizens": "1s",
            "legs": "1s",
            "files": {f"{log}/messages*": "30d", f"{log}/queue_log*": "30d"},
        }

    def options(base: CityOptions) -> CityOptions:
        trunk = (
            "\n[network]\ntype = endpoint\ncontext = gkc\ndisallow = all\nallow = alaw\n"
            "allow_transfer = no\naors = network\n[network]\ntype = aor\n"
            f"contact = sip:127.0.0.1:{network[0].port}\n"
        )
        return dataclasses.replace(base, tune=tune, extra_pjsip=trunk)

    async with scene(folder, install, phones=phones, options=options) as city:
        try:
            yield Town(Stage(city, desk), network[0], Shell(city))
        finally:  # else the next test of this worker is told of sockets left open
            await network[0].stop()
            await desk.stop()


async def _he_calls_and_is_called(town: Town) -> None:
    """Let him talk with Vera, who is recorded, be called by her, and wait without an engine."""
    stage = town.stage
    vera = stage.phone(103, answers)
    await town.city.login("vera")
    him = await stage.desk.citizen(CITIZEN, NAME)
    leg = await him.dial(HOUSING)
    hers = await vera.next_call(15)
    await stage.waits("talk")
    await sounds(hers, 0.5)
    await leg.bye()
    await town.city.agent_is("vera", "ready")
    town.network.on_call = answers
    hers = await vera.dial("8" + CITIZEN[2:])
    theirs = await town.network.next_call()
    await asyncio.wait_for(hers.answered.wait(), 10)
    await theirs.bye()
    await town.city.ended(2)
    await _while_the_engine_is_dead(town, him)


async def _while_the_engine_is_dead(town: Town, him: Phone) -> None:
    """Let Asterisk's own queue serve him: it writes him into its own queue_log."""
    town.city.city.kill_engine()
    leg: Leg = await him.dial(HOUSING)
    hers = await town.stage.phone(103, answers).next_call(15)
    await asyncio.wait_for(hers.answered.wait(), 10)
    await sounds(hers, 0.2)
    await leg.bye()
    await town.city.city.start_engine()
    await town.city.ended(3)


async def _figures(town: Town, at: float) -> list[Row]:
    """Return what a report says of his queue in the hour up to ``at``, and the records of him."""
    # Not "1h" ago: a quarter of an hour may begin between two askings.
    begin, end = (datetime.fromtimestamp(t, UTC).isoformat() for t in (at - 3600, at))
    asked = ("--every", "15", "--from", begin, "--to", end, "--queue", "housing")
    told = await town.shell.rows("report", "interval", *asked)
    ours = [row for row in await town.city.contacts() if row["queue"] != "operator"]
    return [*told, *ours]


def _sealed(store: Path) -> list[bytes]:
    """Return what of citizens is in the store, encrypted: data keys, and what they open."""
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT wrapped FROM citizen_key").fetchall()
        rows += connection.execute("SELECT cipher FROM citizen").fetchall()
        return [bytes(row[0]) for row in rows]
    finally:
        connection.close()


async def _exported(town: Town) -> None:
    """Let the records be exported, as people do."""
    today = datetime.fromtimestamp(now(), ZoneInfo("Europe/Moscow")).date().isoformat()
    out = ("--format", "csv", "--out", str(town.folder / "export"))
    code, _, err = await town.shell.run("records", "export", "--day", today, *out)
    assert code == 0, err


async def _erased(town: Town) -> Row:
    """Erase him, as soon as that is allowed; return the act."""

    async def look() -> Row | None:
        code, out, err = await town.shell.run(
            *("records", "erase", "--citizen", "8 900 000-00-42", "--reason", "заявление № 17"),
            *("--yes", "--json"),
        )
        assert code == 0 or "has ended just now" in err, err
        return json.loads(out)[0] if code == 0 else None

    return await until(look, "he is erased", 60)


async def _others_call(town: Town, ids: list[str]) -> None:
    """Let some others call and hang up, and add their ids."""
    new = [f"other-{len(ids) + n}" for n in range(AT_ONCE)]
    sipp = await town.city.bench.citizens(OPERATOR, new, talk_ms=300, rate=20)
    assert await sipp.finished(30) == 0
    ids += new


async def _verified(town: Town) -> None:
    code, out, err = await town.shell.run("records", "verify", "--json")
    assert (code, json.loads(out)["differences"]) == (0, 0), (out, err)


def _called(town: Town) -> set[str]:
    """Return the other citizens' calls that Asterisk's list of calls has."""
    with town.city.city.asterisk.calls_csv.open(encoding="utf-8", newline="") as file:
        return {row[0] for row in csv.reader(file) if row[0].startswith("other-")}


async def test_a_citizen_is_forgotten_while_asterisk_writes(
    tmp_path: Path, install: Install
) -> None:
    async with town(tmp_path, install) as it:
        await _he_calls_and_is_called(it)
        await _exported(it)
        sealed = _sealed(it.store)
        assert len(sealed) == 2
        assert it.recordings(), "his talk is there to be destroyed"
        where = it.holding(*DIGITS)
        assert {Path(name).name for name in where} == {"legs.csv", "calls.csv", "queue_log"}
        served = now()
        before, inodes = await _figures(it, served), it.inodes()

        others: list[str] = []
        erasing = asyncio.create_task(_erased(it))
        while not erasing.done():
            await _others_call(it, others)
        act = await erasing
        assert it.holding(*DIGITS, NAME.encode(), *sealed) == {}
        assert it.recordings() == []
        assert (act["citizens"], act["recordings"], act["left"]) == (1, 1, [])
        assert {Path(place).name for place, n in act["places"].items() if n} >= {
            *("legs.csv", "calls.csv", "queue_log"),
        }
        (text,) = (it.city.city.state / "acts").glob("*-erasure.txt")
        assert f"гражданин с ключом {act['citizen']}" in text.read_text(encoding="utf-8")

        await _others_call(it, others)
        await it.city.ended(3 + len(others))
        assert it.inodes() == inodes, "Asterisk and we write into the same files"

        async def all_on_the_list() -> bool:
            return _called(it) == {*others}

        await until(all_on_the_list, "no line is lost", 20)
        assert await _figures(it, served) == before
        await _the_night_comes(it, len(others))


async def _the_night_comes(town: Town, others: int) -> None:
    """Let the nightly run mask what is older than a second; Asterisk writes on."""
    pattern = re.compile(rb"\+?7900\d{7}")
    town.stage.phone(103).on_call = answers
    legs = town.city.city.asterisk.legs_csv
    assert pattern.search(legs.read_bytes())

    async def look() -> bool:
        (act,) = await town.city.ask("records.retain")
        assert act["left"] == []
        if any(pattern.search(path.read_bytes()) for path in town.lists[:2]):
            return False
        # The last of them have gone less than a second ago; the next night has them, too.
        return town.figures_of_citizens() == (0, 0)

    await until(look, "the lists are masked, the citizens gone", 60)
    await _verified(town)
    before = legs.stat().st_size
    him = await town.stage.desk.citizen(CITIZEN, NAME)
    leg = await him.dial(HOUSING)
    await town.stage.waits("talk")
    await leg.bye()
    await town.city.ended(4 + others)
    assert b"9000000042" in legs.read_bytes()[before:], "who calls again is written anew"
