"""From evidence to a verdict: one pure function, and the words for its outcome.

Order of the questions, the first that is answered decides:

1. a track is named, but its history does not hold  ledger-broken, signer-not-trusted; or it was revoked
2. no digest and no mark known: by the sound it is  a track: mark-removed; a recording that is only
                                               catalogued: known-recording; neither: nothing-found
3. a mark of our key that names no track       unknown-mark; on the sound of a track: mark-conflict
4. registry and ledger contradict each other  ledger-broken
5. the recording as it was before stamping     unmarked-original
6. registered bytes or samples, no mark        mark-missing
7. registered bytes or samples, with mark      exact
8. a mark, and the sound is not its track's    mark-transplanted; where its track has no fingerprint, but the
                                               sound is another track's: mark-conflict
9. a mark, and a part of the sound is not its track's                           altered
10. by the mark: more sound than the track has, or parts without mark whose sound was not compared: altered;
    shorter: excerpt; other speed or pitch: retimed; otherwise re-encoded
11. the verdict is good so far, but a tag or a credential contradicts the signed entry: metadata-forged
    (`api.labelverdict`)
"""

from dataclasses import dataclass

from .evidence import (
    RELEASED_DIGESTS,
    ContentComparison,
    CopyEvidence,
    Evidence,
    IdentityEvidence,
    TrackFacts,
    WatermarkEvidence,
)
from .labelverdict import FORGED_TEXT, LABEL_REASONS, METADATA_FORGED, weigh_verdict

EXACT = "exact"
RE_ENCODED = "re-encoded"
RETIMED = "retimed"
EXCERPT = "excerpt"
ALTERED = "altered"
UNKNOWN_MARK = "unknown-mark"
MARK_MISSING = "mark-missing"
MARK_REMOVED = "mark-removed"
MARK_TRANSPLANTED = "mark-transplanted"
MARK_CONFLICT = "mark-conflict"
KNOWN_RECORDING = "known-recording"
UNMARKED_ORIGINAL = "unmarked-original"
LEDGER_BROKEN = "ledger-broken"
SIGNER_NOT_TRUSTED = "signer-not-trusted"
REVOKED = "revoked"
NOTHING_FOUND = "nothing-found"

GOOD = frozenset({EXACT, RE_ENCODED, RETIMED, EXCERPT})
"""Verdicts that name a registered track with an unbroken record: exit code 0."""

VERDICTS = {
    EXACT: "This is the registered track, or a delivered copy of it, sample for sample.",
    RE_ENCODED: "By its mark this is the registered track in full length, encoded again: other samples.",
    RETIMED: "By its mark this is the registered track in full length, at another speed or pitch.",
    EXCERPT: "By its mark this is a part of the registered track.",
    ALTERED: "This carries the mark of the registered track, but it was changed, or not all of it is the "
    "track.",
    MARK_REMOVED: "By its sound this is the registered track or a part of it, but no mark is found: it was "
    "removed, is too weak to be read here, or the sound was taken from before it was stamped.",
    MARK_TRANSPLANTED: "This carries the mark of a registered track on sound in which nothing of that track "
    "is found: the mark was lifted onto it, or the track is damaged beyond recognition.",
    MARK_CONFLICT: "The mark and the sound name different origins: do not rely on either alone.",
    KNOWN_RECORDING: "By its sound this is a recording that is catalogued here for comparison. It was not "
    "stamped here.",
    UNKNOWN_MARK: "This carries a mark made with this key, but the mark names no track registered here.",
    MARK_MISSING: "The bytes or samples are registered, but no mark is found with the keys at hand.",
    UNMARKED_ORIGINAL: "This is a registered recording as it was before it was stamped: it carries no mark.",
    LEDGER_BROKEN: "The record of this track does not hold: do not rely on it.",
    SIGNER_NOT_TRUSTED: "The record of this track is signed by a key that is not trusted here.",
    METADATA_FORGED: FORGED_TEXT,
    REVOKED: "This belongs to a track whose registration was revoked.",
    NOTHING_FOUND: "Nothing was found. This does not mean that a person made it.",
}

