"""The demo's own copy of a configuration folder: the same files and comments, other values."""

from __future__ import annotations

import shutil
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

from ruamel.yaml import YAML

Document: TypeAlias = MutableMapping[str, Any]
"""One file, as ruamel.yaml keeps it for writing back."""

PORTS_FILE = "pbx.yaml"
"""Always written, for this machine's ports stand in it."""


def copy_tree(source: Path, folder: Path, change: Callable[[str, Document], None]) -> Path:
    """Write ``folder`` anew from the checked configuration in ``source``; return ``folder``.

    ``change`` is given each file's name and contents. Folders (prompts) are linked, not copied.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.explicit_start = True
    yaml.explicit_end = (
        True  # A file that opens with --- and lacks this is refused as half-written.
    )
    yaml.width = 4096
    documents: dict[str, Document] = {PORTS_FILE: {}}
    for entry in sorted(source.resolve().iterdir()):
        if entry.is_dir():
            (folder / entry.name).symlink_to(entry)
        elif entry.suffix == ".yaml":
            documents[entry.name] = yaml.load(entry.read_text(encoding="utf-8")) or {}
        else:
            shutil.copy(entry, folder)
    for name, document in documents.items():
        change(name, document)
        if document:
            with (folder / name).open("w", encoding="utf-8") as file:
                yaml.dump(document, file)
    return folder
