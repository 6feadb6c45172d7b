"""Erasing what the registry holds of a track beyond the public record: its prompt, title and artist.

The ledger only ever had salted commitments to them. Order: the registry forgets values and salts, and the
database's pages and write-ahead log are overwritten; the track's bundle is made anew without them; then the
ledger says that they were erased: a log that says so never lies. After a crash in between, a call goes on.

What was given away before (released files with their tags, bundles with openings) is not in our hands.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update
from sqlmodel import col

import ledger
from ledger import Draft, make_bundle
from ledger.database import open_database
from ledger.envelope import parse_envelope
from ledger.event import asset_subject, parse_commitments
from ledger.predicate import ERASED

from .audiofile import write_synced
from .errors import WriteError
from .fingerprints import FingerprintRow
from .installation import Installation, now
from .jobtable import JobRow
from .openings import list_openings
from .recording import Erasure
from .registry import CreditRow, TrackRow
from .release import BUNDLE_NAME, name_asset

LABELS = frozenset({"prompt", "title", "artist"})
"""Commitments that the registry alone can open, and that may be about a person."""
ERASED_TITLE = "(erased)"


def erase_track(installation: Installation, track_id: str, ground: str) -> Erasure:
    """Forget a track's prompt, title and artist, and log it; its marks, files and history stay.

    Parameters
    ----------
    installation
        The ledger folder.
    track_id
        A released track.
    ground
        Why, as a code such as `gdpr-17`.

    Raises
    ------
    MissingError
        No such track.
    WriteError, ledger.LedgerError
        The bundle cannot be replaced, or the ledger does not take the event; call again.
    """
    installation.registry.get_released(track_id)
    values = _forget(installation.settings.database_url, track_id)
    _renew_bundle(installation, track_id)
    asset = name_asset(track_id)
    named = _find_labels(installation.store.chain(asset))
    if not named:
        return Erasure(values, ())
    facts: dict[str, Any] = {
        "time": now(),
        "ground": ground,
        "erased": [{"n": n, "label": label} for n, label in named],
    }
    signers = [installation.keyring.issuer_signing_key]

    def build(place: ledger.Place) -> bytes:
        return ledger.sign_envelope(ledger.build_event(ERASED, place, [asset_subject(asset)], facts), signers)

    log_key = installation.keyring.log_signing_key
    receipts = installation.store.append([Draft(asset, build)], log_signing_key=log_key)
    return Erasure(values, tuple(receipts))


def _forget(url: str, track_id: str) -> int:
    """Clear the registry's columns and rows, overwrite where they stood; return how many values it had."""
    database = open_database(url)
    try:
        with database.translate_errors(), database.engine.connect() as connection:
            if database.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA secure_delete = ON")
            of_track = col(TrackRow.track_id) == track_id
            prompt, title = connection.execute(
                select(col(TrackRow.prompt), col(TrackRow.title)).where(of_track)
            ).one()
            credits = connection.execute(
                delete(CreditRow).where(col(CreditRow.track_id) == track_id)
            ).rowcount
            cleared = {"prompt": None, "prompt_salt": None, "understood": None, "title": ERASED_TITLE}
            connection.execute(update(TrackRow).where(of_track).values(cleared))
            of_print = col(FingerprintRow.track_id) == track_id
            connection.execute(update(FingerprintRow).where(of_print).values(name=ERASED_TITLE))
            connection.execute(update(JobRow).where(col(JobRow.track_id) == track_id).values(request="{}"))
            connection.commit()
            if database.engine.dialect.name == "sqlite":
                connection.detach()  # outside a transaction
                raw: Any = connection.connection.dbapi_connection
                raw.execute("ROLLBACK") if raw.in_transaction else None
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        database.close()
    return credits + (prompt is not None) + (title != ERASED_TITLE)


def _renew_bundle(installation: Installation, track_id: str) -> None:
    """Put a bundle without the forgotten openings in the place of the track's."""
    registry = installation.registry
    track, mark = registry.get_released(track_id), registry.get_mark_of(track_id)
    openings = () if mark is None else list_openings(track, mark, registry.list_credits(track_id))
    folder = installation.settings.tracks / track_id
    if not folder.is_dir():
        return
    fresh = folder / f".{BUNDLE_NAME}.new"
    fresh.unlink(missing_ok=True)
    write_synced(fresh, make_bundle(installation.store, name_asset(track_id), openings=openings))
    fresh.chmod(0o600)
    _replace(fresh, folder / BUNDLE_NAME)


def _replace(fresh: Path, path: Path) -> None:
    """Overwrite a file before another takes its name."""
    try:
        if path.exists():
            with path.open("r+b") as file:
                file.write(b"\0" * path.stat().st_size)
                file.flush()
        fresh.replace(path)
    except OSError as error:
        raise WriteError(f"{path}: cannot be replaced: {error.strerror}") from error


def _find_labels(chain: list[tuple[int, bytes]]) -> list[tuple[int, str]]:
    """Return event number and label of the commitments of the registry's, without those erased before."""
    found: list[tuple[int, str]] = []
    for n, (_, entry) in enumerate(chain):
        statement = ledger.parse_statement(parse_envelope(entry).unverified_payload)
        found += [(n, label) for label in parse_commitments(statement) if label in LABELS]
        if statement.predicate_type == ERASED:
            gone = {(item["n"], item["label"]) for item in statement.predicate["erased"]}
            found = [item for item in found if item not in gone]
    return found
