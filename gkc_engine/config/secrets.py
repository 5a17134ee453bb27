"""Secrets stand outside the config: ``env:NAME`` or ``file:PATH``."""

from __future__ import annotations

import os
from pathlib import Path

from gkc_engine.errors import ConfigError


def resolve_secret(reference: str, folder: Path) -> str:
    """Return the secret that ``reference`` names; a relative file lies under ``folder``.

    Raises:
        ConfigError: the variable or the file is not there or empty. Never shows a secret.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = os.environ.get(name, "")
        if not value:
            raise ConfigError(f"{reference}: the environment variable {name} is not set")
        return value
    assert kind == "file", "the config model admits env: and file: only"
    path = folder / name
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{reference}: {error.strerror}; create the file, mode 0600") from error
    if not value:
        raise ConfigError(f"{reference}: the file is empty")
    return value
