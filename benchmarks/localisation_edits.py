"""The edits that the localisation benchmark makes, each with the truth about it on both time lines.

An edit works on a clip that lies in a registered recording from `clip_start_s` on; its truth counts query
seconds in the edited clip and track seconds in the recording, as `watermark.identity.outcome.Change` does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from benchmarks.attack import Scene
from benchmarks.companions import fit, load_song, load_speech
from benchmarks.tools import Audio

SAMPLE_RATE = 44_100
FADE_S = 0.005  # hard cuts would click, which no editor leaves
MARGIN_S = 6.0  # an edit keeps this far from the ends of the clip
QUIET = 1e-4  # rms, -80 dBFS: where the music pauses, there is nothing to find an edit by


@dataclass(frozen=True)
class Truth:
    """What an edit did; ranges in seconds of the edited clip and of the recording."""

    kind: str
    query_start_s: float
    query_end_s: float
    track_start_s: float
    track_end_s: float
    band: str = "audible"


@dataclass(frozen=True)
class Edit:
    """A named edit; `make` takes the clip, where it starts in the recording, and a scene."""

    name: str
    kind: str
    seconds: float
    make: Callable[[Audio, float, Scene], tuple[Audio, Truth]]


Make: TypeAlias = Callable[[Audio, float, Scene], tuple[Audio, Truth]]


def rms(audio: Audio) -> float:
    """Root mean square over everything."""
    return float(np.sqrt(np.mean(audio.astype(np.float64) ** 2)))


def _place(audio: Audio, seconds: float, scene: Scene) -> int:
    """Draw where an edit of some seconds begins, in samples; never in a pause, which hides it."""
    length = round(seconds * SAMPLE_RATE)
    margin = round(MARGIN_S * SAMPLE_RATE)
    place = margin
    for _ in range(50):
        place = int(scene.rng.integers(margin, audio.shape[1] - margin - length))
        parts = np.array_split(audio[:, place : place + length], max(1, round(seconds / 0.25)), axis=1)
        if min(rms(part) for part in parts) > QUIET:
            break
    return place


def _join(*pieces: Audio) -> Audio:
    """Put pieces in a row, each faded over a few milliseconds where it meets the next."""
    fade = round(FADE_S * SAMPLE_RATE)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    shaped = []
    for number, piece in enumerate(pieces):
        copy = piece.copy()
        if number and copy.shape[1] >= fade:
            copy[:, :fade] *= ramp
        if number < len(pieces) - 1 and copy.shape[1] >= fade:
            copy[:, -fade:] *= ramp[::-1]
        shaped.append(copy)
    return np.concatenate(shaped, axis=1)


def _foreign(audio: Audio, place: int, length: int, scene: Scene) -> Audio:
    """Other music, as loud as the clip is around the place."""
    reach = SAMPLE_RATE * 2
    song = fit(load_song(scene, SAMPLE_RATE), (audio.shape[0], length), scene.rng)
    level = rms(audio[:, max(0, place - reach) : place + length + reach])
    return (song * (level / max(rms(song), 1e-6))).astype(np.float32)


def replace(seconds: float) -> Make:
    """Put other music in place of some seconds."""

    def make(audio: Audio, clip_start_s: float, scene: Scene) -> tuple[Audio, Truth]:
        place, length = _place(audio, seconds, scene), round(seconds * SAMPLE_RATE)
        end = place + length
        edited = _join(audio[:, :place], _foreign(audio, place, length, scene), audio[:, end:])
        start_s, end_s = place / SAMPLE_RATE, end / SAMPLE_RATE
        return edited, Truth("replaced", start_s, end_s, clip_start_s + start_s, clip_start_s + end_s)

    return make


def mute(seconds: float) -> Make:
    """Put silence in place of some seconds."""

    def make(audio: Audio, clip_start_s: float, scene: Scene) -> tuple[Audio, Truth]:
        place, length = _place(audio, seconds, scene), round(seconds * SAMPLE_RATE)
        end = place + length
        edited = _join(audio[:, :place], np.zeros_like(audio[:, place:end]), audio[:, end:])
        start_s, end_s = place / SAMPLE_RATE, end / SAMPLE_RATE
        return edited, Truth("replaced", start_s, end_s, clip_start_s + start_s, clip_start_s + end_s)

    return make


def insert(seconds: float) -> Make:
    """Put some seconds of other music between."""

    def make(audio: Audio, clip_start_s: float, scene: Scene) -> tuple[Audio, Truth]:
        place, length = _place(audio, seconds, scene), round(seconds * SAMPLE_RATE)
        edited = _join(audio[:, :place], _foreign(audio, place, length, scene), audio[:, place:])
        start_s, end_s = place / SAMPLE_RATE, (place + length) / SAMPLE_RATE
        return edited, Truth("inserted", start_s, end_s, clip_start_s + start_s, clip_start_s + start_s)

    return make


def remove(seconds: float) -> Make:
    """Cut some seconds out."""

    def make(audio: Audio, clip_start_s: float, scene: Scene) -> tuple[Audio, Truth]:
        place, length = _place(audio, seconds, scene), round(seconds * SAMPLE_RATE)
        end = place + length
        edited = _join(audio[:, :place], audio[:, end:])
        start_s, end_s = place / SAMPLE_RATE, end / SAMPLE_RATE
        return edited, Truth("removed", start_s, start_s, clip_start_s + start_s, clip_start_s + end_s)

    return make


def move(seconds: float) -> Make:
    """Cut some seconds out and paste them further on, by up to three times their length and 2 to 6 s."""

    def make(audio: Audio, clip_start_s: float, scene: Scene) -> tuple[Audio, Truth]:
        length = round(seconds * SAMPLE_RATE)
        distance = round((seconds + scene.rng.uniform(2.0, 6.0)) * SAMPLE_RATE)
        place = _place(audio, (length + distance) / SAMPLE_RATE, scene)
        end, target = place + length, place + length + distance
        edited = _join(audio[:, :place], audio[:, end:target], audio[:, place:end], audio[:, target:])
        start_s, end_s = (target - length) / SAMPLE_RATE, target / SAMPLE_RATE
        track_start_s = clip_start_s + place / SAMPLE_RATE
        return edited, Truth("reordered", start_s, end_s, track_start_s, track_start_s + seconds)

    return make


def overlay(seconds: float, sound: str, level_db: float, *, band: str = "audible") -> Make:
    """Lay a sound over some seconds: "speech" or "jingle" at `level_db` relative to the music there,
    "tone <Hz>" at that level of full scale below 20 or above 16,000 Hz, else relative to the music.
    """

    def make(audio: Audio, clip_start_s: float, scene: Scene) -> tuple[Audio, Truth]:
        place, length = _place(audio, seconds, scene), round(seconds * SAMPLE_RATE)
        end = place + length
        if sound == "speech":
            added = _speech(length, audio.shape[0], scene)
        elif sound == "jingle":
            added = _foreign(audio, place, length, scene)
        else:
            hz = float(sound.split()[1])
            added = np.sin(2 * np.pi * hz * np.arange(length) / SAMPLE_RATE)[None].repeat(audio.shape[0], 0)
        level = rms(audio[:, place:end]) if band == "audible" else 1.0
        added = added * (level / rms(added) * 10 ** (level_db / 20))
        silence = np.zeros((audio.shape[0], 0), np.float32)
        added = _join(silence, added.astype(np.float32), silence)
        edited = audio.copy()
        edited[:, place:end] += added
        start_s, end_s = place / SAMPLE_RATE, end / SAMPLE_RATE
        return edited, Truth("overlaid", start_s, end_s, clip_start_s + start_s, clip_start_s + end_s, band)

    return make


def _speech(length: int, channels: int, scene: Scene) -> Audio:
    """Speech from the beginning of a word, never mostly a pause."""
    speech = load_speech(SAMPLE_RATE)
    whole = rms(speech)
    for _ in range(50):
        piece = fit(speech, (channels, length), scene.rng)
        edge = round(0.1 * SAMPLE_RATE)
        if rms(piece[:, :edge]) > 0.3 * whole and rms(piece[:, -edge:]) > 0.3 * whole:
            return piece
    return fit(speech, (channels, length), scene.rng)


EDITS = tuple(
    Edit(f"{name} {seconds:g} s", kind, seconds, make(seconds))
    for name, kind, make in (
        ("replace", "replaced", replace),
        ("insert", "inserted", insert),
        ("remove", "removed", remove),
        ("move", "reordered", move),
        ("mute", "replaced", mute),
        ("voice-over 0 dB", "overlaid", lambda seconds: overlay(seconds, "speech", 0.0)),
        ("jingle 0 dB", "overlaid", lambda seconds: overlay(seconds, "jingle", 0.0)),
        ("tone 1 kHz 0 dB", "overlaid", lambda seconds: overlay(seconds, "tone 1000", 0.0)),
    )
    for seconds in (0.5, 1.0, 2.0, 5.0)
)

# What nobody hears, or hardly: full-scale levels for what lies outside the ear's range, else relative to the
# music.
HIDDEN_EDITS = (
    *(
        Edit(f"tone 12 Hz {db:g} dBFS 5 s", "overlaid", 5.0, overlay(5.0, "tone 12", db, band="infrasonic"))
        for db in (-35.0, -45.0)
    ),
    Edit("tone 18.5 kHz -55 dBFS 5 s", "overlaid", 5.0, overlay(5.0, "tone 18500", -55.0, band="ultrasonic")),
    *(
        Edit(f"speech {db:g} dB {seconds:g} s", "overlaid", seconds, overlay(seconds, "speech", db))
        for seconds in (2.0, 5.0)
        for db in (-12.0, -20.0, -25.0, -30.0, -35.0, -40.0)
    ),
)
