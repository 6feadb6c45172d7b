"""The attacks: they change what they say they change, by as much, and the same way each time."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import companions
from benchmarks.attack import Attack, Scene, apply
from benchmarks.attacks import ATTACKS, FAMILIES, find, short_list
from benchmarks.attacks_channel import rms
from benchmarks.attacks_timing import remove_pieces, reverse_sections
from benchmarks.tools import BenchmarkError, run

Audio = NDArray[np.float32]
RATE = 44_100
SECONDS = 4.0
pytestmark = [
    pytest.mark.tool("ffmpeg"),
    pytest.mark.tool("sox"),
    pytest.mark.tool("rubberband"),
]
CHANNELS = {
    **dict.fromkeys(("mono", "left only", "side only", "telephone", "room recording"), 1),
    **dict.fromkeys(("griffin-lim", "random phases", "mel inversion"), 1),
}
RATES = {"resample 22 kHz": 22_050, "resample 16 kHz": 16_000, "resample 48 kHz": 48_000, "telephone": 8_000}
DURATIONS = {
    "10 % removed in pieces": 0.9,
    "20 ms cut every second": 0.98,
    "social media chain": 1 / 1.08,
    "removal chain": 1 / 1.06,
}


@pytest.fixture(scope="module")
def clip(music: Callable[..., Audio]) -> Audio:
    return music(SECONDS, seed=3)


@pytest.fixture(scope="module")
def song(music: Callable[..., Audio]) -> Audio:
    return music(SECONDS, seed=4)


@pytest.fixture(scope="module", autouse=True)
def voice(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the synthesised voice out of the project's music cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(companions, "CACHE", tmp_path_factory.mktemp("cache"))
        companions.load_speech.cache_clear()
        companions.load_speech(RATE)


def find_duration(name: str) -> float:
    """The share of the duration that the attack's name promises to leave."""
    pace = re.match(r"(?:speed|tempo) ([+-]\d+) %", name)
    return 1 / (1 + int(pace[1]) / 100) if pace else DURATIONS.get(name, 1.0)


def find_peak_hz(audio: Audio, rate: int) -> float:
    """Frequency of the strongest partial."""
    middle = audio[0, len(audio[0]) // 4 : 3 * len(audio[0]) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 8 * len(middle)))
    return float(np.argmax(spectrum) * rate / (8 * len(middle)))


def test_names_are_unique_and_families_known() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    assert [family for family in FAMILIES if family in {attack.family for attack in ATTACKS}] == list(
        FAMILIES
    )


def test_the_short_list_leaves_no_family_out() -> None:
    assert {attack.family for attack in short_list()} == set(FAMILIES)


@pytest.mark.parametrize(
    "attack",
    [attack for attack in ATTACKS if attack.family != "desync + mp3"],
    ids=lambda attack: attack.name,
)
def test_an_attack_leaves_the_duration_and_format_it_promises(
    attack: Attack, clip: Audio, song: Audio
) -> None:
    before = clip.copy()
    audio, rate = apply(attack, clip, RATE, seed=1, song=song)
    assert np.array_equal(clip, before)
    assert audio.dtype == np.float32
    assert np.isfinite(audio).all()
    opus = attack.name.startswith("opus")
    assert rate == RATES.get(attack.name, 48_000 if opus else RATE)
    assert len(audio) == CHANNELS.get(attack.name, 2)
    # Codecs may pad by up to a frame; WSOLA in ffmpeg may stop a window early.
    assert audio.shape[1] / rate == pytest.approx(SECONDS * find_duration(attack.name), abs=0.06)
    assert 20 * np.log10(rms(audio) / rms(clip)) > -25


def test_every_attack_but_none_changes_the_clip(clip: Audio, song: Audio) -> None:
    for attack in ATTACKS:
        if attack.family in ("plain", "noise, room", "mix", "cut"):
            audio, _ = apply(attack, clip, RATE, seed=1, song=song)
            assert np.array_equal(audio, clip) == (attack.name == "none"), attack.name


@pytest.mark.parametrize(
    "name", ["white noise 20 dB", "10 % removed in pieces", "room recording", "voice-over 0 dB"]
)
def test_the_seed_alone_decides_what_is_random(name: str, clip: Audio) -> None:
    once, _ = apply(find(name), clip, RATE, seed=5)
    again, _ = apply(find(name), clip, RATE, seed=5)
    other, _ = apply(find(name), clip, RATE, seed=6)
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


@pytest.mark.parametrize(
    ("name", "expected_hz"),
    [
        ("speed +5 %", 1050.0),
        ("speed -10 %", 900.0),
        ("tempo +10 % (sox)", 1000.0),
        ("tempo -10 % (rubberband)", 1000.0),
        ("tempo +5 % (ffmpeg)", 1000.0),
        ("pitch -1 (sox)", 943.87),
        ("pitch +1 (ffmpeg)", 1059.46),
        ("pitch +2 (rubberband)", 1122.46),
        ("pitch -3 (rubberband)", 840.9),
        ("removal chain", 1059.46),
    ],
)
def test_timing_attacks_move_frequencies_as_they_say(name: str, expected_hz: float) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(3 * RATE) / RATE)
    audio, rate = apply(find(name), np.stack([tone, tone]).astype(np.float32), RATE)
    assert find_peak_hz(audio, rate) == pytest.approx(expected_hz, rel=0.004)


@pytest.mark.parametrize(
    ("name", "snr_db"), [("white noise 20 dB", 20), ("pink noise 10 dB", 10), ("other song 0 dB", 0)]
)
def test_what_is_added_has_the_stated_level(name: str, snr_db: float, clip: Audio, song: Audio) -> None:
    audio, _ = apply(find(name), clip, RATE, song=song)
    assert 20 * np.log10(rms(clip) / rms(audio - clip)) == pytest.approx(snr_db, abs=0.05)


def test_removed_pieces_add_up_and_the_rest_stays_in_order() -> None:
    ramp = np.arange(100_000, dtype=np.float32)[None]
    kept, _ = remove_pieces(0.1)(ramp, RATE, Scene())
    assert kept.shape == (1, 90_000)
    assert (np.diff(kept) >= 1).all()
    assert (np.diff(kept) > 1).sum() >= 2


def test_sections_come_back_in_reversed_order() -> None:
    swapped, _ = reverse_sections(4)(np.arange(8, dtype=np.float32)[None], RATE, Scene())
    assert swapped.tolist() == [[6, 7, 4, 5, 2, 3, 0, 1]]


def test_a_splice_leaves_one_half_untouched(clip: Audio, song: Audio) -> None:
    audio, _ = apply(find("half spliced"), clip, RATE, seed=2, song=song)
    half = clip.shape[1] // 2
    first, last = (
        np.array_equal(audio[:, :half], clip[:, :half]),
        np.array_equal(audio[:, half:], clip[:, half:]),
    )
    assert first != last


def test_an_unknown_attack_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match="removal chain"):
        find("magic")


def test_a_failing_tool_is_reported_with_its_words() -> None:
    with pytest.raises(BenchmarkError, match="No such file"):
        run(["ffmpeg", "-v", "error", "-nostdin", "-i", "/nonexistent.wav", "-f", "null", "-"])
    with pytest.raises(BenchmarkError, match="no-such-tool"):
        run(["no-such-tool"])
