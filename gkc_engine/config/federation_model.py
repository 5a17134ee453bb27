"""``federation:`` and ``overflow:`` the other centers of the city, and who is sent where."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gkc_engine.config.values import (
    Duration,
    Model,
    Name,
    PositiveDuration,
    SecretRef,
    Share,
    Text,
    expected,
)
from gkc_engine.federation.settings import CenterLevel, CenterStatus
from gkc_engine.ids import SECOND, Micros

ALL: Final = "all"
"""Of ``queues``: every queue of calls."""

RELATIONS: Final = ("parent", "children", "siblings")
"""Centers by where they stand, as seen from the center that reads the rule."""

CENTER_WORDS: Final = (
    "a center's name: a small Latin letter, then small letters, digits, _ or -, at most 40 in all"
)
_CENTER: Final = r"[a-z][a-z0-9_-]{0,39}"
_CENTER_NAME: Final = re.compile(_CENTER, re.ASCII)
_HOST: Final = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]"
_TRUNK: Final = re.compile(rf"(?P<host>{_HOST}):(?P<port>[0-9]{{1,5}})", re.ASCII)
_NATS: Final = re.compile(
    rf"(?:nats|tls)://(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?", re.ASCII
)
_USER: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_TRUNK_WORDS: Final = "HOST:PORT, such as 10.1.2.3:5060 or [fd00::1]:5060"
_NATS_WORDS: Final = "nats://HOST:PORT or tls://HOST:PORT, or a list of them"
_NO_PASSWORD: Final = "no name and password in the URL: user, and secret: env:VARIABLE or file:PATH"


def is_center_name(name: str) -> bool:
    """Return whether ``name`` can stand between centers: in a subject of NATS, in a SIP header."""
    return _CENTER_NAME.fullmatch(name) is not None


def _center_name(name: str) -> str:
    if not is_center_name(name):
        raise expected(CENTER_WORDS)
    return name


CenterName = Annotated[
    str, AfterValidator(_center_name), Field(json_schema_extra={"pattern": f"^{_CENTER}$"})
]
"""What a center is called by others. No dot: it would be two words to NATS."""


def _port(found: re.Match[str] | None) -> bool:
    return found is not None and (found["port"] is None or 1 <= int(found["port"]) <= 65535)


def _trunk(value: str) -> str:
    if not _port(_TRUNK.fullmatch(value)):
        raise expected(_TRUNK_WORDS)
    return value


def host_and_port(trunk: str) -> tuple[str, int]:
    """Return the two parts of a checked trunk; an address of IPv6 without its brackets."""
    host, _, port = trunk.rpartition(":")
    return host.strip("[]").lower(), int(port)


TrunkAddress = Annotated[str, AfterValidator(_trunk)]
"""Where an Asterisk takes calls of other centers."""


def _nats_url(value: object) -> str:
    if isinstance(value, str) and "@" in value:
        raise expected(_NO_PASSWORD)
    if not isinstance(value, str) or not _port(_NATS.fullmatch(value)):
        raise expected(_NATS_WORDS)
    return value


def _urls(value: object) -> object:
    if isinstance(value, str):
        return (_nats_url(value),)  # Here, so that the problem stands at the one value.
    if isinstance(value, list):
        return tuple(value)
    raise expected(_NATS_WORDS)


NatsUrls = Annotated[
    tuple[Annotated[str, BeforeValidator(_nats_url)], ...],
    BeforeValidator(_urls),
    Field(min_length=1, max_length=10),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^(nats|tls)://"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 10},
            ]
        }
    ),
]


def _user(value: str) -> str:
    if _USER.fullmatch(value) is None:
        raise expected("1 to 64 letters, digits, dots, _ or -")
    return value


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise expected("each name once")
    return values


def _list_schema(items: dict[str, object], most: int) -> WithJsonSchema:
    """What pydantic says of a list's length when a validator stands before it is of texts."""
    return WithJsonSchema({"type": "array", "items": items, "minItems": 1, "maxItems": most})


