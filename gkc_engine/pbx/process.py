"""One Asterisk as a child process: started, waited for, asked, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from gkc_engine.errors import PeerError

if TYPE_CHECKING:
    from gkc_engine.pbx.install import Install

FILES_WANTED: Final = 20_000
"""Open files: 6 for each waiting caller, about 6 more for each talk (telephony.md)."""

_TAIL_LINES: Final = 15


def raise_file_limit() -> int:
    """Raise this process's limit of open files (children inherit it); return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class AsteriskProcess:
    """``async with AsteriskProcess(...) as pbx:`` runs the ``etc`` under ``run_dir`` till the end.

    It may be started again after `stop` or `kill`, with the same state.
    """

    def __init__(self, *, install: Install, run_dir: Path, boot_timeout_s: float = 30) -> None:
        self._install = install
        self._run_dir = run_dir.resolve()
        self._boot_timeout_s = boot_timeout_s
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id, ``None`` when it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def config(self) -> Path:
        """The ``asterisk.conf`` it runs by; ``asterisk -C`` of it talks to this Asterisk."""
        return self._run_dir / "etc" / "asterisk.conf"

    @property
    def log(self) -> Path:
        """Its messages: notices, warnings and errors."""
        return self._run_dir / "log" / "messages"

    @property
    def output(self) -> Path:
        """What it wrote on stdout and stderr: all there is when it dies before logging."""
        return self._run_dir / "log" / "output"

    @property
    def queue_log(self) -> Path:
        """The native queue_log."""
        return self._run_dir / "log" / "queue_log"

    @property
    def legs_csv(self) -> Path:
        """CEL: one row for each CHAN_START, ANSWER and HANGUP."""
        return self._run_dir / "log" / "cel-custom" / "legs.csv"

    @property
    def calls_csv(self) -> Path:
        """CDR: one row a call."""
        return self._run_dir / "log" / "cdr-custom" / "calls.csv"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and wait until it is fully booted.

        Raises:
            PeerError: it ended, or did not boot in time; the end of its log is in the text.
        """
        raise_file_limit()
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("ab") as output:
            # Its own session: Ctrl-C at a terminal is for us; we stop it in our order.
            self._process = await asyncio.create_subprocess_exec(
                *self._install.command,
                *("-f", "-C", str(self.config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(self._boot_timeout_s):
                await self._booted()
        except TimeoutError:
            await self.kill()
            raise PeerError(
                f"Asterisk did not boot in {self._boot_timeout_s:g} s:\n{self._tail()}"
            ) from None
        except BaseException:
            await self.kill()
            raise

    async def _booted(self) -> None:
        while self.pid is not None:
            with contextlib.suppress(PeerError):
                if "fully booted" in await self.cli("core waitfullybooted"):
                    return
            await asyncio.sleep(0.05)
        code = None if self._process is None else self._process.returncode
        raise PeerError(f"Asterisk ended at once (status {code}):\n{self._tail()}")

    async def cli(self, command: str, timeout_s: float = 10) -> str:
        """Return what ``asterisk -rx COMMAND`` prints.

        Raises:
            PeerError: it cannot be reached, or does not reply in ``timeout_s``.
        """
        process = await asyncio.create_subprocess_exec(
            *self._install.command,
            *("-C", str(self.config), "-rx", command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(timeout_s):
                output, _ = await process.communicate()
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if isinstance(error, TimeoutError):
                raise PeerError(f"asterisk -rx {command!r}: no reply in {timeout_s} s") from None
            raise
        text = output.decode("utf-8", "replace")
        if process.returncode != 0:
            raise PeerError(f"asterisk -rx {command!r}: {text.strip()}")
        return text

    async def stop(self, grace_s: float = 2.5) -> None:
        """End it with SIGTERM, after ``grace_s`` with SIGKILL. Nothing happens if it is over."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it with SIGKILL and wait until it is gone."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def wait(self) -> int:
        """Return its exit status when it has ended."""
        if self._process is None:
            raise PeerError("Asterisk was not started")
        return await self._process.wait()

    def _tail(self) -> str:
        lines: list[str] = []
        for path in (self.output, self.log):
            if path.exists():
                lines += path.read_text("utf-8", "replace").splitlines()[-_TAIL_LINES:]
        return "\n".join(lines) or "(it wrote nothing)"


def free_udp_port(host: str = "127.0.0.1", preferred: int = 0) -> int:
    """Return ``preferred`` if nothing holds it on ``host``, else a free UDP port."""
    return _free_port(socket.SOCK_DGRAM, host, preferred)


def free_tcp_port(host: str = "127.0.0.1", preferred: int = 0) -> int:
    """Return ``preferred`` if nothing holds it on ``host``, else a free TCP port."""
    return _free_port(socket.SOCK_STREAM, host, preferred)


def _free_port(kind: socket.SocketKind, host: str, preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind is socket.SOCK_STREAM:
                # As a server does it: what only lingers in TIME_WAIT does not count as held.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise PeerError(f"no free port on {host}")


def free_udp_range(starts: Sequence[int], count: int) -> int:
    """Return the first of ``starts`` from which ``count`` UDP ports on nobody holds.

    Asterisk tries the next port when one is held, so where none is quite free, the freest will do.
    """
    held = udp_ports_held()
    taken = {start: sum(start <= port < start + count for port in held) for start in starts}
    return min(starts, key=taken.__getitem__)


def udp_ports_held() -> set[int]:
    """Return every UDP port that somebody on this machine holds, on whatever address."""
    ports = set()
    for table in (Path("/proc/net/udp"), Path("/proc/net/udp6")):
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        ports |= {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
    return ports


def port_holder(port: int, protocol: str = "tcp") -> str | None:
    """Return who listens on ``port`` of this machine, as ``NAME (pid N)``; ``None`` = nobody.

    A process of another user that we may not look into is "another user's process".
    """
    inodes = _listening_inodes(port, protocol)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and inodes & _socket_inodes(process):
            name = (process / "comm").read_text().strip()
            return f"{name} (pid {process.name})"
    return "another user's process"


def _listening_inodes(port: int, protocol: str) -> set[str]:
    listening = {"tcp": "0A", "udp": "07"}[protocol]
    inodes = set()
    for table in (f"/proc/net/{protocol}", f"/proc/net/{protocol}6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == listening:
                inodes.add(fields[9])
    return inodes


def _socket_inodes(process: Path) -> set[str]:
    inodes = set()
    with contextlib.suppress(OSError):
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(link)  # noqa: PTH115  (a socket's target is no path)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    return inodes
