"""The quick copy makes what ``dataclasses.replace`` makes, of every record in a snapshot."""

from __future__ import annotations

import dataclasses

import pytest

from gkc_engine.acd.copies import replace
from gkc_engine.acd.settings import Medium
from gkc_engine.acd.state import Agent, Contact, KeptPlace, QueueStatus, Slot
from gkc_engine.ids import ContactId, Instant

RECORDS = (
    Contact(contact_id=ContactId("c1"), medium=Medium.VOICE, started=Instant(7)),
    Slot(medium=Medium.VOICE),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_it_is_equal_and_another_one(record: Contact | Slot) -> None:
    assert replace(record) == record
    assert replace(record) is not record
    changed = replace(record, medium=Medium.EMAIL)
    assert changed == dataclasses.replace(record, medium=Medium.EMAIL) != record


@pytest.mark.parametrize("kind", [Agent, Contact, KeptPlace, QueueStatus, Slot])
def test_every_field_can_be_given(kind: type[Contact]) -> None:
    assert all(field.init for field in dataclasses.fields(kind))
