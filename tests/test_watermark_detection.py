"""Detection: what must be found through which change, and what must never be."""

import io
import math
import subprocess

import numpy as np
import pytest
import soundfile
from conftest import make_music
from scipy.signal import resample_poly

import watermark
from watermark.reader import DETECTION_PROBABILITY

WATERMARK_KEY = bytes(range(32))
OTHER_KEY = bytes(32)
PAYLOAD = bytes.fromhex("0123456789abcdef")
RATE = 44_100


@pytest.fixture(scope="module")
def host() -> np.ndarray:
    return make_music(24.0, seed=21)


@pytest.fixture(scope="module")
def marked(host: np.ndarray) -> np.ndarray:
    return watermark.embed(host, sample_rate=RATE, watermark_key=WATERMARK_KEY, payload=PAYLOAD)


def detect(audio: np.ndarray, sample_rate: int = RATE) -> watermark.Detection:
    return watermark.detect(
        np.ascontiguousarray(audio, np.float32), sample_rate=sample_rate, watermark_keys=[WATERMARK_KEY]
    )


def clip_of(audio: np.ndarray, start_s: float, seconds: float = 15.0, sample_rate: int = RATE) -> np.ndarray:
    start = round(start_s * sample_rate)
    return audio[:, start : start + round(seconds * sample_rate)]


def through(audio: np.ndarray, file_format: str, subtype: str | None = None, **options: object) -> np.ndarray:
    coded = io.BytesIO()
    soundfile.write(coded, audio.T, RATE, format=file_format, subtype=subtype, **options)
    coded.seek(0)
    return soundfile.read(coded, dtype="float32", always_2d=True)[0].T


def check_found(found: watermark.Detection) -> watermark.Alignment:
    assert found.detected
    assert found.payload == PAYLOAD
    assert found.watermark_key_index == 0
    assert found.profile_name == "pn3"
    assert found.false_alarm_probability <= DETECTION_PROBABILITY
    assert found.alignment is not None
    return found.alignment


CHANGES = {
    "none": lambda x: x,
    "mp3": lambda x: through(x, "MP3", compression_level=0.6),
    "vorbis": lambda x: through(x, "OGG", "VORBIS"),
    "quiet": lambda x: 0.01 * x,
    "inverted": lambda x: -x,
    "mono": lambda x: x.mean(0, keepdims=True),
    "left": lambda x: x[:1],
    "side": lambda x: x[:1] - x[1:],
    "clipped": lambda x: np.clip(4 * x, -1, 1),
    "8 bit": lambda x: np.round(x * 127) / 127,
    "noise": lambda x: x + 0.03 * x.std() * np.random.default_rng(0).standard_normal(x.shape),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_clip_of_15_s_gives_the_payload_after(change: str, marked: np.ndarray) -> None:
    alignment = check_found(detect(CHANGES[change](clip_of(marked, 4.321))))
    assert alignment.speed == pytest.approx(1.0, abs=0.003)
    assert alignment.pitch_semitones == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize("start_s", [0.0, 0.013, 1.7, 3.333, 8.9])
def test_a_cut_at_any_place_is_read(start_s: float, marked: np.ndarray) -> None:
    check_found(detect(clip_of(marked, start_s, 10.0)))


@pytest.mark.parametrize("sample_rate", [16_000, 22_050, 32_000, 48_000, 96_000])
def test_a_resampled_clip_is_read(sample_rate: int, marked: np.ndarray) -> None:
    divisor = math.gcd(sample_rate, RATE)
    resampled = resample_poly(clip_of(marked, 2.0), sample_rate // divisor, RATE // divisor, axis=1)
    check_found(detect(resampled, sample_rate))


@pytest.mark.parametrize(("up", "down"), [(10, 11), (10, 9), (20, 21), (20, 19), (4, 5), (5, 4)])
def test_a_clip_played_at_another_speed_is_read_and_the_speed_named(
    up: int, down: int, marked: np.ndarray
) -> None:
    alignment = check_found(detect(clip_of(resample_poly(marked, up, down, axis=1), 1.0)))
    assert alignment.speed == pytest.approx(down / up, rel=0.003)
    assert alignment.pitch_semitones == pytest.approx(12 * math.log2(down / up), abs=0.15)


@pytest.mark.tool("ffmpeg")
@pytest.mark.parametrize("tempo", [0.9, 1.1])
def test_a_clip_at_another_tempo_is_read_and_the_pitch_known_unchanged(
    tempo: float, marked: np.ndarray
) -> None:
    command = ["ffmpeg", "-v", "error", "-f", "f32le", "-ar", str(RATE), "-ac", "2", "-i", "-"]
    command += ["-af", f"atempo={tempo}", "-f", "f32le", "-"]
    done = subprocess.run(command, input=marked.T.tobytes(), capture_output=True, check=True)
    changed = np.frombuffer(done.stdout, np.float32).reshape(-1, 2).T
    alignment = check_found(detect(clip_of(changed, 3.0)))
    assert alignment.speed == pytest.approx(tempo, rel=0.003)
    assert alignment.pitch_semitones == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 192_000])
def test_marks_made_at_unusual_rates_are_read(sample_rate: int) -> None:
    audio = make_music(16.0, seed=22, sample_rate=sample_rate, channels=1)
    done = watermark.embed(audio, sample_rate=sample_rate, watermark_key=WATERMARK_KEY, payload=PAYLOAD)
    check_found(detect(done, sample_rate))


