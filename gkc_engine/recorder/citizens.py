"""Who the citizens are: the only place with their numbers and names, and these encrypted.

Everything else knows a citizen by a keyed hash. Each citizen has a data key of their own, wrapped
by the master key in a file beside the database; deleting the data key makes what was encrypted
with it unreadable, wherever copies of it may lie (152-ФЗ, art. 21).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.engine import Engine

from gkc_engine.errors import GkcError
from gkc_engine.ids import Instant
from gkc_engine.numbers import identity_of
from gkc_engine.recorder import postgres, schema
from gkc_engine.recorder.blocks import Blocks
from gkc_engine.recorder.bulk import upsert

log = structlog.get_logger(__name__)

WAITING_MAX: Final = 50_000
"""Citizens kept in memory while the database is locked or full; the oldest give way."""

KEY_CHARS: Final = 32
"""Of a citizen's key: 160 bits of an HMAC, in base32."""

_CHUNK: Final = 500
"""Values in one ``IN (…)``: SQLite took 999 before 3.32."""

_MASTER: Final = 64
_NONCE: Final = 12


class CitizenError(GkcError):
    """No identifier, or one that cannot be read: the key file is not the one of this store."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Citizen:
    """What we may know of a citizen. Never logged."""

    number: str
    """E.164, or a mail address; of a caller without either what the network sent."""
    name: str | None = None
    address: str | None = None
    raw: str | None = None
    """The number as the network sent it last, made printable, where it is not ``number``."""


@dataclass(slots=True, frozen=True)
class _Waiting:
    citizen: Citizen
    kind: str
    now: Instant


class Citizens:
    """The citizen table; synchronous, for the ledger's thread but for `key_of` and `remember`.

    Who is remembered is written with the next append to the ledger, in its transaction (`write`):
    the row of a contact and that of its citizen are on disk together.
    """

    def __init__(self, engine: Engine, key_file: Path) -> None:
        self._engine = engine
        self.blocks = Blocks(engine)
        """Whose calls are refused, by their keys."""
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._lock = threading.Lock()
        # Of an engine that was killed between the two; there is no cheap way in PostgreSQL.
        self._traces = engine.dialect.name != "postgresql"
        self._erased = 0
        """PostgreSQL: the transaction that erased last; who began before may see what it did."""
        # A row without its key may be there: of one who was erased, out of a backup.
        self._new = upsert(schema.citizen, engine)
        master = _master_key(key_file)
        self._hash_key, self._wrap = master[:32], AESGCM(master[32:])

    def key_of(self, number: str) -> str:
        """Return the citizen's key for a normalised number or address. Pure: may run anywhere."""
        digest = hmac.digest(self._hash_key, number.encode(), hashlib.sha256)
        return base64.b32encode(digest[:20]).decode().lower()

    def key_of_any(self, number: str) -> str:
        """Return the key of a number in any spelling.

        Raises:
            CitizenError: A withheld number names nobody.
        """
        identity = identity_of(number)
        if identity is None:
            raise CitizenError("a withheld number names nobody")
        return self.key_of(identity)

    def remember(
        self,
        number: str,
        name: str | None = None,
        address: str | None = None,
        *,
        raw: str | None = None,
        now: Instant,
        kind: str = "person",
    ) -> str:
        """Keep the citizen of ``number``, encrypted with the next append; return the key.

        A new name, address or raw form replaces the old one, ``None`` leaves it. While the
        database does not take it, it is kept in memory.
        """
        key = self.key_of(number)
        citizen = Citizen(number=number, name=name, address=address, raw=raw)
        with self._lock:
            if key in self._waiting:
                citizen = _merged(citizen, self._waiting[key].citizen)
            self._waiting[key] = _Waiting(citizen, kind, now)
            while len(self._waiting) > WAITING_MAX:
                self._waiting.popitem(last=False)
        return key

    def write(self, connection: sa.Connection) -> Callable[[], None]:
        """Write who waits for it; to be told by a call of what is returned that it is committed."""
        with self._lock:
            entries = dict(self._waiting)
        keys = list(entries)
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            self._store(connection, {key: entries[key] for key in chunk})

        def committed() -> None:
            with self._lock:
                for key, entry in entries.items():
                    if self._waiting.get(key) is entry:
                        del self._waiting[key]

        return committed

    def _store(self, connection: sa.Connection, entries: Mapping[str, _Waiting]) -> None:
        found = {row.citizen_key: row for row in connection.execute(_KNOWN, {"keys": [*entries]})}
        new_keys, new, changed = [], [], []
        for key, entry in entries.items():
            row, citizen = found.get(key), entry.citizen
            try:
                data_key = None if row is None else _unseal(self._wrap, row.wrapped, key)
                if data_key is not None and row is not None and row.cipher is not None:
                    known = _opened(data_key, row.cipher, key)
                    citizen = _merged(citizen, known)
                    if citizen == known:
                        continue
            except CitizenError:
                log.exception("citizen_unread", citizen=key)
                continue
            if data_key is None:
                data_key = AESGCM.generate_key(256)
                new_keys.append({"citizen_key": key, "wrapped": _seal(self._wrap, data_key, key)})
            sealed = _seal(AESGCM(data_key), msgspec.json.encode(citizen), key)
            written = {"citizen_key": key, "kind": entry.kind, "cipher": sealed}
            if row is None or row.cipher is None:
                new.append(written | {"first_seen": entry.now})
            else:
                changed.append({"of": key, "to_kind": entry.kind, "to_cipher": sealed})
        for statement, rows in ((_NEW_KEY, new_keys), (self._new, new), (_CHANGED, changed)):
            if rows:
                connection.execute(statement, rows)

    def reveal(self, key: str) -> Citizen | None:
        """Return what is known of the citizen; ``None`` if nothing, or if it was erased.

        Raises:
            CitizenError: The key file is another one, or the row was tampered with.
        """
        with self._lock:
            waits = self._waiting.get(key)
        if waits is not None:
            return waits.citizen
        with self._engine.begin() as connection:
            row = connection.execute(_KNOWN, {"keys": [key]}).first()
        if row is None or row.cipher is None:
            return None
        return _opened(_unseal(self._wrap, row.wrapped, key), row.cipher, key)

    def forget(self, keys: Sequence[str]) -> int:
        """Erase citizens, some hundreds at most: without their data keys no copy can be read again.

        ``clear_traces`` is to follow.

        Returns:
            How many were known.
        """
        with self._lock:
            gone = {key for key in keys if self._waiting.pop(key, None) is not None}
        table, data_keys = schema.citizen, schema.citizen_key
        self._traces = True
        with self._engine.begin() as connection:
            for rows in (data_keys, table):  # Out of a backup, either may be there alone.
                of = rows.c.citizen_key.in_(keys)
                known = connection.scalars(sa.select(rows.c.citizen_key).where(of))
                gone.update(known)
                connection.execute(rows.delete().where(of))
            if self._engine.dialect.name == "postgresql":
                self._erased = postgres.this_transaction(connection)
        return len(gone)

    def changing(self) -> AbstractContextManager[sa.Connection]:
        """Give a transaction of the store, for what is kept about citizens beside these tables."""
        return self._engine.begin()

    def clear_traces(self) -> bool:
        """Bring what was erased out of the database's own old pages, too: they hold the key.

        Returns:
            Whether nothing is left. SQLite cannot empty its write-ahead log while somebody reads,
            PostgreSQL keeps what a reader who began before may still see.
        """
        if not self._traces:
            return True
        if self._engine.dialect.name == "postgresql":
            self._traces = not postgres.shred(self._engine, self._erased, schema.citizen_key)
        else:
            raw = self._engine.raw_connection()
            try:
                busy, _, _ = raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                raw.close()
            self._traces = bool(busy)
        return not self._traces


