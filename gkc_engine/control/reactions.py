"""What a supervisor does when a queue grows: skills, moves, precedence, words to those who wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Protocol

import msgspec

from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import BroadcastStarted
from gkc_engine.acd.core import Acd
from gkc_engine.acd.settings import ContactClass, Order
from gkc_engine.acd.views import ContactView
from gkc_engine.config.problems import closest
from gkc_engine.control.audit import Change
from gkc_engine.control.live import IN_LINE, Backend, ContactNow, Row
from gkc_engine.control.methods import Name, refuse_rejected
from gkc_engine.control.protocol import ControlError
from gkc_engine.control.server import Call, ControlServer
from gkc_engine.control.views import agent_rows, contact_row, queue_rows
from gkc_engine.ids import SECOND, AgentId, Instant, Micros, QueueId, SkillId

OVERRIDE_S_MAX = 31 * 24 * 3600.0
HEAD_START_S_MAX = 24 * 3600.0
BROADCAST_S_MAX = 7 * 24 * 3600.0
ONCE_S = 600.0
"""How long what is said once is still said to who could not hear it yet: his phone call rang."""
EVERY_S_MIN = 15.0
"""A message more often than that leaves no music between: people hang up."""
TEXT_CHARS_MAX = 500
SPEAK_S = 30.0
"""A text is spoken by another program first (``PromptStore``: 20 s)."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARS_MAX)]


class Voice(Protocol):
    """What can be said to citizens."""

    def prompts(self) -> Sequence[str]:
        """Names of the prompts that can be played."""
        ...

    async def speak(self, text: str) -> None:
        """Make sure that ``text`` can be played; raises GkcError that says why it cannot."""
        ...


class SetSkill(msgspec.Struct, forbid_unknown_fields=True):
    """One skill of one agent; ``level``: 0 = taken away, ``None`` = what the queues ask for."""

    agent: Name
    skill: Name
    level: Annotated[int, msgspec.Meta(ge=0, le=10)] | None = None
    until_us: int | None = None


class ResetSkills(msgspec.Struct, forbid_unknown_fields=True):
    """Take back an agent's override of one skill, or (``None``) all."""

    agent: Name
    skill: Name | None = None


class Move(msgspec.Struct, forbid_unknown_fields=True):
    """One contact that waits, and the queue it is to wait in."""

    contact: Name
    queue: Name


class Priority(msgspec.Struct, forbid_unknown_fields=True):
    """One contact that waits: another class, or so many seconds more (less) of head start."""

    contact: Name
    contact_class: ContactClass | None = None
    head_start_s: (
        Annotated[float, msgspec.Meta(ge=-HEAD_START_S_MAX, le=HEAD_START_S_MAX)] | None
    ) = None


class Announce(msgspec.Struct, forbid_unknown_fields=True):
    """A prompt or a text for all who wait in a queue; with ``until_us`` for who comes, too."""

    queue: Name
    prompt: Name | None = None
    text: Text | None = None
    every_s: Annotated[float, msgspec.Meta(ge=EVERY_S_MIN, le=BROADCAST_S_MAX)] | None = None
    until_us: int | None = None


class StopAnnouncing(msgspec.Struct, forbid_unknown_fields=True):
    """End all broadcasts of a queue."""

    queue: Name


