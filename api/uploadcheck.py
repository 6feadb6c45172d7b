"""Is an upload something that must stay down? And how a recording that is not ours gets on the list."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ledger

from . import casestates as cs
from .audiofile import hash_file
from .casehistory import read_case
from .cases import StayDownRow
from .casewriter import take_step
from .cataloguing import add_file
from .deskkey import open_desk_key
from .errors import RefusedError
from .evidence import Evidence
from .installation import Installation, now
from .marking import CancelCheck, Progress, never_cancelled, report_nothing
from .resemblance import select_resembling
from .staydown import find_listed
from .verification import collect

DIGEST, MARK, SOUND = "digest", "mark", "sound"


@dataclass(frozen=True)
class Recognised:
    """An entry of the stay-down list that an upload is, and what told it: digest, mark, sound."""

    entry: StayDownRow
    by: tuple[str, ...]


def check_upload(
    installation: Installation,
    path: Path,
    *,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> tuple[Recognised, ...]:
    """Return the entries of the stay-down list that an upload is; none is the answer "not listed".

    Raises
    ------
    AudioRefusedError, TooLargeError, StoppedError, OSError, ledger.StorageError
        As `verify`.
    """
    _, evidence = collect(installation, path, progress=progress, cancelled=cancelled)
    return recognise(installation, evidence)


def recognise(installation: Installation, evidence: Evidence) -> tuple[Recognised, ...]:
    """Return the entries of the stay-down list that evidence names."""
    content, mark = evidence.content, evidence.watermark
    matches = select_resembling(evidence.identity.matches, content.extent.seconds)
    told = {
        DIGEST: find_listed(
            installation, tracks=[content.track_id], digests=[content.file_sha256, content.pcm_sha256]
        ),
        MARK: find_listed(installation, tracks=[mark.track_id] if mark.found else []),
        SOUND: find_listed(
            installation,
            tracks=[item.track_id for item in matches],
            numbers=[item.number for item in matches if item.track_id is None],
        ),
    }
    entries = {row.entry_id: row for rows in told.values() for row in rows}
    return tuple(
        Recognised(
            row, tuple(name for name, rows in told.items() if entry_id in {item.entry_id for item in rows})
        )
        for entry_id, row in sorted(entries.items(), key=lambda item: item[0] or 0)
    )


def list_recording(
    installation: Installation, case_id: str, path: Path, *, progress: Progress = report_nothing
) -> int:
    """Put a recording that is not ours on the stay-down list of an upheld case; return its number.

    Its fingerprint goes into the catalogue, the file is not kept.

    Raises
    ------
    MissingError, CaseError
        No such case; or its notice is not upheld.
    RefusedError
        The recording is a track of this ledger: the case should be about that.
    AudioRefusedError, TooLargeError, OSError, ledger.LedgerError
        As `add_file`.
    """
    view = read_case(installation, case_id)
    cs.advance(view.state, cs.LISTED, {}, time=view.row.updated)
    _, evidence = collect(installation, path, progress=progress)
    known = evidence.content.track_id or evidence.watermark.track_id
    if known is not None:
        raise RefusedError(f"this is track {known} of this ledger: open a case about it")
    number, new, heard = add_file(installation, path, name=f"case {case_id}", progress=progress)
    digests = {"file": hash_file(path), "pcm": heard.pcm_sha256}
    row = StayDownRow(
        case_id=case_id,
        number=number,
        file_sha256=digests["file"],
        pcm_sha256=digests["pcm"],
        added=new,
        created=now(),
    )
    take_step(
        installation,
        case_id,
        cs.LISTED,
        {"recording": number},
        signing_keys=[open_desk_key(installation)],
        subjects=[ledger.Subject(name, bytes.fromhex(digest)) for name, digest in digests.items()],
        listed=[row],
    )
    return number


def describe_entry(row: StayDownRow) -> dict[str, Any]:
    """Return an entry of the stay-down list as JSON."""
    return {
        "entry_id": row.entry_id,
        "case_id": row.case_id,
        "track_id": row.track_id,
        "recording": row.number,
        "created": row.created,
    }
