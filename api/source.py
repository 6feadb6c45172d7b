"""Audio about to be registered: where its samples come from, and what will be said about them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import generator
import ledger

from .audiofile import PcmDigest
from .declaration import Credit, draw_credits, parse_declaration
from .errors import RefusedError
from .marking import Block

BLOCK_SAMPLES = 1 << 16
FINGERPRINT_SUBJECT = "fingerprint"
"""Name of the subject whose digest is that of the track's stored fingerprint."""
MACHINE_MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@dataclass(frozen=True)
class Source:
    """Audio about to be marked, and what will be said about it."""

    event: str
    title: str
    sample_rate: int
    channels: int
    samples: int
    blocks: Callable[[], Iterator[Block]]
    pcm_sha256: str
    facts: Mapping[str, Any]
    subjects: tuple[ledger.Subject, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    prompt: str | None = None
    understood: Mapping[str, str] | None = None
    credits: tuple[Credit, ...] = ()
    upstream: Path | None = None
    """The file that it was read from, if there is one: its credentials are kept as an ingredient."""


@dataclass(frozen=True)
class Encoding:
    """How the released file is written: `flac` or `wav`, 16 or 24 bits."""

    container: str = "flac"
    bits: int = 24


def describe_generated(request: generator.Request, result: generator.Result) -> Source:
    """Return what is registered of a generated track: its samples, its score, and how it was made."""
    audio: NDArray[np.float32] = result.audio
    digest = PcmDigest()
    digest.push(audio)
    files = {}
    if result.abc is not None:
        files["score.abc"] = result.abc.encode("utf-8")
    if result.midi is not None:
        files["score.mid"] = result.midi
    names = {"score.abc": "abc", "score.mid": "midi"}

    def blocks() -> Iterator[Block]:
        for start in range(0, audio.shape[1], BLOCK_SAMPLES):
            yield audio[:, start : start + BLOCK_SAMPLES]

    model = result.model
    generation = {
        "engine": model.engine,
        "version": model.version,
        "weights": dict(model.weights),
        "licence": model.licence,
        "libraries": dict(model.libraries),
        "seed": str(result.seed),  # a string: JSON numbers end at 2^53
        "training_corpus": result.training_corpus,
        "milliseconds": {stage: round(1000 * seconds) for stage, seconds in result.timings_s.items()},
    }
    return Source(
        event=ledger.GENERATED,
        title=result.score.title if result.score is not None else "untitled",
        sample_rate=result.sample_rate,
        channels=audio.shape[0],
        samples=audio.shape[1],
        blocks=blocks,
        pcm_sha256=digest.hex(),
        facts={"generation": generation, "digital_source_type": MACHINE_MADE},
        subjects=tuple(
            ledger.Subject(names[name], sha256(content).digest()) for name, content in files.items()
        ),
        files=files,
        prompt=request.prompt,
        understood=result.understood,
        credits=_credit_score(result),
    )


def _credit_score(result: generator.Result) -> tuple[Credit, ...]:
    """Return the title of a score as what is declared of it; one that is no line of text is not."""
    if result.score is None:
        return ()
    try:
        return draw_credits(parse_declaration(title=result.score.title))
    except RefusedError:
        return ()
