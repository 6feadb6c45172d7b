"""Tags and credential of a file about to be released: the last things that are written into it.

    marked audio -> tags -> C2PA credential -> read back -> ledger

In this order, because each covers what stands before it: any change after the credential breaks it, and the
entry in the ledger states the SHA-256 of the finished file. What the credential cannot name is therefore its
own entry, which does not exist yet; it names log and asset instead, and the entry states the credential's id
and digest (docs/decisions/0007-credential-before-entry.md).
"""

import dataclasses

from .audiofile import AudioWriter
from .disclosing import build_disclosure, state_issuer
from .installation import Installation
from .source import Encoding, Source
from .tags import write_tags

CHANNEL_NAMES = {1: "mono", 2: "stereo"}  # EBU R98, 3.4


def label_file(
    installation: Installation,
    source: Source,
    encoding: Encoding,
    writer: AudioWriter,
    *,
    track_id: str,
    created: str,
    mark_commitment: bytes,
) -> Source:
    """Write tags and credential into a finished file; return the source with what the entry states of them.

    `created` is RFC 3339 UTC; `mark_commitment` the 32 bytes by which the entry will name the mark.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    facts = {**source.facts, **state_issuer(installation.settings, track_id)}
    disclosure = build_disclosure(
        installation.public,
        facts,
        track_id=track_id,
        created=created,
        seconds=source.samples / source.sample_rate,
        pcm_sha256=writer.pcm_sha256,
        credits={item.label: item.value for item in source.credits},
    )
    channels = CHANNEL_NAMES.get(source.channels, "multitrack")
    coding = f"A=PCM,F={source.sample_rate},W={encoding.bits},M={channels}"
    write_tags(writer.path, disclosure, coding=coding)
    return dataclasses.replace(source, facts=facts)
