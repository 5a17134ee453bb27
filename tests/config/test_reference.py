"""The reference names every key that the models know."""

from __future__ import annotations

import re
from pathlib import Path

from gkc_engine.config.explain import keys_of
from gkc_engine.config.models import Config
from gkc_engine.config.schema import json_schema

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "config.md"


def test_every_key_of_every_model_stands_in_the_reference() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    code = " ".join(re.findall(r"`([^`]*)`", text))
    words = set(re.findall(r"[a-z][a-z0-9_-]*", code))
    headings = set(re.findall(r"[a-z]+", " ".join(re.findall(r"^## (.*)$", text, re.MULTILINE))))
    known = {
        key for model in json_schema()["$defs"].values() for key in model.get("properties", {})
    }
    assert known - words == set()
    assert set(keys_of(Config)) - words - headings == set()
