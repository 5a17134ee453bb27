"""What the demo is told and what it makes of the configuration. No processes here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from gkc_engine.control.protocol import Json
from gkc_engine.demo.city import Ports
from gkc_engine.demo.tree import Document
from gkc_engine.pbx.ports import port_holder

CITIZEN: Final = "citizen"
"""SIP user of a softphone that calls as a citizen does."""

CITIZEN_NUMBER: Final = "+79990000000"
"""Its number; such calls are left out of the account."""

PHONES_PORT: Final = 5070
"""Where the outside world's phones listen, if it is free."""

RING_S: Final = 8
RING_OUTSIDE_S: Final = 5
CALLS_OUT_AN_HOUR: Final = 1000
"""Of one operator: one makes all the calls that are planned (`demo.rare`)."""
WRAP_UP_S: Final = 3

_ALAW_BYTES_PER_S: Final = 8000
"""Headerless A-law: one byte a sample (ITU-T G.711)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the command line says."""

    config: Path
    state: Path
    """``.gkc``: everything of the demo lies in ``demo`` under it."""
    sockets: Path
    """Where the commands look for the engine's socket; ``demo.json`` lies there too."""
    seconds: float | None = None
    """Of calls; ``None`` = until it is stopped."""
    rate: float = 0.5
    """Calls a second."""
    seed: int = 1
    restart: bool = True
    keep: bool = False
    free_ports: bool = False
    """Whether no default port is to be taken."""
    rare: bool = True
    """Whether what is rare happens, too (`demo.rare`): transfers, calls out, closed lines."""
    store: str | None = None
    """Where the records lie, a URL or a reference to one; ``None`` = a file in ``folder``."""

    @property
    def folder(self) -> Path:
        """Where everything of the demo lies."""
        return self.state / "demo"

    @property
    def note(self) -> Path:
        """The file for scripts."""
        return self.sockets / "demo.json"


class Teller(AbstractContextManager[object], Protocol):
    """Where a demo is followed."""

    def say(self, text: str) -> None:
        """Tell what is being done, or what to know."""
        ...


class Screen(Teller, Protocol):
    """Where the demo is seen."""

    def show(self, snapshot: Json, contacts: Json, dialled: int) -> None:
        """Show the center at this instant."""
        ...


def quicker(document: Document) -> None:
    """Make a copied configuration one in which much happens within a minute, day and night.

    Every calendar is open, no night forbids a call, phones ring ``RING_S``, a wrap-up lasts
    ``WRAP_UP_S``. A number outside rings ``RING_OUTSIDE_S``.
    """
    for calendar in _maps(document, "calendars"):
        for key in ("holidays", "holiday_hours", "dates"):
            calendar.pop(key, None)
        calendar["week"] = {"mon-sun": ["00:00-24:00"]}
    outbound = document.get("outbound") or {}
    outbound.pop("night", None)
    if outbound:
        outbound["ring"] = f"{RING_OUTSIDE_S}s"
        outbound.setdefault("caps", {})["per_operator_hour"] = CALLS_OUT_AN_HOUR
    if "wrapuptime" in outbound:
        outbound["wrapuptime"] = f"{WRAP_UP_S}s"
    for queue in _maps(document, "queues"):
        queue["timeout"] = f"{RING_S}s"
        if "wrapuptime" in queue:
            queue["wrapuptime"] = f"{WRAP_UP_S}s"


def _maps(document: Document, key: str) -> list[Any]:
    return list((document.get(key) or {}).values())


def moved_ports(ports: Ports, phones: int = PHONES_PORT) -> list[str]:
    """Return a sentence for each default port that is taken: by whom, and what is used instead.

    ``phones``: where the outside world's phones listen.
    """
    usual = Ports.usual()
    said = []
    for what, wanted, chosen, protocol in (
        ("SIP", usual.sip, ports.sip, "udp"),
        ("AMI", usual.ami, ports.ami, "tcp"),
        ("FastAGI", usual.agi, ports.agi, "tcp"),
        ("metrics", usual.metrics, ports.metrics, "tcp"),
        ("phones", PHONES_PORT, phones, "udp"),
    ):
        if wanted != chosen:
            holder = port_holder(wanted, protocol) or "another process"
            said.append(f"port {wanted} ({what}) is held by {holder}: taking {chosen}")
    if usual.rtp_start != ports.rtp_start:
        said.append(
            f"of the ports {usual.rtp_start} to {usual.rtp_end} (RTP) some are held:"
            f" taking {ports.rtp_start} to {ports.rtp_end}"
        )
    return said


def citizen_account(password: str) -> str:
    """Return the sections of pjsip.conf by which a softphone calls as a citizen does."""
    return (
        f"\n[{CITIZEN}]\ntype = endpoint\ncontext = gkc\ndisallow = all\nallow = alaw,ulaw\n"
        "language = ru\ndtmf_mode = auto\ndirect_media = no\nrtp_symmetric = yes\n"
        "force_rport = yes\nrewrite_contact = yes\nallow_transfer = no\n"
        f"callerid = {CITIZEN} <{CITIZEN_NUMBER}>\n"
        f"auth = {CITIZEN}-auth\naors = {CITIZEN}\n"
        f"[{CITIZEN}]\ntype = aor\nmax_contacts = 1\nremove_existing = yes\n"
        f"[{CITIZEN}-auth]\ntype = auth\nauth_type = userpass\nusername = {CITIZEN}\n"
        f"password = {password}\n"
    )


def sound_lengths(prompts: Path) -> Callable[[str, str], float]:
    """Return a look-up: seconds that a prompt plays, by name and language; 0 without a sound."""

    def seconds(name: str, language: str) -> float:
        path = prompts / language / f"{name}.alaw"
        return path.stat().st_size / _ALAW_BYTES_PER_S if path.is_file() else 0.0

    return seconds
