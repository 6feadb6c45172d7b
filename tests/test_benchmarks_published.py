"""The attacks of other benchmarks and the resynthesis proxies do what their publications say."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import freqz_sos

from benchmarks import companions
from benchmarks.attack import Attack, Effect, Scene, apply, draw
from benchmarks.attacks import LISTS, find, list_families, list_names, short_list
from benchmarks.attacks_audiomarkbench import RATE as NARROW_RATE
from benchmarks.attacks_audiomarkbench import echo_once, filter_sharply, quantise_range
from benchmarks.attacks_channel import rms
from benchmarks.attacks_dynamics import BARK_CENTRES_HZ, change_dynamics, design_equaliser
from benchmarks.attacks_raw_bench import filter_once, jitter, mix_reverberation, quantise, shift
from benchmarks.attacks_resynthesis import (
    analyse,
    griffin_lim,
    invert_mel,
    mel_weights,
    stretch_by_phase_vocoder,
    synthesise,
)

Audio = NDArray[np.float32]
RATE = 44_100
SECONDS = 2.0
PUBLISHED = [attack for name in ("raw-bench", "audiomarkbench") for attack in LISTS[name].attacks]


@pytest.fixture(scope="module")
def clip(music: Callable[..., Audio]) -> Audio:
    return music(SECONDS, seed=3)


@pytest.fixture(scope="module", autouse=True)
def voices(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the synthesised voices out of the project's music cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(companions, "CACHE", tmp_path_factory.mktemp("cache"))
        companions.load_speech.cache_clear()
        companions.load_babble.cache_clear()
        for rate in (RATE, NARROW_RATE):
            companions.load_babble(rate)


def tone(hz: float, *, rate: int = RATE, seconds: float = SECONDS) -> Audio:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate))[None].astype(np.float32)


def gain_db(effect: Effect, hz: float, *, rate: int = RATE) -> float:
    """What the effect does to the level of a tone, away from the clip's ends."""
    before = tone(hz, rate=rate)
    after, _ = effect(before, rate, Scene())
    middle = slice(rate // 2, -rate // 2)
    return float(20 * np.log10(rms(after[:, middle]) / rms(before[:, middle])))


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_complete_in_itself(name: str) -> None:
    some = LISTS[name]
    assert len({attack.name for attack in some.attacks}) == len(some.attacks)
    assert {attack.family for attack in some.attacks} == set(some.families)
    assert {attack.family for attack in short_list(name)} == set(some.families)
    assert set(some.families) <= set(list_families())
    assert all(find(attack.name) is attack for attack in some.attacks)


def test_what_lists_share_comes_last() -> None:
    names, families = list_names(), list(list_families())
    assert len(set(names)) == len(names) == len({a.name for some in LISTS.values() for a in some.attacks})
    assert families[-1] == "resynthesis"
    assert [families.index(find(name).family) for name in names] == sorted(
        families.index(find(name).family) for name in names
    )


def test_published_rows_name_source_and_parameter() -> None:
    assert all(attack.source and attack.parameter for attack in PUBLISHED)
    assert any("EnCodec" in name for name in LISTS["raw-bench"].left_out)
    assert any("EnCodec" in name for name in LISTS["audiomarkbench"].left_out)


@pytest.mark.tool("ffmpeg")
@pytest.mark.parametrize(
    "attack",
    [attack for attack in PUBLISHED if attack.family != "resynthesis"],
    ids=lambda attack: attack.name,
)
def test_a_published_attack_gives_mono_of_the_clips_length(attack: Attack, clip: Audio) -> None:
    before = clip.copy()
    audio, rate = apply(attack, clip, RATE, seed=1)
    assert np.array_equal(clip, before)
    own_rate = RATE if attack.name.startswith("raw") else NARROW_RATE
    assert rate == (48_000 if "opus" in attack.name else own_rate)
    assert audio.shape[0] == 1
    assert audio.dtype == np.float32
    assert np.isfinite(audio).all()
    assert audio.shape[1] / rate == pytest.approx(SECONDS, abs=0.1)  # MP3 at 8 kbit/s pads by a frame
    assert not np.array_equal(audio, clip.mean(axis=0, keepdims=True, dtype=np.float32))
    assert rms(audio) > 1e-3


def test_a_parameter_is_drawn_from_its_intervals() -> None:
    drawn: list[float] = []

    def keep(value: float) -> Effect:
        drawn.append(value)
        return lambda audio, rate, _scene: (audio, rate)

    scene = Scene(rng=np.random.default_rng(1))
    for _ in range(200):
        draw(keep, (0.2, 0.5), (1.5, 5.0))(tone(440), RATE, scene)
    low = [value for value in drawn if 0.2 <= value <= 0.5]
    high = [value for value in drawn if 1.5 <= value <= 5.0]
    assert len(low) + len(high) == 200
    assert 60 < len(low) < 140  # outside by luck with a probability below 10^-7


def test_spectra_and_signal_are_inverses(clip: Audio) -> None:
    again = synthesise(analyse(clip), clip.shape[1])
    assert np.abs(again - clip).max() < 1e-5


def test_griffin_lim_keeps_magnitudes_and_loses_phases(clip: Audio) -> None:
    mono = clip.mean(axis=0, keepdims=True)
    made, _ = griffin_lim(clip, RATE, Scene())
    wanted, found = np.abs(analyse(mono)), np.abs(analyse(made))
    assert np.linalg.norm(found - wanted) < 0.15 * np.linalg.norm(wanted)
    assert abs(float(np.corrcoef(mono[0], made[0])[0, 1])) < 0.5


def test_mel_inversion_keeps_the_bands_and_smooths_the_bins(clip: Audio) -> None:
    mono = clip.mean(axis=0, keepdims=True)
    made, _ = invert_mel(clip, RATE, Scene())
    wanted, found = np.abs(analyse(mono)), np.abs(analyse(made))
    weights = mel_weights(RATE).T
    assert np.linalg.norm((found - wanted) @ weights) < 0.25 * np.linalg.norm(wanted @ weights)
    assert np.linalg.norm(found - wanted) > 0.1 * np.linalg.norm(wanted)


@pytest.mark.parametrize("rate", [0.7, 1.25])
def test_the_phase_vocoder_changes_the_pace_and_not_the_pitch(rate: float) -> None:
    seconds = 3.0
    audio = tone(1000, seconds=seconds)
    audio[:, RATE:] = tone(2000, seconds=seconds)[:, RATE:]  # a change of pitch after one second
    changed, _ = stretch_by_phase_vocoder(rate)(audio, RATE, Scene())
    assert changed.shape == audio.shape
    turn = round(RATE / rate)
    for part, hz in ((changed[0, : turn - 4096], 1000), (changed[0, turn + 4096 : turn + 24_576], 2000)):
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 18))
        assert np.argmax(spectrum) * RATE / (1 << 18) == pytest.approx(hz, abs=3)


