"""scripts/render_prompts.py on a folder of its own, with an engine that writes tones."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gkc_engine.ivr.prompts import read_manifest
from scripts.render_prompts import VOICE, Rendering

ENGINE = """
import math, struct, sys, wave
text = sys.stdin.read()
if "fail" in text:
    sys.exit("no voice")
with wave.open(sys.argv[1], "wb") as out:
    out.setnchannels(1)
    out.setsampwidth(2)
    out.setframerate(8000)
    out.writeframes(struct.pack("<4000h", *(round(9e3 * math.sin(n / 3)) for n in range(4000))))
"""
YAML_TEXT = """
prompts:
  welcome: {ru: Здравствуйте, en: Hello}
  hours: {ru: С девяти, en: fail here}
"""
KEYS = ["ru/hours", "ru/welcome", "en/hours", "en/welcome"]


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The engine's own 500 texts are rendered in the same way; four are enough here.
    monkeypatch.setattr("gkc_engine.ivr.fragments.builtin_texts", dict)
    (tmp_path / "engine.py").write_text(ENGINE, "utf-8")
    (tmp_path / "prompts.yaml").write_text(YAML_TEXT, "utf-8")
    (tmp_path / "center.yaml").write_text("center: {name: x}\n", "utf-8")
    return tmp_path


def rendering(city: Path, voice: str = "one") -> Rendering:
    return Rendering(city, [sys.executable, str(city / "engine.py"), "{file}", voice])


def render(run: Rendering) -> None:
    asyncio.run(run.render(run.outdated(), 2))
    run.save()


def test_what_is_missing_is_rendered_and_what_fails_is_named(city: Path) -> None:
    run = rendering(city)
    assert run.outdated() == sorted(KEYS)
    render(run)
    assert [line.partition(":")[0] for line in run.failed] == ["en/hours"]
    assert rendering(city).outdated() == ["en/hours"]
    assert set(read_manifest(city / "prompts")) == set(KEYS) - {"en/hours"}


def test_only_what_changed_is_rendered_again(city: Path) -> None:
    render(rendering(city))
    (city / "prompts.yaml").write_text(
        YAML_TEXT.replace("Hello", "Good day").replace("fail here", "From nine"), "utf-8"
    )
    assert rendering(city).outdated() == ["en/hours", "en/welcome"]


def test_another_voice_renders_all_again(city: Path) -> None:
    render(rendering(city))
    assert rendering(city, "two").outdated() == sorted(KEYS)


def test_a_lost_file_is_rendered_again(city: Path) -> None:
    render(rendering(city))
    (city / "prompts/ru/welcome.alaw").unlink()
    assert rendering(city).outdated() == ["en/hours", "ru/welcome"]


def test_what_a_person_recorded_is_left_alone(city: Path) -> None:
    (city / "prompts/ru").mkdir(parents=True)
    (city / "prompts/ru/welcome.alaw").write_bytes(b"\xd5" * 8000)
    run = rendering(city)
    assert "ru/welcome" not in run.outdated()
    render(run)
    assert (city / "prompts/ru/welcome.alaw").read_bytes() == b"\xd5" * 8000


def test_a_text_that_is_gone_takes_its_file_along(city: Path) -> None:
    render(rendering(city))
    (city / "prompts.yaml").write_text("prompts: {welcome: {ru: Здравствуйте}}\n", "utf-8")
    run = rendering(city)
    assert run.orphans() == ["en/welcome", "ru/hours"]
    run.remove(run.orphans())
    run.save()
    assert [file.name for file in (city / "prompts").rglob("*.alaw")] == ["welcome.alaw"]
    assert list(read_manifest(city / "prompts")) == ["ru/welcome"]


def test_the_default_voice_is_told_where_to_write() -> None:
    assert "{file}" in VOICE
