"""Random deliveries: doubled, lost, late, out of order, with crashes at every step. The city's
ledger is at any time the beginning of each center's, and at last all of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gkc_engine.recorder import schema
from gkc_engine.recorder.ledger import batch_of
from gkc_engine.recorder.store import LedgerStore
from gkc_engine.shipping import city_store, position
from gkc_engine.shipping.batches import Header, Numbered
from gkc_engine.shipping.city_store import CityStore, Feed
from gkc_engine.shipping.position import Position, Verdict
from tests.recorder.support import History
from tests.shipping.world import (
    Message,
    anew,
    batches,
    deliver,
    expected_rows,
    numbered,
    rows_in,
    tables,
)

CENTERS = ("centr", "sever")
DELIVERIES = 40


def lived(folder: Path, center: str, seed: int) -> list[Numbered]:
    """Return a small ledger; both centers have contacts, operators and offers of like names."""
    past, chance = History(), Random(seed)
    past.configured()
    for n in range(4):
        if chance.random() < 0.7:
            past.talk(f"{center}-{n}", "anna")
        else:
            past.abandon(f"{center}-{n}", 7)
    store = LedgerStore(schema.sqlite_url(str(folder / f"{center}.sqlite")))
    store.open()
    store.append(batch_of(past.steps, center))
    rows = numbered(store)
    store.close()
    return rows


class _Killed(BaseException):
    """As if by SIGKILL."""


class Line:
    """One center's stream, and what a crash leaves of the collector."""

    def __init__(self, rows: list[Numbered], chance: Random) -> None:
        self.rows, self.chance = rows, chance
        self.at = 0
        self.stream = batches(rows, chance.choice([1, 3, 7, 50]))

    def next(self) -> Message:
        """Return what comes next: mostly the one that should."""
        match self.chance.randrange(8):
            case 0:
                return self.chance.choice(self.stream)  # late, early, once more
            case 1:  # cut anew, as by a shipper that begins at another row
                return self.chance.choice(batches(self.rows, self.chance.choice([2, 5])))
            case 2:
                self.at = max(0, self.at - 2)
            case _:
                pass
        message = self.stream[min(self.at, len(self.stream) - 1)]
        self.at += 1
        return message

    def go_on(self, seq: int) -> None:
        """The center was asked to send what comes after ``seq``."""
        self.at = sum(1 for header, _ in self.stream if header.last <= seq)


@contextmanager
def world(seed: int) -> Iterator[tuple[Path, dict[str, Line], Random]]:
    chance = Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield (
            folder,
            {
                center: Line(lived(folder, center, seed + n), chance)
                for n, center in enumerate(CENTERS)
            },
            chance,
        )


def opened(folder: Path) -> CityStore:
    city = CityStore(schema.sqlite_url(str(folder / "city.sqlite")))
    city.open(CENTERS)
    return city


def killed_at(city: CityStore, chance: Random) -> None:
    """Let the next commit be the last thing that happens, or not happen any more."""
    after = chance.random() < 0.5
    whole = city.store._commit

    def commit(*args: object) -> object:
        if after:
            whole(*args)  # type: ignore[arg-type]
        raise _Killed

    city.store._commit = commit  # type: ignore[assignment, method-assign]


def broken(seed: int) -> list[str]:
    """Play one history; return what was not as it should be."""
    wrong: list[str] = []
    with world(seed) as (folder, lines, chance):
        city = opened(folder)
        for _ in range(DELIVERIES):
            center = chance.choice(CENTERS)
            if chance.random() < 0.15:
                killed_at(city, chance)
            if chance.random() < 0.2:
                city.settle()
            try:
                header, data = lines[center].next()
                verdict = deliver(city, data).verdict
                if verdict in position.REFUSED:
                    wrong.append(f"{header.after} to {header.last} is {verdict}")
                elif verdict is Verdict.GAP:
                    lines[center].go_on(city.feed(center).position.seq)
            except _Killed:
                city.store._drop()
                city = opened(folder)
            except Exception as error:
                wrong.append(f"{type(error).__name__}: {error}")
                break
            city.store.__dict__.pop("_commit", None)  # It lives: nothing was to be committed.
            wrong += [text for one in CENTERS for text in astray(city, one, lines[one].rows)]
            if wrong:
                break
        try:
            wrong = wrong or at_last(city, lines)
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        city.store._drop()
        city.store.engine.dispose()
    return wrong


def astray(city: CityStore, center: str, rows: list[Numbered]) -> list[str]:
    have, want = rows_in(city, center), expected_rows(city, rows)
    seq = city.feed(center).position.seq
    if have != want[: len(have)] or len(have) != seq:
        return [f"{center}: {len(have)} rows, position {seq}, and not the beginning of its ledger"]
    return []


def at_last(city: CityStore, lines: dict[str, Line]) -> list[str]:
    """Deliver what is missing, in order, and look at all."""
    for center, line in lines.items():
        for _, data in line.stream:
            deliver(city, data)
        if rows_in(city, center) != expected_rows(city, line.rows):
            return [f"{center} is not whole"]
    city.settle()
    grown = tables(city.store)
    return [] if anew(city.store) == grown else ["made anew, the tables are others"]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_the_city_is_the_sum_of_its_centers_whatever_is_delivered(seed: int) -> None:
    assert broken(seed) == []


# --- each promise is seen to fail -----------------------------------------------------------------


def takes_over_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(_at: Position, header: Header) -> Verdict:
        return Verdict.TAKE if header.last > _at.seq else Verdict.REPEATED

    monkeypatch.setattr(city_store, "judge", judge)
    monkeypatch.setattr(
        city_store, "rest", lambda at, rows: [one for one in rows if one[0] > at.seq]
    )


def loses_a_row_where_batches_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    def rest(at: Position, rows: list[Numbered]) -> list[Numbered]:
        new = [one for one in rows if one[0] > at.seq]
        return new if len(new) == len(rows) else new[1:]

    monkeypatch.setattr(city_store, "rest", rest)


def moves_on_before_it_has_written(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = CityStore._append

    def append(self: CityStore, going_on: Feed, rows: object, messages: object) -> None:
        with self.store.transaction() as connection:
            self._write(connection, going_on)
        whole(self, going_on, rows, messages)  # type: ignore[arg-type]

    monkeypatch.setattr(CityStore, "_append", append)


def forgets_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CityStore, "_along", lambda _self, _connection: lambda: None)


def one_projector_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offers and operators of two centers run into each other."""
    monkeypatch.setattr("gkc_engine.recorder.city.offer_id_in_city", lambda _n, offer: offer)
    monkeypatch.setattr("gkc_engine.recorder.city.name_in_city", lambda _center, agent: agent)


def keeps_what_it_read_in_the_citys_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gkc_engine.recorder.city._OfCenter._in", lambda _self, record: record)


BUGS = (
    takes_over_gaps,
    loses_a_row_where_batches_overlap,
    moves_on_before_it_has_written,
    forgets_how_far_it_is,
    one_projector_for_all,
    keeps_what_it_read_in_the_citys_words,
)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(bug)
    bug(monkeypatch)
    assert any(broken(seed) for seed in range(40))
