"""The store finds, falls back, skips and renders; it never keeps a citizen in silence."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

import pytest

from gkc_engine.broadcasting import BroadcastVoice, SpeechError
from gkc_engine.errors import ConfigError
from gkc_engine.ids import seconds
from gkc_engine.ivr import fragments
from gkc_engine.ivr.prompts import (
    ManifestEntry,
    PromptStore,
    Synthesizer,
    TtsError,
    TtsSettings,
    prompt_texts,
    read_manifest,
    text_digest,
    write_manifest,
)

ENGINE = """
import math, struct, sys, wave
text = sys.stdin.buffer.read().decode() if len(sys.argv) < 4 else sys.argv[3]
with open(sys.argv[1] + ".calls", "a") as log:
    log.write(sys.argv[2] + " " + text + chr(10))
if text == "fail":
    sys.exit("no such voice")
if text == "nothing":
    sys.exit(0)
level = 0 if text == "silence" else 9000
with wave.open(sys.argv[1], "wb") as out:
    out.setnchannels(1)
    out.setsampwidth(2)
    out.setframerate(16000)
    for n in range(800 * len(text)):
        out.writeframesraw(struct.pack("<h", round(level * math.sin(n / 4))))
"""


@pytest.fixture
def tts(tmp_path: Path) -> TtsSettings:
    program = tmp_path / "engine.py"
    program.write_text(ENGINE, "utf-8")
    return TtsSettings(command=(sys.executable, str(program), "{file}", "{language}"))


def sound(directory: Path, key: str, data: bytes = b"\xd5" * 800) -> None:
    path = directory / f"{key}.alaw"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def size(path: str) -> int:
    return Path(path + ".alaw").stat().st_size


def made(path: str) -> int:
    return Path(path + ".alaw").stat().st_mtime_ns


def has_ended(pid: int) -> bool:
    """Wait up to 10 s for it: the signal is on its way."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 10)[0])
    finally:
        os.close(handle)


def store(directory: Path, tts: TtsSettings, **texts: str) -> PromptStore:
    return PromptStore(
        directory / "prompts",
        {name: {"ru": text} for name, text in texts.items()},
        cache=directory / "cache",
        tts=tts,
    )


def test_a_path_is_absolute_and_without_suffix(tmp_path: Path) -> None:
    sound(tmp_path, "ru/welcome")
    sound(tmp_path, "ru/numbers/position-5")
    found = PromptStore(tmp_path, {})
    assert found.path("welcome", "ru") == str(tmp_path / "ru/welcome")
    assert found.path("numbers/position-5", "ru") == str(tmp_path / "ru/numbers/position-5")
    assert not found.problems.fallbacks


def test_russian_stands_in_for_a_missing_language_and_is_counted(tmp_path: Path) -> None:
    sound(tmp_path, "ru/welcome")
    found = PromptStore(tmp_path, {})
    assert found.path("welcome", "en") == str(tmp_path / "ru/welcome")
    assert found.problems.fallbacks == {("welcome", "en"): 1}


def test_a_missing_prompt_is_skipped_and_counted(tmp_path: Path) -> None:
    sound(tmp_path, "ru/welcome")
    found = PromptStore(tmp_path, {})
    assert found.paths(["nowhere", "welcome"], "ru") == [str(tmp_path / "ru/welcome")]
    assert found.problems.missing == {("nowhere", "ru"): 1}


def test_half_a_number_is_not_said(tmp_path: Path) -> None:
    sound(tmp_path, "ru/hold-please")
    sound(tmp_path, "ru/numbers/position-20-and")
    found = PromptStore(tmp_path, {})
    names = ["hold-please", *fragments.position_prompts(25)]
    assert found.paths(names, "ru") == [str(tmp_path / "ru/hold-please")]


@pytest.mark.parametrize("name", ["../welcome", "/etc/x", "", "a b", "numbers/../x", "имя", "a\n"])
def test_a_name_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    assert PromptStore(tmp_path, {}).path(name, "ru") is None
    with pytest.raises(ConfigError, match="plain name"):
        prompt_texts({name: {"ru": "x"}})


async def test_a_new_text_is_rendered_once_and_found_after_a_restart(
    tmp_path: Path, tts: TtsSettings
) -> None:
    first = store(tmp_path, tts, news="Добрый день")
    assert first.path("news", "ru") is None
    assert await first.render_wanted() == 1
    path = first.path("news", "ru")
    assert path is not None
    assert size(path) == pytest.approx(0.6 * 8000, rel=0.2)
    again = store(tmp_path, tts, news="Добрый день")
    assert again.path("news", "ru") == path
    assert again.wanted == ()
    assert not [p for p in (tmp_path / "cache/ru").iterdir() if p.suffix == ".wav"]


async def test_a_changed_text_keeps_the_old_sound_until_it_is_rendered(
    tmp_path: Path, tts: TtsSettings
) -> None:
    sound(tmp_path / "prompts", "ru/hours")
    entry = ManifestEntry(text_digest("до шести"), tts.voice)
    write_manifest(tmp_path / "prompts", {"ru/hours": entry})
    changed = store(tmp_path, tts, hours="до восьми")
    assert changed.path("hours", "ru") == str(tmp_path / "prompts/ru/hours")
    assert await changed.render_wanted() == 1
    assert changed.path("hours", "ru") != str(tmp_path / "prompts/ru/hours")


