"""Each test that asks for a ``place`` runs twice: hermetic on SQLite, ``accept`` on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recorder.places import Place, PostgresPlace, SqlitePlace


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.accept)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where a store may be made."""
    made: Place
    if request.param == "sqlite":
        made = SqlitePlace(tmp_path)
    else:
        made = PostgresPlace(request.getfixturevalue("postgres"))
    with made:
        yield made