_KEY: Final = schema.citizen_key.c
_ROW: Final = schema.citizen.c
_KNOWN: Final = (
    sa.select(_KEY.citizen_key, _KEY.wrapped, _ROW.cipher)
    .select_from(schema.citizen_key.outerjoin(schema.citizen, _ROW.citizen_key == _KEY.citizen_key))
    .where(_KEY.citizen_key.in_(sa.bindparam("keys", expanding=True)))
)
_NEW_KEY: Final = schema.citizen_key.insert()
_CHANGED: Final = (
    schema.citizen.update()
    .where(_ROW.citizen_key == sa.bindparam("of"))
    .values(kind=sa.bindparam("to_kind"), cipher=sa.bindparam("to_cipher"))
)


def _opened(data_key: bytes, sealed: bytes, key: str) -> Citizen:
    return msgspec.json.decode(_unseal(AESGCM(data_key), sealed, key), type=Citizen)


def _merged(new: Citizen, known: Citizen) -> Citizen:
    return replace(
        new,
        name=new.name or known.name,
        address=new.address or known.address,
        raw=new.raw or known.raw,
    )


def _seal(cipher: AESGCM, data: bytes, key: str) -> bytes:
    # The citizen's key is bound in: a row moved to another citizen does not open.
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, data, key.encode())


def _unseal(cipher: AESGCM, sealed: bytes, key: str) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], key.encode())
    except InvalidTag as error:
        raise CitizenError(
            f"citizen {key}: the key file does not open this row; restore the one of this store"
        ) from error


def _master_key(path: Path) -> bytes:
    """Return the store's key, made at the first start. Losing it erases every citizen."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        key = os.urandom(_MASTER)
        # Written aside, then linked: a crash leaves no half key, a second process no second one.
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            key = path.read_bytes()
        finally:
            draft.unlink()
    if len(key) != _MASTER:
        raise CitizenError(f"key file {path}: {len(key)} bytes, expected {_MASTER}; restore it")
    if path.stat().st_mode & 0o077:
        raise CitizenError(f"key file {path}: others may read it; run chmod 600 {path}")
    return key
