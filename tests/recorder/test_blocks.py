"""The block list in the store and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder import blocks, schema
from gkc_engine.recorder.blocks import LONGEST_US, Block, BlockError, Blocks

NOW = Instant(1_795_000_000 * SECOND)


def after(seconds: float) -> Instant:
    return Instant(NOW + round(seconds * SECOND))


def block(key: str, until: Instant, since: Instant = NOW, reason: str = "хулиганство") -> Block:
    return Block(citizen_key=key, since=since, until=until, actor="ivanov", reason=reason)


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    engine = schema.make_engine(schema.sqlite_url(str(tmp_path / "x.sqlite")), busy_ms=20)
    schema.metadata.create_all(engine)
    return engine


def test_who_is_blocked_is_refused_until_his_time_is_over_also_after_a_restart(
    engine: sa.Engine,
) -> None:
    before = Blocks(engine)
    before.put(block("anna", after(60)))
    again = Blocks(engine)
    again.load()
    for here in (before, again):
        assert [here.refuses(who, after(59)) for who in ("anna", "boris", None)] == [True, False, 0]
        assert not here.refuses("anna", after(60))
        assert [one.refused for one in here.standing(after(59))] == [1]
        assert here.standing(after(60)) == []
    assert again.take(["anna", "boris"], after(1))[0].reason == "хулиганство"
    assert not again.refuses("anna", after(1))
    last = Blocks(engine)
    last.load()
    assert last.standing(NOW) == []


def test_a_later_word_replaces_the_earlier_and_what_is_over_goes(engine: sa.Engine) -> None:
    here = Blocks(engine)
    here.put(block("old", after(5)))
    here.put(block("anna", after(60)))
    replaced = here.put(block("anna", after(90), since=after(10), reason="снова"))
    assert replaced is not None
    assert replaced.until == after(60)
    assert [(one.citizen_key, one.reason) for one in here.standing(after(80))] == [
        ("anna", "снова")
    ]
    with engine.connect() as connection:
        assert list(connection.scalars(sa.select(schema.block.c.citizen_key))) == ["anna"]


@pytest.mark.parametrize("until", [NOW, after(-1), Instant(NOW + LONGEST_US + 1)])
def test_nobody_is_blocked_for_ever_or_for_no_time(engine: sa.Engine, until: Instant) -> None:
    here = Blocks(engine)
    with pytest.raises(BlockError, match="at most 90 days"):
        here.put(block("anna", until))
    here.put(block("anna", Instant(NOW + LONGEST_US)))
    assert here.refuses("anna", Instant(NOW + LONGEST_US - 1))


def test_a_full_list_is_refused_by_name_but_not_to_who_is_on_it(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCKS_MAX", 2)
    here = Blocks(engine)
    for key in ("anna", "boris", "anna"):
        here.put(block(key, after(60)))
    with pytest.raises(BlockError, match=r"the block list is full \(2\)"):
        here.put(block("clara", after(60)))
    here.put(block("clara", after(120), since=after(60)))


def test_a_store_that_cannot_be_written_changes_nothing(engine: sa.Engine) -> None:
    here = Blocks(engine)
    here.put(block("anna", after(60)))
    with engine.begin():  # somebody else writes
        with pytest.raises(BlockError, match="nothing was changed"):
            here.put(block("boris", after(60)))
        with pytest.raises(BlockError, match="cannot be written"):
            here.take(["anna"], NOW)
    assert [here.refuses(who, NOW) for who in ("anna", "boris")] == [True, False]
