"""The city's policy: a center may be stricter, never laxer in what is locked."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gkc_engine.config.calendar_model import CalendarModel
from gkc_engine.config.hours import Spans, day_spans, is_open
from gkc_engine.config.loader import inspect, load_config
from gkc_engine.config.policy_checks import LOCKABLE, STANDARDS
from gkc_engine.config.policy_hours import DATED_DAYS_MAX, first_gap
from gkc_engine.config.policy_model import PolicyQueueModel
from gkc_engine.config.reload import diff
from gkc_engine.ids import SECOND, Instant
from tests.config.cities import tiny_city

Edit = tuple[str, str]

GUARDED = "guardrails: {passport: {sl_min: 0.8, abandoned_max: 0.1, asa_max: 30s, p90_max: 1m}}\n"
KEEPS_TO_IT: tuple[Edit, ...] = (
    ("services:\n", f"{GUARDED}services:\n"),
    ("    wrapuptime: 5s\n", "    servicelevel: 20s\n    short_abandon: 5s\n    maxwait: 20m\n"),
)
WEEK = '{mon-fri: ["09:00-13:00", "14:00-18:00"]}\n'
POLICY = f"""---
policy:
  locked: [{", ".join(LOCKABLE)}]
  skills: {{passport: Паспорта}}
  services: {{mvd: {{title: МВД}}}}
  queues:
    passport:
      servicelevel: 20s
      short_abandon: 5s
      maxwait: 20m
      sl_min: 0.8
      abandoned_max: 0.1
      asa_max: 30s
      p90_max: 1m
      hours: days
    nowhere: {{maxwait: 1s}}
  calendars:
    days:
      week: {WEEK}      holidays: RU
