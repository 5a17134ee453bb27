"""The quick copy makes what ``dataclasses.replace`` makes, of every record in a snapshot."""

from __future__ import annotations

import dataclasses

import pytest

from gkc_engine.acd.copies import replace
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import Agent, KeptPlace, QueueStatus, Slot
from gkc_engine.ids import AgentId

RECORDS: tuple[tuple[Agent | Slot, dict[str, object]], ...] = (
    (Agent(agent_id=AgentId("a"), rank=1, skills={}, capacity={}, slots=()), {"rank": 7}),
    (Slot(medium=Medium.VOICE), {"medium": Medium.EMAIL}),
)


@pytest.mark.parametrize(("record", "changes"), RECORDS, ids=("agent", "slot"))
def test_it_is_equal_and_another_one(record: Agent | Slot, changes: dict[str, object]) -> None:
    assert replace(record) == record
    assert replace(record) is not record
    changed = replace(record, **changes)
    assert changed == dataclasses.replace(record, **changes) != record  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Agent, KeptPlace, QueueStatus, Slot])
def test_every_field_can_be_given(kind: type[Agent]) -> None:
    assert all(field.init for field in dataclasses.fields(kind))
