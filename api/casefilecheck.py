"""Checking a case file offline: with public keys alone, without the ledger, the database or the network.

Steps; the first that fails is what is wrong, with its code:

1. `form`      the archive is a ZIP file within bounds, with the members that a case file has
2. `manifest`  its manifest is signed by an issuer, and is about exactly the listing of files
3. `files`     the listing names every other member once, each with its size and digest
4. `steps`     each step is signed by a key of the ledger, the steps are one chain, each may follow those
               before it, and they come to what the manifest states
5. `reports`   each report is signed by a report key and named by a step, and none that is named is missing
6. `openings`  each opening opens a commitment of a step
7. `bundles`   each track of the case has a bundle that holds, in which every step that has an event is named

Who is trusted: pinned keys (a `public-keys.json` from another source) say whose case file it is. Without them
the file's own are used, and the outcome says so: a forger could have made both.
"""

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from cryptography import x509

import ledger
from ledger.canonical import check_hex, check_members, check_text, parse_object
from ledger.errors import BundleError, FormatError
from ledger.policy import Policy

from . import casestates as cs
from .casefile import CASE_FILE_TYPE, FILES_NAME, MANIFEST_NAME, format_row
from .casefilereport import CaseFileReport, LoggedStep
from .casestates import CaseError, CaseState
from .casesteps import Step, list_decisions, open_step, replay
from .errors import LedgerFolderError, RefusedError
from .keyring import PublicKeys, parse_public_keys
from .release import name_asset
from .report import open_report

MAX_ARCHIVE_BYTES = 64 << 20
MAX_MEMBERS = 4_000
MAX_CONTENT_BYTES = 128 << 20
_NAME = re.compile(
    r"manifest\.json|files\.jsonl|case\.json|openings\.json|public-keys\.json|ledger-keys\.json"
    r"|steps/\d{4,6}\.json|reports/[0-9a-f]{64}\.json|bundles/[a-z2-7]{16}\.json|letters/[a-z-]{1,30}\.txt"
)
_EVENTS: Mapping[str, tuple[str, ...]] = {
    cs.ACCEPTED: ("notice",),
    cs.EXAMINED: ("notice",),
    cs.COUNTERED: ("counter-notice",),
    cs.DECIDED: ("decision",),
    cs.COMPLAINT_DECIDED: ("notice", "decision"),
    cs.RESTORED: ("decision",),
    cs.WITHDRAWN: ("decision",),
}
"""Which events may name a step of this kind."""


