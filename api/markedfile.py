"""A marked copy of an audio file, without a ledger: what `provenote mark embed` does.

The copy is written beside its destination, its margin is predicted there, and only then is it renamed:
whatever goes wrong or is refused on the way leaves no half of a file, and an earlier one whole.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from .audiofile import AudioWriter
from .decoding import DEFAULT_LIMITS, Limits, open_recording
from .errors import WeakMarkError
from .margin import Margin, MarginPolicy, predict
from .marking import Progress, Strength, embed_blocks, report_nothing


@dataclass(frozen=True)
class MarkedFile:
    """What was written: samples of each channel, how many were clipped, the margin where it was predicted,
    and what is wrong with the source, if anything.
    """

    samples: int
    sample_rate: int
    clipped: int
    margin: Margin | None
    damage: str

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.sample_rate


def embed_file(
    source: Path,
    destination: Path,
    *,
    watermark_key: bytes,
    payload: bytes,
    bits: int = 0,
    strength: Strength = Strength.DEFAULT,
    policy: MarginPolicy = MarginPolicy.OFF,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = report_nothing,
) -> MarkedFile:
    """Write a marked copy of `source` to `destination`, over whatever is there.

    Parameters
    ----------
    destination : a name that ends in .flac or .wav
    bits : 16 or 24; 0 for 16 where the source has 16, and 24 otherwise

    Raises
    ------
    AudioRefusedError, TooLargeError
        Not audio, or outside the limits.
    WeakMarkError
        The policy requires a margin that the mark has not.
    WriteError, OSError
        A file cannot be read or written.
    """
    container = destination.suffix.lower().removeprefix(".")
    temporary = destination.with_name(f".{destination.name}.{os.getpid()}.part")
    with open_recording(source, limits) as recording:
        shape = recording.format
        marked = embed_blocks(
            recording.blocks(),
            sample_rate=shape.sample_rate,
            channels=shape.channels,
            watermark_key=watermark_key,
            payload=payload,
            strength=strength,
        )
        depth = bits or (16 if shape.subtype == "PCM_16" else 24)
        with AudioWriter(
            temporary, container=container, sample_rate=shape.sample_rate, channels=shape.channels, bits=depth
        ) as writer:
            for block in marked:
                writer.push(block)
                progress("mark", min(1.0, writer.samples / max(1, shape.claimed_samples)))
    try:
        margin = None
        if policy is not MarginPolicy.OFF:
            margin = predict(temporary, watermark_key=watermark_key, payload=payload, progress=progress)
            if policy is MarginPolicy.REQUIRE and not margin.sufficient:
                raise WeakMarkError(margin.warning, margin.reasons)
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)
    return MarkedFile(writer.samples, shape.sample_rate, writer.clipped, margin, recording.damage)
