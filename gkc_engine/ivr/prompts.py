"""Prompts: a name, a text in each language, and a file that Asterisk plays.

Committed sound lies at ``DIRECTORY/LANGUAGE/NAME.alaw``. ``manifest.json`` beside it says which
text each rendered file speaks; a file that it does not name was recorded by a person and is
always right. A text that no file speaks is rendered by the configured TTS command into the
cache, once. Until then, or if that fails, the older file or nothing is played: a prompt that
cannot be had is skipped, logged and counted, and the call goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from gkc_engine.errors import ConfigError
from gkc_engine.ids import SECOND, Micros
from gkc_engine.ivr import audio

_log = structlog.get_logger(__name__)

SUFFIX: Final = ".alaw"
MANIFEST: Final = "manifest.json"
DEFAULT_LANGUAGE: Final = "ru"
_NAME: Final = re.compile(r"(numbers/)?[A-Za-z][A-Za-z0-9_-]{0,59}", re.ASCII)
_TTS_OUTPUT_BYTES_MAX: Final = 64 << 20

Texts = Mapping[str, Mapping[str, str]]
"""Name → language → what is said."""


def text_digest(text: str) -> str:
    """Return the key under which a rendering of ``text`` is known."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsSettings:
    """How new texts are spoken. No shell: every word is one argument of the program."""

    command: tuple[str, ...]
    """``{language}`` and ``{file}`` (a WAV to be written) are replaced everywhere, ``{text}``
    too; a command without ``{text}`` gets the text on its standard input."""
    timeout_us: Micros = Micros(20 * SECOND)
    """For one prompt, conversion included."""

    @property
    def voice(self) -> str:
        """What tells one voice from another in the manifest: the command itself."""
        return " ".join(self.command)


class TtsError(Exception):
    """The TTS command gave nothing that can be played; ``str()`` says why."""


class Synthesizer:
    """Runs the TTS command and makes a prompt file of what it wrote."""

    def __init__(self, settings: TtsSettings) -> None:
        self.settings = settings

    async def render(self, text: str, language: str, target: Path) -> None:
        """Write ``text`` as A-law to ``target``, whole or not at all. Raises `TtsError`."""
        target.parent.mkdir(parents=True, exist_ok=True)
        # The name keeps its suffix: some engines choose the format by it.
        wav = target.with_name(f".{target.stem}.{os.getpid()}.wav")
        try:
            async with asyncio.timeout(self.settings.timeout_us / SECOND):
                await self._speak(text, language, wav)
                await _convert(wav, target)
        except TimeoutError:
            raise TtsError(f"no result within {self.settings.timeout_us / SECOND:g} s") from None
        except OSError as error:
            raise TtsError(f"{self.settings.command[0]}: {error.strerror or error}") from error
        finally:
            wav.unlink(missing_ok=True)

    async def _speak(self, text: str, language: str, wav: Path) -> None:
        values = {"{text}": text, "{language}": language, "{file}": str(wav)}
        words = [_filled(word, values) for word in self.settings.command]
        on_stdin = not any("{text}" in word for word in self.settings.command)
        await _run(words, text.encode() if on_stdin else b"")
        size = _size(wav)
        if not 0 < size <= _TTS_OUTPUT_BYTES_MAX:
            raise TtsError(f"{words[0]} wrote {size} bytes, expected a WAV in {{file}}")


