"""Which C2PA manifest belongs to which soft binding, and the manifest itself, as it was released.

    soft binding (algorithm, value) --.
    manifest id ----------------------+-> entry of the ledger -> track -> manifest store in its released file

| algorithm | value of a soft binding |
| --- | --- |
| example.provenote.watermark.PROFILE | the salted commitment to the mark, as in entry and manifest |
| example.provenote.fingerprint.PROFILE | SHA-256 of the track's stored fingerprint, as in the entry |

The index is made of the ledger's entries and grows with them; it is a hint alone. What it leads to is
checked: the entry's signature, and that the store in the file has the SHA-256 that the entry states.
"""

import base64
import hashlib
import json
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutagen import MutagenError, id3

import ledger
from ledger.predicate import GENERATED, STAMPED
from watermark.identity.profile import FP1

from .credentialmanifest import ALGORITHM_BASE, name_algorithm
from .errors import MissingError
from .installation import Installation
from .passingfiles import name_passing
from .recognition import detection_profiles
from .registry import RELEASED
from .source import FINGERPRINT_SUBJECT

FINGERPRINT_ALGORITHM = f"example.provenote.fingerprint.{FP1.name}"
STORE_TYPES = ("application/c2pa", "application/x-c2pa-manifest-store")
MAX_STORE_BYTES, MAX_CHUNKS, BATCH = 64 << 20, 10_000, 500


@dataclass(frozen=True)
class ManifestPlace:
    """Where a manifest is stated: its id, the SHA-256 of its store, its track, the index of the entry."""

    manifest_id: str
    sha256: str
    track_id: str
    entry: int


