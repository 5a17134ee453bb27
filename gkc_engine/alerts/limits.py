"""Limits that a command knows, too, without what the alerts are made of."""

from __future__ import annotations

from typing import Final

KEPT: Final = 1_000
"""Alerts that are over and are still in memory for ``gkc alert history``; the table has all."""
