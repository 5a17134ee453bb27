"""What is found does not depend on where the records lie: an SQLite file or a PostgreSQL."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gkc_engine.reconcile.model import Count, Kind
from tests.postgres import Server
from tests.reconcile.day import Written
from tests.reconcile.test_verify import CHANGES, usual
from tests.recorder.places import copied

pytestmark = pytest.mark.accept


@pytest.fixture
def both(tmp_path: Path, postgres: Server) -> tuple[Written, Written]:
    """The same day in both."""
    there = usual().written(tmp_path)
    return there, dataclasses.replace(there, url=copied(there.store, postgres.schema()))


def test_a_day_without_a_difference(both: tuple[Written, Written]) -> None:
    outcomes = [day.verified() for day in both]
    assert outcomes[0] == outcomes[1]
    assert outcomes[1].found == 0
    assert outcomes[1].counts[Count.CONTACTS] == 3


@pytest.mark.parametrize("changes", CHANGES)
def test_what_is_changed_in_the_records(
    both: tuple[Written, Written], changes: tuple[tuple[str, str | None, Kind], ...]
) -> None:
    for day in both:
        for statement, _, _ in changes:
            day.change(statement)
    outcomes = [day.verified() for day in both]
    assert outcomes[0].found > 0
    assert outcomes[0] == outcomes[1]
