"""Thousands of registered tracks in a ledger within minutes: entries, rows, fingerprints and index, no audio.

What verifying an upload reads of a track is made as `api.issuing` makes it: a signed entry with its digests
and commitments, the registry's rows, the fingerprint's file, its row, and its place in the index. The sound
behind it is an altered copy of real music (`benchmarks.identity_material`), and there is no released file.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlmodel import Session

import ledger
import watermark
from api.catalogue import FINGERPRINT_NAME
from api.epochs import name_watermark_key
from api.fingerprints import FingerprintRow
from api.installation import Installation, now
from api.issuing import make_track_id
from api.openings import list_openings
from api.registry import RELEASED, MarkRow, TrackRow
from api.release import name_asset
from api.source import FINGERPRINT_SUBJECT
from benchmarks.identity_material import alter_fingerprint
from benchmarks.music import SAMPLE_RATE, Track, choose, load
from benchmarks.report import show_progress
from watermark.identity import Fingerprint, extract, format_fingerprint

ORIGINALS = 24
SECTION_S = 150.0
BATCH = 500


@dataclass(frozen=True)
class Registered:
    """The rows of one track, and its fingerprint's file."""

    track: TrackRow
    mark: MarkRow
    data: bytes


def register_synthetic(
    installation: Installation, count: int, music: Sequence[Track], *, cache: Path, seed: int
) -> None:
    """Register `count` tracks whose sound is altered copies of some music, and index them."""
    rng = np.random.default_rng([seed, 2])
    originals = [
        extract(load(track, cache, start_s=1.0, seconds=SECTION_S), sample_rate=SAMPLE_RATE)
        for track in show_progress(choose(music, ORIGINALS), total=ORIGINALS, what="fingerprints")
    ]
    batches = range(0, count, BATCH)
    for first in show_progress(batches, total=len(batches), what=f"{BATCH} tracks registered"):
        made = [
            _make_track(installation, originals[number % len(originals)], rng)
            for number in range(first, min(first + BATCH, count))
        ]
        _log(installation, made)
        _keep(installation, made)
    installation.catalogue.rebuild()


def _make_track(installation: Installation, original: Fingerprint, rng: np.random.Generator) -> Registered:
    found = alter_fingerprint(original, rng)
    data = format_fingerprint(found)
    digest = hashlib.sha256(data).hexdigest()
    track_id = make_track_id()
    track = TrackRow(
        track_id=track_id,
        state=RELEASED,
        origin="stamped",
        title=f"Synthetic {track_id}",
        created=now(),
        audio_name="track.flac",
        container="flac",
        sample_rate=SAMPLE_RATE,
        channels=2,
        samples=round(found.seconds * SAMPLE_RATE),
        file_sha256=hashlib.sha256(b"file" + data).hexdigest(),
        pcm_sha256=hashlib.sha256(b"pcm" + data).hexdigest(),
        source_pcm_sha256=digest,
    )
    mark = MarkRow(
        mark_id=secrets.token_hex(8),
        track_id=track_id,
        salt=secrets.token_bytes(32),
        profile=watermark.PROFILE.name,
        watermark_key_id=name_watermark_key(installation.keyring.watermark_key),
    )
    return Registered(track, mark, data)


def _log(installation: Installation, made: Sequence[Registered]) -> None:
    """Append a signed entry for each track."""
    issuer = installation.keyring.issuer_signing_key

    def draft(item: Registered) -> ledger.Draft:
        digests = {
            "file": item.track.file_sha256,
            "pcm": item.track.pcm_sha256,
            "source-pcm": item.track.source_pcm_sha256,
            FINGERPRINT_SUBJECT: hashlib.sha256(item.data).hexdigest(),
        }
        subjects = [ledger.Subject(name, bytes.fromhex(digest)) for name, digest in digests.items()]
        facts = {
            "time": item.track.created,
            "audio": {
                "container": item.track.container,
                "bits": 24,
                "sample_rate": item.track.sample_rate,
                "channels": item.track.channels,
                "samples": item.track.samples,
            },
            "mark": {"profile": item.mark.profile, "watermark_key": item.mark.watermark_key_id},
            "commitments": {
                opening.label: ledger.commit(opening.label, opening.salt, opening.value).hex()
                for opening in list_openings(item.track, item.mark, [])
            },
        }
        return ledger.Draft(
            name_asset(item.track.track_id),
            lambda place: ledger.sign_envelope(
                ledger.build_event(ledger.STAMPED, place, subjects, facts), [issuer]
            ),
        )

    installation.store.append(
        [draft(item) for item in made], log_signing_key=installation.keyring.log_signing_key
    )


def _keep(installation: Installation, made: Sequence[Registered]) -> None:
    """Write files and rows; every recording is loose until the index is built."""
    for item in made:
        folder = installation.settings.tracks / item.track.track_id
        folder.mkdir()
        (folder / FINGERPRINT_NAME).write_bytes(item.data)
    rows = [
        FingerprintRow(
            track_id=item.track.track_id,
            name=item.track.title,
            profile="fp1",
            milliseconds=round(1000 * item.track.samples / SAMPLE_RATE),
            sha256=hashlib.sha256(item.data).hexdigest(),
            pcm_sha256=item.track.pcm_sha256,
            created=item.track.created,
        )
        for item in made
    ]
    engine = installation.store.database.engine
    for some in ([item.track for item in made], [item.mark for item in made], rows):
        with Session(engine) as session:
            session.add_all(some)
            session.commit()
