"""The bench does not rot: its arithmetic on a wire of our own, and three seconds of it for real."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import struct
from pathlib import Path

import pytest

from bench import figures, wire
from bench.city import ARMS, Place
from bench.report import Machine, table, verdicts
from bench.run import Plan, Segment, Sizes, measure, medians
from gkc_engine.cli._console import progress, state_dir
from gkc_engine.errors import PeerError
from gkc_engine.pbx.install import find_or_install
from tests.acceptance.harness import NEEDS_SIPP

PBX, PHONES, CITIZENS = 5060, 6000, 7000


def packet(at: float, source: int, target: int, text: str) -> bytes:
    payload = text.replace("\n", "\r\n").encode() + b"\r\n\r\n"
    udp = struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload
    ip = b"\x45\x00" + struct.pack("!H", 20 + len(udp)) + bytes(5) + b"\x11" + bytes(10)
    frame = bytes(12) + b"\x08\x00" + ip + udp
    micros = round(at * 1e6)
    return struct.pack("<IIII", micros // 10**6, micros % 10**6, len(frame), len(frame)) + frame


def sip(first: str, call: str, citizen: str, agent: str, cseq: str) -> str:
    return (
        f"{first}\nVia: SIP/2.0/UDP x\nFrom: <sip:{citizen}@h:1>;tag=1\nTo: <sip:{agent}@h>\n"
        f"Call-ID: {call}\nCSeq: 1 {cseq}"
    )


def talk(at: float, citizen: str, agent: str, wait: float, length: float) -> list[bytes]:
    """One citizen: his INVITE, the agent's INVITE ``wait`` later, 200, and the agent's BYE."""
    invite, ok = "INVITE sip:x@h SIP/2.0", "SIP/2.0 200 OK"
    leg, ring = f"leg-{citizen}", at + wait
    return [
        packet(at, CITIZENS, PBX, sip(invite, citizen, citizen, "city", "INVITE")),
        packet(ring, PBX, PHONES, sip(invite, leg, citizen, agent, "INVITE")),
        packet(ring + 0.2, PHONES, PBX, sip(ok, leg, citizen, agent, "INVITE")),
        packet(ring + length, PHONES, PBX, sip("BYE sip:x@h SIP/2.0", leg, agent, citizen, "BYE")),
    ]


def _when(record: bytes) -> int:
    seconds, micros = struct.unpack_from("<II", record)
    return int(seconds) * 10**6 + int(micros)


def capture(path: Path, packets: list[bytes]) -> list[wire.Message]:
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1500, 1)
    packets = sorted(packets, key=_when)
    path.write_bytes(header + b"".join(packets))
    return wire.messages(path)


def test_an_agents_invite_is_matched_with_his_own_last_bye(tmp_path: Path) -> None:
    packets = [
        *talk(1.0, "c1", "1001", wait=0.010, length=2.0),
        *talk(1.5, "c2", "1002", wait=0.020, length=0.5),
        *talk(2.0, "c3", "1002", wait=0.030, length=5.0),  # his BYE was at 2.020
        *talk(2.9, "c4", "1001", wait=0.123456, length=5.0),  # 3.010
    ]
    calls = figures.read(capture(tmp_path / "x", packets), PHONES)
    assert figures.pickup_ms(calls, 0.0, 5.0) == [
        pytest.approx(10.0, abs=0.01),
        pytest.approx(13.456, abs=0.01),
    ]
    assert figures.arrival_ms(calls) == [
        pytest.approx(ms, abs=0.01) for ms in (10, 20, 30, 123.456)
    ]
    assert figures.failed(calls) == 0


def test_an_agent_whom_nobody_sends_a_citizen_counts_as_infinite(tmp_path: Path) -> None:
    calls = figures.read(capture(tmp_path / "x", talk(1.0, "c1", "1001", 0.01, 1.0)), PHONES)
    assert figures.pickup_ms(calls, 0.0, 9.0) == [math.inf]
    assert figures.pickup_ms(calls, 3.0, 9.0) == []


def test_a_citizen_without_an_agent_has_failed_and_a_repeated_invite_is_one(tmp_path: Path) -> None:
    lost = talk(1.0, "c1", "1001", 0.01, 1.0)[0]
    served = talk(1.0, "c2", "1002", 0.01, 1.0)
    again = packet(1.3, CITIZENS, PBX, sip("INVITE sip:x@h SIP/2.0", "c1", "c1", "city", "INVITE"))
    calls = figures.read(capture(tmp_path / "x", [lost, again, *served]), PHONES)
    assert figures.failed(calls) == 1
    assert calls.repeated == 1
    assert sorted(figures.arrival_ms(calls)) == [pytest.approx(10.0, abs=0.01), math.inf]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(60))
    with pytest.raises(PeerError, match="not a pcap"):
        wire.messages(tmp_path / "x")


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3.0, 1.0, 2.0], 0.5, 2.0), ([1.0, 2.0], 0.99, 2.0), (list(range(1, 101)), 0.95, 95)],
)
def test_percentiles_are_nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert figures.percentile(values, share) == expected


def segment(what: str, arm: str, number: int, p50: float, **other: float) -> Segment:
    values = {"p95": p50, "p99": p50, "highest": p50, "asterisk_ms": 10.0, "engine_ms": 0.0}
    return Segment(
        what=what,
        arm="queue" if arm == "queue" else "engine",
        round=number,
        count=100,
        failed=0,
        repeated=0,
        p50=p50,
        **(values | other),
    )


def test_medians_over_the_rounds_are_judged() -> None:
    found = [segment("pickup", "queue", n, p50) for n, p50 in enumerate((400.0, 500.0, 9000.0))]
    found += [segment("pickup", "engine", n, p50) for n, p50 in enumerate((5.0, 26.0, 12.0))]
    both = {("pickup", arm): medians(found, "pickup", arm) for arm in ARMS}
    assert both["pickup", "queue"]["p50"] == 500.0
    judged = verdicts(both)
    assert all(ok for _, ok in judged), judged
    slow = {**both, ("pickup", "engine"): {**both["pickup", "engine"], "p50": 26.0, "cpu_ms": 11}}
    assert [ok for _, ok in verdicts(slow)] == [False, True, False, False]
    text = table(both, judged, Machine(cores=2, cpu="X", load=0.5, python="3"), 3, 60.0)
    assert "| agent free → next citizen's INVITE, p50, ms | 500.0 | 12.0 | 41.67 |" in text


@pytest.mark.accept
def test_three_seconds_of_the_bench(tmp_path: Path) -> None:
    if NEEDS_SIPP:
        pytest.skip(f"SIPp cannot be had: {NEEDS_SIPP}")
    if os.geteuid() or shutil.which("tcpdump") is None:
        pytest.skip("needs root and tcpdump")
    install = find_or_install(state_dir(), named=None, progress=progress)
    place = Place(folder=tmp_path, install=install, agents=12)
    sizes = Sizes(agents=12, waiting=4, arrivals=((4, 3.0),))
    plan = Plan(rounds=1, what=("arrival4",), arms=("queue", "engine"))
    found = asyncio.run(measure(place, sizes, plan))
    assert [s.arm for s in found] == ["queue", "engine"]
    for found_segment in found:
        assert found_segment.count == 12
        assert found_segment.failed == 0
        assert 0 < found_segment.p50 < 5000  # no verdict: the machine has other work
        assert found_segment.asterisk_ms > 0
    assert found[1].engine_ms > 0
