"""Guard-rails: figures of a queue that no change of the config may break (``gkc plan``)."""

from __future__ import annotations

import json
from typing import Self

from pydantic import model_validator

from gkc_engine.config.values import Model, PositiveDuration, Share, expected


class GuardrailModel(Model):
    """What one queue's figures must keep to. Decides nothing at run time."""

    sl_min: Share | None = None
    """Least service level (SL-5)."""
    abandoned_max: Share | None = None
    """Largest share of the offered who leave, short abandons apart."""
    asa_max: PositiveDuration | None = None
    """Longest mean wait of the answered."""
    p90_max: PositiveDuration | None = None
    """Wait within which 90 % of the answered must be."""

    @model_validator(mode="after")
    def _any(self) -> Self:
        if not self.model_fields_set:
            raise expected("at least one of sl_min, abandoned_max, asa_max, p90_max")
        return self


def guardrails_of(tree: str) -> dict[str, GuardrailModel]:
    """Return the guard-rails of a config on record, by queue.

    Args:
        tree: ``Config.tree``, in which durations are microseconds; may be empty or of an engine
            that knew no guard-rails.
    """
    found = json.loads(tree).get("guardrails", {}) if tree else {}
    return {queue: GuardrailModel.model_construct(**bounds) for queue, bounds in found.items()}
