"""The watermarking systems under test, behind one pair of verbs: ours here, others in `benchmarks.peers`.

`mark` gives the marked audio, `read` says what a clip of it still tells: "exact" payload, "wrong" payload, or
"none".
"""

import hashlib
import inspect
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import watermark
from benchmarks.tools import Audio, BenchmarkError

EXACT, WRONG, NONE = "exact", "wrong", "none"
OURS = "provenote"
CANDIDATE = f"{OURS}-candidate"
REGISTRY = f"{OURS}-registry"
REGISTERED = 1_000


@dataclass(frozen=True)
class Reading:
    """What a system read from a clip; `facts` are JSON values of its own (alignment, probability)."""

    outcome: str
    facts: dict[str, Any]


class System(Protocol):
    """A watermarking system; `secret` (bytes) stands for key and payload, both derived from it.

    `claim` says what "exact" means of it.
    """

    name: str
    version: str
    claim: str

    def mark(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Audio:
        """Mark a recording."""

    def read(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Reading:
        """Read a clip and compare it with what `mark` wrote under the same secret."""


def derive(secret: bytes, label: str, count: int) -> bytes:
    """Derive `count` (up to 32) bytes for one purpose."""
    return hashlib.sha256(label.encode() + b"\0" + secret).digest()[:count]


class Provenote:
    """This project's mark in its default profile, at the default strength or another."""

    claim = "64-bit payload; keyed; stated false-alarm probability"

    def __init__(self, *, strength: float | None = None) -> None:
        self.name = OURS if strength is None else f"{OURS}@{strength:g}"
        self.version = watermark.PROFILE.name
        self.options: dict[str, Any] = {}
        if strength is not None:
            if "strength" not in inspect.signature(watermark.embed).parameters:
                raise BenchmarkError(
                    f"expected watermark.embed to take a strength, got profile {self.version} without one"
                )
            self.options["strength"] = strength
            try:
                watermark.Embedder(
                    sample_rate=44_100,
                    channels=1,
                    watermark_key=bytes(32),
                    payload=bytes(8),
                    **self.options,
                )
            except ValueError as error:
                raise BenchmarkError(str(error)) from error
            self.version += f", strength {strength:g}"

    def mark(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Audio:
        return watermark.embed(
            audio,
            sample_rate=sample_rate,
            watermark_key=derive(secret, "watermark key", 32),
            payload=derive(secret, "payload", 8),
            **self.options,
        )

    def known(self, secret: bytes) -> tuple[watermark.KnownPayloads, ...]:
        """Payloads that the reader is told to be among those embedded; none, for a blind reading."""
        del secret
        return ()

    def read(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Reading:
        found = watermark.detect(
            audio,
            sample_rate=sample_rate,
            watermark_keys=[derive(secret, "watermark key", 32)],
            known=self.known(secret),
        )
        outcome = NONE
        if found.payload is not None:
            outcome = EXACT if found.payload == derive(secret, "payload", 8) else WRONG
        alignment = asdict(found.alignment) if found.alignment else None
        facts = {"p": found.false_alarm_probability, "detected": found.detected, "alignment": alignment}
        return Reading(outcome, facts)


class CandidateTest(Provenote):
    """The test for one known mark: "exact" is present at p < 1e-6, "wrong" another payload found present.

    The other payload is drawn anew for each secret and tested under the same key, on the same clip.
    """

    claim = "one known mark present at p < 1e-6; wrong: another payload of the key present"

    def __init__(self, *, strength: float | None = None) -> None:
        super().__init__(strength=strength)
        self.name = self.name.replace(OURS, CANDIDATE)

    def read(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Reading:
        own, other = (
            watermark.match_candidate(
                audio,
                sample_rate=sample_rate,
                watermark_key=derive(secret, "watermark key", 32),
                payload=derive(secret, label, 8),
            )
            for label in ("payload", "another payload")
        )
        outcome = WRONG if other.present else EXACT if own.present else NONE
        facts = {
            "p": own.false_alarm_probability,
            "present": own.present,
            "p_other": other.false_alarm_probability,
        }
        return Reading(outcome, facts)


class RegistryReading(Provenote):
    """Reading with a registry of marks at hand, as the service does: one of a thousand known payloads."""

    claim = f"64-bit payload, one of {REGISTERED:,} registered; keyed; stated false-alarm probability"

    def __init__(self, *, strength: float | None = None) -> None:
        super().__init__(strength=strength)
        self.name = self.name.replace(OURS, REGISTRY)

    def known(self, secret: bytes) -> tuple[watermark.KnownPayloads, ...]:
        others = [derive(secret, f"registered {number}", 8) for number in range(REGISTERED - 1)]
        return (
            watermark.KnownPayloads(
                derive(secret, "watermark key", 32), [derive(secret, "payload", 8), *others]
            ),
        )


def name_marker(system: str) -> str:
    """The system that marks for `system`: the other readers of ours read what ours marked."""
    return system.replace(CANDIDATE, OURS).replace(REGISTRY, OURS)
