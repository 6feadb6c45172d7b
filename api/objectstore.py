"""Released files in an object store as well, by an fsspec URL such as `s3://bucket/prefix`.

    PREFIX/tracks/<track id>/track.flac, score.abc, score.mid ...

What is in tracks/<track id>/ is put there when a track is released, but for what opens commitments
(bundle.json) and the fingerprint. The ledger folder stays the place where tracks are made; once a track is
released its audio may be removed from there, and is then read from the store, its digest checked.

Every kind of store has errors of its own, so all of them are caught where it is asked.

The store is not trusted: what comes from it must be the file that was registered.
"""

import hashlib
from pathlib import Path
from typing import Any

from .errors import SettingsError, SourceError, WriteError
from .settings import Settings

LEFT_OUT = frozenset({"bundle.json", "fingerprint.bin"})
CHUNK_BYTES = 1 << 20


class ObjectStore:
    """The store of one installation; nothing is opened before the first use."""

    def __init__(self, url: str) -> None:
        """Name the store; SettingsError where fsspec, or what it needs for this kind of URL, is missing."""
        try:
            import fsspec  # an extra

            self._files: Any
            self._files, prefix = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"PROVENOTE_OBJECTS: cannot be used (extra `objects`): {error}") from error
        self._prefix = prefix.rstrip("/")

    def put_track(self, track_id: str, folder: Path) -> None:
        """Put the files of a released track; doing it again changes nothing.

        Raises
        ------
        WriteError
            The store does not take them.
        """
        try:
            self._files.makedirs(f"{self._prefix}/tracks/{track_id}", exist_ok=True)
            for path in sorted(folder.iterdir()):
                if path.is_file() and path.name not in LEFT_OUT and not path.name.startswith("."):
                    self._files.put_file(str(path), self._name(track_id, path.name))
        except Exception as error:
            raise WriteError(f"the object store does not take track {track_id}: {error}") from error

    def fetch(self, track_id: str, name: str, target: Path, *, sha256: str | None) -> None:
        """Copy a file of a track into a new local one.

        Raises
        ------
        SourceError
            It is not there, cannot be read, or is not the file with that digest.
        """
        digest = hashlib.sha256()
        try:
            with self._files.open(self._name(track_id, name), "rb") as reader, target.open("xb") as writer:
                while chunk := reader.read(CHUNK_BYTES):
                    digest.update(chunk)
                    writer.write(chunk)
        except Exception as error:
            target.unlink(missing_ok=True)
            raise SourceError(
                f"the object store does not give {name} of track {track_id}: {error}"
            ) from error
        if sha256 is not None and digest.hexdigest() != sha256:
            target.unlink(missing_ok=True)
            raise SourceError(f"the object store has another file than the registered {name} of {track_id}")

    def _name(self, track_id: str, name: str) -> str:
        return f"{self._prefix}/tracks/{track_id}/{name}"


def open_objects(settings: Settings) -> ObjectStore | None:
    """Return the object store of the settings, or None where there is none."""
    return None if settings.objects_url is None else ObjectStore(settings.objects_url)
