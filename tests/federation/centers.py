"""Centers on a real bus: real cores and links in this process, a hub and leaf nodes beside it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import nats
from nats.aio.client import Client

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, Settings
from gkc_engine.bus.config import LINK_USER, Hub, Leaf, Member, Tls, hub_text, leaf_text
from gkc_engine.bus.process import BusProcess
from gkc_engine.clock import SystemClock
from gkc_engine.endings import end_tasks
from gkc_engine.engine import Engine, Step, Writer
from gkc_engine.federation.link import Link
from gkc_engine.federation.messages import QueueLoad
from gkc_engine.federation.peers import State
from gkc_engine.federation.protocol import Federation
from gkc_engine.federation.settings import FederationSettings, LinkSettings, OverflowRule
from gkc_engine.federation.sight import CenterSight
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, Micros, QueueId, seconds
from tests.channels.world import Memory
from tests.ports import free_port

NAMES = ("centr", "sever", "yug")
TAX = QueueId("tax")
SECRET = "s-1"


def settings_of(operators: int, queues: Sequence[QueueId] = (TAX,)) -> Settings:
    """Return a center with so many operators, who may serve every queue."""
    return Settings(
        version="1",
        queues=tuple(
            QueueSettings(queue_id=queue, timeout_us=seconds(8), wrapup_us=Micros(0))
            for queue in queues
        ),
        agents=tuple(AgentSettings(agent_id=AgentId(f"a{n}")) for n in range(operators)),
    )


def rule(*to: str) -> OverflowRule:
    """Return a rule that sends whoever waits to these at once."""
    return OverflowRule(
        queues=frozenset((TAX,)),
        to=to,
        after_us=Micros(0),
        gain_min_us=Micros(0),
        donor_sl_min_milli=0,
    )


class Node:
    """One center: its engine, its part in the city, its line."""

    def __init__(
        self,
        part: FederationSettings,
        bus: LinkSettings,
        operators: int,
        writer: Writer | None = None,
    ) -> None:
        self.name, self.operators = part.center, operators
        self.memory = Memory()
        """Its history, unless a ``writer`` has it."""
        self.engine = Engine(Acd(), SystemClock(), writer or self.memory)
        self.expected = ExpectedWait()
        self.sight = sight_of(self.engine, self.expected, part)
        self.asked: dict[ContactId, float] = {}
        """Reservation -> when it was asked for."""
        numbers = itertools.count()

        def new_id() -> ContactId:
            made = ContactId(f"{self.name}-r{next(numbers)}")
            self.asked[made] = asyncio.get_running_loop().time()
            return made

        self.federation = Federation(part, self.sight, self.engine.now(), new_id)
        self.link = Link(self.engine, self.federation, bus)
        self.engine.attach(self.link.perform)
        self.engine.attach(self._note)
        self.engine.observe(self._learn)
        self.engine.observe(self.link.observe)
        self.on_command: Callable[[cmd.Command], None] = lambda _command: None
        self.said: list[cmd.Command] = []

    def _note(self, command: cmd.Command, _now: Instant) -> None:
        self.said.append(command)
        self.on_command(command)

    def _learn(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.expected.learn(step.commands)

    async def start(self) -> list[asyncio.Task[None]]:
        """Let it run, with all its operators at work."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self.engine.run()), loop.create_task(self.link.run())]
        self.engine.submit(ev.SettingsApplied(settings=settings_of(self.operators)))
        for n in range(self.operators):
            self.engine.submit(ev.AgentLoggedIn(agent_id=AgentId(f"a{n}"), by="test"))
        await self.engine.drain()
        return tasks

    def call(self, contact: str) -> None:
        """Let a citizen call and come into the queue."""
        contact_id = ContactId(contact)
        self.engine.submit(
            ev.ContactStarted(
                contact_id=contact_id, medium=Medium.VOICE, number=contact, entry="+7495"
            )
        )
        self.engine.submit(ev.QueueRequested(contact_id=contact_id, queue=TAX))

    def state_of(self, other: str) -> State:
        """Return how it believes another to stand."""
        return self.federation.peers[other].state(self.engine.now())

    def load_of(self, other: str) -> QueueLoad | None:
        """Return what it knows of another's queue, if that is worth anything."""
        load = self.federation.peers[other].fresh(self.engine.now())
        return None if load is None else load.queues.get(TAX)


def sight_of(engine: Engine, expected: ExpectedWait, part: FederationSettings) -> CenterSight:
    """Return the sight of a center whose day has only begun."""
    return CenterSight(
        engine.acd,
        engine.now,
        expect=lambda contact, now: expected.expect(engine.acd, contact, now),
        expect_new=lambda queue, now: expected.expect_new(engine.acd, queue, now),
        level=lambda _queue, _now: None,
        target_us=lambda _queue: 20 * SECOND,
        keep_free=part.keep_free,
    )


def trunk(owner: Node, donors: dict[str, Node]) -> None:
    """Play the trunk of an owner: whoever is sent there is answered, and hangs up at once."""

    def dial(command: cmd.Command) -> None:
        if not isinstance(command, cmd.OverflowContact):
            return
        donor = donors[command.center].engine
        donor.submit(ev.GuestArrived(contact_id=command.reservation_id))
        owner.engine.submit(ev.OfferRinging(offer_id=command.offer_id))
        owner.engine.submit(ev.OfferAccepted(offer_id=command.offer_id, agent_id=command.agent_id))
        left = ev.ContactLeft(contact_id=command.contact_id, party=ev.Party.CITIZEN)
        owner.engine.submit(left)

    owner.on_command = dial
    for node in donors.values():
        node.on_command = lambda command, node=node: ring(node, command)  # type: ignore[misc]


