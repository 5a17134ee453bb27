"""Kill trials with a transfer in flight: the citizen's, the transferring operator's and the
colleague's phones are played by hand, four more calls go on beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gkc_engine.clock import SystemClock
from gkc_engine.control.when import from_iso
from tests.acceptance.harness import Row, until
from tests.acceptance.oracle import TOLERANCE_S, contacts_on_record
from tests.acceptance.phone import Leg, Phone, answers
from tests.acceptance.sipp import Sipp, SippBench
from tests.acceptance.traces import Dialogue, dialogues_in, uniqueids
from tests.acceptance.transfer_cases import asked_for_a_number

if TYPE_CHECKING:
    from tests.acceptance.trials import Figures, Trials

HOWS = ("blind", "attended", "semi", "code", "code-semi")
"""REFER; REFER after the colleague's answer; REFER while he rings; ``*2`` and the end of her call
after his answer; the same while he rings."""

ANSWERED_FIRST = ("attended", "code")

MOMENTS = ("before", "crossing", "ringing", "completing")
"""The kill: before the transfer, at the same time, while the colleague rings, at the last step."""

SILENT_S = 0.2
"""How much of a talk may be lost at once when the engine dies and comes back: none, but for what
Asterisk's own threads have to wait for on a machine that is full."""

PASSPORT, HOUSING, ANYBODY = "+74951112233", "+74951112244", "+74951112255"
_NATIVE = ("gkc-passport", "gkc-housing", "gkc-operator", "gkc-default")
_CLOCK = SystemClock()


def now() -> float:
    """Return seconds since the epoch."""
    return _CLOCK.now() / 1e6


class TracedPhone(Phone):
    """A phone played by hand that keeps its messages, as SIPp does."""

    def __init__(self, user: str, server: tuple[str, int], host: str, signature: int) -> None:
        super().__init__(user, server, host=host, signature=signature)
        self.trace: list[tuple[float, str]] = []

    def send(self, text: str) -> None:
        """Put a message on the wire and on the list."""
        self.trace.append((now(), text))
        super().send(text)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        """Take a message from the wire and put it on the list."""
        if len(data) >= 20:
            self.trace.append((now(), data.decode("utf-8", "replace")))
        super().datagram_received(data, addr)

    async def call_from(self, number: str, timeout_s: float) -> Leg:
        """Return the next incoming call of ``number``."""
        async with asyncio.timeout(timeout_s):
            while True:
                leg = await self.rang.get()
                if number in leg.caller:
                    return leg


class Players:
    """The phones 101 and 102 and the citizens who are transferred; SIPp plays all others."""

    def __init__(self) -> None:
        self._server = ("", 0)
        self._operators: list[TracedPhone] = []
        self._citizens: list[TracedPhone] = []

    async def start(self, bench: SippBench) -> dict[str, int]:
        """Start the operators' phones (``harness.scene``'s ``phones``)."""
        host, _, port = bench.server.partition(":")
        self._server = (host, int(port))
        for user, signature in (("101", 0x21), ("102", 0x22)):
            self._operators.append(TracedPhone(user, self._server, "127.0.0.1", signature))
        for phone in self._operators:
            await phone.start()
        at = {phone.user: phone.port for phone in self._operators}
        at[""] = (await bench.phones(ring_ms=200, talk_ms=10_000)).port
        return at

    @property
    def anna(self) -> TracedPhone:
        """She transfers."""
        return self._operators[0]

    @property
    def boris(self) -> TracedPhone:
        """To him."""
        return self._operators[1]

    async def citizen(self, number: str) -> TracedPhone:
        """Return a new citizen's phone."""
        phone = TracedPhone(number, self._server, "127.0.0.11", 0x55)
        self._citizens.append(phone)
        await phone.start()
        return phone

    def citizens(self) -> list[Dialogue]:
        """Return the citizens' calls."""
        return [d for phone in self._citizens for d in dialogues_in(phone.trace)]

    def phones(self) -> list[Dialogue]:
        """Return the legs of the operators' phones."""
        return [d for phone in self._operators for d in dialogues_in(phone.trace)]

    async def stop(self) -> None:
        """Take every phone off the wall."""
        for phone in (*self._operators, *self._citizens):
            await phone.stop()


def hear(one: Leg, other: Leg) -> bool:
    """Whether each of two phones hears the other now."""
    here = other.phone.signature in one.hears(0.2)
    return here and one.phone.signature in other.hears(0.2)


