"""The whole path from prompt to sound, on short pieces."""

import hashlib
import io
import re
import shutil
import subprocess
from pathlib import Path

import mido
import numpy as np
import pytest
import torch

from benchmarks.generator_examples import format_page, write_example
from generator import (
    Cancelled,
    Engine,
    EngineError,
    Request,
    RequestError,
    Result,
    open_engine,
    transcribe_midi,
)
from generator.embedded import EmbeddedEngine, one_thread, open_embedded
from generator.loudness import loudness_lufs, true_peak
from generator.notation import parse_tune, split_tunes
from generator.rendering import render_blocks
from generator.score import TICKS_PER_UNIT
from generator.setup import EngineSetup
from generator.tune import interior_bars_exact, pitch_of
from generator.weights import FILES

PROMPT = "slow waltz in D minor, piano"


@pytest.fixture(scope="module")
def engine() -> Engine:
    """The embedded engine with the published weights."""
    return open_engine("embedded")


@pytest.fixture(scope="module")
def waltz(engine: Engine) -> Result:
    """One piece that several tests look at."""
    return engine.generate(Request(PROMPT, 15.0, 11))


@pytest.fixture(scope="module")
def unasked(engine: Engine) -> Result:
    """What comes where the prompt says nothing."""
    return engine.generate(Request("", 6.0, 0))


OPENING = "M:6/8\nL:1/8\nK:Em\nEGB e2 d | BAG F2 D |"


@pytest.fixture(scope="module")
def continued(engine: Engine) -> Result:
    """A piece that takes up OPENING."""
    return engine.generate(Request("jig on the flute", 12.0, 3, abc=OPENING))


def digest(result: Result) -> str:
    """SHA-256 of the samples."""
    return hashlib.sha256(result.audio.tobytes()).hexdigest()


def test_a_prompt_becomes_stereo_audio_of_about_the_length_asked(waltz: Result) -> None:
    assert waltz.audio.dtype == np.float32
    assert waltz.audio.shape[0] == 2
    assert waltz.sample_rate == 44_100
    assert abs(waltz.audio.shape[1] / 44_100 - 15.0) < 2.0
    assert np.isfinite(waltz.audio).all()
    assert float(np.abs(waltz.audio[0] - waltz.audio[1]).max()) > 0.01


def test_level_is_even_and_below_the_peak_limit(waltz: Result) -> None:
    assert true_peak(waltz.audio) <= 10 ** (-1 / 20)
    assert loudness_lufs(waltz.audio, 44_100) == pytest.approx(-14.0, abs=0.5)
    assert abs(float(waltz.audio.mean())) < 1e-3
    assert float(np.abs(waltz.audio[:, -10:]).max()) < 1e-3


def test_the_prompt_is_followed(waltz: Result) -> None:
    assert waltz.score is not None
    assert waltz.score.metre == (3, 4)
    assert (waltz.score.tonic, waltz.score.mode) == ("D", "minor")
    assert waltz.score.tempo_bpm < 100
    assert {part.instrument for part in waltz.score.parts} == {"piano"}
    assert waltz.understood["key"] == "D minor"


def test_abc_and_midi_are_of_the_same_piece(waltz: Result) -> None:
    assert waltz.abc is not None
    assert waltz.midi is not None
    tune = parse_tune(split_tunes(waltz.abc)[0])
    exact, looked = interior_bars_exact(tune)
    assert exact == looked > 0
    assert (tune.tonic, tune.mode, tune.metre) == ("D", "minor", "3/4")
    assert abs(mido.MidiFile(file=io.BytesIO(waltz.midi)).length - waltz.score.length_s) < 0.05


def test_the_melody_of_a_midi_file_of_ours_is_read_back(waltz: Result) -> None:
    assert waltz.midi is not None
    assert waltz.score is not None
    tune = parse_tune(split_tunes(transcribe_midi(waltz.midi))[0], open_ended=True)
    assert (tune.tonic, tune.mode, tune.metre) == ("D", "minor", "3/4")
    pitches = [
        pitch_of(n.step, n.alter, "D", "minor")
        for b in tune.sections[0].bars
        for n in b
        if n.step is not None
    ]
    assert pitches == [note.pitch for note in waltz.score.parts[0].notes]
    # This piece has no introduction and begins with a pick-up: the file's bar lines are the music's.
    assert waltz.score.pickup_ticks > 0
    assert tune.sections[0].pickup_units == waltz.score.pickup_ticks // TICKS_PER_UNIT


def test_the_page_of_examples_shows_a_piece_and_names_only_files_that_are_there(
    engine: Engine, waltz: Result, tmp_path: Path
) -> None:
    page = format_page([write_example(1, "<waltz>", waltz, tmp_path)], engine.describe())
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {"01.flac", "01.mid", "01.abc", "01-roll.svg", "01-spectrogram.png"} <= set(named)
    assert all((tmp_path / name).stat().st_size > 0 for name in named)
    assert "&lt;waltz&gt;" in page
    assert "D minor" in page


def test_notes_sound_where_the_score_says(waltz: Result) -> None:
    assert waltz.score is not None
    mono = waltz.audio.mean(0).astype(np.float64)
    onsets = sorted({round(waltz.score.tick_to_s(n.onset), 4) for p in waltz.score.parts for n in p.notes})
    frames = np.lib.stride_tricks.sliding_window_view(mono, 1024)[::128]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(1024)))
    flux = np.maximum(0, np.diff(np.log(spectra + 1e-2), axis=0)).sum(1)
    threshold = np.median(flux) * 1.5
    heard = 0
    for onset in onsets:
        # A frame is centred 512 samples after its start.
        centre = int((onset * 44_100 - 512) / 128)
        near = flux[max(0, centre - 8) : centre + 9]
        heard += near.max(initial=0) > threshold
    assert heard >= 0.9 * len(onsets)


