"""Material on which marks are easily heard or hard to place, made by formula: 44.1 kHz, stereo, 20 s.

Music on the shelves seldom has it pure: sustained tones, bass alone, a solo piano, a chip, speech, clicks out
of silence, and near-silence.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from benchmarks.companions import load_speech
from benchmarks.music import SAMPLE_RATE
from benchmarks.tools import Audio

SECONDS = 20.0
SAMPLES = round(SECONDS * SAMPLE_RATE)
TIME_S = np.arange(SAMPLES) / SAMPLE_RATE

Row = NDArray[np.float64]


def to_hertz(pitch: float) -> float:
    """Frequency of a MIDI pitch."""
    return float(440.0 * 2 ** ((pitch - 69) / 12))


def place(notes: list[tuple[float, Row]]) -> Row:
    """Add notes, each at its onset in s, into one row of 20 s."""
    row = np.zeros(SAMPLES)
    for onset_s, note in notes:
        start = round(onset_s * SAMPLE_RATE)
        part = note[: SAMPLES - start]
        row[start : start + len(part)] += part
    return row


def to_stereo(row: Row, level_db: float, pan: float = 0.0) -> Audio:
    """Set the peak to `level_db` and pan; float32 (2, samples)."""
    scaled = row / np.abs(row).max() * 10 ** (level_db / 20)
    return np.stack([scaled * (1 - max(pan, 0)), scaled * (1 + min(pan, 0))]).astype(np.float32)


def strike(pitch: float, seconds: float, loudness: float) -> Row:
    """A struck string: stiff partials that decay the faster the higher they are."""
    time_s = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    base, tone = to_hertz(pitch), np.zeros(len(time_s))
    for n in range(1, 25):
        hertz = n * base * np.sqrt(1 + 4e-4 * n**2)
        if hertz > 12_000:
            break
        decay_s = 3.0 * (220 / base) ** 0.5 / (1 + 0.25 * n)
        tone += np.sin(2 * np.pi * hertz * time_s) * np.exp(-time_s / decay_s) / n**1.4
    return loudness * tone * np.minimum(1, time_s / 0.002)


def play_piano(rng: np.random.Generator) -> Audio:
    """Slow solo piano, one note at a time, much of it near silence."""
    onsets = np.arange(0, SECONDS - 1, 0.6)
    scale = [57, 59, 60, 62, 64, 65, 67, 69, 72]
    return to_stereo(
        place([(t, strike(rng.choice(scale), 3.0, rng.uniform(0.3, 1))) for t in onsets]), -6, 0.1
    )


def hold_tones(rng: np.random.Generator) -> Audio:
    """Three pure sine tones held for the whole length: nothing masks what lies between them."""
    row = sum(np.sin(2 * np.pi * hertz * TIME_S + rng.uniform(0, 6)) for hertz in (440.0, 659.26, 1318.5))
    return to_stereo(np.asarray(row), -12)


def play_bass(rng: np.random.Generator) -> Audio:
    """A bass line, nothing above 400 Hz."""
    onsets = np.arange(0, SECONDS, 0.4)
    row = place([(t, strike(rng.choice([28, 31, 33, 35]), 0.8, 1.0)) for t in onsets])
    return to_stereo(sosfilt(butter(6, 400, "lowpass", fs=SAMPLE_RATE, output="sos"), row), -6)


def play_chip(rng: np.random.Generator) -> Audio:
    """Two square waves and noise drums, as a sound chip of the eighties makes them."""
    step_s = 0.125
    steps = int(SECONDS / step_s)
    length = round(step_s * SAMPLE_RATE)
    row = np.zeros(SAMPLES)
    for number in range(steps):
        time_s = np.arange(length) / SAMPLE_RATE
        part = sum(
            np.sign(np.sin(2 * np.pi * to_hertz(rng.choice([60, 64, 67, 72])) * time_s)) for _ in range(2)
        )
        if number % 4 == 2:
            part = part + 0.8 * rng.standard_normal(length) * np.exp(-time_s / 0.03)
        row[number * length : (number + 1) * length] = part
    return to_stereo(row, -9)


def click(rng: np.random.Generator) -> Audio:
    """Castanet-like clicks out of digital silence: pre-echo shows here."""
    time_s = np.arange(round(0.08 * SAMPLE_RATE)) / SAMPLE_RATE
    onsets = np.cumsum(rng.uniform(0.25, 0.6, 100))
    notes = [
        (t, np.exp(-time_s / 0.008) * np.sin(2 * np.pi * rng.uniform(1500, 4000) * time_s))
        for t in onsets[onsets < SECONDS - 0.1]
    ]
    return to_stereo(place(notes), -3)


def whisper(rng: np.random.Generator) -> Audio:
    """Near-silence: a faint noise at about -60 dB of full scale, swelling slowly."""
    row = sosfilt(butter(2, 2000, "lowpass", fs=SAMPLE_RATE, output="sos"), rng.standard_normal(SAMPLES))
    return to_stereo(row * (1 + 0.5 * np.sin(2 * np.pi * 0.1 * TIME_S)), -48)


def speak(rng: np.random.Generator) -> Audio:
    """A speaking voice with pauses."""
    speech = load_speech(SAMPLE_RATE)[0]
    start = int(rng.integers(len(speech) - SAMPLES))
    return to_stereo(speech[start : start + SAMPLES].astype(np.float64), -3)


MAKERS: dict[str, Callable[[np.random.Generator], Audio]] = {
    "solo piano": play_piano,
    "sustained tones": hold_tones,
    "bass only": play_bass,
    "chiptune": play_chip,
    "clicks in silence": click,
    "near-silence": whisper,
    "speech": speak,
}


def make_signal(name: str, *, seed: int) -> Audio:
    """Make one of `MAKERS` by name: float32 (2, samples) at 44.1 kHz."""
    return MAKERS[name](np.random.default_rng([seed, list(MAKERS).index(name)]))
