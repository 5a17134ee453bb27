"""An administrator's own Asterisk: a few lines of dialplan and a manager user, nothing of ours.

No heartbeat, no lease, no fallback queues of ours, no event times, phones on static contacts that
are at work whenever the engine runs (``login: always``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gkc_engine.demo.city import City, CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.render import render_standalone
from tests.acceptance.desk import Desk
from tests.acceptance.harness import CONFIG, Scene, until
from tests.acceptance.phone import answers
from tests.acceptance.sipp import SippBench
from tests.ports import free_ports

pytestmark = pytest.mark.accept

EXTENSIONS = """
[general]
autofallthrough = yes
[carrier]
exten => _[+0-9]!,1,AGI(agi://127.0.0.1:{agi}/enter)
 same => n,GotoIf($["${{GKC_DONE}}"="1"]?bye)
 same => n,Queue(town-hall)
 same => n(bye),Hangup()
[own-plan]
exten => 700,1,Answer()
 same => n,AGI(agi://127.0.0.1:{agi}/queue/passport)
 same => n,GotoIf($["${{GKC_DONE}}"="1"]?bye)
 same => n,Queue(town-hall)
 same => n(bye),Hangup()
"""
QUEUES = """
[town-hall]
strategy = ringall
timeout = 15
member => PJSIP/106
"""
MANAGER = """
[general]
enabled = yes
bindaddr = 127.0.0.1
port = {ami}
[gkc]
secret = {secret}
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
read = system,call,agent,agi
write = call,agent,agi,reporting
"""
PJSIP = """
[global]
type = global
endpoint_identifier_order = ip,username
max_initial_qualify_time = 2
[udp]
type = transport
protocol = udp
bind = 127.0.0.1:{sip}
[carrier]
type = endpoint
context = carrier
disallow = all
allow = alaw
identify_by = ip
[carrier-identify]
type = identify
endpoint = carrier
match = 127.0.0.11
"""
PHONE = """
[{user}]
type = endpoint
context = nowhere
disallow = all
allow = alaw
aors = {user}
direct_media = no
[{user}]
type = aor
contact = sip:{user}@127.0.0.1:{port}
qualify_frequency = 3
"""
BACKUP = "106"
"""The phone of the administrator's own queue; the engine knows its owner but is not to ring it."""


def _tune(document: Document) -> None:
    """Two operators are at work by themselves; the queue `passport` is theirs."""
    for name in ("anna", "boris") if "operators" in document else ():
        document["operators"][name]["login"] = "always"


class Attached(City):
    """A city whose Asterisk is not ours."""

    desk: Desk

    async def start_asterisk(self) -> None:
        """Write what an administrator has, and boot it."""
        etc = render_standalone(
            self.plan(), install=self.install, run_dir=self.run_dir / "asterisk"
        )
        ports = self.ports
        phones = "".join(PHONE.format(user=u, port=p.port) for u, p in self.desk.phones.items())
        for name, text in (
            ("extensions", EXTENSIONS.format(agi=ports.agi)),
            ("queues", QUEUES),
            ("manager", MANAGER.format(ami=ports.ami, secret=self.secret)),
            ("pjsip", PJSIP.format(sip=ports.sip) + phones),
            ("features", "[general]\n"),
        ):
            (etc / f"{name}.conf").write_text(text, encoding="utf-8")
            (etc / "gkc.d" / f"{name}.conf").unlink(missing_ok=True)
        await self.asterisk.start()

        async def known() -> bool:
            lines = (await self.asterisk.cli("pjsip show contacts")).splitlines()
            return sum(" Avail " in line for line in lines) == len(self.desk.phones)

        # Before its first OPTIONS a static contact counts as gone, and the engine is told so.
        await until(known, "Asterisk has reached every phone", 30)

    async def shows(self, channels: str, count: int = 1) -> None:
        """Wait until ``count`` lines of ``core show channels concise`` hold this text."""

        async def look() -> bool:
            lines = (await self.asterisk.cli("core show channels concise")).splitlines()
            return sum(channels in line for line in lines) >= count

        await until(look, f"{count} × {channels}", 15)


@asynccontextmanager
async def _attached(folder: Path, install: Install) -> AsyncIterator[tuple[Scene, Attached, Desk]]:
    ports, desk = free_ports(), Desk()
    bench = SippBench(folder / "sipp", f"127.0.0.1:{ports.sip}")
    options = CityOptions(phone=lambda o: o, trunks=(), watchdog=False, tune=_tune)
    city = Attached(CONFIG, folder / "city", install, ports, options)
    city.desk = desk
    await desk.start(bench)
    try:
        await city.start_asterisk()
        await city.start_engine()
        yield Scene(city, bench), city, desk
    finally:
        await desk.stop()
        await city.stop()


@pytest.mark.parametrize("number", ["+74951112233", "700"])
async def test_a_call_is_routed_and_recorded_by_a_few_lines_of_dialplan(
    tmp_path: Path, install: Install, number: str
) -> None:
    async with _attached(tmp_path, install) as (scene, city, desk):
        if number == "700":
            # Straight into a queue, from a plan that is the administrator's own.
            etc = city.asterisk.config.parent / "extensions.conf"
            plan = etc.read_text().replace("[carrier]", "[carrier]\ninclude => own-plan\n")
            etc.write_text(plan.replace("exten => _[+0-9]!", "exten => _+X."))
            await city.asterisk.cli("dialplan reload")
        anna = desk.phones["101"]
        anna.on_call = answers
        await scene.agent_is("anna", "ready")
        await scene.ask("agent.logout", agent="boris")
        leg = await (await desk.citizen()).dial(number)
        operator = await anna.next_call()
        async with asyncio.timeout(15):
            await leg.answered.wait()
        await scene.in_state("talk", 1)

        async def talk() -> bool:
            return leg.hears()[anna.signature] > 5 and operator.hears()[0x55] > 5

        await until(talk, "both hear each other", 15)
        await operator.bye()
        async with asyncio.timeout(15):
            await leg.ended.wait()
        (row,) = await scene.ended(1)
        story = await scene.story(row["contact_id"])
    assert leg.how == "BYE"
    assert (row["queue"], row["disposition"], row["agent_id"]) == ("passport", "answered", "anna")
    assert row["end_party"] == "agent"
    assert 0.05 < row["talk_s"] < 10
    assert [o["outcome"] for o in story["offers_list"]] == ["accepted"]
    assert city.log.read_text().count("fallback_queues_missing") == 1
    assert "ami_job_refused" not in city.log.read_text()
    assert not desk.phones[BACKUP].calls


async def test_a_killed_engine_leaves_everybody_to_the_administrators_next_line(
    tmp_path: Path, install: Install
) -> None:
    async with _attached(tmp_path, install) as (scene, city, desk):
        for user in ("101", "102"):
            desk.phones[user].on_call = answers
        await scene.agent_is("anna", "ready")
        await scene.agent_is("boris", "ready")
        talks = [await (await desk.citizen(f"+7900000000{n}")).dial("+74951112233") for n in (1, 2)]
        await scene.in_state("talk", 2)
        waits = await (await desk.citizen("+79000000003")).dial("+74951112233")
        await scene.in_state("waiting", 1)
        await scene.on_record(3)  # without CEL nobody else tells of one who came an instant ago
        killed = time.monotonic()
        city.kill_engine()
        backup = await desk.phones[BACKUP].next_call()
        took = time.monotonic() - killed
        await backup.answer()
        late = await (await desk.citizen("+79000000004")).dial("+74951112233")
        await city.shows("!Queue!", 2)
        assert not any(leg.ended.is_set() for leg in (*talks, waits, late))

        async def go_on() -> bool:
            return all(leg.hears()[0x21] + leg.hears()[0x22] > 5 for leg in talks)

        await until(go_on, "talks go on", 15)
        # Come back: who waits or talks by the administrator's own queue is left to it.
        await city.start_engine()
        await city.shows("!Queue!", 2)
        assert not any(leg.ended.is_set() for leg in (*talks, waits, late))
        for leg in (*talks, waits):
            await leg.bye()
        late.cancel() if not late.answered.is_set() else await late.bye()
        rows = await scene.ended(3)
    assert took < 2.0
    assert [r["disposition"] for r in rows if r["agent_id"]][:2] == ["answered", "answered"]


async def test_a_wrong_password_leaves_calls_to_agi_alone_and_is_said(
    tmp_path: Path, install: Install
) -> None:
    async with _attached(tmp_path, install) as (scene, city, desk):
        await scene.agent_is("anna", "ready")
        await scene.ask("agent.logout", agent="boris")
        manager = city.asterisk.config.parent / "manager.conf"
        manager.write_text(MANAGER.format(ami=city.ports.ami, secret="another"))
        await city.asterisk.cli("manager reload")
        await city.asterisk.cli(f"manager kick session {await _session(city)}")

        async def refused() -> str | None:
            (row,) = await scene.ask("engine.show")
            return row["ami_problem"] if "refused" in (row["ami_problem"] or "") else None

        problem = await until(refused, "the engine says that AMI refuses it", 30)
        desk.phones["101"].on_call = answers
        leg = await (await desk.citizen()).dial("+74951112233")
        await desk.phones["101"].next_call()
        async with asyncio.timeout(15):
            await leg.answered.wait()
        await leg.bye()
    assert "user gkc" in problem
    assert "another" not in problem
    assert city.secret not in problem


async def _session(city: Attached) -> str:
    lines = (await city.asterisk.cli("manager show connected")).splitlines()
    (row,) = (line for line in lines if line.strip().startswith("gkc"))
    return row.split()[4]
