"""The native queues hold who is at work, and nobody else."""

from __future__ import annotations

from gkc_engine.acd import events as ev
from gkc_engine.channels.phone.ami import AmiEvent
from gkc_engine.ids import SECOND, AgentId, ContactId, QueueId, SkillId
from tests.channels.world import World, at, world

ANNA = AgentId("anna")
PASSPORT, TAX = SkillId("passport"), SkillId("tax")


def member(queue: str, interface: str, paused: str = "0") -> AmiEvent:
    return AmiEvent.of("QueueMember", Queue=queue, Location=interface, Paused=paused)


async def asked(here: World) -> None:
    """Let Asterisk say, for the first time, that it has our queue and nobody in it."""
    here.ami.lists["QueueStatus"] = [AmiEvent.of("QueueParams", Queue="gkc-passport")]
    await here.channel.members.reconcile()


async def said(here: World, count: int) -> list[tuple[str, str, str]]:
    """Return the first ``count`` changes of members: action, interface, paused."""
    facts = await here.ami.said.until(
        lambda sent: sum(name.startswith("Queue") for name, _ in sent) >= count
    )
    return [
        (name, fields["Interface"], fields.get("Paused", ""))
        for name, fields in facts
        if name.startswith("Queue")
    ]


async def test_login_pause_and_logout_are_mirrored_at_once() -> None:
    async with world() as here:
        here.channel.jobs.start()
        await asked(here)
        await here.said(ev.AgentLoggedIn(agent_id=ANNA))
        await here.said(ev.AgentPaused(agent_id=ANNA, reason="lunch"))
        await here.said(ev.AgentReady(agent_id=ANNA))
        await here.said(ev.AgentLoggedOut(agent_id=ANNA))
        assert await said(here, 4) == [
            ("QueueAdd", "PJSIP/101", "false"),
            ("QueuePause", "PJSIP/101", "true"),
            ("QueuePause", "PJSIP/101", "false"),
            ("QueueRemove", "PJSIP/101", ""),
        ]


async def test_a_pause_touches_none_of_his_other_queues() -> None:
    """Without a queue Asterisk pauses him in all, also in those of the call center beside ours."""
    async with world() as here:
        here.channel.plan.members = {ANNA: ("gkc-default", "gkc-passport")}
        here.ami.lists["QueueStatus"] = [
            *(AmiEvent.of("QueueParams", Queue=q) for q in ("gkc-default", "gkc-passport")),
            member("theirs", "PJSIP/101"),
        ]
        await here.channel.members.reconcile()
        here.channel.jobs.start()
        await here.said(ev.AgentLoggedIn(agent_id=ANNA))
        await here.said(ev.AgentPaused(agent_id=ANNA, reason="lunch"))
        await here.said(ev.AgentReady(agent_id=ANNA))
        facts = await here.ami.said.until(lambda sent: len(sent) >= 6)
        pauses = [(f["Queue"], f["Paused"]) for name, f in facts if name == "QueuePause"]
        assert pauses == [
            ("gkc-default", "true"),
            ("gkc-passport", "true"),
            ("gkc-default", "false"),
            ("gkc-passport", "false"),
        ]


async def test_an_override_of_a_skill_reaches_the_native_queues_at_once() -> None:
    async with world(agents=["anna"]) as here:
        plan = here.channel.plan
        plan.members = {ANNA: ("gkc-default", "gkc-passport")}
        plan.fallbacks = {QueueId("passport"): "gkc-passport", QueueId("tax"): "gkc-tax"}
        plan.needs = {
            QueueId("passport"): ({PASSPORT: 3}, {PASSPORT: 1}),
            QueueId("tax"): ({TAX: 2},),
        }
        here.ami.lists["QueueStatus"] = [
            AmiEvent.of("QueueParams", Queue=name)
            for name in ("gkc-default", "gkc-passport", "gkc-tax")
        ]
        await here.channel.members.reconcile()
        here.channel.jobs.start()
        for skill, level in ((TAX, 1), (TAX, 2), (PASSPORT, 0)):
            await here.said(ev.SkillOverridden(agent_id=ANNA, skill=skill, level=level))
        await here.said(ev.AgentLoggedOut(agent_id=ANNA))
        facts = await here.ami.said.until(lambda sent: len(sent) >= 6)
        queues = [(n, f["Queue"]) for n, f in facts if n in ("QueueAdd", "QueueRemove")]
        assert queues == [
            ("QueueAdd", "gkc-default"),
            ("QueueAdd", "gkc-passport"),
            ("QueueAdd", "gkc-tax"),
            ("QueueRemove", "gkc-passport"),
            ("QueueRemove", "gkc-default"),
            ("QueueRemove", "gkc-tax"),
        ]


