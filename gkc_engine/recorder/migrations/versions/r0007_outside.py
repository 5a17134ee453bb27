"""A segment names the outside party by the keyed hash of its number."""

from __future__ import annotations

from gkc_engine.recorder.migrations import make_projections_anew

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make them from the ledger."""
    make_projections_anew()
