"""What these tests share: a past of three centers, ledgers of two; stores as the recorder's, which
are SQLite, and ``accept`` PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gkc_engine.engine import Step
from gkc_engine.recorder.store import LedgerStore
from tests.recorder.conftest import place
from tests.shipping.world import TWO, halves, histories

__all__ = ["place"]


@pytest.fixture(scope="session")
def past() -> dict[str, list[Step]]:
    """Three centers that sent citizens to each other."""
    return histories(3)


@pytest.fixture
def stores(tmp_path: Path, past: dict[str, list[Step]]) -> Iterator[dict[str, LedgerStore]]:
    """Each center's ledger with the first half of its history."""
    with halves(tmp_path, past, TWO) as made:
        yield made
