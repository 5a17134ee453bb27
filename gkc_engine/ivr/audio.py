"""Speech as Asterisk plays it without transcoding: 8 kHz A-law without a header (``.alaw``).

Pure Python on purpose: a fresh machine needs no sox, and the engine runs it as a process of its
own (``python -I audio.py IN.wav OUT.alaw``), since a second of speech costs about
50 ms of processor that the routing loop must not pay.
"""

from __future__ import annotations

import io
import math
import sys
import wave
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Final

RATE_HZ: Final = 8000
SECONDS_MAX: Final = 300
ACTIVE_LEVEL_DB: Final = -20.0
"""Level of the speech itself, pauses left out, in dB below full scale: all prompts alike."""
PEAK_LEVEL_DB: Final = -1.5
_FRAME: Final = RATE_HZ // 100
_SILENCE_DB: Final = -42.0
"""Below the loudest 10 ms: breath and noise, not speech."""
_LEAD_FRAMES: Final = 3
_TAIL_FRAMES: Final = 8
_CUTOFF: Final = 0.46
"""Of the lower of both rates: 3.7 kHz, the telephone's own edge."""
_HALF_WIDTH: Final = 16
"""Zero crossings of the sinc on each side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What can be said of a recording without listening to it."""

    seconds: float
    active_db: float
    """RMS of the frames that hold speech, dB below full scale; -inf for silence."""
    peak_db: float
    clipped: int
    """Samples at the last code of A-law."""


def encode_alaw(samples: Sequence[int]) -> bytes:
    """Return 16-bit samples as A-law (ITU-T G.711, table 1a, even bits inverted)."""
    return bytes(_CODE[(sample >> 3) & 0x1FFF] for sample in samples)


def decode_alaw(data: bytes) -> array[int]:
    """Return A-law as 16-bit samples (ITU-T G.711, table 1a)."""
    return array("h", map(_LINEAR.__getitem__, data))


def measure(data: bytes) -> Measure:
    """Return the figures of an A-law recording."""
    levels = [
        sum(map(_SQUARE.__getitem__, data[at : at + _FRAME])) / _FRAME
        for at in range(0, len(data), _FRAME)
    ]
    active = _active(levels)
    power = sum(levels[i] for i in active) / len(active) if active else 0.0
    return Measure(
        seconds=len(data) / RATE_HZ,
        active_db=_db(power),
        peak_db=_db(max((_SQUARE[code] for code in set(data)), default=0)),
        clipped=data.count(0x2A) + data.count(0xAA),
    )


def speech(wav: bytes) -> bytes:
    """Return a WAV recording as A-law: mono, 8 kHz, trimmed, at the common loudness.

    Raises ``ValueError`` when it is no 16-bit PCM WAV, too long, or silent: a speech engine that
    failed politely must not become a prompt that says nothing.
    """
    rate, samples = _read(wav)
    narrow = _resample(samples, rate)
    levels = _frame_powers(narrow)
    active = _active(levels)
    if not active or max(levels) < 10.0**2:
        raise ValueError("found silence, expected speech")
    first = max(0, active[0] - _LEAD_FRAMES) * _FRAME
    last = (active[-1] + 1 + _TAIL_FRAMES) * _FRAME
    power = sum(levels[i] for i in active) / len(active)
    peak = max(abs(s) for s in narrow)
    gain = min(
        32768 * 10 ** (ACTIVE_LEVEL_DB / 20) / math.sqrt(power),
        32768 * 10 ** (PEAK_LEVEL_DB / 20) / peak,
    )
    return encode_alaw([round(s * gain) for s in narrow[first:last]])


