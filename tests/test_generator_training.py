"""The training programs, on data small enough to know the answer."""

import copy
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from generator.composer import Composer, ComposerConfig
from generator.embedded import one_thread
from generator.instruments import INSTRUMENTS
from generator.synthesis import TimedNote, render_part
from generator.timbre import HARMONICS, SAMPLE_RATE, TimbreConfig, TimbreNetwork
from generator.tokens import TOKEN_ID, VOCABULARY
from generator.training import composer as composer_training
from generator.training import refinement
from generator.training import tunes as tune_training
from generator.training.decoder import (
    Stretches,
    decode_stretches,
    decoded_samples,
    first_sample,
    move_partials,
)
from generator.training.notes import LEAD_S, analyse
from generator.training.refinement import Notes, Refinement, collect_notes, measure_distance
from generator.training.spectra import FLOOR_DB, log_distance, peak_magnitudes, spectral_loss
from generator.weights import TIMBRE, load_timbre, read_digests, read_weights, weights_folder


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    """One thread: for arrays as small as these two threads wait for each other most of the time."""
    with one_thread():
        yield


TUNES = """X:1
T:First
R:reel
M:4/4
L:1/8
K:G
GABc dedB | dedB dedB | c2ec B2dB | A2A2 A2 :|

X:2
T:Second
M:6/8
L:1/8
K:Am
A2B c2d | e3 e2d | c2A B2G | A3 A3 :| c2d e2f | g3 e3 | c2A B2G | A3 A3 |]

X:3
T:Broken bar
M:4/4
K:D
D2 D2 | D2 | D4 D4 |]
"""


def synthetic_string(pitch: int, stiffness: float, levels_db: list[float]) -> np.ndarray:
    """A steady stiff string after LEAD_S of silence, float64."""
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    t = np.arange(int(1.2 * SAMPLE_RATE)) / SAMPLE_RATE
    k = np.arange(1, len(levels_db) + 1)
    hertz = f0 * k * np.sqrt(1 + stiffness * k**2)
    wave = (10 ** (np.array(levels_db) / 20)[:, None] * np.sin(2 * np.pi * hertz[:, None] * t)).sum(0)
    return np.concatenate([np.zeros(int(LEAD_S * SAMPLE_RATE)), wave])