async def hear_each_other(one: Leg, other: Leg) -> None:
    """Wait until they do."""

    async def look() -> bool:
        return hear(one, other)

    names = f"{one.phone.user} and {other.phone.user}"
    await until(look, f"{names} hear each other (ended: {one.how!r}, {other.how!r})", 5.0)


@dataclass(slots=True)
class _Seen:
    """What the phones saw of one transfer; seconds since the epoch."""

    killed: float = 0.0
    referred: float = 0.0
    his: Leg | None = None
    """The colleague's leg."""


class _Transfer:
    """One transfer, and one kill somewhere in it."""

    def __init__(
        self,
        trials: Trials,
        figures: Figures,
        players: Players,
        number: str,
        waiting: Sipp,
        how: str,
        moment: str,
    ) -> None:
        self.trials = trials
        self.figures = figures
        self.rng = trials.rng
        self.players = players
        self.number = number
        self.waiting = waiting
        self.how = how
        self.moment = moment
        self.seen = _Seen()
        self.second: Leg | None = None
        self.restarted = False
        self.falls: asyncio.Task[None] | None = None

    async def run(self, mine: Leg) -> Leg:
        """Carry it out; return the colleague's leg, answered, the citizen in it."""
        if self.how == "blind":
            await self._refer_at(mine)
        else:
            await self._ask(mine)
            if self.how in ANSWERED_FIRST:
                await self._answer(kill=self.moment == "ringing")
                await asyncio.sleep(self.rng.uniform(0.2, 3.5))
            await self._refer_at(mine)
        if self.how == "blind":
            await self._colleague(self.number)
        if self.how not in ANSWERED_FIRST:
            await self._answer(kill=self.moment in ("ringing", "completing"))
        his = self.seen.his
        assert his is not None
        return his

    async def _ask(self, mine: Leg) -> None:
        """Ring the colleague, the citizen on hold."""
        if self.how.startswith("code"):
            await mine.press("*2")
            await asked_for_a_number(mine)
            await mine.press("102")
            await self._colleague("101")
            return
        await mine.hold()
        self.second = await mine.phone.dial("102")
        await self._colleague("101")
        # Replaces needs the tag that comes with the far end's 180.
        async with asyncio.timeout(4.0):
            await self.second.ringing.wait()

    async def _complete(self, mine: Leg) -> int:
        """Hand the citizen over; return the status of the REFER, 202 if there is none."""
        if not self.how.startswith("code"):
            return await mine.refer("102", self.second)
        await mine.bye()
        return 202

    async def _kill(self) -> None:
        if not self.seen.killed:
            self.seen.killed = await self.trials.kill()
            self.falls = asyncio.create_task(self._fallen())

    async def _fallen(self) -> None:
        at = self.seen.killed
        self.figures.to_queue_s.append(await self.trials.fallen(at, 1, [self.waiting]) - at)

    async def _colleague(self, caller: str) -> None:
        """His phone rings: within the time in which a citizen must be somewhere."""
        self.seen.his = await self.players.boris.call_from(caller, 4.0)
        self.seen.his.ring()

    async def _refer_at(self, mine: Leg) -> None:
        at_last = self.how in ANSWERED_FIRST and self.moment == "completing"
        if self.moment == "before":
            await self._kill()
            await asyncio.sleep(self.rng.uniform(0.0, 0.5))
        elif at_last:
            await self._kill()
        self.seen.referred = now()
        referring = asyncio.create_task(self._complete(mine))
        if self.moment == "crossing":
            await asyncio.sleep(self.rng.uniform(0.0, 0.01))
            await self._kill()
        status = await referring
        assert status == 202, f"REFER: {status}"

    async def _answer(self, *, kill: bool) -> None:
        assert self.seen.his is not None
        await asyncio.sleep(self.rng.uniform(0.0, 1.0))
        if kill and self.moment == "ringing":
            await self._kill()
            await asyncio.sleep(self.rng.uniform(0.0, 1.0))
            if self.rng.random() < 0.5:
                await self.trials.restart(self.figures, decides=False)
                self.restarted = True
            kill = False
        first = self.rng.random() < 0.5
        if kill and first:
            await self._kill()
        await self.seen.his.answer()
        if kill and not first:
            await asyncio.sleep(self.rng.uniform(0.0, 0.01))
            await self._kill()


async def transfer(trials: Trials, players: Players) -> None:
    """Three talk, one waits, one is being transferred while the engine dies."""
    figures = trials.begin("transfer")
    how, moment = HOWS[trials.n % 5], MOMENTS[trials.n % 4]
    try:
        await _transfer(trials, players, figures, how, moment)
    except (AssertionError, TimeoutError) as error:
        message = f"{how}, kill {moment}: {type(error).__name__} {error}"
        raise AssertionError(message) from error
    finally:
        for phone in (players.anna, players.boris):
            phone.on_call = None
            for leg in phone.calls:
                if leg.answered.is_set():
                    with contextlib.suppress(TimeoutError):
                        await leg.bye()


