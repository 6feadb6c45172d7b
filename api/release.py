"""From work in progress to a released track, so that a crash never leaves a file that is not in the ledger.

Order of writes, for a track T:

1. incoming/T/ is made and locked; audio and score are written into it and synced; the recording before its
   mark is sealed in originals/ (`api.originals`)
2. registry: rows of track and mark, state `pending` (the mark_id must not be lost once it is in the ledger)
3. ledger: the signed entry                                   <- the commit point
4. incoming/T/bundle.json is written and synced
5. incoming/T/ is renamed to tracks/T/ in one step, and the folders are synced
6. the catalogue of fingerprints takes it in, and the object store its files, where there is one
7. registry: state `released`

A crash before 3 leaves something that was never acknowledged: `recover` removes it. A crash after 3 leaves a
track that is in the ledger: `recover` does steps 4 to 7. Work that another process is doing holds its lock
and is left alone.
"""

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ledger import LedgerError, make_bundle

from .audiofile import sync_file, write_synced
from .cataloguing import add_released
from .errors import WriteError
from .installation import Installation
from .openings import list_openings
from .originals import drop_original
from .registry import RELEASED, TrackRow

BUNDLE_NAME = "bundle.json"
COPY_SUFFIX = ".copy"
"""Of the folders in incoming/ in which copies are made."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovery:
    """What `recover` did: ids of tracks that it finished, and of those that it removed."""

    finished: tuple[str, ...]
    removed: tuple[str, ...]


def name_asset(track_id: str) -> str:
    """Return the ledger's name for a track."""
    return f"track:{track_id}"


@contextlib.contextmanager
def hold_incoming(installation: Installation, track_id: str) -> Iterator[Path]:
    """Make and lock the folder of a track in progress; WriteError when it cannot be made."""
    folder = installation.settings.incoming / track_id
    lock = locate_lock(installation, track_id)
    try:
        descriptor = _open_lock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise WriteError(f"{lock}: cannot be made: {error.strerror}") from error
    try:
        try:
            folder.mkdir(mode=0o755)
        except OSError as error:
            raise WriteError(f"{folder}: cannot be made: {error.strerror}") from error
        yield folder
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def finish_release(installation: Installation, track: TrackRow) -> Path:
    """Steps 4 to 7, each of which may have been done before; return the folder of the released track."""
    settings = installation.settings
    incoming, final = settings.incoming / track.track_id, settings.tracks / track.track_id
    try:
        if incoming.is_dir():
            bundle = incoming / BUNDLE_NAME
            bundle.unlink(missing_ok=True)
            mark = installation.registry.get_mark_of(track.track_id)
            credits = installation.registry.list_credits(track.track_id)
            openings = () if mark is None else list_openings(track, mark, credits)
            write_synced(
                bundle, make_bundle(installation.store, name_asset(track.track_id), openings=openings)
            )
            bundle.chmod(0o600)  # it opens the commitments: the mark_id and the prompt
            sync_file(incoming)
            incoming.rename(final)
            sync_file(settings.tracks)
            sync_file(settings.incoming)
        elif not final.is_dir():
            raise WriteError(f"{final}: the track is in the ledger, but its files are gone")
    except OSError as error:
        raise WriteError(f"{final}: cannot be released: {error.strerror}") from error
    add_released(installation, track)
    if installation.objects is not None:
        installation.objects.put_track(track.track_id, final)
    installation.registry.release(track.track_id)
    return final


def abandon(installation: Installation, track_id: str) -> None:
    """Remove what is left of a track that never reached the ledger; one that is in it stays for `recover`.

    Called while another error is on its way, it raises none of its own: what cannot be removed now, `recover`
    removes.
    """
    try:
        if installation.store.head(name_asset(track_id)) is not None:
            return
        installation.registry.drop_pending(track_id)
        drop_original(installation.settings, track_id)
    except LedgerError:
        logger.exception("leftovers of track %s stay until the next start", track_id)
    else:
        shutil.rmtree(installation.settings.incoming / track_id, ignore_errors=True)


class Fate(Enum):
    """What became of a track that a crash may have left half-way."""

    HELD = "held"  # somebody is making it right now
    FINISHED = "finished"  # it was logged; it is released now
    STUCK = "stuck"  # it was logged, and cannot be released
    REMOVED = "removed"  # it never reached the ledger, and what was left of it is gone
    ABSENT = "absent"  # there was nothing


def recover_track(installation: Installation, track_id: str) -> Fate:
    """Finish or remove what a crash left of one track; one that is released already is FINISHED."""
    with try_lock(locate_lock(installation, track_id)) as free:
        if not free:
            return Fate.HELD
        # Read under the lock: the process that held it may have just finished.
        track = installation.registry.find_track(track_id)
        if track is not None and track.state == RELEASED:
            return Fate.FINISHED
        if track is not None and installation.store.head(name_asset(track_id)) is not None:
            try:
                finish_release(installation, track)
            except WriteError:
                logger.exception("track %s cannot be finished", track_id)
                return Fate.STUCK
            return Fate.FINISHED
        if track is None and not (installation.settings.incoming / track_id).is_dir():
            return Fate.ABSENT
        abandon(installation, track_id)
        return Fate.REMOVED


def recover(installation: Installation) -> Recovery:
    """Finish or remove what a crash left; called before new work by every program that writes."""
    known = {track.track_id for track in installation.registry.list_pending()}
    folders = {
        path.name
        for path in installation.settings.incoming.iterdir()
        if path.is_dir() and not path.name.endswith(COPY_SUFFIX)  # those are `api.deliveries`' to recover
    }
    fates = {track_id: recover_track(installation, track_id) for track_id in sorted(known | folders)}
    return Recovery(
        tuple(track_id for track_id, fate in fates.items() if fate is Fate.FINISHED),
        tuple(track_id for track_id, fate in fates.items() if fate is Fate.REMOVED),
    )


def locate_lock(installation: Installation, track_id: str) -> Path:
    """Return the lock of the folder of that name in incoming/."""
    return installation.settings.incoming / f"{track_id}.lock"


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Take a lock for a while, unless somebody holds it: gives whether it was taken."""
    try:
        descriptor = _open_lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _open_lock(path: Path, operation: int) -> int:
    """Open and lock a file that its holder removes before it lets go; BlockingIOError where it may not wait.

    Between opening and locking the holder may have gone: the lock is then that of a file without a name,
    which keeps nobody out, and is taken anew.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, operation)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
