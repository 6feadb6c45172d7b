"""How a case begins: a form comes in, is checked, supplemented until it is complete, and taken up.

A notice never touches the ledger before a case worker takes it up: otherwise anybody could have a track
called contested by filling in a form.
"""

import base64
import datetime
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ledger

from . import casestates as cs
from .casehistory import CaseView, read_case
from .cases import CaseRow
from .casework import take_as_desk
from .casewriter import Taken, begin_case, take_step
from .deadlines import RECEIPT, TIME_FORMAT, parse_time
from .deskkey import open_desk_key
from .errors import MissingError, OverloadError, RefusedError
from .installation import Installation, now
from .notices import Form, Notice, VerificationRequest, check_size, parse_form
from .registry import RELEASED
from .requirements import Missing, find_missing, is_substantial

MAX_TRACKS = 20
CODE_BYTES = 24
FORM_LABELS = ("notice", "request")
"""Labels under which the claimant's form is sealed, as first sent and as supplemented."""


@dataclass(frozen=True)
class OpenedCase:
    """A new case: its id, the access code of whoever sent it in (shown once), and what is missing."""

    case_id: str
    code: str
    missing: tuple[Missing, ...]


def open_case(
    installation: Installation,
    form: Notice | VerificationRequest,
    *,
    tracks: Sequence[str] = (),
    urgent: bool = False,
    public: bool = False,
    person: str | None = None,
    respondent: str | None = None,
) -> OpenedCase:
    """Take in a notice or a verification request, and check that it is complete.

    Parameters
    ----------
    installation
        The ledger folder.
    form
        As it was sent.
    tracks
        Registered tracks that it is about, beside those that its locations name.
    urgent
        Decide within hours (`deadlines.ClockPolicy.urgent_hours`).
    public
        A stranger has sent it: counted against the hourly bound, and acknowledged by the answer itself.
    person, respondent
        The vault's ids of claimant and respondent, where they are known; the claimant's is made otherwise.

    Raises
    ------
    MissingError
        No such track or person.
    OverloadError
        Strangers have opened as many cases this hour as are taken.
    RefusedError
        More tracks than a case can have, or more text than can be sealed.
    """
    check_size(form)
    if public:
        _check_intake(installation)
    for known in (person, respondent):
        if known is not None and not installation.vault.is_known(known):
            raise MissingError(f"nothing is known of person {known!r:.80}")
    named = _find_tracks(installation, form, tracks)
    kind, label = (cs.NOTICE, "notice") if isinstance(form, Notice) else (cs.VERIFICATION, "request")
    signers = [open_desk_key(installation)]
    case_id = base64.b32encode(secrets.token_bytes(10)).decode("ascii").lower()
    code = secrets.token_urlsafe(CODE_BYTES)
    claim, laws = (form.claim, list(form.laws)) if isinstance(form, Notice) else ("", [])
    opened = now()
    row = CaseRow(
        case_id=case_id,
        kind=kind,
        status=cs.RECEIVED,
        opened=opened,
        updated=opened,
        urgent=urgent,
        public=public,
        claim=claim,
        tracks=" ".join(named),
        person=person or installation.vault.add_person(),
        respondent=respondent,
        code_hash=hash_code(code),
    )
    facts = {
        "laws": laws,
        "claim": claim,
        "urgent": urgent,
        "channel": "public" if public else "desk",
        "tracks": named,
    }
    begin_case(installation, row, facts, signing_keys=signers, personal={label: form.model_dump()})
    missing = _check(installation, case_id, form, signers)
    if public:
        take_step(installation, case_id, cs.SENT, {"letter": RECEIPT, "to": "claimant"}, signing_keys=signers)
    return OpenedCase(case_id, code, missing)


def supplement_case(
    installation: Installation, case_id: str, additions: Mapping[str, Any]
) -> tuple[Missing, ...]:
    """Add to an incomplete form, or replace parts of it, and check it again; return what is still missing.

    Raises
    ------
    MissingError, CaseError
        No such case; or nothing is missing in it.
    RefusedError
        The additions are not members of the form, or the form was erased.
    """
    view = read_case(installation, case_id)
    form = merge_form(view, additions)
    label = "notice" if isinstance(form, Notice) else "request"
    signers = [open_desk_key(installation)]
    tracks = [item for item in _find_tracks(installation, form, ()) if item not in view.state.tracks]
    take_step(
        installation,
        case_id,
        cs.SUPPLEMENTED,
        {"tracks": tracks} if tracks else {},
        signing_keys=signers,
        personal={label: form.model_dump()},
        person=view.row.person,
    )
    return _check(installation, case_id, form, signers)


