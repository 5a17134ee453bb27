"""What alerts say to people: Prometheus' templates, Russian and English."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gkc_engine.monitoring.bounds import Language


@dataclass(frozen=True, slots=True)
class Text:
    """One alert's words. ``LIMIT`` stands for its bound."""

    summary: str
    description: str
    runbook: str
    """What to look at and what to do, in this order."""


_QUEUE_RU: Final = "Очередь {{ $labels.queue }}"
_QUEUE_EN: Final = "Queue {{ $labels.queue }}"

TEXTS: Final[dict[str, dict[Language, Text]]] = {
    "GkcLongWait": {
        "ru": Text(
            f"{_QUEUE_RU}: ждут слишком долго",
            "Дольше всех ждут {{ $value | humanizeDuration }}, порог LIMIT.",
            "gkc queue show {{ $labels.queue }}: кто ждёт и кто из операторов на паузе. Верните"
            " операторов"
            " с паузы (gkc agent ready), при аварии закройте очередь с объявлением (gkc queue"
            " close).",
        ),
        "en": Text(
            f"{_QUEUE_EN}: a citizen waits too long",
            "The longest wait is {{ $value | humanizeDuration }}, the bound LIMIT.",
            "gkc queue show {{ $labels.queue }}: who waits, and who is paused. Call operators back"
            " (gkc agent ready); in an emergency close the queue with a message (gkc queue close).",
        ),
    },
    "GkcManyWaiting": {
        "ru": Text(
            f"{_QUEUE_RU}: ждут {{{{ $value }}}}",
            "В очереди {{ $value }} обращений, порог LIMIT.",
            "gkc queue show {{ $labels.queue }}: хватает ли операторов. Если это авария в"
            " городе, о ней лучше"
            " сказать сразу всем: gkc queue close.",
        ),
        "en": Text(
            f"{_QUEUE_EN}: {{{{ $value }}}} wait",
            "{{ $value }} contacts are in the line, the bound is LIMIT.",
            "gkc queue show {{ $labels.queue }}: are there operators enough? If all call about one"
            " thing, tell all at once: gkc queue close.",
        ),
    },
    "GkcServiceLevelLow": {
        "ru": Text(
            f"{_QUEUE_RU}: низкий уровень сервиса",
            "За 30 минут вовремя отвечено {{ $value | humanizePercentage }}, порог LIMIT.",
            "gkc report interval --queue {{ $labels.queue }}: с какого часа. gkc queue show:"
            " кого из операторов"
            " не хватает. gkc report operators: пропущенные вызовы.",
        ),
        "en": Text(
            f"{_QUEUE_EN}: low service level",
            "{{ $value | humanizePercentage }} were answered in time in 30 minutes, bound LIMIT.",
            "gkc report interval --queue {{ $labels.queue }}: since when. gkc queue show: whom"
            " of the"
            " operators is it short of. gkc report operators: rings not answered.",
        ),
    },
    "GkcAbandonmentHigh": {
        "ru": Text(
            f"{_QUEUE_RU}: граждане не дожидаются ответа",
            "За 30 минут не дождались {{ $value | humanizePercentage }}, порог LIMIT.",
            "gkc report queues --drill abandoned --queue {{ $labels.queue }}: кто и сколько"
            " ждал. Затем как при"
            " долгом ожидании.",
        ),
        "en": Text(
            f"{_QUEUE_EN}: citizens give up",
            "{{ $value | humanizePercentage }} left unanswered in 30 minutes, the bound is LIMIT.",
            "gkc report queues --drill abandoned --queue {{ $labels.queue }}: who, after what wait."
            " Then as with a long wait.",
        ),
    },
    "GkcNobodyStaffed": {
        "ru": Text(
            f"{_QUEUE_RU}: отвечать некому",
            "Очередь открыта, но ни один из её операторов не готов и не занят разговором.",
            "gkc agent show: кто на паузе и с какой причиной, чей телефон недоступен. gkc agent"
            " ready ИМЯ; если"
            " людей нет, закройте очередь (gkc queue close) или отправьте граждан в другую (--to).",
        ),
        "en": Text(
            f"{_QUEUE_EN}: nobody is there to answer",
            "The queue is open, and none of its operators is ready or with a citizen.",
            "gkc agent show: who is paused and why, whose phone cannot be reached. gkc agent ready"
            " NAME; if there is nobody, close the queue (gkc queue close) or lead on (--to).",
        ),
    },
    "GkcEngineDown": {
        "ru": Text(
            "Движок {{ $labels.instance }} не отвечает",
            "Prometheus не может прочитать его метрики. Новые звонки принимает сам Asterisk,"
            " резервными очередями.",
            "systemctl status gkc@ЦЕНТР и journalctl -u gkc@ЦЕНТР. Если процесс жив, проверьте"
            " адрес и порт metrics"
            " в настройках.",
        ),
        "en": Text(
            "Engine {{ $labels.instance }} does not answer",
            "Prometheus cannot read its metrics. New calls are served by Asterisk's own queues.",
            "systemctl status gkc@CENTER and journalctl -u gkc@CENTER. If the process lives,"
            " look at"
            " the address and port of metrics in the config.",
        ),
    },
    "GkcEngineUnknown": {
        "ru": Text(
            "Prometheus не опрашивает ни одного движка",
            "Нет ни одной цели с этим job: за центрами никто не следит.",
            "Проверьте scrape_configs в prometheus.yml: job_name и targets.",
        ),
        "en": Text(
            "Prometheus scrapes no engine",
            "There is no target of this job: nobody watches the centers.",
            "Look at scrape_configs in prometheus.yml: job_name and targets.",
        ),
    },
    "GkcEngineRestarts": {
        "ru": Text(
            "Движок {{ $labels.instance }} часто перезапускается",
            "За 15 минут перезапусков: {{ $value }}.",
            "journalctl -u gkc@ЦЕНТР: строки engine_failed говорят о причине.",
        ),
        "en": Text(
            "Engine {{ $labels.instance }} starts again and again",
            "{{ $value }} starts in 15 minutes.",
            "journalctl -u gkc@CENTER: lines with engine_failed name the cause.",
        ),
    },
    "GkcAmiDown": {
        "ru": Text(
            "Движок {{ $labels.instance }}: нет связи с Asterisk",
            "Движок не видит звонков и телефонов; ждущих обслуживает сам Asterisk.",
            "gkc queue show скажет причину. systemctl status asterisk; asterisk -rx 'manager"
            " show connected'.",
        ),
        "en": Text(
            "Engine {{ $labels.instance }}: no link to Asterisk",
            "The engine sees neither calls nor phones; Asterisk serves who waits.",
            "gkc queue show names the cause. systemctl status asterisk;"
            " asterisk -rx 'manager show connected'.",
        ),
    },
    "GkcNotAccepting": {
        "ru": Text(
            "Движок {{ $labels.instance }} не принимает новых обращений",
            "Записывать их некуда или очередь событий переполнена; новых обслуживает сам Asterisk.",
            "Проверьте диск (df) и журнал движка: ledger_behind, journal_failed.",
        ),
        "en": Text(
            "Engine {{ $labels.instance }} takes no new contacts",
            "They could not be recorded, or its inbox is full; Asterisk serves new ones.",
            "Look at the disk (df) and the engine's log: ledger_behind, journal_failed.",
        ),
    },
    "GkcLedgerBehind": {
        "ru": Text(
            "Движок {{ $labels.instance }}: записи отстают",
            "База записей недоступна {{ $value | humanizeDuration }}; записи идут в аварийный"
            " журнал (64 МиБ).",
            "Журнал движка, ledger_behind: причина. Диск полон, база заблокирована или сервер"
            " базы недоступен."
            " Когда причина устранена, журнал переносится сам.",
        ),
        "en": Text(
            "Engine {{ $labels.instance }}: records are behind",
            "The store has not been written for {{ $value | humanizeDuration }}; records go to the"
            " emergency journal (64 MiB).",
            "The engine's log, ledger_behind, names the cause: disk full, store locked, or its"
            " server"
            " away. Once it is mended, the journal is brought in by itself.",
        ),
    },
    "GkcRowsAtRisk": {
        "ru": Text(
            "Движок {{ $labels.instance }}: записи только в памяти",
            "{{ $value }} записей нет ни в базе, ни в журнале: сбой сейчас потеряет их.",
            "Освободите место на диске немедленно; не перезапускайте движок.",
        ),
        "en": Text(
            "Engine {{ $labels.instance }}: records stand in memory alone",
            "{{ $value }} rows are neither in the store nor in the journal: a crash loses them.",
            "Free space on the disk at once; do not restart the engine.",
        ),
    },
    "GkcLoopLag": {
        "ru": Text(
            "Движок {{ $labels.instance }} работает с задержкой",
            "Цикл событий опаздывает на {{ $value | humanizeDuration }}.",
            "top: что ещё занимает процессор этой машины. Движку нужно немного, но сразу.",
        ),
        "en": Text(
            "Engine {{ $labels.instance }} runs late",
            "Its event loop is {{ $value | humanizeDuration }} late.",
            "top: what else uses this machine? The engine needs little, but at once.",
        ),
    },
    "GkcDiskLow": {
        "ru": Text(
            "Движок {{ $labels.instance }}: мало места для записей",
            "Свободно {{ $value | humanizePercentage }} диска.",
            "du -xh --max-depth=2 по папке состояния: записи разговоров, база, журналы."
            " Перенесите старые записи"
            " разговоров или увеличьте диск.",
        ),
        "en": Text(
            "Engine {{ $labels.instance }}: little space for records",
            "{{ $value | humanizePercentage }} of the disk is free.",
            "du -xh --max-depth=2 of the state folder: recordings, store, logs. Move old recordings"
            " away or enlarge the disk.",
        ),
    },
}
