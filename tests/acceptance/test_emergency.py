"""112 and 101 to 104 from operators' phones: out by the administrator's context, come what may."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.desk import Desk
from tests.acceptance.harness import Scene, scene, until
from tests.acceptance.sipp import Sipp, SippBench
from tests.acceptance.stage import PROMPTS

pytestmark = [
    pytest.mark.accept,
    pytest.mark.usefixtures("sipp"),
    pytest.mark.asyncio(loop_scope="module"),
]

NUMBERS = ("112", "101", "102", "103")
"""All that the administrator's context knows; 104 he has forgotten."""


@dataclasses.dataclass(slots=True)
class Network:
    """What lies behind the administrator's trunk: SIPp that answers each call, and its list."""

    city: Scene
    desk: Desk
    answers: Sipp

    def reached(self) -> list[str]:
        """Return the numbers that were called over the trunk, in order."""
        return [user for _, user in self.answers.invites()]

    async def dials(self, phone: str, number: str) -> None:
        """Let an operator's SIPp phone dial; it is answered by the network within 2 s."""
        before = len(self.reached())
        call = await self.city.bench.citizens(
            number, [f"{phone}-{number}-{before}"], caller=phone, talk_ms=300, host="127.0.0.1"
        )

        async def arrived() -> bool:
            return len(self.reached()) > before

        await until(arrived, f"{number} reaches the network", 2.0)
        assert self.reached()[before:] == [number]
        assert await call.finished(30) == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network(
    install: Install, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Network]:
    desk = Desk()
    answers: list[Sipp] = []

    async def phones(bench: SippBench) -> Mapping[str, int]:
        answers.append(await bench.phones())
        return await desk.start(bench)

    def tune(document: Document) -> None:
        if "pbx" in document:
            document["pbx"]["emergency_context"] = "from-operators-out"

    def options(base: CityOptions) -> CityOptions:
        plan = "\n[from-operators-out]\n" + "".join(
            f"exten => {n},1,Dial(PJSIP/${{EXTEN}}@network)\n same => n,Hangup()\n" for n in NUMBERS
        )
        trunk = (
            "\n[network]\ntype = endpoint\ncontext = gkc\ndisallow = all\nallow = alaw\n"
            "aors = network\n[network]\ntype = aor\n"
            f"contact = sip:127.0.0.1:{answers[0].port}\n"
        )
        return dataclasses.replace(base, tune=tune, extra_dialplan=plan, extra_pjsip=trunk)

    folder = tmp_path_factory.mktemp("emergency")
    async with scene(folder, install, phones=phones, options=options) as city:
        yield Network(city, desk, answers[0])
        await desk.stop()


async def test_every_emergency_number_reaches_the_network_past_a_colleague_of_that_number(
    network: Network,
) -> None:
    for number in NUMBERS:
        await network.dials("105", number)
    assert await network.city.contacts() == [], "no contact of ours"


async def test_a_context_that_lacks_the_number_is_refused_aloud(network: Network) -> None:
    leg = await network.desk.phones["105"].dial("104")
    async with asyncio.timeout(20):
        await leg.ended.wait()
    assert leg.heard(PROMPTS / "emergency-refused.alaw", for_s=0.5)
    assert leg.how == "503"
    log = network.city.city.asterisk.log

    async def told() -> bool:  # Asterisk writes its log in a thread of its own
        return "an emergency number dialled on PJSIP/105-" in log.read_text(errors="replace")

    await until(told, "the administrator is told", 20)


async def test_a_stopped_engine_and_a_killed_one_hinder_nobody(network: Network) -> None:
    pid = await asyncio.to_thread(lambda: network.city.city.engine_pid)
    os.kill(pid, signal.SIGSTOP)
    await network.dials("106", "112")  # at once: the heartbeat is still fresh
    os.kill(pid, signal.SIGCONT)
    network.city.city.kill_engine()
    await network.dials("106", "112")
    await network.dials("106", "101")
