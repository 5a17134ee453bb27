"""``center:`` the site that a config is for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from gkc_engine.acd.settings import Medium, Order
from gkc_engine.config.federation_model import CenterName
from gkc_engine.config.menu_model import Language
from gkc_engine.config.values import Model, Name, PositiveDuration, Text, Zone, expected
from gkc_engine.federation.settings import CenterLevel, CenterStatus
from gkc_engine.ids import SECOND, Micros


class BlendingModel(Model):
    """P8: how one medium stands to the others in one agent's hands."""

    excludes: tuple[Medium, ...] = ()
    """Media that an agent is not offered while he has a contact of this one."""
    interrupts: tuple[Medium, ...] = ()
    """Media whose contacts are parked while the agent has one of this medium in hand."""


class CenterModel(Model):
    """The site that this config is for, and the laws that hold across its queues."""

    name: Name
    """Short name, also Asterisk's systemname; to the other centers, what we are called."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-zА-Яа-яЁё0-9]{1,8}$")]
    """Stands in registration numbers, ``2026-ЦАО-000123``: 1 to 8 letters or digits."""
    title: Text = "Контакт-центр"
    timezone: Zone = "Europe/Moscow"
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("ru", "en")
    """Every prompt is needed in each of them; the first is spoken until the citizen chooses."""
    order: Order = Order.FCFS
    """P2: the law by which one of the waiting contacts is chosen."""
    maxlen: Annotated[int, Field(ge=0, le=1_000_000)] = 100_000
    """Contacts over all queues, waiting or being offered."""
    max_no_answer: Annotated[int, Field(ge=1, le=100)] = 2
    """Misses in a row after which an operator becomes not ready."""
    autopause_for: PositiveDuration = Micros(300 * SECOND)
    """How long that not-ready lasts, unless he says that he is back."""
    blending: dict[Medium, BlendingModel] = Field(default_factory=dict)
    level: CenterLevel | None = None
    """Of the tree city → okrug → district; a center that runs alone needs none."""
    parent: CenterName | None = None
    """The center above this one."""
    status: CenterStatus | None = None
    """Absent: as ``federation.centers`` has it, else live."""

    @field_validator("languages")
    @classmethod
    def _each_language_once(cls, languages: tuple[Language, ...]) -> tuple[Language, ...]:
        if len(set(languages)) < len(languages):
            raise expected("each language once")
        return languages
