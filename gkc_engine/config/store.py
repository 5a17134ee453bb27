"""Where the records lie: the key ``store``, and from there to a database's URL.

A store has one *name*, which says how it is found and never holds a password: the path of an SQLite
file, a URL, or a reference to a URL (``env:VARIABLE``, ``file:PATH``).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import BeforeValidator, TypeAdapter, ValidationError, WithJsonSchema, model_validator

from gkc_engine.config.secrets import resolve_secret
from gkc_engine.config.values import Model, Text, expected
from gkc_engine.errors import ConfigError

SQLITE: Final = "sqlite:///"
STORE_NOTE: Final = "records_at.json"
POSTGRES: Final = "postgresql+psycopg://"
_WORDS: Final = (
    f"{POSTGRES}ROLE@HOST/DATABASE, {SQLITE}PATH, or where such a URL lies: env:VARIABLE, file:PATH"
)
_NO_PASSWORD: Final = (
    "no password in the config: put the whole URL into a file of mode 0600 and write file:PATH, or "
    "use env:VARIABLE, ~/.pgpass or peer authentication"
)
_REFERENCE: Final = re.compile(r"env:[A-Za-z_]\w*|file:[^\x00-\x1f]+")
_PASSWORD: Final = re.compile(r"://[^@]*:.*@")
_CONTROLS: Final = re.compile(r"[\x00-\x20\x7f]")


def _store_url(value: object) -> object:
    if isinstance(value, str) and _REFERENCE.fullmatch(value):
        return value
    if not isinstance(value, str) or not _is_store_url(value):
        raise expected(_WORDS)
    if _has_password(value):
        raise expected(_NO_PASSWORD)
    return value


StoreUrl = Annotated[str, BeforeValidator(_store_url), WithJsonSchema({"type": "string"})]
"""A database's URL without a password, or a reference to one."""


def named_store(text: str) -> str:
    """Return the store that somebody names, who may stand in any folder.

    A password would stand in the list of processes, and is refused as in the config.

    Raises:
        ConfigError: It is no database's URL and no reference to one; shows no secret.
    """
    try:
        store = TypeAdapter(StoreUrl).validate_python(text)
    except ValidationError as error:
        raise ConfigError(f"expected {error.errors()[0]['msg']}") from None
    kind, _, path = store.partition(":")
    return f"file:{Path(path).absolute()}" if kind == "file" else store


class StoreModel(Model):
    """The records: an SQLite file, or a database of PostgreSQL."""

    path: Text = "gkc.sqlite"
    """The SQLite file; a relative path lies under the engine's state folder."""
    url: StoreUrl | None = None
    """In place of ``path``: ``postgresql+psycopg://ROLE@HOST/DATABASE``, or a reference to it."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.url is not None and "path" in self.model_fields_set:
            raise expected("one of path and url")
        return self


def store_name(model: StoreModel, state: Path) -> str:
    """Return the store's name: the whole path of a file, else the URL or reference as written."""
    if model.url is None:
        return str((state / model.path).resolve())
    if model.url.startswith(SQLITE):
        return str((state / model.url.removeprefix(SQLITE)).resolve())
    return model.url


def store_url(name: str, folder: Path) -> str:
    """Return the URL of the store called ``name``, with its password if it has one.

    Args:
        name: As ``store_name`` gives it.
        folder: Of the configuration: a relative ``file:PATH`` lies there.

    Raises:
        ConfigError: The reference leads nowhere, or not to a database's URL. Shows no secret.
    """
    if _REFERENCE.fullmatch(name):
        url = resolve_secret(name, folder)
        if not _is_store_url(url):
            raise ConfigError(f"store.url: {name}: what lies there is no {POSTGRES}… (not shown)")
        return url
    return name if _is_store_url(name) else f"{SQLITE}{name}"


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite store; ``None`` of one in a server."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def leave_note(name: str, state: Path, config: Path, timezone: str) -> None:
    """Let commands without an engine find a store that is no ``*.sqlite`` in the state folder."""
    path = Path(name)
    if path.parent != state.resolve() or path.suffix != ".sqlite":
        said = {"store": name, "config": str(config.resolve()), "timezone": timezone}
        said["state"] = str(state.resolve())
        (state / STORE_NOTE).write_text(json.dumps(said, ensure_ascii=False) + "\n", "utf-8")


def _is_store_url(url: str) -> bool:
    if _CONTROLS.search(url):
        return False
    return any(url.startswith(kind) and len(url) > len(kind) for kind in (SQLITE, POSTGRES))


def _has_password(url: str) -> bool:
    """Whether it holds one, before the host or among its options."""
    # As SQLAlchemy reads it: also with signs in the password that a URL should have escaped.
    return bool(_PASSWORD.search(url)) or "password" in parse_qs(urlsplit(url).query)
