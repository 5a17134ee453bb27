"""The mail of alerts goes by the outbox of reports, where the config has a mail server."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

from gkc_engine.acd.commands import Disposition
from gkc_engine.alerting import Alerting
from gkc_engine.delivery.letter import Message
from gkc_engine.ids import ContactId, Instant, QueueId
from gkc_engine.statistics.counting import Ended, Once


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


def test_whose_end_came_late_is_in_the_window_once() -> None:
    """He left while no engine lived: the next one tells his end, and finds it in the table, too."""
    made, window = alerting(), []
    made._once, made._day = Once(), cast(Any, SimpleNamespace(target_us=lambda _queue: 20))
    made._window = cast(Any, SimpleNamespace(add=lambda some, _now: window.extend(some)))
    row = Ended(
        queue=QueueId("tax"),
        disposition=Disposition.ABANDONED,
        first_queued=Instant(1),
        wait_us=5,
        contact_id=ContactId("c1"),
    )
    other = dataclasses.replace(row, contact_id=ContactId("c2"))
    made.recall([row], Instant(9))
    made.recall([row, other], Instant(9))
    assert window == [(row, 20), (other, 20)]
    made.recalled()
    made.recall([row], Instant(9))
    assert len(window) == 3, "nobody remembers for ever"
