"""An explanation as the answer to a citizen's complaint: Russian, without anybody else's data.

No name of an operator, no number or time of another contact, no reason of a pause: only what
concerns the one who asks, with the number of the rule each time. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gkc_engine.acd.commands import Disposition
from gkc_engine.acd.settings import ContactClass, Medium, Requirement
from gkc_engine.acd.why import UNSKILLED, Bar, Candidate, Part
from gkc_engine.ids import ABROAD, SECOND, Instant, QueueId, is_abroad
from gkc_engine.simulation.decisions import Rule
from gkc_engine.simulation.explain import Explanation, Moment, What
from gkc_engine.simulation.explain_text import worth_telling

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MONTHS = (
    *("января", "февраля", "марта", "апреля", "мая", "июня"),
    *("июля", "августа", "сентября", "октября", "ноября", "декабря"),
)
_MEDIA: Mapping[Medium, str] = {
    Medium.VOICE: "по телефону",
    Medium.EMAIL: "по электронной почте",
    Medium.FAX: "по факсу",
    Medium.CHAT: "в чате",
    Medium.SMS: "по СМС",
    Medium.WEB: "через сайт",
    Medium.API: "через информационную систему",
}
_CLASSES: Mapping[ContactClass, str] = {
    ContactClass.EMERGENCY: "экстренная",
    ContactClass.NORMAL: "обычная",
    ContactClass.BACKGROUND: "без срочности",
}

_STATES: tuple[tuple[str, frozenset[Bar]], ...] = (
    ("на перерыве", frozenset((Bar.PAUSED,))),
    ("телефон недоступен", frozenset((Bar.UNREACHABLE,))),
    (
        "заняты другими обращениями или вызовами",
        frozenset((Bar.TAKEN, Bar.BLENDING, Bar.OWN_CALL, Bar.IN_USE)),
    ),
    ("короткая передышка после неудавшегося вызова", frozenset((Bar.RESTING,))),
    ("Ваше обращение им уже предлагалось незадолго до этого", frozenset((Bar.EXCLUDED,))),
    ("не могли принять обращение", frozenset(Bar)),
)
"""What an operator at work was doing, the first that applies."""

_OVERTAKEN: Mapping[Part, str] = {
    Part.CLASS: "оно относится к категории, которая принимается раньше Вашей",
    Part.MATCH: "освободившийся оператор лучше подготовлен по теме того обращения",
    Part.SLOPE: "для таких обращений время ожидания засчитывается в большей мере",
    Part.HEAD_START: "для таких обращений установлена фора: их ожидание считается с более "
    "раннего времени",
    Part.ENQUEUED: "то обращение впервые поставлено в очередь раньше Вашего",
    Part.SEQUENCE: "то обращение поступило раньше Вашего",
}

_COULD_NOT: Mapping[Bar, str] = {
    Bar.SKILL: "у этого оператора нет подготовки, которая требуется для Вашего обращения "
    "(правило P1)",
    Bar.LEVEL: "подготовка этого оператора недостаточна для Вашего обращения (правило P1)",
    Bar.EXCLUDED: "этому оператору Ваше обращение незадолго до этого уже предлагалось; "
    "повторно тому же оператору оно предлагается не сразу (правило P6)",
    Bar.PREFERENCE: "Ваше обращение в это время ожидало оператора, который отвечал Вам прежде "
    "(правило P7)",
}

_ENDS: Mapping[Disposition, str] = {
    Disposition.ANSWERED: "Обращение завершено.",
    Disposition.SELF_SERVED: "Ответ дан в записи, которую Вы прослушали.",
    Disposition.ANSWERED_BY_ANNOUNCEMENT: "Ответ дан в записанном объявлении.",
    Disposition.ABANDONED_MENU: "Соединение завершено с Вашей стороны до постановки в очередь.",
    Disposition.ABANDONED_SHORT: "Соединение завершено с Вашей стороны до ответа оператора.",
    Disposition.ABANDONED: "Соединение завершено с Вашей стороны до ответа оператора.",
    Disposition.TIMEOUT: "Истёк предельный срок ожидания, установленный для этой очереди.",
    Disposition.NO_AGENT: "На работе не было операторов, которые могли бы ответить.",
    Disposition.CLOSED: "Приём обращений в эту очередь был закрыт.",
    Disposition.FULL: "Мест в очереди не было, и свободных операторов тоже.",
    Disposition.BLOCKED: "Обращение отклонено: номер находится в списке запрещённых.",
    Disposition.MISDIRECTED: "Вопрос не относится к ведению этой службы.",
    Disposition.FAILED_OPEN: "Обращение ожидало в резервной очереди и осталось без ответа.",
    Disposition.SYSTEM_FAILED: "Обращение прервано из-за сбоя системы.",
    Disposition.NO_ANSWER: "Оператор звонил Вам, ответа не было.",
    Disposition.BUSY: "Оператор звонил Вам, линия была занята.",
    Disposition.DECLINED: "Оператор звонил Вам, вызов был отклонён.",
    Disposition.UNREACHABLE: "Оператор звонил Вам, соединение установить не удалось.",
    Disposition.CANCELLED: "Оператор звонил Вам и прервал вызов до ответа.",
    Disposition.BARRED: "Исходящий вызов не был разрешён и не состоялся.",
    Disposition.RETURNED: "Оператор нашего центра не ответил; обращение осталось в своём центре.",
}

_DETACHED = (
    "Из-за перерыва в работе системы обращение ожидает в резервной очереди; Ваше место сохранено."
)
_EMPTY: Mapping[str, str] = {
    "joinempty": "Не было операторов, которые могли бы принять обращение, и в очередь оно "
    "не поставлено",
    "leavewhenempty": "Не осталось операторов, которые могли бы принять обращение",
}
"""How a queue without operators ended the waiting, by the config's key."""

