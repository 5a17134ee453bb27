"""What every kill trial does: citizens dial, the engine dies and comes back, figures are noted."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gkc_engine.clock import SystemClock
from tests.acceptance.harness import Scene, until
from tests.acceptance.oracle import contacts_on_record
from tests.acceptance.sipp import FOREVER_MS, Sipp
from tests.acceptance.traces import callers_of, dialogues

_CLOCK = SystemClock()
_ENTRY = re.compile(r"^\s+(\d+)\. (\S+) \(wait:", re.MULTILINE)


def now() -> float:
    """Return seconds since the epoch."""
    return _CLOCK.now() / 1e6


@dataclass(slots=True)
class Figures:
    """What one kind of trial gave."""

    kind: str
    trials: int = 0
    calls: int = 0
    to_queue_s: list[float] = field(default_factory=list)
    """From the kill until every caller stood in a native queue."""
    invite_s: list[float] = field(default_factory=list)
    """From the kill to the INVITE of a free member."""
    new_s: list[float] = field(default_factory=list)
    """From the INVITE of who dials while the engine is away to the INVITE of a free member."""
    decide_s: list[float] = field(default_factory=list)
    """From the start of the new process to its first offer; under the watchdog from the kill, or
    from when there was somebody to be offered."""
    silent_s: list[float] = field(default_factory=list)
    """The longest part of a transferred talk that was lost, once the two had heard each other."""
    wrong_order: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Rings or talks that the kill touched, operators who were not freed."""


def invited(call: Sipp) -> float:
    """Return when the one citizen of ``call`` dialled."""
    (citizen,) = dialogues([call])
    return citizen.invited


