"""Other people's models through their real loading code, from tiny checkpoints made on the spot."""

import hashlib
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_checkpoints import save_ace_step, save_musicgen, save_stable_audio

from generator import (
    Cancelled,
    Engine,
    EngineError,
    EngineSetup,
    Request,
    RequestError,
    Result,
    WeightsError,
    open_engine,
)
from generator.checkpoint import read_checkpoint
from generator.engine import Reel, collect_result

pytestmark = [
    pytest.mark.package("transformers"),
    pytest.mark.package("diffusers"),
    # Of the libraries, about their own insides.
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Should have t:UserWarning:torchsde"),
]
PROMPT = "slow waltz in d minor"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny operations on several threads mostly wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def musicgen(folders: Path) -> Path:
    return save_musicgen(folders / "musicgen")


@pytest.fixture(scope="module")
def stable(folders: Path) -> Path:
    return save_stable_audio(folders / "stable-audio")


@pytest.fixture(scope="module")
def ace(folders: Path) -> Path:
    return save_ace_step(folders / "ace-step")


def setup(folder: Path, kind: str = "transformers", **options: object) -> EngineSetup:
    return EngineSetup("house", kind, folder, licence="CC-BY-NC-4.0", options=options)


def play(engine: Engine, seconds: float = 2.0, seed: int = 3, **parameters: str) -> Result:
    return collect_result(engine, Request(PROMPT, seconds, seed, parameters=parameters))


@pytest.fixture(scope="module")
def windowed(musicgen: Path) -> Engine:
    """A MusicGen that makes a second at a time."""
    return open_engine(setup(musicgen, window_s=1.0, overlap_s=0.5))


def test_musicgen_makes_the_length_asked_for_window_after_window(windowed: Engine) -> None:
    reel = Reel()
    account = windowed.perform(Request(PROMPT, 1.5, 3), reel)
    audio = np.concatenate(reel.blocks, axis=1)
    assert reel.sample_rate == 32_000
    assert audio.shape == (1, 48_000)
    assert len(reel.blocks) > 2
    assert audio.dtype == np.float32
    assert 0.01 < np.abs(audio).max() <= 1.0
    assert account.settings == {"guidance_scale": "3", "temperature": "1", "top_k": "250"}


