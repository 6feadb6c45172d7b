"""The issue flow: how a track comes to be marked, signed and logged.

    generate: prompt -> generator -> audio ----.
    stamp:    file -> bounded decode -> audio --+-> embed -> file -> read back -> statement -> ledger ->
    release

Nothing leaves before its entry is durable: the order of writes, and what a crash leaves, is in `api.release`.
No function hands out unmarked audio. The mark is read back from the very file that is released: what cannot
be read is refused.
"""

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import generator
import ledger
import watermark
from ledger.errors import OutcomeUnknownError

from .audiofile import AudioWriter, sync_file
from .decoding import open_recording
from .epochs import name_watermark_key
from .errors import AudioRefusedError, RegisteredError, StoppedError, UnreadableMarkError, WriteError
from .installation import Installation, now
from .keyring import detection_keys
from .marking import (
    MARK_BYTES,
    Block,
    CancelCheck,
    Progress,
    embed_blocks,
    examine,
    never_cancelled,
    report_nothing,
)
from .openings import list_openings
from .registry import PENDING, MarkRow, TrackRow
from .release import abandon, finish_release, hold_incoming, name_asset, write_synced
from .source import Encoding, Source, describe_generated


@dataclass(frozen=True)
class Issued:
    """A released track: its id, its folder, the audio file in it, and its place in the ledger."""

    track_id: str
    folder: Path
    audio: Path
    entry_index: int
    leaf_hash: bytes
    seconds: float
    clipped: int


def make_track_id() -> str:
    """Draw a track id: 16 characters, 80 random bits."""
    return base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower()


