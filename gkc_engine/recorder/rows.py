"""A step of the core as rows of the ``event`` table: the form that is written and journalled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.commands import Command
from gkc_engine.acd.events import Event
from gkc_engine.clock import new_uuid
from gkc_engine.ids import Instant
from gkc_engine.recorder.codec import SCHEMA_VERSION, Message, encode, kind_of

Role = Literal["in", "out"]


class StepLike(Protocol):
    """What the driver hands over (``gkc_engine.engine.Step``)."""

    @property
    def now(self) -> Instant:
        """The instant the core was given."""
        ...

    @property
    def event(self) -> Event:
        """What happened."""
        ...

    @property
    def source(self) -> str:
        """core, ami, agi, …: who saw it."""
        ...

    @property
    def source_key(self) -> str | None:
        """Unique per source; ``None`` for what cannot be repeated."""
        ...

    @property
    def commands(self) -> Sequence[Command]:
        """What the core said."""
        ...

    @property
    def config_version(self) -> str:
        """The config in force after the step."""
        ...


@dataclass(slots=True, kw_only=True)
class Step:
    """A step as read back from the ledger."""

    now: Instant
    event: Event
    source: str
    source_key: str | None
    commands: list[Command] = field(default_factory=list)
    config_version: str = ""


class Row(NamedTuple):
    """One row of the ``event`` table, without its ``seq``."""

    event_id: str
    ts_us: int
    center: str
    kind: str
    contact_id: str | None
    agent_id: str | None
    queue: str | None
    offer_id: int | None
    config_version: str
    source: str
    source_key: str | None
    role: Role
    schema_version: int
    data: str
    segment_id: str | None = None
    """Last and with a default: a journal that an older engine left has rows without it."""


def rows_of(steps: Iterable[StepLike], center: str) -> list[Row]:
    """Return the rows of ``steps`` in order: each event, then what the core said to it."""
    rows: list[Row] = []
    for step in steps:
        rows.append(_row(step.event, step, center, "in"))
        rows.extend(_row(command, step, center, "out") for command in step.commands)
    return rows


_DONORS: Final = (
    ev.ReservationAsked,
    ev.ReservationReleased,
    cm.GrantReservation,
    cm.DenyReservation,
)
"""Of a guest, or of who did not become one: ours is the reservation's id, not the owner's."""


def _contact_of(message: Message) -> str | None:
    if isinstance(message, _DONORS):
        return message.reservation_id
    found: str | None = getattr(message, "contact_id", None)
    return found


def _row(message: Message, step: StepLike, center: str, role: Role) -> Row:
    incoming = role == "in"
    return Row(
        event_id=new_uuid(step.now),
        ts_us=step.now,
        center=center,
        kind=kind_of(message),
        contact_id=_contact_of(message),
        agent_id=getattr(message, "agent_id", None),
        queue=getattr(message, "queue", None),
        offer_id=getattr(message, "offer_id", None),
        config_version=step.config_version,
        source=step.source if incoming else "core",
        source_key=step.source_key if incoming else None,
        role=role,
        schema_version=SCHEMA_VERSION,
        data=encode(message),
        segment_id=getattr(message, "segment_id", None),
    )
