"""Titles, column heads and dispositions as people read them, in Russian and in English.

The keys are the columns of docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gkc_engine.acd.commands import Disposition
from gkc_engine.reports.model import Language
from gkc_engine.statistics.drill import IN_PROGRESS

HEADS: Final[Mapping[str, tuple[str, str]]] = {
    "figure_title": ("Показатель", "Figure"),
    "value": ("Значение", "Value"),
    "title": ("Название", "Name"),
    "body": ("Ведомство", "Executive body"),
    "queue": ("Очередь", "Queue"),
    "service": ("Услуга", "Service"),
    "did": ("Номер", "Number"),
    "center": ("Центр", "Center"),
    "interval": ("Время", "Time"),
    "day": ("День", "Day"),
    "contacts": ("Обращений всего", "Contacts"),
    "share": ("Доля", "Share"),
    "disposition": ("Итог", "Disposition"),
    "offered": ("Поступило в очередь", "Offered"),
    "offered_per_day": ("Поступило в среднем за день", "Offered a day"),
    "answered": ("Отвечено", "Answered"),
    "answered_in_target": ("Отвечено в срок", "Answered in time"),
    "answered_late": ("Отвечено позже срока", "Answered late"),
    "late": ("Не в срок", "Not in time"),
    "abandoned": ("Не дождались", "Abandoned"),
    "abandoned_short": ("из них сразу положили трубку", "of these, at once"),
    "abandoned_in_target": ("Не дождались, в пределах срока", "Abandoned in time"),
    "ended_waiting": ("Ожидание прервано правилом", "Ended while waiting"),
    "failed": ("Потеряно из-за сбоя", "Failed"),
    "waiting": ("Ещё ожидают", "Still waiting"),
    "overflow_sent": ("Передано в другие центры", "Sent to other centers"),
    "overflow_answered": ("Из них отвечено там", "Of these, answered there"),
    "overflow_returned": ("Из них вернулось", "Of these, came back"),
    "guests": ("Принято из других центров", "Guests of other centers"),
    "guests_answered": ("Из них отвечено здесь", "Of these, answered here"),
    "other": ("Прочие", "Others"),
    "service_level": ("Ответ в срок (SL)", "Service level (SL)"),
    "goal": ("Цель", "Goal"),
    "goal_met": ("Цель", "Goal"),
    "abandon_rate": ("Доля не дождавшихся", "Abandon rate"),
    "abandon_time_s": ("Ждали до отказа, в среднем", "Time to give up"),
    "asa_s": ("Среднее ожидание", "Mean wait (ASA)"),
    "wait_p50_s": ("Ожидание: половина не дольше", "Wait, P50"),
    "wait_p90_s": ("Ожидание: 90 % не дольше", "Wait, P90"),
    "wait_p95_s": ("Ожидание: 95 % не дольше", "Wait, P95"),
    "wait_max_s": ("Самое долгое ожидание", "Longest wait"),
    "aht_s": ("Среднее обслуживание (AHT)", "Handling time (AHT)"),
    "sl_1": ("SL-1: в срок / отвеченные", "SL-1: in time / answered"),
    "sl_2": ("SL-2: в срок / (отвеченные + не дождавшиеся)", "SL-2: in time / (answ. + aband.)"),
    "sl_3": (
        "SL-3: в срок / (отвеченные + не дождавшиеся после срока)",
        "SL-3: in time / (answ. + aband. late)",
    ),
    "sl_4": (
        "SL-4: (в срок + не дождавшиеся в пределах срока) / (отвеченные + не дождавшиеся)",
        "SL-4: (in time + aband. in time) / (answ. + aband.)",
    ),
    "operators_h": ("Операторы на линии, все вместе", "Operators at work, together"),
    "occupancy": ("Занятость операторов", "Occupancy"),
    "agent_id": ("Оператор", "Operator"),
    "handled": ("Обслужено", "Handled"),
    "talk_s": ("Разговор", "Talk"),
    "hold_s": ("Удержание", "Hold"),
    "wrap_up_s": ("Обработка после звонка", "Wrap-up"),
    "ready_s": ("Готов", "Ready"),
    "paid_s": ("На работе", "At work"),
    "utilisation": ("Использование времени", "Utilisation"),
    "offers": ("Вызовов предложено", "Rings"),
    "offers_unanswered": ("Не принято", "Not answered"),
    "offers_withdrawn": ("Снято гражданином", "Ended by the citizen"),
    "rna_rate": ("Доля не принятых", "RNA"),
    "rna_rate_without_citizens": ("Доля не принятых без снятых", "RNA without citizens' doing"),
    "transfers": ("Переведено", "Transfers"),
    "transfer_rate": ("Доля переведённых", "Transfer rate"),
    "n": ("Сказано", "Told"),
    "mean_wait_s": ("Ждали в среднем", "Mean wait"),
    "bias": ("Смещение", "Bias"),
    "rmse": ("Ошибка (RMSE)", "RMSE"),
    "within_range": ("В названных пределах", "In range"),
    "number": ("Номер обращения", "Contact"),
    "started": ("Начало", "Started"),
    "wait_s": ("Ожидание", "Wait"),
    "version": ("Настройки", "Config"),
    "applied": ("Введены", "Applied"),
    "author": ("Кем", "By"),
    "changes": ("Изменений", "Changes"),
    "change": ("Что изменилось", "What changed"),
    "after_s": ("Действовали", "In force"),
    "before_offered": ("Поступило до", "Offered before"),
    "before_service_level": ("SL до", "SL before"),
    "before_asa_s": ("Ожидание до", "ASA before"),
    "before_abandon_rate": ("Не дождались до", "Abandon rate before"),
}

DISPOSITIONS: Final[Mapping[str, tuple[str, str]]] = {
    Disposition.ANSWERED: ("Отвечено", "Answered"),
    Disposition.SELF_SERVED: ("Самообслуживание", "Self-served"),
    Disposition.ANSWERED_BY_ANNOUNCEMENT: ("Ответило объявление", "Answered by announcement"),
    Disposition.ABANDONED_MENU: ("Ушли из меню", "Left in the menu"),
    Disposition.ABANDONED_SHORT: ("Сразу положили трубку", "Left the queue at once"),
    Disposition.ABANDONED: ("Не дождались", "Abandoned"),
    Disposition.TIMEOUT: ("Истекло время ожидания", "Waited for too long"),
    Disposition.NO_AGENT: ("Некому ответить", "Nobody at work"),
    Disposition.CLOSED: ("Закрыто", "Closed"),
    Disposition.FULL: ("Нет мест в ожидании", "Waiting room full"),
    Disposition.BLOCKED: ("Номер в чёрном списке", "Blocked"),
    Disposition.MISDIRECTED: ("Не по адресу", "Misdirected"),
    Disposition.FAILED_OPEN: ("Не отвечено резервной очередью", "Lost in the fallback"),
    Disposition.SYSTEM_FAILED: ("Потеряно из-за сбоя", "Lost by a failure"),
    IN_PROGRESS: ("Ещё продолжаются", "In progress"),
}

OUTGOING: Final[Mapping[str, tuple[str, str]]] = {
    Disposition.ANSWERED: ("Ответили", "Answered"),
    "no_answer": ("Не ответили", "No answer"),
    "busy": ("Занято", "Busy"),
    "declined": ("Отклонили вызов", "Declined"),
    "unreachable": ("Недоступны", "Unreachable"),
    "cancelled": ("Оператор положил трубку раньше", "Cancelled by the operator"),
    "barred": ("Не разрешено", "Barred"),
    Disposition.SYSTEM_FAILED: DISPOSITIONS[Disposition.SYSTEM_FAILED],
    IN_PROGRESS: DISPOSITIONS[IN_PROGRESS],
}
"""Dispositions of calls that operators make."""

GUESTS: Final[Mapping[str, tuple[str, str]]] = {
    Disposition.ANSWERED: DISPOSITIONS[Disposition.ANSWERED],
    Disposition.RETURNED: ("Возвращено своему центру", "Returned to their center"),
    IN_PROGRESS: DISPOSITIONS[IN_PROGRESS],
}
"""Dispositions of other centers' contacts."""

TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "day": ("Отчёт за день", "Report of the day"),
    "week": ("Отчёт за неделю", "Report of the week"),
    "month": ("Отчёт за месяц", "Report of the month"),
    "outcomes": ("Итоги обращений", "Outcomes of contacts"),
    "bodies": ("Отчёт по ведомствам", "Report by executive body"),
    "queues": ("Отчёт по очередям", "Report by queue"),
    "services": ("Отчёт по услугам", "Report by service"),
    "numbers": ("Отчёт по номерам", "Report by number"),
    "centers": ("Отчёт по центрам", "Report by center"),
    "interval": ("Отчёт по интервалам", "Report by interval"),
    "operators": ("Отчёт по операторам", "Report by operator"),
    "versions": ("Обслуживание до и после смены настроек", "Service before and after each config"),
    "ewt": ("Точность названного ожидания", "Told waits against true ones"),
    "contacts": ("Обращения", "Contacts"),
    "note": ("Аналитическая записка", "Analytical note"),
    "summary": ("Сравнение", "Comparison"),
    "by_service": ("По услугам", "By service"),
    "by_queue": ("По очередям", "By queue"),
    "by_interval": ("По времени суток", "By time of day"),
    "by_day": ("По дням", "By day"),
    "by_body": ("По ведомствам", "By executive body"),
    "by_outcome": ("Чем закончились обращения", "How contacts ended"),
    "guests": ("Обращения из других центров", "Contacts of other centers"),
    "outgoing": ("Исходящие звонки операторов", "Calls that operators made"),
    "outcomes_chart": ("Обращения по итогам", "Contacts by outcome"),
    "outcomes_by_service": ("Итоги по услугам", "Outcomes by service"),
    "load": ("Обращения: что с ними стало", "Contacts: what became of them"),
    "level": ("Ответ в срок (SL)", "Service level (SL)"),
    "all": ("Всего", "All"),
    "none": ("Без услуги", "Without a service"),
    "no_queue": ("Без очереди", "Without a queue"),
    "no_body": ("Без ведомства", "Without an executive body"),
    "none_of": ("–", "–"),
    "goal": ("цель", "goal"),
    "goal_met": ("достигнута", "met"),
    "goal_missed": ("не достигнута", "missed"),
    "change": ("Разница", "Difference"),
    "week_before": ("Неделей раньше", "A week before"),
    "day_before": ("Накануне", "The day before"),
    "month_before": ("Месяцем раньше", "A month before"),
    "before": ("Раньше", "Before"),
    "nothing": (
        "За это время нет ни одного обращения.",
        "There is no contact in that time.",
    ),
    "nobody": ("За это время никто не работал.", "Nobody was at work in that time."),
    "made_from": ("Из чего составлено", "Made from"),
    "center": ("Центр", "Center"),
    "config": ("Настройки", "Config"),
    "counted": ("Обращений учтено", "Contacts counted"),
    "zone": ("Часовой пояс", "Time zone"),
    "time": ("Время", "Time"),
    "only": ("Отбор", "Only"),
    "of_queue": ("очередь «{}»", "queue “{}”"),
    "of_service": ("услуга «{}»", "service “{}”"),
    "of_body": ("ведомство «{}»", "executive body “{}”"),
    "compared": ("Сравнение", "Compared with"),
    "few": (
        "° меньше 30 обращений: для выводов мало.",
        "° fewer than 30 contacts: too few for any conclusion.",
    ),
    "below_goal": ("ниже цели", "below the goal"),
    "few_short": ("мало данных", "too few"),
    "where": ("Где плохо", "Where not"),
    "till": ("данные до", "until"),
    "not_in_time": ("не в срок", "not in time"),
    "in_time": ("в срок", "in time"),
    "from_to": ("с {} до {}", "from {} to {}"),
    "week_word": ("Неделя", "Week"),
    "page": ("стр.", "p."),
}


def head(key: str, language: Language) -> str:
    """Return a column's head for people; the key itself of what has no name."""
    found = HEADS.get(key)
    return key if found is None else found[language is Language.EN]


def text(key: str, language: Language) -> str:
    """Return a title or a sentence."""
    return TEXTS[key][language is Language.EN]


def disposition(key: str, language: Language) -> str:
    """Return a disposition for people."""
    found = DISPOSITIONS.get(key) or OUTGOING.get(key) or GUESTS.get(key)
    return key if found is None else found[language is Language.EN]
