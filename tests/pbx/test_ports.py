"""Which ports are free, and who holds one."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gkc_engine.demo.city import RTP_STARTS, Ports
from gkc_engine.errors import PeerError
from gkc_engine.pbx.ports import FreePorts, free_tcp_port, free_udp_port, port_holder
from tests.ports import free_port

HOST = "127.0.0.1"
KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


@pytest.mark.parametrize("kind", KINDS)
def test_a_held_port_is_not_free_and_its_holder_is_named(kind: socket.SocketKind) -> None:
    protocol = "tcp" if kind is socket.SOCK_STREAM else "udp"
    free = free_tcp_port if protocol == "tcp" else free_udp_port
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind((HOST, free_port()))  # nobody takes it in between
        if protocol == "tcp":
            holder.listen()
        port = holder.getsockname()[1]
        assert free(HOST, port) != port
        assert f"(pid {os.getpid()})" in (port_holder(port, protocol) or "")
    assert free(HOST, port) == port
    assert port_holder(port, protocol) is None


def test_ports_to_be_listened_at_later_lie_where_no_connection_gets_its_near_end() -> None:
    """Else what connects between the asking and the listening may have it."""
    kernels = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]
    found = [free_tcp_port(), free_udp_port(), *_numbers(Ports.free(preferred=False))]
    assert max(found) < min(RTP_STARTS) < int(kernels)


def test_what_nobody_listens_at_yet_is_not_given_again() -> None:
    centers = [Ports.free(preferred=False) for _ in range(3)]
    found = [port for ports in centers for port in _numbers(ports)]
    assert len(set(found)) == 12


def _numbers(ports: Ports) -> tuple[int, ...]:
    return ports.sip, ports.ami, ports.agi, ports.metrics


@contextlib.contextmanager
def _held(kind: socket.SocketKind, port: int) -> Iterator[None]:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind((HOST, port))
        yield


def _row(count: int) -> range:
    """Return free ports in a row."""
    while True:
        found = [free_port() for _ in range(count)]
        if found[-1] - found[0] == count - 1:
            return range(found[0], found[-1] + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_they_come_in_their_order_from_a_place_on_without_those_that_are_held(
    kind: socket.SocketKind,
) -> None:
    four = _row(4)
    ports = FreePorts(four, 7)  # the last
    with _held(kind, four[1]):
        assert [ports.take() for _ in range(5)] == [four[n] for n in (3, 0, 2, 3, 0)]
    assert ports.take() == four[1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_needed_beside_one_is_free_too(kind: socket.SocketKind) -> None:
    five = _row(5)
    ports = FreePorts(five[:3], 0)
    with _held(kind, five[3]):
        assert [ports.take(beside=(2,)) for _ in range(2)] == [five[0], five[2]]


def test_where_all_are_held_it_is_said() -> None:
    four = _row(4)
    with contextlib.ExitStack() as stack:
        for port in four:
            stack.enter_context(_held(KINDS[port % 2], port))
        with pytest.raises(PeerError, match=f"no port of {four[0]} to {four[3]} is free on {HOST}"):
            FreePorts(four, 2).take()
