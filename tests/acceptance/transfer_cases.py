"""What the cases of transfers have in common: the city, the talk that each begins with."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gkc_engine.demo.city import CityOptions
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.install import Install
from tests.acceptance.harness import Row, until
from tests.acceptance.phone import Leg, Phone, answers
from tests.acceptance.stage import PASSPORT, PROMPTS, Stage, open_stage

HOUSING = "+74951112244"
KEYED = "84951112244"
"""The same, as it is keyed in."""


def _tune(document: Document) -> None:
    queues = document.get("queues")
    if queues is not None:
        queues["passport"] |= {"timeout": "3s", "same_agent_after": "60s", "transfer_codes": True}
        queues["housing"] |= {"record": "never", "wrapuptime": "0s"}
        del queues["housing"]["record_notice"]
        del queues["housing"]["relax"]  # Vera's and Gleb's alone, in the native queue too


@asynccontextmanager
async def transfer_stage(folder: Path, install: Install) -> AsyncIterator[Stage]:
    """Run the city with codes allowed, short rings and no rest."""

    def options(base: CityOptions) -> CityOptions:
        return dataclasses.replace(base, tune=_tune)

    async with open_stage(folder, install, options) as stage:
        yield stage


@asynccontextmanager
async def transfer_case(stage: Stage) -> AsyncIterator[None]:
    """Run one case; no socket's handler may have failed, even if the dialplan made up for it."""
    async with stage.case():
        yield
    assert "AGI handler failed" not in stage.city.city.log.read_text(), stage.city.city.tail()


async def talk(stage: Stage, *, others: tuple[str, ...] = ("boris",)) -> tuple[Leg, Leg]:
    """Let a citizen talk with Anna; ``others`` are at work too. Returns his leg and hers."""
    anna = stage.phone(101, answers)
    await stage.city.login("anna")
    _, leg = await stage.call(PASSPORT)
    mine = await anna.next_call()
    await stage.waits("talk")
    if others:
        await stage.city.login(*others)
    return leg, mine


async def hears_each_other(one: Leg, other: Leg) -> None:
    """Wait until each of two phones hears the other's signature."""

    async def look() -> bool:
        here = other.phone.signature in one.hears(0.2)
        return here and one.phone.signature in other.hears(0.2)

    await until(look, "they hear each other", 15)


async def has_him(stage: Stage, agent: str) -> None:
    """Wait until the core says that ``agent`` talks with a citizen."""

    async def look() -> bool:
        row = (await stage.city.ask("agent.show", agent=agent))[0]
        return row["state"] == "talk" and row["contact_id"] is not None

    await until(look, f"{agent} has the citizen", 20)


async def end(stage: Stage, leg: Leg) -> Row:
    await leg.bye()
    return await stage.last()


def talks(story: Row) -> list[str]:
    """Return with whom he talked, in order."""
    found: list[str] = []
    for segment in story["segments"]:
        if segment["kind"] in ("talk", "hold") and found[-1:] != [segment["agent_id"]]:
            found.append(segment["agent_id"])
    return found


def handed_over(story: Row) -> list[str]:
    """Return how he was handed over, each time."""
    return [s["transfer_kind"] for s in story["segments"] if s["transfer_kind"] is not None]


def advice(story: Row) -> list[tuple[str, str]]:
    """Return who asked (``consult``) and who was asked (``consulted``) about him."""
    found = [s for s in story["segments"] if s["kind"] == "consult"]
    holds = {s["segment_id"] for s in story["segments"] if s["kind"] == "hold"}
    assert {s["peer_segment"] for s in found} <= holds, "he is on hold meanwhile"
    return sorted((s["agent_id"], s["end_reason"]) for s in found)


async def ask_boris(stage: Stage, mine: Leg) -> tuple[Leg, Leg, Phone]:
    """Put the citizen on hold and ring Boris, who is reserved by that."""
    boris = stage.phone(102)
    await mine.hold()
    await stage.city.agent_is("anna", "hold")
    second = await mine.phone.dial("102")
    his = await boris.next_call()
    row = await stage.city.agent_is("boris", "talk")
    assert (row["reason"], row["contact_id"]) == ("consulted", None)
    return second, his, boris


@asynccontextmanager
async def engine_dead(stage: Stage) -> AsyncIterator[None]:
    """Kill the engine, and start it again afterwards."""
    stage.city.city.kill_engine()
    yield
    await stage.city.city.start_engine()


async def ask_by_code(stage: Stage, mine: Leg, number: str = "102") -> None:
    """Press ``*2`` and the number; the citizen hears music meanwhile."""
    await mine.press("*2")
    await stage.city.agent_is("anna", "hold")
    await asked_for_a_number(mine)
    await mine.press(number)


async def asked_for_a_number(mine: Leg) -> None:
    """Wait until Asterisk asks whom to ring: before that it may not listen to keys yet."""

    async def look() -> bool:
        return mine.heard(PROMPTS / "agent-enter-number.alaw")

    await until(look, "she is asked for a number", 15)


async def boris_rings(stage: Stage, mine: Leg) -> Leg:
    """Ask Boris by code; he is reserved by that, and his phone rings."""
    boris = stage.phone(102)
    await ask_by_code(stage, mine)
    his = await boris.next_call()
    assert (await stage.city.agent_is("boris", "talk"))["reason"] == "consulted"
    his.ring()
    return his


async def hears_music(leg: Leg) -> None:
    """Wait until a phone hears something, from now on, that is neither a person nor silence."""
    people = {0x55, 0xD5, *range(0x21, 0x27)}
    begun = time.monotonic()

    async def look() -> bool:
        heard = leg.hears(min(1.0, time.monotonic() - begun))
        return heard.total() > 20 and len(set(heard) - people) > 3

    await until(look, "he hears music", 15)


async def rings(stage: Stage, user: int, timeout_s: float = 20.0) -> Leg:
    """Wait until an operator's phone has a call, and let it ring."""
    leg = await stage.phone(user).next_call(timeout_s)
    leg.ring()
    return leg
