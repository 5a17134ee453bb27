"""What `asterisk/README.md` asks an administrator for is what the engine and its dialplan use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "asterisk" / "README.md"
TEMPLATES = ROOT / "asterisk" / "templates" / "gkc.d"

ACTION = re.compile(r'(?:action|\.put|_send|\bask)\(\s*"([A-Z][A-Za-z]+)"')
EXEC = re.compile(r'(?:\.exec\(\s*|hang_up\(agi, )"([A-Z][A-Za-z]+)"')
APPLICATION = re.compile(r"(?:,1,|=> n(?:\(\w+\))?,|self,|\]\?)([A-Z][A-Za-z]+)\(")
FUNCTION = re.compile(r"(?:\$\{|\bM?Set\(|[,=\"] ?)([A-Z][A-Z_]+)\((?=[a-zA-Z0-9$+])")

BY_PANORAMISK = {"Login"}


def engine() -> str:
    """Return the source of all that speaks to Asterisk."""
    folders = (ROOT / "gkc_engine" / "channels", ROOT / "gkc_engine" / "ivr")
    return "\n".join(p.read_text() for folder in folders for p in sorted(folder.rglob("*.py")))


def dialplan() -> str:
    """Return the generated files' templates without their comments."""
    texts = [path.read_text() for path in sorted(TEMPLATES.glob("*.j2"))]
    found = [line for text in texts for line in text.splitlines() if not line.startswith(";")]
    return "\n".join(re.split(r"\s; ", line)[0] for line in found)


def named(kind: str) -> list[str]:
    """Return the words in backquotes of the contract's line ``**KIND**: …``."""
    found = re.search(rf"^\*\*{kind}\*\*:(.*(?:\n.+)*)", README.read_text(), re.MULTILINE)
    assert found is not None, kind
    return re.findall(r"`([^`]+)`", found[1])


def used(kind: str) -> set[str]:
    match kind:
        case "Manager actions":
            return set(ACTION.findall(engine())) | BY_PANORAMISK
        case "Applications":
            return set(APPLICATION.findall(dialplan())) | set(EXEC.findall(engine()))
        case _:
            return set(FUNCTION.findall(dialplan())) | set(FUNCTION.findall(engine()))


@pytest.mark.parametrize("kind", ["Manager actions", "Applications", "Functions"])
def test_the_contract_names_what_is_used_and_nothing_else(kind: str) -> None:
    words = named(kind)
    assert len(words) == len(set(words)), "named twice"
    assert set(words) == used(kind)


def test_what_strands_or_tears_citizens_is_never_used() -> None:
    """``CONTROL STREAM FILE`` does not watch the socket; ``Redirect`` tears talks (telephony)."""
    commands = "|".join(("CONTROL STREAM FILE", "control_stream_file", '"Redirect"', "'Redirect'"))
    assert re.findall(commands, engine()) == []
