"""The delivery flow: a copy of a track for somebody, with a mark of its own, logged before it leaves.

    sealed original, or --from FILE -> embed -> file -> tags -> read back -> delivered event -> release

The copy is made of the recording as it was before the track's own mark: two marks under one key, one over
the other, would weaken both and be heard twice. Order of writes, for a copy C of a track T:

1. incoming/C.copy/ is made and locked; the audio is written into it and synced
2. vault: the recipient's name, sealed; copies: the row of C, state `pending`
3. ledger: the signed `delivered` event of T                  <- the commit point
4. incoming/C.copy/ is renamed to copies/C/ in one step, and the folders are synced
5. copies: state `released`

A crash before 3 leaves something that nobody was told of: `copyrelease.recover_copies` removes it. A crash
after 3 leaves a copy that is in the ledger: `recover_copies` does 4 and 5. Whether the event is there is
asked by the digest of the file, which no other file has.
"""

import dataclasses
import secrets
from dataclasses import dataclass
from pathlib import Path

import ledger
import watermark
from ledger.errors import OutcomeUnknownError
from ledger.predicate import DELIVERED

from .audiofile import AudioWriter, sync_file
from .copies import CopyRow
from .copyrelease import abandon_copy, finish_copy
from .copysource import Original
from .epochs import name_watermark_key
from .errors import StoppedError, UnreadableMarkError, WriteError
from .installation import Installation, now
from .issuing import make_track_id
from .labelling import CHANNEL_NAMES
from .marking import (
    MARK_BYTES,
    CancelCheck,
    Progress,
    Strength,
    embed_blocks,
    examine,
    never_cancelled,
    report_nothing,
)
from .marktags import tag_subjects
from .recipients import RECIPIENT
from .registry import PENDING, TrackRow
from .release import COPY_SUFFIX, hold_incoming, name_asset
from .source import Encoding
from .tags import write_tags


@dataclass(frozen=True)
class Delivered:
    """A copy that is in the ledger: its row, its folder and file, its place, and how many samples were
    clipped.
    """

    row: CopyRow
    audio: Path
    entry_index: int
    leaf_hash: bytes
    clipped: int