def ring(donor: Node, command: cmd.Command) -> None:
    if isinstance(command, cmd.OfferContact):
        (agent,) = command.agent_ids
        donor.engine.submit(ev.OfferAccepted(offer_id=command.offer_id, agent_id=agent))
        left = ev.ContactLeft(contact_id=command.contact_id, party=ev.Party.CITIZEN)
        donor.engine.submit(left)


class Buses:
    """A hub and a leaf node for each center."""

    def __init__(
        self, folder: Path, names: Sequence[str], tls: Tls | None, leaf_tls: Mapping[str, Tls]
    ) -> None:
        self.hub_port, self.leaf_port = free_port(), free_port()
        self._tls = tls
        members = tuple(Member(name=name, secret=SECRET) for name in names)
        hub = Hub(
            port=self.hub_port,
            leaf_port=self.leaf_port,
            store=folder / "hub" / "store",
            members=members,
            tls=tls,
        )
        self.hub = BusProcess(hub_text(hub), folder / "hub", self.hub_port)
        self.leaves: dict[str, BusProcess] = {}
        for name in names:
            port = free_port()
            leaf = Leaf(
                center=name,
                port=port,
                store=folder / name / "store",
                secret=SECRET,
                hub=f"127.0.0.1:{self.leaf_port}",
                hub_secret=SECRET,
                tls=leaf_tls.get(name, tls),
                own_tls=tls,
            )
            self.leaves[name] = BusProcess(leaf_text(leaf), folder / name, port)

    def settings(self, name: str) -> LinkSettings:
        """Return how a center's engine reaches its leaf."""
        port = self.leaves[name].port
        return LinkSettings(
            urls=(f"nats://127.0.0.1:{port}",),
            user=LINK_USER,
            password=SECRET,
            ca=None if self._tls is None else str(self._tls.ca),
        )

    async def stranger(self, name: str) -> Client:
        """Return a client on a center's leaf that says what the test wants."""
        client: Client = await nats.connect(
            f"nats://127.0.0.1:{self.leaves[name].port}",
            user=LINK_USER,
            password=SECRET,
            allow_reconnect=False,
        )
        return client


async def reserve(rounds: int, folder: Path) -> list[float]:
    """Return how long each reservation took, in ms: over two leaves and the hub.

    From the asking to the owner's own decision on the grant, with both cores in this process.
    """
    took: list[float] = []
    rules = {"centr": (rule("sever"),)}
    async with (
        buses(folder, ("centr", "sever")) as city,
        centers(city, {"centr": 0, "sever": 250}, rules) as nodes,
    ):
        centr = nodes["centr"]
        trunk(centr, {"sever": nodes["sever"]})
        dial = centr.on_command

        def measured(command: cmd.Command) -> None:
            if isinstance(command, cmd.OverflowContact):
                asked = centr.asked[command.reservation_id]
                took.append((asyncio.get_running_loop().time() - asked) * 1000)
            dial(command)

        centr.on_command = measured
        for n in range(rounds):
            centr.call(f"c{n}")
            await until(lambda n=n: len(took) > n)  # type: ignore[misc]
    return took


@asynccontextmanager
async def buses(
    folder: Path,
    names: Sequence[str] = NAMES,
    tls: Tls | None = None,
    leaf_tls: Mapping[str, Tls] = MappingProxyType({}),
) -> AsyncIterator[Buses]:
    """Run a hub and the leaf nodes; ``leaf_tls``: other files for one of them."""
    made = Buses(folder, names, tls, leaf_tls)
    async with AsyncExitStack() as stack:
        for process in (made.hub, *made.leaves.values()):
            await stack.enter_async_context(process)
        yield made


@asynccontextmanager
async def centers(
    city: Buses,
    operators: dict[str, int],
    rules: Mapping[str, tuple[OverflowRule, ...]] | None = None,
    keep_free: int = 0,
    known_within_s: float = 30.0,
    writers: Mapping[str, Writer] = MappingProxyType({}),
) -> AsyncIterator[dict[str, Node]]:
    """Run a center for each name, and return when all know of each other.

    ``writers``: whose history is durable; the others' is kept in memory.
    """
    nodes: dict[str, Node] = {}
    tasks: list[asyncio.Task[None]] = []
    try:
        for name, n in operators.items():
            part = FederationSettings(
                center=name,
                rules=(rules or {}).get(name, ()),
                peers=tuple(other for other in operators if other != name),
                keep_free=keep_free,
            )
            nodes[name] = Node(part, city.settings(name), n, writers.get(name))
            tasks += await nodes[name].start()
        await until(lambda: all_known(nodes), known_within_s)
        yield nodes
    finally:
        await end_tasks(tasks)


def all_known(nodes: dict[str, Node]) -> bool:
    """Return whether each knows how each other stands."""
    return all(
        node.load_of(other) is not None
        for node in nodes.values()
        for other in nodes.keys() - {node.name}
    )


async def until(fact: Callable[[], bool], within_s: float = 30.0) -> float:
    """Wait for a fact; return how long it took, in s. Who looks after ``within_s`` must find it.

    We may stand still beyond that ourselves, for seconds: that is no fault of what we wait for.

    Raises:
        TimeoutError: it was not so at a look after that time.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        late = loop.time() - begun > within_s
        if fact():
            return loop.time() - begun
        if late:
            raise TimeoutError
        await asyncio.sleep(0.01)
