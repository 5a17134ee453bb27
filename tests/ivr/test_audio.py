"""Sound measured, not listened to: A-law codes, resampling, loudness, trimming."""

from __future__ import annotations

import io
import math
import wave
from array import array
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gkc_engine.ivr import audio

G711 = {0: 0xD5, 8: 0xD5, 16: 0xD4, -8: 0x55, 1000: 0xFA, -1000: 0x7A, 32767: 0xAA, -32768: 0x2A}
"""Codes of 16-bit values, taken from sox 14.4.2."""


def tone(
    hertz: float, *, rate: int = 24_000, seconds: float = 1.0, peak: int = 8000, pad: float = 0.0
) -> bytes:
    silence = [0] * round(pad * rate)
    wave_form = [
        round(peak * math.sin(2 * math.pi * hertz * n / rate)) for n in range(round(seconds * rate))
    ]
    return wav([*silence, *wave_form, *silence], rate)


def wav(samples: list[int], rate: int, *, channels: int = 1, width: int = 2) -> bytes:
    data = array("h", samples).tobytes() if width == 2 else bytes(len(samples))
    out = io.BytesIO()
    with wave.open(out, "wb") as target:
        target.setnchannels(channels)
        target.setsampwidth(width)
        target.setframerate(rate)
        target.writeframes(data)
    return out.getvalue()


def test_codes_are_those_of_g711() -> None:
    assert dict(zip(G711, audio.encode_alaw(list(G711)), strict=True)) == G711


def test_every_code_survives_decoding_and_encoding() -> None:
    assert audio.encode_alaw(audio.decode_alaw(bytes(range(256)))) == bytes(range(256))


@settings(deadline=None)
@given(st.integers(-32768, 32767))
def test_the_error_of_a_sample_is_at_most_half_a_step(sample: int) -> None:
    found = audio.decode_alaw(audio.encode_alaw([sample]))[0]
    assert abs(found - sample) <= max(16, abs(sample) / 32 + 8)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_a_tone_keeps_its_pitch_and_length_at_every_rate(rate: int) -> None:
    samples = audio.decode_alaw(audio.speech(tone(1000, rate=rate)))
    crossings = sum(a < 0 <= b for a, b in pairwise(samples))
    assert crossings == pytest.approx(1000, abs=3)
    assert len(samples) == pytest.approx(8000, abs=200)


def test_what_a_telephone_cannot_carry_does_not_fold_back() -> None:
    loud_and_high = [
        round(8000 * math.sin(2 * math.pi * 700 * n / 24_000))
        + round(8000 * math.sin(2 * math.pi * 7000 * n / 24_000))
        for n in range(24_000)
    ]
    samples = audio.decode_alaw(audio.speech(wav(loud_and_high, 24_000)))
    # 7000 Hz would fold back to 1000 Hz.
    assert amplitude(samples, 1000) < amplitude(samples, 700) / 100


def amplitude(samples: array[int], hertz: float) -> float:
    turn = 2 * math.pi * hertz / 8000
    middle = samples[800:7200]
    real = sum(s * math.cos(turn * n) for n, s in enumerate(middle))
    imaginary = sum(s * math.sin(turn * n) for n, s in enumerate(middle))
    return math.hypot(real, imaginary)


@pytest.mark.parametrize("peak", [300, 3000, 30_000])
def test_quiet_and_loud_sources_come_out_alike(peak: int) -> None:
    found = audio.measure(audio.speech(tone(440, peak=peak)))
    assert found.active_db == pytest.approx(audio.ACTIVE_LEVEL_DB, abs=0.5)
    assert found.clipped == 0


def test_a_short_loud_click_does_not_clip() -> None:
    samples = [round(300 * math.sin(n / 4)) for n in range(24_000)]
    samples[12_000:12_040] = [32_000] * 40
    found = audio.measure(audio.speech(wav(samples, 24_000)))
    assert found.clipped == 0
    assert found.peak_db <= audio.PEAK_LEVEL_DB + 0.5


def test_silence_around_the_speech_is_cut_to_a_breath() -> None:
    found = audio.measure(audio.speech(tone(440, seconds=0.5, pad=2.0)))
    assert 0.55 <= found.seconds <= 0.68


def test_stereo_is_mixed() -> None:
    both = [value for n in range(16_000) for value in (0, round(8000 * math.sin(n / 4)))]
    assert audio.measure(audio.speech(wav(both, 16_000, channels=2))).seconds == pytest.approx(
        1.0, abs=0.05
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no WAV"),
        (b"ID3\x03not a wav at all", "no WAV"),
        (wav([0] * 8000, 8000), "silence"),
        (wav([], 8000), "silence"),
        (wav([1, -1] * 4000, 8000), "silence"),
        (wav([9] * 8000, 8000, width=1), "8 bit"),
        (wav([9] * 4000, 4000), "4000 Hz"),
        (wav([9000, -9000] * 1_200_100, 8000), "more than 300 s"),
    ],
)
def test_what_is_no_speech_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        audio.speech(data)


def test_a_file_appears_whole(tmp_path: Path) -> None:
    (tmp_path / "in.wav").write_bytes(tone(440))
    audio.main(str(tmp_path / "in.wav"), str(tmp_path / "out.alaw"))
    assert audio.measure((tmp_path / "out.alaw").read_bytes()).seconds > 0.9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "out.alaw"]