...
"""


def edited(text: str, edits: tuple[Edit, ...]) -> str:
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def city(folder: Path, *edits: Edit, policy: tuple[Edit, ...] = ()) -> Path:
    """Write a city that keeps to the policy but for ``edits``, and the policy but for its own."""
    tiny_city(folder, *KEEPS_TO_IT, *edits)
    (folder / "policy.yaml").write_text(edited(POLICY, policy), "utf-8")
    return folder


def told(folder: Path, *edits: Edit, policy: tuple[Edit, ...] = ()) -> list[str]:
    """Return what ``gkc check`` says of it, the warnings too."""
    outcome = inspect(city(folder, *edits, policy=policy))
    found = [*outcome.problems, *(w for w in outcome.warnings if w.path != "pbx")]
    return [str(one).replace(f"{folder}/", "") for one in found]


def test_who_keeps_to_it_hears_nothing(tmp_path: Path) -> None:
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sl_min: 0.8", "sl_min: 0.9"),
        ("abandoned_max: 0.1", "abandoned_max: 0.05"),
        ("asa_max: 30s", "asa_max: 29s"),
        ("p90_max: 1m", "p90_max: 59s"),
        ("servicelevel: 20s", "servicelevel: 19999ms"),
        ("short_abandon: 5s", "short_abandon: 0s"),
        ("maxwait: 20m", "maxwait: 1m"),
        ("    hours: workdays\n", ""),
        ('"14:00-18:00"', '"13:00-24:00"'),
        (WEEK, f'{WEEK}    holiday_hours: ["10:00-12:00"]\n'),
        ("mvd: {title: МВД}", "mvd: {title: МВД, body: ГУ МВД}"),
    ],
)
def test_a_center_may_be_stricter(old: str, new: str, tmp_path: Path) -> None:
    found = told(tmp_path, (old, new))
    assert [one for one in found if "(warning)" not in one and "policy" in one] == []


@pytest.mark.parametrize(
    ("old", "new", "said", "place"),
    [
        (
            "servicelevel: 20s",
            "servicelevel: 20001ms",
            "city.yaml:20:19: queues.passport.servicelevel: found 20001ms, expected 20s or less",
            "8:21",
        ),
        (
            "short_abandon: 5s",
            "short_abandon: 6s",
            "city.yaml:21:20: queues.passport.short_abandon: found 6s, expected 5s or less",
            "9:22",
        ),
        (
            "    maxwait: 20m\n",
            "",
            "city.yaml:15:5: queues.passport.maxwait: found nothing, expected 20m or less",
            "10:16",
        ),
        (
            "sl_min: 0.8",
            "sl_min: 0.79",
            "city.yaml:10:33: guardrails.passport.sl_min: found 0.79, expected 0.8 or more",
            "11:15",
        ),
        (
            "sl_min: 0.8, ",
            "",
            (
                "city.yaml:14:3: queues.passport: found no guardrails.passport.sl_min, "
                "expected 0.8 or more"
            ),
            "11:15",
        ),
        (
            "abandoned_max: 0.1",
            "abandoned_max: 0.11",
            "city.yaml:10:53: guardrails.passport.abandoned_max: found 0.11, expected 0.1 or less",
            "12:22",
        ),
        (
            "asa_max: 30s",
            "asa_max: 1m",
            "city.yaml:10:67: guardrails.passport.asa_max: found 1m, expected 30s or less",
            "13:16",
        ),
        (
            "p90_max: 1m",
            "p90_max: 61s",
            "city.yaml:10:81: guardrails.passport.p90_max: found 61s, expected 1m or less",
            "14:16",
        ),
        (
            "skills: {passport: Паспорта,",
            "skills: {passport: Документы,",
            'city.yaml:9:20: skills.passport: found "Документы", expected "Паспорта"',
            "4:22",
        ),
        (
            "  mvd: {title: МВД}",
            "  mvd: {title: УМВД}",
            'city.yaml:12:16: services.mvd.title: found "УМВД", expected "МВД"',
            "5:27",
        ),
        (
            '"14:00-18:00"',
            '"14:00-17:00"',
            (
                "city.yaml:48:21: calendars.workdays.week.mon-fri: found 09:00-13:00, "
                "14:00-17:00 on mon, expected 09:00-13:00, 14:00-18:00 at least for passport"
            ),
            "19:23",
        ),
        (
            "    holidays: RU\n",
            "    holidays: RU\n    timezone: Asia/Omsk\n",
            (
                'city.yaml:50:15: calendars.workdays.timezone: found "Asia/Omsk", expected '
                "Europe/Moscow"
            ),
            "19:7",
        ),
    ],
)
def test_who_loosens_is_refused_with_both_places(
    old: str, new: str, said: str, place: str, tmp_path: Path
) -> None:
    locked = f"the city's policy locks it (policy.yaml:{place})"
    assert told(tmp_path, (old, new)) == [f"{said}: {locked}"]


def test_a_default_is_a_value_like_another(tmp_path: Path) -> None:
    stricter = ("servicelevel: 20s", "servicelevel: 15s")
    [said] = told(tmp_path, ("    servicelevel: 20s\n", ""), policy=(stricter,))
    assert "queues.passport.servicelevel: found 20s, the default, expected 15s or less" in said


def test_a_skill_and_a_service_may_not_go(tmp_path: Path) -> None:
    more = (
        ("{passport: Паспорта}", "{passport: Паспорта, tatar: Татарский}"),
        ("{mvd: {title: МВД}}", "{mvd: {title: МВД}, zags: {title: ЗАГС}}"),
    )
    assert told(tmp_path, policy=more) == [
        (
            "city.yaml:9:1: skills: found no tatar, expected tatar: Татарский: "
            "the city's policy locks it (policy.yaml:4:39)"
        ),
        (
            "city.yaml:11:1: services: found no zags, expected zags: {title: ЗАГС}: "
            "the city's policy locks it (policy.yaml:5:39)"
        ),
    ]


def test_what_the_policy_names_may_stand_unused(tmp_path: Path) -> None:
    """A center has every skill of the city, also those that none of its queues asks for."""
    own = ("skills: {passport: Паспорта,", "skills: {tatar: Татарский, passport: Паспорта,")
    more = ("{passport: Паспорта}", "{passport: Паспорта, tatar: Татарский}")
    assert told(tmp_path, own, policy=(more,)) == []


def test_a_service_may_stand_without_a_queue(tmp_path: Path) -> None:
    own = ("services:\n", "services:\n  zags: {title: ЗАГС}\n")
    more = ("{mvd: {title: МВД}}", "{mvd: {title: МВД}, zags: {title: ЗАГС}}")
    assert told(tmp_path, own, policy=(more,)) == []


def test_the_body_of_a_service_is_the_citys_too(tmp_path: Path) -> None:
    own = ("{title: МВД}", "{title: МВД, body: УМВД}")
    (said,) = told(tmp_path, own, policy=(("{title: МВД}", "{title: МВД, body: ГУ МВД}"),))
    assert 'services.mvd.body: found "УМВД", expected "ГУ МВД": the city' in said
    assert "locks it (policy.yaml:5:" in said


def test_what_is_not_locked_is_a_warning(tmp_path: Path) -> None:
    unlocked = ("servicelevel, ", "")
    outcome = inspect(city(tmp_path, ("servicelevel: 20s", "servicelevel: 1m"), policy=(unlocked,)))
    assert outcome.problems == ()
    [said] = [str(w) for w in outcome.warnings if w.path != "pbx"]
    assert (
        f"found 1m, expected 20s or less by the city's policy ({tmp_path}/policy.yaml:8:2" in said
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "[skills,",
            "[skils,",
            (
                'policy.yaml:3:12: policy.locked[0]: found "skils", expected what can be locked: '
                f"{', '.join(LOCKABLE)}; did you mean skills?"
            ),
        ),
        (
            "[skills,",
            "[wrapuptime, skills,",
            (
                'policy.yaml:3:12: policy.locked[0]: found "wrapuptime", expected what can be '
                f"locked: {', '.join(LOCKABLE)}"
            ),
        ),
        (
            "[skills,",
            "[skills, skills,",
            "policy.yaml:3:20: policy.locked[1]: found skills a second time, expected each once",
        ),
        (
            "hours: days",
            "hours: dais",
            (
                'policy.yaml:15:14: policy.queues.passport.hours: found "dais", expected a name '
                "from policy.calendars; did you mean days?"
            ),
        ),
        (
            "{maxwait: 1s}",
            "{}",
            (
                "policy.yaml:16:14: policy.queues.nowhere: found an empty mapping, expected at "
                "least one of servicelevel, short_abandon, maxwait, sl_min, abandoned_max, "
                "asa_max, p90_max, hours"
            ),
        ),
        (
            "{maxwait: 1s}",
            "{wrapuptime: 1s}",
            (
                "policy.yaml:16:15: policy.queues.nowhere.wrapuptime: found an unknown key, "
                "expected a key of an entry of policy"
            ),
        ),
        (
            "      sl_min: 0.8\n",
            "      sl_min: 80\n",
            (
                "policy.yaml:11:15: policy.queues.passport.sl_min: found 80, expected a share "
                "from 0 to 1 such as 0.8"
            ),
        ),
    ],
)
def test_a_mistake_in_the_policy_is_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    found = [one for one in told(tmp_path, policy=((old, new),)) if "(warning)" not in one]
    assert said in found


def test_a_lock_on_nothing_is_told(tmp_path: Path) -> None:
    found = told(tmp_path, policy=(("  skills: {passport: Паспорта}\n", ""),))
    assert found == [
        (
            "policy.yaml:3:12: policy.locked[0]: found skills, of which the policy says nothing, "
            "expected a value to lock"
        )
    ]


def test_a_wrong_value_is_told_once(tmp_path: Path) -> None:
    found = told(tmp_path, ("maxwait: 20m", "maxwait: 20"))
    assert len(found) == 1
    assert "a duration such as" in found[0]


def test_every_figure_says_which_way_it_is_tighter() -> None:
    assert {*STANDARDS, "hours"} == set(PolicyQueueModel.model_fields)


def test_the_reference_says_the_same_of_each_field() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "config.md").read_text("utf-8")
    table = text.split("| can be locked |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    told = {row[0].strip("`"): row for row in rows if row[0].startswith("`")}
    assert list(told) == ["skills", "services", *PolicyQueueModel.model_fields]
    for key, standard in STANDARDS.items():
        assert told[key][1] == f"`{standard.section}`"
        assert told[key][2].startswith(standard.tighter)


def test_a_reload_says_what_of_the_policy_changes(tmp_path: Path) -> None:
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    before = load_config(city(folders[0]))
    after = load_config(city(folders[1], policy=(("maxwait: 20m", "maxwait: 30m"),)))
    assert diff(before, after) == ["policy.queues.passport.maxwait 20m→30m"]


# --- hours ----------------------------------------------------------------------------------------


def calendar(**keys: Any) -> CalendarModel:  # noqa: ANN401 - as in a file
    return CalendarModel.model_validate({"week": {}, **keys}, strict=False)


MON_FRI = {"mon-fri": ["09:00-18:00"]}
DAILY = {"mon-sun": ["09:00-18:00"]}


@pytest.mark.parametrize(
    ("own", "policy", "found"),
    [
        (
            calendar(week={"mon-thu": ["09:00-18:00"]}),
            calendar(week=MON_FRI),
            (("week",), ("week", "mon-fri"), "closed on fri"),
        ),
        (
            calendar(week=DAILY, holidays="RU"),
            calendar(week=DAILY, holidays="RU", holiday_hours=["10:00-12:00"]),
            (("holiday_hours",), ("holiday_hours",), "closed on public holidays"),
        ),
        (
            calendar(week=MON_FRI, holidays="RU"),
            calendar(week=MON_FRI),
            (
                ("holiday_hours",),
                ("week", "mon-fri"),
                "closed on public holidays, which the policy does not except",
            ),
        ),
        (
            calendar(
                week={"mon": ["10:00-18:00"], "tue-sun": ["09:00-18:00"]},
                holidays="RU",
                holiday_hours=["00:00-24:00"],
            ),
            calendar(week={"sat": ["09:00-18:00"]}),
            (("week", "mon"), ("week", "sat"), "10:00-18:00 on a sat made a working day"),
        ),
        (
            calendar(week=MON_FRI),
            calendar(week=MON_FRI, holidays="RU", holiday_hours=["10:00-19:00"]),
            (
                ("week", "mon-fri"),
                ("holiday_hours",),
                "09:00-18:00 on a public holiday, a mon",
            ),
        ),
        (
            calendar(week=MON_FRI),
            calendar(week=MON_FRI, holidays="RU"),
            (
                ("week",),
                ("holidays",),
                "closed on a sat made a working day (holidays: RU knows them)",
            ),
        ),
        (
            calendar(week=MON_FRI, dates={"2026-12-30..2026-12-31": []}),
            calendar(week=MON_FRI, dates={"2026-12-30": []}),
            (("dates", "2026-12-30..2026-12-31"), (), "closed on 2026-12-31"),
        ),
        (
            calendar(week=MON_FRI),
            calendar(week=MON_FRI, dates={"2026-12-27": ["22:00-06:00"]}),
            ((), ("dates", "2026-12-27"), "closed on 2026-12-27"),
        ),
    ],
)
def test_where_the_hours_fall_short(
    own: CalendarModel, policy: CalendarModel, found: tuple[object, object, str]
) -> None:
    gap = first_gap(own, policy)
    assert gap is not None
    assert (gap.own, gap.policy, gap.found) == found


@pytest.mark.parametrize(
    ("own", "policy"),
    [
        (calendar(week={"mon-fri": ["09:00-13:00", "13:00-18:00"]}), calendar(week=MON_FRI)),
        (
            # 2026-12-30 is a Wednesday; of two keys that name a day the first holds.
            calendar(
                week=DAILY,
                dates={"2026-12-30": ["09:00-18:00"], "2026-12-28..2026-12-31": []},
            ),
            calendar(week={"wed": ["09:00-18:00"]}),
        ),
    ],
)
def test_where_the_hours_do_not_fall_short(own: CalendarModel, policy: CalendarModel) -> None:
    assert first_gap(own, policy) is None


def test_more_dates_than_can_be_compared_are_refused() -> None:
    spans: dict[str, list[str]] = {
        f"{2000 + n}-01-01..{2000 + n}-12-31": [] for n in range(DATED_DAYS_MAX // 365 + 1)
    }
    gap = first_gap(calendar(week=DAILY, dates=spans), calendar(week={}))
    assert gap is not None
    assert gap.found == f"more than {DATED_DAYS_MAX} days under dates"


SPANS = st.lists(
    st.sampled_from(["06:00-09:00", "09:00-13:00", "13:00-18:00", "18:00-22:00", "22:00-06:00"]),
    unique=True,
    max_size=4,
)
DAYS = st.sampled_from(
    ["2026-01-01", "2026-05-08..2026-05-11", "2026-10-31", "2026-11-01..2026-11-08"]
)
CALENDARS = st.builds(
    calendar,
    week=st.fixed_dictionaries({"mon-thu": SPANS, "fri": SPANS, "sat-sun": SPANS}),
    holidays=st.sampled_from([None, "RU"]),
    holiday_hours=SPANS,
    dates=st.dictionaries(DAYS, SPANS, max_size=2),
)
EVERYTHING = calendar(week={"mon": ["00:00-24:00"]}).day_hours(0)
MOSCOW = ZoneInfo("Europe/Moscow")
YEAR = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[CalendarModel, CalendarModel]:
    """A policy, and a center's calendar that is wider here and there, or knows other holidays."""
    policy = draw(CALENDARS)

    def wider(spans: Spans) -> Spans:
        return draw(st.sampled_from([spans, (*EVERYTHING, *(s for s in spans if s[1] > 1440))]))

    dated = draw(st.sampled_from([policy.dates, {}]))
    own = policy.model_copy(
        update={
            "week": {key: wider(spans) for key, spans in policy.week.items()},
            "holidays": draw(st.sampled_from([policy.holidays, None, "RU"])),
            "holiday_hours": wider(policy.holiday_hours),
            "dates": {key: wider(spans) for key, spans in dated.items()},
        }
    )
    return own, policy


@settings(max_examples=100, deadline=None)
@given(pair=pairs())
@example(pair=(calendar(week=DAILY, holidays="RU"), calendar(week=DAILY)))
@example(pair=(calendar(week=DAILY), calendar(week=MON_FRI, holidays="RU")))
def test_without_a_gap_a_center_is_open_whenever_the_policy_is(
    pair: tuple[CalendarModel, CalendarModel],
) -> None:
    """The oracle is the clock's: each stretch of a year at its ends and in its middle."""
    own, policy = pair
    assume(first_gap(own, policy) is None)
    for day in YEAR:
        for start, end in day_spans(policy, day):
            for minute in (start, (start + end) // 2, end - 1):
                midnight = datetime(day.year, day.month, day.day, tzinfo=MOSCOW)
                moment = midnight + timedelta(minutes=minute)
                instant = Instant(int(moment.timestamp()) * SECOND)
                assert is_open(own, MOSCOW, instant), (day, minute)
