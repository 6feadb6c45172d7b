"""The verify flow: what is known about a file, and what follows from it.

    file -> bounded decode -> digests, mark, fingerprint -> which track? -> its history, checked -> its sound,
    compared -> evidence -> verdict -> report

The registry and the ledger's database are not trusted here: a track is believed only as far as its signed
entries, proven against the log's checkpoint, say so; a mark only if the registry's salt opens the commitment
in them; a stored fingerprint only if its digest is in them, where they state one.

Where no mark is read, but the sound is that of a track, the marks of that track alone are looked for: a known
mark shows where one that must be decoded does not.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ledger.predicate import DELIVERED, GENERATED, STAMPED

from .copies import CopyRow
from .copyevidence import find_copies
from .custody import Custody, check_custody
from .evidence import (
    DIGEST_NAMES,
    ContentEvidence,
    Evidence,
    Extent,
    IdentityEvidence,
    LedgerFault,
    TrackFacts,
)
from .factors import read_factors
from .installation import Installation, now
from .keyring import detection_keys
from .labelcheck import start_labels, weigh_labels
from .likeness import compare_sound, identify_sound
from .markdevice import preparation_on
from .markevidence import describe_mark, describe_traced, opens_commitment
from .marking import CancelCheck, Examination, Meter, Progress, examine, never_cancelled, report_nothing
from .marksearch import match_placed
from .recognition import detection_profiles, find_mark
from .registry import MarkRow
from .release import name_asset
from .report import Report, sign_report
from .source import FINGERPRINT_SUBJECT
from .stampedtime import find_stamped
from .tracing import trace
from .verdict import judge

NOT_SEARCHED = IdentityEvidence(False)
REGISTERING = frozenset({GENERATED, STAMPED, DELIVERED})
"""Events whose digests are the track's own; a notice, say, may name a file that somebody else holds."""


def admit_all(_evidence: Evidence) -> None:
    """Refuse nothing."""


def verify(
    installation: Installation,
    path: Path,
    *,
    meters: Sequence[Meter] = (),
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
    coarse: bool = False,
    admit: Callable[[Evidence], None] = admit_all,
) -> Report:
    """Say what is known about a file, in a signed report; `meters` listen to the same pass over it.

    `coarse` leaves out what would help to remove a mark (`api.coarse`). `admit` sees the evidence before
    anything is said, and may refuse by an error of its own.

    Raises
    ------
    AudioRefusedError, TooLargeError
        Not audio, or outside the limits.
    StoppedError
        `cancelled()` returned True.
    OSError, ledger.StorageError
        The file or the database cannot be read.
    """
    _, evidence = collect(installation, path, meters=meters, progress=progress, cancelled=cancelled)
    admit(evidence)
    return sign_report(
        evidence,
        judge(evidence),
        time=now(),
        signing_key=installation.keyring.report_signing_key,
        coarse=coarse,
    )


