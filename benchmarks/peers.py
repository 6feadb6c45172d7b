"""Other watermarking systems, each run where it is installed: audiowmark by its command line, neural ones by
a Python that holds them (`benchmarks/peer_worker.py`). None is part of this project or needed by it.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.systems import EXACT, NONE, WRONG, Reading, derive
from benchmarks.tools import Audio, BenchmarkError, read_audio, require, run, write_audio

WORKER = Path(__file__).with_name("peer_worker.py")
PRESENT_SCORE = 0.5  # the threshold of Perth and of AWARE themselves


class Audiowmark:
    """audiowmark's command line (github.com/swesterfeld/audiowmark, GPL): 128-bit payload, 128-bit key.

    It prints its best guesses and makes no decision, so a clip counts as read when the exact payload is among
    them, as a registry would decide; a wrong guess is no error of its own.
    """

    claim = "128-bit payload among its guesses; keyed; no decision, no false-alarm rate"

    def __init__(
        self, program: str, *, name: str, strength: float = 10.0, detect_speed: bool = False
    ) -> None:
        self.name = name
        self.program = program
        self.strength = strength
        self.search = ["--detect-speed"] if detect_speed else []
        told = run([program, "--version"]).decode().strip()
        self.version = f"{told}, strength {strength:g}{', --detect-speed' if detect_speed else ''}"

    def write_key(self, folder: Path, secret: bytes) -> Path:
        """Write audiowmark's key file."""
        path = folder / "key"
        text = derive(secret, "watermark key", 16).hex()
        path.write_text(f"# watermarking key for audiowmark\n\nkey {text}\n")
        return path

    def mark(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Audio:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            source, result = folder / "in.wav", folder / "out.wav"
            write_audio(source, audio, sample_rate=sample_rate)
            payload = derive(secret, "payload", 16).hex()
            options = ["--key", str(self.write_key(folder, secret)), "--strength", str(self.strength)]
            run([self.program, "add", *options, "--quiet", str(source), str(result), payload])
            marked, _ = read_audio(result)
        if marked.shape != audio.shape:
            raise BenchmarkError(f"expected audiowmark to keep the shape {audio.shape}, got {marked.shape}")
        return marked

    def read(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Reading:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            source = folder / "clip.wav"
            write_audio(source, audio, sample_rate=sample_rate)
            options = ["--key", str(self.write_key(folder, secret))]
            text = run([self.program, "get", *self.search, *options, str(source)])
        guesses = [line.split()[2] for line in text.decode().splitlines() if line.startswith("pattern")]
        payload = derive(secret, "payload", 16).hex()
        return Reading(EXACT if payload in guesses else NONE, {"guesses": len(guesses)})


class NeuralPeer:
    """A peer in another Python: 20 bits (AWARE) or presence alone (Perth), without a key.

    Its own threshold decides; bits that are claimed and differ are a wrong payload.
    """

    def __init__(self, python: str, *, name: str) -> None:
        require(python)
        self.name = name
        self.messages = tempfile.TemporaryFile("w+")  # noqa: SIM115  (as long as the worker)
        # Isolated, so that no module of this folder shadows one of the standard library.
        self.worker = subprocess.Popen(
            [python, "-I", str(WORKER), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.messages,
            text=True,
        )
        facts = self.receive()
        self.version = facts["version"]
        self.bits = facts["bits"]
        self.claim = f"{self.bits}-bit payload; no key" if self.bits else "presence alone, 1 bit; no key"

    def receive(self) -> dict[str, Any]:
        """Read an answer of the worker's."""
        assert self.worker.stdout is not None
        line = self.worker.stdout.readline()
        if not line:
            raise BenchmarkError(f"expected {self.name} to answer, got the end of its worker: {self.close()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> str:
        """End the worker; returns the last of its messages."""
        self.worker.communicate()
        self.messages.seek(0)
        with self.messages:
            return self.messages.read().strip()[-400:]

    def ask(self, verb: str, audio: Audio, **facts: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self.worker.stdin is not None
        with tempfile.TemporaryDirectory() as temporary:
            source = Path(temporary) / "in.npy"
            np.save(source, audio)
            self.worker.stdin.write(json.dumps({"verb": verb, "input": str(source), **facts}) + "\n")
            self.worker.stdin.flush()
            return self.receive()

    def choose_bits(self, secret: bytes) -> list[int]:
        """The payload that belongs to a secret."""
        raw = np.frombuffer(derive(secret, "payload", 8), dtype=np.uint8)
        return [int(bit) for bit in np.unpackbits(raw)[: self.bits]]

    def mark(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Audio:
        with tempfile.TemporaryDirectory() as temporary:
            result = Path(temporary) / "out.npy"
            bits = self.choose_bits(secret)
            self.ask("mark", audio, output=str(result), sample_rate=sample_rate, bits=bits)
            marked: Audio = np.load(result)
        return marked

    def read(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Reading:
        answer = self.ask("read", audio, sample_rate=sample_rate)
        outcome = NONE
        if answer["score"] >= PRESENT_SCORE:
            outcome = EXACT if answer["bits"] == self.choose_bits(secret) else WRONG
        return Reading(outcome, {"score": round(answer["score"], 4)})
