"""What goes into the catalogue: released tracks, and recordings that others are only compared with."""

import hashlib
from pathlib import Path

from watermark.identity.extraction import make_fingerprint
from watermark.identity.fingerprint_format import format_fingerprint
from watermark.identity.profile import PROFILE

from .audiofile import write_synced
from .catalogue import FINGERPRINT_NAME
from .errors import AudioRefusedError, LedgerFolderError
from .fingerprints import FingerprintRow
from .installation import Installation, now
from .listening import Heard, listen
from .marking import Progress, report_nothing
from .registry import TrackRow

MAX_NAME = 200


def add_released(installation: Installation, track: TrackRow) -> None:
    """Take a released track into the catalogue, if it has a fingerprint; doing it again changes nothing.

    Raises
    ------
    ledger.StorageError, WriteError, LedgerFolderError
        The catalogue cannot be written; the track stays released, and `fingerprint rebuild` adds it.
    """
    path = installation.settings.tracks / track.track_id / FINGERPRINT_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return  # stamped before there were fingerprints
    except OSError as error:
        raise LedgerFolderError(f"{path}: cannot be read: {error.strerror}") from error
    installation.catalogue.add_track(_row_of(track, data))


def add_file(
    installation: Installation, path: Path, *, name: str | None = None, progress: Progress = report_nothing
) -> tuple[int, bool, Heard]:
    """Take a recording into the catalogue to compare with; return its number, whether it is new, what was
    heard.

    Raises
    ------
    AudioRefusedError, TooLargeError
        Not audio, damaged, too short, or outside the limits.
    """
    heard = listen(path, limits=installation.settings.limits, progress=progress)
    if heard.damage:
        raise AudioRefusedError("damaged", f"{path.name} is damaged: {heard.damage}")
    if heard.query is None:
        raise AudioRefusedError(
            "too-short", f"{path.name} is too short for a fingerprint: {heard.seconds:.2f} s"
        )
    fingerprint = make_fingerprint(heard.query)
    row = FingerprintRow(
        track_id=None,
        # A file name need not be Unicode; the registry's text must be.
        name=(name or path.stem).encode("utf-8", "replace").decode("utf-8")[:MAX_NAME],
        profile=fingerprint.profile_name,
        milliseconds=round(1000 * heard.seconds),
        sha256=hashlib.sha256(format_fingerprint(fingerprint)).hexdigest(),
        pcm_sha256=heard.pcm_sha256,
        created=now(),
    )
    number, new = installation.catalogue.add_recording(row, fingerprint)
    return number, new, heard


def add_missing(installation: Installation, progress: Progress = report_nothing) -> int:
    """Take released tracks into the catalogue that are not in it; listen to those stamped before there were
    fingerprints. Return how many were added.
    """
    added, after, done = 0, "", 0
    while tracks := installation.registry.list_tracks(limit=100, after=after):
        for track in tracks:
            done += 1
            if installation.catalogue.rows.find_track(track.track_id) is None and _add_old(
                installation, track
            ):
                added += 1
            progress("tracks", 1 - 1 / (1 + done))
        after = tracks[-1].track_id
    progress("tracks", 1.0)
    return added


def _add_old(installation: Installation, track: TrackRow) -> bool:
    folder = installation.settings.tracks / track.track_id
    path = folder / FINGERPRINT_NAME
    if not path.exists():
        heard = listen(folder / track.audio_name, limits=installation.settings.limits)
        if heard.query is None:
            return False
        if heard.pcm_sha256 != track.pcm_sha256:
            raise LedgerFolderError(f"{folder / track.audio_name}: not the samples that were registered")
        write_synced(path, format_fingerprint(make_fingerprint(heard.query)))
        path.chmod(0o600)
    add_released(installation, track)
    return True


def _row_of(track: TrackRow, data: bytes) -> FingerprintRow:
    return FingerprintRow(
        track_id=track.track_id,
        name=track.title,
        profile=PROFILE.name,
        milliseconds=round(1000 * track.samples / track.sample_rate),
        sha256=hashlib.sha256(data).hexdigest(),
        pcm_sha256=track.pcm_sha256,
        created=track.created,
    )
