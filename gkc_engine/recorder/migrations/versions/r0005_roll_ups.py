"""Contacts are counted by quarter-hours, and found by their first queue entry."""

from __future__ import annotations

from gkc_engine.recorder.migrations import make_projections_anew

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make them from the ledger."""
    make_projections_anew()
