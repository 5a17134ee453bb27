"""Destroys what is to be destroyed, and writes the act. Blocks: for a thread of its own.

Rows go in small pieces by the one who writes the store, so that no commit waits long; files are
worked on here. What cannot be done is named in the act and tried again the next night.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Engine

from gkc_engine.errors import GkcError
from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.numbers import identity_of
from gkc_engine.recorder.citizens import Citizens
from gkc_engine.retention import acts, masking, rows
from gkc_engine.retention.acts import Act
from gkc_engine.retention.lists import Lists

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

AT_ONCE: Final = 200
"""Citizens erased in one transaction: some milliseconds of the writer's time."""

WRITES_ON_US: Final = Micros(5 * SECOND)
"""So long after a call's end Asterisk may still write a line with its number."""

READERS_S: Final = 60.0
"""How long an erasure waits for a report or an export that reads the store just then."""

READ: Final = (
    "файлы базы ещё содержат удалённые строки: базу читает отчёт или выгрузка; "
    "после их завершения повторите gkc records retention"
)

_AGAIN_S: Final = 0.2


class NothingKeptError(GkcError):
    """Nobody is kept under this number."""


class HeldError(GkcError):
    """The citizen cannot be erased now: a hold, or a contact in progress."""


class Writing(Protocol):
    """Runs what changes the store where all of its changes run, and waits for it."""

    def __call__(self, work: Callable[[], _T], /) -> _T:
        """Return what ``work`` returns."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long each class is kept; ``None``: for ever."""

    citizens: Micros | None = None
    recordings: Micros | None = None
    legs: Micros | None = None
    files: Mapping[str, Micros]
    """Glob pattern of absolute paths → how old a file may become."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where personal data lie outside the store."""

    recordings: Path
    legs: tuple[Path, ...]
    """Asterisk's CEL and CDR files; those that they were rotated to lie beside them."""
    acts: Path