def test_unmarked_music_gives_no_detection_and_says_how_sure(host: np.ndarray) -> None:
    found = detect(host)
    assert not found.detected
    assert found.payload is None
    assert found.alignment is None
    assert found.false_alarm_probability > 1e-4
    assert not any(segment.present for segment in found.segments)


def test_a_wrong_key_reads_nothing(marked: np.ndarray) -> None:
    found = watermark.detect(marked, sample_rate=RATE, watermark_keys=[OTHER_KEY, bytes([7]) * 32])
    assert not found.detected
    assert found.false_alarm_probability > 1e-4


def test_the_right_one_of_several_keys_is_named(marked: np.ndarray) -> None:
    found = watermark.detect(
        clip_of(marked, 0.5), sample_rate=RATE, watermark_keys=[OTHER_KEY, WATERMARK_KEY]
    )
    assert found.payload == PAYLOAD
    assert found.watermark_key_index == 1


def test_a_file_marked_under_the_first_profile_stays_readable(host: np.ndarray) -> None:
    old = watermark.embed(
        host, sample_rate=RATE, watermark_key=WATERMARK_KEY, payload=PAYLOAD, profile=watermark.PROFILES[-1]
    )
    found = detect(old)
    assert found.payload == PAYLOAD
    assert found.profile_name == "pn1"
    newest_only = watermark.detect(
        old, sample_rate=RATE, watermark_keys=[WATERMARK_KEY], profiles=[watermark.PROFILE]
    )
    assert not newest_only.detected


def test_the_epoch_that_marked_is_named(host: np.ndarray) -> None:
    epochs = [watermark.epoch_key(WATERMARK_KEY, bytes([n]) * 32) for n in range(8)]
    clip = clip_of(host, 0.0, 8.0)
    done = watermark.embed(clip, sample_rate=RATE, watermark_key=epochs[5], payload=PAYLOAD)
    found = watermark.detect(done, sample_rate=RATE, watermark_keys=epochs, profiles=[watermark.PROFILE])
    assert found.payload == PAYLOAD
    assert found.watermark_key_index == 5


def test_segments_show_where_the_mark_is(host: np.ndarray, marked: np.ndarray) -> None:
    half = 16 * RATE
    spliced = np.concatenate([marked[:, :half], make_music(16.0, seed=23)[:, :half]], axis=1)
    found = detect(spliced)
    check_found(found)
    assert [segment.present for segment in found.segments] == [True, False]
    assert [(segment.start_s, segment.end_s) for segment in found.segments] == [(0.0, 16.0), (16.0, 32.0)]


def test_blocks_of_any_size_give_the_same_detection(marked: np.ndarray) -> None:
    detector = watermark.Detector(sample_rate=RATE, channels=2, watermark_keys=[WATERMARK_KEY])
    for block in np.split(marked, [1, 1000, 333_333, 900_000], axis=1):
        detector.push(block)
    assert detector.finish() == detect(marked)


def test_a_block_may_be_used_again_by_its_owner(marked: np.ndarray) -> None:
    detector = watermark.Detector(sample_rate=RATE, channels=2, watermark_keys=[WATERMARK_KEY])
    buffer = np.empty((2, RATE), np.float32)
    for start in range(0, 12 * RATE, RATE):
        buffer[:] = marked[:, start : start + RATE]
        detector.push(buffer)
    assert detector.finish().payload == PAYLOAD


def test_offset_names_the_first_whole_block(marked: np.ndarray) -> None:
    """Cutting d seconds off the front moves the first block d seconds nearer, modulo the block."""
    period_s = watermark.PROFILE.period_s
    first = check_found(detect(clip_of(marked, 1.0))).offset_s
    later = check_found(detect(clip_of(marked, 2.5))).offset_s
    difference = (first - later - 1.5 + period_s / 2) % period_s - period_s / 2
    assert abs(difference) < 0.03
    assert 0 <= first < period_s


@pytest.mark.parametrize(
    "audio",
    [
        np.zeros((1, 0), np.float32),
        np.zeros((1, 1), np.float32),
        np.zeros((2, 44_100), np.float32),
        np.full((1, 200_000), 0.7, np.float32),
        np.sign(np.sin(np.arange(300_000) * 0.03))[None].astype(np.float32),
        np.random.default_rng(1).standard_normal((8, 30_000)).astype(np.float32),
    ],
    ids=["nothing", "one sample", "silence", "constant", "square", "noise of 0.7 s"],
)
def test_signals_without_a_mark_are_answered_not_refused(audio: np.ndarray) -> None:
    found = detect(audio)
    assert not found.detected
    assert found.false_alarm_probability > 1e-6


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one watermark key"):
        watermark.detect(np.zeros((1, 10), np.float32), sample_rate=RATE, watermark_keys=[])
    with pytest.raises(watermark.AudioError, match="finite"):
        detect(np.full((1, 10), np.nan))
    with pytest.raises(watermark.AudioError, match="sample rate"):
        detect(np.zeros((1, 10)), 100)
    detector = watermark.Detector(sample_rate=RATE, channels=1, watermark_keys=[WATERMARK_KEY])
    detector.finish()
    with pytest.raises(ValueError, match="finished"):
        detector.push(np.zeros((1, 1), np.float32))


def test_digital_silence_holds_no_mark_and_hides_none_beside_it(marked: np.ndarray) -> None:
    silence = np.zeros((2, 40 * RATE), np.float32)
    found = detect(silence)
    assert not found.detected
    assert found.false_alarm_probability == 1.0
    check_found(detect(np.concatenate((silence, clip_of(marked, 3.0)), axis=1)))