async def _transfer(
    trials: Trials, players: Players, figures: Figures, how: str, moment: str
) -> None:
    city, rng = trials.city, trials.rng
    players.anna.on_call = answers
    await city.login("dina", "egor")
    calls = [await trials.dial(ANYBODY, 2, tag="a")]
    for agent in ("dina", "egor"):
        await city.agent_is(agent, "talk")
    await city.login("vera")
    calls += [await trials.dial(HOUSING, 1, tag=tag) for tag in ("h", "w")]
    await city.agent_is("vera", "talk")
    await city.in_state("waiting", 1)
    number = f"+795{trials.n:04d}0000"
    await city.login("anna")
    phone = await players.citizen(number)
    external = f"{trials.n:04d}x-0"
    citizen = await phone.dial(PASSPORT, f"X-GKC-Call: {external}\r\n")
    mine = await players.anna.call_from(number, 5.0)
    await hear_each_other(citizen, mine)
    await city.agent_is("anna", "talk")
    await city.login("boris")
    figures.calls += 5
    for queue in _NATIVE:
        for user in ("101", "102"):
            await trials.member(queue, user, there=False)
    it = _Transfer(trials, figures, players, number, calls[2], how, moment)
    his = await it.run(mine)
    for other in (players.anna, players.boris):
        other.on_call = _briefly  # who waits may be given to them now
    done = now()
    await hear_each_other(citizen, his)
    figures.to_queue_s.append(now() - done)
    together = time.monotonic()
    assert it.falls is not None
    await it.falls
    await asyncio.sleep(rng.uniform(0.0, 2.0))
    if not it.restarted:
        await trials.restart(figures, decides=False)
    await until(lambda: _has(trials, "boris"), "the core knows that Boris has the citizen", 10.0)
    silent = max(citizen.unheard_s(his, together), his.unheard_s(citizen, together))
    figures.silent_s.append(silent)
    assert silent <= SILENT_S, f"{silent:.2f} s of the talk were lost after it had begun"
    await asyncio.sleep(rng.uniform(0.0, 1.0))
    await (citizen if rng.random() < 0.5 else his).bye()
    await trials.all_over(calls, figures, 40.0)
    await _judge(trials, figures, players, it, external)
    await trials.logout_all()


async def _briefly(leg: Leg) -> None:
    """Answer, and hang up soon."""
    await answers(leg)
    await asyncio.sleep(2.0)
    with contextlib.suppress(TimeoutError):
        await leg.bye()


async def _has(trials: Trials, agent: str) -> bool:
    row = (await trials.city.ask("agent.show", agent=agent))[0]
    return row["state"] == "talk" and row["contact_id"] is not None


async def _judge(
    trials: Trials, figures: Figures, players: Players, it: _Transfer, external: str
) -> None:
    """One contact; Anna's talk, then Boris's, and the instant between them within 2 s."""
    city = trials.city.city
    legs = uniqueids(city.asterisk.calls_csv)[external]
    rows = [r for r in contacts_on_record(city.state / "gkc.sqlite") if r["linkedid"] in legs]
    assert len(rows) == 1, f"{len(rows)} contacts"
    story = await trials.city.story(rows[0]["contact_id"])
    talks = [s for s in story["segments"] if s["kind"] in ("talk", "hold")]
    with_whom = [t["agent_id"] for t in talks]
    where = f"trial {trials.n} ({it.how}, kill {it.moment})"
    if list(dict.fromkeys(with_whom)) != ["anna", "boris"] or with_whom != sorted(with_whom):
        figures.broken.append(f"{where}: talks {with_whom}")
        return
    seen = it.seen.referred
    if it.how not in ANSWERED_FIRST:
        his = next(d for d in reversed(players.phones()) if d.called == "102")
        seen = max(seen, his.answered or 0.0)
    _near(figures, f"{where}: Boris's talk began", talks[with_whom.index("boris")], seen)
    if story["ended"] < story["answered"] or talks[-1]["agent_id"] != "boris":
        figures.broken.append(f"{where}: out of order")


def _near(figures: Figures, what: str, segment: Row, seen: float) -> None:
    off = from_iso(segment["start"]) / 1e6 - seen
    if abs(off) > TOLERANCE_S:
        figures.broken.append(f"{what} {off:+.2f} s off")