@dataclass(slots=True)
class PromptProblems:
    """Counts since start, for the metrics; keys are prompt names or languages of ours."""

    fallbacks: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(name, language) played in Russian for want of that language."""
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(name, language) not played at all."""
    tts_failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(name, language) that the TTS command could not render."""


class PromptStore:
    """Finds the file of a prompt. One per config version; cheap to build, no I/O in `path`."""

    def __init__(
        self,
        directory: Path,
        texts: Texts,
        *,
        cache: Path | None = None,
        tts: TtsSettings | None = None,
        problems: PromptProblems | None = None,
    ) -> None:
        """Read the folder once.

        Args:
            directory: The committed sound, read only.
            texts: What the prompts say: the config's over `fragments.builtin_texts`.
            cache: A writable folder for new renderings, readable by Asterisk.
            tts: How they are made; ``None`` = they are not.
            problems: The counters to go on with after a reload.
        """
        self._directory = directory.absolute()
        self._texts = texts
        self._cache = cache.absolute() if cache is not None else None
        self._tts = tts
        self.problems = problems or PromptProblems()
        manifest = read_manifest(directory)
        self._files: dict[tuple[str, str], str] = {}
        self._wanted: list[tuple[str, str, str]] = []
        for language, name in _committed(self._directory):
            self._files[name, language] = str(self._directory / language / name)
        for name, by_language in texts.items():
            for language, text in by_language.items():
                self._adopt(name, language, text, manifest.get(f"{language}/{name}"))

    def _adopt(self, name: str, language: str, text: str, entry: ManifestEntry | None) -> None:
        digest = text_digest(text)
        exists = (name, language) in self._files
        if exists and (entry is None or entry.digest == digest):
            return  # Recorded by a person, or rendered from this very text.
        if self._cache is not None and self._tts is not None:
            cached = self._cached(text, language)
            if cached.with_suffix(SUFFIX).is_file():
                self._files[name, language] = str(cached)
                return
        self._wanted.append((name, language, text))
        _log.warning("prompt_outdated" if exists else "prompt_unspoken", prompt=name, lang=language)

    def _cached(self, text: str, language: str) -> Path:
        assert self._cache is not None
        assert self._tts is not None
        return self._cache / language / text_digest(f"{self._tts.voice}\n{text}")

    @property
    def wanted(self) -> Sequence[tuple[str, str, str]]:
        """(name, language, text) that no file speaks yet."""
        return tuple(self._wanted)

    def path(self, name: str, language: str) -> str | None:
        """Return the file for ``STREAM FILE``, absolute and without suffix.

        Russian stands in for a language that is missing; ``None`` when there is neither, and
        then the prompt is to be skipped. Both are logged and counted.
        """
        found = self._files.get((name, language))
        if found is not None:
            return found
        found = self._files.get((name, DEFAULT_LANGUAGE))
        if found is not None:
            self.problems.fallbacks[name, language] += 1
            _log.warning("prompt_language_missing", prompt=name, lang=language)
            return found
        self.problems.missing[name, language] += 1
        _log.warning("prompt_missing", prompt=name, lang=language)
        return None

    def paths(self, names: Iterable[str], language: str) -> list[str]:
        """Return the files of ``names`` in order, without those that cannot be had.

        A number that misses one of its fragments would say another number, so then none of the
        ``numbers/`` among them is said.
        """
        found = [(name, self.path(name, language)) for name in names]
        broken = any(path is None for name, path in found if name.startswith("numbers/"))
        return [
            path
            for name, path in found
            if path is not None and not (broken and name.startswith("numbers/"))
        ]

    @property
    def names(self) -> frozenset[str]:
        """Names of the prompts that can be played in some language, parts of numbers left out."""
        return frozenset(name for name, _ in self._files if not name.startswith("numbers/"))

    def spoken(self, text: str, language: str) -> str | None:
        """Return the file that speaks ``text``, as `path` does; ``None`` until `speak` made it."""
        if self._tts is None or self._cache is None:
            return None
        cached = self._cached(text, language)
        return str(cached) if cached.with_suffix(SUFFIX).is_file() else None

    async def speak(self, text: str, language: str) -> None:
        """Render a text that is no prompt, once. Raises `TtsError`."""
        if self._tts is None or self._cache is None:
            raise TtsError("the config has no tts.command")
        target = self._cached(text, language).with_suffix(SUFFIX)
        if not target.is_file():
            await Synthesizer(self._tts).render(text, language, target)

    async def render_wanted(self) -> int:
        """Render what no file speaks, one after another; return how many now can be played.

        Never raises for a prompt: what fails stays wanted and is tried again by the next call.
        """
        if self._tts is None or self._cache is None:
            return 0
        synthesizer, rendered = Synthesizer(self._tts), 0
        for item in tuple(self._wanted):
            name, language, text = item
            target = self._cached(text, language)
            try:
                await synthesizer.render(text, language, target.with_suffix(SUFFIX))
            except TtsError as error:
                self.problems.tts_failed[name, language] += 1
                _log.warning("prompt_render_failed", prompt=name, lang=language, error=str(error))
                continue
            self._files[name, language] = str(target)
            self._wanted.remove(item)
            rendered += 1
            _log.info("prompt_rendered", prompt=name, lang=language)
        return rendered


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """Which text a rendered file speaks, and in whose voice."""

    digest: str
    voice: str


def read_manifest(directory: Path) -> dict[str, ManifestEntry]:
    """Return ``LANGUAGE/NAME`` → entry; empty when there is no manifest. Raises `ConfigError`."""
    path = directory / MANIFEST
    try:
        found = json.loads(path.read_text("utf-8"))
        return {key: ManifestEntry(entry["text"], entry["voice"]) for key, entry in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: found no manifest ({error}); mend it by scripts/render_prompts.py"
        ) from error


def write_manifest(directory: Path, entries: Mapping[str, ManifestEntry]) -> None:
    """Write the manifest, sorted, one entry a line, whole or not at all."""
    lines = [
        f"{json.dumps(key)}: {json.dumps({'text': entry.digest, 'voice': entry.voice})}"
        for key, entry in sorted(entries.items())
    ]
    partial = directory / (MANIFEST + ".part")
    partial.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    partial.replace(directory / MANIFEST)


def prompt_texts(*sources: Texts) -> dict[str, dict[str, str]]:
    """Return the union of ``sources``; a later one replaces a text, name and language at a time.

    Raises `ConfigError` for a name that could leave the folder of prompts.
    """
    merged: dict[str, dict[str, str]] = {}
    for source in sources:
        for name, by_language in source.items():
            if _NAME.fullmatch(name) is None:
                raise ConfigError(f"prompts: found the name {name!r}, expected a plain name")
            merged.setdefault(name, {}).update(by_language)
    return merged


def _committed(directory: Path) -> Iterable[tuple[str, str]]:
    for file in directory.glob(f"*/**/*{SUFFIX}"):
        language, *parts = file.relative_to(directory).with_suffix("").parts
        name = "/".join(parts)
        if _NAME.fullmatch(name):
            yield language, name


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _filled(word: str, values: Mapping[str, str]) -> str:
    # One pass, so that braces within the citizen-facing text are left alone.
    return re.sub(r"\{(?:text|language|file)\}", lambda found: values[found[0]], word)


async def _convert(wav: Path, target: Path) -> None:
    # A process of its own: see the module's text of audio.py, which needs only the stdlib.
    await _run([sys.executable, "-I", audio.__file__, str(wav), str(target)], b"")


async def _run(words: Sequence[str], stdin: bytes) -> None:
    # Files, not pipes: asyncio waits for the end of every pipe, and a grandchild may hold one.
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
        source.write(stdin)
        source.seek(0)
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=source,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise
        if process.returncode != 0:
            errors.seek(-min(200, errors.seek(0, os.SEEK_END)), os.SEEK_END)
            tail = errors.read().decode("utf-8", "replace").strip()
            raise TtsError(f"{words[0]} ended with {process.returncode}: {tail}")
