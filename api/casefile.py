"""The case file: everything about a case in one archive that anybody checks offline (`casefilecheck`).

    case-m5q2zt7xk3wa4hbn.zip
    |- manifest.json          DSSE envelope of the issuer: this case, its status, the SHA-256 of files.jsonl
    |- files.jsonl            path, bytes and SHA-256 of every other file, in the order of the paths
    |- case.json              the case for reading: timeline, deadlines; what people wrote only where opened
    |- steps/0000.json ...    the signed steps, exact bytes
    |- reports/<sha256>.json  signed verification reports that steps name
    |- bundles/<track>.json   custody bundle of each track: the ledger's events, proven
    |- openings.json          only where opened: salt and value of each commitment that was not erased
    |- letters/<name>.txt     only where opened
    |- public-keys.json       of this ledger, as anybody can fetch them
    `- ledger-keys.json       every key that signed in the ledger: the signers of steps are among them

An archive that was opened and given away is out of reach of an erasure; one that is not holds nobody's data.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import ledger
from ledger import make_bundle
from ledger.canonical import format_json
from ledger.predicate import PREDICATE_BASE

from . import casestates as cs
from .casehistory import CaseView, describe_case, read_case
from .casewriter import take_step
from .collecting import collect_evidence
from .deadlines import LETTERS
from .deskkey import open_desk_key
from .errors import ConflictError
from .installation import Installation, now
from .keyring import format_public_keys
from .letters import write_letter
from .release import name_asset

CASE_FILE_TYPE = PREDICATE_BASE + "case-file/v1"
MANIFEST_NAME, FILES_NAME = "manifest.json", "files.jsonl"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""Of every member of the archive: the same case gives the same bytes."""


def freeze_case(installation: Installation, case_id: str, *, opened: bool = False) -> bytes:
    """Return the case file of a case, and record in the case that it was made.

    Parameters
    ----------
    installation
        The ledger folder.
    case_id
        The case.
    opened
        Also put in what people wrote, as far as it was not erased.

    Raises
    ------
    MissingError
        No such case.
    ledger.LedgerError
        What is stored does not hold, or the database cannot be used.
    """
    view = read_case(installation, case_id)
    files = dict(sorted(_gather(installation, view, opened=opened).items()))
    listing = b"".join(format_row(path, content) + b"\n" for path, content in files.items())
    digest = hashlib.sha256(listing)
    facts = {
        "case": case_id,
        "kind": view.state.kind,
        "status": view.state.status,
        "steps": len(view.steps),
        "opened": opened,
        "files": len(files),
        "time": now(),
    }
    payload = ledger.build_statement(CASE_FILE_TYPE, (ledger.Subject("files", digest.digest()),), facts)
    manifest = ledger.sign_envelope(payload, [installation.keyring.issuer_signing_key])
    take_step(
        installation,
        case_id,
        cs.FROZEN,
        {"files_sha256": digest.hexdigest(), "opened": opened},
        signing_keys=[open_desk_key(installation)],
    )
    return _pack({MANIFEST_NAME: manifest, FILES_NAME: listing, **files})


def format_row(path: str, content: bytes) -> bytes:
    """Return a line of files.jsonl without its line feed: canonical JSON."""
    row = {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return format_json(row)


def _gather(installation: Installation, view: CaseView, *, opened: bool) -> dict[str, bytes]:
    files = {f"steps/{step.n:04d}.json": step.envelope for step in view.steps}
    files |= {f"reports/{item.sha256}.json": item.content for item in view.documents}
    for track_id in view.state.tracks:
        asset = name_asset(track_id)
        evidence = collect_evidence(installation, asset)
        files[f"bundles/{track_id}.json"] = make_bundle(installation.store, asset, evidence=evidence)
    files["case.json"] = _format(describe_case(view, personal=opened))
    files["public-keys.json"] = _format(format_public_keys(installation.public))
    files["ledger-keys.json"] = _format({"keys": [key.jwk() for key in installation.store.public_keys()]})
    if opened:
        files["openings.json"] = format_json(
            {
                "openings": [
                    {"label": item.label, "salt": item.salt.hex(), "value": item.value}
                    for item in view.openings
                ]
            }
        )
        files |= _write_letters(view)
    return files


def _write_letters(view: CaseView) -> dict[str, bytes]:
    written = {}
    for letter in LETTERS:
        try:
            written[f"letters/{letter}.txt"] = write_letter(view, letter).encode("utf-8")
        except ConflictError:
            continue  # the case has come to nothing that it could say
    return written


def _format(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8") + b"\n"


def _pack(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            info = zipfile.ZipInfo(path, FIXED_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o600 << 16
            archive.writestr(info, content)
    return buffer.getvalue()
