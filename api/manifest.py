"""The signed manifest of a screened data set: a file of rows, and a statement about it.

    files.jsonl      one RFC 8785 JSON object to a line, in the order of the paths' bytes
    manifest.json    DSSE envelope over an in-toto statement about files.jsonl

A row:

    {"bytes":7654321,"class":"stamped","duplicate_of":null,"milliseconds":184000,"path":"a/b.mp3",
     "pcm_sha256":"...","reasons":["mark-found","..."],"sha256":"...","track_id":"k3t5mz7qa2xw4hbn",
     "verdict":"re-encoded", ...}

The statement's subject is files.jsonl; its predicate has the number of rows, of each class, and the RFC 6962
root over the rows, so that single rows can be proven without showing the others. That of an audit also counts
verdicts and origins, and has a subject for each other form of the rows that lies beside (CSV, page ...).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ledger
from ledger.canonical import format_json, parse_object
from ledger.envelope import MAX_ENTRY_BYTES
from ledger.errors import FormatError, LedgerError
from ledger.merkle import leaf_hash, root
from ledger.predicate import PREDICATE_BASE

from .audiofile import hash_file, sync_file, write_synced
from .errors import ManifestError
from .origin import ORIGINS

SCREENING_TYPE, AUDIT_TYPE = PREDICATE_BASE + "screening/v1", PREDICATE_BASE + "audit/v1"
ROWS_NAME, MANIFEST_NAME = "files.jsonl", "manifest.json"
STAMPED, KNOWN, DUPLICATE, UNKNOWN, UNREADABLE, SKIPPED = (
    "stamped",
    "known",
    "duplicate",
    "unknown",
    "unreadable",
    "skipped",
)
CLASSES = (STAMPED, KNOWN, DUPLICATE, UNKNOWN, UNREADABLE, SKIPPED)
MAX_ROW_BYTES = 100_000
NO_FORMS: Mapping[str, bytes] = {}

Row = dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """A checked manifest: the predicate of its statement, and the rows."""

    predicate: Mapping[str, Any]
    rows: tuple[Row, ...]


def format_rows(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the lines of files.jsonl, without line feeds."""
    return (format_json(row) for row in rows)


def count_rows(rows: Iterable[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """Return the sums over rows that a manifest of this kind states."""
    listed = list(rows)
    classes = Counter(row.get("class") for row in listed)
    sums: dict[str, Any] = {"classes": {name: classes[name] for name in CLASSES}}
    if kind == AUDIT_TYPE:
        verdicts = Counter(str(row["verdict"]) for row in listed if row.get("verdict") is not None)
        origins = Counter(row.get("machine_made") for row in listed if row.get("verdict") is not None)
        sums["verdicts"] = {name: verdicts[name] for name in sorted(verdicts)}
        sums["machine_made"] = {name: origins[name] for name in ORIGINS}
        sums["milliseconds"] = sum(row.get("milliseconds") or 0 for row in listed)
    return sums


def write_manifest(
    folder: Path,
    rows: Iterable[Row],
    facts: Mapping[str, Any],
    signing_key: ledger.SigningKey,
    *,
    kind: str = SCREENING_TYPE,
    forms: Mapping[str, bytes] = NO_FORMS,
) -> Mapping[str, Any]:
    """Write rows and signed statement into a folder; return the predicate. The statement comes last.

    Parameters
    ----------
    kind : the statement's type
    forms : other files that are written beside and signed with it, by name

    Raises
    ------
    WriteError
        A file cannot be written, or exists already.
    """
    lines = list(format_rows(rows))
    content = b"".join(line + b"\n" for line in lines)
    predicate = {
        **facts,
        "rows": len(lines),
        "root": root([leaf_hash(line) for line in lines]).hex(),
        **count_rows((json.loads(line) for line in lines), kind),
    }
    subjects = (
        ledger.Subject("files", hashlib.sha256(content).digest()),
        *(ledger.Subject(name, hashlib.sha256(form).digest()) for name, form in forms.items()),
    )
    payload = ledger.build_statement(kind, subjects, predicate)
    envelope = ledger.sign_envelope(payload, [signing_key])
    for name, form in forms.items():
        write_synced(folder / name, form)
    write_synced(folder / ROWS_NAME, content)
    write_synced(folder / MANIFEST_NAME, envelope)
    sync_file(folder)
    return predicate


def open_manifest(folder: Path, public_keys: Iterable[ledger.PublicKey]) -> Manifest:
    """Check a manifest's signature and that its rows are those that were signed.

    Raises
    ------
    ManifestError
        Signed by none of the keys, of another kind, or the rows are not those of the statement.
    OSError
        A file cannot be read.
    """
    envelope, content = _read(folder / MANIFEST_NAME, MAX_ENTRY_BYTES), (folder / ROWS_NAME).read_bytes()
    try:
        opened = ledger.open_envelope(envelope, tuple(public_keys))
        statement = ledger.parse_statement(opened.payload)
    except LedgerError as error:
        raise ManifestError(f"{folder / MANIFEST_NAME}: {error}") from error
    kind = statement.predicate_type
    if kind not in (SCREENING_TYPE, AUDIT_TYPE):
        raise ManifestError(f"expected a statement of type {SCREENING_TYPE} or {AUDIT_TYPE}, got {kind:.200}")
    digest = hashlib.sha256(content).digest()
    if [(item.name, item.sha256) for item in statement.subjects[:1]] != [("files", digest)]:
        raise ManifestError(f"{folder / ROWS_NAME}: not the rows that were signed")
    for item in statement.subjects[1:]:
        _check_form(folder, item)
    lines = content.split(b"\n")[:-1]
    try:
        rows = tuple(parse_object(line, max_bytes=MAX_ROW_BYTES) for line in lines)
    except FormatError as error:
        raise ManifestError(f"{folder / ROWS_NAME}: {error}") from error
    stated = statement.predicate
    sums = count_rows(rows, kind)
    if (
        stated.get("rows") != len(rows)
        or stated.get("root") != root([leaf_hash(line) for line in lines]).hex()
        or any(stated.get(name) != value for name, value in sums.items())
    ):
        raise ManifestError(f"{folder / MANIFEST_NAME}: its sums are not those of the rows")
    return Manifest(statement.predicate, rows)


def _check_form(folder: Path, subject: ledger.Subject) -> None:
    """Check a file that was signed with the rows; ManifestError where it is gone or changed."""
    path = folder / subject.name
    if path.name != subject.name or not path.is_file():
        raise ManifestError(f"{subject.name:.200}: signed with the rows, and not there")
    if hash_file(path) != subject.sha256.hex():
        raise ManifestError(f"{path}: not the file that was signed")


def _read(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ManifestError(f"{path}: expected at most {max_bytes} bytes")
    return content
