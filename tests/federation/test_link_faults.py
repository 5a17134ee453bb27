"""What NATS may do to a link: stop, freeze, flap, lose its hub. Calls go on, and it comes back."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest
import structlog

from gkc_engine.acd import commands as cmd
from gkc_engine.federation import link as module
from gkc_engine.federation.peers import State
from gkc_engine.federation.protocol import Send
from tests.federation.centers import TAX, Node, all_known, buses, centers, rule, trunk, until

CUT_S = 3.5
"""3 s of freshness, and the slack of a busy machine."""

HEALED_S = 10.0


def sees_nobody(node: Node) -> bool:
    return all(node.state_of(other) is State.DOWN for other in node.federation.peers)


async def serves(node: Node, contact: str) -> None:
    """The center answers its own citizens."""
    node.call(contact)

    def offered() -> bool:
        return any(isinstance(c, cmd.OfferContact) and c.contact_id == contact for c in node.said)

    await until(offered, 2.0)


async def test_a_leaf_that_is_stopped_and_started_again(tmp_path: Path) -> None:
    async with buses(tmp_path) as city, centers(city, dict.fromkeys(city.leaves, 2)) as nodes:
        leaf, centr, sever = city.leaves["sever"], nodes["centr"], nodes["sever"]
        await leaf.stop()
        await until(lambda: not sever.link.up)
        await until(lambda: centr.state_of("sever") is State.DOWN, CUT_S)
        await until(lambda: sees_nobody(sever), CUT_S)
        # What it said last is 3 s old, and worth nothing, where we stood still so long.
        await until(lambda: centr.state_of("yug") is State.NORMAL)
        await serves(sever, "c1")
        sever.link._post(Send("yug", b"x"))
        assert sever.link.dropped["no_bus"] == 1
        assert not sever.link._outbox, "nothing is kept for later"
        await leaf.start()
        await until(lambda: all_known(nodes), HEALED_S)


async def test_a_leaf_that_is_frozen(tmp_path: Path) -> None:
    async with buses(tmp_path) as city, centers(city, dict.fromkeys(city.leaves, 2)) as nodes:
        leaf, sever = city.leaves["sever"], nodes["sever"]
        leaf.signal(signal.SIGSTOP)
        await until(lambda: sees_nobody(sever), CUT_S)
        await until(lambda: not sever.link.up)
        assert sever.link.problem
        await serves(sever, "c1")
        leaf.signal(signal.SIGCONT)
        await until(lambda: all_known(nodes), HEALED_S)


async def test_what_a_frozen_server_does_not_take_is_dropped(tmp_path: Path) -> None:
    async with buses(tmp_path) as city, centers(city, dict.fromkeys(city.leaves, 2)) as nodes:
        leaf, sever = city.leaves["sever"], nodes["sever"]
        leaf.signal(signal.SIGSTOP)
        link = sever.link

        def pending() -> int:
            client = link._client
            return link._outbox_bytes + (client.pending_data_size if client else 0)

        for _ in range(100):
            for _ in range(30):
                link._post(Send("yug", b"x" * 30_000))
            assert link._outbox_bytes <= module.PENDING_MAX
            await asyncio.sleep(0)
            assert pending() < 2 * module.PENDING_MAX + 60_000
        assert link.dropped["full"] > 100
        await serves(sever, "c1")
        await until(lambda: not link.up)
        leaf.signal(signal.SIGCONT)
        await until(lambda: all_known(nodes), HEALED_S)


async def test_a_hub_that_is_gone_while_the_leaves_live(tmp_path: Path) -> None:
    async with buses(tmp_path) as city, centers(city, dict.fromkeys(city.leaves, 2)) as nodes:
        await city.hub.kill()
        for node in nodes.values():
            await until(lambda node=node: sees_nobody(node), CUT_S)  # type: ignore[misc]
            await serves(node, "c1")
        assert all(node.link.up for node in nodes.values()), "each has its own leaf"
        await city.hub.start()
        await until(lambda: all_known(nodes), HEALED_S)
        assert {node.link.connects for node in nodes.values()} == {1}


async def test_a_hub_that_is_frozen(tmp_path: Path) -> None:
    async with buses(tmp_path) as city, centers(city, dict.fromkeys(city.leaves, 2)) as nodes:
        city.hub.signal(signal.SIGSTOP)
        await until(lambda: sees_nobody(nodes["centr"]), CUT_S)
        await serves(nodes["centr"], "c1")
        city.hub.signal(signal.SIGCONT)
        await until(lambda: all_known(nodes), HEALED_S)


async def test_a_leaf_that_flaps(tmp_path: Path) -> None:
    rules = {"centr": (rule("sever"),)}
    operators = {"centr": 0, "sever": 2, "yug": 0}
    async with buses(tmp_path) as city, centers(city, operators, rules) as nodes:
        leaf = city.leaves["centr"]
        for _ in range(6):
            await leaf.kill()
            await leaf.start()
        await until(lambda: all_known(nodes), HEALED_S)
        trunk(nodes["centr"], {"sever": nodes["sever"]})
        nodes["centr"].call("c1")
        await until(lambda: nodes["sever"].federation.donor.counted["centr", "answered"] == 1)


async def test_who_was_asked_as_the_line_was_cut_is_free_again(tmp_path: Path) -> None:
    rules = {"centr": (rule("sever"),)}
    async with (
        buses(tmp_path, ("centr", "sever")) as city,
        centers(city, {"centr": 0, "sever": 1}, rules) as nodes,
    ):
        centr, sever = nodes["centr"], nodes["sever"]
        # Asked and granted; and then neither the way nor the release gets through.
        granted = asyncio.get_running_loop().create_future()

        def cut(command: cmd.Command) -> None:
            if isinstance(command, cmd.GrantReservation) and not granted.done():
                city.hub.signal(signal.SIGSTOP)
                granted.set_result(None)

        sever.on_command = cut
        centr.call("c1")
        await until(granted.done)
        ended = [c for c in sever.said if isinstance(c, cmd.ContactEnded)]
        assert ended == []
        await until(lambda: any(isinstance(c, cmd.ContactEnded) for c in sever.said))
        await until(lambda: sever.sight.loads()[TAX].ready == 1)
        city.hub.signal(signal.SIGCONT)


@pytest.mark.parametrize("where", ["settle", "hear", "take", "said"])
async def test_a_mistake_of_the_protocol_costs_no_call(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAILED_EVERY_S", 3600.0)  # However slow the machine is.
    async with (
        buses(tmp_path, ("centr", "sever")) as city,
        centers(city, {"centr": 1, "sever": 1}) as nodes,
    ):
        centr = nodes["centr"]
        made = 0

        def breaks(*_args: object) -> None:
            nonlocal made
            made += 1
            raise AssertionError("planted")

        monkeypatch.setattr(centr.federation, where, breaks)
        with structlog.testing.capture_logs() as logged:
            await serves(centr, "c1")
            await until(lambda: made > 2, 60.0)  # "said": as the offer is over, after 8 s
        told = Counter(line["event"] for line in logged if line["log_level"] == "error")
        if where == "said":  # The engine calls it, and guards it as any performer.
            assert told == {"perform_failed": made}
        else:
            ours = centr.link.dropped["failed"]
            assert ours + told["observer_failed"] == made
            assert told["federation_failed"] == 1, "not for each of hundreds"
        monkeypatch.undo()
        await until(lambda: nodes["sever"].state_of("centr") is State.NORMAL)
        assert centr.link.connects == 1


async def test_a_mistake_is_logged_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAILED_EVERY_S", 0.0)
    async with (
        buses(tmp_path, ("centr", "sever")) as city,
        centers(city, {"centr": 1, "sever": 1}) as nodes,
    ):
        link = nodes["centr"].link

        def breaks(*_args: object) -> None:
            raise AssertionError("planted")

        monkeypatch.setattr(link.federation, "hear", breaks)
        with structlog.testing.capture_logs() as logged:
            await until(lambda: link.dropped["failed"] > 1)
        told = [line for line in logged if line["event"] == "federation_failed"]
        first = [(line["center"], line["times"]) for line in told[:2]]  # There may be more by now.
        assert first == [("sever", 1), ("sever", 2)]
        assert all(isinstance(line["exc_info"], AssertionError) for line in told)
