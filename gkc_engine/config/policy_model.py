"""``policy:`` what the city publishes, for all centers to hold their configs against."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from gkc_engine.config.calendar_model import CalendarModel
from gkc_engine.config.values import Duration, Model, Name, PositiveDuration, Share, Text, expected


class ServiceModel(Model):
    """An information service of an executive body."""

    title: Text
    body: Text | None = None
    """The executive body in full."""


class OwnServiceModel(ServiceModel):
    """The same as a center has it."""

    second_line: Name | None = None
    """The queue of the body's specialists, to whom operators hand citizens on."""


class PolicyQueueModel(Model):
    """The least that a queue of this name must keep to, wherever there is one.

    Which way each is tighter: ``policy_checks.STANDARDS``.
    """

    servicelevel: PositiveDuration | None = None
    short_abandon: Duration | None = None
    maxwait: PositiveDuration | None = None
    sl_min: Share | None = None
    """Of the queue's guard-rail, as the next three."""
    abandoned_max: Share | None = None
    asa_max: PositiveDuration | None = None
    p90_max: PositiveDuration | None = None
    hours: Name | None = None
    """One of ``policy.calendars``: open then at least."""

    @model_validator(mode="after")
    def _any(self) -> PolicyQueueModel:
        if not self.model_fields_set:
            raise expected("at least one of " + ", ".join(PolicyQueueModel.model_fields))
        return self


class PolicyModel(Model):
    """Skills, services, standards of queues. A center may be stricter than it."""

    locked: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    """What no center may loosen; of the rest it is warned."""
    skills: dict[Name, Text] = Field(default_factory=dict)
    services: dict[Name, ServiceModel] = Field(default_factory=dict)
    queues: dict[Name, PolicyQueueModel] = Field(default_factory=dict)
    calendars: dict[Name, CalendarModel] = Field(default_factory=dict)
