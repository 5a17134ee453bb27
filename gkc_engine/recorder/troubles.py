"""What a database that cannot be read says, in words for people: which, why, and what to do."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

import sqlalchemy as sa

_REMEDIES: Final = (
    (
        "locked",
        "another program holds the file: wait for its end, or see who it is (fuser -v FILE)",
    ),
    ("not a database", "the file is damaged: keep it, and restore the backup"),
    ("malformed", "the file is damaged: keep it, and restore the backup"),
    ("no such", "not gkc's records, or of another version: is it the right file?"),
    ("does not exist", "not gkc's records, or of another version: is it the right database?"),
    ("unable to open", "who may read it? SQLite also writes FILE-shm beside it"),
    (
        "disk",
        "look at its disk: SQLite needs room for FILE-shm beside it; the kernel's log has more",
    ),
    ("connect", "does the server run, and does it let you in? Try the same with psql"),
)
"""What to do about what a database says, by a word of it."""


def unreadable(error: sa.exc.DBAPIError, name: str) -> str:
    """Return one sentence: the store's name, the database's own words, the remedy."""
    cause = " ".join(str(error.orig).split())
    remedy = next((what for word, what in _REMEDIES if word in cause), "look at it and its disk")
    return f"{name}: no records that can be read: {cause}; {remedy}"


def name_of(engine: sa.Engine) -> str:
    """Return the path of a SQLite file, else the URL without its password."""
    url = engine.url
    if url.get_backend_name() != "sqlite":
        return url.render_as_string(hide_password=True)
    return unquote((url.database or "").removeprefix("file:").partition("?mode=")[0])
