"""What leaves through the log is masked, escaped and bounded, whatever it is."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gkc_engine import log as gkc_log

TEN_DIGITS = re.compile(r"\d{10,}")
SPACED = re.compile(r"\d(?:[ ().\-]{0,3}\d){9,}")
"""Ten digits in a row, also in groups as people write a number. The test's own definition."""


UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    stream = io.StringIO()
    gkc_log.configure("info", json=True, to=stream)
    yield stream
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def without_stamp(line: dict[str, Any]) -> str:
    return json.dumps({k: v for k, v in line.items() if k != "timestamp"}, ensure_ascii=False)


def test_one_json_object_a_line_with_level_time_and_logger(out: io.StringIO) -> None:
    structlog.get_logger("gkc.test").info("offer_expired", contact_id="c1", wait_s=1.5)
    [line] = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "offer_expired",
        "contact_id": "c1",
        "wait_s": 1.5,
        "level": "info",
        "logger": "gkc.test",
    }


def test_the_contact_is_bound_once(out: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(contact_id="c1"):
        structlog.get_logger().info("a")
    structlog.get_logger().info("b")
    assert [line.get("contact_id") for line in lines(out)] == ["c1", None]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("+79001234567", "+7 900 ***-**-67"),
        ("89001234567", "+7 900 ***-**-67"),
        ("8 (900) 123-45-67", "+7 900 ***-**-67"),
        ("Local/79001234567@citizen", "Local/+7 900 ***-**-67@citizen"),
        (79001234567, "+7 900 ***-**-67"),
        ("192.168.100.200:5060", "192.168.100.200:5060"),
        ("2026-11-18", "2026-11-18"),
        ("2026-ЦАО-000123", "2026-ЦАО-000123"),
        (123_456_789_012.5, 123_456_789_012.5),
        (True, True),
        (None, None),
    ],
)
def test_numbers_are_masked_and_other_things_left(
    out: io.StringIO, value: object, shown: object
) -> None:
    structlog.get_logger().info("call", caller=value)
    assert lines(out)[0]["caller"] == shown


def test_ids_and_measures_of_our_own_are_left(out: io.StringIO) -> None:
    ids = {
        "contact_id": "019ab000-0000-7000-8000-000000000001",
        "uniqueid": "1795000000.123",
        "linkedid": "centr-1795000000.9",
        "wait_us": 12_345_678_901,
        "now": 1_795_000_000_000_000,
        "object": "contact 00000000-0000-7000-8000-000000000001",
    }
    structlog.get_logger().info("x", **ids)
    assert {k: lines(out)[0][k] for k in ids} == ids


def test_a_number_under_the_name_of_an_id_is_masked_all_the_same(out: io.StringIO) -> None:
    structlog.get_logger().info("x", contact_id="+79001234567", uniqueid="89001234567")
    assert not SPACED.search(without_stamp(lines(out)[0]))


def test_the_console_form_masks_too() -> None:
    stream = io.StringIO()
    gkc_log.configure("info", json=False, to=stream)
    structlog.get_logger().info("call", caller="+79001234567\x1b[2J")
    structlog.reset_defaults()
    assert "1234" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_foreign_loggers_go_the_same_way(out: io.StringIO) -> None:
    logging.getLogger("panoramisk").warning("no answer from %s\nEvil: line", "+79001234567")
    [line] = lines(out)
    assert line["event"] == "no answer from +7 900 ***-**-67\\x0aEvil: line"
    assert line["level"] == "warning"


def test_a_traceback_is_masked_and_bounded(out: io.StringIO) -> None:
    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        raise ValueError("bad caller +79001234567\x1b[31m")

    try:
        deep(200)
    except ValueError:
        structlog.get_logger().exception("failed")
    text = lines(out)[0]["exception"]
    assert "bad caller +7 900 ***-**-67" in text
    assert "\x1b" not in text
    assert len(text) < 20_000


def test_values_are_bounded(out: io.StringIO) -> None:
    structlog.get_logger().info(
        "x", long="x" * 10**6, many=list(range(10**5)), deep=[[[[[["+79001234567"]]]]]]
    )
    assert len(out.getvalue()) < 5_000


def test_a_value_that_cannot_be_shown_costs_nothing(out: io.StringIO) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    structlog.get_logger().info("x", value=Broken())
    assert lines(out)[0]["value"] == "<Broken: no repr>"


def test_below_the_level_nothing_is_written(out: io.StringIO) -> None:
    structlog.get_logger().debug("x")
    logging.getLogger("asyncio").debug("y")
    assert out.getvalue() == ""


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="expected debug, info"):
        gkc_log.configure("loud")


NUMBERS = st.builds(
    lambda plus, groups, gap: plus + gap.join(groups),
    st.sampled_from(["", "+", "8", "tel:", "sip:+7"]),
    st.lists(st.text("0123456789", min_size=1, max_size=5), min_size=4, max_size=8),
    st.sampled_from(["", " ", "-", ".", ") ", "\u2011"]),
)
VALUES = st.recursive(
    NUMBERS | st.text(max_size=40) | st.integers(10**9, 10**15) | NUMBERS.map(str.encode),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NUMBERS, inner, max_size=2),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(event="x", value="\u202812345678", prefix="", suffix="")  # Escaped, it gains digits.
@given(event=NUMBERS, value=VALUES, prefix=st.text(max_size=5), suffix=st.text(max_size=5))
def test_no_number_of_ten_digits_survives_at_info(
    out: io.StringIO, event: str, value: object, prefix: str, suffix: str
) -> None:
    out.seek(0)
    out.truncate()
    logger = structlog.get_logger()
    logger.info(event, caller=value, contact_id=prefix + event + suffix)
    error = ValueError(prefix + event + suffix)
    logger.error("failed", error=error, exc_info=(ValueError, error, None))
    for line in lines(out):
        assert not UUID7.search(without_stamp(line))
        found = [m[0] for m in SPACED.finditer(without_stamp(line))]
        assert all(re.fullmatch(r"(\d{1,3}\.){3}\d{1,3}", text) for text in found), line
        assert not TEN_DIGITS.search(without_stamp(line))
