"""The mail itself, read back by another program than the one that made it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from email.message import EmailMessage
from typing import Any

import pytest

from gkc_engine.config.report_model import ReportModel
from gkc_engine.delivery.letter import Letter, compose, message_id
from tests.delivery.support import SUMMARY, moment, read

NOW = moment("2026-11-29T07:30:05+03:00")
TEXT = """\
Малый центр
Отчёт за неделю: 23.11.2026–29.11.2026
Полиция
Служба: МВД

Поступило в очередь: 40
Отвечено: 36
Не дождались ответа: 4
Отвечено в срок: 87 %
Среднее ожидание ответа: 12 с

Подробности — в приложенном файле «Отчёт за неделю 2026-11-23..2026-11-29.pdf».
Письмо составлено и отправлено автоматически; отвечать на него не нужно.
"""


def a_report(**more: str) -> ReportModel:
    entry = {"what": "week", "at": "07:30", "to": ["a@b.example"], **more}
    return ReportModel.model_validate(entry)


LETTER = Letter(
    report=a_report(),
    first=date(2026, 11, 23),
    after=date(2026, 11, 30),
    label="2026-11-23..2026-11-29",
    center="Малый центр",
    body="Полиция",
    service="МВД",
    queue=None,
    sender="gkc@city.example",
    to=["p@police.example", "q@police.example"],
    message_id="<gkc.1@city.example>",
    summary=SUMMARY,
    attachment=b"%PDF-1.7\r\n\x00\xff" * 100,
)


def words(message: EmailMessage) -> str:
    """Return the text that people read."""
    body = message.get_body()
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_headers_text_and_attachment_are_read_as_they_were_meant() -> None:
    raw = compose(LETTER, NOW)
    raw.decode("ascii")
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    message = read(raw)
    assert message["Subject"] == "Отчёт за неделю: 23.11.2026–29.11.2026 — Полиция"
    assert message["To"] == "p@police.example, q@police.example"
    assert message["Date"] == "Sun, 29 Nov 2026 04:30:05 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert words(message) == TEXT
    (part,) = message.iter_attachments()
    assert part.get_content_type() == "application/pdf"
    assert part.get_filename() == "Отчёт за неделю 2026-11-23..2026-11-29.pdf"
    assert b"filename*" in raw  # RFC 2231, and not raw Cyrillic
    assert part.get_content() == LETTER.attachment


def test_the_same_letter_is_the_same_bytes() -> None:
    assert compose(LETTER, NOW) == compose(LETTER, NOW)


@pytest.mark.parametrize(
    ("form", "kind", "ending"),
    [
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
        ("csv", "text/csv", "csv"),
        ("html", "text/html", "html"),
        ("json", "application/json", "json"),
        ("table", "text/plain", "txt"),
    ],
)
def test_each_format_has_its_type(form: str, kind: str, ending: str) -> None:
    content = "Очередь;1".encode()
    letter = replace(LETTER, report=a_report(format=form), attachment=content)
    (part,) = read(compose(letter, NOW)).iter_attachments()
    assert part.get_content_type() == kind
    assert (part.get_filename() or "").endswith(f".{ending}")
    got = part.get_content()
    assert (got if isinstance(got, bytes) else got.encode()) == content


@pytest.mark.parametrize("summary", [None, {**SUMMARY, "offered": 0}])
def test_without_contacts_it_says_so(summary: dict[str, Any] | None) -> None:
    message = read(compose(replace(LETTER, summary=summary), NOW))
    assert "не поступило ни одного обращения" in words(message)


def test_english_where_it_is_asked_for() -> None:
    english = replace(LETTER, report=a_report(language="en"), body=None, service=None)
    message = read(compose(english, NOW))
    assert message["Subject"] == "Report of a week: 2026-11-23 to 2026-11-29 — Малый центр"
    assert "Answered in time: 87 %\nMean wait: 12 s" in words(message)


def test_a_title_cannot_forge_a_header() -> None:
    with pytest.raises(ValueError, match="linefeed or carriage return"):
        compose(replace(LETTER, body="Полиция\r\nBcc: x@y.example"), NOW)


def test_a_message_id_is_the_same_whenever_it_is_made() -> None:
    def made(center: str, name: str, first: str, copy: int = 0) -> str:
        return message_id(center, name, first, copy, "gkc@city.example")

    first = made("tiny", "day", "2026-11-27")
    assert first == made("tiny", "day", "2026-11-27")
    others = [
        made("tiny", "day", "2026-11-28"),
        made("tiny", "week", "2026-11-27"),
        made("other", "day", "2026-11-27"),
        made("tiny", "day", "2026-11-27", copy=1),
    ]
    assert len({first, *others}) == 5
