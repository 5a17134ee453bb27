"""What a city of centers costs one engine: peers that say their loads each second, over real NATS.

``python -m bench.centers_link [--peers 150] [--seconds 20] [--queues 10] [--rounds 1000]`` prints
one JSON line per measurement:

- ``alone``, ``peers``: the share of a core of one engine with its link, without peers and with
  them; the difference is what they cost. Each peer is heard through the leaf node, its own load
  with as many queues as ours; one contact in each queue waits, so that each look has to choose.
- ``look``: how long our own load takes, with nobody and with 10 000 waiting.
- ``reservation``: from asking to the owner's own decision on the grant, over two leaves and a hub.

The engine is a process of its own: what the peers' players cost is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from bench.figures import percentile
from bench.lease import cpu_s
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.settings import Medium
from gkc_engine.clock import SystemClock
from gkc_engine.engine import Engine
from gkc_engine.federation.link import Link
from gkc_engine.federation.messages import VERSION, Load, Message, QueueLoad, encode
from gkc_engine.federation.protocol import Federation
from gkc_engine.federation.settings import FederationSettings, LinkSettings, OverflowRule
from gkc_engine.ids import SECOND, AgentId, ContactId, Micros, QueueId, seconds
from tests.channels.world import Memory
from tests.federation.centers import buses, reserve, settings_of, sight_of

OWN: Final = "centr"
LIMIT: Final = 0.05
"""Of a core: what 150 peers may cost."""


def _queues(n: int) -> tuple[QueueId, ...]:
    return tuple(QueueId(f"queue-{k}") for k in range(n))


def _peers(n: int) -> tuple[str, ...]:
    return tuple(f"peer-{k}" for k in range(n))


def engine_alone(link: LinkSettings, peers: int, queues: int, told: Connection) -> None:
    """Run one engine with its link in this process, until killed."""
    asyncio.run(_engine(link, peers, queues, told))


async def _engine(link_settings: LinkSettings, peers: int, queues: int, told: Connection) -> None:
    names, own = _peers(peers), _queues(queues)
    rule = OverflowRule(
        queues=frozenset(own),
        to=names[:5],
        after_us=Micros(0),
        gain_min_us=seconds(30),
        donor_sl_min_milli=0,
    )
    part = FederationSettings(center=OWN, rules=(rule,), peers=names, keep_free=1)
    engine = Engine(Acd(), SystemClock(), Memory())
    federation = Federation(
        part, sight_of(engine, ExpectedWait(), part), engine.now(), lambda: ContactId("r")
    )
    link = Link(engine, federation, link_settings)
    engine.attach(link.perform)
    engine.observe(link.observe)
    tasks = [asyncio.create_task(engine.run()), asyncio.create_task(link.run())]
    engine.submit(ev.SettingsApplied(settings=settings_of(200, own)))
    for n, queue in enumerate(own):
        contact_id = ContactId(f"c{n}")
        engine.submit(
            ev.ContactStarted(
                contact_id=contact_id, medium=Medium.VOICE, number=str(n), entry="+7495"
            )
        )
        engine.submit(ev.QueueRequested(contact_id=contact_id, queue=queue))
    await engine.drain()
    while True:
        await asyncio.sleep(1)
        now = engine.now()
        heard = sum(peer.fresh(now) is not None for peer in federation.peers.values())
        told.send((link.up, heard, sum(federation.refused.values())))
    del tasks


async def play(url: LinkSettings, peers: int, queues: int, stop: asyncio.Event) -> None:
    """Say the loads of all peers, each once a second, evenly over it."""
    import nats

    client = await nats.connect(url.urls[0], user=url.user, password=url.password)
    # Nobody is free there: all is heard, chosen from, and nobody asked.
    loads: dict[str, QueueLoad] = {
        q: QueueLoad(wait_us=seconds(40), ready=0, waiting=12, sl_milli=850)
        for q in _queues(queues)
    }
    loop, epoch, seq = asyncio.get_running_loop(), int(time.monotonic() * SECOND), 0
    while not stop.is_set():
        begun, seq = loop.time(), seq + 1
        for n, name in enumerate(_peers(peers)):
            body = Load(state="normal", queues=loads)
            message = Message(version=VERSION, center=name, epoch=epoch, seq=seq, body=body)
            await client.publish(f"gkc.load.{name}", encode(message))
            await asyncio.sleep(max(0.0, begun + (n + 1) / peers - loop.time()))
    await client.close()


async def cost(folder: Path, peers: int, playing: bool, queues: int, for_s: float) -> float:
    """Return the share of a core that an engine takes, with so many peers heard or with none."""
    async with buses(folder, (OWN,)) as city:
        link = city.settings(OWN)
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=engine_alone, args=(link, peers, queues, theirs))
        child.start()
        stop = asyncio.Event()
        player = asyncio.create_task(play(link, peers, queues, stop)) if playing else None
        loop = asyncio.get_running_loop()
        try:
            wanted = (True, peers if playing else 0)
            while (await loop.run_in_executor(None, ours.recv))[:2] != wanted:
                pass
            assert child.pid is not None
            before, since = cpu_s(child.pid), time.monotonic()
            await asyncio.sleep(for_s)
            share = (cpu_s(child.pid) - before) / (time.monotonic() - since)
            # On a full machine its next word may come later than in so short a time.
            last = await loop.run_in_executor(None, ours.recv)
            while ours.poll():
                last = ours.recv()
            assert last == (*wanted, 0), f"up, heard, refused: {last}"
        finally:
            stop.set()
            if player is not None:
                await player
            child.kill()
            child.join()
    return share


def look_ms(waiting: int, queues: int = 100, agents: int = 500) -> float:
    """Return how long one look at our own queues takes, at best, with so many waiting."""
    names = _queues(queues)
    clock = SystemClock()
    engine = Engine(Acd(), clock, Memory())
    expected, now = ExpectedWait(), clock.now()
    part = FederationSettings(center=OWN)

    def step(event: ev.Event) -> None:
        expected.learn(engine.acd.step(event, now))

    step(ev.SettingsApplied(settings=settings_of(agents, names)))
    for n in range(agents):
        step(ev.AgentLoggedIn(agent_id=AgentId(f"a{n}"), by="bench"))
    for n in range(waiting + agents if waiting else 0):
        contact_id = ContactId(f"c{n}")
        step(
            ev.ContactStarted(
                contact_id=contact_id, medium=Medium.VOICE, number=str(n), entry="+7495"
            )
        )
        step(ev.QueueRequested(contact_id=contact_id, queue=names[n % queues]))
    took = []
    for _ in range(20):
        sight = sight_of(engine, expected, part)
        begun = time.perf_counter()
        sight.loads()
        took.append(time.perf_counter() - begun)
    return min(took) * 1000


async def run(given: argparse.Namespace, folder: Path) -> bool:
    """Measure, print, and return whether the limit is kept."""
    shares = {}
    for name, playing in (("alone", False), ("peers", True)):
        share = await cost(folder / name, given.peers, playing, given.queues, given.seconds)
        shares[name] = share
        print(json.dumps({"what": name, "peers": given.peers, "core": round(share, 4)}), flush=True)
    extra = shares["peers"] - shares["alone"]
    kept = shares["peers"] < LIMIT
    verdict = {"what": "cost of the peers", "core": round(extra, 4), "limit": LIMIT, "kept": kept}
    print(json.dumps(verdict), flush=True)
    for waiting in (0, 10_000):
        took = look_ms(waiting)
        print(json.dumps({"what": "look", "waiting": waiting, "ms": round(took, 3)}), flush=True)
    ms = await reserve(given.rounds, folder / "reserve")
    figures = {"p50_ms": percentile(ms, 0.5), "p99_ms": percentile(ms, 0.99), "max_ms": max(ms)}
    rounded = {name: round(value, 2) for name, value in figures.items()}
    print(json.dumps({"what": "reservation", "rounds": len(ms), **rounded}), flush=True)
    return kept


def main() -> int:
    """Run from the command line; 1 if the peers cost too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--queues", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gkc-centers-") as name:
        return 0 if asyncio.run(run(given, Path(name))) else 1


if __name__ == "__main__":
    sys.exit(main())
