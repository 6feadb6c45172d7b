"""The catalogue: fingerprints of all known recordings on disk, and the index that finds them.

    provenote-ledger/
    |- tracks/<track id>/fingerprint.bin     of a registered track; its digest is in the signed entry
    `- catalogue/
       |- recordings/<number>.bin            of a recording that was added for comparison only
       |- segments/<name>.seg                immutable, memory-mapped files of the index
       `- lock                               held while the index is changed

Order of writes when a recording is added: its fingerprint's file, its row (which gives it its number), a
segment of its own, the row of that segment. A crash before the last leaves a recording without a segment,
which the next change of the index finishes. Small segments are merged as they grow in number: MERGED of about
one size and kind become one. What kind is written is a setting; segments of both kinds are searched side by
side, and `rebuild` makes all of one. A reader that meets a segment which was merged away meanwhile reads the
list anew.

What the files of the index say is never believed alone: a match counts only after the clip was held against
the sketch in the recording's own file, and that file must have the digest that its row names.
"""

import contextlib
import fcntl
import hashlib
import math
import mmap
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from watermark.identity.extraction import Query
from watermark.identity.fingerprint_format import (
    FingerprintError,
    format_fingerprint,
    parse_fingerprint,
)
from watermark.identity.outcome import Fingerprint, Identification, Sketch
from watermark.identity.profile import PROFILE
from watermark.identity.search import Index, identify
from watermark.identity.segment import (
    HEAD_BYTES,
    Segment,
    SegmentError,
    build_segment,
    format_segment,
    merge_segments,
    parse_kind,
    parse_segment,
)

from .audiofile import sync_file, write_synced
from .errors import LedgerFolderError, MissingError, WriteError
from .fingerprints import FingerprintRow, Fingerprints, SegmentRow
from .marking import Progress, report_nothing
from .settings import Settings

FINGERPRINT_NAME = "fingerprint.bin"
# So many segments of about one size (within a factor of as much) are merged into one.
MERGED = 8
KEPT_SKETCHES = 256
ANEW = "`provenote fingerprint rebuild` makes the index anew"
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
        return identify(query, Index(tuple(self._open_segments()), self._find_sketch))

    def find_row(self, number: int) -> FingerprintRow | None:
        """Return what a number of a match stands for; None where it was removed meanwhile."""
        return self.rows.find(number)

    def sketch_of_track(self, track_id: str) -> Sketch | None:
        """Return the sketch of a registered track; None where it was stamped before there were any."""
        row = self.rows.find_track(track_id)
        return None if row is None or row.number is None else self._sketch(row.number)

    def rebuild(self, progress: Progress = report_nothing) -> int:
        """Build the index anew from the fingerprints' files; return how many recordings it holds."""
        with self.hold():
            old = [segment.name for segment in self.rows.list_segments()]
            self.rows.drop_segments()
            total, done = max(1, self.rows.count()), 0
            while rows := self.rows.list_loose(limit=MERGED**2):
                self._write_segment(rows)
                done += len(rows)
                progress("index", min(1.0, done / total))
            self._merge()
            self._drop_files(old)
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
            path = self._segment_path(segment.name)
            try:
                found = hashlib.sha256(path.read_bytes()).hexdigest()
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

    def _find_sketch(self, number: int) -> Sketch | None:
        return self._sketch(number)

    def _open_segments(self) -> Iterator[Segment]:
        """Yield the segments in use, mapped; the list is read anew where one was merged away meanwhile."""
        for attempt in range(RETRIES):
            names = [segment.name for segment in self.rows.list_segments()]
            try:
                opened = {name: self._opened.get(name) or self._open_segment(name) for name in names}
            except FileNotFoundError as error:
                if attempt == RETRIES - 1:
                    raise LedgerFolderError(f"{error.filename}: missing; {ANEW}") from error
                continue
            self._opened = opened
            yield from opened.values()
            return

    def _open_segment(self, name: str) -> Segment:
        path = self._segment_path(name)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise LedgerFolderError(f"{path}: empty; {ANEW}")
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        try:
            return parse_segment(memoryview(mapped))
        except SegmentError as error:
            raise LedgerFolderError(f"{path}: {error}; {ANEW}") from error

    def _read_kind(self, name: str) -> str:
        path = self._segment_path(name)
        try:
            with path.open("rb") as file:
                return parse_kind(file.read(HEAD_BYTES)).name
        except (OSError, SegmentError) as error:
            raise LedgerFolderError(f"{path}: {error}; {ANEW}") from error

    def _segment_path(self, name: str) -> Path:
        return self._folder / "segments" / f"{name}.seg"

    def _index_loose(self) -> None:
        while rows := self.rows.list_loose(limit=MERGED**2):
            self._write_segment(rows)
        self._merge()

    def _write_segment(self, rows: list[FingerprintRow]) -> None:
        recordings = {row.number or 0: self._read_fingerprint(row).landmarks for row in rows}
        self._put(build_segment(recordings, self._kind), sorted(recordings), [])

    def _merge(self) -> None:
        """Merge MERGED segments of one kind and about one size until there are fewer of each size."""
        kinds: dict[str, str] = {}
        while True:
            tiers: dict[tuple[str, int], list[SegmentRow]] = {}
            for segment in self.rows.list_segments():
                if segment.name not in kinds:
                    kinds[segment.name] = self._read_kind(segment.name)
                tier = int(math.log(max(segment.recordings, 1), MERGED) + 1e-9)
                tiers.setdefault((kinds[segment.name], tier), []).append(segment)
            full = next((tiers[tier] for tier in sorted(tiers) if len(tiers[tier]) >= MERGED), None)
            if full is None:
                return
            names = [segment.name for segment in full]
            rows = self.rows.list_segment(names)
            numbers = [row.number for row in rows if row.number is not None]
            opened = [self._open_segment(name) for name in names]
            gone = frozenset(int(n) for segment in opened for n in segment.tracks) - frozenset(numbers)
            self._put(merge_segments(opened, without=gone), numbers, names)
            self._drop_files(names)

    def _put(self, segment: Segment, numbers: list[int], replaced: list[str]) -> None:
        data = b"".join(format_segment(segment))
        digest = hashlib.sha256(data).hexdigest()
        name = f"{numbers[0] if numbers else 0:010d}-{digest[:16]}"
        path = self._segment_path(name)
        path.unlink(missing_ok=True)  # left by a crash before its row was written
        write_synced(path, data)
        sync_file(path.parent)
        self.rows.put_segment(
            SegmentRow(name=name, sha256=digest, recordings=len(numbers)), numbers, replaced
        )

    def _drop_files(self, names: list[str]) -> None:
        for name in names:
            self._segment_path(name).unlink(missing_ok=True)

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
