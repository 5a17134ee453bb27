"""Configs to test with: the tiny city as it stands, or with some of its text replaced."""

from __future__ import annotations

import shutil
from pathlib import Path

from gkc_engine.config.loader import load_config
from gkc_engine.config.models import Config

TINY = Path(__file__).parent / "tiny"
SAMPLE = Path(__file__).parents[3] / "config"

_loaded: dict[str, Config] = {}
"""Read once: a config cannot be changed."""


def tiny_city(folder: Path, *edits: tuple[str, str]) -> Path:
    """Write the tiny city to ``folder`` with each (old, new) of ``edits`` done once; return it."""
    text = (TINY / "city.yaml").read_text(encoding="utf-8")
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the tiny city"
        text = text.replace(old, new)
    shutil.copytree(TINY / "prompts", folder / "prompts", dirs_exist_ok=True)
    (folder / "city.yaml").write_text(text, encoding="utf-8")
    return folder


def tiny_config(folder: Path, *edits: tuple[str, str]) -> Config:
    """Return the tiny city's config, edited."""
    city = tiny_city(folder, *edits)
    text = (city / "city.yaml").read_text(encoding="utf-8")
    if text not in _loaded:
        _loaded[text] = load_config(city)
    return _loaded[text]
