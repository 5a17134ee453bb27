"""The committed sound, measured: every prompt is there, speaks its present text, and is audible."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gkc_engine.ivr.audio import decode_alaw, measure
from gkc_engine.ivr.fragments import builtin_texts

CONFIG = Path(__file__).parents[2] / "config"
PROMPTS = CONFIG / "prompts"


def texts() -> dict[str, str]:
    """``LANGUAGE/NAME`` → what the file is to say."""
    of_city = YAML(typ="safe", pure=True).load(CONFIG / "prompts.yaml")["prompts"]
    return {
        f"{lang}/{name}": text
        for name, by_language in (builtin_texts() | of_city).items()
        for lang, text in by_language.items()
    }


def names(language: str) -> set[str]:
    root = PROMPTS / language
    return {str(file.relative_to(root).with_suffix("")) for file in root.rglob("*.alaw")}


def test_every_prompt_stands_in_russian_and_in_english() -> None:
    wanted = {key.partition("/")[2] for key in texts()}
    assert names("ru") == wanted
    assert names("en") == wanted


def test_every_file_speaks_its_present_text() -> None:
    manifest = json.loads((PROMPTS / "manifest.json").read_text("utf-8"))
    wanted = {key: hashlib.sha256(text.encode()).hexdigest()[:32] for key, text in texts().items()}
    spoken = {key: entry["text"] for key, entry in manifest.items()}
    assert spoken == wanted, "run scripts/render_prompts.py config"


def test_every_file_is_as_long_as_its_text_and_well_audible() -> None:
    for key, text in texts().items():
        found = measure((PROMPTS / f"{key}.alaw").read_bytes())
        letters = sum(character.isalpha() for character in text)
        # People and our voices speak 5 to 17 letters a second; a short word is slow.
        assert letters / 18 < found.seconds < letters / 5 + 0.5, key
        assert -22 < found.active_db < -18, key
        assert found.peak_db < -1, key
        assert found.clipped == 0, key


def test_the_sound_is_small_enough_to_be_committed() -> None:
    total = sum(file.stat().st_size for file in CONFIG.rglob("*.alaw"))
    assert total < 12_000_000


@pytest.mark.parametrize("file", sorted((CONFIG / "music").rglob("*.alaw")), ids=lambda f: f.stem)
def test_the_music_is_calm_and_has_no_seam(file: Path) -> None:
    data = file.read_bytes()
    found = measure(data)
    assert found.seconds == 60
    assert -27 < found.active_db < -21
    assert found.clipped == 0
    samples = decode_alaw(data)
    steps = sorted(abs(a - b) for a, b in pairwise(samples))
    assert abs(samples[0] - samples[-1]) <= steps[-len(steps) // 50]
    # Nowhere a pause that a waiting citizen would take for a lost line.
    quietest = min(
        max(abs(s) for s in samples[at : at + 4000]) for at in range(0, len(samples), 4000)
    )
    assert quietest > 500


def test_there_is_music() -> None:
    assert list((CONFIG / "music" / "default").glob("*.alaw"))
