"""Links with real cores over a real NATS: what they tell each other, and what they refuse."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from pathlib import Path

import pytest
import structlog

from bench.figures import percentile
from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.endings import end_tasks
from gkc_engine.federation import link as module
from gkc_engine.federation.messages import VERSION, Load, Message, encode
from gkc_engine.federation.peers import Refused, State
from gkc_engine.federation.settings import FederationSettings, LinkSettings
from gkc_engine.ids import AgentId, ContactId, abroad
from tests.federation.centers import (
    SECRET,
    Node,
    buses,
    centers,
    reserve,
    rule,
    trunk,
    until,
)


async def test_three_centers_exchange_loads_and_a_reservation(tmp_path: Path) -> None:
    operators = {"centr": 0, "sever": 2, "yug": 1}
    rules = {"centr": (rule("sever", "yug"),)}
    async with buses(tmp_path) as city, centers(city, operators, rules) as nodes:
        centr, sever = nodes["centr"], nodes["sever"]
        known = {name: centr.load_of(name) for name in ("sever", "yug")}
        assert {name: load and load.ready for name, load in known.items()} == {"sever": 2, "yug": 1}
        assert sever.state_of("centr") is State.UNSTAFFED
        assert sever.state_of("yug") is State.NORMAL
        trunk(centr, {"sever": sever})
        centr.call("c1")
        await until(lambda: any(isinstance(c, cmd.ContactEnded) for c in centr.said))
        (sent,) = [c for c in centr.said if isinstance(c, cmd.OverflowContact)]
        assert (sent.center, sent.agent_id) == ("sever", abroad("sever", AgentId("a0")))
        (granted,) = [c for c in sever.said if isinstance(c, cmd.GrantReservation)]
        assert (granted.owner, granted.contact_id) == ("centr", "c1")
        counted = {str(what): n for (_, what), n in centr.federation.owner.counted.items()}
        assert counted == {"asked": 1, "granted": 1, "sent": 1, "answered": 1}
        await until(lambda: sever.federation.donor.counted["centr", "answered"] == 1)
        sources = {s.source for s in sever.memory.steps if isinstance(s.event, ev.ReservationAsked)}
        assert sources == {"federation"}


async def test_a_reservation_takes_some_milliseconds(tmp_path: Path) -> None:
    took = await reserve(50, tmp_path)  # `python -m bench.centers_link` has the figures
    assert len(took) == 50
    # Nothing of it waits for a turn: the protocol settles 50 ms after a word of another.
    assert percentile(took, 0.5) < 40


def load(center: str, epoch: int, seq: int, version: int = VERSION) -> bytes:
    body = Load(state="normal", queues={})
    return encode(Message(version=version, center=center, epoch=epoch, seq=seq, body=body))


async def test_what_is_none_of_ours_is_refused_by_name_and_counted(tmp_path: Path) -> None:
    async with (
        buses(tmp_path, ("centr", "sever")) as city,
        centers(city, {"centr": 0, "sever": 1}) as nodes,
    ):
        sever, centr = nodes["sever"], nodes["centr"]
        say = await city.stranger("sever")
        life = sever.federation._epoch
        messages = {
            ("sever", Refused.MALFORMED): b"\xc1 no message",
            ("sever", Refused.VERSION): load("sever", life, 0, version=VERSION + 1),
            ("sever", Refused.OLD_LIFE): load("sever", life - 1, 9),
            ("sever", Refused.REPLAYED): load("sever", life, 0),
            ("sever", Refused.FORGED): load("yug", life, 1),
        }
        refused = centr.federation.refused
        for what, data in messages.items():
            await say.publish("gkc.load.sever", data)
            await until(lambda what=what: refused[what] == 1)  # type: ignore[misc]
        # Our leaf lets nobody but its own center out: only here somebody else can be heard.
        near = await city.stranger("centr")
        await near.publish("gkc.load.vostok", load("vostok", 1, 1))
        await until(lambda: refused["", Refused.FOREIGN] == 1)
        await near.publish("gkc.to.centr.sever", b"x" * 70_000)
        await until(lambda: refused["sever", Refused.MALFORMED] == 2)
        # A second center of our own name.
        await near.publish("gkc.load.centr", load("centr", 5, 1))
        await until(lambda: refused["centr", Refused.OURSELVES] == 1)
        before = sum(refused.values())
        await say.publish("gkc.load.centr", load("centr", 6, 1))
        await say.publish("gkc.to.centr.yug", load("yug", 6, 1))
        await say.publish("gkc.load.sever", b"\xc1")  # The line keeps the order: the hub refused.
        await until(lambda: sum(refused.values()) > before)
        assert sum(refused.values()) == before + 1
        await until(lambda: centr.state_of("sever") is State.NORMAL)
        await say.close()
        await near.close()


async def test_a_flood_of_one_center_is_not_listened_to(tmp_path: Path) -> None:
    operators = {"centr": 0, "sever": 1, "yug": 1}
    async with buses(tmp_path) as city, centers(city, operators) as nodes:
        centr, yug = nodes["centr"], nodes["centr"].federation.peers["yug"]
        say = await city.stranger("sever")

        async def flood() -> None:
            for seq in itertools.count():
                await say.publish("gkc.load.sever", load("sever", 2**62, seq))
                await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        await until(lambda: centr.federation.refused["sever", Refused.FLOODED] > 500)
        heard = yug.load_seq
        await until(lambda: yug.load_seq >= heard + 3)
        assert centr.federation.refused["yug", Refused.FLOODED] == 0, "who is quiet is heard"
        await end_tasks([flooding])
        await say.close()


async def test_a_center_that_goes_down_says_so(tmp_path: Path) -> None:
    async with (
        buses(tmp_path, ("centr", "sever")) as city,
        centers(city, {"centr": 0, "sever": 1}) as nodes,
    ):
        await nodes["sever"].link.leave()
        await until(lambda: nodes["centr"].state_of("sever") is State.GOING_DOWN)


async def test_a_wrong_password_is_told_once_and_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.05)
    async with buses(tmp_path, ("centr",)) as city:
        bad = dataclasses.replace(city.settings("centr"), password=SECRET + "x")
        node = Node(FederationSettings(center="centr"), bad, 0)
        tries: list[object] = []
        options = node.link._options

        def noted(over: asyncio.Event) -> dict[str, object]:
            tries.append(over)
            return options(over)

        monkeypatch.setattr(node.link, "_options", noted)
        with structlog.testing.capture_logs() as logged:
            tasks = await node.start()
            await until(lambda: len(tries) > 3)
        assert [line["event"] for line in logged if "bus" in line["event"]] == ["bus_down"]
        assert "refuses us" in node.link.problem
        assert not node.link.up
        assert SECRET not in str(logged)
        await end_tasks(tasks)


async def test_without_a_bus_calls_go_on() -> None:
    node = Node(FederationSettings(center="centr"), LinkSettings(urls=("nats://127.0.0.1:1",)), 1)
    tasks = await node.start()
    node.call("c1")
    await until(lambda: any(isinstance(c, cmd.OfferContact) for c in node.said))
    await until(lambda: "127.0.0.1:1" in node.link.problem)
    assert node.federation.take() == []
    await end_tasks(tasks)


def test_ids_of_reservations_can_cross_the_line() -> None:
    from gkc_engine.clock import new_uuid
    from gkc_engine.federation.messages import Ask, decode
    from gkc_engine.ids import Instant

    made = ContactId(new_uuid(Instant(1_795_478_000_000_000)))
    ask = Ask(reservation_id=made, contact_id=made, queue="tax", waited_us=0)
    message = Message(version=VERSION, center="centr", epoch=1, seq=1, body=ask)
    assert decode(encode(message)).body == ask
