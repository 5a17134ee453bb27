"""The mail of alerts goes by the outbox of reports, where the config has a mail server."""

from __future__ import annotations

from typing import Any, cast

from gkc_engine.alerting import Alerting
from gkc_engine.delivery.letter import Message


class Outbox:
    def __init__(self) -> None:
        self.posted: list[Message] = []

    def post(self, message: Message) -> None:
        self.posted.append(message)


class Config:
    alerts = ()

    def __init__(self, mail: object) -> None:
        self.mail = mail


class Alerts:
    mailer: Any = None


def alerting() -> Alerting:
    made = Alerting.__new__(Alerting)
    made._taken_up, made._mailer = False, None
    made.alerts = cast(Any, Alerts())
    return made


def test_a_mail_is_posted_once_the_config_has_a_server_and_not_without_it() -> None:
    outbox, made = Outbox(), alerting()
    made.apply(cast(Any, Config(mail=None)))
    made.mail_by(cast(Any, outbox))
    assert made.alerts.mailer is None
    made.apply(cast(Any, Config(mail=object())))
    mailer = made.alerts.mailer
    assert mailer is not None
    mailer.send("7:raised a@gkc.example", "a@gkc.example", "Очередь", "стоит")
    assert outbox.posted == [
        Message(
            name="alert",
            key="7:raised a@gkc.example",
            to=["a@gkc.example"],
            subject="Очередь",
            text="стоит",
        )
    ]
    made.apply(cast(Any, Config(mail=None)))
    assert made.alerts.mailer is None
