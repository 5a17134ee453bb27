"""What Asterisk's files are written from: plain values, each checked when it is built.

Nothing here can carry a line break, a quote, a ``;`` or a ``${`` into a configuration file: names,
numbers, hosts and secrets are refused unless they match a pattern; titles are cleaned on the way.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gkc_engine.errors import ConfigError
from gkc_engine.numbers import EMERGENCY_NUMBERS
from gkc_engine.pbx.numbers_outside import patterns_of

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", re.ASCII)
NUMBER: Final = re.compile(r"\+?[0-9]{1,20}", re.ASCII)
HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}", re.ASCII)
HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}", re.ASCII)
CONTACT: Final = re.compile(r"sip:[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9.-]{1,253}(:\d{1,5})?", re.ASCII)
SECRET: Final = re.compile(r"[A-Za-z0-9._~+/=@:!*-]{8,128}", re.ASCII)
CODE: Final = re.compile(r"\*[0-9]{1,4}", re.ASCII)
CONTEXT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,78}", re.ASCII)

# Names that mean something to Asterisk itself when they are extensions or sections.
RESERVED: Final = frozenset({"general", "globals", "default", "failed", "s", "i", "t", "h", "o"})


def check(pattern: re.Pattern[str], value: str, what: str) -> None:
    """Refuse ``value`` unless all of it matches ``pattern``.

    Raises:
        ConfigError: naming ``what`` and the value found.
    """
    if pattern.fullmatch(value) is None:
        raise ConfigError(f"{what}: found {value!r}, expected text like {pattern.pattern}")


def check_secret(value: str, what: str) -> None:
    """Refuse a secret that a configuration file could not carry; never shows the secret.

    Raises:
        ConfigError: naming ``what`` only.
    """
    if SECRET.fullmatch(value) is None:
        raise ConfigError(f"{what}: expected 8 to 128 of A-Z a-z 0-9 . _ ~ + / = @ : ! * -")


def check_port(value: int, what: str) -> None:
    """Refuse what is no port number.

    Raises:
        ConfigError: naming ``what`` and the value found.
    """
    if not 1 <= value <= 65535:
        raise ConfigError(f"{what}: found {value}, expected a port from 1 to 65535")


def check_name(value: str, what: str) -> None:
    """Refuse a name that cannot be a section and an extension.

    Raises:
        ConfigError: naming ``what`` and the value found.
    """
    check(NAME, value, what)
    if value.lower() in RESERVED:
        raise ConfigError(f"{what}: found {value!r}, a word that Asterisk keeps for itself")


def check_distinct(values: Iterable[str], what: str) -> None:
    """Refuse two values that Asterisk would take for one (it passes over ``-`` in extensions).

    Raises:
        ConfigError: naming ``what`` and both values.
    """
    seen: dict[str, str] = {}
    for value in values:
        key = value.replace("-", "").lower()
        if key in seen:
            raise ConfigError(f"{what}: {seen[key]!r} and {value!r} are one name to Asterisk")
        seen[key] = value


def check_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPhone:
    """One operator's SIP phone. With neither password nor contact the endpoint is not written."""

    endpoint: str
    """The ``101`` of ``PJSIP/101``."""
    agent_id: str
    title: str = ""
    number: str = ""
    """What colleagues dial to reach him; empty = the endpoint, if that is a number."""
    password: str | None = field(default=None, repr=False)
    contact: str | None = None
    """``sip:101@HOST:PORT``: a phone that need not register. ``None`` = it registers."""

    def __post_init__(self) -> None:
        check_name(self.endpoint, "operator's endpoint")
        check(NAME, self.agent_id, "operator's id")
        if not self.number and NUMBER.fullmatch(self.endpoint):
            object.__setattr__(self, "number", self.endpoint)
        if self.number:
            check(NUMBER, self.number, f"operator {self.agent_id}: number")
        if self.password is not None:
            check_secret(self.password, f"operator {self.agent_id}: SIP password")
        if self.contact is not None:
            check(CONTACT, self.contact, f"operator {self.agent_id}: contact")

    @property
    def rendered(self) -> bool:
        """Whether the endpoint is ours to write; else the administrator has it already."""
        return self.password is not None or self.contact is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackQueue:
    """The native queue ``gkc-NAME`` that serves while the engine is away. Seconds."""

    name: str
    number: str = ""
    """What an operator dials to transfer into this queue; empty = nobody can."""
    timeout_s: int = 20
    wrapup_s: int = 0
    servicelevel_s: int = 20
    music_class: str = "default"

    def __post_init__(self) -> None:
        check_name(self.name, "queue")
        check(NAME, self.music_class, f"queue {self.name}: music class")
        if self.number:
            check(NUMBER, self.number, f"queue {self.name}: number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """Where citizens' calls come from: known by address, never by what they call themselves."""

    name: str = "gkc-trunk"
    match: tuple[str, ...] = ("127.0.0.11",)
    contact: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "trunk")
        for match in self.match:
            try:
                ipaddress.ip_network(match, strict=False)
            except ValueError:
                raise ConfigError(
                    f"trunk {self.name}: found {match!r}, expected an address or network"
                ) from None
        if self.contact is not None:
            check(CONTACT, self.contact, f"trunk {self.name}: contact")


