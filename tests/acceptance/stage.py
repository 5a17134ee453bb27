"""The test city with phones that are played by hand, one scene for many cases."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from gkc_engine.demo.city import CityOptions
from gkc_engine.pbx.install import Install
from tests.acceptance.desk import Desk
from tests.acceptance.harness import CONFIG, Row, Scene, scene, until
from tests.acceptance.phone import Leg, OnCall, Phone
from tests.acceptance.stream import FRAME_S

PASSPORT = "+74951112233"
PROMPTS = CONFIG / "prompts" / "ru"
AGENTS = ("anna", "boris", "vera", "gleb", "dina", "egor")
"""At the phones 101 to 106."""


@dataclasses.dataclass(slots=True)
class Stage:
    """The city, and the phones that we play."""

    city: Scene
    desk: Desk
    past: set[str] = dataclasses.field(default_factory=set)
    """Contacts of the cases before."""

    async def call(self, number: str = PASSPORT, **extra: str) -> tuple[Phone, Leg]:
        """Let a new citizen dial."""
        phone = await self.desk.citizen(**extra)
        return phone, await phone.dial(number)

    def phone(self, user: int, on_call: OnCall | None = None) -> Phone:
        """Return an operator's phone, and say what it does with calls."""
        phone = self.desk.phones[str(user)]
        phone.on_call = on_call
        return phone

    async def new(self) -> list[Row]:
        """Return the contacts of this case, the oldest first."""
        return [r for r in await self.city.contacts() if r["contact_id"] not in self.past]

    async def over(self, count: int = 1) -> list[Row]:
        """Wait until the case's contacts have ended; return everything about each."""

        async def look() -> list[Row] | None:
            rows = await self.new()
            # The last may be known to the core, and not be on record yet.
            over = len(rows) >= count and all(r["ended"] is not None for r in rows)
            return rows if over else None

        rows = await until(look, f"{count} contacts have ended", 30)
        assert len(rows) == count, "one record for each citizen"
        return [await self.city.story(row["contact_id"]) for row in rows]

    async def last(self) -> Row:
        """Wait until the case's one contact has ended; return everything about it."""
        (story,) = await self.over()
        return story

    async def comes(self, agent: str) -> None:
        """Log an operator in who will be rung at once."""
        await self.city.ask("agent.login", agent=agent)

    @asynccontextmanager
    async def case(self) -> AsyncIterator[None]:
        """Begin with a clean sheet; leave nobody at work and nothing on the line."""
        self.past |= {r["contact_id"] for r in await self.city.contacts()}
        yield
        await self.desk.calm()
        for agent in AGENTS:
            await self.city.ask("agent.logout", agent=agent)
            await self.city.agent_is(agent, "offline")

    async def waits(self, state: str) -> None:
        """Wait until the citizen is in ``state``."""
        await self.city.in_state(state, 1)


async def hears(leg: Leg, prompt: str, timeout_s: float = 20.0) -> None:
    """Wait until the beginning of a prompt of the test city was heard, but for its first 0.2 s."""

    async def look() -> bool:
        return leg.heard(PROMPTS / f"{prompt}.alaw", for_s=0.2)

    await until(look, f"he hears {prompt}", timeout_s)


async def sounds(leg: Leg, seconds: float) -> None:
    """Wait until so much more sound has come to this phone, however slow the machine is."""
    wanted = leg.frames + seconds / FRAME_S

    async def look() -> bool:
        return leg.frames >= wanted

    await until(look, f"{seconds:g} s more of sound", 10 + seconds)


def outcomes(story: Row) -> list[tuple[str, str]]:
    """Return who was asked and how it ended, in order."""
    return [(o["agent_id"], o["outcome"]) for o in story["offers_list"]]


def kinds(story: Row) -> list[str]:
    """Return the kinds of the citizen's segments, in order."""
    return [s["kind"] for s in story["segments"] if s["party"] == "citizen"]


@asynccontextmanager
async def open_stage(
    folder: Path, install: Install, options: Callable[[CityOptions], CityOptions]
) -> AsyncIterator[Stage]:
    """Run the city with phones 101 to 106."""
    desk = Desk()
    async with scene(folder, install, phones=desk.start, options=options) as city:
        yield Stage(city, desk)
        await desk.stop()
