"""What is written down of a new track: private rows in the registry, public facts in the signed statement."""

import json
import secrets
from typing import Any

import ledger
import watermark

from .audiofile import AudioWriter
from .epochs import name_watermark_key
from .margin import Margin, format_margin
from .marking import Strength
from .openings import list_openings
from .registry import PENDING, CreditRow, MarkRow, TrackRow
from .source import Encoding, Source


def build_rows(
    source: Source,
    encoding: Encoding,
    writer: AudioWriter,
    *,
    track_id: str,
    mark_id: bytes,
    file_sha256: str,
    watermark_key: bytes,
    created: str,
    mark_salt: bytes,
) -> tuple[TrackRow, MarkRow]:
    """Return the registry's rows of a track whose file is written: pending, with a fresh salt of the prompt.

    `created` is RFC 3339 UTC; `mark_salt` is the salt of the mark's commitment, which the file's credential
    states as well.
    """
    track = TrackRow(
        track_id=track_id,
        state=PENDING,
        origin=source.event.rsplit("/", 2)[-2],
        title=source.title[:200],
        created=created,
        audio_name=writer.path.name,
        container=encoding.container,
        sample_rate=source.sample_rate,
        channels=source.channels,
        samples=source.samples,
        file_sha256=file_sha256,
        pcm_sha256=writer.pcm_sha256,
        source_pcm_sha256=source.pcm_sha256,
        prompt=source.prompt,
        prompt_salt=None if source.prompt is None else secrets.token_bytes(32),
        understood=None if source.understood is None else json.dumps(dict(source.understood)),
    )
    mark = MarkRow(
        mark_id=mark_id.hex(),
        track_id=track_id,
        salt=mark_salt,
        profile=watermark.PROFILE.name,
        watermark_key_id=name_watermark_key(watermark_key),
    )
    return track, mark


def list_credit_rows(track_id: str, source: Source) -> list[CreditRow]:
    """Return the registry's rows of what is declared of a track and only committed to."""
    return [
        CreditRow(track_id=track_id, label=item.label, value=item.value, salt=item.salt)
        for item in source.credits
    ]


def list_subjects(source: Source, track: TrackRow) -> tuple[ledger.Subject, ...]:
    """Return what the statement is about: the released file, its samples, and what it was made from."""
    return (
        ledger.Subject("file", bytes.fromhex(track.file_sha256)),
        ledger.Subject("pcm", bytes.fromhex(track.pcm_sha256)),
        ledger.Subject("source-pcm", bytes.fromhex(source.pcm_sha256)),
        *source.subjects,
    )


def state_facts(
    source: Source,
    encoding: Encoding,
    track: TrackRow,
    mark: MarkRow,
    margin: Margin | None,
    strength: Strength = Strength.DEFAULT,
) -> dict[str, Any]:
    """Return the predicate of the track's statement, without its place.

    `mark.margin` is there only where a margin was predicted; statements of before never have it, and readers
    must do without it (`margin.parse_margin`), so the predicate's version stays 1. So it is with
    `mark.strength_percent`: without it a mark has the default strength, as all had before.
    """
    return {
        **source.facts,
        "time": track.created,
        "audio": {
            "container": encoding.container,
            "bits": encoding.bits,
            "sample_rate": source.sample_rate,
            "channels": source.channels,
            "samples": source.samples,
        },
        "mark": {
            "profile": mark.profile,
            "watermark_key": mark.watermark_key_id,
            **({} if strength is Strength.DEFAULT else {"strength_percent": strength.percent}),
            **({} if margin is None else {"margin": format_margin(margin)}),
        },
        "commitments": {
            opening.label: ledger.commit(opening.label, opening.salt, opening.value).hex()
            for opening in list_openings(track, mark, list_credit_rows(track.track_id, source))
        },
    }
