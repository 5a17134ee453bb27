"""``mail:``, ``recipients:``, ``reports:``: who is sent which report, when, and by which server."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gkc_engine.config.menu_model import Language
from gkc_engine.config.values import (
    Host,
    Model,
    Name,
    Port,
    SecretRef,
    Text,
    Weekdays,
    expected,
)

_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9-]{1,63}",
    re.ASCII,
)
"""RFC 5321's dot-string and domain: neither a quote nor a line end, so no header can be forged."""

_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_ADDRESS_WORDS: Final = "an e-mail address such as report@example.org"
_ADDRESS_BYTES_MAX: Final = 254
"""RFC 5321, 4.5.3.1.3, without the angle brackets."""


def _address(value: str) -> str:
    local, _, _domain = value.partition("@")
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    if dots or len(value) > _ADDRESS_BYTES_MAX or _ADDRESS.fullmatch(value) is None:
        raise expected(_ADDRESS_WORDS)
    return value


Address = Annotated[str, AfterValidator(_address), Field(json_schema_extra={"format": "email"})]
"""A mailbox. A domain in other letters than Latin is written in its ``xn--`` form."""


def _one_or_more(value: object) -> object:
    if isinstance(value, str):
        return (_address(value),)  # Here, so that the problem stands at the one value.
    if isinstance(value, list):
        return tuple(value)
    raise expected(f"{_ADDRESS_WORDS}, or a list of them")


def _each_once(addresses: tuple[str, ...]) -> tuple[str, ...]:
    if len({a.casefold() for a in addresses}) < len(addresses):
        raise expected("each address once")
    return addresses


Addresses = Annotated[
    tuple[Address, ...],
    AfterValidator(_each_once),
    BeforeValidator(_one_or_more),
    Field(max_length=50),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "email"},
                {"type": "array", "items": {"type": "string", "format": "email"}, "maxItems": 50},
            ]
        }
    ),
]
"""One address or a list; at most 50, so that each server takes them in one mail."""


def _clock(value: str) -> str:
    if _CLOCK.fullmatch(value) is None:
        raise expected('a time of day such as "07:30"')
    return value


ClockTime = Annotated[str, AfterValidator(_clock)]
"""``HH:MM`` of the center's zone."""

Span = Literal["day", "week", "month"]
"""The local day, the week from Monday, the calendar month."""

SPANS: Final[tuple[Span, ...]] = get_args(Span)

Kind = Literal[
    "day",
    "week",
    "month",
    "interval",
    "queues",
    "services",
    "operators",
    "numbers",
    "outcomes",
    "bodies",
]
"""A command of ``gkc report``."""


class MailModel(Model):
    """The SMTP server that takes what we send on; most often the house's own."""

    host: Host
    port: Port = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """``tls``: from the first byte (port 465). ``none``: in clear, for a server on this machine."""
    ca: Text | None = None
    """A file of certificates (PEM) that the server's must come from; absent = the system's."""
    user: Text | None = None
    secret: SecretRef | None = None
    from_: Annotated[Address, Field(alias="from")]

    @model_validator(mode="after")
    def _both_or_none(self) -> MailModel:
        if (self.user is None) != (self.secret is None):
            raise expected("user and secret together, or neither")
        return self


class RecipientModel(Model):
    """A body of the city: it is shown its own services and no other."""

    title: Text
    services: Annotated[tuple[Name, ...], Field(min_length=1)]
    to: Addresses = ()


class ReportModel(Model):
    """A report that is sent by itself."""

    name: Name | None = None
    """What it is known by, also to what was sent already; absent: see `key`."""
    what: Kind
    to: Addresses = ()
    """Beside the recipient's own addresses."""
    recipient: Name | None = None
    """Only what this body may see."""
    at: ClockTime
    days: Weekdays = "mon-sun"
    """When mail goes out; what is due on another day waits for the next of these."""
    period: Span | None = None
    """Of what stretch it is; absent: what ``what`` says, else a day."""
    service: Name | None = None
    queue: Name | None = None
    format: Literal["pdf", "xlsx", "html", "csv", "json", "table"] = "pdf"
    language: Language = "ru"

    @model_validator(mode="after")
    def _one_period(self) -> ReportModel:
        if self.what in SPANS and self.period is not None:
            raise expected(f"no period beside what: {self.what}, which says it")
        return self

    @property
    def span(self) -> Span:
        """The stretch of time that one report is of."""
        for span in SPANS:
            if span == self.what:
                return span
        return self.period or "day"

    @property
    def key(self) -> str:
        """``name``, else what the entry is of: ``day-mvd``, ``queues-week-passport``."""
        if self.name is not None:
            return self.name
        parts = (self.what, self.period, self.recipient, self.service, self.queue)
        return "-".join(part for part in parts if part)
