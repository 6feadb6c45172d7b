"""The simulated MP3: bit rate, length, channels and rates; it loses something, and keeps what is heard."""

import numpy as np
import pytest
import soundfile
from conftest import SAMPLE_RATE, make_music

import api.lossy
from api.errors import RefusedError
from api.lossy import MPEG1_RATES_HZ, mp3_rate, simulate_mp3


def test_the_installed_libsndfile_writes_mp3() -> None:
    assert "MP3" in soundfile.available_formats()


@pytest.mark.parametrize("kbit_s", [64, 128])
def test_a_stretch_keeps_its_length_and_loses_what_the_bit_rate_cannot_hold(kbit_s: int) -> None:
    audio = make_music(3.0, seed=1)
    coded, rate = simulate_mp3(audio, sample_rate=SAMPLE_RATE, kbit_s=kbit_s)
    assert (rate, coded.shape, coded.dtype) == (SAMPLE_RATE, audio.shape, np.float32)
    error = float(np.square(coded - audio).mean() / np.square(audio).mean())
    assert 1e-5 < error < 0.1


def test_the_bit_rate_is_the_one_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    write = soundfile.write

    def measure(file: object, *arguments: object, **options: object) -> None:
        write(file, *arguments, **options)
        sizes.append(len(file.getvalue()))  # type: ignore[attr-defined]

    monkeypatch.setattr(api.lossy.soundfile, "write", measure)
    audio = make_music(5.0, seed=2)
    for kbit_s in (64, 128, 320):
        simulate_mp3(audio, sample_rate=SAMPLE_RATE, kbit_s=kbit_s)
    assert [size * 8 / 5000 for size in sizes] == pytest.approx([64, 128, 320], rel=0.02)


def test_a_lower_bit_rate_loses_more() -> None:
    audio = make_music(3.0, seed=3)
    errors = [
        float(np.square(simulate_mp3(audio, sample_rate=SAMPLE_RATE, kbit_s=kbit_s)[0] - audio).sum())
        for kbit_s in (192, 128, 64)
    ]
    assert errors == sorted(errors)


@pytest.mark.parametrize(
    ("sample_rate", "expected"),
    [(8_000, 48_000), (11_025, 44_100), (16_000, 48_000), (22_050, 44_100), (37_800, 44_100)]
    + [(rate, rate) for rate in MPEG1_RATES_HZ]
    + [(88_200, 44_100), (96_000, 48_000), (192_000, 48_000)],
)
def test_every_rate_becomes_one_of_mpeg_1_in_time_and_pitch(sample_rate: int, expected: int) -> None:
    assert mp3_rate(sample_rate) == expected
    time = np.arange(2 * sample_rate) / sample_rate
    tone = (0.5 * np.sin(2 * np.pi * 1234.0 * time))[None, :].astype(np.float32)
    coded, rate = simulate_mp3(tone, sample_rate=sample_rate, kbit_s=128)
    assert rate == expected
    assert coded.shape == (1, 2 * expected)
    heard = 0.5 * np.sin(2 * np.pi * 1234.0 * np.arange(2 * rate) / rate)
    inner = slice(rate // 4, -rate // 4)
    assert float(np.abs(coded[0] - heard)[inner].max()) < 0.05


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_more_than_two_channels_are_folded_to_two(channels: int) -> None:
    coded, _ = simulate_mp3(make_music(1.0, seed=4, channels=channels), sample_rate=SAMPLE_RATE, kbit_s=128)
    assert coded.shape == (min(2, channels), SAMPLE_RATE)


def test_odd_channels_are_folded_left_and_even_ones_right() -> None:
    audio = make_music(1.0, seed=4, channels=5)
    coded, _ = simulate_mp3(audio, sample_rate=SAMPLE_RATE, kbit_s=320)
    for channel, mean in zip(coded, (audio[0::2].mean(0), audio[1::2].mean(0)), strict=True):
        assert float(np.square(channel - mean).mean()) < 0.05 * float(np.square(mean).mean())


def test_without_an_encoder_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.lossy.soundfile, "available_formats", dict)
    with pytest.raises(RefusedError, match="writes no MP3"):
        simulate_mp3(make_music(1.0, seed=5), sample_rate=SAMPLE_RATE, kbit_s=128)


def test_a_bit_rate_outside_the_standard_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="32 to 320 kbit/s, got 16"):
        simulate_mp3(make_music(1.0, seed=5), sample_rate=SAMPLE_RATE, kbit_s=16)