@pytest.mark.parametrize("stiffness", [0.0, 2e-4, 8e-4])
def test_analysis_recovers_partials_and_stiffness(stiffness: float) -> None:
    levels = [-20.0, -30.0, -26.0, -40.0, -45.0, -50.0, -38.0, -48.0]
    found = analyse(synthetic_string(64, stiffness, levels), 64, stiff=True)
    harmonics = found["harmonics"]
    assert isinstance(harmonics, np.ndarray)
    middle = harmonics[len(harmonics) // 2]
    assert middle.shape == (HARMONICS,)
    assert np.abs(middle[: len(levels)] - levels).max() < 0.7
    assert middle[len(levels)] < -60
    assert found["stiffness"] == pytest.approx(stiffness, abs=2e-5)


def test_analysis_finds_the_noise_beside_the_partials() -> None:
    random = np.random.default_rng(1)
    clean = synthetic_string(60, 0.0, [-20.0, -26.0, -30.0])
    noise = 10 ** (-50 / 20) * random.standard_normal(len(clean))
    bands = analyse(clean + noise, 60, stiff=False)["noise"]
    assert isinstance(bands, np.ndarray)
    upper = bands[60:160, 24:36].mean()
    assert upper == pytest.approx(-52.5, abs=2.5)


def test_tunes_become_tokens_an_index_and_a_manifest_but_no_tunes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "corpus" / "oneills1850"
    folder.mkdir(parents=True)
    (folder / "some.abc").write_text(TUNES)
    output = tmp_path / "output"
    monkeypatch.setattr(sys, "argv", ["tunes", "--corpus", str(folder.parent), "--output", str(output)])
    monkeypatch.setattr(tune_training, "VALIDATION_SHARE", 0.0)
    tune_training.main()
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["tunes"] == {"train": 2, "validation": 0}
    assert manifest["sha256"] == {"oneills1850/some.abc": hashlib.sha256(TUNES.encode()).hexdigest()}
    assert sum(manifest["refused"].values()) == 1
    tokens = np.load(output / "tokens.npz")
    lengths = tokens["train_lengths"]
    assert lengths.sum() == len(tokens["train_tokens"]) == len(tokens["train_contexts"])
    words = [VOCABULARY[t] for t in tokens["train_tokens"][: lengths[0]]]
    assert words[:4] == ["M:4/4", "K:major", "R:reel", "U:0"]
    assert words[-2:] == [":|", "end"]
    assert len(load_file(output / "tunes.safetensors")["sequences"]) == 2 * (25 - 11)
    assert "oneills1850" not in capsys.readouterr().out


def test_a_tiny_composer_learns() -> None:
    pattern = [
        TOKEN_ID[w] for w in ("M:2/4", "K:major", "R:polka", "U:0", "d12", "n0", "n2", "n4", "n2", "|")
    ]
    sequence = np.array(pattern * 6, dtype=np.uint8)
    contexts = np.zeros((len(sequence), 3), dtype=np.uint8)
    batches = composer_training.make_batches(
        sequence, contexts, np.array([len(pattern)] * 6, dtype=np.int32), batch_tokens=30
    )
    losses: list[float] = []

    def keep(model: Composer, loss: float, epoch: int) -> None:
        losses.append(loss)

    composer_training.train(
        ComposerConfig(16, 1, 2, 0.0), batches, batches[:1], epochs=60, seed=1, device="cpu", keep=keep
    )
    assert losses[-1] < losses[0] - 0.7


def test_decoding_with_a_cache_gives_the_logits_of_the_whole_sequence() -> None:
    torch.manual_seed(1)
    model = Composer(ComposerConfig(32, 2, 4, 0.0)).eval()
    tokens = torch.randint(0, len(VOCABULARY), (2, 12))
    contexts = torch.zeros(2, 12, 3, dtype=torch.int64)
    with torch.inference_mode():
        whole, _ = model(tokens, contexts)
        steps, cache = model(tokens[:, :4], contexts[:, :4])
        for place in range(4, 12):
            steps, cache = model(tokens[:, place : place + 1], contexts[:, place : place + 1], cache)
            assert torch.allclose(steps[:, -1], whole[:, place], atol=1e-4)


def test_the_decoder_sounds_like_the_synthesiser() -> None:
    """The same notes, but for phases: energies agree, through onset, steady part and release."""
    folder = weights_folder()
    network = load_timbre(read_weights(folder, TIMBRE, read_digests(folder)[TIMBRE]))
    rows, pitches = torch.tensor([0, 10]), torch.tensor([60.0, 79.0])
    first = torch.tensor([0, 10])
    notes = Stretches(rows, pitches, torch.full((2,), 0.1, dtype=torch.float64), torch.full((2,), 0.3), first)
    with torch.no_grad():
        codes = network.encode_notes(rows, pitches, torch.full((2,), 90.0))
        sounds = decode_stretches(network, codes, notes, 67, torch.Generator().manual_seed(1)).numpy()
    assert sounds.shape == (2, decoded_samples(67))
    for row, pitch, begin, sound in zip(rows, pitches, first_sample(first), sounds, strict=True):
        whole = render_part(
            network,
            [TimedNote(int(pitch), 0.1, 0.3, 90)],
            INSTRUMENTS[int(row)],
            int(row),
            length_samples=40_000,
            seed=(1,),
        )
        wanted = whole[int(begin) : int(begin) + len(sound)]
        for start in (4_096, 8_192):  # the attack and what follows it; the release
            energies = [float((s[start : start + 4_096] ** 2).sum()) for s in (sound, wanted)]
            assert 10 * np.log10(energies[0] / energies[1]) == pytest.approx(0.0, abs=1.0)


def test_the_decoder_moves_the_partials_of_instruments_that_move() -> None:
    names = [item.name for item in INSTRUMENTS]
    row = torch.tensor([names.index("accordion"), names.index("clarinet")])
    hertz = torch.full((2, HARMONICS), 440.0, dtype=torch.float64)
    note = torch.arange(2).repeat_interleave(400)
    times = torch.linspace(0, 2, 400).repeat(2)
    random = torch.Generator().manual_seed(1)
    level, turns = move_partials(row, hertz, note, torch.zeros_like(note), times, torch.zeros(800), random)
    assert float(level[:400].std()) > 3.0
    assert not level[400:].any()
    assert not turns[400:].any()


def test_the_distance_of_spectra_is_that_of_levels() -> None:
    random = torch.Generator().manual_seed(1)
    noise = 0.1 * torch.randn(2, 8_192, generator=random)
    assert float(log_distance(noise, noise).max()) == 0.0
    assert log_distance(0.5 * noise, noise) == pytest.approx([np.log(2)] * 2, abs=1e-3)
    # Silence is as far away as the floor is, and no farther.
    silent = log_distance(torch.zeros(1, 8_192), noise[:1])
    assert 5.0 < float(silent) < FLOOR_DB / 20 * np.log(10)
    loss = spectral_loss(noise, noise, peak_magnitudes(noise))
    assert torch.equal(loss, torch.zeros(2))


def tiny_notes() -> Notes:
    """Two notes of a harp, as sines that decay, and their training."""
    t = np.arange(int(2.6 * SAMPLE_RATE)) / SAMPLE_RATE
    sounds = []
    for pitch in (60, 64):
        wave = 0.2 * np.exp(-2 * t) * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * t)
        sounds.append(np.concatenate([np.zeros(int(LEAD_S * SAMPLE_RATE)), wave]))
    return collect_notes([(8, 60, 80), (8, 64, 80)], sounds)


def test_refinement_brings_the_sound_nearer_and_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refinement, "WARM_UP_STEPS", 1)
    monkeypatch.setattr(refinement, "RATE", 5e-3)
    notes = tiny_notes()

    def begin() -> Refinement:
        torch.manual_seed(2)
        network = TimbreNetwork(TimbreConfig(len(INSTRUMENTS), code=16, hidden=32, layers=1))
        return Refinement(network, notes, steps=16, batch=1, seed=3)

    with one_thread():
        whole = begin()
        far = measure_distance(whole.network, notes)["harp"]
        losses = [whole.advance() for _ in range(16)]
        near = measure_distance(whole.network, notes)["harp"]
        half = begin()
        first = [half.advance() for _ in range(8)]
        other = begin()
        other.resume(copy.deepcopy(half.state()))
        second = [other.advance() for _ in range(8)]
    assert near < 0.8 * far
    assert first + second == losses