async def test_who_comes_back_with_an_override_is_compared_by_it() -> None:
    async with world(agents=["anna"]) as here:
        plan = here.channel.plan
        plan.members = {ANNA: ("gkc-default",)}
        plan.fallbacks, plan.needs = {QueueId("tax"): "gkc-tax"}, {QueueId("tax"): ({TAX: 2},)}
        await here.said(ev.SkillOverridden(agent_id=ANNA, skill=TAX, level=2))
        here.ami.lists["QueueStatus"] = [
            *(AmiEvent.of("QueueParams", Queue=name) for name in ("gkc-default", "gkc-tax")),
            member("gkc-default", "PJSIP/101"),
        ]
        await here.channel.members.reconcile()
        here.channel.jobs.start()
        facts = await here.ami.said.until(lambda sent: len(sent) >= 1)
        assert [(n, f["Queue"]) for n, f in facts] == [("QueueAdd", "gkc-tax")]


async def test_a_talk_in_the_fallback_brings_nobody_to_work() -> None:
    async with world() as here:
        here.channel.jobs.start()
        await asked(here)
        await here.waiting(1, 1)
        answered = ev.FallbackAnswered(contact_id=ContactId("c1"), agent_id=ANNA, at=at(2))
        await here.said(answered, seconds=2)
        assert here.agent("anna") == "talk"
        await here.said(ev.AgentLoggedIn(agent_id=AgentId("boris")))
        assert await said(here, 1) == [("QueueAdd", "PJSIP/102", "false")]


async def test_differences_are_put_right_and_strange_queues_left_alone() -> None:
    async with world(agents=["anna", "boris"]) as here:
        await here.said(ev.AgentPaused(agent_id=AgentId("boris")))
        here.ami.lists["QueueStatus"] = [
            member("gkc-passport", "PJSIP/102"),
            member("gkc-passport", "PJSIP/103"),
            member("gkc-passport", "Local/9@x"),
            member("theirs", "PJSIP/101"),
        ]
        await here.channel.members.reconcile()
        sent = []
        while not here.channel.jobs._jobs.empty():
            sent.append(here.channel.jobs._jobs.get_nowait())
        changes = {(name, f["Interface"], f.get("Paused", "")) for name, f in sent[-4:]}
        assert changes == {
            ("QueueAdd", "PJSIP/101", "false"),
            ("QueuePause", "PJSIP/102", "true"),
            ("QueueRemove", "PJSIP/103", ""),
            ("QueueRemove", "Local/9@x", ""),
        }
        assert not [f for name, f in sent if f.get("Queue") == "theirs"]


async def test_an_asterisk_without_our_queues_is_not_asked_to_change_them() -> None:
    async with world(agents=["anna"]) as here:
        here.ami.lists["QueueStatus"] = [AmiEvent.of("QueueParams", Queue="theirs")]
        await here.channel.members.reconcile()
        before = here.channel.jobs._jobs.qsize()
        await here.said(ev.AgentPaused(agent_id=ANNA, reason="lunch"))
        await here.said(ev.AgentLoggedOut(agent_id=ANNA))
        assert here.channel.jobs._jobs.qsize() == before


async def test_who_comes_before_asterisk_was_asked_is_told_by_the_comparison() -> None:
    """Until then nobody knows whether this Asterisk has our queues at all."""
    async with world(agents=["anna"]) as here:
        assert here.channel.jobs._jobs.empty()
        here.channel.jobs.start()
        await asked(here)
        assert await said(here, 1) == [("QueueAdd", "PJSIP/101", "false")]


async def test_no_heartbeat_when_no_record_can_be_made() -> None:
    async with world() as here:
        await here.channel.beat()
        beats = here.ami.actions("Setvar")
        assert [b["Value"] for b in beats] == [str(at(0) // SECOND)]
        here.memory.accepting = False
        await here.channel.beat()
        assert here.ami.actions("Setvar") == beats, "new calls must fail open"
