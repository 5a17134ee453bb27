"""Who a caller is, whatever the network sends for his number."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from gkc_engine.front_desk import FrontDesk
from gkc_engine.ids import Instant
from gkc_engine.numbers import RAW_CHARS
from gkc_engine.recorder import schema
from gkc_engine.recorder.blocks import Block
from gkc_engine.recorder.citizens import Citizens

NOW = Instant(0)


@pytest.fixture
def citizens(tmp_path: Path) -> Citizens:
    engine = schema.make_engine(schema.sqlite_url(str(tmp_path / "ledger.db")), busy_ms=20)
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
    return Citizens(engine, tmp_path / "citizen.key")


def kept(citizens: Citizens, number: str) -> tuple[str, str | None] | None:
    """Let ``number`` call; return what the encrypted row says of it."""
    key = FrontDesk(cast(Any, None), citizens).citizen(number, "", NOW)
    if key is None:
        return None
    with citizens._engine.begin() as connection:
        committed = citizens.write(connection)
    committed()
    citizen = citizens.reveal(key)
    assert citizen is not None
    return citizen.number, citizen.raw


@pytest.mark.parametrize(
    ("number", "row"),
    [
        ("+79165550123", ("+79165550123", None)),
        ("8 (916) 555-01-23", ("+79165550123", "8 (916) 555-01-23")),
        ("101", ("101", None)),
        ("5550123", ("5550123", None)),
        ("a;b=c", ("a;b=c", None)),
        ("+7900\r\nX", ("+7900\\x0d\\x0aX", None)),
        ("anonymous", None),
        ("", None),
        (" ", None),
    ],
)
def test_the_raw_form_is_kept(
    citizens: Citizens, number: str, row: tuple[str, str | None] | None
) -> None:
    assert kept(citizens, number) == row


def test_a_raw_form_is_bounded_and_the_same_caller_the_same_citizen(citizens: Citizens) -> None:
    desk = FrontDesk(cast(Any, None), citizens)
    long = kept(citizens, "7" * 3000)
    assert long is not None
    assert len(long[0]) == RAW_CHARS
    assert desk.citizen("101", "", NOW) == desk.citizen(" 101 ", "", NOW)
    assert desk.citizen("101", "", NOW) != desk.citizen("102", "", NOW)
    assert desk.citizen("89165550123", "", NOW) == desk.citizen("+79165550123", "", NOW)


def test_who_is_blocked_is_known_by_any_spelling_of_his_number(citizens: Citizens) -> None:
    desk = FrontDesk(cast(Any, None), citizens)
    key = citizens.key_of_any("8 916 555 01 23")
    citizens.blocks.put(
        Block(citizen_key=key, since=NOW, until=Instant(60), actor="ivanov", reason="x")
    )
    asked = [desk.citizen(number, "", NOW) for number in ("+79165550123", "101", "anonymous")]
    assert [desk.blocked(citizen, Instant(59)) for citizen in asked] == [True, False, False]
    assert not desk.blocked(key, Instant(60))