def test_windows_meet_without_a_step(windowed: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 110 / 32_000 * np.arange(4 * 32_000, dtype=np.float64))
    place = 0

    def render(
        _prompt: str, _sampling: object, opening: Any, overlap: int, fresh: int, _report: object
    ) -> Any:
        nonlocal place
        assert overlap == (0 if opening is None else opening.shape[1] // 640)
        start = place - 640 * overlap
        if opening is not None:
            assert np.abs(opening[0] - tone[start:place]).max() < 1e-6
        place += 640 * fresh
        return tone[None, start:place].astype(np.float32)

    monkeypatch.setattr(windowed, "_generate", render)
    assert np.abs(play(windowed, 3.0).audio[0] - tone[: 3 * 32_000]).max() < 1e-6


def test_equal_seeds_give_equal_samples_and_leave_the_global_generator_alone(windowed: Engine) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = play(windowed, 1.2).audio
    assert torch.rand(1) == expected
    assert np.array_equal(first, play(windowed, 1.2).audio)
    assert not np.array_equal(first, play(windowed, 1.2, seed=4).audio)


def test_a_stereo_musicgen_gives_two_channels(folders: Path) -> None:
    engine = open_engine(setup(save_musicgen(folders / "stereo", channels=2), window_s=1.0))
    assert engine.describe().channels == 2
    audio = play(engine, 1.3).audio
    assert audio.shape == (2, 41_600)
    assert not np.array_equal(audio[0], audio[1])


def test_stable_audio_plays_and_reports_each_step(stable: Path) -> None:
    engine = open_engine(setup(stable, "diffusers"))
    described = engine.describe()
    assert (described.sample_rate, described.channels, described.max_seconds) == (16_000, 2, 4.0)
    seen: list[float] = []
    reel = Reel()
    engine.perform(
        Request(PROMPT, 2.0, 1, parameters={"steps": "4", "negative_prompt": "jig"}),
        reel,
        progress=lambda _stage, fraction: seen.append(fraction),
    )
    assert np.concatenate(reel.blocks, axis=1).shape == (2, 32_000)
    assert seen == [0.0, 0.25, 0.5, 0.75, 1.0]
    with pytest.raises(RequestError, match="1 to 4 seconds, got 5"):
        play(engine, 5.0)


def test_ace_step_takes_lyrics_and_tempo(ace: Path) -> None:
    engine = open_engine(setup(ace, "diffusers", steps=2))
    assert engine.describe().accepts == ("text", "lyrics")
    sung = play(engine, 1.0, lyrics="[verse] slow", bpm="90")
    assert (sung.sample_rate, sung.audio.shape) == (48_000, (2, 48_000))
    assert sung.settings["bpm"] == "90"
    assert "lyrics" not in sung.settings  # they may be somebody's words
    assert not np.array_equal(sung.audio, play(engine, 1.0, bpm="90").audio)


@pytest.mark.parametrize("after", [0, 3])
def test_cancelling_stops_within_a_step(windowed: Engine, ace: Path, after: int) -> None:
    for engine in (windowed, open_engine(setup(ace, "diffusers"))):
        asked = iter(range(1000))
        reel = Reel()
        with pytest.raises(Cancelled):
            engine.perform(Request(PROMPT, 1.0, 1), reel, cancelled=lambda: next(asked) >= after)  # noqa: B023
        assert next(asked) == after + 1
        assert not reel.blocks


def test_the_digest_is_the_one_that_a_shell_computes(musicgen: Path, windowed: Engine) -> None:
    command = (
        "find -L . -type f -not -path '*/.*' -printf '%P\\n' | LC_ALL=C sort "
        "| xargs -d '\\n' sha256sum | sha256sum"
    )
    (musicgen / ".cache").mkdir(exist_ok=True)
    (musicgen / ".cache" / "note").write_text("not part of it")
    found = subprocess.run(["sh", "-c", command], cwd=musicgen, capture_output=True, text=True, check=True)
    assert windowed.describe().weights == {"checkpoint": found.stdout.split()[0]}
    account = play(windowed, 1.0)
    assert account.model.weights == windowed.describe().weights
    assert account.model.licence == "CC-BY-NC-4.0"
    assert {"torch", "transformers"} <= set(account.model.libraries)


def test_loading_and_playing_open_no_connection(
    musicgen: Path, stable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    play(open_engine(setup(musicgen)), 1.0)
    play(open_engine(setup(stable, "diffusers")), 1.0, steps="1")


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self._path),)


def test_a_pickle_beside_the_weights_is_never_unpickled(musicgen: Path, tmp_path: Path) -> None:
    folder, sprung = tmp_path / "model", tmp_path / "sprung"
    shutil.copytree(musicgen, folder)
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (folder / name).write_bytes(pickle.dumps(Trap(sprung)))
    play(open_engine(setup(folder)), 1.0)
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"safetensors, got none \(pickles are not read\)"):
        open_engine(setup(folder))
    (folder / "other.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        open_engine(setup(folder))
    assert not sprung.exists()


def spoil(folder: Path, fault: str) -> None:
    """Damage a copy of a checkpoint in one way."""
    config = json.loads((folder / "config.json").read_text())
    if fault == "code":
        (folder / "modeling_x.py").write_text("raise SystemExit")
    elif fault == "type":
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    elif fault == "no-config":
        (folder / "config.json").unlink()
    elif fault == "truncated":
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    elif fault == "link":
        (folder / "more").symlink_to(folder)
    elif fault == "remote-code":
        config["auto_map"] = {"AutoModelForTextToWaveform": "elsewhere/model--modeling.Model"}
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "unheard-of"}))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("code", "got code: modeling_x.py"),
        ("type", "expected a model of type musicgen, got 'gpt2'"),
        ("no-config", "config.json"),
        ("truncated", "cannot be loaded"),
        ("link", "a link to a folder"),
        ("remote-code", "got 'unheard-of'"),
    ],
)
def test_a_folder_that_is_not_as_it_must_be_is_refused(
    musicgen: Path, tmp_path: Path, fault: str, message: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(musicgen, folder)
    spoil(folder, fault)
    with pytest.raises(WeightsError, match=message):
        open_engine(setup(folder))


def test_a_pipeline_of_another_class_or_with_foreign_parts_is_refused(stable: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(stable, folder)
    index = json.loads((folder / "model_index.json").read_text())
    for change, message in (
        ({"_class_name": "StableDiffusionPipeline"}, "expected a pipeline out of"),
        ({"vae": ["my_module", "Vae"]}, "vae comes from"),
    ):
        (folder / "model_index.json").write_text(json.dumps({**index, **change}))
        with pytest.raises(WeightsError, match=message):
            open_engine(setup(folder, "diffusers"))


def test_a_folder_that_changes_while_it_is_loaded_is_told(musicgen: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(musicgen, folder)
    checkpoint = read_checkpoint(folder)
    checkpoint.check_unchanged()
    (folder / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"config\.json changed"):
        checkpoint.check_unchanged()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"volume": "11"}, "expected parameters out of guidance_scale, temperature, top_k, got 'volume'"),
        ({"temperature": "nan"}, "temperature: expected 0.05 to 5"),
        ({"top_k": "many"}, "top_k"),
    ],
)
def test_parameters_that_cannot_be_taken_are_refused(
    windowed: Engine, parameters: dict[str, str], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        play(windowed, 1.0, **parameters)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": 0.5}, "1 to 300 seconds"),
        ({"seconds": float("inf")}, "length in seconds"),
        ({"seed": -1}, "seed"),
        ({"abc": "K:C"}, "takes no opening"),
        ({"prompt": "x" * 5000}, "4000 characters"),
    ],
)
def test_requests_that_cannot_be_served_are_refused(
    windowed: Engine, change: dict[str, Any], message: str
) -> None:
    reel = Reel()
    with pytest.raises(RequestError, match=message):
        windowed.perform(Request(**{"prompt": PROMPT, "seconds": 1.0, "seed": 1, **change}), reel)
    assert not reel.blocks


