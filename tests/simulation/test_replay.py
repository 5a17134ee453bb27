"""Replay: what is recorded is what the core says, and one changed byte is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.ids import Instant, seconds
from gkc_engine.recorder import schema
from gkc_engine.recorder.history import HistoryError
from gkc_engine.simulation.replay import Replayed, as_json, replay, text
from tests.recorder.support import START
from tests.simulation.ledgers import change, overtaken


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return overtaken().write(tmp_path_factory.mktemp("replay") / "ledger.sqlite").read_bytes()


@pytest.fixture
def store(recorded: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(recorded)
    return path


def again(path: Path, since: float, until: float, *, other_version: bool = False) -> Replayed:
    engine = schema.make_engine(schema.sqlite_url(str(path)), read_only=True)
    start, end = (Instant(START + seconds(s)) for s in (since, until))
    with engine.connect() as connection:
        report = replay(connection, start, end, other_version=other_version)
    engine.dispose()
    return report


def test_the_whole_history_replays_without_a_difference(store: Path) -> None:
    report = again(store, 0, 200)
    assert (report.differences, report.first, report.base_seq) == (0, None, 0)
    assert report.steps == len(overtaken().steps)
    assert "0 steps differ" in text(report)


def test_a_later_range_begins_at_the_snapshot_before_it(store: Path) -> None:
    report = again(store, 30, 70)
    assert report.base_seq > 0
    assert (report.steps, report.differences) == (5, 0)
    assert report.steps_before > 0


def test_a_changed_command_is_found_and_named(store: Path) -> None:
    """Planted: another agent is on record for the offer of the 25th second."""
    offered = "kind = 'gkc.offer.created' AND contact_id = 'c2'"
    change(store, f"UPDATE event SET data = replace(data, 'anna', 'gleb') WHERE {offered}")
    report = again(store, 0, 200)
    assert report.differences == 1
    first = report.first
    assert first is not None
    assert (first.kind, first.at) == ("gkc.contact.left", START + seconds(40))
    kind, was = first.recorded[first.first]
    assert kind == "gkc.offer.created"
    assert "gleb" in was
    assert first.replayed[first.first][1] == was.replace("gleb", "anna")
    told = text(report)
    assert f"first difference at row {first.seq}" in told
    assert "recorded  gkc.offer.created" in told
    assert as_json(report)["first_difference"]["differs_at"] == first.first


def test_a_difference_between_the_snapshot_and_the_range_counts_too(store: Path) -> None:
    change(
        store, "UPDATE event SET data = replace(data, 'c4', 'c1') WHERE kind = 'gkc.offer.ended'"
    )
    report = again(store, 60, 200)
    assert report.first is not None
    assert report.first.at < START + seconds(60)


@pytest.mark.parametrize(
    ("change_", "since", "said"),
    [
        ("UPDATE snapshot SET engine_version = '0.0.9'", 0, "recorded by engine 0.0.9"),
        ("DELETE FROM event WHERE seq = 30", 0, "gap"),
        ("UPDATE snapshot SET ts_us = ts_us", 3000, "nothing is on record"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    store: Path, change_: str, since: float, said: str
) -> None:
    change(store, change_)
    with pytest.raises(HistoryError, match=said):
        again(store, since, since + 200)


def test_another_engine_s_record_is_compared_when_asked_for(store: Path) -> None:
    """A field that the other engine did not write takes its default and is no difference."""
    change(store, "UPDATE snapshot SET engine_version = '0.0.9'")
    ended = "kind = 'gkc.offer.ended'"
    change(store, f"UPDATE event SET data = replace(data, ',\"reason\":\"\"', '') WHERE {ended}")
    assert again(store, 0, 200, other_version=True).differences == 0
