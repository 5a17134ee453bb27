"""Every mistake is refused at its place, with what was found, what is expected, and a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.config.loader import check
from tests.config.cities import tiny_city
from tests.config.collector_cases import COLLECTOR_CASES
from tests.config.federation_cases import FEDERATION_CASES

REPORTS = 'reports: [{what: day, at: "07:30", to: a@example.org}]\n'
MAILING = (
    "mail: {host: mail.example.org, from: gkc@example.org}\n"
    "recipients: {mvd: {title: МВД, services: [mvd]}}\n" + REPORTS
)


def mailing(old: str, new: str, end: str = "calendars:\n") -> str:
    """Return sections by which a report is mailed, with one text replaced, before ``end``."""
    assert MAILING.count(old) == 1, old
    return MAILING.replace(old, new) + end


def outbound(**keys: str) -> str:
    """Return a section ``outbound:`` that is right but for ``keys``, before the services."""
    right = {
        "allow": '["+7"]',
        "dial": '"PJSIP/{number}@out"',
        "caller_id": '"+74957777777"',
    }
    body = ", ".join(f"{key}: {value}" for key, value in {**right, **keys}.items() if value)
    return f"outbound: {{{body}}}\nservices:\n"


HOOK = "webhooks: {hook: {url: '%s', secret: s3cret}}\n"

# (what, the tiny city's text, what it is replaced by)
CASES: list[tuple[str, str, str]] = [
    ("unknown key", "    wrapuptime: 5s", "    wrapup: 5s"),
    ("unknown section", "services:\n", "servises:\n"),
    ("Asterisk's word", "    maxlen: 20", "    retry: 5s"),
    ("Asterisk's strategy", "    maxlen: 20", "    strategy: leastrecent"),
    ("duration in words", "timeout: 15s", "timeout: 15 sec"),
    ("bare duration", "timeout: 15s", "timeout: 15"),
    ("negative duration", "timeout: 15s", "timeout: -15s"),
    ("zero timeout", "timeout: 15s", "timeout: 0s"),
    ("huge duration", "timeout: 15s", "timeout: 9999d"),
    ("nothing for a duration", "timeout: 15s", "timeout:"),
    ("negative number", "maxlen: 20", "maxlen: -1"),
    ("text for a number", "maxlen: 20", "maxlen: many"),
    ("fraction for a number", "maxlen: 20", "maxlen: 2.5"),
    ("truth for a number", "maxlen: 20", "maxlen: true"),
    ("number for a text", "title: Общая", "title: 17"),
    ("empty text", "title: Общая", 'title: ""'),
    ("list for a mapping", "require: {passport: 3}", "require: [passport]"),
    ("mapping for a list", "relax: [{after: 30s, require: {passport: 1}}]", "relax: {after: 30s}"),
    ("level over 10", "require: {passport: 3}", "require: {passport: 11}"),
    ("level 0", "skills: {passport: 1}", "skills: {passport: 0}"),
    ("missing key", "    title: Общая", "    timeout: 5s"),
    ("missing section", "---\ncenter:", "---\ncentre:"),
    ("unknown skill in a queue", "require: {passport: 3}", "require: {pasport: 3}"),
    ("unknown skill in a step", "require: {passport: 1}}]", "require: {pass: 1}}]"),
    ("unknown skill of an operator", "skills: {passport: 1}}", "skills: {pasports: 1}}"),
    ("unknown service", "service: mvd", "service: mwd"),
    ("unknown calendar", "hours: workdays", "hours: workday"),
    ("unknown fallback", "fallback: general", "fallback: generel"),
    ("unknown queue in a treatment", "{then: queue general}", "{then: queue gen}"),
    ("treatment without sense", "{then: queue general}", "{then: go general}"),
    ("unknown announcement", "{then: queue general}", "{say: sorry, then: hangup}"),
    ("a queue moving to itself", "fallback: general", "fallback: passport"),
    (
        "steps out of order",
        "{after: 30s, require: {passport: 1}}]",
        "{after: 30s, require: {passport: 2}}, {after: 20s, require: {passport: 1}}]",
    ),
    (
        "queue nobody can serve",
        "[{after: 30s, require: {passport: 1}}]",
        "[{after: 30s, require: {english: 3}}]\n    medium: email",
    ),
    ("unknown class", "maxlen: 20", "class: urgent"),
    ("no state of an operator", "maxlen: 20", "joinempty: [paused, away]"),
    ("a word for no list of states", "maxlen: 20", "leavewhenempty: maybe"),
    ("Asterisk's penalty", "maxlen: 20", "joinempty: [penalty, paused]"),
    (
        "a medium beside itself",
        "timezone: Europe/Moscow}",
        "timezone: Europe/Moscow, blending: {voice: {excludes: [email, voice]}}}",
    ),
    (
        "media that interrupt each other",
        "Moscow}",
        "Moscow, blending: {voice: {interrupts: [chat]}, chat: {interrupts: [voice]}}}",
    ),
    ("guard-rail of no queue", "services:\n", "guardrails: {pasport: {sl_min: 0.8}}\nservices:\n"),
    ("guard-rail in percent", "services:\n", "guardrails: {passport: {sl_min: 80}}\nservices:\n"),
    ("guard-rail of nothing", "services:\n", "guardrails: {passport: {}}\nservices:\n"),
    ("retention of no list", "services:\n", "retention: {legs: 30d}\nservices:\n"),
    ("retention at no time", "services:\n", 'retention: {at: "24:00"}\nservices:\n'),
    ("retention of days", "services:\n", "retention: {citizens: 365}\nservices:\n"),
    ("retention of everything", "services:\n", 'retention: {files: {"/*": 30d}}\nservices:\n'),
    *(
        (f"alert: {what}", "services:\n", f"alerts: [{{name: a, {keys}}}]\nservices:\n")
        for what, keys in {
            "unknown measure": "when: wait, above: 3",
            "a number for a wait": "when: longest_wait, above: 60",
            "a wait for a number": "when: waiting, above: 60s",
            "no threshold": "when: waiting",
            "the wrong side": "when: service_level, above: 0.8",
            "a share in percent": "when: abandon_rate, above: 10",
            "a threshold of what is or is not": "when: ami_down, above: 1",
            "over where it begins": "when: waiting, above: 5, clear: 9",
            "a queue of the engine": "when: disk_free, below: 0.1, queue: passport",
            "unknown queue": "when: waiting, above: 5, queue: pasport",
            "unknown calendar": "when: waiting, above: 5, quiet: [night]",
            "unknown way": "when: waiting, above: 5, to: [log, chat]",
            "no way": "when: waiting, above: 5, to: []",
            "no address": "when: waiting, above: 5, to: ['@example.org']",
        }.items()
    ),
    (
        "alert twice",
        "services:\n",
        "alerts: [{name: a, when: ami_down}, {name: a, when: no_staff}]\nservices:\n",
    ),
    ("webhook secret in clear", "services:\n", f"{HOOK % 'https://example.org'}services:\n"),
    ("webhook to no URL", "services:\n", f"{HOOK % 'example.org/hook'}services:\n"),
    ("webhook with a password", "services:\n", f"{HOOK % 'https://a:b@example.org'}services:\n"),
    *(
        (name, "services:\n", f"thresholds: {text}\nservices:\n")
        for name, text in (
            ("thresholds of no queue", "{queues: {gen: {waiting: {warn: 1, bad: 2}}}}"),
            ("a bad milder than warn", "{longest_wait: {warn: 3m, bad: 1m}}"),
            ("a floor upside down", "{service_level: {warn: 0.6, bad: 0.8}}"),
            ("half a threshold", "{abandon_rate: {bad: 0.1}}"),
            ("a queue's thresholds of nothing", "{queues: {general: {}}}"),
        )
    ),
    ("menu and queue for a number", "{ivr: main}", "{ivr: main, queue: general}"),
    ("nowhere for a number", "{ivr: main}", "{title: Город}"),
    ("unknown menu for a number", "{ivr: main}", "{ivr: mian}"),
    ("same number twice", '"+74951112233"', '"8 (495) 777-77-77"'),
    ("not a number", '"+74951112233"', '"+7495q112233"'),
    ("emergency number", '"+74951112233"', '"112"'),
    ("secret in clear", "secret: env:GKC_AMI_SECRET", "secret: hunter2"),
    ("PIN in clear", "pin: env:PIN_101", "pin: 4711"),
    ("doubled PIN", "PJSIP/202,", "PJSIP/202, pin: env:PIN_101,"),
    ("doubled interface", "PJSIP/202", "PJSIP/201"),
    ("another technology", "PJSIP/202", "SIP/102"),
    ("a way out in the interface", "PJSIP/202", "PJSIP/202&PJSIP/1@trunk"),
    ("unknown login", "login: always", "login: allways"),
    ("unknown zone", "Europe/Moscow", "Europe/Moskow"),
    ("prefix too long", "prefix: ТСТ", "prefix: ТСТТСТТСТ"),
    ("language not spoken", "{language: ru, menu: topics}", "{language: tt, menu: topics}"),
    (
        "language not of the center",
        "timezone: Europe/Moscow}",
        "timezone: Europe/Moscow, languages: [ru]}",
    ),
    (
        "a language twice",
        "timezone: Europe/Moscow}",
        "timezone: Europe/Moscow, languages: [ru, ru]}",
    ),
    ("unreachable menu", '"1": {language: ru, menu: topics}', '"1": {queue: passport}'),
    ("menus in a circle", "    on_timeout: {queue: general}", "    on_timeout: {menu: topics}"),
    (
        "article without end",
        "    on_timeout: {queue: general}",
        "    on_timeout: {article: documents}",
    ),
    ("silence leads nowhere", "    on_timeout: {queue: general}\n", ""),
    (
        "two ways at once",
        "{queue: passport}\n    on_timeout: {menu: main}",
        "{queue: passport, menu: main}\n    on_timeout: {menu: main}",
    ),
    ("class without queue", "{language: ru, menu: topics}", "{class: emergency, menu: topics}"),
    (
        "no choice at all",
        '      "1": {language: ru, menu: topics}\n      "2": {language: en, queue: general}\n',
        "",
    ),
    ("not a digit", '"2": {queue: passport}', '"12": {queue: passport}'),
    ("choice to an unknown menu", "menu: topics}}", "menu: topic}}"),
    ("missing prompt", "prompt: welcome", "prompt: welcom"),
    ("prompt without English", "{ru: Здравствуйте., en: Hello.}", "{ru: Здравствуйте.}"),
    ("prompt without sound", "documents: {ru", "extra: {ru: Да, en: Yes}\n  documents: {ru"),
    ("hours that end before they begin twice", '"14:00-18:00"', '"18:00"'),
    ("25 o'clock", '"14:00-18:00"', '"14:00-25:00"'),
    ("overlapping hours", '"14:00-18:00"', '"12:00-18:00"'),
    ("not a weekday", "mon-fri:", "mon-fry:"),
    ("a weekday twice", "mon-fri: [", 'fri-sat: ["09:00-10:00"], mon-fri: ['),
    ("not a date", "    holidays: RU", '    dates: {"2026-02-30": []}'),
    ("a calendar that never opens", '["09:00-13:00", "14:00-18:00"]', "[]"),
    ("names alike", "  general:\n", "  Passport: {title: П}\n  general:\n"),
    ("name with a blank", "  general:\n", "  gen eral: {title: П}\n  general:\n"),
    ("duplicate key", "    maxlen: 20", "    timeout: 20s"),
    ("duplicate section", "ivr:\n", "skills: {a: А}\nivr:\n"),
    ("anchor", "{passport: 3}", "&need {passport: 3}"),
    ("alias", "fallback: general", "fallback: *general"),
    ("tag", "maxlen: 20", "maxlen: !!int 20"),
    ("python tag", "maxlen: 20", "maxlen: !!python/object/apply:os.system [id]"),
    ("deep nesting", "{passport: 3}", "[" * 5000 + "]" * 5000),
    ("tabs", "    maxlen: 20", "\tmaxlen: 20"),
    ("unclosed quote", "title: Общая", 'title: "Общая'),
    ("unclosed brace", "{passport: 3}", "{passport: 3"),
    ("control character", "title: Общая", 'title: "Об\\u0007щая"'),
    ("lone surrogate", "title: Общая", 'title: "\\uD800"'),
    ("a second document", "calendars:\n", "---\ncalendars:\n"),
    ("a directive", "---\ncenter", "%YAML 1.1\n---\ncenter"),
    ("an endless text", "title: Общая", "title: " + "я" * 9000),
    ("text after the end", "\n...\n", "\n...\nqueues: {}\n"),
    ("reports without mail", "calendars:\n", REPORTS + "calendars:\n"),
    ("no address", "calendars:\n", mailing("to: a@example.org", "to: a.example.org")),
    (
        "a header in an address",
        "calendars:\n",
        mailing("a@example.org", '"a@b.org\\nBcc: c@d.org"'),
    ),
    ("no address in a list", "calendars:\n", mailing("to: a@example.org", "to: [b@c.org, nobody]")),
    ("an address twice", "calendars:\n", mailing("to: a@example.org", "to: [b@c.org, B@c.org]")),
    ("a report for nobody", "calendars:\n", mailing(", to: a@example.org", "")),
    (
        "a report for a recipient without address",
        "calendars:\n",
        mailing("to: a@example.org", "recipient: mvd"),
    ),
    (
        "unknown recipient of a report",
        "calendars:\n",
        mailing("to: a@example.org", "recipient: mwd"),
    ),
    (
        "unknown service of a recipient",
        "calendars:\n",
        mailing("services: [mvd]", "services: [mvd, mdv]"),
    ),
    (
        "unknown service of a report",
        "calendars:\n",
        mailing("what: day", "what: day, service: mwd"),
    ),
    (
        "another's service for a recipient",
        "services:\n  mvd: {title: МВД}\n",
        "services:\n  mvd: {title: МВД}\n  zags: {title: ЗАГС}\n"
        + mailing("what: day", "what: day, recipient: mvd, service: zags", end=""),
    ),
    (
        "another's queue for a recipient",
        "calendars:\n",
        mailing("what: day", "what: day, recipient: mvd, queue: general"),
    ),
    (
        "unknown queue of a report",
        "calendars:\n",
        mailing("what: day", "what: day, queue: pasport"),
    ),
    (
        "operators of one service",
        "calendars:\n",
        mailing("what: day", "what: operators, service: mvd"),
    ),
    ("no time of day", "calendars:\n", mailing('"07:30"', '"7:30"')),
    ("no such hour", "calendars:\n", mailing('"07:30"', '"24:00"')),
    ("no such report", "calendars:\n", mailing("what: day", "what: daily")),
    ("two periods", "calendars:\n", mailing("what: day", "what: day, period: week")),
    ("no day of the week", "calendars:\n", mailing("what: day", "what: day, days: workdays")),
    ("no such format", "calendars:\n", mailing("what: day", "what: day, format: docx")),
    (
        "two reports of one name",
        "calendars:\n",
        mailing("{what: day", '{what: day, at: "08:00", to: b@c.org}, {what: day'),
    ),
    (
        "a mail password in clear",
        "calendars:\n",
        mailing("from:", "user: gkc, secret: hunter2, from:"),
    ),
    ("a user without a password", "calendars:\n", mailing("from:", "user: gkc, from:")),
    ("mail from nobody", "calendars:\n", mailing(", from: gkc@example.org", "")),
    ("a sender with a name", "calendars:\n", mailing("gkc@example.org", '"ГКЦ <gkc@example.org>"')),
    ("calls out to everywhere", "services:\n", outbound(allow='["+"]')),
    ("calls out without a list", "services:\n", outbound(allow="")),
    (
        "calls out by another technology",
        "services:\n",
        outbound(dial='"Local/{number}@out"'),
    ),
    (
        "calls out with an option smuggled in",
        "services:\n",
        outbound(dial='"PJSIP/{number}@out,60,T"'),
    ),
    ("calls out as nobody", "services:\n", outbound(caller_id="anonymous")),
    (
        "calls out denied altogether",
        "services:\n",
        outbound(allow='["+7495"]', deny='["+7"]'),
    ),
    ("a night without end", "services:\n", outbound(night='{from: "21:00", to: "21:00"}')),
    ("a night of 25 hours", "services:\n", outbound(night='{from: "21:00", to: "25:00"}')),
    (
        "nightly calls that are not allowed",
        "services:\n",
        outbound(night='{from: "21:00", to: "09:00", allow: ["+8"]}'),
    ),
    ("no calls at all in an hour", "services:\n", outbound(caps="{per_operator_hour: 0}")),
    ("metrics on no port", "calendars:\n", "metrics: {port: 70000}\ncalendars:\n"),
    *FEDERATION_CASES,
    *COLLECTOR_CASES,
]
EXPECTED = Path(__file__).with_name("bad_configs.txt")


def reported(folder: Path, old: str, new: str) -> list[str]:
    lines = [str(p) for p in check(tiny_city(folder, (old, new)))]
    return [line.replace(f"{folder}/", "").replace(str(folder), "DIR") for line in lines]


def expectations() -> dict[str, list[str]]:
    cases: dict[str, list[str]] = {}
    name = ""
    for line in EXPECTED.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            cases[name].append(line.strip())
        elif line:
            name = line
            cases[name] = []
    return cases


@pytest.mark.parametrize(("name", "old", "new"), CASES, ids=[case[0] for case in CASES])
def test_a_mistake_is_refused_at_its_place(name: str, old: str, new: str, tmp_path: Path) -> None:
    assert reported(tmp_path, old, new) == expectations()[name]


def test_every_case_is_reviewed_and_refused() -> None:
    expected = expectations()
    assert sorted(expected) == sorted(case[0] for case in CASES)
    assert all(expected.values())


def test_the_unedited_city_has_no_problem(tmp_path: Path) -> None:
    assert check(tiny_city(tmp_path)) == []