AUDIOLM = '''
import torch
from safetensors.torch import load_file


class AudioLM(torch.nn.Module):
    """The call of audiolm-pytorch's AudioLM: 24 kHz, 480 samples for each semantic token."""

    def __init__(self, weights):
        super().__init__()
        self.table = torch.nn.Parameter(weights)

    def forward(self, *, batch_size=1, text=None, max_length=2048):
        assert text is None or len(text) == batch_size
        tokens = torch.randint(len(self.table), (max_length,))
        return self.table[tokens].reshape(1, -1)


def make(folder, device):
    return AudioLM(load_file(folder / "table.safetensors")["table"]).to(device)


def fail(folder, device):
    raise RuntimeError("no such transformer")


def give_text(folder, device):
    return "not a model"


def make_noise(folder, device):
    return lambda **_: torch.full((1, 48_000), float("nan"))
'''


@pytest.fixture
def audiolm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkpoint of an operator's own, with the module that reads it outside the folder."""
    import torch
    from safetensors.torch import save_file

    (tmp_path / "house_audiolm.py").write_text(AUDIOLM)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "weights"
    folder.mkdir()
    table = torch.sin(torch.arange(480) * torch.linspace(0.05, 0.3, 16)[:, None]) * 0.5
    save_file({"table": table}, folder / "table.safetensors")
    yield folder
    sys.modules.pop("house_audiolm", None)


def test_audiolm_is_made_by_the_operators_factory(audiolm: Path) -> None:
    engine = open_engine(setup(audiolm, "audiolm", factory="house_audiolm:make"))
    account = play(engine, 2.0)
    assert (account.sample_rate, account.audio.shape) == (24_000, (1, 48_000))
    assert np.array_equal(account.audio, play(engine, 2.0).audio)
    digest = hashlib.sha256((audiolm / "table.safetensors").read_bytes()).hexdigest()
    listing = f"{digest}  table.safetensors\n".encode()
    assert account.model.weights == {"checkpoint": hashlib.sha256(listing).hexdigest()}
    assert account.settings == {"max_length": "100"}
    silent = open_engine(setup(audiolm, "audiolm", factory="house_audiolm:make", has_text=False))
    with pytest.raises(RequestError, match="trained without text"):
        play(silent)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("house_audiolm:fail", "RuntimeError: no such transformer"),
        ("house_audiolm:missing", "AttributeError"),
        ("no_such_module:make", "ModuleNotFoundError"),
        ("house_audiolm:give_text", "no model"),
        ("house_audiolm", "module:function"),
    ],
)
def test_a_factory_that_fails_is_told_as_it_failed(audiolm: Path, factory: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        open_engine(setup(audiolm, "audiolm", factory=factory))


def test_what_is_no_finite_waveform_is_refused(audiolm: Path) -> None:
    engine = open_engine(setup(audiolm, "audiolm", factory="house_audiolm:make_noise"))
    with pytest.raises(EngineError, match="one finite waveform"):
        play(engine, 2.0)
