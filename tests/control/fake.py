"""A backend with a small city of its own: the contract of ``views.Backend`` in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from gkc_engine.acd.commands import AgentState, Command, Disposition, EventRejected, WrapUpResult
from gkc_engine.acd.events import (
    AgentLoggedIn,
    AgentLoggedOut,
    AgentPaused,
    AgentReady,
    EmergencyClosed,
    EmergencyOpened,
    Event,
    WrapUpCoded,
)
from gkc_engine.acd.state import Broadcast
from gkc_engine.acd.views import Closing
from gkc_engine.control.day import DayCounters
from gkc_engine.control.live import (
    AgentEntry,
    AgentNow,
    ContactNow,
    Directory,
    QueueEntry,
    Reloaded,
    Row,
)
from gkc_engine.control.protocol import Json
from gkc_engine.control.views import iso
from gkc_engine.ids import SECOND, AgentId, ContactId, Instant, QueueId
from gkc_engine.statistics.counting import Ended
from gkc_engine.statistics.figures import Counts, Handling

NOW = Instant(1_795_000_000 * SECOND)
"""2026-11-18 11:06:40 UTC, 14:06:40 in Moscow."""

ZONE = ZoneInfo("Europe/Moscow")
PASSPORT, HOUSING = QueueId("passport"), QueueId("housing")
IVANOVA, PETROV = AgentId("ivanova"), AgentId("petrov")
WAITS, TALKS, DONE = (ContactId(f"019ab000-0000-7000-8000-00000000000{n}") for n in (1, 2, 3))


def after(start: Instant, seconds: float) -> Instant:
    return Instant(start + round(seconds * SECOND))


def directory(config: str = "/srv/config") -> Directory:
    return Directory(
        center="centr",
        title="Городской контакт-центр",
        timezone="Europe/Moscow",
        config=config,
        config_version="v1",
        queues={
            HOUSING: QueueEntry(queue=HOUSING, title="ЖКХ [все]", servicelevel_us=30 * SECOND),
            PASSPORT: QueueEntry(
                queue=PASSPORT, title="Паспорта и регистрация", servicelevel_us=20 * SECOND
            ),
        },
        agents={
            IVANOVA: AgentEntry(
                agent_id=IVANOVA, title="Иванова А. П.", interface="PJSIP/101", queues=(PASSPORT,)
            ),
            PETROV: AgentEntry(
                agent_id=PETROV,
                title="Петров Б. В.",
                interface="PJSIP/102",
                queues=(PASSPORT, HOUSING),
            ),
        },
        skills={"passport": "Паспорта", "housing": "ЖКХ"},
    )


def contact_rows() -> list[Row]:
    """Rows as the recorder gives them: newest first, the last one still in progress."""
    start = after(NOW, -600)
    done: Row = {
        "contact_id": DONE,
        "number": "2026-ЦАО-000001",
        "medium": "voice",
        "did": "+74957777777",
        "language": "ru",
        "queue": "passport",
        "agent_id": "ivanova",
        "citizen_id": "abcdefghijklmnop",
        "started": iso(start),
        "first_queued": iso(after(start, 7)),
        "answered": iso(after(start, 40)),
        "ended": iso(after(start, 100)),
        "disposition": "answered",
        "end_party": "citizen",
        "reason": "",
        "menu_s": 7.0,
        "wait_s": 33.0,
        "ring_s": 23.0,
        "talk_s": 60.0,
        "hold_s": 0.0,
        "wrap_up_s": 10.0,
    }
    waiting: Row = {
        **dict.fromkeys(done),
        "contact_id": WAITS,
        "number": "2026-ЦАО-000002",
        "medium": "voice",
        "queue": "passport",
        "started": iso(after(NOW, -50)),
        "first_queued": iso(after(NOW, -45)),
    }
    return [waiting, done]


def full_contact() -> Row:
    """The first contact with its segments and offers: one missed offer, then a talk."""
    start = after(NOW, -600)

    def segment(n: int, kind: str, begin: float, end: float, **rest: object) -> Row:
        return {
            "n": n,
            "kind": kind,
            "start": iso(after(start, begin)),
            "end": iso(after(start, end)),
            "end_reason": "",
            **rest,
        }

    def event(kind: str, at: float, **data: object) -> Row:
        return {"ts": iso(after(start, at)), "kind": kind, "role": "in", "data": data}

    def offer(number: int, agent: str, begin: float, end: float, outcome: str) -> Row:
        return {
            "offer_id": number,
            "agent_id": agent,
            "created": iso(after(start, begin)),
            "ringing": iso(after(start, begin + 0.2)),
            "ended": iso(after(start, end)),
            "outcome": outcome,
            "reason": "",
        }

    return {
        **contact_rows()[1],
        "events": [
            event("gkc.contact.started", 0),
            event("gkc.contact.language_chosen", 3, language="ru"),
            event("gkc.contact.queue_requested", 7, queue="passport"),
            event("gkc.contact.wrap_up_result", 105, agent_id="ivanova", code="12"),
        ],
        "agent_intervals": [
            {
                "agent_id": "ivanova",
                "state": "wrap_up",
                "start": iso(after(start, 100)),
                "end": iso(after(start, 110)),
            }
        ],
        "segments": [
            segment(1, "menu", 0, 7, outcome="queued"),
            segment(2, "queue", 7, 10, outcome="offered", queue="passport", step=0),
            segment(3, "ring", 10, 30, outcome="returned", queue="passport", agent_id="petrov"),
            segment(4, "queue", 30, 37, outcome="offered", queue="passport", step=1),
            segment(5, "ring", 37, 40, outcome="answered", queue="passport", agent_id="ivanova"),
            segment(6, "talk", 40, 100, outcome="left", queue="passport", agent_id="ivanova"),
        ],
        "offers": 2,
        "offers_list": [
            offer(1, "petrov", 10, 30, "no_answer"),
            offer(2, "ivanova", 37, 40, "accepted"),
        ],
    }


@dataclass
class FakeBackend:
    """Implements ``views.Backend``; ``submitted`` is what the core would have got."""

    directory: Directory = field(default_factory=directory)
    clock: Instant = NOW
    submitted: list[Event] = field(default_factory=list)
    reload_error: Exception | None = None
    reload_diff: tuple[str, ...] = ("passport.timeout 15s → 20s",)
    rejection: str = ""
    revealed: list[str] = field(default_factory=list)
    authors: list[str] = field(default_factory=list)
    closed: dict[QueueId, Closing] = field(default_factory=dict)
    standing: dict[QueueId, Sequence[Broadcast]] = field(default_factory=dict)
    lists: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._agents = {
            IVANOVA: AgentNow(
                agent_id=IVANOVA,
                state=AgentState.TALK,
                since=after(NOW, -100),
                contact_id=TALKS,
            ),
            PETROV: AgentNow(agent_id=PETROV, state=AgentState.READY, since=after(NOW, -300)),
        }
        self.in_progress = [
            ContactNow(
                contact_id=TALKS,
                number="2026-ЦАО-000003",
                medium="voice",
                state="talk",
                started=after(NOW, -130),
                queue=PASSPORT,
                first_queued=after(NOW, -120),
                answered=after(NOW, -100),
                agent_id=IVANOVA,
            ),
            ContactNow(
                contact_id=WAITS,
                number="2026-ЦАО-000002",
                medium="voice",
                state="waiting",
                started=after(NOW, -50),
                queue=PASSPORT,
                first_queued=after(NOW, -45),
                position=1,
            ),
        ]
        self.day = DayCounters(ZONE, NOW)
        self.day.configure({q: e.servicelevel_us for q, e in self.directory.queues.items()})
        for disposition, wait in (
            (Disposition.ANSWERED, 33),
            (Disposition.ABANDONED, 40),
            (Disposition.ABANDONED_SHORT, 3),
        ):
            ended = Ended(
                queue=PASSPORT,
                disposition=disposition,
                first_queued=after(NOW, -500),
                wait_us=wait * SECOND,
                talk_us=60 * SECOND,
                wrap_up_us=10 * SECOND,
            )
            self.day.add(ended, NOW)

    def now(self) -> Instant:
        return self.clock

    def agents(self) -> Sequence[AgentNow]:
        return list(self._agents.values())

    def standings(self) -> Sequence[ContactNow]:
        return self.in_progress

    def contacts(self) -> Sequence[ContactNow]:
        return self.in_progress

    def today(self, queue: QueueId) -> Counts:
        return self.day.of(queue, self.clock)

    def day_began(self) -> Instant:
        return self.day.began(self.clock)

    def recent(self, queue: QueueId) -> Counts:
        return self.day.recent(queue, self.clock)

    def handling(self, queue: QueueId) -> Handling:
        return self.day.handling(queue, self.clock)

    def expected_wait(self, queue: QueueId) -> int | None:
        return 90_500_000 if queue == PASSPORT else None

    def closing(self, queue: QueueId) -> Closing | None:
        return self.closed.get(queue)

    def broadcasts(self, queue: QueueId) -> Sequence[Broadcast]:
        return self.standing.get(queue, ())

    def health(self) -> Row:
        return {
            "accepting": True,
            "ami_up": True,
            "ami_problem": None,
            "inbox_depth": 0,
            "record_mode": "ledger",
            "figures_complete": True,
        }

    async def submit(self, event: Event) -> Sequence[Command]:
        self.submitted.append(event)
        if self.rejection:
            return [EventRejected(kind=type(event).__name__, reason=self.rejection)]
        match event:
            case AgentPaused():
                agent = self._agents[event.agent_id]
                agent.state, agent.reason = AgentState.NOT_READY, event.reason
                agent.since, agent.until = self.clock, event.until
            case AgentReady():
                agent = self._agents[event.agent_id]
                agent.state, agent.reason, agent.until = AgentState.READY, "", None
            case AgentLoggedOut():
                self._agents[event.agent_id].state = AgentState.OFFLINE
            case AgentLoggedIn():
                self._agents[event.agent_id].state = AgentState.READY
            case EmergencyClosed() | EmergencyOpened():
                self._close(event)
            case WrapUpCoded():
                return [WrapUpResult(contact_id=DONE, agent_id=event.agent_id, code=event.code)]
            case _:
                raise AssertionError(event)
        return []

    def _close(self, event: EmergencyClosed | EmergencyOpened) -> None:
        for queue in self.directory.queues if event.queue is None else [event.queue]:
            self.closed.pop(queue, None)
            if isinstance(event, EmergencyClosed):
                self.closed[queue] = Closing(emergency=True, reason=event.reason)

    async def reload(self, *, force: bool, author: str) -> Reloaded:
        self.authors.append(author)
        if self.reload_error is not None and not force:
            raise self.reload_error
        return Reloaded(version="v2", previous="v1", diff=self.reload_diff)

    async def list_contacts(
        self,
        *,
        since: Instant | None,
        queue: QueueId | None,
        direction: str | None = None,
        limit: int,
        of: str | None = None,
    ) -> Sequence[Row]:
        asked = {"since": since, "queue": queue, "limit": limit}
        self.lists.append(asked if of is None else {**asked, "of": of})
        if direction == "out":
            return []
        return [row for row in contact_rows() if queue in (None, row["queue"])][:limit]

    async def told_waits(
        self, *, since: Instant, until: Instant | None, queue: QueueId | None
    ) -> Sequence[Row]:
        self.lists.append({"since": since, "until": until, "queue": queue})
        sums = {"n": 4, "waited_s": 200.0, "error_s": -10.0, "square_s2": 400.0, "within": 3}
        return [{"queue": q, **sums} for q in (HOUSING, PASSPORT) if queue in (None, q)]

    async def show_contact(self, key: str, *, reveal: bool) -> Row | None:
        if key not in (DONE, "2026-ЦАО-000001"):
            return None
        row = full_contact()
        if reveal:
            self.revealed.append(key)
            row["citizen_number"] = "+79001234567"
            row["citizen_name"] = "Сидоров"
        return row


class AuditLog(list[tuple[str, str, str, Any, Any]]):
    """An audit table in memory."""

    def __call__(self, actor: str, action: str, subject: str, before: Json, now: Json) -> None:
        self.append((actor, action, subject, before, now))