@pytest.mark.parametrize(
    ("slope", "over_db", "expected_db"), [(0.75, 12, -9), (1.0, 12, -12), (3.0, 4, -12), (0.75, -6, 0)]
)
def test_dynamics_turn_a_steady_tone_down_by_the_slope(
    slope: float, over_db: float, expected_db: float
) -> None:
    level_db = 20 * np.log10(1 / np.sqrt(2))  # RMS of a tone, relative to its peak
    assert gain_db(change_dynamics(level_db - over_db, slope), 1000) == pytest.approx(expected_db, abs=0.3)


def test_the_equaliser_gives_each_band_its_gain() -> None:
    rng = np.random.default_rng(2)
    log_gains = rng.choice([-0.75, -0.4, 0.4, 0.75], len(BARK_CENTRES_HZ))
    for band in (2, 8, 15, 20):
        alone = design_equaliser(log_gains, RATE)[band : band + 1]
        _, response = freqz_sos(alone, [2 * np.pi * BARK_CENTRES_HZ[band] / RATE, 2 * np.pi * 10 / RATE])
        assert np.log(np.abs(response)) == pytest.approx([log_gains[band], 0], abs=0.02)
        _, response = freqz_sos(alone, [2 * np.pi * BARK_CENTRES_HZ[band + 1] / RATE])
        assert np.log(np.abs(response[0])) == pytest.approx(0.4 * log_gains[band], abs=0.02)