class CaseFileError(RefusedError):
    """A case file does not prove what it claims; `code` is one of the module's steps."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_case_file(
    content: bytes,
    *,
    public: PublicKeys | None = None,
    policy: Policy | None = None,
    roots: Sequence[x509.Certificate] | None = None,
) -> CaseFileReport:
    """Check a case file.

    Parameters
    ----------
    content
        The archive's bytes.
    public
        Whose it must be, from another source; None takes the file's own keys and says so.
    policy, roots
        As `ledger.check_bundle`: the witnesses' quorum, the time-stamping authorities' certificates.

    Raises
    ------
    CaseFileError
        A step failed.
    """
    # 1
    files = _unpack(content)
    with _blame("form"):
        keys = public or parse_public_keys(files["public-keys.json"], "public-keys.json")
        known = _parse_keys(files["ledger-keys.json"])
    # 2, 3
    manifest = _check_manifest(files, keys)
    # 4
    case_id = str(manifest["case"])
    with _blame("steps"):
        steps = tuple(open_step(files[name], known) for name in sorted(files) if name.startswith("steps/"))
        state = replay(case_id, steps)
        found = (state.kind, state.status, state.steps)
        stated = (manifest["kind"], manifest["status"], manifest["steps"])
        if found != stated:
            raise FormatError(f"the manifest states {stated}, the steps come to {found}")
    # 5
    with _blame("reports"):
        reports = _check_reports(files, steps, keys)
    # 6
    commitments = {digest for step in steps for digest in step.commitments.values()}
    with _blame("openings"):
        opened = _check_openings(files, commitments)
    # 7
    bundles, logged = _check_bundles(files, steps, state, keys, policy, roots, pinned=public is not None)
    return CaseFileReport(
        case_id=case_id,
        time=str(manifest["time"]),
        origin=keys.origin,
        pinned=public is not None,
        state=state,
        steps=steps,
        reports=reports,
        opened=opened,
        closed=len(commitments) - opened,
        logged=logged,
        bundles=bundles,
        witnessed=bool(bundles) and all(item.witnessed for item in bundles),
    )


def _unpack(content: bytes) -> dict[str, bytes]:
    """Read every member into memory; no path of the archive ever becomes a path on disk."""
    with _blame("form"):
        if len(content) > MAX_ARCHIVE_BYTES:
            raise FormatError(f"expected at most {MAX_ARCHIVE_BYTES} bytes, got {len(content)}")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            names = [item.filename for item in members]
            if len(names) > MAX_MEMBERS or len(set(names)) != len(names):
                raise FormatError(f"expected at most {MAX_MEMBERS} members, each name once")
            unknown = [name for name in names if not _NAME.fullmatch(name)]
            if unknown:
                raise FormatError(f"a case file has no member {unknown[0]!r:.120}")
            files, left = {}, MAX_CONTENT_BYTES
            for item in members:
                with archive.open(item) as member:
                    data = member.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise FormatError(f"expected at most {MAX_CONTENT_BYTES} bytes unpacked")
                files[item.filename] = data
        for name in (MANIFEST_NAME, FILES_NAME, "public-keys.json", "ledger-keys.json", "steps/0000.json"):
            if name not in files:
                raise FormatError(f"expected a member {name}")
        return files


def _check_manifest(files: Mapping[str, bytes], keys: PublicKeys) -> Mapping[str, object]:
    listing = files[FILES_NAME]
    with _blame("manifest"):
        statement = ledger.parse_statement(ledger.open_envelope(files[MANIFEST_NAME], keys.issuers).payload)
        if statement.predicate_type != CASE_FILE_TYPE:
            raise FormatError(f"expected a statement of type {CASE_FILE_TYPE}")
        check_members(
            dict(statement.predicate),
            {"case", "kind", "status", "steps", "opened", "files", "time"},
            "manifest",
        )
        named = [(item.name, item.sha256) for item in statement.subjects]
        if named != [("files", hashlib.sha256(listing).digest())]:
            raise FormatError("the listing of files is not the one that was signed")
    with _blame("files"):
        others = sorted(set(files) - {MANIFEST_NAME, FILES_NAME})
        if listing != b"".join(format_row(name, files[name]) + b"\n" for name in others):
            listed = {row["path"]: row["sha256"] for row in map(json.loads, listing.splitlines())}
            wrong = next(
                (name for name in others if listed.get(name) != hashlib.sha256(files[name]).hexdigest()),
                next((name for name in listed if name not in files), "files.jsonl"),
            )
            raise FormatError(f"{wrong}: not the bytes that were listed")
        if statement.predicate["files"] != len(others):
            raise FormatError(f"the manifest states {statement.predicate['files']} files")
    return statement.predicate


def _parse_keys(content: bytes) -> tuple[ledger.PublicKey, ...]:
    document = check_members(json.loads(content), {"keys"}, "ledger-keys.json")
    return tuple(ledger.PublicKey.from_jwk(item) for item in document["keys"])


def _check_reports(files: Mapping[str, bytes], steps: Sequence[Step], keys: PublicKeys) -> int:
    named = {str(step.facts["report_sha256"]) for step in steps if step.step == cs.EXAMINED}
    found = {
        name.removeprefix("reports/").removesuffix(".json"): content
        for name, content in files.items()
        if name.startswith("reports/")
    }
    if set(found) != named:
        raise FormatError(f"expected the reports that steps name, differing: {sorted(set(found) ^ named)[0]}")
    for digest, content in found.items():
        if hashlib.sha256(content).hexdigest() != digest:
            raise FormatError(f"report {digest}: other bytes")
        open_report(content, keys.reports)
    return len(found)


def _check_openings(files: Mapping[str, bytes], commitments: set[bytes]) -> int:
    content = files.get("openings.json")
    if content is None:
        return 0
    document = check_members(
        parse_object(content, max_bytes=MAX_CONTENT_BYTES), {"openings"}, "openings.json"
    )
    opened = set()
    for item in document["openings"]:
        members = check_members(item, {"label", "salt", "value"}, "opening")
        label = check_text(members["label"], "opening label")
        digest = ledger.commit(label, check_hex(members["salt"], "opening salt"), members["value"])
        if digest not in commitments:
            raise FormatError(f"the opening of {label!r:.40} gives no commitment of a step")
        opened.add(digest)
    return len(opened)


def _check_bundles(
    files: Mapping[str, bytes],
    steps: Sequence[Step],
    state: CaseState,
    keys: PublicKeys,
    policy: Policy | None,
    roots: Sequence[x509.Certificate] | None,
    *,
    pinned: bool,
) -> tuple[tuple[ledger.BundleReport, ...], tuple[LoggedStep, ...]]:
    by_digest = {step.digest.hex(): step for step in steps}
    bundles, logged = [], []
    with _blame("bundles"):
        present = {name for name in files if name.startswith("bundles/")}
        if present != {f"bundles/{track_id}.json" for track_id in state.tracks}:
            raise FormatError("expected a bundle of each track of the case, and no others")
        for track_id in state.tracks:
            report = ledger.check_bundle(
                files[f"bundles/{track_id}.json"],
                vkey=keys.vkey,
                public_keys=keys.issuers if pinned else None,
                policy=policy,
                roots=roots,
            )
            if report.asset != name_asset(track_id):
                raise FormatError(f"expected a bundle of track {track_id}, got one of {report.asset}")
            known = {record.public_key.key_id for record in report.keys}
            strangers = {key_id for step in steps for key_id in step.key_ids} - known
            if strangers:
                raise FormatError(f"steps are signed by {sorted(strangers)[0]}, which the log does not know")
            named = list(_find_named(report, track_id, by_digest))
            _demand_events(named, steps, state, track_id)
            bundles.append(report)
            logged += named
    return tuple(bundles), tuple(logged)


def _find_named(
    report: ledger.BundleReport, track_id: str, by_digest: Mapping[str, Step]
) -> Iterator[LoggedStep]:
    for item in report.events:
        statement = item.event.statement
        step = by_digest.get(str(statement.predicate.get("evidence_sha256")))
        if step is None:
            continue
        event = statement.predicate_type.rsplit("/", 2)[-2]
        if event not in _EVENTS.get(step.step, ()):
            raise FormatError(f"entry {item.index} is a {event}, and names the step {step.step}")
        if step.step == cs.DECIDED and statement.predicate.get("outcome") != step.facts["outcome"]:
            raise FormatError(f"entry {item.index} decides otherwise than step {step.n}")
        yield LoggedStep(step.n, track_id, item.index, event)


def _demand_events(
    named: Sequence[LoggedStep], steps: Sequence[Step], state: CaseState, track_id: str
) -> None:
    """A notice that was taken up, and each decision after it, must be in the history of its track."""
    if state.kind != cs.NOTICE:
        return
    notices = [item.step for item in named if item.event == "notice"]
    taken_up = [step.n for step in steps if step.step == cs.ACCEPTED]
    if taken_up and not notices:
        raise FormatError(f"the history of track {track_id} has no notice of this case")
    decided = {item.step for item in named if item.event == "decision"}
    for n in list_decisions(steps):
        if n not in decided:
            raise FormatError(f"step {n} ({steps[n].step}) is not in the history of track {track_id}")


@contextmanager
def _blame(code: str) -> Iterator[None]:
    """Turn what a step finds wrong into a CaseFileError with its code."""
    try:
        yield
    except CaseFileError:
        raise
    except BundleError as error:
        raise CaseFileError(code, f"{error} ({error.code})") from error
    except (
        ledger.LedgerError,
        CaseError,
        RefusedError,
        LedgerFolderError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
    ) as error:
        raise CaseFileError(code, str(error) or type(error).__name__) from error
