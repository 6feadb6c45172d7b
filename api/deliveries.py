"""The delivery flow: a copy of a track for somebody, with a mark of its own, logged before it leaves.

    sealed original, or --from FILE -> embed -> file -> read back -> delivered event -> ledger -> release

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

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ledger
import watermark
from ledger.errors import CustodyError, OutcomeUnknownError
from ledger.predicate import DELIVERED

from .audiofile import AudioWriter, PcmDigest, sync_file
from .copies import CopyRow
from .copyrelease import abandon_copy, finish_copy
from .custody import check_custody
from .decoding import open_recording
from .epochs import name_watermark_key
from .errors import AudioRefusedError, RefusedError, StoppedError, UnreadableMarkError, WriteError
from .installation import Installation, now
from .issuing import make_track_id
from .marking import (
    MARK_BYTES,
    Block,
    CancelCheck,
    Progress,
    Strength,
    embed_blocks,
    examine,
    never_cancelled,
    report_nothing,
)
from .originals import Shape, read_blocks, read_shape
from .recipients import RECIPIENT
from .registry import PENDING, TrackRow
from .release import COPY_SUFFIX, hold_incoming, name_asset
from .source import Encoding


@dataclass(frozen=True)
class Original:
    """What copies of a track are made of: the kept recording, or a file that was compared with its digest."""

    track: TrackRow
    shape: Shape
    path: Path | None

    def blocks(self, installation: Installation) -> Iterator[Block]:
        """Yield the samples, float32 (channels, samples)."""
        if self.path is None:
            yield from read_blocks(installation.settings, self.track.track_id)
            return
        with open_recording(self.path, installation.settings.limits) as recording:
            yield from recording.blocks()


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


def open_original(
    installation: Installation,
    track_id: str,
    path: Path | None = None,
    *,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Original:
    """Find what copies of a track are made of, before anything is done for them.

    Parameters
    ----------
    installation
        The ledger folder.
    track_id
        A released track.
    path
        The recording that was stamped; None for the one that is kept.

    Raises
    ------
    MissingError
        No such track, or its original is not kept.
    AudioRefusedError, TooLargeError, OSError
        The file cannot be decoded.
    RefusedError
        The file is another recording than the one that was stamped, or the track's record does not hold.
    CustodyError
        The track was revoked or taken down.
    OriginalError
        The kept recording is damaged.
    """
    track = installation.registry.get_released(track_id)
    _check_deliverable(installation, track_id)
    if path is None:
        return Original(track, read_shape(installation.settings, track_id), None)
    digest = PcmDigest()
    with open_recording(path, installation.settings.limits) as recording:
        for block in recording.blocks():
            if cancelled():
                raise StoppedError(f"stopped while {path.name} was compared")
            digest.push(block)
            progress("compare", min(1.0, recording.samples / max(1, recording.format.claimed_samples)))
    if recording.damage:
        raise AudioRefusedError("damaged", f"{path.name} is damaged: {recording.damage}")
    if digest.hex() != track.source_pcm_sha256:
        what = "the track's own marked file" if digest.hex() == track.pcm_sha256 else "another recording"
        raise RefusedError(
            f"{path.name} is {what}: expected samples with the SHA-256 {track.source_pcm_sha256}, from which "
            f"track {track_id} was made, got {digest.hex()}"
        )
    return Original(track, Shape(recording.format.sample_rate, recording.format.channels), path)


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
        From `open_original`.
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


def _check_deliverable(installation: Installation, track_id: str) -> None:
    found = check_custody(installation.store, installation.public, name_asset(track_id)).evidence
    if found.fault is not None:
        raise RefusedError(f"the record of track {track_id} does not hold: {found.fault.message}")
    if found.status in ("revoked", "taken-down"):
        raise CustodyError(found.status, f"track {track_id} is {found.status}: it is not delivered any more")


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
