"""What we write, in a real Asterisk: it loads, it holds, it lets nobody do more than he may."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from gkc_engine.config.loader import load_config
from gkc_engine.pbx.from_config import plan_from_config
from gkc_engine.pbx.install import Install
from gkc_engine.pbx.outside import (
    CitizenCall,
    PhoneAct,
    PhoneDecision,
    dial_from_phone,
    originate_citizen,
    set_phone_default,
    unregister_phone,
)
from gkc_engine.pbx.render import RELOAD_LINES, templates_dir
from tests.pbx.support import (
    CITY,
    SECRET,
    AmiClient,
    City,
    complaints,
    running_center,
    running_city,
    small_plan,
    until,
)

pytestmark = [pytest.mark.accept, pytest.mark.asyncio(loop_scope="module")]

README = templates_dir().parent / "README.md"


def _named(kind: str) -> list[str]:
    """Return the words in backquotes of the contract's line ``**KIND**: …``."""
    found = re.search(rf"^\*\*{kind}\*\*:(.*(?:\n.+)*)", README.read_text(), re.MULTILINE)
    assert found is not None, kind
    return re.findall(r"`([^`]+)`", found[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _city(install: Install, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    async with running_city(install, tmp_path_factory.mktemp("city")) as city:
        yield city


@pytest_asyncio.fixture(loop_scope="module")
async def city(_city: City) -> AsyncIterator[City]:
    """One city for all cases; each finds it as the first did."""
    yield _city
    await _city.clear()


def call(caller: str = "+79160000001", talk_s: float = 0) -> CitizenCall:
    return CitizenCall(call_id=f"c{caller[-4:]}", number=CITY, caller=caller, talk_s=talk_s)


async def noted(city: City, text: str) -> None:
    """Wait for a row of the native queue_log: Asterisk writes its lists each in its own time."""

    async def row() -> bool:
        return text in city.queue_log

    await until(row)


async def entered(city: City, queue: str) -> None:
    await noted(city, f"|{queue}|NONE|ENTERQUEUE|")


async def told(city: City, event: str) -> dict[str, str]:
    """Wait for an AMI event: the queue's log may be a moment ahead of it."""

    async def came() -> bool:
        return any(e.get("Event") == event for e in city.ami.events)

    await until(came)
    return next(e for e in city.ami.events if e.get("Event") == event)


async def asked(city: City, path: str) -> None:
    async def row() -> bool:
        return path in city.agi.paths()

    await until(row)


def connecting(phone: str) -> tuple[str, ...]:
    """What the engine says to connect a citizen; his lease of 4 s has its end with that."""
    return "ANSWER", "SET VARIABLE TIMEOUT(absolute) 60", f"EXEC Dial PJSIP/{phone},10,gi"


async def test_it_boots_without_a_warning_and_has_all_that_the_contract_names(
    install: Install, tmp_path: Path
) -> None:
    async with running_center(install, tmp_path) as (_, center):
        for context in _named("Contexts"):
            assert "There is no existence" not in await center.cli(f"dialplan show {context}")
        for application in _named("Applications"):
            assert "(are) not registered" not in await center.cli(
                f"core show application {application}"
            )
        for function in _named("Functions"):
            assert "No function" not in await center.cli(f"core show function {function}")
        modules = await center.cli("module show")
        for module in _named("Modules"):
            assert f"{module}.so" in modules, module
        for action in _named("Manager actions"):
            shown = await center.cli(f"manager show command {action}")
            assert "[Syntax]" in shown, action
        said = complaints(center.log)
    assert not said


async def test_the_printed_reload_commands_are_known_and_both_lists_are_written(
    city: City,
) -> None:
    for line in RELOAD_LINES:
        command = line.partition('"')[2].removesuffix('"')
        said = await city.center.cli(command)
        assert "No such" not in said, (command, said)
    await city.world.send(originate_citizen(call("+79160000077")))
    await entered(city, "gkc-default")
    await city.center.cli("channel request hangup all")

    def rows(path: Path) -> list[str]:
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [line for line in lines if "+79160000077" in line]

    async def written() -> bool:
        lists = (rows(city.center.legs_csv), rows(city.center.calls_csv))
        return any('"HANGUP"' in line for line in lists[0]) and bool(lists[1])

    await until(written)
    start, _, end = rows(city.center.calls_csv)[0].replace('"', "").split(",")[4:7]
    assert float(start) <= float(end), "Unix time, whatever the zone"


async def test_the_managers_user_may_do_its_work_and_no_more(
    install: Install, tmp_path: Path
) -> None:
    async with running_center(install, tmp_path) as (plan, _):
        ami = await AmiClient.login(plan.ami)
        denied = [
            ("GetConfig", {"Filename": "manager.conf"}),
            ("Reload", {}),
            ("Command", {"Command": "core show version"}),
            ("Originate", {"Channel": "Local/1@gkc", "Application": "Wait", "Data": "1"}),
            ("MixMonitor", {"Channel": "PJSIP/101-1", "File": "x"}),
            ("DBPut", {"Family": "a", "Key": "b", "Val": "c"}),
        ]
        for action, headers in denied:
            assert (await ami.action(action, **headers))["Message"] == "Permission denied", action
        member = {"Queue": "gkc-passport", "Interface": "PJSIP/101"}
        for action, headers in [
            ("QueueAdd", {**member, "MemberName": "ivanova"}),
            ("QueuePause", {**member, "Paused": "true"}),
            ("QueueRemove", member),
            ("Setvar", {"Variable": "GKC_HEARTBEAT", "Value": "1"}),
            ("CoreShowChannels", {}),
            ("DeviceStateList", {}),
        ]:
            assert (await ami.action(action, **headers))["Response"] == "Success", action
        for action in ("Hangup", "MixMonitorMute", "StopMixMonitor"):
            message = (await ami.action(action, Channel="PJSIP/101-1"))["Message"]
            assert message != "Permission denied", action
        reply = await ami.action("QueueWithdrawCaller", Queue="gkc-passport", Caller="PJSIP/x-1")
        assert reply["Message"] != "Permission denied"
        await ami.close()


async def test_events_carry_our_variables_and_asterisks_own_clock(city: City) -> None:
    await city.ami.beat()
    city.agi.script["enter"] = (
        'EXEC MSet "GKC_CONTACT=c1,GKC_ENQ=5"',
        "SET VARIABLE GKC_DONE 1",
    )
    await city.world.send(originate_citizen(call()))
    await asked(city, "enter")
    hangup = await told(city, "Hangup")
    assert hangup["ChanVariable"] == "GKC_CONTACT=c1|GKC_ENQ=5"
    assert re.fullmatch(r"\d{10}\.\d{6}", hangup["Timestamp"])
    assert hangup["Uniqueid"].startswith("centr-")
    assert "VarSet" not in {e.get("Event") for e in city.ami.events}
    assert city.agi.calls[0]["agi_extension"] == CITY


async def test_a_call_goes_to_the_engine_only_while_its_heart_beats(city: City) -> None:
    city.agi.stay.add("enter")
    await city.world.send(originate_citizen(call(caller="+79160000001")))
    await entered(city, "gkc-default")  # never a heartbeat yet
    assert city.agi.calls == []

    await city.ami.beat()
    await city.world.send(originate_citizen(call(caller="+79160000002")))
    await asked(city, "enter")

    await city.ami.beat(age_s=6)
    await city.world.send(originate_citizen(call(caller="+79160000003")))
    # By his number: the lease of the one before may have run out into a queue meanwhile.
    await noted(city, "|gkc-default|NONE|ENTERQUEUE||+79160000003|")
    assert len(city.agi.calls) == 1


async def test_when_the_engine_dies_who_waits_and_who_calls_stand_in_the_native_queue(
    city: City,
) -> None:
    await city.ami.beat()
    city.agi.script["enter"] = ("ANSWER", "SET VARIABLE GKC_FALLBACK gkc-passport")
    city.agi.stay.add("enter")
    await city.world.send(originate_citizen(call(caller="+79160000001")))

    async def said() -> bool:
        return len(city.agi.replies) == 2

    await until(said)
    await city.agi.die()
    await entered(city, "gkc-passport")
    await city.ami.beat()
    await city.world.send(originate_citizen(call(caller="+79160000002")))
    await entered(city, "gkc-default")


async def test_the_lease_runs_out_into_the_native_queue_and_rings_a_member(city: City) -> None:
    await city.ami.action(
        "QueueAdd", Queue="gkc-default", Interface="PJSIP/102", MemberName="petrov"
    )
    await city.world.send(set_phone_default(PhoneDecision(act=PhoneAct.ANSWER, ring_s=0)))
    await city.ami.beat()
    city.agi.script["enter"] = ("ANSWER", "SET VARIABLE TIMEOUT(absolute) 1")
    city.agi.stay.add("enter")
    await city.world.send(originate_citizen(call(talk_s=1)))
    await until(lambda: city.legs("ANSWER", "PJSIP/102-"))
    await until(lambda: city.legs("HANGUP", "PJSIP/gkc-trunk-"))
    await noted(city, "|COMPLETECALLER|")


async def test_the_engine_takes_a_caller_back_from_the_native_queue(city: City) -> None:
    await city.world.send(originate_citizen(call()))
    await entered(city, "gkc-default")
    joined = await told(city, "QueueCallerJoin")
    city.agi.stay.add("enter")
    await city.ami.beat()
    await city.ami.action("QueueWithdrawCaller", Queue="gkc-default", Caller=joined["Channel"])
    await city.ami.action("ControlPlayback", Channel=joined["Channel"], Control="stop")
    await asked(city, "enter")
    assert city.agi.calls[0]["agi_uniqueid"] == joined["Uniqueid"]


async def test_a_ring_of_the_native_queue_is_not_cut_by_waking_who_is_withdrawn(city: City) -> None:
    await city.ami.action(
        "QueueAdd", Queue="gkc-default", Interface="PJSIP/102", MemberName="petrov"
    )
    # It rings until he is withdrawn, also on a machine that stands still for a while.
    await city.world.send(set_phone_default(PhoneDecision(act=PhoneAct.ANSWER, ring_s=4, talk_s=1)))
    await city.world.send(originate_citizen(call()))
    await entered(city, "gkc-default")
    joined = await told(city, "QueueCallerJoin")
    await told(city, "AgentCalled")
    await city.ami.beat()
    await city.ami.action("QueueWithdrawCaller", Queue="gkc-default", Caller=joined["Channel"])
    await city.ami.action("ControlPlayback", Channel=joined["Channel"], Control="stop")
    await until(lambda: city.legs("HANGUP", "PJSIP/102-"))
    assert await city.legs("ANSWER", "PJSIP/102-")
    await noted(city, "|COMPLETEAGENT|")
    assert "WITHDRAW" not in city.queue_log
    assert city.agi.calls == []
    log = city.center.log.read_text()
    assert not [line for line in log.splitlines() if "control" in line.lower() and "WARN" in line]


async def test_a_talk_outlives_the_engine_and_is_not_queued_again(city: City) -> None:
    await city.ami.beat()
    city.agi.script["enter"] = connecting("102")
    talk = PhoneDecision(act=PhoneAct.ANSWER, ring_s=0, talk_s=5)  # longer than any standstill
    await city.world.send(set_phone_default(talk))
    await city.world.send(originate_citizen(call()))
    await until(lambda: city.legs("ANSWER", "PJSIP/102-"))
    await city.agi.die()
    await city.agi.listen(city.plan.fastagi_port)
    assert not await city.legs("HANGUP", "PJSIP/102-")
    await asked(city, "after")
    assert "ENTERQUEUE" not in city.queue_log


async def test_an_administrators_dialplan_goes_straight_into_a_queue(city: City) -> None:
    city.agi.stay.add("queue/passport")
    await city.ami.beat()
    await city.center.cli("dialplan add extension 5000,1,Goto(gkc-queue,passport,1) into prehdr")
    await city.center.cli("channel originate Local/5000@prehdr application Wait 5")
    await asked(city, "queue/passport")
    assert city.agi.calls[0]["agi_context"] == "gkc-queue"
    await city.agi.die()
    await entered(city, "gkc-passport")


async def test_the_sample_city_loads_without_a_warning(install: Install, tmp_path: Path) -> None:
    folder = templates_dir().parents[1] / "config"
    config = load_config(folder)
    plan = plan_from_config(config, lambda _: SECRET, prompts=folder / "prompts")
    async with running_center(install, tmp_path, plan) as (_, center):
        queues = await center.cli("queue show")
        for name in config.queues:
            assert f"gkc-{name} has 0 calls" in queues
        said = complaints(center.log)
    assert not said


async def test_a_plan_without_heartbeat_asks_the_engine_at_once(
    install: Install, tmp_path: Path
) -> None:
    plan = replace(small_plan(), heartbeat=False)
    async with running_city(install, tmp_path, plan) as city:
        city.agi.stay.add("enter")
        await city.world.send(originate_citizen(call()))
        await asked(city, "enter")


async def test_operators_reach_features_and_colleagues_and_nothing_else(city: City) -> None:
    for number in ("*45", "*4612", "*47", "*483", "102", "601", CITY):
        await city.world.send(dial_from_phone("101", number))

    async def all_seven() -> bool:
        return len(city.agi.calls) == 7

    await until(all_seven)
    seen = sorted(
        (c["agi_network_script"], c["agi_extension"], c.get("agi_arg_1"), c.get("agi_arg_2"))
        for c in city.agi.calls
    )
    assert seen == [
        ("consult", CITY, None, None),
        ("consult", "102", None, None),
        ("consult", "601", None, None),
        ("feature", "*45", "login", None),
        ("feature", "*4612", "pause", "12"),
        ("feature", "*47", "queue", None),
        ("feature", "*483", "result", "3"),
    ]
    assert all(c["agi_channel"].startswith("PJSIP/101-") for c in city.agi.calls)
    await city.world.send(dial_from_phone("101", "89161234567"))

    async def refused() -> bool:
        return "'89161234567' rejected" in city.center.log.read_text()

    await until(refused)
    assert len(city.agi.calls) == 7


async def test_a_citizen_who_calls_himself_101_is_no_operator(city: City) -> None:
    await city.ami.beat()
    city.agi.stay.add("enter")
    await city.world.send(originate_citizen(call(caller="101")))
    await asked(city, "enter")
    assert city.agi.calls[0]["agi_channel"].startswith("PJSIP/gkc-trunk-")


async def test_a_phone_that_unregistered_is_known_to_be_gone(city: City) -> None:
    await city.world.send(unregister_phone("101"))

    async def unavailable() -> bool:
        return any(
            e.get("Device") == "PJSIP/101" and e.get("State") == "UNAVAILABLE"
            for e in city.ami.events
            if e.get("Event") == "DeviceStateChange"
        )

    await until(unavailable)


async def test_a_blind_transfer_to_a_queue_without_an_engine_waits_in_its_native_queue(
    city: City,
) -> None:
    await city.ami.beat()
    city.agi.script["enter"] = connecting("101")
    refer = PhoneDecision(act=PhoneAct.REFER, ring_s=0, talk_s=4, to="601")
    await city.world.send(set_phone_default(refer, "101"))
    await city.world.send(originate_citizen(call()))
    await until(lambda: city.legs("ANSWER", "PJSIP/101-"))
    await city.agi.die()
    await city.ami.beat()  # it died just now
    await entered(city, "gkc-passport")


@pytest.mark.parametrize(("target", "rung"), [("102", True), ("555", False)])
async def test_a_blind_transfer_without_an_engine_rings_operators_only(
    city: City, target: str, rung: bool
) -> None:
    await city.ami.beat()
    city.agi.script["enter"] = connecting("101")
    await city.world.send(
        set_phone_default(PhoneDecision(act=PhoneAct.REFER, ring_s=0, talk_s=4, to=target), "101")
    )
    await city.world.send(originate_citizen(call()))
    await until(lambda: city.legs("ANSWER", "PJSIP/101-"))
    await city.agi.die()
    await city.ami.beat()  # it died just now
    if rung:
        await until(lambda: city.legs("ANSWER", "PJSIP/102-"))
    else:
        # REFER is refused (404), the operator hangs up, the citizen's call ends after it.
        await until(lambda: city.legs("HANGUP", "PJSIP/gkc-trunk-"))
    assert await city.legs("CHAN_START", "PJSIP/102-") is rung
