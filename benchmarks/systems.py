"""The watermarking systems under test, behind one pair of verbs: ours, and audiowmark where it is at hand.

`mark` gives the marked audio, `read` says what a clip of it still tells: "exact" payload, "wrong" payload, or
"none".
"""

import hashlib
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import watermark
from benchmarks.tools import Audio, BenchmarkError, read_audio, run, write_audio

EXACT, WRONG, NONE = "exact", "wrong", "none"


@dataclass(frozen=True)
class Reading:
    """What a system read from a clip; `facts` are JSON values of its own (alignment, probability)."""

    outcome: str
    facts: dict[str, Any]


class System(Protocol):
    """A watermarking system; `secret` (bytes) stands for key and payload, both derived from it."""

    name: str
    version: str

    def mark(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Audio:
        """Mark a recording."""

    def read(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Reading:
        """Read a clip and compare it with what `mark` wrote under the same secret."""


def derive(secret: bytes, label: str, count: int) -> bytes:
    """Derive `count` (up to 32) bytes for one purpose."""
    return hashlib.sha256(label.encode() + b"\0" + secret).digest()[:count]


class Provenote:
    """This project's mark in its default profile."""

    name = "provenote"

    def __init__(self) -> None:
        self.version = watermark.PROFILE.name

    def mark(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Audio:
        return watermark.embed(
            audio,
            sample_rate=sample_rate,
            watermark_key=derive(secret, "watermark key", 32),
            payload=derive(secret, "payload", 8),
        )

    def read(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Reading:
        found = watermark.detect(
            audio, sample_rate=sample_rate, watermark_keys=[derive(secret, "watermark key", 32)]
        )
        outcome = NONE
        if found.payload is not None:
            outcome = EXACT if found.payload == derive(secret, "payload", 8) else WRONG
        alignment = asdict(found.alignment) if found.alignment else None
        facts = {"p": found.false_alarm_probability, "detected": found.detected, "alignment": alignment}
        return Reading(outcome, facts)


class Audiowmark:
    """audiowmark's command line (github.com/swesterfeld/audiowmark, GPL): 128-bit payload, 128-bit key.

    It prints its best guesses and makes no decision, so a clip counts as read when the exact payload is among
    them, as a registry would decide; a wrong guess is no error of its own.
    """

    name = "audiowmark"

    def __init__(self, program: str, *, strength: float = 10.0, detect_speed: bool = False) -> None:
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


def open_peer(text: str) -> System:
    """Open a peer named on the command line, as audiowmark=PATH, audiowmark-speed=PATH or audiowmark@15=PATH.

    "-speed" switches its speed search on, "@15" sets its strength.
    """
    name, _, program = text.partition("=")
    base, _, strength = name.partition("@")
    if base not in ("audiowmark", "audiowmark-speed") or not program:
        raise BenchmarkError(f"expected a peer as audiowmark[-speed][@STRENGTH]=PATH, got {text!r}")
    peer = Audiowmark(program, strength=float(strength or 10), detect_speed=base.endswith("-speed"))
    peer.name = name
    return peer
