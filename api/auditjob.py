"""An audit as a job: begun again it goes on where it was, cancelled it leaves nothing, done its files.

audits/<job id>/      journal while it is worked on; then manifest.json, files.jsonl, audit.csv ...
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ledger

from .auditing import FORMS, make_kind
from .auditsources import check_addresses, find_source
from .errors import ConflictError, MissingError
from .installation import Installation
from .jobtable import DONE, UNFINISHED, JobRow
from .manifest import MANIFEST_NAME, ROWS_NAME
from .marking import CancelCheck, Progress
from .screening import survey
from .settings import Settings

AUDIT = "audit"
FILES = (MANIFEST_NAME, ROWS_NAME, *(name for name, _ in FORMS.values()))
LISTING_SUFFIX = ".addresses"


def locate_audit(settings: Settings, job_id: str) -> Path:
    """Return the folder of an audit."""
    return settings.home / "audits" / job_id


def check_request(settings: Settings, source: str, addresses: tuple[str, ...], formats: list[str]) -> None:
    """Refuse what cannot be audited now, and not by a job that fails.

    Raises
    ------
    MissingError, RefusedError
        No such catalogue, or form; addresses where none are taken, or none where they are.
    """
    check_addresses(find_source(settings, source), addresses)
    make_kind(formats)


def carry_out(installation: Installation, job: JobRow, progress: Progress, cancelled: CancelCheck) -> None:
    """Do the audit of a job; errors as `screening.survey`."""
    settings, asked = installation.settings, json.loads(job.request)
    output = locate_audit(settings, job.job_id)
    if (output / MANIFEST_NAME).exists():
        return  # an attempt before this one had only not said so
    source = find_source(settings, asked["source"])
    output.parent.mkdir(mode=0o700, exist_ok=True)
    listing = output.with_suffix(LISTING_SUFFIX)
    listing.write_text("\n".join(asked["addresses"]) + "\n", encoding="utf-8")
    survey(
        installation,
        source.open(output, listing, settings),
        output,
        make_kind(asked["formats"]),
        workers=asked["workers"],
        progress=progress,
        cancelled=cancelled,
    )
    listing.unlink()


def drop_audit(settings: Settings, job_id: str) -> None:
    """Remove all files of an audit."""
    shutil.rmtree(locate_audit(settings, job_id), ignore_errors=True)
    locate_audit(settings, job_id).with_suffix(LISTING_SUFFIX).unlink(missing_ok=True)


def find_file(installation: Installation, job_id: str, name: str) -> Path:
    """Return a file of a finished audit.

    Raises
    ------
    ConflictError
        The audit has not ended, or ended without a result.
    MissingError
        There is no such audit or file, or it was removed.
    """
    job = get_audit(installation, job_id)
    if job.state != DONE:
        raise ConflictError(f"audit {job_id} is {job.state}")
    path = locate_audit(installation.settings, job_id) / name
    if name not in FILES or not path.is_file():
        raise MissingError(f"audit {job_id} has no {name!r:.80}")
    return path


def read_sums(installation: Installation, job_id: str) -> Mapping[str, Any]:
    """Return what an audit counted, as it was signed, its signature checked; errors as `find_file`."""
    envelope = find_file(installation, job_id, MANIFEST_NAME).read_bytes()
    opened = ledger.open_envelope(envelope, installation.public.reports)
    return ledger.parse_statement(opened.payload).predicate


def list_files(installation: Installation, job_id: str) -> list[str]:
    """Return the names of the files of an audit that is done."""
    folder = locate_audit(installation.settings, job_id)
    return [name for name in FILES if (folder / name).is_file()]


def remove_audit(installation: Installation, job_id: str) -> None:
    """Remove the files of an audit that has ended.

    Raises
    ------
    MissingError, ConflictError
        There is no such audit, or it is worked on: it has to be cancelled first.
    """
    job = get_audit(installation, job_id)
    if job.state in UNFINISHED:
        raise ConflictError(f"audit {job_id} is {job.state}: cancel it first")
    drop_audit(installation.settings, job_id)


def get_audit(installation: Installation, job_id: str) -> JobRow:
    """Return the row of an audit; MissingError for another job."""
    job = installation.jobs.get(job_id)
    if job.kind != AUDIT:
        raise MissingError(f"no audit {job_id!r:.80}")
    return job
