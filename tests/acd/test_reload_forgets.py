"""What only former configs needed is forgotten: a center is reloaded for years."""

from __future__ import annotations

from gkc_engine.acd import commands as cmd
from gkc_engine.acd import events as ev
from gkc_engine.acd.core import Acd
from gkc_engine.acd.matchspace import UNUSED
from gkc_engine.acd.settings import AgentSettings, Medium, QueueSettings, Settings
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, QueueId, SkillId

QUEUES = 300
NOW = Instant(1_790_000_000 * SECOND)
CITIZEN = ContactId("c")


def version(n: int) -> Settings:
    """Every queue asks for a skill of its own, at a level that each version changes."""
    return Settings(
        version=f"{n}",
        queues=tuple(
            QueueSettings(queue_id=QueueId(f"q{q}"), require={SkillId(f"s{q}"): n % 9 + 1})
            for q in range(QUEUES)
        ),
        agents=(AgentSettings(agent_id=AgentId("anna"), skills={SkillId("s7"): 9}),),
    )


def test_forty_versions_leave_no_more_than_a_few() -> None:
    acd = Acd()
    space, lines = acd._world.space, []
    for n in range(40):
        acd.step(ev.SettingsApplied(settings=version(n)), NOW)
        if n == 0:
            space = acd._world.space
            acd.step(
                ev.ContactStarted(contact_id=CITIZEN, medium=Medium.VOICE, number="", entry=""), NOW
            )
        acd.step(ev.QueueRequested(contact_id=CITIZEN, queue=QueueId(f"q{n}")), NOW)
        lines.append(len(space.lines))
        assert len(space._reqs) <= UNUSED + 2 * QUEUES
        assert all(len(p.reqs) <= 9 for p in space.profiles)
    assert acd._world.space is space, "everything was made anew"
    assert max(lines) < 30, "no line was used again"
    said = acd.step(ev.QueueRequested(contact_id=CITIZEN, queue=QueueId("q7")), NOW)
    assert any(isinstance(c, cmd.HoldContact) for c in said)
    (offer,) = [
        c
        for c in acd.step(ev.AgentLoggedIn(agent_id=AgentId("anna")), NOW)
        if isinstance(c, cmd.OfferContact)
    ]
    assert (offer.contact_id, offer.agent_ids) == (CITIZEN, (AgentId("anna"),))
