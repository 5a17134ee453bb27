"""The load: SIPp as all agents' phones and as the citizens."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.city import CALLERS_HOST, NUMBERS, Arm, Place
from gkc_engine.errors import PeerError
from gkc_engine.pbx.ports import free_udp_port, port_holder

SCENARIOS: Final = Path(__file__).with_name("sipp")


@dataclass(slots=True)
class Load:
    """SIPp processes of one segment."""

    place: Place
    server: str
    folder: Path
    running: list[asyncio.subprocess.Process] = field(default_factory=list)
    _count: itertools.count[int] = field(default_factory=itertools.count)

    async def agents(self, talk_ms: int) -> None:
        """Start every agent's phone: rings 0.2 s, talks 0.5 to 1.5 times ``talk_ms``."""
        values = {"MIN": talk_ms // 2, "MAX": talk_ms * 3 // 2}
        await self._start("agents", values, "127.0.0.1", self.place.phones_port, [])

    async def citizens(
        self, arm: Arm, *, rate: float, total: int, at_once: int, prefix: str, talkative: bool
    ) -> asyncio.subprocess.Process:
        """Let ``total`` citizens call, ``rate`` a second, ``at_once`` at most at a time.

        Each sends voice from the 200 OK on, else ``Answer()`` takes 500 ms; who is not
        ``talkative`` for half a second only: 300 streams would be 15 000 packets a second, and
        what is measured then is a machine without a free core.
        """
        voice = f"{self.place.voice},-1,8,PCMA/8000"
        if not talkative:
            voice = f"{self.place.word},1,8,PCMA/8000"
        args = [self.server, "-s", NUMBERS[arm], "-r", f"{rate:g}", "-m", str(total)]
        args += ["-l", str(at_once)]
        values = {"PREFIX": prefix, "VOICE": voice}
        return await self._start("callers", values, CALLERS_HOST, self.place.callers_port, args)

    async def stop(self) -> None:
        """End what still runs."""
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self.running.clear()

    async def _start(
        self, name: str, values: Mapping[str, object], host: str, port: int, args: list[str]
    ) -> asyncio.subprocess.Process:
        folder = self.folder / f"{name}-{next(self._count)}"
        folder.mkdir(parents=True)
        text = (SCENARIOS / f"{name}.xml").read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        (folder / f"{name}.xml").write_text(text, encoding="utf-8")
        command = ["sipp", "-sf", f"{name}.xml", "-i", host, "-p", str(port), "-mi", host]
        command += ["-mp", str(free_udp_port(host)), "-nostdin", "-buff_size", "4194304"]
        with (folder / "out.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                *args,
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.running.append(process)
        async with asyncio.timeout(10):
            while port_holder(port, "udp") is None and process.returncode is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        if process.returncode not in (None, 0):
            said = (folder / "out.log").read_text(errors="replace")
            raise PeerError(f"SIPp ended at once: {said[-600:]}")
        return process


def no_more(process: asyncio.subprocess.Process) -> None:
    """Let a SIPp begin no more calls; it ends after the last one."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGUSR1)
