"""The control socket's file: made with mode 0600, taken over when stale, refused when live."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from gkc_engine.control.protocol import is_socket, peer_of, short_path
from gkc_engine.errors import GkcError

BACKLOG = 32
"""Connections that may wait to be accepted."""


class SocketHeldError(GkcError):
    """Another engine serves this socket. Names its pid and says what to do."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        stop = f" Stop it first (kill -TERM {pid})" if pid else " Stop it first"
        super().__init__(
            f"{path} is held by {holder}: an engine is already running here."
            f"{stop}, or give this engine another run directory (GKC_RUN_DIR)."
        )
        self.pid = pid


def listening_pid(path: Path) -> int | None:
    """Return the pid that listens at ``path``; ``None`` when nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            with short_path(path) as name:  # a long one wants its directory, which may not be yet
                probe.connect(name)
        except OSError:
            return None
        return peer_of(probe).pid


class ListeningSocket:
    """A bound, listening Unix socket and the lock that makes it the only one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._inode: int | None = None

    def open(self) -> socket.socket:
        """Return the listening socket; the caller closes it, then calls :meth:`release`.

        Raises:
            SocketHeldError: a living engine has it.
            GkcError: something that is not a socket stands at the path.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._take_lock()
        try:
            return self._bind()
        except BaseException:
            self.release()
            raise

    def _take_lock(self) -> None:
        # Two engines that start at once would both find the socket stale; the lock decides.
        lock = os.open(
            self.path.with_suffix(".lock"),
            os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
            0o600,
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise SocketHeldError(self.path, listening_pid(self.path)) from error
        self._lock = lock

    def _bind(self) -> socket.socket:
        if self.path.is_symlink() or (self.path.exists() and not is_socket(self.path)):
            raise GkcError(f"{self.path} is in the way and is not a socket; move it elsewhere.")
        if is_socket(self.path):
            pid = listening_pid(self.path)
            if pid is not None:
                raise SocketHeldError(self.path, pid)
        # Bound under another name, closed to others, and only then put in place: at no instant
        # could another user connect, and a stale socket is replaced in one step.
        making = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        making.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with short_path(making) as name:
                listening.bind(name)
            making.chmod(0o600)
            listening.listen(BACKLOG)
            making.rename(self.path)
        except BaseException:
            listening.close()
            making.unlink(missing_ok=True)
            raise
        self._inode = self.path.lstat().st_ino
        return listening

    def release(self) -> None:
        """Remove the socket's file if it is still ours, and let another engine take the path."""
        if self._inode is not None:
            try:
                if self.path.lstat().st_ino == self._inode:
                    self.path.unlink()
            except FileNotFoundError:
                pass  # Somebody tidied up (`gkc clean`): nothing of ours is left to remove.
            self._inode = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
