"""What a cut line costs the center behind it: local routing, notice, coming back; real NATS.

``python -m bench.centers_cut [--rounds 300] [--blocks 10] [--cuts 5]`` prints one JSON line per
measurement:

- ``routing``: from a talk's end to the offer of its operator to the next, while 200 wait: of an
  engine that is linked to another center, and of one without any link. Blocks of the two follow
  each other in one run; before the cut and during it. The ratios are what counts. ``written`` says
  where the history goes: to a durable ledger, as in a center (each offer waits for its commit),
  or nowhere, which shows what the link costs by itself.
- ``cut``: from the hub's SIGKILL to the instant at which the other center is not believed any more.
- ``resumed``: from the hub's start to the first contact that is sent there again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from bench.figures import percentile
from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.settings import Medium
from gkc_engine.clock import SystemClock
from gkc_engine.engine import Engine, Step, Writer
from gkc_engine.federation.peers import State
from gkc_engine.ids import AgentId, ContactId, Instant
from gkc_engine.recorder import schema
from gkc_engine.recorder.journal import Journal
from gkc_engine.recorder.ledger import Ledger
from gkc_engine.recorder.writer import DurableWriter
from tests.channels.world import Memory
from tests.federation.centers import TAX, Node, buses, centers, rule, settings_of, trunk, until

OPERATORS: Final = 20
WAITING: Final = 200
SLOWER_MAX: Final[dict[str, float]] = {"ledger": 1.05, "nowhere": 1.15}
"""The linked engine's median may be so many times the other's: the noise of such a run."""
NOTICED_S: Final = 3.0
RESUMED_S: Final = 10.0


class Line:
    """An engine whose operators all talk, with a line that never ends."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self._n = 0
        self._offered: asyncio.Future[cmd.OfferContact] | None = None
        self._talking: list[ContactId] = []
        engine.attach(self._perform)

    def _perform(self, command: cmd.Command, _now: Instant) -> None:
        if not isinstance(command, cmd.OfferContact):
            return
        (agent,) = command.agent_ids
        self._engine.submit(ev.OfferAccepted(offer_id=command.offer_id, agent_id=agent))
        self._talking.append(command.contact_id)
        if self._offered is not None and not self._offered.done():
            self._offered.set_result(command)

    def _call(self) -> None:
        self._n += 1
        contact_id = ContactId(f"{self._name}-{self._n}")
        started = ev.ContactStarted(
            contact_id=contact_id, medium=Medium.VOICE, number=str(self._n), entry="+7495"
        )
        self._engine.submit(started)
        self._engine.submit(ev.QueueRequested(contact_id=contact_id, queue=TAX))

    async def fill(self) -> None:
        """Let citizens call until all operators talk and the line stands."""
        for _ in range(OPERATORS + WAITING):
            self._call()
        await self._engine.drain()

    async def rounds(self, count: int) -> list[float]:
        """End so many talks, one after another; return ms to each next offer."""
        took = []
        for _ in range(count):
            self._call()
            await self._engine.drain()
            self._offered = asyncio.get_running_loop().create_future()
            over = self._talking.pop(0)
            begun = time.perf_counter()
            self._engine.submit(ev.ContactLeft(contact_id=over, party=ev.Party.CITIZEN))
            await self._offered
            took.append((time.perf_counter() - begun) * 1000)
            await self._engine.drain()
        return took


@asynccontextmanager
async def written(where: str, folder: Path) -> AsyncIterator[Writer]:
    """Give what keeps an engine's history: a ledger with its fsync at each commit, or a list."""
    if where == "nowhere":
        yield Memory()
        return
    await asyncio.to_thread(folder.mkdir, parents=True)
    ledger = Ledger(schema.sqlite_url(str(folder / "ledger.db")), folder.name)
    writer = DurableWriter(ledger, Journal(folder / "journal"))
    await writer.open()
    try:
        yield writer
    finally:
        await writer.close()


async def alone(writer: Writer) -> tuple[Engine, asyncio.Task[None]]:
    """Return an engine without others, with its operators at work."""
    engine, expected = Engine(Acd(), SystemClock(), writer), ExpectedWait()

    def learn(steps: Sequence[Step]) -> None:
        for step in steps:
            expected.learn(step.commands)

    # As `Node` has it beside its link: expected waits are for the citizens, too.
    engine.attach(lambda _command, _now: None)
    engine.observe(learn)
    task = asyncio.create_task(engine.run())
    engine.submit(ev.SettingsApplied(settings=settings_of(OPERATORS)))
    for n in range(OPERATORS):
        engine.submit(ev.AgentLoggedIn(agent_id=AgentId(f"a{n}"), by="bench"))
    await engine.drain()
    return engine, task