def issue(
    installation: Installation,
    engine: generator.Engine,
    request: generator.Request,
    *,
    encoding: Encoding = Encoding(),
    track_id: str | None = None,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Issued:
    """Generate a track from a prompt and register it.

    Raises
    ------
    generator.GeneratorError
        The request cannot be served, or was cancelled.
    RegisteredError
        The same request with the same seed gave these very samples before.
    UnreadableMarkError, StoppedError, WriteError, ledger.LedgerError
        Nothing was registered (but see `ledger.errors.OutcomeUnknownError`: then the next start decides).
    """
    result = engine.generate(request, progress=progress, cancelled=cancelled)
    return register(
        installation,
        describe_generated(request, result),
        encoding=encoding,
        track_id=track_id or make_track_id(),
        progress=progress,
        cancelled=cancelled,
    )


def stamp(
    installation: Installation,
    path: Path,
    *,
    title: str | None = None,
    encoding: Encoding = Encoding(),
    track_id: str | None = None,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Issued:
    """Mark and register a recording that exists as a file; the file itself is not changed.

    Raises
    ------
    AudioRefusedError, TooLargeError
        Not audio, damaged, or outside the limits.
    RegisteredError
        The recording is registered, or carries a mark of ours.
    UnreadableMarkError, StoppedError, WriteError, ledger.LedgerError, OSError
        Nothing was registered.
    """
    found = examine(
        path,
        limits=installation.settings.limits,
        watermark_keys=detection_keys(installation.keyring),
        stage="examine",
        progress=progress,
        cancelled=cancelled,
    )
    if found.damage:
        raise AudioRefusedError("damaged", f"{path.name} is damaged: {found.damage}")
    _refuse_registered(installation, found.pcm_sha256, found.detection)

    def blocks() -> Iterator[Block]:
        with open_recording(path, installation.settings.limits) as recording:
            yield from recording.blocks()

    source = Source(
        event=ledger.STAMPED,
        # A file name need not be Unicode; the registry's text must be.
        title=(title or path.stem).encode("utf-8", "replace").decode("utf-8"),
        sample_rate=found.format.sample_rate,
        channels=found.format.channels,
        samples=found.samples,
        blocks=blocks,
        pcm_sha256=found.pcm_sha256,
        facts={"source": {"container": found.format.container, "encoding": found.format.subtype}},
        subjects=(ledger.Subject("source-file", bytes.fromhex(found.file_sha256)),),
    )
    return register(
        installation,
        source,
        encoding=encoding,
        track_id=track_id or make_track_id(),
        progress=progress,
        cancelled=cancelled,
    )


def register(
    installation: Installation,
    source: Source,
    *,
    encoding: Encoding,
    track_id: str,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Issued:
    """Mark, write, log and release; steps as in `api.release`."""
    known = installation.registry.find_source(source.pcm_sha256)
    if known is not None:
        raise RegisteredError(f"the same recording is registered as track {known.track_id}", known.track_id)
    mark_id = secrets.token_bytes(MARK_BYTES)
    with hold_incoming(installation, track_id) as folder:
        try:
            writer = _write_marked(installation, source, encoding, folder, mark_id, progress, cancelled)
            file_sha256 = _read_back(installation, writer, mark_id, progress, cancelled)
            for name, content in source.files.items():
                write_synced(folder / name, content)
            sync_file(folder)
            progress("log", 0.0)
            track, mark = _build_rows(installation, source, encoding, writer, track_id, mark_id, file_sha256)
            installation.registry.add_pending(track, mark)
            receipt = _append(installation, source, encoding, track, mark)
        except OutcomeUnknownError:
            raise  # the entry may be there: the next `recover` looks it up
        except BaseException:
            abandon(installation, track_id)
            raise
        final = finish_release(installation, track)
    progress("log", 1.0)
    return Issued(
        track_id=track_id,
        folder=final,
        audio=final / track.audio_name,
        entry_index=receipt.index,
        leaf_hash=receipt.leaf_hash,
        seconds=track.samples / track.sample_rate,
        clipped=writer.clipped,
    )


def _refuse_registered(installation: Installation, pcm_sha256: str, detection: watermark.Detection) -> None:
    for _, asset in installation.store.find_subject(pcm_sha256):
        track_id = asset.removeprefix("track:")
        raise RegisteredError(f"the same recording is registered as track {track_id}", track_id)
    if detection.detected and detection.payload is not None:
        row = installation.registry.find_mark(detection.payload.hex())
        if row is None:
            raise RegisteredError("the recording carries a mark of this key that names no known track", None)
        raise RegisteredError(f"the recording carries the mark of track {row.track_id}", row.track_id)


def _write_marked(
    installation: Installation,
    source: Source,
    encoding: Encoding,
    folder: Path,
    mark_id: bytes,
    progress: Progress,
    cancelled: CancelCheck,
) -> AudioWriter:
    marked = embed_blocks(
        source.blocks(),
        sample_rate=source.sample_rate,
        channels=source.channels,
        watermark_key=installation.keyring.watermark_key,
        payload=mark_id,
    )
    with AudioWriter(
        folder / f"track.{encoding.container}",
        container=encoding.container,
        sample_rate=source.sample_rate,
        channels=source.channels,
        bits=encoding.bits,
    ) as writer:
        for block in marked:
            if cancelled():
                raise StoppedError("stopped while the mark was embedded")
            writer.push(block)
            progress("mark", min(1.0, writer.samples / max(1, source.samples)))
    if writer.samples != source.samples:
        raise WriteError(f"expected {source.samples} marked samples, got {writer.samples}")
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
        stage="read back",
        progress=progress,
        cancelled=cancelled,
    )
    if found.pcm_sha256 != writer.pcm_sha256:
        raise WriteError(
            f"{writer.path.name}: the samples read back are not those written: is the disk full?"
        )
    if found.detection.payload != mark_id:
        raise UnreadableMarkError(
            f"the mark cannot be read back from {found.seconds:.1f} s of this audio: "
            "it is too short, too quiet, too empty or too heavily clipped to carry one"
        )
    return found.file_sha256


def _build_rows(
    installation: Installation,
    source: Source,
    encoding: Encoding,
    writer: AudioWriter,
    track_id: str,
    mark_id: bytes,
    file_sha256: str,
) -> tuple[TrackRow, MarkRow]:
    track = TrackRow(
        track_id=track_id,
        state=PENDING,
        origin=source.event.rsplit("/", 2)[-2],
        title=source.title[:200],
        created=now(),
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
        salt=secrets.token_bytes(32),
        profile=watermark.PROFILE.name,
        watermark_key_id=name_watermark_key(installation.keyring.watermark_key),
    )
    return track, mark


def _append(
    installation: Installation, source: Source, encoding: Encoding, track: TrackRow, mark: MarkRow
) -> ledger.Receipt:
    facts: dict[str, Any] = {
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
        },
        "commitments": {
            opening.label: ledger.commit(opening.label, opening.salt, opening.value).hex()
            for opening in list_openings(track, mark)
        },
    }
    subjects = (
        ledger.Subject("file", bytes.fromhex(track.file_sha256)),
        ledger.Subject("pcm", bytes.fromhex(track.pcm_sha256)),
        ledger.Subject("source-pcm", bytes.fromhex(source.pcm_sha256)),
        *source.subjects,
    )
    issuer = installation.keyring.issuer_signing_key

    def build(place: ledger.Place) -> bytes:
        return ledger.sign_envelope(ledger.build_event(source.event, place, subjects, facts), [issuer])

    draft = ledger.Draft(name_asset(track.track_id), build)
    return installation.store.append([draft], log_signing_key=installation.keyring.log_signing_key)[0]
