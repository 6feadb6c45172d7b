"""Credentials for files that were made of a released track: an MP3 for a shop, an M4A for a phone.

    file -> is it the track, by its own sound? -> credential with the released file as parent -> signed event

The released file's own credential is kept in it as the parent's. Nothing is signed that does not verify as
the track with a good verdict, except on the operator's own word, for containers that cannot be decoded here.
The entry comes before the file: a crash in between leaves a logged credential that nobody ever saw.
"""

import datetime
import importlib.metadata
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import watermark

from .audiofile import sync_file, write_synced
from .credentialkeys import open_signer
from .credentialmanifest import build_manifest, draw_manifest_id
from .credentials import EMBEDDED, Credential, Ingredient, sign_file
from .custody import check_custody
from .disclosing import disclose_event, find_registration
from .errors import RefusedError, WriteError
from .installation import Installation
from .labels import read_labels
from .recording import record_event
from .release import name_asset
from .verification import verify


@dataclass(frozen=True)
class Signed:
    """A file with a credential that is in the ledger; `sidecar` is where the credential stands apart."""

    audio: Path
    sidecar: Path | None
    credential: Credential
    entry_index: int


def sign_derived(
    installation: Installation, track_id: str, source: Path, destination: Path, *, unchecked: bool = False
) -> Signed:
    """Write a copy of a file with a credential that says which track it was made of.

    Parameters
    ----------
    destination
        A new file; where the container has no place for a credential, it gets a sidecar of the same name
        with `.c2pa` behind it.
    unchecked
        Sign without looking whether the file is the track.

    Raises
    ------
    RefusedError
        The file does not verify as the track, or the track's record does not hold; a file is in the way.
    MissingError, AudioRefusedError, CredentialError, WriteError, ledger.LedgerError
        Nothing was written; the last may leave a signed event in the ledger.
    """
    track = installation.registry.get_released(track_id)
    custody = check_custody(installation.store, installation.public, name_asset(track_id))
    event = find_registration(custody.events)
    if custody.evidence.fault is not None or event is None or custody.evidence.status == "revoked":
        raise RefusedError(f"the record of track {track_id} does not hold, or was revoked")
    if not unchecked:
        _check_is_track(installation, track_id, source)
    found = read_labels(source, installation.settings.limits)
    embedded = found.container in EMBEDDED
    sidecar = None if embedded else destination.with_name(f"{destination.name}.c2pa")
    for path in filter(None, (destination, sidecar)):
        if os.path.lexists(path):
            raise RefusedError(f"{path}: exists already")
    disclosure = disclose_event(installation, track_id, event)
    commitment = event.statement.predicate["commitments"]["mark_id"]
    manifest = build_manifest(
        disclosure,
        manifest_id=draw_manifest_id(),
        program_version=importlib.metadata.version("provenote"),
        profile=str(event.statement.predicate["mark"].get("profile", watermark.PROFILE.name)),
        mark_commitment=bytes.fromhex(commitment),
        log_key=installation.public.vkey,
        created=False,
        derived=True,
    )
    temporary = destination.with_name(f".{destination.name}.part")
    parent = installation.settings.tracks / track_id / track.audio_name
    try:
        shutil.copyfile(source, temporary)
        credential = sign_file(
            temporary,
            found.container,
            manifest,
            open_signer(installation.settings, disclosure.provider, now=datetime.datetime.now(datetime.UTC)),
            ingredient=Ingredient(parent, track.container),
            authorities=installation.authorities,
        )
        receipt = record_event(
            installation,
            track_id,
            "signed",
            {"credential": {"id": credential.manifest_id, "sha256": credential.sha256}},
        )
        if sidecar is not None:
            write_synced(sidecar, credential.store)
        sync_file(temporary)
        temporary.rename(destination)
    except OSError as error:
        raise WriteError(f"{destination}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return Signed(destination, sidecar, credential, receipt.index)


def _check_is_track(installation: Installation, track_id: str, source: Path) -> None:
    report = verify(installation, source)
    named = report.predicate["track"]
    if not report.verdict.good or named is None or named["track_id"] != track_id:
        raise RefusedError(
            f"{source.name} does not verify as track {track_id}: {report.verdict.code}; nothing is signed"
        )