class Trials:
    """One city, one trial after another in it."""

    def __init__(self, city: Scene, rng: random.Random) -> None:
        self.city = city
        self.rng = rng
        self.figures: dict[str, Figures] = {}
        self.n = 0
        self._pid = 0
        """The engine's, when it was killed or stopped last."""

    # --- acts ------------------------------------------------------------------------------

    def begin(self, kind: str) -> Figures:
        """Count a trial."""
        self.n += 1
        figures = self.figures.setdefault(kind, Figures(kind))
        figures.trials += 1
        return figures

    async def begin_anew(self) -> None:
        """After a trial that went wrong: end all its calls, have the engine running."""
        engine = self.city.city.engine
        assert engine is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(engine.pid, signal.SIGCONT)
        await self.cli("channel request hangup all")
        for sipp in self.city.bench.running:
            if sipp.name == "citizen":
                await sipp.finished(10.0)
        await self.city.city.stop_engine()
        await self.city.city.start_engine()
        await self.logout_all()

    async def dial(self, number: str, count: int, *, talk_ms: int = FOREVER_MS, tag: str) -> Sipp:
        """Let ``count`` citizens dial; ids and numbers are unique in the run."""
        tag = f"{self.n:04d}{tag}"
        serial = sum(ord(c) << (8 * i) for i, c in enumerate(tag[4:])) % 100
        sipp = await self.city.bench.citizens(
            number,
            [f"{tag}-{i}" for i in range(count)],
            talk_ms=talk_ms,
            caller=f"+79{self.n:04d}{serial:02d}{{:03d}}",
            rate=20.0,
        )

        async def dialled() -> bool | None:
            return True if len(dialogues([sipp])) == count else None

        await until(dialled, f"{count} INVITEs of {tag}", 15.0)
        return sipp

    async def cli(self, command: str) -> str:
        """Ask Asterisk."""
        return await self.city.city.asterisk.cli(command)

    async def native(self, queue: str) -> list[str]:
        """Return the numbers of those who stand in a native queue, in its order."""
        text = await self.cli(f"queue show {queue}" if queue else "queue show")
        names = callers_of(self.city.city.asterisk.legs_csv)
        return [names.get(channel, channel) for _, channel in _ENTRY.findall(text)]

    async def member(self, queue: str, phone: str, *, there: bool = True) -> None:
        """Change a native queue's members behind the engine's back, to make the case."""
        if there:
            await self.cli(f"queue add member PJSIP/{phone} to {queue}")
        else:
            await self.cli(f"queue remove member PJSIP/{phone} from {queue}")

    async def kill(self) -> float:
        """SIGKILL; return when."""
        at = now()
        self.city.city.kill_engine()
        engine = self.city.city.engine
        assert engine is not None
        await engine.wait()
        return at

    async def restart(self, figures: Figures, *, decides: bool) -> None:
        """Start the engine again; note how soon it decided."""
        at = now()
        await self.city.city.start_engine()
        if not decides:
            return

        async def look() -> float | None:
            return self._first_offer_since(at)

        offered = await until(look, "the new engine decides", 30.0)
        figures.decide_s.append(offered - at)

    def _first_offer_since(self, at: float) -> float | None:
        store = self.city.city.state / "gkc.sqlite"
        connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        try:
            row = connection.execute(
                "SELECT min(ts_us) FROM event WHERE kind = 'gkc.offer.created' AND ts_us > ?",
                (int(at * 1e6),),
            ).fetchone()
        finally:
            connection.close()
        return row[0] / 1e6 if row[0] is not None else None

    async def invite(self, figures: Figures, since: float, phones: Sequence[str]) -> None:
        """Note the first INVITE of each of ``phones`` after ``since``."""
        for phone in phones:

            async def look(phone: str = phone) -> float | None:
                legs = dialogues(s for s in self.city.bench.running if s.name == "phone")
                return next(
                    (d.invited for d in legs if d.called == phone and d.invited > since), None
                )

            figures.invite_s.append(await until(look, f"INVITE of {phone}", 10.0) - since)

    async def rung_for(self, call: Sipp) -> float:
        """Return when the first phone was rung for the one citizen of ``call``."""
        (citizen,) = dialogues([call])

        async def look() -> float | None:
            legs = dialogues(s for s in self.city.bench.running if s.name == "phone")
            rung = (d.invited for d in legs if d.caller == citizen.caller)
            return next((at for at in rung if at > citizen.invited), None)

        return await until(look, f"a phone rings for {citizen.caller}", 10.0)

    async def all_over(self, calls: Sequence[Sipp], figures: Figures, limit_s: float) -> None:
        """Wait for the end of every call and of its record; operators must be free again."""
        for call in calls:
            await call.finished(limit_s)
        store = self.city.city.state / "gkc.sqlite"

        async def look() -> bool | None:
            rows = contacts_on_record(store)
            return True if rows and all(r["ended"] is not None for r in rows) else None

        try:
            await until(look, "every contact has ended", 20.0)
        except AssertionError as error:
            figures.broken.append(f"trial {self.n}: {error}")
        for row in await self.city.ask("agent.show"):
            if row["state"] in ("reserved", "ringing", "talk", "hold"):
                figures.broken.append(f"trial {self.n}: {row['agent_id']} not freed: {row}")

    async def logout_all(self) -> None:
        """Send everybody home."""
        for row in await self.city.ask("agent.show"):
            if row["state"] != "offline":
                await self.city.ask("agent.logout", agent=row["agent_id"])

    async def repeat(
        self,
        kinds: Mapping[str, Callable[[], Awaitable[None]]],
        counts: Mapping[str, int],
        say: Callable[[str], None],
    ) -> None:
        """Run each kind's trial as often as ``counts`` says; what fails is noted."""
        for kind, trial in kinds.items():
            for n in range(counts.get(kind, 0)):
                say(f"{kind} {n + 1}")
                try:
                    await trial()
                except AssertionError as error:
                    self.figures[kind].broken.append(f"trial {self.n}: {error}")
                    await self.begin_anew()

    async def fallen(self, at: float, count: int, calls: Sequence[Sipp]) -> float:
        """Return when each of ``calls`` stood in a native queue: ENTERQUEUE, or a ring of it."""
        names = {d.caller for d in dialogues(calls)}
        assert len(names) == count
        seen: set[str] = set()

        async def look() -> float | None:
            seen.update(await self.native(""))
            legs = dialogues(s for s in self.city.bench.running if s.name == "phone")
            seen.update(d.caller for d in legs if d.invited > at)
            return now() if names <= seen else None

        return await until(look, f"{names} in native queues", 8.0, 0.01)
