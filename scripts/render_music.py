"""Render the music on hold: one calm minute that loops without a seam, made from nothing.

    .venv/bin/python scripts/render_music.py config/music/default/calm.alaw

Soft bell tones of a pentatonic tune over four slow chords, synthesized by addition of sines: no
recording and no composition of anybody else. The same bytes on every run. The tail of the last
note sounds on over the start, so that the end meets the beginning.
"""

from __future__ import annotations

import math
import sys
from array import array
from pathlib import Path

from gkc_engine.ivr.audio import RATE_HZ, encode_alaw

SECONDS = 60
LEVEL_DB = -24.0
"""Below full scale: a little quieter than the speech of the prompts."""
CHORDS = ((57, 60, 64, 67), (53, 57, 60, 64), (55, 59, 62, 64), (52, 55, 59, 62))
"""MIDI notes: A minor 7, F major 7, G 6, E minor 7; 7.5 s each, twice round."""
SCALE = (69, 72, 74, 76, 79, 81)
TUNE = (2, 3, 4, 3, 1, 2, 0, 1, 3, 2, 1, 2, 4, 5, 4, 3, 2, 3, 1, 0, 1, 3, 2, 4, 3, 2, 1, 0)
"""Steps of the scale, one each 15/7 s."""


def add_note(
    mix: list[float], start_s: float, note: int, seconds: float, gain: float, attack_s: float
) -> None:
    """Add one tone with a soft attack and an exponential decay, wrapping over the end."""
    hertz = 440.0 * 2 ** ((note - 69) / 12)
    first, length = round(start_s * RATE_HZ), round(seconds * RATE_HZ)
    for harmonic, share in ((1, 1.0), (2, 0.28), (3, 0.08)):
        step = 2 * math.pi * hertz * harmonic / RATE_HZ
        decay = 3.2 * (1 + 0.4 * (harmonic - 1)) / length
        for n in range(length):
            swell = min(1.0, n / (attack_s * RATE_HZ)) * min(1.0, (length - n) / (0.2 * RATE_HZ))
            level = gain * share * swell * math.exp(-decay * n)
            mix[(first + n) % len(mix)] += level * math.sin(step * n)


def compose() -> bytes:
    """Return the minute as A-law."""
    mix = [0.0] * (SECONDS * RATE_HZ)
    for bar in range(8):
        for voice, note in enumerate(CHORDS[bar % 4]):
            add_note(mix, bar * 7.5 + voice * 0.06, note, 8.5, 0.5, 0.9)
    for index, degree in enumerate(TUNE):
        add_note(mix, 0.4 + index * SECONDS / len(TUNE), SCALE[degree], 3.6, 0.7, 0.03)
    rms = math.sqrt(sum(s * s for s in mix) / len(mix))
    scale = 32768 * 10 ** (LEVEL_DB / 20) / rms
    return encode_alaw(array("h", (round(s * scale) for s in mix)))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(compose())
