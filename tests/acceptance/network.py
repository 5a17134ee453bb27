"""The test city with a telephone network behind its trunk: one phone that has every number."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.desk import Desk
from tests.acceptance.harness import scene
from tests.acceptance.phone import Leg, Phone, answers
from tests.acceptance.sipp import SippBench
from tests.acceptance.stage import Stage
from tests.acceptance.transfer_cases import hears_each_other, transfer_case
from tests.acceptance.trials import now

OFFICE = "+74950000042"
"""May be called at any time."""
CITIZEN = "+79000000042"
"""May be called by day."""
DENIED = "+79000000099"
US = "+74957777777"


@dataclasses.dataclass(slots=True)
class Outside:
    """The stage, and the telephone network behind its trunk: one phone that has every number."""

    stage: Stage
    network: Phone

    async def rings(self, called: str) -> Leg:
        """Return the call that has come to ``called``."""
        leg = await self.network.next_call()
        assert leg._invite["to"].startswith(f"<sip:{called}@"), leg._invite["to"]
        return leg

    async def talk(self, number: str = OFFICE) -> tuple[Leg, Leg]:
        """Let Anna, who is at work, call ``number``; they talk."""
        self.network.on_call = answers
        mine = await self.stage.phone(101).dial(number)
        theirs = await self.rings(OFFICE if number.endswith("0042") else number)
        await asyncio.wait_for(mine.answered.wait(), 20)
        await hears_each_other(mine, theirs)
        return mine, theirs


def _night_is_now(document: Document) -> None:
    """Lay the night around the present minute, in the center's zone."""
    local = datetime.fromtimestamp(now(), tz=ZoneInfo("Europe/Moscow"))
    minute = local.hour * 60 + local.minute
    clock = [f"{at // 60 % 24:02d}:{at % 60:02d}" for at in (minute - 60, minute + 120)]
    document["outbound"] = {
        "allow": ["+7495", "+7900"],
        "deny": [DENIED],
        "dial": "PJSIP/{number}@network",
        "caller_id": US,
        "ring": "3s",
        "wrapuptime": "1s",
        "record": "always",
        "caps": {"per_operator_hour": 60, "concurrent": 1},
        "night": {"from": clock[0], "to": clock[1], "allow": ["+7495"]},
    }


@asynccontextmanager
async def outside_stage(folder: Path, install: Install) -> AsyncIterator[Outside]:
    """Run it: calls out to +7495 and +7900 are allowed, but at night, which is now, only +7495."""
    desk = Desk()
    network: list[Phone] = []

    async def phones(bench: SippBench) -> Mapping[str, int]:
        at = await desk.start(bench)
        host, _, port = bench.server.partition(":")
        network.append(await Phone("network", (host, int(port)), signature=0x70).start())
        return at

    def tune(document: Document) -> None:
        if "pbx" in document:
            document["pbx"]["emergency_context"] = "from-operators-out"
            _night_is_now(document)
        if "queues" in document:
            document["queues"]["passport"]["transfer_codes"] = True

    def options(base: CityOptions) -> CityOptions:
        trunk = (
            "\n[network]\ntype = endpoint\ncontext = gkc\ndisallow = all\nallow = alaw\n"
            "allow_transfer = no\naors = network\n[network]\ntype = aor\n"
            f"contact = sip:127.0.0.1:{network[0].port}\n"
        )
        plan = (
            "\n[from-operators-out]\nexten => 112,1,Dial(PJSIP/${EXTEN}@network)\n"
            " same => n,Hangup()\n"
        )
        return dataclasses.replace(base, tune=tune, extra_dialplan=plan, extra_pjsip=trunk)

    async with scene(folder, install, phones=phones, options=options) as city:
        try:
            yield Outside(Stage(city, desk), network[0])
        finally:  # else the next test of this worker is told of sockets left open
            await network[0].stop()
            await desk.stop()


@asynccontextmanager
async def outside_case(outside: Outside) -> AsyncIterator[None]:
    """Run one case; afterwards nothing rings in the network."""
    async with transfer_case(outside.stage):
        yield
        for leg in outside.network.calls:
            if not leg.ended.is_set() and not leg.answered.is_set():
                leg.refuse(480)
    outside.network.on_call = None
    outside.network.calls.clear()
    while not outside.network.rang.empty():
        outside.network.rang.get_nowait()