class ManifestIndex:
    """Finds released manifests by id, by soft binding, by track."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._lock = threading.Lock()
        self._size = 0
        self._by_id: dict[str, ManifestPlace] = {}
        self._by_binding: dict[tuple[str, bytes], ManifestPlace] = {}
        self._by_track: dict[str, ManifestPlace] = {}

    def find(self, manifest_id: str) -> ManifestPlace:
        """Return a manifest by its id; MissingError where no released track was given it."""
        self._refresh()
        place = self._by_id.get(manifest_id)
        if place is None or not self._holds(place):
            raise MissingError(f"no manifest {manifest_id!r:.120}")
        return place

    def find_bound(self, algorithm: str, value: bytes) -> ManifestPlace | None:
        """Return the manifest with this soft binding, if there is one."""
        self._refresh()
        place = self._by_binding.get((algorithm, value))
        return place if place is not None and self._holds(place) else None

    def find_track(self, track_id: str) -> ManifestPlace | None:
        """Return the manifest that a track was released with, if it was."""
        self._refresh()
        place = self._by_track.get(track_id)
        return place if place is not None and self._holds(place) else None

    def _holds(self, place: ManifestPlace) -> bool:
        """Say whether the entry is signed by an issuer and the track released."""
        track = self._installation.registry.find_track(place.track_id)
        if track is None or track.state != RELEASED:
            return False
        try:
            ledger.open_envelope(
                self._installation.store.entry(place.entry), self._installation.public.issuers
            )
        except ledger.LedgerError:
            return False
        return True

    def _refresh(self) -> None:
        with self._lock:
            size = self._installation.store.state().size
            while self._size < size:
                entries = self._installation.store.entries(self._size, min(size, self._size + BATCH))
                if not entries:
                    return
                for number, entry in enumerate(entries, self._size):
                    self._take(number, entry)
                self._size += len(entries)

    def _take(self, number: int, entry: bytes) -> None:
        payload = base64.b64decode(json.loads(entry)["payload"])
        if b'"credential"' not in payload:
            return
        statement = json.loads(payload)
        predicate = statement["predicate"]
        if statement["predicateType"] not in (GENERATED, STAMPED) or "credential" not in predicate:
            return
        track_id = str(predicate["ledger"]["asset"]).removeprefix("track:")
        credential = predicate["credential"]
        place = ManifestPlace(credential["id"], credential["sha256"], track_id, number)
        self._by_id[place.manifest_id] = self._by_track[track_id] = place
        for algorithm, value in _list_bindings(statement):
            self._by_binding[algorithm, value] = place


def _list_bindings(statement: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    predicate = statement["predicate"]
    found = []
    commitment = predicate.get("commitments", {}).get("mark_id")
    if commitment is not None:
        found.append((name_algorithm(predicate["mark"]["profile"]), bytes.fromhex(commitment)))
    for subject in statement["subject"]:
        if subject["name"] == FINGERPRINT_SUBJECT:
            found.append((FINGERPRINT_ALGORITHM, bytes.fromhex(subject["digest"]["sha256"])))
    return found


def list_algorithms(installation: Installation) -> tuple[list[str], list[str]]:
    """Return the soft-binding algorithms that are resolved: of watermarks, of fingerprints."""
    profiles = sorted(profile.name for profile in detection_profiles(installation))
    return [name_algorithm(name) for name in profiles], [FINGERPRINT_ALGORITHM]


def is_watermark(algorithm: str) -> bool:
    """Say whether an algorithm is one of our watermarks."""
    return algorithm.startswith(f"{ALGORITHM_BASE}.")


def read_store(installation: Installation, place: ManifestPlace) -> bytes:
    """Return a manifest store out of the released file.

    Raises
    ------
    MissingError
        The file is gone, or what it holds is not what the entry states.
    """
    track = installation.registry.get_released(place.track_id)
    path = installation.settings.tracks / track.track_id / track.audio_name
    fetched = None
    try:
        if not path.is_file() and installation.objects is not None:
            path = fetched = name_passing(installation.settings)
            installation.objects.fetch(track.track_id, track.audio_name, path, sha256=track.file_sha256)
        store = _extract(path, track.container)
    except (OSError, MutagenError) as error:
        raise MissingError(f"the file of track {place.track_id} cannot be read: {error}") from error
    finally:
        if fetched is not None:
            fetched.unlink(missing_ok=True)
    if hashlib.sha256(store).hexdigest() != place.sha256:
        raise MissingError(f"the file of track {place.track_id} does not hold the manifest that was logged")
    return store


def select_manifest(store: bytes, manifest_id: str) -> bytes:
    """Return a store that holds one manifest of another store alone (ISO 19566-5 boxes).

    Raises
    ------
    MissingError
        It is not there.
    """
    boxes = _split(store, 8)
    for start, end in boxes[1:]:
        inner = _split(store, start + 8, end)
        # A description box: 16 bytes of type, one of toggles, the label and a zero.
        label = store[inner[0][0] + 25 : inner[0][1]].split(b"\0")[0]
        if label == manifest_id.encode():
            content = store[boxes[0][0] : boxes[0][1]] + store[start:end]
            return struct.pack(">I", 8 + len(content)) + b"jumb" + content
    raise MissingError(f"no manifest {manifest_id!r:.120} in its store")


def _split(data: bytes, start: int, end: int | None = None) -> list[tuple[int, int]]:
    """Return the boxes that follow each other in a stretch."""
    found, limit = [], len(data) if end is None else end
    while start + 8 <= limit:
        (length,) = struct.unpack_from(">I", data, start)
        if length < 8 or start + length > limit:
            raise MissingError("the manifest store is not made of boxes")
        found.append((start, start + length))
        start += length
    return found


def _extract(path: Path, container: str) -> bytes:
    """Return the manifest store in a file of ours, b"" where there is none."""
    with path.open("rb") as file:
        if container == "flac":
            for frame in id3.ID3(file).getall("GEOB"):
                if frame.mime in STORE_TYPES:
                    return bytes(frame.data)
            return b""
        position = 12
        for _ in range(MAX_CHUNKS):
            file.seek(position)
            head = file.read(8)
            if len(head) < 8:
                break
            name, size = struct.unpack("<4sI", head)
            if name == b"C2PA" and size <= MAX_STORE_BYTES:
                return file.read(size)
            position += 8 + size + size % 2
    return b""