@pytest.mark.parametrize(
    ("kind", "passed_hz", "stopped_hz"), [("lowpass", 200, 8000), ("highpass", 8000, 200)]
)
def test_a_biquad_is_3_db_down_at_its_corner(kind: str, passed_hz: float, stopped_hz: float) -> None:
    effect = filter_once(kind)(1500)
    assert gain_db(effect, 1500) == pytest.approx(-3, abs=0.1)
    assert gain_db(effect, passed_hz) == pytest.approx(0, abs=0.2)
    assert gain_db(effect, stopped_hz) < -25


@pytest.mark.parametrize("high", [False, True])
def test_the_sharp_filter_is_6_db_down_at_its_corner(high: bool) -> None:
    effect = filter_sharply(0.2, high=high)
    assert gain_db(effect, 3200, rate=NARROW_RATE) == pytest.approx(-6, abs=0.3)
    assert gain_db(effect, 1600 if high else 5600, rate=NARROW_RATE) < -25
    assert gain_db(effect, 5600 if high else 1600, rate=NARROW_RATE) == pytest.approx(0, abs=0.3)


def test_reverberation_is_mixed_in_at_its_level(clip: Audio) -> None:
    wet, _ = mix_reverberation(3.0)(clip, RATE, Scene())
    assert 20 * np.log10(rms(clip) / rms(wet - clip)) == pytest.approx(3, abs=0.01)
    assert np.abs(wet - clip)[:, :100].max() < 1e-6  # nothing of the room arrives before 3 ms


@pytest.mark.tool("ffmpeg")
@pytest.mark.parametrize(
    ("name", "lowest_db", "highest_db"),
    [("raw: background babble", 20, 35), ("raw: white noise", 20, 40), ("amb: babble 10 dB", 10, 10)],
)
def test_noise_lies_within_its_range(name: str, lowest_db: float, highest_db: float, clip: Audio) -> None:
    for seed in range(4):
        audio, rate = apply(find(name), 0.1 * clip, RATE, seed=seed)
        plain, _ = apply(
            Attack("plain", "", find(name).effects[:1]), (0.1 * clip).astype(np.float32), RATE, seed=seed
        )
        assert rate in (RATE, NARROW_RATE)
        assert lowest_db - 0.1 <= 20 * np.log10(rms(plain) / rms(audio - plain)) <= highest_db + 0.1


def test_shift_moves_and_keeps_the_length() -> None:
    ramp = np.arange(1, 101, dtype=np.float32)[None]
    later, _ = shift(-0.1)(ramp, 100, Scene())
    sooner, _ = shift(0.1)(ramp, 100, Scene())
    assert later[0, :12].tolist() == [0] * 10 + [1, 2]
    assert sooner[0, -12:].tolist() == [99, 100] + [0] * 10


def test_jitter_reads_at_times_that_deviate_as_stated() -> None:
    ramp = np.arange(20_000, dtype=np.float32)[None]
    read, _ = jitter(0.2)(ramp, RATE, Scene())
    assert float(np.std(read[0, 10:-10] - ramp[0, 10:-10])) == pytest.approx(0.2, rel=0.05)


def test_quantisation_leaves_as_many_values_as_it_says() -> None:
    ramp = np.linspace(-1, 1, 50_000, dtype=np.float32)[None]
    assert len(np.unique(quantise(12.9)(ramp, RATE, Scene())[0])) == 2**12 - 1
    lifted, _ = quantise_range(16)(0.3 * ramp + 0.1, RATE, Scene())
    assert len(np.unique(lifted)) == 16
    assert lifted.min() == pytest.approx(-0.2)
    assert lifted.max() == pytest.approx(0.4)


def test_the_published_echo_comes_early_and_keeps_the_peak() -> None:
    click = np.zeros((1, 1000), dtype=np.float32)
    click[0, 600] = 0.5
    heard, _ = echo_once(0.1)(click, 1000, Scene())
    places = np.flatnonzero(heard[0])
    assert places.tolist() == [501, 600]
    assert heard[0, places] == pytest.approx([0.2, 0.5])