async def test_what_a_person_recorded_is_never_spoken_over(
    tmp_path: Path, tts: TtsSettings
) -> None:
    sound(tmp_path / "prompts", "ru/welcome")
    recorded = store(tmp_path, tts, welcome="другой текст")
    assert recorded.wanted == ()
    assert await recorded.render_wanted() == 0


@pytest.mark.parametrize("text", ["fail", "nothing", "silence"])
async def test_a_failed_engine_costs_one_prompt_only(
    tmp_path: Path, tts: TtsSettings, text: str
) -> None:
    both = store(tmp_path, tts, broken=text, fine="Пожалуйста")
    assert await both.render_wanted() == 1
    assert both.path("broken", "ru") is None
    assert both.path("fine", "ru") is not None
    assert both.problems.tts_failed == {("broken", "ru"): 1}
    assert [name for name, _, _ in both.wanted] == ["broken"]


@pytest.mark.accept
async def test_a_hung_engine_is_ended_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"sleep 100 & echo $! > {pid_file}; wait"
    hung = TtsSettings(command=("sh", "-c", script), timeout_us=seconds(1))
    with pytest.raises(TtsError, match="within 1 s"):
        await Synthesizer(hung).render("x", "ru", tmp_path / "x.alaw")
    assert has_ended(int(pid_file.read_text()))


async def test_an_engine_that_leaves_a_child_behind_does_not_hold_us(tmp_path: Path) -> None:
    script = "sleep 100 & echo $! > pid; echo no voice >&2; exit 3"
    leaving = TtsSettings(command=("sh", "-c", f"cd {tmp_path}; {script}"))
    with pytest.raises(TtsError, match="ended with 3: no voice"):
        await Synthesizer(leaving).render("x", "ru", tmp_path / "x.alaw")
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)  # It ran on all the time.


async def test_a_missing_engine_says_so(tmp_path: Path) -> None:
    with pytest.raises(TtsError, match="no-such-engine"):
        await Synthesizer(TtsSettings(command=("no-such-engine", "{file}"))).render(
            "x", "ru", tmp_path / "x.alaw"
        )


async def test_a_text_is_one_argument_whatever_it_holds(tmp_path: Path, tts: TtsSettings) -> None:
    hostile = "$(touch x); 'a' \"b\" {file} {language}"
    settings = TtsSettings(command=(*tts.command, "{text}"))
    (tmp_path / "out").mkdir()
    await Synthesizer(settings).render(hostile, "ru", tmp_path / "out/x.alaw")
    calls = next((tmp_path / "out").glob(".x*.calls")).read_text()
    assert calls == f"ru {hostile}\n"


def test_without_an_engine_nothing_is_promised(tmp_path: Path) -> None:
    silent = PromptStore(tmp_path, {"news": {"ru": "x"}})
    assert silent.path("news", "ru") is None
    assert [name for name, _, _ in silent.wanted] == ["news"]


def test_the_config_speaks_over_the_builtin_text() -> None:
    merged = prompt_texts({"closed": {"ru": "a", "en": "b"}}, {"closed": {"ru": "c"}})
    assert merged == {"closed": {"ru": "c", "en": "b"}}


@pytest.mark.parametrize("text", ["", "[]", '{"ru/x": 1}', '{"ru/x": {"text": "a"}}', "{"])
def test_a_broken_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ConfigError, match=r"manifest\.json"):
        read_manifest(tmp_path)


async def test_a_supervisor_s_text_is_spoken_once_and_refused_with_the_remedy(
    tmp_path: Path, tts: TtsSettings
) -> None:
    speaking = store(tmp_path, tts, news="Добрый день")
    text = "Сайт не работает"
    assert speaking.spoken(text, "ru") is None
    voice = BroadcastVoice(lambda: speaking, lambda: "ru")
    await voice.speak(text)
    path = speaking.spoken(text, "ru")
    assert path is not None
    first = made(path)
    assert size(path) == 400 * len(text), "16 kHz became 8 kHz, one byte a sample"
    await voice.speak(text)
    assert made(path) == first
    assert store(tmp_path, tts, news="Добрый день").spoken(text, "ru") == path, "after a restart"
    with pytest.raises(SpeechError, match="no such voice"):
        await voice.speak("fail")
    mute = PromptStore(tmp_path / "none", {})
    with pytest.raises(SpeechError, match=r"no tts.command; set tts.command .* announce NAME"):
        await BroadcastVoice(lambda: mute, lambda: "ru").speak(text)
    assert mute.spoken(text, "ru") is None


def test_parts_of_numbers_are_no_prompts_to_announce(tmp_path: Path, tts: TtsSettings) -> None:
    for key in ("ru/welcome", "en/welcome", "ru/numbers/in-line-1"):
        sound(tmp_path / "prompts", key)
    found = PromptStore(tmp_path / "prompts", {}, tts=tts)
    assert BroadcastVoice(lambda: found, lambda: "ru").prompts() == ["welcome"]