REASONS = {
    "file-digest-registered": "the file's bytes have a registered SHA-256",
    "pcm-digest-registered": "the decoded samples have a registered SHA-256; only the container differs",
    "source-digest-registered": "the digest is the one recorded for the recording before it was marked",
    "digest-unknown": "neither the file's bytes nor its samples are registered",
    "mark-found": "the mark of the track was found in the sound",
    "copy-named": "it is, or was made from, one delivered copy of the track",
    "copies-mixed": "it was mixed from several marked files of the track, copies or the track itself",
    "mark-of-another": "beside the track's it carries a mark of these keys that is none of the track's",
    "mark-not-found": "no mark of these keys was found",
    "mark-unknown": "the mark names no registered track",
    "mark-in-part": "the mark is missing in a part of the file",
    "longer-than-track": "the file holds more sound than the track",
    "shorter-than-track": "the file holds less sound than the track",
    "speed-changed": "the file runs faster or slower than the track",
    "pitch-changed": "the file sounds higher or lower than the track",
    "history-proven": "every entry of the track's history is signed, in order, and proven to be in the log",
    "registration-revoked": "the track's owner, or a court, has revoked its registration",
    "taken-down": "a notice against the track was upheld and it was not restored",
    "contested": "a notice against the track is not decided",
    "signature-disputed": "an entry is by a key that was later revoked for entries from there on",
    "event-refused": "an entry breaks the rules of custody: it may not follow, or its signer may not sign it",
    "entry-changed": "an entry in the ledger is not the one that the log's signed checkpoint covers",
    "proof-failed": "a proof does not lead to the log's signed checkpoint",
    "checkpoint-failed": "the log's checkpoint is not signed by its key",
    "signature-failed": "an entry's signature does not verify",
    "statement-malformed": "an entry is not a statement of the form that the ledger takes",
    "history-out-of-order": "the track's entries do not follow one another",
    "history-missing": "the registry names a track that the ledger does not know",
    "registry-contradicts-ledger": "the registry's mark is not the one that the signed entry commits to",
    "index-contradicts-entry": "the ledger's index of digests says what no signed entry says",
    "fingerprint-contradicts-entry": "the catalogue's fingerprint of the track is not the one that the "
    "signed entry states",
    "signer-unknown": "an entry is signed by a key that is not in the list of trusted keys",
    "file-damaged": "the file is damaged: what could be decoded was examined",
    "content-not-compared": "the sound was not compared with the registered recording; a mark moved "
    "onto other sound would look the same",
    "content-not-assessable": "the sound is too damaged or too short to be compared with the registered "
    "recording; a mark moved onto other sound would look the same",
    "content-matches": "the sound is that of the registered recording, as far as its fingerprint shows",
    "content-in-part": "only a part of the sound is that of the registered recording",
    "content-foreign": "no part of the sound is that of the track which the mark names",
    "content-of-track": "by its fingerprint the sound is that of a registered track",
    "content-of-other-track": "by its fingerprint the sound is, or holds, that of another registered track",
    "content-of-known-recording": "by its fingerprint the sound is that of a recording in the catalogue",
    "content-unknown": "by its fingerprint the sound is no recording in the catalogue",
    "change-replaced": "a part of the track was replaced by other sound",
    "change-inserted": "other sound was inserted",
    "change-removed": "a part of the track was cut out",
    "change-reordered": "parts of the track are in another order",
    "change-overlaid": "other sound lies over a part of the track",
    **LABEL_REASONS,
}

MIN_TOLERANCE_S = 0.3
TOLERANCE_SHARE = 0.003
"""Codecs add or drop milliseconds, and the speed is measured to about 0.1 %: this much is no difference."""
MIN_ABSENT_S = 2.0
"""The mark is judged over stretches of seconds: a shorter gap says nothing."""
MIN_SPEED_CHANGE = 0.002
MIN_PITCH_SEMITONES = 0.1


