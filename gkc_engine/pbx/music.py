"""Music on hold of our own: Debian's Asterisk ships none, and silence sounds like a lost call.

Quiet broken chords, half a minute, computed; so nobody's rights are touched.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from gkc_engine.ivr.audio import encode_alaw

RATE_HZ: Final = 8000
_NOTE_S: Final = 0.25
_PEAK: Final = 5000
"""Of 32767, for two notes that sound together: well under the level of speech."""

_CHORDS: Final = (
    (220, 262, 330, 440),
    (175, 220, 262, 349),
    (262, 330, 392, 523),
    (196, 247, 294, 392),
)
"""A minor, F, C, G, in Hz: each twice up and down."""


def write_music(folder: Path) -> Path:
    """Write ``gkc-hold.alaw`` into ``folder`` unless it is there; return ``folder``."""
    target = folder / "gkc-hold.alaw"
    if not target.exists():
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = target.with_suffix(".part")
        draft.write_bytes(encode_alaw(_samples()))
        draft.replace(target)
    return folder


def _samples() -> list[int]:
    length = round(RATE_HZ * _NOTE_S)
    notes = [note for chord in _CHORDS for note in (*chord, *reversed(chord)) * 4]
    samples = [0.0] * (length * (len(notes) + 2))
    for index, note in enumerate(notes):
        step = 2 * math.pi * note / RATE_HZ
        for i in range(2 * length):  # a note dies away while the next one sounds
            fade = min(1.0, i / 80) * (1 - i / (2 * length)) ** 2
            samples[index * length + i] += fade * math.sin(step * i)
    return [round(_PEAK * sample) for sample in samples[: length * len(notes)]]