class Reactions:
    """The methods, over one backend and its core."""

    def __init__(self, backend: Backend, acd: Acd, voice: Voice) -> None:
        self._backend = backend
        self._acd = acd
        self._voice = voice

    def register(self, server: ControlServer) -> None:
        """Enter the methods into the server's table."""
        server.method("agent.skill", SetSkill, self.agent_skill, changes=True)
        server.method("agent.skill_reset", ResetSkills, self.agent_skill_reset, changes=True)
        server.method("contact.move", Move, self.contact_move, changes=True)
        server.method("contact.priority", Priority, self.contact_priority, changes=True)
        server.method(
            "queue.announce", Announce, self.queue_announce, changes=True, timeout_s=SPEAK_S
        )
        server.method("queue.silence", StopAnnouncing, self.queue_silence, changes=True)

    # --- skills ------------------------------------------------------------------------------

    async def agent_skill(self, params: SetSkill, _call: Call) -> Change:
        """Override one skill of an agent: lend it, raise or lower it, or take it away."""
        before, skill = self._agent(params.agent), params.skill
        known = self._backend.directory.skills
        if skill not in known:
            raise ControlError("unknown_skill", _unknown(f"no skill {skill!r}", skill, known))
        until = self._end(params.until_us, OVERRIDE_S_MAX, "an override")
        level = params.level
        if level is None:
            level = self._acd.level_needed(SkillId(skill))
        event = ev.SkillOverridden(
            agent_id=AgentId(params.agent), skill=SkillId(skill), level=level, until=until
        )
        return await self._skills(params.agent, before, [event])

    async def agent_skill_reset(self, params: ResetSkills, _call: Call) -> Change:
        """Take overrides back: the agent has what the config says."""
        before = self._agent(params.agent)
        over = [str(override["skill"]) for override in before["overrides"]]
        if params.skill is not None and params.skill not in over:
            there = f"there are: {', '.join(over)}" if over else "there is none"
            raise ControlError("refused", f"no override of {params.skill!r}; {there}")
        if not over:
            raise ControlError("refused", f"{params.agent} has no override; nothing to take back")
        names = over if params.skill is None else [params.skill]
        events = [
            ev.SkillOverridden(agent_id=AgentId(params.agent), skill=SkillId(name), level=None)
            for name in names
        ]
        return await self._skills(params.agent, before, events)

    async def _skills(
        self, agent: str, before: Row, events: Sequence[ev.SkillOverridden]
    ) -> Change:
        for event in events:
            refuse_rejected(await self._backend.submit(event))
        rows = agent_rows(self._backend, agent)
        keys = ("skills", "overrides", "queues")
        return Change(
            object=f"agent {agent}",
            before={key: before[key] for key in keys},
            after={key: rows[0][key] for key in keys},
            result=rows,
        )

    def _agent(self, agent: str) -> Row:
        return agent_rows(self._backend, agent)[0]

    def _end(self, until_us: int | None, most_s: float, what: str) -> Instant | None:
        if until_us is None:
            return None
        now = self._backend.now()
        if until_us <= now:
            raise ControlError("bad_params", f"the end of {what} is in the past")
        if until_us - now > most_s * SECOND:
            days = round(most_s / 86400)
            raise ControlError("bad_params", f"{what} lasts at most {days} days")
        return Instant(until_us)

    # --- contacts ----------------------------------------------------------------------------

    async def contact_move(self, params: Move, _call: Call) -> Change:
        """Let a contact wait in another queue, at the place of its enqueue time."""
        contact, view = self._waits(params.contact)
        queue = self._queue(params.queue)
        if queue == view.queue:
            raise ControlError("refused", f"{contact.number} waits in {queue} already")
        target = self._acd.queue_medium(queue)
        if target is not view.medium:
            raise ControlError(
                "refused", f"{queue} is for {target}, {contact.number} is {view.medium}"
            )
        if self._backend.closing(queue) is not None:
            raise ControlError("refused", f"{queue} is closed: who is led there would be sent away")
        event = ev.QueueRequested(
            contact_id=contact.contact_id, queue=queue, reason=ev.BY_SUPERVISOR
        )
        return await self._moved(contact, event)

    async def contact_priority(self, params: Priority, _call: Call) -> Change:
        """Give a contact that waits another class, or another head start."""
        contact, view = self._waits(params.contact)
        given = (params.contact_class is not None) + (params.head_start_s is not None)
        if given != 1:
            raise ControlError("bad_params", "give a class, or a head start such as +5m")
        head_start = None
        if params.head_start_s is not None:
            if self._acd.order is Order.ACCUMULATING:
                raise ControlError(
                    "refused",
                    "center.order is accumulating, where a head start counts for nothing; "
                    "give a class: emergency, normal or background",
                )
            head_start = Micros(view.head_start_us + round(params.head_start_s * SECOND))
            if abs(head_start) > HEAD_START_S_MAX * SECOND:
                raise ControlError("refused", "its head start would be beyond 24h")
        event = ev.ContactPriorityChanged(
            contact_id=contact.contact_id,
            contact_class=params.contact_class,
            head_start_us=head_start,
        )
        return await self._moved(contact, event)

    async def _moved(
        self, contact: ContactNow, event: ev.QueueRequested | ev.ContactPriorityChanged
    ) -> Change:
        before = self._standing(contact)
        refuse_rejected(await self._backend.submit(event))
        found = self._find(contact.contact_id)
        if found is None:
            raise ControlError("refused", f"{contact.number} left in this very moment")
        row = contact_row(found, self._backend.now())
        after = self._standing(found)
        return Change(
            object=f"contact {contact.contact_id}",
            before=before,
            after=after,
            result=[{**row, **{k: after[k] for k in ("class", "head_start_s")}}],
        )

    def _standing(self, contact: ContactNow) -> Row:
        view = self._acd.contact_view(contact.contact_id)
        own = view.contact_class if view is not None else None
        return {
            "queue": contact.queue,
            "position": contact.position,
            "state": contact.state,
            "class": None if own is None else own.value,
            "head_start_s": 0.0 if view is None else view.head_start_us / SECOND,
        }

    def _waits(self, key: str) -> tuple[ContactNow, ContactView]:
        """Return the contact that waits and that ``key`` names, or refuse it by name."""
        contact = self._find(key)
        view = None if contact is None else self._acd.contact_view(contact.contact_id)
        if contact is None or view is None:
            raise ControlError(
                "unknown_contact",
                f"no contact {key!r} is here now; `gkc queue show QUEUE` lists who waits",
            )
        if contact.state == "detached":
            raise ControlError(
                "refused",
                f"{contact.number} stands in Asterisk's own queue until the engine holds it "
                "again; try again in some seconds",
            )
        if contact.state not in IN_LINE:
            raise ControlError(
                "refused", f"{contact.number} does not wait: its state is {contact.state}"
            )
        return contact, view

    def _find(self, key: str) -> ContactNow | None:
        here = [contact for contact in self._backend.contacts() if contact.number]
        for contact in here:
            if key in (contact.contact_id, contact.number):
                return contact
        begun = [contact for contact in here if contact.contact_id.startswith(key)]
        if len(begun) > 1:
            raise ControlError(
                "bad_params", f"{len(begun)} contacts begin with {key!r}; give more of the id"
            )
        return begun[0] if begun else None

    # --- what is said to those who wait ----------------------------------------------------------

    async def queue_announce(self, params: Announce, _call: Call) -> Change:
        """Have something said, now, to all who wait in a queue."""
        queue = self._queue(params.queue)
        if (params.prompt is None) is (params.text is None):
            raise ControlError("bad_params", "give either a prompt or --text")
        if params.every_s is not None and params.until_us is None:
            raise ControlError("bad_params", "--every needs --until: what repeats has an end")
        until = self._end(params.until_us, BROADCAST_S_MAX, "a broadcast")
        known = self._voice.prompts()
        if params.prompt is not None and params.prompt not in known:
            what = f"no prompt {params.prompt!r}"
            raise ControlError("unknown_prompt", _unknown(what, params.prompt, known))
        if params.text is not None:
            await self._voice.speak(params.text)
        now = self._backend.now()
        event = ev.QueueAnnounced(
            queue=queue,
            say=params.prompt or "",
            text=params.text or "",
            until=Instant(now + round(ONCE_S * SECOND)) if until is None else until,
            every_us=None if params.every_s is None else Micros(round(params.every_s * SECOND)),
            newcomers=until is not None,
        )
        before = self._said(queue)
        said = await self._backend.submit(event)
        refuse_rejected(said)
        begun = [fact for fact in said if isinstance(fact, BroadcastStarted)]
        rows = queue_rows(self._backend, queue)
        waiting = begun[0].waiting if begun else 0
        return Change(
            object=f"queue {queue}",
            before={"broadcasts": before},
            after={"broadcasts": rows[0]["broadcasts"], "waiting": waiting},
            result=[{**row, "told": waiting} for row in rows],
        )

    async def queue_silence(self, params: StopAnnouncing, _call: Call) -> Change:
        """End what is being said in a queue; what is being heard is heard to its end."""
        queue = self._queue(params.queue)
        before = self._said(queue)
        if not before:
            raise ControlError("refused", f"nothing is being announced in {queue}")
        refuse_rejected(await self._backend.submit(ev.BroadcastStopped(queue=queue)))
        rows = queue_rows(self._backend, queue)
        return Change(
            object=f"queue {queue}",
            before={"broadcasts": before},
            after={"broadcasts": rows[0]["broadcasts"]},
            result=rows,
        )

    def _said(self, queue: QueueId) -> Sequence[Row]:
        said: Sequence[Row] = queue_rows(self._backend, queue)[0]["broadcasts"]
        return said

    def _queue(self, name: str) -> QueueId:
        if name not in self._backend.directory.queues:
            queue_rows(self._backend, name)  # Refuses with the names that there are.
        return QueueId(name)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    hint = closest(name, names)
    if hint is not None:
        return f"{what}; did you mean {hint}?"
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"{what}; there are: {shown or 'none'}"