def collect(
    installation: Installation,
    path: Path,
    *,
    meters: Sequence[Meter] = (),
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> tuple[Examination, Evidence]:
    """Examine a file and return what was found and what is known about it; errors as `verify`."""
    with start_labels(installation, path) as reading:
        found, evidence = _collect_sound(installation, path, meters, progress, cancelled)
        return found, weigh_labels(installation, evidence, reading.finish())


def _collect_sound(
    installation: Installation,
    path: Path,
    meters: Sequence[Meter],
    progress: Progress,
    cancelled: CancelCheck,
) -> tuple[Examination, Evidence]:
    """Examine the sound of a file, whatever its labels say."""
    found = examine(
        path,
        limits=installation.settings.limits,
        watermark_keys=detection_keys(installation.keyring),
        profiles=detection_profiles(installation),
        known=installation.marks.list_payloads(),
        preparation=preparation_on(installation.settings.mark_device),
        fingerprint=True,
        meters=meters,
        progress=progress,
        cancelled=cancelled,
    )
    identity = identify_sound(installation, found.query)
    evidence = gather(installation, found, identity)
    if not evidence.watermark.found and evidence.identity.comparison is not None:
        evidence = _look_for_candidates(installation, path, evidence, progress, cancelled)
    copies = find_copies(installation, path, found, evidence, progress=progress, cancelled=cancelled)
    return found, dataclasses.replace(evidence, copies=copies)


def gather(
    installation: Installation, found: Examination, identity: IdentityEvidence = NOT_SEARCHED
) -> Evidence:
    """Look up and check everything that an examined file points to."""
    mark = _find_mark(installation, found)
    listed = _find_digest(installation, found)
    track_id = listed or (mark.track_id if mark else None) or identity.track_id
    if track_id is None:
        content, described = _describe_content(found, None, None), describe_mark(found, mark, None)
        return Evidence(content, described, None, None, identity)
    custody = check_custody(installation.store, installation.public, name_asset(track_id))
    matched = _match_digest(custody, found)
    history = custody.evidence
    if listed is not None and matched is None and history.fault is None:
        message = f"the index lists a digest under track {listed} that no entry of it states"
        history = dataclasses.replace(history, fault=LedgerFault(None, "index-contradicts-entry", message))
    if history.fault is None and not _bears_out_fingerprint(installation, custody, track_id):
        message = f"the catalogue's fingerprint of track {track_id} is not the one that its entry states"
        history = dataclasses.replace(
            history, fault=LedgerFault(None, "fingerprint-contradicts-entry", message)
        )
    if history.fault is not None:
        # Nothing that a broken record says is believed, not even what it says about this file.
        content = _describe_content(found, None, track_id)
        return Evidence(content, describe_mark(found, mark, None), history, None)
    history = dataclasses.replace(history, stamped=find_stamped(installation, history.events[0]))
    opens = opens_commitment(custody, mark) if mark is not None and mark.track_id == track_id else None
    compared = compare_sound(installation, found.query, track_id, identity.matches)
    return Evidence(
        content=_describe_content(found, matched, track_id if matched else None),
        watermark=describe_mark(found, mark, opens),
        ledger=history,
        track=_read_facts(track_id, custody),
        identity=dataclasses.replace(identity, comparison=compared),
    )


def _look_for_candidates(
    installation: Installation,
    path: Path,
    evidence: Evidence,
    progress: Progress,
    cancelled: CancelCheck,
) -> Evidence:
    """Look for the marks of the track that the sound is like, and no others: the track's own where the sound
    says it must lie, and, where there are copies, those of all.
    """
    if evidence.track is None or evidence.content.matched is not None:
        return evidence
    track_id = evidence.track.track_id
    own = installation.registry.get_mark_of(track_id)
    mark: MarkRow | CopyRow | None = own
    matched = match_placed(installation, path, own, evidence.identity.matches, progress, cancelled)
    probability, alignment = matched.false_alarm_probability, matched.alignment
    if not matched.present:
        if not installation.copies.list_of_track(track_id):
            return evidence
        traced = trace(installation, path, track_id, progress=progress, cancelled=cancelled)
        if not traced.named:
            return evidence
        mark = traced.named[0].copy or mark
        probability, alignment = traced.named[0].false_alarm_probability, traced.alignment
    assert mark is not None
    custody = check_custody(installation.store, installation.public, name_asset(track_id))
    described = describe_traced(mark, probability, alignment, opens=opens_commitment(custody, mark))
    return dataclasses.replace(evidence, watermark=described)


def _bears_out_fingerprint(installation: Installation, custody: Custody, track_id: str) -> bool:
    """Say whether the stored fingerprint is the one in the track's entry; True where either is missing."""
    row = installation.catalogue.rows.find_track(track_id)
    stated = {
        subject.sha256.hex()
        for event in custody.events
        if event.statement.predicate_type in REGISTERING
        for subject in event.statement.subjects
        if subject.name == FINGERPRINT_SUBJECT
    }
    return row is None or not stated or row.sha256 in stated


def _find_mark(installation: Installation, found: Examination) -> MarkRow | CopyRow | None:
    payload = found.detection.payload
    return None if payload is None else find_mark(installation, payload)


def _find_digest(installation: Installation, found: Examination) -> str | None:
    """Return the track that the ledger's index of digests names for these bytes or samples."""
    for digest in (found.file_sha256, found.pcm_sha256):
        for _, asset in installation.store.find_subject(digest):
            if asset.startswith("track:"):
                return asset.removeprefix("track:")
    return None


def _match_digest(custody: Custody, found: Examination) -> str | None:
    """Return the name of the first digest of the file that a verified entry states."""
    stated = {
        (subject.name, subject.sha256.hex())
        for event in custody.events
        if event.statement.predicate_type in REGISTERING
        for subject in event.statement.subjects
    }
    for name in DIGEST_NAMES:
        digest = found.file_sha256 if name.endswith("file") else found.pcm_sha256
        if (name, digest) in stated:
            return name
    return None


def _describe_content(found: Examination, matched: str | None, track_id: str | None) -> ContentEvidence:
    extent = Extent(
        container=found.format.container,
        encoding=found.format.subtype,
        sample_rate=found.format.sample_rate,
        channels=found.format.channels,
        samples=found.samples,
        damage=found.damage,
    )
    return ContentEvidence(found.file_sha256, found.pcm_sha256, extent, matched, track_id)


def _read_facts(track_id: str, custody: Custody) -> TrackFacts | None:
    """Read what the newest verified entry with audio says about the track; None when none says anything."""
    for event in reversed(custody.events):
        predicate: Mapping[str, Any] = event.statement.predicate
        audio = predicate.get("audio")
        if not isinstance(audio, Mapping):
            continue
        source_type = predicate.get("digital_source_type")
        return TrackFacts(
            track_id=track_id,
            origin=event.statement.predicate_type.rsplit("/", 2)[-2],
            seconds=int(audio["samples"]) / int(audio["sample_rate"]),
            sample_rate=int(audio["sample_rate"]),
            channels=int(audio["channels"]),
            digital_source_type=str(source_type) if source_type is not None else None,
            factors=read_factors(predicate),
        )
    return None