@dataclass(frozen=True, slots=True, kw_only=True)
class CenterTrunk:
    """The way to another center of the city and from it: known by its address."""

    center: str
    host: str
    """Its Asterisk's IP address; of a name Asterisk asks DNS once, when it reads its files."""
    port: int = 5060

    def __post_init__(self) -> None:
        check(NAME, self.center, "another center's name")
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            check(HOST, self.host, f"trunk to {self.center}")
        check_port(self.port, f"trunk to {self.center}")

    @property
    def endpoint(self) -> str:
        """By which we call it: the ``gkc-center-sever`` of ``PJSIP/gkc-center-sever``."""
        return f"gkc-center-{self.center}"

    @property
    def guests(self) -> str:
        """By which it calls us."""
        return f"gkc-guests-{self.center}"

    @property
    def authority(self) -> str:
        """Address and port as they stand in a SIP URI."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def match(self) -> str:
        """What its calls are known by.

        Centers on one machine share an address: there the port is part of it. Elsewhere it is not,
        for TCP and TLS call from another one.
        """
        return self.authority if check_loopback(self.host) else self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class Ami:
    """The engine's manager user."""

    secret: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 5038
    user: str = "gkc"
    permit: tuple[str, ...] = ("127.0.0.1/255.255.255.255",)

    def __post_init__(self) -> None:
        check_secret(self.secret, "AMI secret")
        check(HOST, self.host, "AMI host")
        check_port(self.port, "AMI port")
        check_name(self.user, "AMI user")


OUTBOUND_DIGITS: Final = (7, 17)
"""Least and most digits of a number outside: fewer are internal, E.164 has 15 (``810`` before)."""

