"""Reading a marked file back as any verifier would, before it is registered, and keeping its fingerprint."""

import dataclasses
import hashlib
from pathlib import Path

import ledger
import watermark
from watermark.identity.extraction import make_fingerprint
from watermark.identity.fingerprint_format import format_fingerprint

from .audiocode import code_file
from .audiofile import AudioWriter, write_synced
from .carrier import describe, explain
from .catalogue import FINGERPRINT_NAME
from .errors import UnreadableMarkError, WriteError
from .installation import Installation
from .marking import CancelCheck, Examination, Progress, examine
from .source import FINGERPRINT_SUBJECT, Source


def read_back(
    installation: Installation,
    writer: AudioWriter,
    mark_id: bytes,
    progress: Progress,
    cancelled: CancelCheck,
) -> Examination:
    """Check the written file and return what was found in it.

    Raises
    ------
    WriteError
        The samples in the file are not those that were written.
    UnreadableMarkError
        The mark cannot be read from it.
    """
    found = examine(
        writer.path,
        limits=installation.settings.limits,
        watermark_keys=(installation.keyring.watermark_key,),
        profiles=(watermark.PROFILE,),
        fingerprint=True,
        stage="read back",
        progress=progress,
        cancelled=cancelled,
    )
    if found.pcm_sha256 != writer.pcm_sha256:
        raise WriteError(
            f"{writer.path.name}: the samples read back are not those written: is the disk full?"
        )
    if found.detection.payload != mark_id:
        reasons = explain(writer.path)
        raise UnreadableMarkError(
            f"the mark cannot be read back from {found.seconds:.1f} s of this audio: {describe(reasons)}",
            reasons,
        )
    return found


def write_fingerprint(folder: Path, source: Source, found: Examination) -> Source:
    """Write the fingerprint of the marked audio beside it; return the source with its digest among the
    subjects. What is too short for a fingerprint has none.
    """
    if found.query is None:
        return source
    content = format_fingerprint(make_fingerprint(found.query))
    path = folder / FINGERPRINT_NAME
    write_synced(path, content)
    path.chmod(0o600)  # who knows what is compared knows what to aim at
    subject = ledger.Subject(FINGERPRINT_SUBJECT, hashlib.sha256(content).digest())
    return dataclasses.replace(source, subjects=(*source.subjects, subject))


def state_audio_code(installation: Installation, writer: AudioWriter, source: Source) -> Source:
    """Return the source with the ISCC of the marked audio among its identifiers, where one can be made."""
    code = code_file(writer.path, installation.settings.limits)
    if code is None:
        return source
    identifiers = {**source.facts.get("identifiers", {}), "iscc": code}
    return dataclasses.replace(source, facts={**source.facts, "identifiers": identifiers})
