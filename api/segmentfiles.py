"""Files of the index: segments that are written once, mapped into memory, and removed when they are merged.

catalogue/segments/<number>-<digest>.seg    in use if the database says so
catalogue/merging.lock                      held while a large merge is written
catalogue/merging.part                      what it has written so far; a crash leaves it to the next one
"""

import contextlib
import fcntl
import hashlib
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from watermark.identity.merging import Merge
from watermark.identity.segment import (
    PAGE_POSTINGS,
    Segment,
    SegmentError,
    format_head,
    format_segment,
    parse_segment,
)

from .audiofile import hash_file, sync_file, write_synced
from .errors import LedgerFolderError, StoppedError, WriteError
from .fingerprints import SegmentRow
from .indexmerging import SMALL_BYTES

ANEW = "`provenote fingerprint rebuild` makes the index anew"
SUFFIX = ".seg"


class SegmentFiles:
    """The files below a catalogue's folder.

    Raises (every method)
    ---------------------
    WriteError
        A file cannot be written.
    LedgerFolderError
        A file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._catalogue = folder
        self._folder = folder / "segments"

    def make_folder(self) -> None:
        """Make the folder where it is missing."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{self._folder}: cannot be made: {error.strerror}") from error

    def locate(self, name: str) -> Path:
        """Return where the segment of a name lies."""
        return self._folder / f"{name}{SUFFIX}"

    def open(self, name: str, *, whole: bool = False) -> Segment:
        """Map a segment into memory; FileNotFoundError where it was merged away meanwhile.

        `whole` says that it will be read from the first posting to the last, not here and there.
        """
        path = self.locate(name)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise LedgerFolderError(f"{path}: empty; {ANEW}")
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        # Look-ups in what may be larger than memory read single pages: reading ahead would push others out.
        if whole:
            mapped.madvise(mmap.MADV_SEQUENTIAL)
        elif size > SMALL_BYTES:
            mapped.madvise(mmap.MADV_RANDOM)
        try:
            return parse_segment(memoryview(mapped))
        except SegmentError as error:
            raise LedgerFolderError(f"{path}: {error}; {ANEW}") from error

    def write(self, segment: Segment) -> SegmentRow:
        """Write a segment that is in memory; return its row. The catalogue's lock must be held."""
        data = b"".join(format_segment(segment))
        row = _make_row(segment, hashlib.sha256(data).hexdigest())
        part = self._catalogue / "adding.part"
        part.unlink(missing_ok=True)  # left by a crash
        write_synced(part, data)
        self._put(part, row)
        return row

    def write_merge(self, merge: Merge, go_on: Callable[[float], bool]) -> SegmentRow:
        """Write what a merge makes, piece by piece; return its row.

        `go_on` hears how much is done, 0 to 1, and may say False: then StoppedError, and nothing is left.
        """
        part = self._catalogue / "merging.part"
        try:
            self._write_pieces(part, merge, go_on)
            row = _make_row(merge.empty, hash_file(part))
            self._put(part, row)
        except OSError as error:
            raise WriteError(f"{part}: cannot be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        return row

    def drop(self, names: Iterable[str]) -> None:
        """Remove segments that are in use no more; who has them open keeps them."""
        for name in names:
            self.locate(name).unlink(missing_ok=True)

    def drop_others(self, names: Iterable[str]) -> None:
        """Remove segments that are not among the names: a crash left them."""
        known = set(names)
        self.drop(path.stem for path in self._folder.glob(f"*{SUFFIX}") if path.stem not in known)

    @contextlib.contextmanager
    def hold_merging(self, *, wait: bool) -> Iterator[bool]:
        """Be the one who writes large merges; False, without waiting, where somebody else is."""
        path = self._catalogue / "merging.lock"
        with contextlib.ExitStack() as stack:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                mine = True
            except BlockingIOError:
                mine = False
            except OSError as error:
                raise WriteError(f"{path}: cannot be locked: {error.strerror}") from error
            yield mine

    def _put(self, part: Path, row: SegmentRow) -> None:
        try:
            part.replace(self.locate(row.name))
            sync_file(self._folder)
        except OSError as error:
            raise WriteError(f"{self.locate(row.name)}: cannot be written: {error.strerror}") from error

    def _write_pieces(self, path: Path, merge: Merge, go_on: Callable[[float], bool]) -> None:
        total = merge.count_postings()
        fences = np.zeros(-(-total // PAGE_POSTINGS), np.uint64)
        # The head says how many postings follow, and which; only their fences are known last.
        whole = replace(merge.empty, fences=fences, postings=np.broadcast_to(np.uint64(0), (total,)))
        written = 0
        with path.open("wb") as file:
            file.seek(len(format_head(whole)))
            for postings in merge.make_postings():
                at = np.arange(-(-written // PAGE_POSTINGS), -(-(written + postings.size) // PAGE_POSTINGS))
                fences[at] = postings[at * PAGE_POSTINGS - written]
                file.write(postings.astype("<u8", copy=False).data)
                written += postings.size
                if not go_on(written / max(total, 1)):
                    raise StoppedError("the merge was cancelled; the index is as it was")
            file.seek(0)
            file.write(format_head(whole))
            file.flush()
            os.fsync(file.fileno())


def _make_row(segment: Segment, digest: str) -> SegmentRow:
    first = int(segment.tracks.min()) if segment.tracks.size else 0
    return SegmentRow(name=f"{first:010d}-{digest[:16]}", sha256=digest, recordings=segment.tracks.size)