FEATURE_CODES: Final = (("login", "*45"), ("pause", "*46"), ("queue", "*47"), ("result", "*48"))
"""As in FreePBX 17; the digits dialled after the code are the feature's argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PbxPlan:
    """All that the engine's side of one Asterisk is written from."""

    center: str
    """Asterisk's systemname: it stands in every Uniqueid."""
    ami: Ami
    operators: tuple[OperatorPhone, ...] = ()
    queues: tuple[FallbackQueue, ...] = ()
    trunks: tuple[Trunk, ...] = (Trunk(),)
    centers: tuple[CenterTrunk, ...] = ()
    """The other centers of the city that calls go to and come from."""
    numbers: tuple[str, ...] = ()
    """City numbers: operators may transfer to them."""
    number_queues: tuple[tuple[str, str], ...] = ()
    """The queue behind each of ``numbers``: for transfers that find no engine."""
    fastagi_host: str = "127.0.0.1"
    fastagi_port: int = 4573
    sip_host: str = "127.0.0.1"
    sip_port: int = 5060
    rtp_start: int = 20000
    rtp_end: int = 31999
    language: str = "ru"
    music_class: str = "default"
    """Of the general fallback queue."""
    music_dir: Path | None = None
    """Files of every music class of a standalone Asterisk; ``None`` = `music.write_music`."""
    goodbye_prompt: Path | None = None
    """Played (without its suffix) when the fallback queue gave up."""
    transfer_prompt: Path | None = None
    """Played after ``##``, before the number is keyed in; else ``pbx-transfer`` must exist."""
    transfer_done_prompt: Path | None = None
    """The colleague hears it when a ``*2`` is complete; else ``beep`` must exist."""
    transfer_failed_prompt: Path | None = None
    """Who transfers hears it when a ``*2`` fails; else ``beeperr`` must exist."""
    feature_codes: tuple[tuple[str, str], ...] = FEATURE_CODES
    emergency_context: str | None = None
    """The administrator's way out for 112 and 101-104, dialled on operators' phones."""
    emergency_prompt: Path | None = None
    """Played where there is no such way (without its suffix); else congestion tone only."""
    outbound: bool = False
    """Whether operators may ask the engine for numbers outside (``outbound:`` of the config)."""
    outbound_allow: tuple[str, ...] = ()
    """Prefixes (E.164) of the numbers to which they may put a citizen through blindly."""
    outbound_prompt: Path | None = None
    """Played (without its suffix) where there is no engine to ask."""
    heartbeat: bool = True
    """Whether new calls pass by an engine whose heartbeat is older than 4 s."""
    external_id_header: str | None = None
    """A SIP header whose value goes into GKC_EXT_ID; only where the trunk is trusted."""
    rtp_timeout_s: int = 15
    qualify_s: int = 30
    """How often a phone with a static contact is asked whether it is there."""
    call_limit_s: int = 7200
    fallback_timeout_s: int = 600
    default_wrapup_s: int = 10
    verbose: bool = False
    cdr: bool = True

    def __post_init__(self) -> None:
        check(NAME, self.center, "center")
        check(HOST, self.fastagi_host, "FastAGI host")
        check(HOST, self.sip_host, "SIP host")
        check(NAME, self.music_class, "music class")
        check(NAME, self.language, "language")
        for port, what in (
            (self.fastagi_port, "FastAGI port"),
            (self.sip_port, "SIP port"),
            (self.rtp_start, "first RTP port"),
            (self.rtp_end, "last RTP port"),
        ):
            check_port(port, what)
        for number in self.numbers:
            check(NUMBER, number, "numbers")
        for name, code in self.feature_codes:
            check(NAME, name, "feature")
            check(CODE, code, f"feature {name}")
        if self.emergency_context is not None:
            check(CONTEXT, self.emergency_context, "emergency context")
        if self.external_id_header is not None:
            check(HEADER, self.external_id_header, "header of the outside world's id")
        check_distinct((q.name for q in self.queues), "queues")
        check_distinct((o.endpoint for o in self.operators), "operators' endpoints")
        self._check_centers()
        check_distinct(self.transfer_targets, "numbers that operators may dial")
        for number, queue in self.number_queues:
            check(NUMBER, number, "numbers")
            check(NAME, queue, "queue of a number")
        for prefix in self.outbound_allow:
            check(NUMBER, prefix, "allowed prefix of numbers outside")
        self._check_open_phones()

    def _check_centers(self) -> None:
        known: dict[str, str] = {}
        names = {self.center: "is this one"}
        for trunk in self.centers:
            if trunk.center in names:
                raise ConfigError(
                    f"other centers: found {trunk.center!r}, which {names[trunk.center]}"
                )
            names[trunk.center] = "is named twice"
            other = known.setdefault(trunk.match, trunk.center)
            if other != trunk.center:
                raise ConfigError(
                    f"trunks to {other} and {trunk.center}: both found at {trunk.match}; a center"
                    " is known by its address, so give each its own"
                )

    def _check_open_phones(self) -> None:
        if check_loopback(self.sip_host):
            return
        for operator in self.operators:
            if operator.rendered and operator.password is None:
                raise ConfigError(
                    f"operator {operator.agent_id}: a phone without a password is allowed only"
                    f" where SIP listens on loopback, not on {self.sip_host}"
                )

    @property
    def music_classes(self) -> tuple[str, ...]:
        """Every music class that a queue names."""
        names = ("default", self.music_class, *(queue.music_class for queue in self.queues))
        return tuple(dict.fromkeys(names))

    @property
    def queue_numbers(self) -> tuple[tuple[str, str], ...]:
        """Every number that leads to a queue, with the queue's name."""
        own = tuple((q.number, q.name) for q in self.queues if q.number)
        return (*own, *self.number_queues)

    @property
    def emergency_numbers(self) -> tuple[str, ...]:
        """What an operator's phone dials past everything that is ours.

        With no way out a colleague who has such a number keeps it: there is nothing to reach.
        """
        numbers = sorted(EMERGENCY_NUMBERS)
        if self.emergency_context is not None:
            return tuple(numbers)
        return tuple(number for number in numbers if number not in self.transfer_targets)

    @property
    def outbound_patterns(self) -> tuple[str, ...]:
        """What the dialplan takes for a number outside: so many digits, and a plus if need be.

        Never ``.`` or ``!``, which match anything that a phone can send.
        """
        bare = [f"_{'X' * n}" for n in range(OUTBOUND_DIGITS[0], OUTBOUND_DIGITS[1] + 1)]
        return (*bare, *(f"_+{pattern[1:]}" for pattern in bare))

    @property
    def put_through_patterns(self) -> tuple[str, ...]:
        """What the dialplan takes for a number outside to which a citizen may be put through.

        By the allowed prefixes: another number leaves him with his operator, who is told so, and an
        internal number is known as soon as it is keyed.
        """
        found = (pattern for prefix in self.outbound_allow for pattern in patterns_of(prefix))
        return tuple(dict.fromkeys(found)) if self.outbound else ()

    @property
    def transfer_targets(self) -> tuple[str, ...]:
        """Every number that an operator may dial or transfer to; nothing else leads anywhere."""
        own = [o.number for o in self.operators] + [q.number for q in self.queues]
        return tuple(number for number in (*own, *self.numbers) if number)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideCenter:
    """One center, as the outside world knows it: where it is called, and its operators' phones."""

    name: str = ""
    """Tells one of several from the others; empty for the only one, or the first."""
    host: str = "127.0.0.1"
    port: int = 5060
    phones: tuple[OperatorPhone, ...] = ()
    """Those with a password register; each answers as the globals say (see asterisk/README.md)."""

    def __post_init__(self) -> None:
        check(HOST, self.host, "host of the outside world")
        check_port(self.port, "port of the outside world")
        if self.name:
            check_name(self.name, "center")

    @property
    def line(self) -> str:
        """The endpoint by which citizens call it."""
        return f"city-{self.name}" if self.name else "city"

    @property
    def caller(self) -> str:
        """The endpoint by which it calls the phones."""
        return f"center-{self.name}" if self.name else "center"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsidePlan:
    """The demo's second Asterisk: the telephone network and the operators' phones."""

    ami: Ami
    center_host: str = "127.0.0.1"
    center_port: int = 5060
    trunk_host: str = "127.0.0.11"
    """Where citizens' calls come from: an address that is no phone's."""
    phones_host: str = "127.0.0.1"
    sip_port: int = 5070
    """Of both transports."""
    rtp_start: int = 32000
    rtp_end: int = 39999
    phones: tuple[OperatorPhone, ...] = ()
    """Of the (first) center."""
    others: tuple[OutsideCenter, ...] = ()
    """More centers on this machine, each with a name, and with phones of other names."""
    silence_s: int = 0
    """Whoever holds a phone hangs up when he has heard nothing at all for so long; 0 = never."""
    verbose: bool = False

    def __post_init__(self) -> None:
        for host in (self.center_host, self.trunk_host, self.phones_host):
            check(HOST, host, "host of the outside world")
        for port in (self.center_port, self.sip_port, self.rtp_start, self.rtp_end):
            check_port(port, "port of the outside world")
        if self.trunk_host == self.phones_host:
            raise ConfigError("outside world: citizens and phones need different addresses")
        check_distinct((one.line for one in self.centers), "centers of the outside world")
        phones = (phone.endpoint for one in self.centers for phone in one.phones)
        check_distinct(phones, "phones of the outside world")

    @property
    def centers(self) -> tuple[OutsideCenter, ...]:
        """All of them."""
        first = OutsideCenter(host=self.center_host, port=self.center_port, phones=self.phones)
        return (first, *self.others)

    def match(self, center: OutsideCenter) -> str:
        """Return what a center's calls are known by: of several on one address its port, too."""
        return f"{center.host}:{center.port}" if self.others else center.host