def deliver(
    installation: Installation,
    original: Original,
    recipient: str,
    *,
    person: str | None = None,
    encoding: Encoding = Encoding(),
    strength: Strength = Strength.DEFAULT,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Delivered:
    """Make one copy of a track for a recipient, with a mark of its own, and log the delivery.

    Parameters
    ----------
    installation
        The ledger folder.
    original
        From `copysource.open_original`.
    recipient
        Who receives it, as `parse_recipient` gave it; only committed to in the ledger.
    person
        Whose data the name is (`Vault.add_person`); a new person if None.

    Raises
    ------
    UnreadableMarkError, StoppedError, WriteError, OriginalError, ledger.LedgerError
        Nothing was delivered (but see `ledger.errors.OutcomeUnknownError`: then the next start decides).
    """
    copy_id, mark_id = make_track_id(), secrets.token_bytes(MARK_BYTES)
    with hold_incoming(installation, copy_id + COPY_SUFFIX) as folder:
        row: CopyRow | None = None
        try:
            writer = _write(installation, original, encoding, folder, mark_id, strength, progress, cancelled)
            _label(original, writer, encoding)
            file_sha256 = _read_back(installation, writer, mark_id, progress, cancelled)
            sync_file(folder)
            progress("log", 0.0)
            row = _reserve(
                installation, original.track, writer, recipient, person, copy_id, mark_id, file_sha256
            )
            receipt = _append(installation, row)
        except OutcomeUnknownError:
            raise  # the entry may be there: the next recovery looks it up
        except BaseException:
            abandon_copy(installation, copy_id, row)
            raise
        final = finish_copy(installation, row)
    progress("log", 1.0)
    row = installation.copies.get_released(copy_id)
    return Delivered(row, final / row.audio_name, receipt.index, receipt.leaf_hash, writer.clipped)


def _write(
    installation: Installation,
    original: Original,
    encoding: Encoding,
    folder: Path,
    mark_id: bytes,
    strength: Strength,
    progress: Progress,
    cancelled: CancelCheck,
) -> AudioWriter:
    shape, samples = original.shape, original.track.samples
    marked = embed_blocks(
        original.blocks(installation),
        sample_rate=shape.sample_rate,
        channels=shape.channels,
        watermark_key=installation.keyring.watermark_key,
        payload=mark_id,
        strength=strength,
    )
    with AudioWriter(
        folder / f"copy.{encoding.container}",
        container=encoding.container,
        sample_rate=shape.sample_rate,
        channels=shape.channels,
        bits=encoding.bits,
    ) as writer:
        for block in marked:
            if cancelled():
                raise StoppedError("stopped while the mark was embedded")
            writer.push(block)
            progress("mark", min(1.0, writer.samples / max(1, samples)))
    if writer.samples != samples:
        raise WriteError(f"expected {samples} marked samples, got {writer.samples}")
    return writer


def _label(original: Original, writer: AudioWriter, encoding: Encoding) -> None:
    """Write into the copy what is disclosed of its track, for these samples."""
    channels = CHANNEL_NAMES.get(original.shape.channels, "multitrack")
    coding = f"A=PCM,F={original.shape.sample_rate},W={encoding.bits},M={channels}"
    disclosure = dataclasses.replace(original.disclosure, pcm_sha256=writer.pcm_sha256)
    write_tags(writer.path, disclosure, coding=coding)


def _read_back(
    installation: Installation,
    writer: AudioWriter,
    mark_id: bytes,
    progress: Progress,
    cancelled: CancelCheck,
) -> str:
    """Check the written file as any verifier would, and return its digest."""
    found = examine(
        writer.path,
        limits=installation.settings.limits,
        watermark_keys=(installation.keyring.watermark_key,),
        profiles=(watermark.PROFILE,),
        stage="read back",
        progress=progress,
        cancelled=cancelled,
    )
    if found.pcm_sha256 != writer.pcm_sha256:
        raise WriteError(
            f"{writer.path.name}: the samples read back are not those written: is the disk full?"
        )
    if found.detection.payload != mark_id:
        raise UnreadableMarkError(f"the mark of the copy cannot be read back from {found.seconds:.1f} s", ())
    return found.file_sha256


def _reserve(
    installation: Installation,
    track: TrackRow,
    writer: AudioWriter,
    recipient: str,
    person: str | None,
    copy_id: str,
    mark_id: bytes,
    file_sha256: str,
) -> CopyRow:
    """Step 2: the sealed name first, so that no row speaks of one that is not there."""
    person = person or installation.vault.add_person()
    row = CopyRow(
        copy_id=copy_id,
        track_id=track.track_id,
        state=PENDING,
        created=now(),
        mark_id=mark_id.hex(),
        salt=secrets.token_bytes(32),
        profile=watermark.PROFILE.name,
        watermark_key_id=name_watermark_key(installation.keyring.watermark_key),
        person=person,
        recipient_commitment=installation.vault.seal(
            person, name_asset(track.track_id), RECIPIENT, recipient
        ),
        audio_name=writer.path.name,
        file_sha256=file_sha256,
        pcm_sha256=writer.pcm_sha256,
    )
    installation.copies.add_pending(row)
    return row


def _append(installation: Installation, row: CopyRow) -> ledger.Receipt:
    """Step 3, the commit point."""
    subjects = (
        ledger.Subject("file", bytes.fromhex(row.file_sha256)),
        ledger.Subject("pcm", bytes.fromhex(row.pcm_sha256)),
        *tag_subjects(installation, bytes.fromhex(row.mark_id)),
    )
    facts = {
        "time": row.created,
        "mark": {"profile": row.profile, "watermark_key": row.watermark_key_id},
        "commitments": {
            "mark_id": ledger.commit("mark_id", row.salt, row.mark_id).hex(),
            RECIPIENT: row.recipient_commitment.hex(),
        },
    }
    issuer = installation.keyring.issuer_signing_key

    def build(place: ledger.Place) -> bytes:
        return ledger.sign_envelope(ledger.build_event(DELIVERED, place, subjects, facts), [issuer])

    draft = ledger.Draft(name_asset(row.track_id), build)
    return installation.store.append([draft], log_signing_key=installation.keyring.log_signing_key)[0]
