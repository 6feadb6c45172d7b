"""What the kinds of jobs do: from the row of a job, which outlives every process, to the work itself.

| kind | request | input |
| --- | --- | --- |
| issue | the body of `POST /v1/tracks`, its seed drawn | |
| stamp | the query of `POST /v1/stamps` | the uploaded recording |
| audit | the body of `POST /v1/audits` | |

An input lies in incoming/ as `JOB_ID.input`, synced before the row is there, and until the job has ended.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .audiofile import sync_file
from .auditjob import AUDIT, drop_audit
from .auditjob import carry_out as audit
from .declaration import parse_declaration
from .engines import EMBEDDED, EngineRack, Request
from .errors import WriteError
from .factors import DeclaredFactors
from .installation import Installation
from .issuing import Issued, issue, stamp
from .jobtable import DONE, JobRow
from .margin import MarginPolicy
from .marking import CancelCheck, Progress, Strength
from .report import format_closest
from .resemblance import ResemblancePolicy
from .settings import Settings
from .source import Encoding

INPUT_SUFFIX = ".input"


class InputLostError(Exception):
    """The file that a job was to work on is gone: it has to be submitted again."""


Work = Callable[[Installation, EngineRack, JobRow, Progress, CancelCheck], str | None]
"""Carry a job out: it makes the track that its row names, or the files of an audit; or raises. Returns the
outcome for its row."""


def locate_input(settings: Settings, job_id: str) -> Path:
    """Return where a job's input lies, if it has one."""
    return settings.incoming / f"{job_id}{INPUT_SUFFIX}"


def keep_input(settings: Settings, job_id: str, upload: Path) -> None:
    """Make an upload the durable input of a job; WriteError when it cannot be."""
    try:
        with upload.open("rb") as file:
            os.fsync(file.fileno())
        upload.rename(locate_input(settings, job_id))
        sync_file(settings.incoming)
    except OSError as error:
        raise WriteError(f"the upload cannot be kept: {error.strerror}") from error


def drop_input(settings: Settings, job_id: str) -> None:
    """Remove a job's input, if it has one."""
    locate_input(settings, job_id).unlink(missing_ok=True)


def clear_away(settings: Settings, job: JobRow, state: str) -> None:
    """Remove what a job has no more use for, when it has ended in a state."""
    drop_input(settings, job.job_id)
    if job.kind == AUDIT and state != DONE:
        drop_audit(settings, job.job_id)


def _issue(
    installation: Installation, engines: EngineRack, job: JobRow, progress: Progress, cancelled: CancelCheck
) -> str:
    asked = json.loads(job.request)
    request = Request(
        prompt=asked["prompt"],
        seconds=asked["seconds"],
        seed=asked["seed"],
        abc=asked["abc"],
        parameters=asked["parameters"],
    )
    issued = issue(
        installation,
        engines.get(asked.get("engine", EMBEDDED)),
        request,
        **_read_options(asked),
        track_id=job.track_id,
        progress=progress,
        cancelled=cancelled,
    )
    return _format_outcome(issued)


def _stamp(
    installation: Installation, _engines: EngineRack, job: JobRow, progress: Progress, cancelled: CancelCheck
) -> str:
    asked = json.loads(job.request)
    path = locate_input(installation.settings, job.job_id)
    if not path.is_file():
        raise InputLostError("the recording is gone; nothing was registered: submit it again")
    issued = stamp(
        installation,
        path,
        title="untitled",
        declared=parse_declaration(
            **{name: asked[name] for name in ("title", "artist", "isrc", "source_type")}
        ),
        **_read_options(asked),
        track_id=job.track_id,
        progress=progress,
        cancelled=cancelled,
    )
    return _format_outcome(issued)


def _format_outcome(issued: Issued) -> str:
    return json.dumps({"closest": None if issued.closest is None else format_closest(issued.closest)})


def _read_options(asked: Mapping[str, Any]) -> dict[str, Any]:
    # Jobs that were queued by an earlier version have neither engine nor factors.
    return {
        "factors": DeclaredFactors(
            oversight=asked.get("oversight"),
            royalty_class=asked.get("royalty_class"),
            training_classes=tuple(sorted(set(asked.get("training_class", ())))),
        ),
        "encoding": Encoding(asked["format"], asked["bits"]),
        "margin": MarginPolicy(asked["margin"]),
        "strength": Strength(asked["strength"]),
        "resemblance": ResemblancePolicy(asked["if_known"]),
    }


def _audit(
    installation: Installation, _engines: EngineRack, job: JobRow, progress: Progress, cancelled: CancelCheck
) -> None:
    audit(installation, job, progress, cancelled)


KINDS: Mapping[str, Work] = {"issue": _issue, "stamp": _stamp, AUDIT: _audit}
