"""Embedding: what it must leave alone, and that blocks make no difference."""

import hashlib

import numpy as np
import pytest
from conftest import make_music
from hypothesis import given, settings
from hypothesis import strategies as st

import watermark
from watermark.masking import guard_peaks

WATERMARK_KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("0123456789abcdef")


def embed(audio: np.ndarray, sample_rate: int = 44_100) -> np.ndarray:
    return watermark.embed(audio, sample_rate=sample_rate, watermark_key=WATERMARK_KEY, payload=PAYLOAD)


@given(st.integers(0, 2**32 - 1))
@settings(derandomize=True, max_examples=5, deadline=None)
def test_blocks_of_any_size_give_the_same_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Loud enough that the peak guard has work to do.
    audio = 1.9 * make_music(19.0, seed=1, sample_rate=16_000)
    whole = embed(audio, 16_000)
    embedder = watermark.Embedder(
        sample_rate=16_000, channels=2, watermark_key=WATERMARK_KEY, payload=PAYLOAD
    )
    cuts = np.sort(rng.integers(0, audio.shape[1], 7))
    pieces = [embedder.push(block) for block in np.split(audio, cuts, axis=1)]
    pieces.append(embedder.finish())
    assert np.array_equal(np.concatenate(pieces, axis=1), whole)


def test_the_embedder_holds_a_bounded_stretch_of_signal() -> None:
    embedder = watermark.Embedder(sample_rate=8_000, channels=1, watermark_key=WATERMARK_KEY, payload=PAYLOAD)
    block = np.zeros((1, 8_000), np.float32)
    out, most_held = 0, 0
    for pushed in range(1, 91):
        out += embedder.push(block).shape[1]
        most_held = max(most_held, pushed * 8_000 - out)
    assert out + embedder.finish().shape[1] == 90 * 8_000
    assert most_held < 20 * 8_000


@pytest.mark.parametrize("samples", [0, 1, 2, 100, 2_046, 22_050])
def test_short_signals_keep_their_length_and_stay_close(samples: int) -> None:
    audio = make_music(1.0, seed=2)[:, :samples]
    marked = embed(audio)
    assert marked.shape == audio.shape
    assert marked.dtype == np.float32
    assert np.abs(marked - audio).max(initial=0) < 0.05


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 8])
def test_every_format_is_marked(sample_rate: int, channels: int) -> None:
    audio = make_music(2.0, seed=3, sample_rate=sample_rate, channels=channels)
    marked = embed(audio, sample_rate)
    assert marked.shape == audio.shape
    assert 15 < snr_db(audio, marked) < 45


def test_digital_silence_stays_silent() -> None:
    audio = make_music(8.0, seed=4)
    audio[:, 100_000:200_000] = 0
    marked = embed(audio)
    inside = marked[:, 100_000 + 3_000 : 200_000 - 3_000]
    assert np.abs(inside).max() < 2e-6
    assert not embed(np.zeros((2, 90_000), np.float32)).any()


def test_channels_get_the_same_gains() -> None:
    """Equal channels stay equal, a channel of half the level stays at half: the stereo image is kept."""
    mono = make_music(6.0, seed=5, channels=1)
    marked = embed(np.concatenate([mono, mono, 0.5 * mono, -mono]))
    assert np.array_equal(marked[0], marked[1])
    assert marked[2] == pytest.approx(0.5 * marked[0], abs=1e-6)
    assert marked[3] == pytest.approx(-marked[0], abs=1e-6)


@pytest.mark.parametrize("host", ["square", "hot music"])
def test_no_sample_is_driven_over_full_scale(host: str) -> None:
    if host == "square":
        audio = np.sign(np.sin(np.arange(200_000) * 0.05))[None].astype(np.float32)
    else:
        audio = make_music(5.0, seed=6)
        audio /= np.abs(audio).max()
    marked = embed(audio)
    assert np.abs(marked).max() <= 1.0
    # What was under the largest value of 16 bits stays under it.
    assert not (np.abs(marked) >= 32767 / 32768)[np.abs(audio) < 32766 / 32768].any()


def test_a_host_over_full_scale_is_not_clipped() -> None:
    host = np.array([[0.5, 2.0, -3.0, 0.9]], np.float32)
    guarded = guard_peaks(host, np.array([[0.0, 0.5, -0.5, 0.5]], np.float32))
    assert guarded[0, 1:3] == pytest.approx([2.0, -3.0])
    assert guarded[0, 3] <= 1.0


def test_the_argument_is_left_as_it_was() -> None:
    audio = make_music(3.0, seed=7)
    before = audio.copy()
    embed(audio)
    assert np.array_equal(audio, before)


def test_marks_of_two_payloads_and_two_keys_differ() -> None:
    audio = make_music(3.0, seed=8)
    other_payload = watermark.embed(audio, sample_rate=44_100, watermark_key=WATERMARK_KEY, payload=bytes(8))
    other_key = watermark.embed(audio, sample_rate=44_100, watermark_key=bytes(32), payload=PAYLOAD)
    assert len({hashlib.sha256(x.tobytes()).digest() for x in (embed(audio), other_payload, other_key)}) == 3


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.full((1, 10), np.nan, np.float32), "finite"),
        (np.full((1, 10), np.inf, np.float32), "finite"),
        (np.zeros(10, np.float32), "shape"),
        (np.zeros((1, 10)), "float32"),
        (np.zeros((9, 10), np.float32), "1 to 8 channels"),
        (np.zeros((0, 10), np.float32), "1 to 8 channels"),
        ([[0.0]], "float32"),
    ],
)
def test_audio_that_cannot_be_marked_is_refused(audio: np.ndarray, message: str) -> None:
    with pytest.raises(watermark.AudioError, match=message):
        embed(audio)


@pytest.mark.parametrize("sample_rate", [0, 7_999, 192_001])
def test_sample_rates_out_of_range_are_refused(sample_rate: int) -> None:
    with pytest.raises(watermark.AudioError, match="sample rate"):
        embed(np.zeros((1, 100), np.float32), sample_rate)


@pytest.mark.parametrize("payload", [b"", bytes(7), bytes(9), "12345678"])
def test_a_payload_of_another_length_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="payload of 8 bytes"):
        watermark.Embedder(sample_rate=44_100, channels=1, watermark_key=WATERMARK_KEY, payload=payload)


def test_a_finished_embedder_takes_no_more() -> None:
    embedder = watermark.Embedder(
        sample_rate=44_100, channels=1, watermark_key=WATERMARK_KEY, payload=PAYLOAD
    )
    embedder.finish()
    with pytest.raises(ValueError, match="finished"):
        embedder.push(np.zeros((1, 1), np.float32))
    with pytest.raises(ValueError, match="finished"):
        embedder.finish()


def snr_db(host: np.ndarray, marked: np.ndarray) -> float:
    return float(10 * np.log10((host**2).sum() / ((marked - host) ** 2).sum()))
