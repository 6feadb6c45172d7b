"""The catalogue: fingerprints of all known recordings on disk, and the index that finds them.

    provenote-ledger/
    |- tracks/<track id>/fingerprint.bin     of a registered track; its digest is in the signed entry
    `- catalogue/
       |- recordings/<number>.bin            of a recording that was added for comparison only
       |- segments/<name>.seg                immutable, memory-mapped files of the index
       `- lock                               held while the index is changed

Order of writes when a recording is added: its fingerprint's file, its row (which gives it its number), a
segment with it and with small ones that are merged, the row of that segment. A crash before the last leaves a
recording without a segment, which the next change of the index finishes. `tidy` merges what is large without
keeping others from adding (`api.indexmerging`). What kind is written is a setting; segments of both kinds are
searched side by side, and `rebuild` makes all of one, while the old index is used on. A reader that meets a
segment which was merged away meanwhile reads the list anew.

What the files of the index say is never believed alone: a match counts only after the clip was held against
the sketch in the recording's own file, and that file must have the digest that its row names.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from watermark.identity.extraction import Query
from watermark.identity.fingerprint_format import (
    FingerprintError,
    format_fingerprint,
    parse_fingerprint,
)
from watermark.identity.merging import Merge, merge_segments, plan_merge
from watermark.identity.outcome import Fingerprint, Identification, Sketch
from watermark.identity.profile import PROFILE
from watermark.identity.search import Index, identify
from watermark.identity.segment import Segment, build_segment

from .audiofile import hash_file, sync_file, write_synced
from .errors import LedgerFolderError, MissingError, WriteError
from .fingerprints import FingerprintRow, Fingerprints, SegmentRow
from .indexmerging import HeldSegment, choose_segments
from .lookupthreads import get_workers
from .marking import CancelCheck, Progress, never_cancelled, report_nothing
from .segmentfiles import ANEW, SegmentFiles
from .settings import Settings

FINGERPRINT_NAME = "fingerprint.bin"
# So many recordings are indexed at a time where many are loose.
BATCH = 64
KEPT_SKETCHES = 256
RETRIES = 5


class Catalogue:
    """Fingerprints of one ledger folder; files of the index are opened as they come into use.

    Raises (every method)
    ---------------------
    ledger.StorageError, WriteError
        Database or files cannot be used.
    LedgerFolderError
        A file of the catalogue is missing or is not what its row says.
    """

    def __init__(self, settings: Settings) -> None:
        self.rows = Fingerprints(settings.database_url)
        self._tracks = settings.tracks
        self._folder = settings.catalogue
        self._files = SegmentFiles(settings.catalogue)
        self._kind = {kind.name: kind for kind in (PROFILE.rich, PROFILE.lean)}[settings.index]
        self._opened: dict[str, Segment] = {}
        self._sketch = lru_cache(maxsize=KEPT_SKETCHES)(self._read_sketch)

    def close(self) -> None:
        """Give up the connections and mapped files."""
        self._opened.clear()
        self.rows.close()

    def add_track(self, row: FingerprintRow) -> int:
        """Take a released track into the catalogue; its fingerprint's file must lie in its folder."""
        assert row.track_id is not None
        number = self.rows.add(row)
        with self.hold():
            self._index_loose()
        return number

    def add_recording(self, row: FingerprintRow, fingerprint: Fingerprint) -> tuple[int, bool]:
        """Take a recording into the catalogue that is only compared with; return its number, and False where
        its samples were there before.
        """
        assert row.track_id is None
        data = format_fingerprint(fingerprint)
        known = self.rows.find_recording(row.pcm_sha256)
        if known is not None and known.number is not None:
            return known.number, False
        with self.hold():
            # The file comes first, under its digest: a row always has one.
            path = self._folder / "recordings" / f"{row.sha256}.bin"
            if not path.exists():
                write_synced(path, data)
                sync_file(path.parent)
            number = self.rows.add(row)
            self._index_loose()
        return number, True

    def remove(self, number: int) -> FingerprintRow:
        """Forget a recording that was added for comparison; MissingError for another number."""
        row = self.rows.find(number)
        if row is None:
            raise MissingError(f"no recording {number} in the catalogue")
        if row.track_id is not None:
            raise MissingError(f"{number} is the registered track {row.track_id}: tracks are not removed")
        self.rows.remove(number)
        if self.rows.count_files(row.sha256) == 0:
            (self._folder / "recordings" / f"{row.sha256}.bin").unlink(missing_ok=True)
        self._sketch.cache_clear()
        return row

    def identify(self, query: Query) -> Identification:
        """Look for a clip among all recordings."""
        segments = tuple(item.segment for item in self._list_held())
        return identify(query, Index(segments, self._sketch, get_workers()))

    def find_row(self, number: int) -> FingerprintRow | None:
        """Return what a number of a match stands for; None where it was removed meanwhile."""
        return self.rows.find(number)

    def sketch_of_track(self, track_id: str) -> Sketch | None:
        """Return the sketch of a registered track; None where it was stamped before there were any."""
        row = self.rows.find_track(track_id)
        return None if row is None or row.number is None else self._sketch(row.number)

    def tidy(self, progress: Progress = report_nothing, cancelled: CancelCheck = never_cancelled) -> int:
        """Merge large segments as far as they should be; return how many merges were made.

        None is made where another process is at it. What is added or searched meanwhile waits for nothing.

        Raises
        ------
        StoppedError
            `cancelled()` returned True; the index is as it was after the last whole merge.
        """

        def go_on(fraction: float) -> bool:
            progress("merge", fraction)
            return not cancelled()

        merges = 0
        self._files.make_folder()
        with self._files.hold_merging(wait=False) as mine:
            if not mine:
                return 0
            with self.hold():
                self._files.drop_others(row.name for row in self.rows.list_segments())
            while group := choose_segments(self._list_held(), small=False):
                made = self._files.write_merge(self._plan(group), go_on)
                with self.hold():
                    self._replace([made], [], group)
                merges += 1
        return merges

    def rebuild(self, progress: Progress = report_nothing) -> int:
        """Build the index anew from the fingerprints' files; return how many recordings it holds.

        Until it is whole the old one is searched.
        """
        held: list[HeldSegment] = []
        done, last, total = 0, 0, max(1, self.rows.count())
        self._files.make_folder()
        with self._files.hold_merging(wait=True), self.hold():
            old = {row.name for row in self.rows.list_segments()}
            while rows := self.rows.list_rows(limit=BATCH, after=last):
                held.append(self._hold_file(self._files.write(self._build(rows))))
                while group := choose_segments(held, small=None):
                    made = self._hold_file(self._files.write_merge(self._plan(group), lambda _: True))
                    used = old | {made.name}
                    self._files.drop(item.name for item in group if item.name not in used)
                    held = [*(item for item in held if item not in group), made]
                done, last = done + len(rows), rows[-1].number or 0
                progress("index", min(1.0, done / total))
            self.rows.put_index([item.make_row() for item in held], last)
            self._files.drop_others(item.name for item in held)
        return done

    def check(self, progress: Progress = report_nothing) -> list[str]:
        """Return a plain line for each file of the catalogue that is missing or not what its row says."""
        faults, after, done, total = [], 0, 0, max(1, self.rows.count())
        while rows := self.rows.list_rows(limit=200, after=after):
            for row in rows:
                try:
                    self._read_fingerprint(row)
                except LedgerFolderError as error:
                    faults.append(str(error))
            after = rows[-1].number or 0
            done += len(rows)
            progress("check", min(1.0, done / total))
        for segment in self.rows.list_segments():
            path = self._files.locate(segment.name)
            try:
                found = hash_file(path)
            except OSError as error:
                faults.append(f"{path}: cannot be read: {error.strerror}")
                continue
            if found != segment.sha256:
                faults.append(f"{path}: expected SHA-256 {segment.sha256}, got {found}")
        return faults

    def _read_fingerprint(self, row: FingerprintRow) -> Fingerprint:
        if row.track_id is not None:
            path = self._tracks / row.track_id / FINGERPRINT_NAME
        else:
            path = self._folder / "recordings" / f"{row.sha256}.bin"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise LedgerFolderError(f"{path}: cannot be read: {error.strerror}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != row.sha256:
            raise LedgerFolderError(f"{path}: expected SHA-256 {row.sha256}, got {found}")
        try:
            return parse_fingerprint(data)
        except FingerprintError as error:
            raise LedgerFolderError(f"{path}: {error}") from error

    def _read_sketch(self, number: int) -> Sketch | None:
        row = self.rows.find(number)
        return None if row is None else self._read_fingerprint(row).sketch

    def _list_held(self) -> list[HeldSegment]:
        """Return the segments in use, mapped; the list is read anew where one was merged away meanwhile."""
        for attempt in range(RETRIES):
            rows = self.rows.list_segments()
            try:
                opened = {row.name: self._opened.get(row.name) or self._files.open(row.name) for row in rows}
            except FileNotFoundError as error:
                if attempt == RETRIES - 1:
                    break
                missing = error.filename
                continue
            self._opened = opened
            return [HeldSegment(row.name, row.sha256, row.recordings, opened[row.name]) for row in rows]
        raise LedgerFolderError(f"{missing}: missing; {ANEW}")

    def _hold_file(self, row: SegmentRow) -> HeldSegment:
        return HeldSegment(row.name, row.sha256, row.recordings, self._files.open(row.name))

    def _index_loose(self) -> None:
        """Put every loose recording into a segment, merged with others that are small."""
        while rows := self.rows.list_loose(limit=BATCH):
            before = [item for item in self._list_held() if item.small]
            held = [*before, HeldSegment("", "", len(rows), self._build(rows))]
            while group := choose_segments(held, small=True):
                merge = merge_segments([item.segment for item in group], without=self._find_gone(group))
                held = [*(item for item in held if item not in group), HeldSegment("", "", 0, merge)]
            made = [self._files.write(item.segment) for item in held if not item.name]
            numbers = [row.number for row in rows if row.number is not None]
            self._replace(made, numbers, [item for item in before if item not in held])

    def _replace(self, made: list[SegmentRow], numbers: list[int], replaced: list[HeldSegment]) -> None:
        # What is left when all else of a group was removed may be one of the group, byte for byte.
        kept = {row.name for row in made}
        names = [item.name for item in replaced]
        self.rows.put_segments(made, numbers, names)
        self._files.drop(name for name in names if name not in kept)

    def _build(self, rows: list[FingerprintRow]) -> Segment:
        recordings = {row.number or 0: self._read_fingerprint(row).landmarks for row in rows}
        return build_segment(recordings, self._kind)

    def _plan(self, group: list[HeldSegment]) -> Merge:
        """Say what becomes of segments in files, which are read from the first posting to the last."""
        segments = [self._files.open(item.name, whole=True) for item in group]
        return plan_merge(segments, without=self._find_gone(group))

    def _find_gone(self, group: list[HeldSegment]) -> frozenset[int]:
        """Return the numbers in segments that no recording has any more."""
        held = np.unique(np.concatenate([item.segment.tracks for item in group]))
        if not held.size:
            return frozenset()
        known = self.rows.list_numbers(int(held[0]), int(held[-1]))
        return frozenset(np.setdiff1d(held, np.array(known, np.int64), assume_unique=True).tolist())

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the catalogue's lock; the folders are made where they are missing."""
        try:
            for name in ("recordings", "segments"):
                (self._folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise WriteError(f"{self._folder}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
