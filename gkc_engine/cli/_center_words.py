"""The words of the table of centers, Russian and English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gkc_engine.cli._wall_words import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Everything that the table of centers says."""

    heads: Mapping[str, str]
    """Column → its head."""
    states: Mapping[str, str]
    statuses: Mapping[str, str]
    here: str
    """Beside the center that answers."""
    ago: str
    """``{seconds}``."""
    decimal: str
    never: str
    bus: str
    """``{problem}``."""
    alone: str
    """The bus is there, and nobody is heard over it."""
    failed: str
    """``{n}`` mistakes of our own."""
    denied: str
    """``{center}``, ``{reasons}``."""
    guests_denied: str
    blocked: str
    """``{center}``, ``{seconds}``."""
    reasons: Mapping[str, str]
    """Why a reservation is denied."""
    refused: Mapping[str, str]
    """Why a message was not listened to: ``{center}``, ``{n}``."""
    last: str
    """``{ago}``: when the last of them came."""
    unnamed: str
    """A center that the config does not name."""
    legend: str


RU: Final = Words(
    heads={
        "center": "Центр",
        "status": "Статус",
        "state": "Состояние",
        "age": "Данные",
        "waiting": "Ждут",
        "ready": "Свободны",
        "expected_wait_s": "Ожидание",
        "service_level": "УС",
        "asked": "Запрошено",
        "granted": "Дано",
        "denied": "Отказ",
        "sent": "Послано",
        "answered": "Отвечено",
        "returned": "Назад",
        "in_granted": "Гостям",
        "in_answered": "Принято",
        "in_returned": "Вернули",
    },
    states={
        "normal": "работает",
        "overloaded": "перегружен",
        "unstaffed": "нет операторов",
        "going-down": "останавливается",
        "down": "НЕ СЛЫШЕН",
        "planned": "ещё не работает",
    },
    statuses={"planned": "план", "pilot": "пилот", "live": "в работе"},
    here="← здесь",
    ago="{seconds} с",
    decimal=",",
    never="нет",
    bus="Нет связи с шиной, переток остановлен, звонки принимаются как обычно: {problem}",
    alone="Лист шины отвечает, но никого не слышно: либо у него нет связи с хабом, либо молчат все",
    failed="Ошибок программы в обмене с центрами: {n}; они в журнале, federation_failed; "
    "звонки принимаются как обычно",
    denied="{center} отказал нам: {reasons}",
    guests_denied="Мы отказали {center}: {reasons}",
    blocked="{center}: транк не отвечал, ещё {seconds} с туда не посылаем",
    reasons={
        "no_queue": "нет такой очереди",
        "closed": "очередь закрыта",
        "nobody_free": "никто не свободен",
        "own_first": "последние свободные — для своих граждан",
        "floor": "уровень сервиса ниже порога",
        "not_askable": "резерв с этим именем у другого центра",
        "released": "запрос уже отозван",
        "other": "причина нам не известна",
    },
    refused={
        "malformed": "{center}: не разобрать сообщений: {n}",
        "version": "{center}: другая версия протокола, сообщений: {n}; нужен один и тот же выпуск "
        "программы в обоих центрах",
        "foreign": "{center}: сообщений: {n}; добавьте его в federation.centers или "
        "уберите из шины",
        "ourselves": "{center}: кто-то ещё называет себя так же, сообщений: {n}; "
        "имя центра в городе должно быть одно",
        "old_life": "{center}: сообщений из прошлого запуска: {n}, или работают два центра "
        "с этим именем",
        "replayed": "{center}: устаревших или повторных сообщений: {n}",
        "forged": "{center}: на его линии сообщений другого центра: {n}",
        "flooded": "{center}: сверх 500 в секунду не выслушано сообщений: {n}",
    },
    last=" (последнее {ago} назад)",
    unnamed="центр, которого нет в настройках",
    legend="Ждут: сумма по очередям; свободны, ожидание, УС (уровень сервиса): худшая очередь "
    "(свободны: лучшая). Счёт с запуска.",
)

EN: Final = Words(
    heads={
        "center": "Center",
        "status": "Status",
        "state": "State",
        "age": "Data",
        "waiting": "W",
        "ready": "Ready",
        "expected_wait_s": "EWT",
        "service_level": "SL",
        "asked": "Asked",
        "granted": "Granted",
        "denied": "Denied",
        "sent": "Sent",
        "answered": "Answered",
        "returned": "Returned",
        "in_granted": "Guests",
        "in_answered": "Taken",
        "in_returned": "Sent back",
    },
    states={
        "normal": "normal",
        "overloaded": "overloaded",
        "unstaffed": "unstaffed",
        "going-down": "going down",
        "down": "NOT HEARD",
        "planned": "planned",
    },
    statuses={"planned": "planned", "pilot": "pilot", "live": "live"},
    here="← here",
    ago="{seconds} s",
    decimal=".",
    never="none",
    bus="No link to the bus: nobody is sent elsewhere, calls are taken as ever: {problem}",
    alone="The leaf node answers, and nobody is heard: it has no link to the hub, or all are gone",
    failed="Mistakes of the program between centers: {n}; see federation_failed in the log; calls "
    "are taken as ever",
    denied="{center} has denied us: {reasons}",
    guests_denied="We have denied {center}: {reasons}",
    blocked="{center}: its trunk gave no sign, nothing is sent there for {seconds} s more",
    reasons={
        "no_queue": "no such queue",
        "closed": "closed",
        "nobody_free": "nobody free",
        "own_first": "the last free are for its own citizens",
        "floor": "service level below the floor",
        "not_askable": "another center has a reservation of this name",
        "released": "taken back before it was asked for",
        "other": "for a reason that we do not know",
    },
    refused={
        "malformed": "{center}: messages that cannot be read: {n}",
        "version": "{center}: another version of the protocol, messages: {n}; both centers need "
        "the same release",
        "foreign": "{center}: messages: {n}; name it under federation.centers, or take it off the "
        "bus",
        "ourselves": "{center}: somebody else calls himself so, messages: {n}; a center's name is "
        "one in the city",
        "old_life": "{center}: messages of a former run: {n}, or two centers of this name are up",
        "replayed": "{center}: messages too old, or said before: {n}",
        "forged": "{center}: messages of another center on its line: {n}",
        "flooded": "{center}: messages beyond 500 a second, not listened to: {n}",
    },
    last=" (the last {ago} ago)",
    unnamed="a center that the config does not name",
    legend="W: sum of the queues; EWT, SL: the worst queue; Ready: the best. Counted since the "
    "start.",
)

LANGUAGES: Final[Mapping[Language, Words]] = {"ru": RU, "en": EN}
