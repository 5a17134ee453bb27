"""A city that mails reports, and a real SMTP server that does as it is told."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from aiosmtpd.smtp import SMTP, Envelope, Session
from ruamel.yaml import YAML

from gkc_engine.config.models import Config
from gkc_engine.config.report_model import MailModel, RecipientModel, ReportModel
from gkc_engine.config.values import Model
from gkc_engine.delivery.courier import Courier, Plan
from gkc_engine.delivery.making import Made, MakingError
from gkc_engine.delivery.outbox import Outbox
from gkc_engine.delivery.schedule import Due
from gkc_engine.delivery.smtp import Limits, session
from gkc_engine.endings import end_tasks
from gkc_engine.ids import SECOND, Instant
from tests.config.cities import tiny_config

LIMITS = Limits(answer=5.0, mail=10.0)
DAY = 86_400 * SECOND


def moment(text: str) -> Instant:
    """Return the instant of ISO 8601 with an offset: ``2026-11-28T07:30+03:00``."""
    return Instant(round(datetime.fromisoformat(text).timestamp()) * SECOND)


def mailing(reports: str, port: int = 25, mail: str = "tls: none") -> str:
    return (
        f"mail: {{host: 127.0.0.1, port: {port}, {mail}, from: gkc@city.example}}\n"
        "recipients: {police: {title: Полиция, services: [mvd], to: p@police.example}}\n"
        f"reports: {reports}\n"
    )


@cache
def _tiny() -> Config:
    with TemporaryDirectory() as folder:
        return tiny_config(Path(folder))


def city(reports: str, port: int = 25) -> Config:
    """Return the tiny city with sections that mail ``reports``."""
    sections = YAML(typ="safe").load(mailing(reports, port))
    made = _Sections.model_validate_json(json.dumps(sections))
    return _tiny().model_copy(update=dict(made))


class _Sections(Model):
    mail: MailModel
    recipients: dict[str, RecipientModel]
    reports: tuple[ReportModel, ...]


SUMMARY = {
    "queue": None,
    "offered": 40,
    "answered": 36,
    "abandoned": 4,
    "service_level": 0.875,
    "asa_s": 12.4,
}


@dataclass
class Maker:
    """Makes a report at once, or fails as often as it is told to."""

    fails: int = 0
    made: list[tuple[str, str]] = field(default_factory=list)
    broken: str = ""
    """The report that the program has a mistake in."""

    async def make(self, report: ReportModel, due: Due) -> Made:
        if self.fails:
            self.fails -= 1
            raise MakingError("gkc report day: exit code 1: no room")
        if report.key == self.broken:
            raise KeyError("planted")
        self.made.append((report.key, due.label))
        return Made(f"{report.key} {due.label}\n".encode(), SUMMARY)


@dataclass
class Server:
    """A mail server; what comes is kept, what it says can be set."""

    port: int = 0
    mails: list[bytes] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    rcpt: dict[str, str] = field(default_factory=dict)
    """Address → what is said to it in place of 250."""
    data: list[str] = field(default_factory=list)
    """What is said to the next mails in place of 250; ``drop`` ends the link, ``hang`` waits."""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        said = self.rcpt.get(address, "250 OK")
        if said.startswith("250"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        said = self.data.pop(0) if self.data else "250 kept"
        if said == "drop":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "250 nobody hears this"
        if said == "hang":
            await asyncio.Event().wait()
        if said.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.mails.append(envelope.content)
            self.envelopes.append((envelope.mail_from or "", list(envelope.rcpt_tos)))
        return said

    async def hung(self) -> None:
        """Wait until a mail hangs here."""
        async with asyncio.timeout(30):
            while "hang" in self.data:  # noqa: ASYNC110 - a fact of another process
                await asyncio.sleep(0.01)

    def messages(self) -> list[EmailMessage]:
        return [read(raw) for raw in self.mails]


def read(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


@asynccontextmanager
async def serving(server: Server, **options: object) -> AsyncIterator[Server]:
    """Listen on a port of loopback; ``options`` are aiosmtpd's."""
    loop = asyncio.get_running_loop()
    tls = options.pop("implicit_tls", None)
    assert tls is None or isinstance(tls, ssl.SSLContext)
    protocols: list[SMTP] = []

    def protocol() -> SMTP:
        given: dict[str, Any] = dict(options)
        made = SMTP(server, hostname="mail.city.example", loop=loop, **given)
        protocols.append(made)
        return made

    listening = await loop.create_server(protocol, "127.0.0.1", server.port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        handlers = [p._handler_coroutine for p in protocols if p._handler_coroutine is not None]
        for made in protocols:
            if isinstance(made.transport, asyncio.WriteTransport):
                made.transport.abort()
        await end_tasks(handlers)


@asynccontextmanager
async def courier(
    folder: Path,
    config: Config,
    *,
    maker: Maker | None = None,
    limits: Limits = LIMITS,
    change: Callable[[Courier], None] = lambda _: None,
) -> AsyncIterator[Courier]:
    """Give a courier over the outbox in ``folder``, as a start of the engine makes it."""
    outbox = Outbox(folder / "outbox.db")
    # Nobody pulls a plug here: waiting for the disk would be most of these tests.
    sa.event.listen(outbox._engine, "connect", lambda c, _: c.execute("PRAGMA synchronous=OFF"))
    outbox.open()
    made = Courier(
        outbox,
        Plan(config, folder),
        maker or Maker(),
        lambda mail, where: session(mail, where, limits),
    )
    change(made)
    try:
        yield made
    finally:
        outbox.close()