def _queues(value: object) -> object:
    if value == ALL:
        return (ALL,)
    if isinstance(value, list):
        return tuple(value)
    raise expected("all, or a list of queues in [ ]")


RuleQueues = Annotated[
    tuple[Name, ...],
    AfterValidator(_each_once),
    BeforeValidator(_queues),
    Field(min_length=1, max_length=500),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": ALL},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 500},
            ]
        }
    ),
]


class LinkTlsModel(Model):
    """Certificates; a relative path lies under the config's folder."""

    ca: Text | None = None
    """A file of certificates (PEM) that the server's must come from; absent = the system's."""
    cert: Text | None = None
    """Our own certificate (PEM), if the server asks for one."""
    key: Text | None = None
    """A file with the private key to it, mode 0600."""

    @model_validator(mode="after")
    def _both_or_none(self) -> LinkTlsModel:
        if (self.cert is None) != (self.key is None):
            raise expected("cert and key together, or neither")
        return self


class MemberModel(Model):
    """A center of the city, as all know it."""

    level: CenterLevel
    parent: CenterName | None = None
    """The center above it."""
    trunk: TrunkAddress | None = None
    """Where its Asterisk takes calls of other centers."""
    status: CenterStatus = CenterStatus.LIVE


class RecordsModel(Model):
    """As whom this center's leaf node knows who ships the records."""

    user: Annotated[str, AfterValidator(_user)]
    secret: SecretRef


class FederationModel(Model):
    """The other centers, and the way to them. Without this section a center runs alone."""

    nats: NatsUrls
    """The leaf node of this center; a list: the next is tried when one does not answer."""
    user: Annotated[str, AfterValidator(_user)] | None = None
    secret: SecretRef | None = None
    tls: LinkTlsModel | None = None
    records: RecordsModel | None = None
    """Who ships this center's records to the city; absent: nothing is shipped."""
    token_key: SecretRef
    """Signs what a call says of itself between centers; the same in the whole city."""
    keep_free: Annotated[int, Field(ge=0, le=1000)] = 1
    """So many operators who could serve a queue stay free for the center's own citizens."""
    sl_min: Share = 0.8
    """A queue whose service level of now is below takes no guests."""
    centers: Annotated[dict[CenterName, MemberModel], Field(min_length=1, max_length=1000)]
    """May name this center too, so that one file serves all."""

    @model_validator(mode="after")
    def _both_or_none(self) -> FederationModel:
        if (self.user is None) != (self.secret is None):
            raise expected("user and secret together, or neither")
        return self


def _one_hop(value: object) -> object:
    if value != 1 or isinstance(value, bool | float):
        raise expected("1: a guest goes to a named free operator and is never sent on")
    return value


class OverflowRuleModel(Model):
    """Whose operators may answer a queue's contacts too, and from when on."""

    queues: RuleQueues
    to: Annotated[
        tuple[CenterName, ...],
        AfterValidator(_each_once),
        Field(min_length=1, max_length=1000),
        _list_schema({"type": "string"}, 1000),
    ]
    """Centers, or ``parent``, ``children``, ``siblings``; of equals the first is asked."""
    levels: Annotated[
        tuple[CenterLevel, ...],
        AfterValidator(_each_once),
        Field(min_length=1),
        _list_schema({"enum": list(CenterLevel)}, len(CenterLevel)),
    ] = tuple(CenterLevel)
    """The rule applies in centers of these levels."""
    after: Duration = Micros(20 * SECOND)
    """Since the first queue in the city."""
    gain_min: Duration = Micros(30 * SECOND)
    """By so much sooner it has to be answered there than here."""
    donor_sl_min: Share = 0.8
    """Nothing is sent to a queue whose service level of now is below."""
    max_hops: Annotated[Literal[1], BeforeValidator(_one_hop)] = 1
    prefer: CenterName | None = None
    """This center, or ``parent``, before the others."""
    penalties: dict[CenterName, PositiveDuration] = Field(default_factory=dict)
    """Center → so much longer it counts as."""
