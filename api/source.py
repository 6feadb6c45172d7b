"""Audio about to be registered: where its samples come from, and what will be said about them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import ledger

from .declaration import Credit, draw_credits, parse_declaration
from .engines import Account, Request
from .errors import RefusedError
from .marking import Block

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


@dataclass(frozen=True)
class Played:
    """Audio that an engine has played: where it can be read, as often as asked, and its extent and digest."""

    blocks: Callable[[], Iterator[Block]]
    sample_rate: int
    channels: int
    samples: int
    pcm_sha256: str


def describe_generated(
    request: Request, account: Account, played: Played, factors: Mapping[str, Any]
) -> Source:
    """Return what is registered of a generated track: its samples, its score, and how it was made.

    `factors` is the member of that name, or nothing (`api.factors`).
    """
    files = {}
    if account.abc is not None:
        files["score.abc"] = account.abc.encode("utf-8")
    if account.midi is not None:
        files["score.mid"] = account.midi
    names = {"score.abc": "abc", "score.mid": "midi"}
    model = account.model
    generation = {
        "engine": model.engine,
        "version": model.version,
        "weights": dict(model.weights),
        "licence": model.licence,
        "libraries": dict(model.libraries),
        "seed": str(account.seed),  # a string: JSON numbers end at 2^53
        "training_corpus": account.training_corpus,
        "milliseconds": {stage: round(1000 * seconds) for stage, seconds in account.timings_s.items()},
        **({"settings": dict(account.settings)} if account.settings else {}),
    }
    return Source(
        event=ledger.GENERATED,
        title=account.score.title if account.score is not None else "untitled",
        sample_rate=played.sample_rate,
        channels=played.channels,
        samples=played.samples,
        blocks=played.blocks,
        pcm_sha256=played.pcm_sha256,
        facts={"generation": generation, "digital_source_type": MACHINE_MADE, **factors},
        subjects=tuple(
            ledger.Subject(names[name], sha256(content).digest()) for name, content in files.items()
        ),
        files=files,
        prompt=request.prompt,
        understood=account.understood,
        credits=_credit_score(account),
    )


def _credit_score(account: Account) -> tuple[Credit, ...]:
    """Return the title of a score as what is declared of it; one that is no line of text is not."""
    if account.score is None:
        return ()
    try:
        return draw_credits(parse_declaration(title=account.score.title))
    except RefusedError:
        return ()