def test_the_model_names_its_weights_and_libraries(waltz: Result) -> None:
    assert waltz.model.engine == "embedded"
    assert set(waltz.model.weights) == set(FILES)
    assert all(len(value) == 64 for value in waltz.model.weights.values())
    assert torch.__version__.startswith(waltz.model.libraries["torch"].split("+")[0])
    assert waltz.copy_check is not None
    assert waltz.copy_check.longest_run < waltz.copy_check.limit
    assert set(waltz.timings_s) == {"compose", "arrange", "render"}


def test_same_request_gives_the_same_samples_on_one_and_two_threads(engine: Engine) -> None:
    request = Request("jig in G, fiddle, guitar, bass and drums", 6.0, 5)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.manual_seed(threads)
            found.append(engine.generate(request))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert digest(found[0]) == digest(found[1])
    assert found[0].score == found[1].score
    assert found[0].midi == found[1].midi


def test_another_seed_gives_another_tune(engine: Engine, unasked: Result) -> None:
    # Five seeds on, so that the same key is chosen.
    other = engine.generate(Request("", 6.0, 5))
    assert other.understood["key"] == unasked.understood["key"]
    assert other.abc != unasked.abc


def test_an_empty_prompt_is_served(unasked: Result) -> None:
    assert "chosen" in unasked.understood["key"]
    assert float(np.abs(unasked.audio).max()) > 0.1


def test_an_opening_is_continued(continued: Result) -> None:
    assert continued.abc is not None
    tune = parse_tune(split_tunes(continued.abc)[0])
    given = parse_tune(split_tunes("X:1\n" + OPENING + "|]")[0])
    assert tune.sections[0].bars[:2] == given.sections[0].bars[:2]
    assert (tune.tonic, tune.mode, tune.metre) == ("E", "minor", "6/8")


@pytest.mark.tool("abc2midi")
def test_abc2midi_reads_what_is_composed(
    engine: Engine, waltz: Result, unasked: Result, continued: Result, tmp_path: Path
) -> None:
    if shutil.which("abc2midi") is None:
        pytest.skip("abc2midi is not installed")
    four = engine.generate(Request("strathspey in C# dorian in four parts", 6.0, 1))
    for result in (four, waltz, unasked, continued):
        assert result.abc is not None
        (tmp_path / "tune.abc").write_text(result.abc)
        command = ["abc2midi", str(tmp_path / "tune.abc"), "-o", str(tmp_path / "tune.mid")]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "error" not in run.stdout.lower(), run.stdout
        assert "warning" not in run.stdout.lower(), run.stdout


@pytest.mark.parametrize("stage", ["compose", "arrange", "render"])
def test_cancelling_stops_at_once(engine: Engine, stage: str) -> None:
    seen = []

    def progress(name: str, fraction: float) -> None:
        assert 0.0 <= fraction <= 1.0
        seen.append(name)

    with pytest.raises(Cancelled, match="cancelled during"):
        engine.generate(
            Request("polka", 6.0, 1), progress=progress, cancelled=lambda: bool(seen) and seen[-1] == stage
        )
    assert "done" not in seen


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": 1.0}, "5 to 300 seconds, got 1"),
        ({"seconds": 36_000.0}, "5 to 300 seconds, got 36000"),
        ({"seconds": float("nan")}, "length in seconds"),
        ({"seconds": -5.0}, "5 to 300"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"abc": "this is not music"}, "ABC"),
        ({"abc": ""}, "ABC"),
        ({"abc": "K:C\nCDEF|"}, "metre"),
        ({"abc": "M:4/4\nK:C\n" + "C8|" * 65}, "64 bars"),
        ({"abc": "M:4/4\nK:C\n" + "C" * 30_000}, "characters"),
        ({"parameters": {"volume": "11"}}, "'volume'"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused_by_name(
    engine: Engine, change: dict[str, object], message: str
) -> None:
    fields: dict[str, object] = {"prompt": "waltz", "seconds": 10.0, "seed": 1, **change}
    with pytest.raises(RequestError, match=message):
        engine.generate(Request(**fields))


def test_description_states_limits_and_determinism(engine: Engine) -> None:
    described = engine.describe()
    assert (described.name, described.sample_rate, described.channels) == ("embedded", 44_100, 2)
    assert described.deterministic
    assert described.min_seconds < described.max_seconds
    assert "music21" in described.training_corpus


def test_a_piece_made_in_batches_is_the_piece_made_block_by_block(engine: Engine, unasked: Result) -> None:
    assert isinstance(engine, EmbeddedEngine)
    score = unasked.score
    assert score is not None
    with one_thread():
        pieces = [
            np.concatenate(
                list(render_blocks(engine._timbre, engine._drums, score, seed=2, at_once=at_once)), axis=1
            )
            for at_once in (1, 4)
        ]
    assert pieces[1] == pytest.approx(pieces[0], abs=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_a_clear_error() -> None:
    with pytest.raises(EngineError, match="expected a device cuda to play on"):
        open_embedded(EngineSetup("embedded", "embedded", device="cuda"))
