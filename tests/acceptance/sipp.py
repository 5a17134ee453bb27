"""Real SIP phones for the acceptance runs: SIPp processes with our scenarios.

Every call has an id of the test's own in ``X-GKC-Call``; what the test dialled is the oracle that
the records are compared with.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gkc_engine.pbx.ports import port_holder
from tests.ports import free_media_port, free_port

SCENARIOS = Path(__file__).with_name("sipp")
FOREVER_MS = 3_600_000


@dataclass(slots=True, kw_only=True)
class Sipp:
    """One SIPp process."""

    name: str
    folder: Path
    port: int
    process: asyncio.subprocess.Process

    async def stop(self) -> None:
        """End it at once; its calls are left to the other side."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def finished(self, timeout_s: float) -> int:
        """Wait for its end; return its exit code (0 = every call went as written)."""
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    def messages(self) -> str:
        """Return the SIP messages it traced."""
        return "".join(p.read_text(errors="replace") for p in self.folder.glob("*_messages.log"))

    def invites(self) -> list[tuple[float, str]]:
        """Return (seconds since the epoch, called user) of each INVITE that it received, once."""
        found: dict[str, tuple[float, str]] = {}
        pattern = re.compile(
            r"-+ \S+ \S+\t?\S*\s*(\d+\.\d+)?\nUDP message received.*?\n\n"
            r"INVITE sip:([^@;> ]+)@.*?\nCall-ID: ([^\r\n]+)",
            re.DOTALL | re.IGNORECASE,
        )
        for match in pattern.finditer(self.messages()):
            found.setdefault(match[3], (float(match[1] or 0), match[2]))
        return list(found.values())


@dataclass(slots=True)
class SippBench:
    """Starts SIPp processes in one folder and ends all of them."""

    folder: Path
    server: str
    """``HOST:PORT`` of our Asterisk."""
    running: list[Sipp] = field(default_factory=list)
    _count: int = 0

    async def phones(
        self,
        *,
        ring_ms: int = 200,
        talk_ms: int = FOREVER_MS,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> Sipp:
        """Start phones that answer after ``ring_ms`` and hang up after ``talk_ms``."""
        return await self._start(
            "phone", {"RING": ring_ms, "TALK": talk_ms}, host=host, port=port, args=["-aa"]
        )

    async def citizens(
        self,
        number: str,
        ids: Sequence[str],
        *,
        talk_ms: int = FOREVER_MS,
        patience_ms: int = FOREVER_MS,
        rate: float = 10.0,
        caller: str = "+7900{:07d}",
        name: str = "Citizen",
        host: str = "127.0.0.11",
    ) -> Sipp:
        """Let one citizen for each id dial ``number``, ``rate`` a second."""
        self._count += 1
        rows = "\n".join(f"{caller.format(i)};{call}" for i, call in enumerate(ids))
        data = self.folder / f"citizens-{self._count}.csv"
        data.write_text(f"SEQUENTIAL\n{rows}\n", encoding="utf-8")
        values = {"PATIENCE": patience_ms, "TALK": talk_ms, "NAME": name}
        args = [self.server, "-s", number, "-inf", str(data), "-m", str(len(ids)), "-r", str(rate)]
        args += ["-l", str(len(ids) + 1)]
        return await self._start("citizen", values, host=host, port=0, args=args)

    async def stop(self) -> None:
        """End every SIPp that still runs."""
        await asyncio.gather(*(s.stop() for s in self.running))

    async def _start(
        self, name: str, values: dict[str, object], *, host: str, port: int, args: list[str]
    ) -> Sipp:
        self._count += 1
        folder = self.folder / f"{name}-{self._count}"
        folder.mkdir(parents=True)
        text = (SCENARIOS / f"{name}.xml").read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        (folder / f"{name}.xml").write_text(text, encoding="utf-8")
        port = port or free_port(host)
        media = free_media_port(host)
        command = ["sipp", "-sf", f"{name}.xml", "-i", host, "-p", str(port), "-mi", host]
        command += ["-mp", str(media), "-nostdin", "-trace_msg", "-trace_err", *args]
        with (folder / "out.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        sipp = Sipp(name=name, folder=folder, port=port, process=process)
        self.running.append(sipp)
        async with asyncio.timeout(30):
            while port_holder(port, "udp") is None and process.returncode is None:  # noqa: ASYNC110
                # The fact stands in /proc only; nothing signals it.
                await asyncio.sleep(0.02)
        said = (folder / "out.log").read_text(errors="replace")
        assert process.returncode in (None, 0), f"SIPp ended at once: {said[-600:]}"
        return sipp
