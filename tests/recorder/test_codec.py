from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from gkc_engine.acd import commands as cm
from gkc_engine.acd import events as ev
from gkc_engine.acd.overflow_events import Stage
from gkc_engine.acd.settings import (
    AgentSettings,
    Medium,
    QueueSettings,
    RelaxStep,
    Settings,
    Treatment,
)
from gkc_engine.ids import AgentId, ContactId, Micros, QueueId, SkillId
from gkc_engine.recorder.codec import KINDS, CodecError, decode, encode, kind_of
from tests.recorder.support import START, History

UNION = {*get_args(ev.Event), *get_args(cm.Command)}


def test_every_class_of_the_vocabulary_has_one_name() -> None:
    assert set(KINDS) == UNION
    assert len(set(KINDS.values())) == len(UNION)
    assert all(name.startswith("gkc.") for name in KINDS.values())


def full_settings() -> Settings:
    queue = QueueSettings(
        queue_id=QueueId("q"),
        require={SkillId("a"): 3},
        relax=(RelaxStep(after_us=Micros(30), require={SkillId("a"): 1}),),
        full=Treatment(say="full", queue=QueueId("r")),
    )
    agent = AgentSettings(
        agent_id=AgentId("anna"), skills={SkillId("a"): 5}, capacity={Medium.EMAIL: 2}
    )
    return Settings(version="v", queues=(queue,), agents=(agent,))


def example(cls: type[Any]) -> Any:  # noqa: ANN401
    """An instance with a value that is not the default in every field."""
    history = History()
    special: dict[str, Any] = {
        "settings": full_settings(),
        "treatment": Treatment(say="late"),
        "agent_ids": (AgentId("anna"), AgentId("ben")),
        "skills": {SkillId("a"): 2},
        "reachable": True,
        "in_use": True,
        "paused": True,
        "open": False,
        "staffed": True,
        "attended": False,
        "newcomers": True,
        "advice": True,
        "slots": (0, 1),
        "not_asked": {"yug": "nobody_free"},
        "brief": ev.ContactBrief(
            number="2026-С-1",
            language="en",
            menu=(("main", "1"),),
            past=(Stage(kind="talk", took_us=1, queue="q", agent_id="anna"),),
        ),
        "diff": ("queues.tax.timeout 20s → 15s",),
    }
    values: dict[str, Any] = {}
    for name, kind in cls.__annotations__.items():
        enum = next((e for n, e in ENUMS.items() if kind.startswith(n)), None)
        if name in special:
            values[name] = special[name]
        elif enum is not None:
            values[name] = list(enum)[-1]
        elif any(kind.startswith(n) for n in ("int", "Instant", "Micros", "OfferId")):
            values[name] = history.now + len(name)
        else:
            values[name] = f"«{name}»"
    return cls(**values)


ENUMS: dict[str, Any] = {
    name: getattr(module, name)
    for module in (ev, cm)
    for name in [
        "Party",
        "Phone",
        "OfferFailure",
        "OutboundFailure",
        "TalkEnd",
        "Medium",
        "ContactClass",
        "Disposition",
        "SegmentKind",
        "SegmentOutcome",
        "TransferKind",
        "OfferOutcome",
        "AgentState",
    ]
    if hasattr(module, name)
}


@pytest.mark.parametrize("cls", sorted(KINDS, key=repr))
def test_what_is_encoded_comes_back_the_same(cls: type[Any]) -> None:
    message = example(cls)
    text = encode(message)
    again = decode(kind_of(message), text)
    assert again == message
    assert type(again) is cls
    assert encode(again) == text
    for before, after in zip(vars_of(message).values(), vars_of(again).values(), strict=True):
        assert type(after) is type(before)


def vars_of(message: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: getattr(message, name) for name in message.__struct_fields__}


def test_a_field_of_a_newer_engine_is_passed_over_and_a_missing_one_defaults() -> None:
    event = ev.ContactLeft(contact_id=ContactId("c"), party=ev.Party.CITIZEN, at=START)
    data = json.loads(encode(event))
    data["shiny"] = 1
    del data["reason"]
    assert decode("gkc.contact.left", json.dumps(data)) == event


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("gkc.contact.left", "{"),
        ("gkc.contact.left", '{"contact_id":1,"party":"citizen"}'),
        ("gkc.contact.left", '{"contact_id":"c","party":"martian"}'),
        ("gkc.contact.sold", "{}"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(kind: str, data: str) -> None:
    with pytest.raises(CodecError, match=kind):
        decode(kind, data)
