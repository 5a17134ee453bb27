"""What holds for every test."""

from __future__ import annotations

from pathlib import Path

from hypothesis.configuration import set_hypothesis_home_dir

# Its examples lie beside the other tools' caches (pyproject.toml), where `gkc clean` removes them.
set_hypothesis_home_dir(Path(__file__).parents[1] / ".gkc" / "cache" / "hypothesis")
