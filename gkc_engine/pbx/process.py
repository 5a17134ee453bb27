"""One Asterisk as a child process: started, waited for, asked, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gkc_engine.child import Child
from gkc_engine.errors import PeerError

if TYPE_CHECKING:
    from gkc_engine.pbx.install import Install

FILES_WANTED: Final = 20_000
"""Open files: 6 for each waiting caller, about 6 more for each talk (telephony.md)."""


def raise_file_limit() -> int:
    """Raise this process's limit of open files (children inherit it); return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class AsteriskProcess(Child):
    """``async with AsteriskProcess(...) as pbx:`` runs the ``etc`` under ``run_dir`` till the end.

    It may be started again after `stop` or `kill`, with the same state.
    """

    NAME = "Asterisk"
    LATE = "did not boot"

    def __init__(self, *, install: Install, run_dir: Path, boot_timeout_s: float = 30) -> None:
        super().__init__(boot_timeout_s)
        self._install = install
        self._run_dir = run_dir.resolve()

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

    @property
    def logs(self) -> Sequence[Path]:
        """What it wrote before it logged, and its log."""
        return self.output, self.log

    def prepare(self) -> Sequence[str]:
        """Raise the limit of open files; return the command line."""
        raise_file_limit()
        return *self._install.command, "-f", "-C", str(self.config)

    async def is_ready(self) -> bool:
        """Return whether it is fully booted."""
        try:
            return "fully booted" in await self.cli("core waitfullybooted")
        except PeerError:
            return False

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
        await super().stop(grace_s)


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
