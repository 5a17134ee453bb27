"""How soon another center's operator is rung, with SIPp's phones and SIPp's clock."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gkc_engine.acd import commands as cmd
from gkc_engine.pbx.install import Install
from tests.acceptance.centers import two_centers
from tests.acceptance.harness import until
from tests.acceptance.sipp import SippBench
from tests.acceptance.stage import PASSPORT
from tests.acceptance.traces import dialogues
from tests.ports import free_port

pytestmark = pytest.mark.accept

CALLS = 60


@pytest.mark.usefixtures("sipp")
async def test_from_the_decision_to_the_invite_of_the_operator_there(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = SippBench(tmp_path / "phones", "127.0.0.1")
    bench.folder.mkdir()
    theirs = await bench.phones(ring_ms=50, talk_ms=50)
    ports = {"sever": {"": theirs.port}, "centr": {"": free_port()}}
    try:
        async with two_centers(tmp_path, install, ports) as city:
            home, donor = city.home, city.donor
            await donor.login("anna")
            citizens = await home.bench.citizens(PASSPORT, [f"c{n}" for n in range(CALLS)], rate=2)
            sent: list[cmd.OverflowContact] = []
            for n in range(CALLS):
                contact_id = await home.contact(n)
                await home.contact_is(contact_id, "waiting")
                await donor.agent_is("anna", "ready")
                sent.append(await city.overflow(contact_id))
                await home.ended(contact_id)
            assert await citizens.finished(20) == 0
            assert {agent for c in sent for agent, _ in home.outcomes(c.contact_id)} == {
                "sever:anna"
            }

            async def traced() -> list[float]:
                found = [d.invited for d in dialogues([theirs]) if d.called == "101"]
                return found if len(found) == CALLS else []

            invited = await until(traced, "SIPp has written all INVITEs down", 10)
            took = sorted(
                at - home.disk.when(command) for at, command in zip(invited, sent, strict=True)
            )
    finally:
        await bench.stop()
    assert took[0] > 0, "nobody is rung before it is written down"
    p50, p99 = (1000 * took[round((CALLS - 1) * part)] for part in (0.5, 0.99))
    with capsys.disabled():
        sys.stdout.write(
            f"\ncommit to INVITE there: p50 {p50:.1f} ms, p99 {p99:.1f} ms, n={CALLS}\n"
        )
    assert p50 < 60
    assert p99 < 500
