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
from watermark import identity

EXACT, WRONG, NONE = "exact", "wrong", "none"
OURS = "provenote"
CANDIDATE = f"{OURS}-candidate"
PLACED = f"{OURS}-placed"
REGISTRY = f"{OURS}-registry"
REGISTERED = 1_000
PRESENT = 1e-6


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
            self.match(
                audio,
                sample_rate=sample_rate,
                watermark_key=derive(secret, "watermark key", 32),
                payload=derive(secret, label, 8),
            )
            for label in ("payload", "another payload")
        )
        outcome = WRONG if other < PRESENT else EXACT if own < PRESENT else NONE
        return Reading(outcome, {"p": own, "present": own < PRESENT, "p_other": other})

    def match(self, audio: Audio, *, sample_rate: int, watermark_key: bytes, payload: bytes) -> float:
        """Test for one payload; return the bound on the false-alarm probability."""
        return watermark.match_candidate(
            audio, sample_rate=sample_rate, watermark_key=watermark_key, payload=payload
        ).false_alarm_probability


class PlacedTest(CandidateTest):
    """The same test where the recording is known as well, as of a track that a claimant or a fingerprint
    names: at the places that its fingerprint gives, and where that shows nothing by the search. Both count
    double.
    """

    claim = "one known mark of a registered recording present at p < 1e-6; wrong: another payload present"

    def __init__(self, *, strength: float | None = None) -> None:
        super().__init__(strength=strength)
        self.name = self.name.replace(CANDIDATE, PLACED)
        self._fingerprints: dict[bytes, identity.Fingerprint] = {}

    def mark(self, audio: Audio, *, sample_rate: int, secret: bytes) -> Audio:
        """Mark a recording, and register what came out under its watermark key."""
        marked = super().mark(audio, sample_rate=sample_rate, secret=secret)
        key = derive(secret, "watermark key", 32)
        self._fingerprints[key] = identity.extract(marked, sample_rate=sample_rate)
        return marked

    def match(self, audio: Audio, *, sample_rate: int, watermark_key: bytes, payload: bytes) -> float:
        found = self._identify(audio, sample_rate, self._fingerprints[watermark_key])
        placed = 1.0
        if found.matches:
            matcher = watermark.PlacedMatcher(
                sample_rate=sample_rate,
                channels=audio.shape[0],
                watermark_key=watermark_key,
                payload=payload,
                placements=[place_match(match) for match in found.matches],
            )
            matcher.push(audio)
            placed = matcher.finish().false_alarm_probability
        if 2 * placed < PRESENT:
            return 2 * placed
        searched = super().match(audio, sample_rate=sample_rate, watermark_key=watermark_key, payload=payload)
        return min(1.0, 2 * placed, 2 * searched)

    def _identify(
        self, audio: Audio, sample_rate: int, fingerprint: identity.Fingerprint
    ) -> identity.Identification:
        """Look for the recording in a clip, in an index of this one alone."""
        segment = identity.build_segment({0: fingerprint.landmarks}, identity.PROFILE.rich)
        index = identity.Index((segment,), lambda _: fingerprint.sketch)
        return identity.identify(identity.extract_query(audio, sample_rate=sample_rate), index)


def place_match(match: identity.Match) -> watermark.ClipPlacement:
    """A fingerprint's match as a placement for the test of a mark."""
    return watermark.ClipPlacement(
        start_s=match.query_start_s,
        end_s=match.query_end_s,
        track_start_s=match.placement.track_start_s,
        speed=match.placement.time_scale,
        pitch_semitones=match.placement.pitch_semitones,
    )


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
    """The system that marks for `system`: the other readers of ours read what ours marked; the one that
    registers what it marks marks the same by itself.
    """
    return system.replace(CANDIDATE, OURS).replace(REGISTRY, OURS)
