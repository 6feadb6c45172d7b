"""Runs a neural peer inside the Python that it is installed in: `python -I peer_worker.py NAME`.

`benchmarks.peers` starts it with the interpreter of a virtual environment that holds the peer; this file
needs nothing but numpy and the peer. It first writes a JSON line {"version", "claim", "bits"}, then answers
one JSON line for each it reads:

    {"verb": "mark", "input": "in.npy", "output": "out.npy", "sample_rate": 44100, "bits": [0, 1, ...]}
    {"verb": "read", "input": "in.npy", "sample_rate": 44100}     ->  {"score": 0.97, "bits": [0, 1, ...]}

Arrays are float32 (channels, samples).
"""

import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

Mark = Callable[[np.ndarray, int, list[int]], np.ndarray]
Read = Callable[[np.ndarray, int], dict[str, Any]]


def provide_torchaudio() -> None:
    """Put torch's own transforms in the place of torchaudio's where that does not load beside this torch."""
    try:
        import torchaudio.transforms  # noqa: F401
    except (ImportError, OSError):
        import torch

        class Spectrogram(torch.nn.Module):
            """Complex spectrogram, as torchaudio's with power=None."""

            def __init__(self, *, n_fft: int, win_length: int, hop_length: int, window_fn: Any, **_: Any):
                super().__init__()
                self.shape = {"n_fft": n_fft, "hop_length": hop_length, "win_length": win_length}
                self.register_buffer("window", window_fn(win_length))

            def forward(self, signal: Any) -> Any:
                return torch.stft(signal, **self.shape, window=self.window, return_complex=True)

        class InverseSpectrogram(Spectrogram):
            """Its inverse."""

            def forward(self, spectra: Any) -> Any:
                return torch.istft(spectra, **self.shape, window=self.window)

        class TimeStretch(torch.nn.Module):
            """Made by Perth, loaded with its weights, and never called."""

            def __init__(self, *, n_freq: int, **_: Any):
                super().__init__()
                self.register_buffer("phase_advance", torch.zeros(n_freq, 1))

        transforms = types.ModuleType("torchaudio.transforms")
        transforms.__dict__.update(
            Spectrogram=Spectrogram, InverseSpectrogram=InverseSpectrogram, TimeStretch=TimeStretch
        )
        package = types.ModuleType("torchaudio")
        package.transforms = transforms  # type: ignore[attr-defined]
        sys.modules.update({"torchaudio": package, "torchaudio.transforms": transforms})


def fit(signal: np.ndarray, count: int) -> np.ndarray:
    """Cut or fill with silence to `count` samples."""
    return np.pad(signal[:count], (0, max(0, count - len(signal))))


def open_perth() -> tuple[Mark, Read, dict[str, Any]]:
    """Resemble AI's Perth: weights in the package, 32 kHz, present or not, no key."""
    provide_torchaudio()
    from importlib.metadata import version

    import librosa
    from perth import PerthImplicitWatermarker

    model = PerthImplicitWatermarker()
    own_rate = model.perth_net.hp.sample_rate

    def mark(audio: np.ndarray, sample_rate: int, _bits: list[int]) -> np.ndarray:
        # Only what the mark changes is added, so that the band above 16 kHz stays.
        rows = []
        for row in audio:
            narrow = librosa.resample(row, orig_sr=sample_rate, target_sr=own_rate)
            change = fit(model.apply_watermark(narrow, sample_rate=own_rate), len(narrow)) - narrow
            change = librosa.resample(change, orig_sr=own_rate, target_sr=sample_rate)
            rows.append(row + fit(change, len(row)))
        return np.stack(rows)

    def read(audio: np.ndarray, sample_rate: int) -> dict[str, Any]:
        score = model.get_watermark(audio.mean(axis=0), sample_rate=sample_rate, round=False)
        return {"score": float(np.mean(score)), "bits": []}

    return mark, read, {"version": f"resemble-perth {version('resemble-perth')}", "bits": 0}


def open_aware() -> tuple[Mark, Read, dict[str, Any]]:
    """DeepMark's AWARE: no weights needed, 16 kHz, 20 bits, no key; minutes of work per minute of audio."""
    from importlib.metadata import version

    import librosa
    from aware.service import detect_watermark
    from aware.utils.models import load
    from aware.utils.watermark import PatternEncoder

    embedder, detector = load(name="AWARE")
    own_rate = 16_000

    def narrow(audio: np.ndarray, sample_rate: int) -> np.ndarray:
        mono = audio.mean(axis=0)
        return np.asarray(librosa.resample(mono, orig_sr=sample_rate, target_sr=own_rate))

    def mark(audio: np.ndarray, sample_rate: int, bits: list[int]) -> np.ndarray:
        # `embed_watermark` less its speech gate, which refuses music.
        mono = narrow(audio, sample_rate)
        pattern = PatternEncoder(mode=embedder.pattern_mode)(np.array(bits, dtype=np.int32))
        marked = np.max(mono) * np.asarray(embedder.embed(mono, own_rate, pattern))
        change = fit(marked, len(mono)) - mono
        change = librosa.resample(change.astype(np.float32), orig_sr=own_rate, target_sr=sample_rate)
        return audio + fit(change, audio.shape[1])

    def read(audio: np.ndarray, sample_rate: int) -> dict[str, Any]:
        bits, score = detect_watermark(narrow(audio, sample_rate), own_rate, detector)
        return {"score": float(score), "bits": [int(bit) for bit in bits]}

    return mark, read, {"version": f"aware {version('aware')}", "bits": int(detector.output_length)}


PEERS = {"perth": open_perth, "aware": open_aware}


def main() -> None:
    """Answer requests until the input ends."""
    # What the libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    mark, read, facts = PEERS[sys.argv[1]]()
    print(json.dumps(facts), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        audio = np.load(request["input"])
        answer: dict[str, Any] = {}
        if request["verb"] == "mark":
            marked = mark(audio, request["sample_rate"], request["bits"])
            np.save(request["output"], marked.astype(np.float32))
        else:
            answer = read(audio, request["sample_rate"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