class Retention:
    """The destruction of one center's personal data."""

    def __init__(
        self,
        engine: Engine,
        citizens: Citizens,
        places: Places,
        rules: Rules,
        center: tuple[str, ZoneInfo],
        write: Writing = lambda work: work(),
    ) -> None:
        """``engine`` reads the store; ``center``: its title and zone."""
        self._engine = engine
        self._citizens = citizens
        self._places = places
        self._lists = Lists(places.legs, places.acts)
        self._rules = rules
        self._title, self._zone = center
        self._write = write
        self.readers_s = READERS_S
        """How long those who read the store are waited for."""

    # --- the nightly run -------------------------------------------------------------------

    def due(self, now: Instant) -> dict[str, int]:
        """Return how much of each class a run would destroy now; of ``legs`` bytes to look at."""
        found = {kind: 0 for kind in acts.CLASSES if kind != "blocks"}
        if (keep := self._rules.citizens) is not None:
            with self._engine.connect() as connection:
                found["citizens"] = rows.count_due(connection, Instant(now - keep))
        found["recordings"] = sum(len(paths) for _, paths in self._old_recordings(now))
        if self._rules.legs is not None:
            found["legs"] = self._lists.due()
        found["files"] = len(list(self._old_files(now)))
        return found

    def run(self, now: Instant, actor: str) -> Act:
        """Destroy everything whose time is over, and write an act if there was anything."""
        act = Act(at=now, actor=actor, reason="истёк срок хранения (retention)")
        if (keep := self._rules.citizens) is not None:
            self._tried(act, "citizens", partial(self._forget_due, act, Instant(now - keep)))
        self._tried(act, "citizens", partial(self._cleared, act))  # Of the last night's, too.
        self._tried(act, "recordings", partial(self._drop_recordings, act, now))
        if (keep := self._rules.legs) is not None:
            self._mask_older(act, Instant(now - keep))
        for path in self._old_files(now):
            if self._unlinked(act, path):
                act.add("files", 1)
                act.places[str(path)] = 1
        return self._acted(act)

    def _forget_due(self, act: Act, before: Instant) -> None:
        while keys := self._due(before):
            forgotten = self._write(partial(self._citizens.forget, keys))
            act.add("citizens", forgotten)
            if not forgotten:
                act.left.append(f"citizen: {len(keys)} строк не удаляются")
                return

    def _cleared(self, act: Act) -> None:
        """Leave nothing of who was erased in the store's old pages; whoever reads is waited for."""
        end = time.monotonic() + self.readers_s
        while not self._write(self._citizens.clear_traces):
            if time.monotonic() >= end:
                act.left.append(READ)
                return
            time.sleep(_AGAIN_S)

    def _due(self, before: Instant) -> list[str]:
        with self._engine.connect() as connection:
            return list(rows.citizens_due(connection, before, AT_ONCE))

    def _old_recordings(self, now: Instant) -> Iterator[tuple[Path, list[Path]]]:
        """Yield the days' folders whose time is over, each with its files that nobody holds."""
        keep = self._rules.recordings
        if keep is None:
            return
        last = datetime.fromtimestamp((now - keep) / SECOND, UTC).astimezone(self._zone).date()
        for folder in sorted(self._places.recordings.glob("[0-9]*/[0-9]*/[0-9]*")):
            day = _day_of(folder)
            if day is None or day >= last:
                continue
            files = {path: _contact_of(path) for path in sorted(folder.iterdir())}
            with self._engine.connect() as connection:
                held = rows.held_contacts(connection, list(files.values()))
            yield folder, [path for path, contact in files.items() if contact not in held]

    def _drop_recordings(self, act: Act, now: Instant) -> None:
        for folder, files in self._old_recordings(now):
            gone = sum(self._unlinked(act, path) for path in files)
            act.add("recordings", gone)
            act.places[str(folder)] = gone
            _remove_empty(folder)

    def _mask_older(self, act: Act, before: Instant) -> None:
        def done(path: Path, found: int) -> None:
            act.add("legs", found)
            act.places[str(path)] = found

        def failed(path: Path, error: OSError) -> None:
            act.left.append(_why(path, error))

        self._lists.mask_older(before, done, failed)

    def _old_files(self, now: Instant) -> Iterator[Path]:
        for pattern, keep in self._rules.files.items():
            for path in _listed(pattern):
                if path.stat().st_mtime_ns // 1000 < now - keep:
                    yield path

    # --- one citizen -----------------------------------------------------------------------

    def erase(self, number: str, reason: str, now: Instant, actor: str) -> Act:
        """Destroy what is known of one citizen, but the statistics; write the act.

        Raises:
            NothingKeptError: Nothing is kept under this number.
            CitizenError: A withheld number, or the key file is another one.
            HeldError: He is held, or is on the line now.
        """
        identity, key = identity_of(number) or "", self._citizens.key_of_any(number)
        known = self._citizens.reveal(key)
        with self._engine.connect() as connection:
            why = rows.hold_of(connection, key)
            contacts = rows.contacts_of(connection, key)
        if why is not None:
            raise HeldError(f"citizen {key} is held ({why}): gkc records hold remove comes first")
        blocked = any(block.citizen_key == key for block in self._citizens.blocks.standing(now))
        if known is None and not contacts and not blocked:
            raise NothingKeptError("nothing is kept under this number; is it the right one?")
        if going := [contact for contact, ended, _ in contacts if ended is None]:
            raise HeldError(
                f"contact {going[0]} of citizen {key} is in progress: erase after it has ended"
            )
        last = max((ended for _, ended, _ in contacts if ended is not None), default=Instant(0))
        if 0 <= now - last < WRITES_ON_US:
            raise HeldError(
                f"a contact of citizen {key} has ended just now, and Asterisk may still write his "
                f"number: erase in {WRITES_ON_US // SECOND} s"
            )
        act = Act(at=now, actor=actor, reason=reason, citizen=key)
        for ref in " ".join(refs or "" for _, _, refs in contacts).split():
            path = self._places.recordings / ref
            if path.is_file() and self._unlinked(act, path):
                act.add("recordings", 1)
                act.places[str(path.parent)] = act.places.get(str(path.parent), 0) + 1
                _remove_empty(path.parent)
        self._mask(act, identity, None if known is None else known.raw)
        # Last: until here a second attempt knows all that the first one did.
        self._tried(act, "citizen", partial(self._forget, act, key))
        return self._acted(act)

    def _forget(self, act: Act, key: str) -> None:
        act.add("blocks", len(self._write(partial(self._citizens.blocks.take, [key], act.at))))
        act.add("citizens", self._write(partial(self._citizens.forget, [key])))
        self._cleared(act)

    def _mask(self, act: Act, identity: str, raw: str | None) -> None:
        listed = [path for pattern in self._rules.files for path in _listed(pattern)]
        for path in dict.fromkeys((*self._lists.files(), *listed)):
            try:
                found = masking.mask_number(path, identity, raw)
            except OSError as error:
                act.left.append(_why(path, error))
                continue
            act.add("legs", found)
            act.places[str(path)] = found

    # --- holds -----------------------------------------------------------------------------

    def hold(self, number: str, reason: str, now: Instant, actor: str) -> str:
        """Keep what is known of a citizen until the hold is removed; return his key."""
        key = self._citizens.key_of_any(number)
        row = {"citizen_key": key, "since": now, "actor": actor, "reason": reason}
        self._write(partial(self._replace_hold, key, row))
        return key

    def release(self, number: str) -> str:
        """Remove a hold; return the citizen's key.

        Raises:
            NothingKeptError: There is none.
        """
        key = self._citizens.key_of_any(number)
        if not self._write(partial(self._replace_hold, key, None)):
            raise NothingKeptError(f"citizen {key} is not held")
        return key

    def holds(self) -> list[dict[str, object]]:
        """Return the holds, the oldest first."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(rows.hold).order_by(rows.hold.c.since)).mappings()
            return [dict(row) for row in found]

    def _replace_hold(self, key: str, row: Mapping[str, object] | None) -> int:
        with self._citizens.changing() as connection:
            there = connection.execute(rows.hold.delete().where(rows.hold.c.citizen_key == key))
            if row is not None:
                connection.execute(rows.hold.insert(), dict(row))
            return there.rowcount

    # --- common ----------------------------------------------------------------------------

    def _tried(self, act: Act, what: str, work: Callable[[], object]) -> None:
        try:
            work()
        except (GkcError, sa.exc.SQLAlchemyError, OSError) as error:
            cause = getattr(error, "orig", None) or error
            act.left.append(f"{what}: {cause}")

    def _unlinked(self, act: Act, path: Path) -> bool:
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            act.left.append(_why(path, error))
            return False
        return True

    def _acted(self, act: Act) -> Act:
        for left in act.left:
            log.warning("not_destroyed", what=left)
        if act.anything:
            path = acts.write(act, self._places.acts, self._title, self._zone)
            log.info("destroyed", act=str(path), citizen=act.citizen, **act.destroyed)
        return act


def _day_of(folder: Path) -> date | None:
    try:
        return date(int(folder.parts[-3]), int(folder.parts[-2]), int(folder.parts[-1]))
    except ValueError:
        return None


def _contact_of(recording: Path) -> str:
    """Return the contact of ``CONTACT-OFFER.wav`` or ``CONTACT-OFFER-2.wav``: a UUID has 36."""
    return recording.name[:36]


def _listed(pattern: str) -> list[Path]:
    return sorted(path for path in Path("/").glob(pattern.lstrip("/")) if path.is_file())


def _remove_empty(folder: Path) -> None:
    for path in (folder, *folder.parents[:2]):  # the day, its month, its year
        try:
            path.rmdir()
        except OSError:
            return  # Not empty.


def _why(path: Path, error: OSError) -> str:
    return f"{path}: {error.strerror or error}"
