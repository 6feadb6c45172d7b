"""What copies of a track are made of: the recording as it was before the track's own mark."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import CustodyError

from .audiofile import PcmDigest
from .custody import check_custody
from .decoding import open_recording
from .disclosing import disclose_track
from .disclosure import Disclosure
from .errors import AudioRefusedError, RefusedError, StoppedError
from .installation import Installation
from .marking import Block, CancelCheck, Progress, never_cancelled, report_nothing
from .originals import Shape, read_blocks, read_shape
from .registry import TrackRow
from .release import name_asset


@dataclass(frozen=True)
class Original:
    """What copies of a track are made of, the kept recording or a file that was compared with its digest, and
    what is disclosed of the track.
    """

    track: TrackRow
    shape: Shape
    disclosure: Disclosure
    path: Path | None

    def blocks(self, installation: Installation) -> Iterator[Block]:
        """Yield the samples, float32 (channels, samples)."""
        if self.path is None:
            yield from read_blocks(installation.settings, self.track.track_id)
            return
        with open_recording(self.path, installation.settings.limits) as recording:
            yield from recording.blocks()


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
    disclosure = disclose_track(installation, track_id)
    if path is None:
        return Original(track, read_shape(installation.settings, track_id), disclosure, None)
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
    shape = Shape(recording.format.sample_rate, recording.format.channels)
    return Original(track, shape, disclosure, path)


def _check_deliverable(installation: Installation, track_id: str) -> None:
    found = check_custody(installation.store, installation.public, name_asset(track_id)).evidence
    if found.fault is not None:
        raise RefusedError(f"the record of track {track_id} does not hold: {found.fault.message}")
    if found.status in ("revoked", "taken-down"):
        raise CustodyError(found.status, f"track {track_id} is {found.status}: it is not delivered any more")
