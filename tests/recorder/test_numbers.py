from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder.numbers import Numbers, format_number, parts_of

MOSCOW = ZoneInfo("Europe/Moscow")


def at(*when: int) -> Instant:
    return Instant(int(datetime(*when, tzinfo=UTC).timestamp()) * SECOND)  # type: ignore[arg-type, misc]


def test_the_sequence_runs_by_local_year() -> None:
    numbers = Numbers("ЦАО", MOSCOW)
    assert numbers.allocate(at(2026, 12, 31, 20, 59)) == "2026-ЦАО-000001"
    assert numbers.allocate(at(2026, 12, 31, 21, 0)) == "2027-ЦАО-000001"
    assert numbers.allocate(at(2026, 12, 31, 20, 59)) == "2026-ЦАО-000002"


def test_it_goes_on_after_a_restart_and_past_six_digits() -> None:
    numbers = Numbers("ЦАО", MOSCOW, {2026: 999_999})
    assert numbers.allocate(at(2026, 5, 1)) == "2026-ЦАО-1000000"
    huge = Numbers("ЦАО", MOSCOW, {2026: 2**53})
    assert huge.allocate(at(2026, 5, 1)) == f"2026-ЦАО-{2**53 + 1}"


def test_a_number_is_taken_apart_whatever_its_prefix() -> None:
    assert parts_of(format_number(2026, "Ц-А-О", 7)) == (2026, 7)
    assert parts_of("imported 17") == (None, None)
