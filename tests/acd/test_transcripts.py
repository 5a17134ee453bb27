"""Scenarios as text: one line per event, what it caused indented below.

The files in ``tests/transcripts`` can be read, and disputed, by a supervisor. To accept new output
after reading it: ``GKC_REWRITE=1 pytest tests/acd/test_transcripts.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acd.transcript import play

TRANSCRIPTS = sorted((Path(__file__).parents[1] / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda p: p.stem)
def test_transcript(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    actual = play(text)
    if os.environ.get("GKC_REWRITE"):
        path.write_text(actual, encoding="utf-8")
    assert actual == text


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) >= 12
