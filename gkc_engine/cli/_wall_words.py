"""The words of the wallboard, Russian and English."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Language = Literal["ru", "en"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One column: its head on a narrow screen and on a wide one."""

    short: str
    long: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Everything that the wallboard says."""

    heads: Mapping[str, Head]
    total: str
    data: str
    """``{age}`` seconds."""
    stale: str
    gone: str
    """``{why}``, ``{at}``: the time of what is shown."""
    problems: Mapping[str, str]
    """``error_id`` → why no data comes."""
    no_asterisk: str
    no_asterisk_yet: str
    journal: str
    not_accepting: str
    recalling: str
    emergency: str
    more: Callable[[int], str]
    """How many queues there are besides."""
    more_waiting: str
    more_bad: str
    closed: str
    legend: str
    too_small: str
    decimal: str


def _more_ru(n: int) -> str:
    if n % 10 == 1 and n % 100 != 11:
        return f"+ ещё {n} очередь"
    few = 2 <= n % 10 <= 4 and not 12 <= n % 100 <= 14
    return f"+ ещё {n} очереди" if few else f"+ ещё {n} очередей"


def _more_en(n: int) -> str:
    return f"+ {n} more queue" + ("" if n == 1 else "s")


def _heads(**heads: tuple[str, str]) -> dict[str, Head]:
    return {key: Head(short=short, long=long) for key, (short, long) in heads.items()}


RU: Final = Words(
    heads=_heads(
        title=("Очередь", "Очередь"),
        waiting=("Ждут", "Ждут"),
        longest_wait_s=("Макс", "Дольше всех"),
        ready=("Гот", "Готовы"),
        in_contact=("Зан", "Заняты"),
        wrap_up=("Пвз", "Поствызов"),
        not_ready=("Пауз", "Пауза"),
        answered=("Отв", "Отвечено"),
        abandon_rate=("Пот", "Потеряно"),
        service_level_30m=("УС30", "УС 30 мин"),
        service_level=("УСдн", "УС сегодня"),
        aht_s=("Обсл", "Ср. обслуж."),
    ),
    total="Все очереди",
    data="данные {age} с",
    stale="!! ДАННЫЕ УСТАРЕЛИ: {age} с",
    gone="!! Нет связи с движком, показано состояние на {at}: {why}",
    problems={
        "not_running": "он не запущен или перезапускается",
        "gone": "он перезапускается",
        "timeout": "он не отвечает",
        "busy": "к нему слишком много подключений",
        "forbidden": "управляющий сокет принадлежит другому пользователю",
    },
    no_asterisk="!! Нет связи с Asterisk: {why}. Звонки и операторы могли измениться",
    no_asterisk_yet="соединения ещё не было",
    journal="!  Записи идут в аварийный журнал: база недоступна",
    not_accepting="!! Новые обращения не принимаются: записывать их некуда",
    recalling="!  Движок только что запущен: итоги за день и за 30 минут ещё неполны",
    emergency="!! {title}: экстренно закрыта",
    more=_more_ru,
    more_waiting="ждут {waiting}, дольше всех {longest}",
    more_bad="из них с отметкой: {n}",
    closed="закрыта",
    legend="Гот готовы  Зан заняты  Пвз поствызов  УС уровень сервиса  ! внимание  !! плохо",
    too_small="Окно мало: нужно хотя бы {width} на {height} знаков",
    decimal=",",
)

EN: Final = Words(
    heads=_heads(
        title=("Queue", "Queue"),
        waiting=("Wait", "Waiting"),
        longest_wait_s=("Max", "Longest"),
        ready=("Rdy", "Ready"),
        in_contact=("Bsy", "Busy"),
        wrap_up=("Wrp", "Wrap-up"),
        not_ready=("Paus", "Paused"),
        answered=("Ans", "Answered"),
        abandon_rate=("Abn", "Abandoned"),
        service_level_30m=("SL30", "SL 30 min"),
        service_level=("SLtd", "SL today"),
        aht_s=("AHT", "AHT"),
    ),
    total="All queues",
    data="data {age} s old",
    stale="!! STALE DATA: {age} s old",
    gone="!! No engine, this is the state of {at}: {why}",
    problems={
        "not_running": "it does not run, or starts again",
        "gone": "it starts again",
        "timeout": "it does not answer",
        "busy": "it has too many connections",
        "forbidden": "its control socket belongs to another user",
    },
    no_asterisk="!! No link to Asterisk: {why}. Calls and operators may have changed",
    no_asterisk_yet="there was none yet",
    journal="!  Records go to the emergency journal: the store cannot be written",
    not_accepting="!! No new contacts are taken: they could not be recorded",
    recalling="!  The engine has just started: figures of the day and of 30 min are not complete",
    emergency="!! {title}: closed in an emergency",
    more=_more_en,
    more_waiting="{waiting} waiting, longest {longest}",
    more_bad="of these marked: {n}",
    closed="closed",
    legend="Rdy ready  Bsy busy  Wrp wrap-up  SL service level  ! warning  !! bad",
    too_small="The window is too small: at least {width} by {height}",
    decimal=".",
)

LANGUAGES: Final[Mapping[Language, Words]] = {"ru": RU, "en": EN}