@dataclass(frozen=True)
class Verdict:
    """A verdict with the codes of the reasons for it, in order of weight."""

    code: str
    reasons: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether the file belongs to a registered track whose record holds."""
        return self.code in GOOD

    @property
    def text(self) -> str:
        """The verdict in plain words."""
        return VERDICTS[self.code]


def judge(evidence: Evidence) -> Verdict:
    """Turn evidence into a verdict that is no stronger than it; what the file says of itself weighs last."""
    found = _judge_sound(evidence)
    code, reasons = weigh_verdict(
        found.code, found.reasons, good=found.good, tags=evidence.tags, credential=evidence.credential
    )
    return Verdict(code, reasons)


def _judge_sound(evidence: Evidence) -> Verdict:
    content, mark = evidence.content, evidence.watermark
    damage = ("file-damaged",) if content.extent.damage else ()
    if evidence.ledger is not None and evidence.ledger.fault is not None:
        fault = evidence.ledger.fault
        code = SIGNER_NOT_TRUSTED if fault.code == "signer-unknown" else LEDGER_BROKEN
        return Verdict(code, (fault.code, *(("mark-found",) if mark.found else ()), *damage))
    found = _describe_content(content.matched), "mark-found" if mark.found else "mark-not-found"
    if content.matched is None and not mark.found:
        return _judge_by_sound(evidence, found, damage)
    if content.matched is None and mark.track_id is None:
        if evidence.identity.track_id is not None:
            return _weigh_history(evidence, MARK_CONFLICT, ("mark-unknown", "content-of-track", *damage))
        return Verdict(UNKNOWN_MARK, ("mark-unknown", *damage))
    if _contradicts(evidence):
        return Verdict(LEDGER_BROKEN, ("registry-contradicts-ledger", *found))
    if content.matched is not None and content.matched not in RELEASED_DIGESTS:
        return _weigh_history(evidence, UNMARKED_ORIGINAL, (*found, "history-proven", *damage))
    if content.matched is not None:
        code = EXACT if mark.found else MARK_MISSING
        return _weigh_history(evidence, code, (*found, "history-proven", *damage))
    if evidence.track is None:
        return Verdict(LEDGER_BROKEN, ("statement-malformed", "mark-found", *damage))
    code, changes = _judge_by_both(content.extent.seconds, mark, evidence.identity, evidence.track)
    return _weigh_history(evidence, code, ("mark-found", *changes, "history-proven", *damage))


def _judge_by_sound(evidence: Evidence, found: tuple[str, ...], damage: tuple[str, ...]) -> Verdict:
    """Nothing but the sound says anything."""
    identity = evidence.identity
    if identity.track_id is not None and evidence.track is not None:
        comparison = identity.comparison
        changes = _list_changes(comparison) if comparison is not None and comparison.assessable else ()
        reasons = ("content-of-track", *found, *changes, "history-proven", *damage)
        return _weigh_history(evidence, MARK_REMOVED, reasons)
    if identity.matches:
        return Verdict(KNOWN_RECORDING, ("content-of-known-recording", *found, *damage))
    searched = ("content-unknown",) if identity.searched else ()
    return Verdict(NOTHING_FOUND, (*found, *searched, *damage))


def _judge_by_both(
    seconds: float, mark: WatermarkEvidence, identity: IdentityEvidence, track: TrackFacts
) -> tuple[str, tuple[str, ...]]:
    """Weigh the mark of a track against what the sound is."""
    comparison = identity.comparison
    other = ("content-of-other-track",) if identity.names_other(track.track_id) is not None else ()
    if comparison is None:
        if other:
            return MARK_CONFLICT, other
        code, changes = _judge_by_mark(seconds, mark, track, compared=False)
        return code, (*changes, "content-not-compared")
    if comparison.foreign:
        return MARK_TRANSPLANTED, ("content-foreign", *other)
    if not comparison.assessable:
        if other:
            return MARK_CONFLICT, other
        code, changes = _judge_by_mark(seconds, mark, track, compared=False)
        return code, (*changes, "content-not-assessable")
    if comparison.changed:
        return ALTERED, (*_list_changes(comparison), "content-in-part", *other)
    code, changes = _judge_by_mark(seconds, mark, track, compared=True)
    return code, (*changes, "content-matches")


def _list_changes(comparison: ContentComparison) -> tuple[str, ...]:
    """Return the reason for each kind of change, the longest first."""
    lengths: dict[str, float] = {}
    for item in comparison.changed:
        lengths[item.kind] = lengths.get(item.kind, 0.0) + max(item.file.seconds, item.track.seconds)
    return tuple(f"change-{kind}" for kind in sorted(lengths, key=lambda kind: (-lengths[kind], kind)))


def _weigh_history(evidence: Evidence, code: str, reasons: tuple[str, ...]) -> Verdict:
    """Add which copies it comes from, and what the track's proven history says against it; a revoked
    registration decides.
    """
    reasons = (*reasons, *_describe_copies(evidence.copies))
    history = evidence.ledger
    if history is None:
        return Verdict(code, reasons)
    if any(item.disputed for item in history.events):
        reasons = (*reasons, "signature-disputed")
    if history.status == REVOKED:
        return Verdict(REVOKED, ("registration-revoked", *reasons))
    return Verdict(code, (*reasons, *((history.status,) if history.status != "valid" else ())))


def _describe_copies(copies: CopyEvidence | None) -> tuple[str, ...]:
    if copies is None:
        return ()
    named = ("copy-named",) if len(copies.named) == 1 and not copies.several else ()
    mixed = ("copies-mixed",) if copies.several else ()
    return (*named, *mixed, *(("mark-of-another",) if copies.foreign else ()))


def _describe_content(matched: str | None) -> str:
    if matched is None:
        return "digest-unknown"
    return f"{matched}-digest-registered" if matched in RELEASED_DIGESTS else "source-digest-registered"


def _contradicts(evidence: Evidence) -> bool:
    mark = evidence.watermark
    if evidence.copies is not None and any(item.entry_index is None for item in evidence.copies.named):
        return True
    if not mark.found:
        return False
    if mark.track_id is None or mark.opens_commitment is not True:
        return True
    return evidence.content.track_id is not None and evidence.content.track_id != mark.track_id


def _judge_by_mark(
    seconds: float, mark: WatermarkEvidence, track: TrackFacts, *, compared: bool
) -> tuple[str, tuple[str, ...]]:
    """Judge by length and by where the mark is; where the sound was compared, a gap in the mark says
    nothing against it.
    """
    changes: list[str] = []
    notes: tuple[str, ...] = ()
    if abs(mark.speed - 1.0) >= MIN_SPEED_CHANGE:
        changes.append("speed-changed")
    if abs(mark.pitch_semitones) >= MIN_PITCH_SEMITONES:
        changes.append("pitch-changed")
    covered_s = seconds * mark.speed  # in the track's own time
    tolerance_s = max(MIN_TOLERANCE_S, TOLERANCE_SHARE * track.seconds)
    if any(gap.seconds >= MIN_ABSENT_S for gap in mark.absent):
        if not compared:
            return ALTERED, ("mark-in-part", *changes)
        notes = ("mark-in-part",)
    if covered_s > track.seconds + tolerance_s:
        return ALTERED, ("longer-than-track", *changes, *notes)
    if covered_s < track.seconds - tolerance_s:
        return EXCERPT, ("shorter-than-track", *changes, *notes)
    if changes:
        return RETIMED, (*changes, *notes)
    return RE_ENCODED, notes
