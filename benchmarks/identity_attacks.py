"""What clips go through before the fingerprint is asked about them, in the groups that have a target each."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.attack import Attack
from benchmarks.attacks import find
from benchmarks.attacks_channel import add_noise, loudspeaker, reverberate
from benchmarks.attacks_timing import drift, sox


@dataclass(frozen=True)
class Group:
    """Attacks with one target: the share of clips of 10 s, and of 5 s, that must be identified.

    `scales` gives for each attack by how much the clip runs faster than the track.
    """

    name: str
    attacks: tuple[Attack, ...]
    scales: Mapping[str, float]
    target_10_s: float
    target_5_s: float


def speed(percent: float) -> Attack:
    """Pace and pitch together, by resampling."""
    return Attack(f"speed {percent:+g} %", "speed", (sox("speed", f"{1 + percent / 100:g}"),))


REVERBERATION = Attack("reverberation 0.7 s", "room", (reverberate(0.7, -6),))
REPLAY = Attack("replay", "room", (loudspeaker, reverberate(0.5, -3), add_noise(10), drift(80)))

GROUPS = (
    Group(
        "crop, codec, EQ, noise",
        tuple(find(name) for name in ("none", "mp3 64", "opus 24", "equaliser 6 dB", "white noise 10 dB")),
        {},
        0.99,
        0.97,
    ),
    Group(
        "speed 5 %, tempo 10 %, pitch 1",
        (
            speed(5),
            speed(-5),
            find("tempo +10 % (sox)"),
            find("tempo -10 % (rubberband)"),
            find("pitch +1 (ffmpeg)"),
            find("pitch -1 (sox)"),
        ),
        {
            "speed +5 %": 1.05,
            "speed -5 %": 0.95,
            "tempo +10 % (sox)": 1.1,
            "tempo -10 % (rubberband)": 0.9,
        },
        0.98,
        0.95,
    ),
    Group(
        "speed and tempo 20 %, pitch 3",
        (
            speed(20),
            speed(-20),
            find("tempo +20 % (rubberband)"),
            find("tempo -20 % (ffmpeg)"),
            find("pitch +3 (rubberband)"),
            find("pitch -3 (rubberband)"),
        ),
        {
            "speed +20 %": 1.2,
            "speed -20 %": 0.8,
            "tempo +20 % (rubberband)": 1.2,
            "tempo -20 % (ffmpeg)": 0.8,
        },
        0.92,
        0.85,
    ),
    Group("reverberation, replay, telephone", (REVERBERATION, REPLAY, find("telephone")), {}, 0.98, 0.92),
    Group("voice-over 0 dB", (find("voice-over 0 dB"),), {}, 0.85, 0.70),
)

# Attacks that no list of `benchmarks.attacks` has.
OWN = {attack.name: attack for attack in (*map(speed, (5, -5, 20, -20)), REVERBERATION, REPLAY)}
