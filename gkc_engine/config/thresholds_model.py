"""Thresholds: from which figure on a queue is shown as, and told to be, in trouble.

One set for the wallboard, the Grafana dashboard and Prometheus' alert rules.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from gkc_engine.config.values import Model, Name, PositiveDuration, Share, expected

Contacts = Annotated[int, Field(ge=1, le=100_000)]


def _rising(warn: float, bad: float) -> None:
    if bad <= warn:
        raise expected("bad above warn: the larger the worse")


class WaitingBand(Model):
    """Contacts in the line."""

    warn: Contacts
    bad: Contacts

    @model_validator(mode="after")
    def _order(self) -> Self:
        _rising(self.warn, self.bad)
        return self


class WaitBand(Model):
    """A wait."""

    warn: PositiveDuration
    bad: PositiveDuration

    @model_validator(mode="after")
    def _order(self) -> Self:
        _rising(self.warn, self.bad)
        return self


class ShareBand(Model):
    """A share that is worse the larger it is."""

    warn: Share
    bad: Share

    @model_validator(mode="after")
    def _order(self) -> Self:
        _rising(self.warn, self.bad)
        return self


class FloorBand(Model):
    """A share that is worse the smaller it is."""

    warn: Share
    bad: Share

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.bad >= self.warn:
            raise expected("bad below warn: the smaller the worse")
        return self


Bounds = WaitingBand | WaitBand | ShareBand | FloorBand


class QueueThresholdsModel(Model):
    """One queue's own; what is absent is the center's."""

    waiting: WaitingBand | None = None
    longest_wait: WaitBand | None = None
    service_level: FloorBand | None = None
    abandon_rate: ShareBand | None = None

    @model_validator(mode="after")
    def _any(self) -> Self:
        if not self.model_fields_set:
            raise expected("at least one of waiting, longest_wait, service_level, abandon_rate")
        return self


class ThresholdsModel(Model):
    """Of every queue that has none of its own, and of the machine."""

    waiting: WaitingBand | None = None
    """Absent: how many wait says nothing by itself."""
    longest_wait: WaitBand = WaitBand.model_validate({"warn": "1m", "bad": "3m"})
    service_level: FloorBand = FloorBand(warn=0.8, bad=0.6)
    abandon_rate: ShareBand = ShareBand(warn=0.05, bad=0.1)
    disk_free: FloorBand = FloorBand(warn=0.2, bad=0.1)
    """Share of the records' file system."""
    queues: dict[Name, QueueThresholdsModel] = Field(default_factory=dict)

    def of(self, queue: str) -> QueueThresholdsModel:
        """Return what holds for ``queue``: its own, else the center's."""
        own = self.queues.get(queue)
        chosen = {
            name: (own and getattr(own, name)) or getattr(self, name)
            for name in QueueThresholdsModel.model_fields
        }
        return QueueThresholdsModel.model_construct(**chosen)
