"""What escape.py, fastagi.py and ami.py state about Asterisk, asked of a real one.

Calls are Local channels, so no telephone is needed: one half runs our AGI, the other is a citizen.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gkc_engine.channels.phone.ami import AmiEvent, AmiLink, AmiRefused
from gkc_engine.ivr.fastagi import AgiServer, AgiSession, DataResult, StreamResult
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.process import AsteriskProcess
from gkc_engine.pbx.render import render_standalone
from tests.fakes.facts import Facts
from tests.pbx.support import small_plan, with_free_ports

pytestmark = pytest.mark.accept

DIALPLAN = """
[wire]
exten => citizen,1,Answer()
 same => n,Wait(60)
exten => presser,1,Answer()
 same => n,WaitForNoise(20,1,60)
 same => n,SendDTMF(12)
 same => n,Wait(60)
exten => held,1,Set(AGIEXITONHANGUP=yes)
 same => n,AGI(agi://127.0.0.1:{port}/enter)
 same => n,Wait(60)
exten => T,1,UserEvent(LeaseOver)
 same => n,Wait(60)
"""
USERS = """
[wire]
secret = {secret}
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
read = system,call,user
write = call,agent,originate,reporting
[broad]
secret = {secret}
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
read = system
write = command
[other]
secret = {secret}
deny = 0.0.0.0/0.0.0.0
permit = 127.0.0.1/255.255.255.255
read = call
write = call
"""
LEASE_S, RENEWED = 3, 7
"""A lease, and how often it is renewed each half a second: a machine may stand still meanwhile."""
PATIENCE_S = 20.0
HOSTILE = ["\"'\\", "${EPOCH}", "$[1+1]", "a,b(c)&d|e^f;g", "Иванов «Пётр»", "x" * 900, "", " a "]


class Wire:
    """An Asterisk with our two links on it."""

    def __init__(self, port: int, ami_port: int, secret: str) -> None:
        self.ami_port, self.secret = ami_port, secret
        self.sessions: Facts[AgiSession] = Facts()
        self.events: Facts[AmiEvent] = Facts()
        self.ups: Facts[str] = Facts()
        self.server = AgiServer(self._hold, "127.0.0.1", port)
        self.link = self.link_of("wire")

    async def _hold(self, session: AgiSession) -> None:
        self.sessions.add(session)
        await session.closed.wait()

    def link_of(self, user: str, downs: Facts[str] | None = None, secret: str = "") -> AmiLink:
        async def up() -> None:
            self.ups.add(user)

        down = (downs or Facts()).add
        link_secret = secret or self.secret
        return AmiLink(
            "127.0.0.1",
            self.ami_port,
            user,
            link_secret,
            on_event=self.events.add,
            on_up=up,
            on_down=down,
        )

    async def call(self, citizen: str = "citizen", caller: str = "") -> AgiSession:
        """Make a call and return its session, answered."""
        before = len(self.sessions.all)
        await self.link.action(
            "Originate",
            Channel=f"Local/{citizen}@wire/n",
            Context="wire",
            Exten="held",
            Priority=1,
            CallerID=caller or None,
        )
        session = (await self.sessions.count(before + 1, PATIENCE_S))[-1]
        await session.answer()
        return session


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def wire(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    folder = tmp_path_factory.mktemp("wire")
    plan = with_free_ports(small_plan())
    etc = render_standalone(plan, install=install, run_dir=folder)
    append(etc / "extensions.conf", DIALPLAN.format(port=plan.fastagi_port))
    append(etc / "manager.conf", USERS.format(secret=plan.ami.secret))
    append(etc / "modules.conf", "load = app_waitforsilence.so\n")
    async with AsteriskProcess(install=install, run_dir=folder):
        made = Wire(plan.fastagi_port, plan.ami.port, plan.ami.secret)
        await made.server.start()
        await made.link.start()
        await made.ups.count(1, 20)
        yield made
        await made.link.stop()
        await made.server.stop()


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


@pytest.fixture(scope="module")
def prompt(install: Install) -> str:
    """A long prompt of the sounds that come with Asterisk."""
    found = sorted((install.data / "sounds").glob("*/demo-instruct.*"))
    if not found:
        pytest.skip("this Asterisk has no sounds")
    return str(found[0].with_suffix(""))


@pytest.mark.asyncio(loop_scope="module")
class TestWire:
    @pytest.mark.parametrize("value", HOSTILE)
    async def test_a_value_comes_back_byte_for_byte(self, wire: Wire, value: str) -> None:
        session = await wire.call()
        await session.set_variable("X", value)
        assert await session.get_variable("X") == value
        await session.exec("Set", f"Y={value}")
        assert await session.get_variable("Y") == value
        await wire.link.action("Setvar", Channel=session.channel, Variable="Z", Value=value)
        assert await session.get_variable("Z") == value.lstrip()  # AMI skips blanks after the colon
        session.close()

    async def test_a_name_is_unescaped_in_events(self, wire: Wire) -> None:
        session = await wire.call()
        await session.set_variable("CALLERID(name)", 'Ива"н\\')
        await session.hangup()

        def of_his(event: AmiEvent) -> bool:
            return event.name == "Hangup" and event.get("Uniqueid") == session.uniqueid

        events = await wire.events.until(lambda es: any(of_his(e) for e in es), PATIENCE_S)
        assert [e.get("CallerIDName") for e in events if of_his(e)] == ['Ива"н\\']
        session.close()

    async def test_a_prompt_is_cut_whenever_the_next_command_comes(
        self, wire: Wire, prompt: str
    ) -> None:
        session = await wire.call()
        for pause in (0, 0, 0.001, 0.01, 0.1, 0.3):
            for menu in (False, True):
                playing: asyncio.Task[StreamResult | DataResult] = asyncio.create_task(
                    session.get_data(prompt, 1000, 3) if menu else session.stream_file(prompt)
                )
                await asyncio.sleep(pause)
                await asyncio.sleep(0)
                began = time.monotonic()
                assert (await session.noop()).ok
                assert time.monotonic() - began < 5  # it lasts more than a minute
                assert (await playing).cut
        session.close()

    async def test_digits_are_collected(self, wire: Wire, prompt: str) -> None:
        session = await wire.call("presser")
        result = await session.get_data(prompt, 2000, 2)
        assert result.digits == "12"
        session.close()

    @pytest.mark.parametrize("what", ["music", "prompt", "data"])
    async def test_the_lease_ends_whatever_he_hears_and_ami_renews_it(
        self, wire: Wire, prompt: str, what: str
    ) -> None:
        session = await wire.call()
        assert session.lease(LEASE_S)
        playing = asyncio.ensure_future(
            session.set_music(True)
            if what == "music"
            else session.stream_file(prompt)
            if what == "prompt"
            else session.get_data(prompt, 1000, 3)
        )
        for left in reversed(range(RENEWED)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await session.closed.wait()
            # The last is short: its end is waited for.
            fields = {"Variable": "TIMEOUT(absolute)", "Value": str(LEASE_S if left else 1)}
            await wire.link.action("Setvar", Channel=session.channel, **fields, timeout=10)
        assert not session.closed.is_set()  # 3.5 s with a lease of 3 s: AMI renewed it
        async with asyncio.timeout(PATIENCE_S):
            await session.closed.wait()
        assert session.hungup.is_set()
        await wire.events.until(
            lambda es: any(
                e.get("UserEvent") == "LeaseOver" and e.get("Channel") == session.channel
                for e in es
            ),
            PATIENCE_S,
        )
        await asyncio.wait({playing})

    async def test_rights_and_refusals_are_told_apart(self, wire: Wire) -> None:
        with pytest.raises(AmiRefused, match="No such channel"):
            await wire.link.action("Hangup", Channel="PJSIP/nix")
        for user, secret, words in (
            ("broad", "", "write=command"),
            ("other", "wrong", "Authentication failed"),
            ("wire", "", "Login Already In Use"),
        ):
            downs: Facts[str] = Facts()
            link = wire.link_of(user, downs, secret)
            await link.start()
            assert words in (await downs.count(1, PATIENCE_S))[0]
            await link.stop()

    async def test_lists_are_whole(self, wire: Wire) -> None:
        session = await wire.call()
        rows = await wire.link.list_action("CoreShowChannels")
        assert session.uniqueid in {row.get("Uniqueid") for row in rows}
        assert {row.name for row in rows} == {"CoreShowChannel"}
        for name in ("DeviceStateList", "QueueStatus", "BridgeList"):
            assert all(row.name for row in await wire.link.list_action(name))
        session.close()