_SENT_ON = "Обращение направлено туда по настройкам прежней очереди"
_RESUMES = (
    "Вам возвращено место, которое Вы занимали до обрыва связи: ожидание считается с первого "
    "обращения."
)
_PARKED = (
    "Оператор принял срочный вызов; после него он возвращается к Вашему обращению (правило P8)."
)
_FIRST_IN_LINE = (
    "Освободился оператор, и Ваше обращение было первым из тех, на которые он мог ответить: "
    "оно ему предложено (правило P2)."
)

_OFFER_ENDS: Mapping[str, str] = {
    "refused": "Оператор отклонил вызов.",
    "no_answer": "Оператор не ответил на вызов.",
    "busy": "Телефон оператора оказался занят.",
    "unreachable": "Телефон оператора оказался недоступен.",
    "rescinded": "Вызов оператору отозван системой.",
}


def plural(n: int, one: str, few: str, many: str) -> str:
    """Return the form of a noun that a number asks for: 1 обращение, 2 обращения, 5 обращений."""
    if n % 100 in range(11, 15):
        return many
    return one if n % 10 == 1 else few if n % 10 in (2, 3, 4) else many


def duration(us: int) -> str:
    """Return «1 ч 2 мин 3 с», whole seconds, cut off."""
    minutes, rest = divmod(us // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} ч" if hours else "", f"{minutes} мин" if hours or minutes else ""]
    return " ".join([*(part for part in parts if part), f"{rest} с"])


class Answer:
    """The answer to one citizen, in the center's local time."""

    def __init__(self, told: Explanation, zone: ZoneInfo) -> None:
        self._told = told
        self._zone = zone

    def text(self) -> str:
        """Return the answer."""
        told = self._told
        day = self._local(told.moments[0].at)
        lines = [
            f"Обращение № {told.number}" if told.number else "Обращение",
            f"{day.day} {_MONTHS[day.month - 1]} {day.year} г., время {self._zone.key}",
            "",
        ]
        for moment in told.moments:
            sentences = self._moment(moment)
            if sentences:
                lines.append(f"{self._local(moment.at):%H:%M:%S}  {' '.join(sentences)}")
        return "\n".join([*lines, "", *self._end()])

    def _local(self, at: Instant) -> datetime:
        return (_EPOCH + timedelta(microseconds=at)).astimezone(self._zone)

    def _end(self) -> list[str]:
        told = self._told
        lines = []
        elsewhere = sum(told.passed_by.values())
        if elsewhere:
            lines.append(
                "Пока Вы ожидали, операторы, которые не могли ответить на Ваше обращение, "
                f"получили из других очередей {elsewhere} "
                f"{plural(elsewhere, 'обращение', 'обращения', 'обращений')}, "
                f"{plural(elsewhere, 'поступившее', 'поступивших', 'поступивших')} позже Вашего."
            )
        versions = ", ".join(dict.fromkeys(moment.version for moment in told.moments))
        lines.append(
            "Решения приняты автоматически по правилам распределения обращений (P0–P10), "
            f"одинаковым для всех; версия настроек: {versions}."
        )
        if told.differences:
            lines.append(
                "ВНИМАНИЕ: повторный расчёт расходится с журналом событий, поэтому эти сведения "
                "не подтверждены и требуют проверки."
            )
        else:
            lines.append("Сведения подтверждены повторным расчётом по журналу событий.")
        return lines

    # --- moments -----------------------------------------------------------------------------

    def _moment(self, moment: Moment) -> list[str]:
        tellers: Mapping[What, Callable[[Moment], list[str]]] = {
            What.STARTED: self._started,
            What.QUEUED: self._queued,
            What.WAITS: self._waits,
            What.STEP: _step,
            What.CONFIG: lambda m: [f"Вступила в силу новая версия настроек: {m.version}."],
            What.OVERTAKEN: _overtaken,
            What.OFFERED: _offered,
            What.SENT: _sent,
            What.OFFER_ENDED: _offer_ended,
            What.ANSWERED: _answered,
            What.TRANSFERRED: _transferred,
            What.PRIORITY: _priority,
            What.PARKED: lambda _: [_PARKED],
            What.RESUMED: lambda _: ["Оператор вернулся к Вашему обращению."],
            What.DETACHED: lambda _: [_DETACHED],
            What.ATTACHED: lambda _: ["Обращение возвращено в основную очередь на прежнее место."],
            What.TREATED: self._treated,
            What.ENDED: self._ended,
        }
        teller = tellers.get(moment.what)
        return [] if teller is None else teller(moment)

    def _started(self, _moment: Moment) -> list[str]:
        medium = self._told.medium
        if self._told.owner:
            owner = self._told.owner
            return [f"Для обращения в центр «{owner}» придержан свободный оператор (правило P10)."]
        return ["Вы обратились к нам" + (f" {_MEDIA[medium]}." if medium is not None else ".")]

    def _title(self, queue: QueueId | None) -> str:
        title = self._told.titles.get(queue, "") if queue is not None else ""
        return f"«{title or queue}»"

    def _queued(self, moment: Moment) -> list[str]:
        assert moment.place is not None
        category = _CLASSES[moment.place.contact_class]
        title = self._title(moment.queue)
        sentences = [f"Обращение поставлено в очередь {title}. Категория: {category}."]
        if moment.reason:
            sentences.append(f"{_SENT_ON} (правило {moment.rules[-1]}).")
        if moment.by_supervisor:
            sentences.append("Перевёл старший смены; время постановки в очередь сохранено.")
        if moment.resumes is not None:
            sentences.append(_RESUMES)
        return sentences

    def _waits(self, moment: Moment) -> list[str]:
        before = len(moment.before)
        ahead = "Перед Вами в очереди никого не было."
        if before:
            noun = plural(before, "обращение", "обращения", "обращений")
            ahead = f"Перед Вами в очереди было {before} {noun}."
        return [
            "Свободных операторов, которые могли бы ответить, не было (правило P1).",
            *_at_work(moment.candidates),
            ahead,
        ]

    def _treated(self, moment: Moment) -> list[str]:
        rule = f"(правило {moment.rules[0]})"
        end = _EMPTY.get(moment.reason, _ENDS[Disposition(moment.outcome)]).removesuffix(".")
        return [f"{end} {rule}."]

    def _ended(self, moment: Moment) -> list[str]:
        treated = any(m.what is What.TREATED for m in self._told.moments)
        answered = any(m.what is What.ANSWERED for m in self._told.moments)
        sentences = ["Обращение завершено." if treated else _ENDS[Disposition(moment.outcome)]]
        if moment.wait_us is not None and not answered:
            sentences.append(f"Вы ожидали {duration(moment.wait_us)}.")
        return sentences


def _at_work(candidates: Iterable[Candidate]) -> list[str]:
    """Tell what those at work were doing who might have answered, in numbers."""
    doing: Counter[str] = Counter()
    kept = False
    for candidate in candidates:
        bars = {o.bar for o in worth_telling(candidate.obstacles)}
        if bars & UNSKILLED or bars & {Bar.OFFLINE, Bar.REMOVED}:
            continue
        kept = kept or Bar.PREFERENCE in bars
        bars.discard(Bar.PREFERENCE)
        state = next((words for words, which in _STATES if bars & which), "свободны")
        doing[state] += 1
    if not doing:
        return ["Операторов с нужной подготовкой на работе не было."]
    order = [*(words for words, _ in _STATES), "свободны"]
    parts = [f"{words}: {doing[words]}" for words in order if doing[words]]
    total = sum(doing.values())
    sentences = [f"Операторов с нужной подготовкой на работе: {total}; {'; '.join(parts)}."]
    if kept:
        sentences.append("Обращение ожидало оператора, который отвечал Вам прежде (правило P7).")
    return sentences


def _priority(moment: Moment) -> list[str]:
    assert moment.place is not None
    category = _CLASSES[moment.place.contact_class]
    by = " старшим смены" if moment.by_supervisor else ""
    return [f"Обращению{by} установлена другая очерёдность; категория: {category} (правило P2)."]


def _step(moment: Moment) -> list[str]:
    wider = _widens(moment.former or {}, moment.requirement)
    if wider:
        what = "круг операторов, которые могут ответить, стал шире"
    else:
        what = "изменились требования к подготовке оператора"
    return [f"По времени ожидания {what} (правило P3)."]


def _widens(former: Requirement, now: Requirement) -> bool:
    """Return whether everybody who met the former requirement meets the present one."""
    return all(former.get(skill, 0) >= level for skill, level in now.items())


def _overtaken(moment: Moment) -> list[str]:
    head = "Раньше Вашего оператору передано обращение, поступившее позже."
    if moment.part is None:
        bar = moment.obstacles[0].bar if moment.obstacles else Bar.OTHER
        why = _COULD_NOT.get(bar, "этот оператор не мог принять Ваше обращение")
        return [head, f"Причина: {why}."]
    assert moment.other is not None
    why = _OVERTAKEN[moment.part]
    if moment.part is Part.CLASS and moment.other.contact_class is ContactClass.EMERGENCY:
        why = "оно относится к экстренным, а они принимаются раньше всех остальных"
    return [head, f"Причина: {why} (правило {moment.part.rule})."]


def _offered(moment: Moment) -> list[str]:
    decision = moment.decision
    assert decision is not None
    match decision.rule:
        case Rule.KEPT:
            return ["Обращение поступило к нам и предложено этому оператору."]
        case Rule.TRANSFER:
            return ["Обращение передано другому оператору."]
        case Rule.P1:
            one = len(decision.agents) == 1
            whom = "свободному оператору" if one else "всем свободным операторам"
            return [f"Обращение предложено {whom} (правило P1)."]
        case Rule.P2:
            return [_FIRST_IN_LINE]


def _sent(moment: Moment) -> list[str]:
    assert moment.agent_id is not None
    center, _, _ = moment.agent_id.partition(ABROAD)
    return [
        f"Обращение направлено в центр «{center}», к свободному оператору (правило P10).",
        "Ваше место в очереди здесь сохранено.",
    ]


def _offer_ended(moment: Moment) -> list[str]:
    what = _OFFER_ENDS.get(moment.outcome)
    if what is not None and moment.agent_id is not None and is_abroad(moment.agent_id):
        return ["Оператор другого центра не ответил; обращение вернулось на своё место в очереди."]
    # Without words: the citizen left while it rang, which the end tells.
    return [] if what is None else [what, "Ваше место в очереди сохранено (правило P6)."]


def _answered(moment: Moment) -> list[str]:
    fallback = moment.outcome == "fallback"
    sentences = ["Оператор ответил через резервную очередь." if fallback else "Оператор ответил."]
    if moment.agent_id is not None and is_abroad(moment.agent_id):
        sentences = ["Оператор другого центра ответил."]
    if moment.wait_us is not None:
        sentences.append(f"Вы ожидали {duration(moment.wait_us)}.")
    return sentences


def _transferred(moment: Moment) -> list[str]:
    if moment.outcome == "media_lost":
        return ["Соединение с оператором прервалось; Ваше место в очереди сохранено."]
    return ["Оператор передал обращение дальше."]