def accept_case(
    installation: Installation,
    case_id: str,
    *,
    despite: str = "",
    tracks: Sequence[str] = (),
    signing_keys: Sequence[ledger.SigningKey] = (),
) -> Taken:
    """Take a case up: it is complete, or good enough `despite` what is missing (a code). Logs the notice.

    Raises
    ------
    MissingError, CaseError
        No such case or track; or it may not be accepted now.
    """
    view = read_case(installation, case_id)
    named = _check_tracks(installation, [item for item in tracks if item not in view.state.tracks])
    facts: dict[str, Any] = {"despite": despite} if despite else {}
    return take_as_desk(
        installation,
        view,
        cs.ACCEPTED,
        {**facts, **({"tracks": named} if named else {})},
        signing_keys,
        notices=True,
    )


def close_case(installation: Installation, case_id: str, reason: str) -> Taken:
    """Close a case that was never accepted, for a reason (a code) such as `not-completed`."""
    view = read_case(installation, case_id)
    return take_as_desk(installation, view, cs.CLOSED, {"reason": reason}, ())


def merge_form(view: CaseView, additions: Mapping[str, Any]) -> Notice | VerificationRequest:
    """Return the claimant's form with additions: objects are merged, everything else replaced.

    Raises
    ------
    RefusedError
        Not members of the form; or the form was erased.
    """
    document = view.find_value(*FORM_LABELS)
    if not isinstance(document, dict):
        raise RefusedError("what the claimant wrote was erased: there is nothing to add to")
    merged = _merge(document, additions)
    kind: type[Notice] | type[VerificationRequest]
    kind = Notice if view.row.kind == cs.NOTICE else VerificationRequest
    return check_size(parse_form(kind, merged))


def hash_code(code: str) -> bytes:
    """Return what is kept of an access code: its SHA-256, since the code is random and long."""
    return hashlib.sha256(code.encode("utf-8")).digest()


def _check(
    installation: Installation, case_id: str, form: Form, signers: Sequence[ledger.SigningKey]
) -> tuple[Missing, ...]:
    missing = find_missing(form)
    facts = {
        "missing": [{"law": item.law, "provision": item.provision, "field": item.field} for item in missing],
        "substantial": is_substantial(missing),
    }
    take_step(installation, case_id, cs.CHECKED, facts, signing_keys=signers)
    return missing


def _check_intake(installation: Installation) -> None:
    hour_ago = (parse_time(now()) - datetime.timedelta(hours=1)).strftime(TIME_FORMAT)
    most = installation.settings.intake_per_hour
    if installation.cases.count_public_since(hour_ago) >= most:
        raise OverloadError(
            f"{most} cases were opened within the hour: try again later, or write to the desk"
        )


def _find_tracks(
    installation: Installation, form: Notice | VerificationRequest, tracks: Sequence[str]
) -> list[str]:
    """Return the released tracks that a form's locations name, and those named beside them."""
    link = f"{installation.settings.public_url}/v1/tracks/" if installation.settings.public_url else "\0"
    found = []
    for location in form.material.locations:
        track_id = location.removeprefix("track:") if location.startswith("track:") else ""
        if location.startswith(link):
            track_id = location.removeprefix(link).partition("/")[0].partition("?")[0]
        row = installation.registry.find_track(track_id) if track_id else None
        if row is not None and row.state == RELEASED:
            found.append(track_id)
    return _check_tracks(installation, list(dict.fromkeys((*found, *tracks))))


def _check_tracks(installation: Installation, tracks: list[str]) -> list[str]:
    if len(tracks) > MAX_TRACKS:
        raise RefusedError(f"expected at most {MAX_TRACKS} tracks in a case, got {len(tracks)}")
    for track_id in tracks:
        installation.registry.get_released(track_id)
    return tracks


def _merge(document: Mapping[str, Any], additions: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(document)
    for name, value in additions.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
