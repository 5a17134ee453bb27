"""Render the prompts of a config folder: DIR/prompts.yaml and the engine's own, into DIR/prompts.

    .venv/bin/python scripts/render_prompts.py DIR [--check] [--jobs 2] [--command WORD ...]

Only what is missing or whose text or voice changed is rendered, so it can be broken off and run
again. Files that the manifest does not name were recorded by a person and are never touched.
``--check`` renders nothing, lists what is out of date, and ends with 1 if there is any.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

from gkc_engine.errors import ConfigError
from gkc_engine.ivr import fragments
from gkc_engine.ivr.prompts import (
    SUFFIX,
    ManifestEntry,
    Synthesizer,
    Texts,
    TtsError,
    TtsSettings,
    prompt_texts,
    read_manifest,
    text_digest,
    write_manifest,
)

VOICE = ("RHVoice-test", "-p", "anna+slt", "-o", "{file}")
"""RHVoice: anna speaks Russian, slt English; both are LGPL-2.1+, unlike some of its voices."""
SAVE_EVERY = 20


def config_texts(directory: Path) -> Texts:
    """Return what the config's ``prompts:`` say; it stands in exactly one of the files."""
    texts: dict[str, dict[str, str]] = {}
    for path in sorted(directory.glob("*.yaml")):
        tree = YAML(typ="safe", pure=True).load(path)
        found = tree.get("prompts") if isinstance(tree, dict) else None
        for name, by_language in (found or {}).items():
            texts[name] = {lang: str(text) for lang, text in by_language.items() if text}
    return texts


class Rendering:
    """One run over one folder."""

    def __init__(self, directory: Path, command: Sequence[str]) -> None:
        self.target = directory / "prompts"
        self.settings = TtsSettings(command=tuple(command))
        texts = prompt_texts(fragments.builtin_texts(), config_texts(directory))
        self.texts = {
            f"{lang}/{name}": text
            for name, by_language in texts.items()
            for lang, text in by_language.items()
        }
        self.manifest = read_manifest(self.target)
        self.failed: list[str] = []

    def file(self, key: str) -> Path:
        """Return the file of ``LANGUAGE/NAME``."""
        return self.target / (key + SUFFIX)

    def outdated(self) -> list[str]:
        """Return the keys to be rendered."""
        return sorted(key for key in self.texts if not self._current(key))

    def orphans(self) -> list[str]:
        """Return rendered files that no text stands for any more."""
        return sorted(key for key in self.manifest if key not in self.texts)

    def _current(self, key: str) -> bool:
        if not self.file(key).is_file():
            return False
        entry = self.manifest.get(key)
        return entry is None or entry == self._entry(key)

    def _entry(self, key: str) -> ManifestEntry:
        return ManifestEntry(text_digest(self.texts[key]), self.settings.voice)

    async def render(self, keys: Sequence[str], jobs: int) -> None:
        """Render ``keys`` with ``jobs`` engines at a time; what fails is listed in ``failed``."""
        self.target.mkdir(parents=True, exist_ok=True)
        pending, synthesizer, done = list(reversed(keys)), Synthesizer(self.settings), 0

        async def work() -> None:
            nonlocal done
            while pending:
                key = pending.pop()
                try:
                    await synthesizer.render(self.texts[key], key.partition("/")[0], self.file(key))
                except TtsError as error:
                    self.failed.append(f"{key}: {error}")
                    continue
                self.manifest[key] = self._entry(key)
                done += 1
                if done % SAVE_EVERY == 0:
                    self.save()
                    sys.stderr.write(f"{done} of {len(keys)}\n")

        await asyncio.gather(*(work() for _ in range(jobs)))

    def save(self) -> None:
        """Write the manifest, so that a broken-off run goes on where it was."""
        self.target.mkdir(parents=True, exist_ok=True)
        write_manifest(self.target, self.manifest)

    def remove(self, keys: Sequence[str]) -> None:
        """Remove rendered files, and only those."""
        for key in keys:
            self.file(key).unlink(missing_ok=True)
            del self.manifest[key]


def main() -> int:
    """Return the exit code: 0 up to date, 1 not, 2 the config cannot be read."""
    parser = argparse.ArgumentParser(description="Render the prompts of a config folder.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--check", action="store_true", help="render nothing, exit 1 if outdated")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--command", nargs="+", default=VOICE, help="{file}, {language}, {text}")
    args = parser.parse_args()
    try:
        rendering = Rendering(args.directory, args.command)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    outdated, orphans = rendering.outdated(), rendering.orphans()
    if args.check:
        sys.stdout.writelines(f"outdated: {key}\n" for key in outdated)
        sys.stdout.writelines(f"orphan: {key}\n" for key in orphans)
        return 1 if outdated or orphans else 0
    try:
        asyncio.run(rendering.render(outdated, max(1, args.jobs)))
        rendering.remove(orphans)
    finally:
        rendering.save()
    sys.stderr.writelines(f"failed: {line}\n" for line in rendering.failed)
    rendered = len(outdated) - len(rendering.failed)
    sys.stderr.write(
        f"{rendered} rendered, {len(orphans)} removed, {len(rendering.texts)} in all\n"
    )
    return 1 if rendering.failed else 0


if __name__ == "__main__":
    sys.exit(main())