def _read(wav: bytes) -> tuple[int, list[float]]:
    try:
        with wave.open(io.BytesIO(wav)) as source:
            channels, width, rate = source.getparams()[:3]
            frames = source.readframes(SECONDS_MAX * rate + 1)
    except (wave.Error, EOFError) as error:
        raise ValueError(f"found no WAV recording ({error})") from error
    if width != 2 or channels not in (1, 2) or not RATE_HZ <= rate <= 96_000:
        raise ValueError(f"found {8 * width} bit, {channels} channels, {rate} Hz in the WAV")
    samples = array("h", frames[: len(frames) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    if len(samples) > SECONDS_MAX * rate * channels:
        raise ValueError(f"found more than {SECONDS_MAX} s of speech")
    if channels == 2:
        return rate, [(a + b) / 2 for a, b in zip(samples[::2], samples[1::2], strict=False)]
    return rate, [float(s) for s in samples]


def _resample(samples: list[float], rate: int) -> list[float]:
    """Return ``samples`` at 8 kHz by a polyphase windowed-sinc filter."""
    if rate == RATE_HZ:
        return samples
    common = math.gcd(rate, RATE_HZ)
    up, down = RATE_HZ // common, rate // common
    reach = math.ceil(_HALF_WIDTH * rate / RATE_HZ)
    phases = [_kernel(phase / up, reach, rate) for phase in range(up)]
    padded = [0.0] * reach + samples + [0.0] * (reach + 1)
    result = []
    for n in range(len(samples) * up // down):
        at, phase = divmod(n * down, up)
        result.append(sum(map(mul, phases[phase], padded[at + 1 : at + 2 * reach + 1])))
    return result


def _kernel(offset: float, reach: int, rate: int) -> list[float]:
    """Return the filter for a point ``offset`` input samples behind a sample, sum 1."""
    cutoff = 2 * _CUTOFF * RATE_HZ / rate
    taps = []
    for k in range(1 - reach, reach + 1):
        x = k - offset
        sinc = cutoff if x == 0 else math.sin(math.pi * cutoff * x) / (math.pi * x)
        taps.append(sinc * (0.5 + 0.5 * math.cos(math.pi * x / (reach + 1))))
    total = sum(taps)
    return [tap / total for tap in taps]


def _frame_powers(samples: Sequence[float]) -> list[float]:
    """Return the mean square of each 10 ms."""
    return [
        sum(s * s for s in samples[at : at + _FRAME]) / _FRAME
        for at in range(0, len(samples), _FRAME)
    ]


def _active(levels: list[float]) -> list[int]:
    floor = max(levels, default=0.0) * 10 ** (_SILENCE_DB / 10)
    return [i for i, power in enumerate(levels) if power > floor]


def _db(power: float) -> float:
    return 10 * math.log10(power / 32768**2) if power > 0 else -math.inf


def _code_of(value: int) -> int:
    """Return the code of a 13-bit value: sign, three bits of segment, four of mantissa."""
    sign, magnitude = (0x80, value) if value >= 0 else (0, -value - 1)
    segment = max(0, magnitude.bit_length() - 5)
    return (sign | segment << 4 | magnitude >> max(1, segment) & 0xF) ^ 0x55


def _linear_of(code: int) -> int:
    """Return the middle of the interval that ``code`` stands for, as 16 bits."""
    code ^= 0x55
    segment, mantissa = code >> 4 & 7, code & 0xF
    magnitude = (2 * mantissa + 1 if segment == 0 else (2 * mantissa + 33) << (segment - 1)) << 3
    return magnitude if code & 0x80 else -magnitude


_CODE: Final = bytes(_code_of(v if v < 0x1000 else v - 0x2000) for v in range(0x2000))
_LINEAR: Final = tuple(_linear_of(code) for code in range(256))
_SQUARE: Final = tuple(sample * sample for sample in _LINEAR)


def main(source: str, target: str) -> None:
    """Convert one file; the target appears whole or not at all."""
    data = speech(Path(source).read_bytes())
    partial = Path(target + ".part")
    partial.write_bytes(data)
    partial.replace(target)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, OSError) as problem:
        sys.exit(f"{sys.argv[1]}: {problem}")
