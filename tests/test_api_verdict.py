"""The verdict is a pure function of the evidence: every rule, none stronger than what it rests on."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import verdict as v
from api.evidence import (
    ChangedRange,
    ContentComparison,
    ContentEvidence,
    CustodyEvent,
    Evidence,
    Extent,
    IdentityEvidence,
    LedgerEvidence,
    LedgerFault,
    Likeness,
    Range,
    TrackFacts,
    WatermarkEvidence,
)

HISTORY = LedgerEvidence(
    "test.example/log", 2, "00" * 32, (CustodyEvent(1, "11" * 32, "stamped", "", ("k",)),), None
)
TRACK = TrackFacts("track1", "stamped", 60.0, 44_100, 2, None)
MARK = WatermarkEvidence(
    True, 1e-12, "pn1", track_id="track1", opens_commitment=True, present=(Range(0.0, 60.0),)
)
NO_MARK = WatermarkEvidence(False)


def content(matched: str | None = None, seconds: float = 60.0, damage: str = "") -> ContentEvidence:
    extent = Extent("FLAC", "PCM_24", 44_100, 2, round(seconds * 44_100), damage)
    return ContentEvidence("aa" * 32, "bb" * 32, extent, matched, "track1" if matched else None)


def judge(
    matched: str | None = None,
    mark: WatermarkEvidence = MARK,
    history: LedgerEvidence | None = HISTORY,
    track: TrackFacts | None = TRACK,
    seconds: float = 60.0,
    damage: str = "",
    identity: IdentityEvidence = IdentityEvidence(False),
) -> v.Verdict:
    return v.judge(Evidence(content(matched, seconds, damage), mark, history, track, identity))


def like(track_id: str | None, name: str = "") -> Likeness:
    return Likeness(track_id, name, Range(0.0, 60.0), Range(0.0, 60.0), 1.0, 0.0, 0.1, 1e-12)


def compared(*changes: ChangedRange, intact: bool = True, assessable: bool = True) -> ContentComparison:
    ranges = (Range(0.0, 60.0),) if intact else ()
    return ContentComparison("track1", assessable, "", ranges, changes, foreign=assessable and not intact)


def change(kind: str, seconds: float = 2.0) -> ChangedRange:
    return ChangedRange(kind, Range(10.0, 10.0 + seconds), Range(10.0, 10.0 + seconds), "audible")


def broken(code: str) -> LedgerEvidence:
    return dataclasses.replace(HISTORY, fault=LedgerFault(1, code, "..."))


def standing(status: str) -> LedgerEvidence:
    return dataclasses.replace(HISTORY, status=status)


def disputed() -> LedgerEvidence:
    return dataclasses.replace(HISTORY, events=(dataclasses.replace(HISTORY.events[0], disputed=True),))


def changed(**changes: object) -> WatermarkEvidence:
    return dataclasses.replace(MARK, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "code", "reason"),
    [
        (judge("file"), v.EXACT, "file-digest-registered"),
        (judge("pcm"), v.EXACT, "pcm-digest-registered"),
        (judge("file", NO_MARK), v.MARK_MISSING, "mark-not-found"),
        (judge("pcm", NO_MARK), v.MARK_MISSING, "mark-not-found"),
        (judge("source-file", NO_MARK), v.UNMARKED_ORIGINAL, "source-digest-registered"),
        (judge("source-pcm", NO_MARK), v.UNMARKED_ORIGINAL, "source-digest-registered"),
        (judge(), v.RE_ENCODED, "mark-found"),
        (judge(seconds=60.1), v.RE_ENCODED, "mark-found"),
        (judge(seconds=15.0), v.EXCERPT, "shorter-than-track"),
        (judge(mark=changed(speed=1.05, pitch_semitones=0.84), seconds=15.0), v.EXCERPT, "speed-changed"),
        (judge(mark=changed(speed=1.05), seconds=60 / 1.05), v.RETIMED, "speed-changed"),
        (judge(mark=changed(pitch_semitones=2.0)), v.RETIMED, "pitch-changed"),
        (judge(mark=changed(absent=(Range(16.0, 32.0),))), v.ALTERED, "mark-in-part"),
        (judge(seconds=80.0), v.ALTERED, "longer-than-track"),
        (judge(mark=changed(speed=1.1)), v.ALTERED, "longer-than-track"),
        (judge(mark=changed(track_id=None), history=None, track=None), v.UNKNOWN_MARK, "mark-unknown"),
        (judge(mark=NO_MARK, history=None, track=None), v.NOTHING_FOUND, "digest-unknown"),
        (judge(history=broken("entry-changed"), track=None), v.LEDGER_BROKEN, "entry-changed"),
        (judge(mark=NO_MARK, history=broken("checkpoint-failed")), v.LEDGER_BROKEN, "checkpoint-failed"),
        (judge(history=broken("signer-unknown"), track=None), v.SIGNER_NOT_TRUSTED, "signer-unknown"),
        (judge(mark=changed(opens_commitment=False)), v.LEDGER_BROKEN, "registry-contradicts-ledger"),
        (judge("file", changed(track_id="track2")), v.LEDGER_BROKEN, "registry-contradicts-ledger"),
        (judge("file", changed(track_id=None)), v.LEDGER_BROKEN, "registry-contradicts-ledger"),
        (judge(track=None), v.LEDGER_BROKEN, "statement-malformed"),
        (judge(damage="the stream ends early", seconds=30.0), v.EXCERPT, "file-damaged"),
        (judge("file", history=standing("revoked")), v.REVOKED, "registration-revoked"),
        (judge(history=standing("revoked")), v.REVOKED, "mark-found"),
        (judge("file", history=standing("taken-down")), v.EXACT, "taken-down"),
        (judge(history=standing("contested")), v.RE_ENCODED, "contested"),
        (judge("source-file", NO_MARK, standing("revoked")), v.REVOKED, "source-digest-registered"),
        (judge("file", history=disputed()), v.EXACT, "signature-disputed"),
    ],
)
def test_evidence_gives_its_verdict_and_the_reason(found: v.Verdict, code: str, reason: str) -> None:
    assert found.code == code
    assert reason in found.reasons


def test_every_verdict_and_reason_has_words() -> None:
    assert v.VERDICTS.keys() > v.GOOD
    assert all(text[0].isupper() and text.endswith(".") for text in v.VERDICTS.values())
    assert "does not mean that a person made it" in v.VERDICTS[v.NOTHING_FOUND]


mark_strategy = st.builds(
    WatermarkEvidence,
    found=st.booleans(),
    track_id=st.sampled_from([None, "track1", "track2"]),
    opens_commitment=st.sampled_from([None, True, False]),
    speed=st.floats(0.5, 2.0),
    pitch_semitones=st.floats(-12, 12),
    absent=st.sampled_from([(), (Range(0.0, 16.0),)]),
)


@given(
    mark=mark_strategy,
    matched=st.sampled_from([None, "file", "pcm", "source-file", "source-pcm"]),
    fault=st.sampled_from([None, "entry-changed", "signer-unknown", "history-missing"]),
    seconds=st.floats(0.001, 7200.0),
)
@settings(derandomize=True, max_examples=300)
def test_a_good_verdict_needs_an_unbroken_history_and_an_opened_mark(
    mark: WatermarkEvidence, matched: str | None, fault: str | None, seconds: float
) -> None:
    named = matched is not None or (mark.found and mark.track_id is not None)
    history = (broken(fault) if fault else HISTORY) if named else None
    found = judge(matched, mark, history, TRACK if named and not fault else None, seconds)
    assert set(found.reasons) <= v.REASONS.keys()
    if found.good:
        assert fault is None
        assert mark.found
        assert mark.opens_commitment is True
        assert mark.track_id is not None
    if found.code == v.EXACT:
        assert matched in ("file", "pcm")
    if matched is None and found.code in v.GOOD:
        assert "content-not-compared" in found.reasons


SAME = IdentityEvidence(True, (like("track1"),), compared())
OTHER = IdentityEvidence(True, (like("track2"),), compared(intact=False))


@pytest.mark.parametrize(
    ("found", "code", "reasons"),
    [
        (judge(identity=SAME), v.RE_ENCODED, {"content-matches"}),
        (judge(identity=SAME, seconds=15.0), v.EXCERPT, {"content-matches", "shorter-than-track"}),
        # a gap in the mark over sound that is the track's is no change of the sound
        (
            judge(identity=SAME, mark=changed(absent=(Range(16.0, 32.0),))),
            v.RE_ENCODED,
            {"content-matches", "mark-in-part"},
        ),
        (judge(identity=OTHER), v.MARK_TRANSPLANTED, {"content-foreign", "content-of-other-track"}),
        (
            judge(identity=IdentityEvidence(True, (), compared(intact=False))),
            v.MARK_TRANSPLANTED,
            {"content-foreign"},
        ),
        # the track of the mark was registered before fingerprints were kept
        (
            judge(identity=IdentityEvidence(True, (like("track2"),))),
            v.MARK_CONFLICT,
            {"content-of-other-track"},
        ),
        (judge(identity=IdentityEvidence(True)), v.RE_ENCODED, {"content-not-compared"}),
        (
            judge(identity=IdentityEvidence(True, (), compared(intact=False, assessable=False))),
            v.RE_ENCODED,
            {"content-not-assessable"},
        ),
        (
            judge(identity=IdentityEvidence(True, (), compared(change("replaced"), change("overlaid", 5.0)))),
            v.ALTERED,
            {"change-replaced", "change-overlaid", "content-in-part"},
        ),
        (judge(mark=NO_MARK, identity=SAME), v.MARK_REMOVED, {"content-of-track", "mark-not-found"}),
        (
            judge(
                mark=NO_MARK, history=None, track=None, identity=IdentityEvidence(True, (like(None, "x"),))
            ),
            v.KNOWN_RECORDING,
            {"content-of-known-recording"},
        ),
        (
            judge(mark=NO_MARK, history=None, track=None, identity=IdentityEvidence(True)),
            v.NOTHING_FOUND,
            {"content-unknown"},
        ),
        (
            judge(mark=changed(track_id=None, opens_commitment=None), identity=SAME),
            v.MARK_CONFLICT,
            {"mark-unknown", "content-of-track"},
        ),
        (judge("file", identity=OTHER), v.EXACT, {"file-digest-registered"}),
    ],
)
def test_mark_and_sound_are_weighed_against_each_other(
    found: v.Verdict, code: str, reasons: set[str]
) -> None:
    assert found.code == code
    assert reasons <= set(found.reasons)
    assert set(found.reasons) <= set(v.REASONS)


def test_the_longest_kind_of_change_is_named_first() -> None:
    found = judge(identity=IdentityEvidence(True, (), compared(change("replaced"), change("removed", 9.0))))
    assert found.reasons.index("change-removed") < found.reasons.index("change-replaced")


@pytest.mark.parametrize("code", [v.MARK_REMOVED, v.MARK_TRANSPLANTED, v.MARK_CONFLICT, v.KNOWN_RECORDING])
def test_what_contradicts_itself_is_not_good(code: str) -> None:
    assert code not in v.GOOD
    assert code in v.VERDICTS
