"""One SMTP session: what each answer means for the mail, for an address, for the server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiosmtplib
from aiosmtplib import errors as smtp

from gkc_engine.config.report_model import MailModel
from gkc_engine.config.secrets import resolve_secret
from gkc_engine.delivery.outcome import BrokenOffError, Outcome, ServerError
from gkc_engine.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds. RFC 5321, 4.5.3.2, asks for minutes; a server that needs them is tried again."""

    answer: float = 60.0
    """For each answer, and for the connection."""
    mail: float = 600.0
    """For the whole of one mail."""


_OWN: Final = (530, 534, 535, 538, 550, 551, 553, 554)
"""5xx to MAIL FROM of which the administrator can mend the cause: the mail itself is sound."""

_CLOSING: Final = 421


@asynccontextmanager
async def session(mail: MailModel, folder: Path, limits: Limits) -> AsyncIterator[Session]:
    """Give a session in which mails can be sent one after the other.

    Raises:
        ServerError: no connection, no TLS as asked for, not logged in; also a missing secret.
    """
    where = f"{mail.host}:{mail.port}"
    try:
        client = _client(mail, folder, limits)
        await client.connect()
    except ConfigError as error:
        raise ServerError(f"mail: {error}") from error
    except smtp.SMTPAuthenticationError as error:
        said = f"{error.code} {error.message}"
        raise ServerError(f"{where} refused user {mail.user}: {said}; see mail.secret") from error
    except (smtp.SMTPException, OSError, TimeoutError) as error:
        raise ServerError(f"{where}: {_words(error)}{_remedy(error, mail)}") from error
    try:
        yield Session(client, mail, limits)
        with contextlib.suppress(smtp.SMTPException, OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await client.quit()
    finally:
        client.close()


class Session:
    """A connection that is open and logged in."""

    def __init__(self, client: aiosmtplib.SMTP, mail: MailModel, limits: Limits) -> None:
        self._client = client
        self._mail = mail
        self._limits = limits

    async def send(self, to: Sequence[str], content: bytes) -> Outcome:
        """Send one mail.

        Raises:
            ServerError: the server takes no mail at all from us now.
            BrokenOffError: the session ended; it must not be used any more.
        """
        try:
            async with asyncio.timeout(self._limits.mail):
                refused, said = await self._client.sendmail(self._mail.from_, to, content)
        except smtp.SMTPRecipientsRefused as error:
            return self._sorted({r.recipient: (r.code, r.message) for r in error.recipients})
        except smtp.SMTPSenderRefused as error:
            said = f"{error.code} {error.message}"
            if error.code < 500 or error.code in _OWN:
                raise ServerError(f"the sender {self._mail.from_} was refused: {said}") from error
            return Outcome(refused=dict.fromkeys(to, said))
        except smtp.SMTPResponseException as error:
            return self._sorted(dict.fromkeys(to, (error.code, error.message)))
        except ValueError as error:  # an address that the library will not put on the wire
            return Outcome(refused=dict.fromkeys(to, str(error)))
        except (smtp.SMTPException, OSError, TimeoutError) as error:
            raise BrokenOffError(f"in the course of this mail: {_words(error)}") from error
        some = _sorted({a: (answer.code, answer.message) for a, answer in refused.items()})
        taken = {address: said for address in to if address not in refused}
        return Outcome(sent=taken, refused=some.refused, later=some.later)

    def _sorted(self, answers: Mapping[str, tuple[int, str]]) -> Outcome:
        for code, said in answers.values():
            if code == _CLOSING:
                raise ServerError(f"{self._mail.host}:{self._mail.port} closes: {code} {said}")
        return _sorted(answers)


def _client(mail: MailModel, folder: Path, limits: Limits) -> aiosmtplib.SMTP:
    context: ssl.SSLContext | None = None
    if mail.tls != "none":
        context = ssl.create_default_context()
        if mail.ca is not None:
            try:
                context = ssl.create_default_context(cafile=str(folder / mail.ca))
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"mail.ca: {folder / mail.ca}: {error}") from error
    return aiosmtplib.SMTP(
        hostname=mail.host,
        port=mail.port,
        use_tls=mail.tls == "tls",
        start_tls=mail.tls == "starttls",
        tls_context=context,
        username=mail.user,
        password=resolve_secret(mail.secret, folder) if mail.secret else None,
        timeout=limits.answer,
    )


def _sorted(answers: Mapping[str, tuple[int, str]]) -> Outcome:
    words = {address: f"{code} {said}" for address, (code, said) in answers.items()}
    gone = {a: words[a] for a, (code, _) in answers.items() if code >= 500}
    return Outcome(refused=gone, later={a: w for a, w in words.items() if a not in gone})


def _words(error: BaseException) -> str:
    text = " ".join(str(part) for part in error.args) if error.args else ""
    return text or type(error).__name__


def _remedy(error: BaseException, mail: MailModel) -> str:
    text = _words(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or isinstance(error, ssl.SSLCertVerificationError):
        return "; name the authority's certificates in mail.ca"
    if mail.tls == "starttls" and "STARTTLS" in text.upper():
        return "; it offers no STARTTLS: set mail.tls to tls or none"
    if isinstance(error, ssl.SSLError):
        return "; see mail.tls and mail.port (465 is for tls, 587 and 25 for starttls)"
    return ""
