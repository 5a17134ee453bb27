"""The mail around a report: subject, a few lines for who reads on a phone, the attachment. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any, Final

from gkc_engine.config.report_model import ReportModel
from gkc_engine.ids import Instant
from gkc_engine.statistics.intervals import at

_TYPES: Final = {
    "pdf": ("application", "pdf", "pdf"),
    "xlsx": ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    "html": ("text", "html", "html"),
    "csv": ("text", "csv", "csv"),
    "json": ("application", "json", "json"),
    "table": ("text", "plain", "txt"),
}
"""Format → media type (IANA) and the ending of the file."""

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ru": {
        "day": "Отчёт за день",
        "week": "Отчёт за неделю",
        "month": "Отчёт за месяц",
        "interval": "Показатели по времени суток",
        "queues": "Показатели очередей",
        "services": "Показатели служб",
        "operators": "Работа операторов",
        "numbers": "Показатели по номерам",
        "outcomes": "Исходы обращений",
        "bodies": "Показатели по ведомствам",
        "service": "Служба",
        "queue": "Очередь",
        "period": "Период",
        "offered": "Поступило в очередь",
        "answered": "Отвечено",
        "abandoned": "Не дождались ответа",
        "service_level": "Отвечено в срок",
        "asa_s": "Среднее ожидание ответа",
        "nothing": "За это время в очереди не поступило ни одного обращения.",
        "attached": "Подробности — в приложенном файле",
        "automatic": "Письмо составлено и отправлено автоматически; отвечать на него не нужно.",
        "seconds": "с",
    },
    "en": {
        "day": "Report of a day",
        "week": "Report of a week",
        "month": "Report of a month",
        "interval": "Figures by time of day",
        "queues": "Figures of the queues",
        "services": "Figures of the services",
        "operators": "Work of the operators",
        "numbers": "Figures by number",
        "outcomes": "Outcomes of contacts",
        "bodies": "Figures by executive body",
        "service": "Service",
        "queue": "Queue",
        "period": "Period",
        "offered": "Entered a queue",
        "answered": "Answered",
        "abandoned": "Gave up waiting",
        "service_level": "Answered in time",
        "asa_s": "Mean wait",
        "nothing": "No contact entered a queue in that time.",
        "attached": "Details are in the attached file",
        "automatic": "This mail was made and sent by a program; no answer is needed.",
        "seconds": "s",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a report's mail is made of."""

    report: ReportModel
    first: date
    after: date
    label: str
    """The period as the outbox names it; stands in the file's name."""
    center: str
    """The center's title."""
    body: str | None
    """The recipient's title."""
    service: str | None
    """The service's title, if it is of one only."""
    queue: str | None
    sender: str
    to: Sequence[str]
    message_id: str
    summary: Mapping[str, Any] | None
    """The row of all together of ``gkc report queues``; ``None``: no contact."""
    attachment: bytes


def message_id(center: str, name: str, first: str, copy: int, sender: str) -> str:
    """Return the same Message-ID whenever the same mail is made: a server may drop the double."""
    told = "\0".join((center, name, first, str(copy)))
    digest = hashlib.sha256(told.encode()).hexdigest()[:32]
    return f"<gkc.{digest}@{sender.rpartition('@')[2]}>"


def compose(letter: Letter, now: Instant) -> bytes:
    """Return the whole mail as it goes over the wire: CRLF, 7 bits, the same for the same input."""
    words = _WORDS[letter.report.language]
    title = words[letter.report.what]
    days = _days(letter)
    message = envelope(
        sender=letter.sender,
        to=letter.to,
        subject=f"{title}: {days} — {letter.body or letter.service or letter.center}",
        message_id=letter.message_id,
        now=now,
    )
    media, kind, ending = _TYPES[letter.report.format]
    file = f"{title} {letter.label}.{ending}"
    message.set_content("\n".join(_lines(letter, words, days, file)), cte="quoted-printable")
    parameters = {"charset": "utf-8"} if media == "text" else {}
    message.add_attachment(
        letter.attachment, maintype=media, subtype=kind, filename=file, params=parameters
    )
    # A random one would make the same mail another each time.
    message.set_boundary("gkc-" + hashlib.sha256(letter.message_id.encode()).hexdigest()[:32])
    return message.as_bytes(policy=SMTP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A few words that are no report: an alert. The same ``name`` and ``key`` is sent once."""

    name: str
    key: str
    to: Sequence[str]
    subject: str
    text: str


def compose_message(message: Message, sender: str, message_id: str, now: Instant) -> bytes:
    """Return a message as it goes over the wire; line ends in its subject become blanks."""
    made = envelope(
        sender=sender,
        to=message.to,
        subject=" ".join(message.subject.split()),
        message_id=message_id,
        now=now,
    )
    made.set_content(message.text, cte="quoted-printable")
    return made.as_bytes(policy=SMTP)


def envelope(
    *, sender: str, to: Sequence[str], subject: str, message_id: str, now: Instant
) -> EmailMessage:
    """Return a message with its headers and no content yet."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = subject
    message["Date"] = format_datetime(at(now))
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's out-of-office answers it
    return message


def _days(letter: Letter) -> str:
    last = date.fromordinal(letter.after.toordinal() - 1)
    if letter.report.language == "en":
        return letter.label.replace("..", " to ")
    if letter.first == last:
        return f"{letter.first:%d.%m.%Y}"
    return f"{letter.first:%d.%m.%Y}–{last:%d.%m.%Y}"


def _lines(letter: Letter, words: Mapping[str, str], days: str, file: str) -> list[str]:
    lines = [letter.center, f"{words[letter.report.what]}: {days}"]
    lines += [letter.body] if letter.body else []
    lines += [f"{words['service']}: {letter.service}"] if letter.service else []
    lines += [f"{words['queue']}: {letter.queue}"] if letter.queue else []
    lines += ["", *_figures(letter.summary, words), ""]
    return [*lines, f"{words['attached']} «{file}».", words["automatic"], ""]


def _figures(row: Mapping[str, Any] | None, words: Mapping[str, str]) -> list[str]:
    if row is None or not row["offered"]:
        return [words["nothing"]]
    lines = [f"{words[key]}: {row[key]}" for key in ("offered", "answered", "abandoned")]
    if row["service_level"] is not None:
        # Cut off, as everywhere: 99.9 % in time is not all in time.
        lines.append(f"{words['service_level']}: {int(row['service_level'] * 100)} %")
    if row["asa_s"] is not None:
        lines.append(f"{words['asa_s']}: {row['asa_s']:.0f} {words['seconds']}")
    return lines
