"""What supervisors read of an alert, in Russian: one line for a chat, a subject and a letter."""

from __future__ import annotations

from gkc_engine.config.alert_model import AlertModel, Measure
from gkc_engine.ids import SECOND

_ABOUT = {
    Measure.WAITING: "ожидают ответа",
    Measure.LONGEST_WAIT: "наибольшее ожидание",
    Measure.SERVICE_LEVEL: "уровень сервиса",
    Measure.ABANDON_RATE: "доля потерянных",
    Measure.NO_STAFF: "операторов на работе",
    Measure.AMI_DOWN: "нет связи с Asterisk (AMI)",
    Measure.LEDGER_BEHIND: "отставание журнала событий, строк",
    Measure.DISK_FREE: "свободно на диске",
}


def amount(measure: Measure, value: float | None) -> str:
    """Return a value as people read it.

    >>> amount(Measure.LONGEST_WAIT, 185_000_000)
    '3 мин 5 с'
    """
    if value is None:
        return "нет данных"
    if value == float("inf"):
        return "журнал недоступен"
    match measure:
        case Measure.LONGEST_WAIT:
            minutes, seconds = divmod(int(value) // SECOND, 60)
            return f"{minutes} мин {seconds} с" if minutes else f"{seconds} с"
        case Measure.SERVICE_LEVEL | Measure.ABANDON_RATE | Measure.DISK_FREE:
            return f"{value * 100:.1f} %".replace(".", ",")
        case _:
            return f"{value:g}"


def line(
    alert: AlertModel, title: str | None, value: float | None, *, raised: bool, gone: bool = False
) -> str:
    """Return what happened, in one line."""
    head = "ТРЕВОГА" if raised else "Снято"
    where = f"«{title}»: " if title else ""
    if gone:
        return f"{head}: {where}{_ABOUT[alert.when]} (тревоги больше нет в настройках)"
    if alert.when is Measure.AMI_DOWN:
        return f"{head}: {_ABOUT[alert.when]}" if raised else f"{head}: связь с Asterisk есть"
    side = "больше" if alert.is_above else "меньше"
    limit = f"порог: {side} {amount(alert.when, alert.threshold)}"
    return f"{head}: {where}{_ABOUT[alert.when]} {amount(alert.when, value)} ({limit})"