async def routing(folder: Path, where: str, blocks: int, rounds: int) -> bool:
    """Measure and print; return whether the linked engine is as fast as the other."""
    kept = True
    async with AsyncExitStack() as stack:
        writers = {
            name: await stack.enter_async_context(written(where, folder / "stores" / name))
            for name in ("alone", "centr")
        }
        city = await stack.enter_async_context(buses(folder, ("centr", "sever")))
        nodes = await stack.enter_async_context(
            centers(
                city,
                {"centr": OPERATORS, "sever": 0},
                {"centr": (rule("sever"),)},
                writers={"centr": writers["centr"]},
            )
        )
        engine, task = await alone(writers["alone"])
        lines = {"alone": Line(engine, "a"), "linked": Line(nodes["centr"].engine, "l")}
        for line in lines.values():
            await line.fill()
        for phase in ("joined", "cut"):
            if phase == "cut":
                await city.hub.kill()
                await until(lambda: not_believed(nodes["centr"]))
            took: dict[str, list[float]] = {name: [] for name in lines}
            for _ in range(blocks):
                for name, line in lines.items():
                    took[name] += await line.rounds(rounds)
            kept &= tell(where, phase, took)
        task.cancel()
    return kept


def not_believed(node: Node) -> bool:
    """Whether what sever said is too old."""
    return node.state_of("sever") is State.DOWN


def tell(where: str, phase: str, took: dict[str, list[float]]) -> bool:
    """Print a phase's figures; return whether the ratio of the medians is kept."""
    p50, p99 = ({name: percentile(values, q) for name, values in took.items()} for q in (0.5, 0.99))
    ratio = p50["linked"] / p50["alone"]
    told = {
        "what": "routing",
        "written": where,
        "phase": phase,
        "rounds": len(took["alone"]),
        "alone_p50_ms": round(p50["alone"], 3),
        "linked_p50_ms": round(p50["linked"], 3),
        "alone_p99_ms": round(p99["alone"], 3),
        "linked_p99_ms": round(p99["linked"], 3),
        "ratio_p50": round(ratio, 3),
        "ratio_p99": round(p99["linked"] / p99["alone"], 3),
        "limit": SLOWER_MAX[where],
        "kept": ratio <= SLOWER_MAX[where],
    }
    print(json.dumps(told), flush=True)
    return ratio <= SLOWER_MAX[where]


async def cuts(folder: Path, count: int) -> bool:
    """Kill the hub and start it again, so often; print how soon that is seen each way."""
    noticed: list[float] = []
    resumed: list[float] = []
    async with (
        buses(folder, ("centr", "sever")) as city,
        centers(city, {"centr": 0, "sever": 50}, {"centr": (rule("sever"),)}) as nodes,
    ):
        centr, sent = nodes["centr"], []
        trunk(centr, {"sever": nodes["sever"]})
        dial = centr.on_command

        def moved(command: cmd.Command) -> None:
            if isinstance(command, cmd.OverflowContact):
                sent.append(command)
            dial(command)

        centr.on_command = moved
        for n in range(count):
            await city.hub.kill()
            noticed.append(await until(lambda: not_believed(centr)))
            centr.call(f"c{n}")
            await centr.engine.drain()
            before, begun = len(sent), time.monotonic()
            await city.hub.start()
            await until(lambda before=before: len(sent) > before, 30.0)  # type: ignore[misc]
            resumed.append(time.monotonic() - begun)
    return all([_kept("cut", noticed, NOTICED_S + 0.1), _kept("resumed", resumed, RESUMED_S)])


def _kept(what: str, took: Sequence[float], limit: float) -> bool:
    kept = max(took) <= limit
    told = {"what": what, "times": len(took), "max_s": round(max(took), 2), "limit": limit}
    print(json.dumps({**told, "kept": kept}), flush=True)
    return kept


async def run(given: argparse.Namespace, folder: Path) -> bool:
    """Measure all of it; return whether every limit is kept."""
    routed = [
        await routing(folder / where, where, given.blocks, given.rounds) for where in SLOWER_MAX
    ]
    return await cuts(folder / "cuts", given.cuts) and all(routed)


def main() -> int:
    """Run from the command line; 1 if a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--cuts", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gkc-cut-") as name:
        return 0 if asyncio.run(run(given, Path(name))) else 1


if __name__ == "__main__":
    sys.exit(main())
