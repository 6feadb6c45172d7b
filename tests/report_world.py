"""Reports of every kind, without audio: evidence put together by hand, judged and signed as any other."""

import ledger
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
from api.labelevidence import Contradiction, CredentialEvidence, TagEvidence
from api.report import Report, sign_report
from api.verdict import Verdict, judge
from ledger.predicate import STAMPED
from watermark.identity.outcome import CHANGE_KINDS

TRACK = "k3t5mz7qa2xw4hbn"
TIME = "2026-11-28T12:00:00Z"
REPORT_KEY = ledger.SigningKey.generate()
EXTENT = Extent("FLAC", "PCM_24", 44_100, 2, 60 * 44_100, "")
FACTS = TrackFacts(TRACK, "stamped", 60.0, 44_100, 2, None)
EVENT = CustodyEvent(1, "ab" * 32, STAMPED, TIME, ("kid" + "A" * 40,))
HISTORY = LedgerEvidence("test.example/log", 2, "cd" * 32, (EVENT,), None)
LIKE = Likeness(TRACK, "song", Range(0, 20), Range(5, 25), 1.0, 0.0, 0.02, 1e-20)
INTACT = ContentComparison(TRACK, True, "", (Range(0, 60),), ())
MARK = WatermarkEvidence(True, 1e-30, "pn2", False, False, TRACK, True, present=(Range(0, 60),))


def make_content(matched: str | None = None, extent: Extent = EXTENT) -> ContentEvidence:
    """Digests, and what they match."""
    return ContentEvidence("11" * 32, "22" * 32, extent, matched, TRACK if matched else None)


def make_changes() -> ContentComparison:
    """Every kind of change, one after the other."""
    changed = tuple(
        ChangedRange(kind, Range(10.0 * n, 10.0 * n + 4), Range(10.0 * n + 1, 10.0 * n + 5), "audible")
        for n, kind in enumerate(CHANGE_KINDS)
    )
    return ContentComparison(TRACK, True, "", (Range(4, 10), Range(14, 20)), changed)


def make_evidence() -> dict[str, Evidence]:
    """Evidence by the verdict that follows from it, for every verdict there is."""
    plain, nothing = IdentityEvidence(True, (LIKE,), INTACT), WatermarkEvidence(False)
    known = Likeness(None, "<b>Known & loved</b>", Range(0, 9), Range(0, 9), 1.0, 0.0, 0.02, 1e-20)
    short = make_content(extent=Extent("MP3", "MPEG_LAYER_III", 44_100, 1, 20 * 44_100, ""))
    faster = make_content(extent=Extent("WAV", "PCM_16", 44_100, 2, round(60 * 44_100 / 1.05), ""))
    other = "abcdefghijklmnop"
    forged = TagEvidence("present", "", 3, (Contradiction("title", "id3", "<script>x</script>日", "Song"),))
    broken = LedgerEvidence("test.example/log", 2, "cd" * 32, (), LedgerFault(1, "entry-changed", "changed"))
    stranger = LedgerEvidence("test.example/log", 2, "cd" * 32, (), LedgerFault(1, "signer-unknown", "who"))
    revoked = LedgerEvidence("test.example/log", 2, "cd" * 32, (EVENT,), None, "revoked")
    foreign = ContentComparison(TRACK, True, "", (), (), foreign=True)
    fast = WatermarkEvidence(True, 1e-30, "pn2", False, True, TRACK, True, 1.05, 0.84, (Range(0, 60),))
    of_other = IdentityEvidence(True, (Likeness(other, "o", *[Range(0, 9)] * 2, 1.0, 0.0, 0.02, 1e-20),))
    return {
        "exact": Evidence(make_content("file"), MARK, HISTORY, FACTS, plain),
        "re-encoded": Evidence(make_content(), MARK, HISTORY, FACTS, plain),
        "retimed": Evidence(faster, fast, HISTORY, FACTS, plain),
        "excerpt": Evidence(short, MARK, HISTORY, FACTS, plain),
        "altered": Evidence(
            make_content(), MARK, HISTORY, FACTS, IdentityEvidence(True, (LIKE,), make_changes())
        ),
        "mark-removed": Evidence(make_content(), nothing, HISTORY, FACTS, plain),
        "mark-transplanted": Evidence(
            make_content(), MARK, HISTORY, FACTS, IdentityEvidence(True, (), foreign)
        ),
        "mark-conflict": Evidence(make_content(), MARK, HISTORY, FACTS, of_other),
        "known-recording": Evidence(make_content(), nothing, None, None, IdentityEvidence(True, (known,))),
        "unknown-mark": Evidence(
            make_content(), WatermarkEvidence(True, 1e-9, "pn2"), None, None, IdentityEvidence(True)
        ),
        "mark-missing": Evidence(make_content("pcm"), nothing, HISTORY, FACTS, plain),
        "unmarked-original": Evidence(make_content("source-file"), nothing, HISTORY, FACTS, plain),
        "ledger-broken": Evidence(make_content("file"), MARK, broken, None, IdentityEvidence(True)),
        "signer-not-trusted": Evidence(make_content("file"), MARK, stranger, None, IdentityEvidence(True)),
        "metadata-forged": Evidence(
            make_content(),
            MARK,
            HISTORY,
            FACTS,
            plain,
            tags=forged,
            credential=CredentialEvidence("broken", codes=("assertion.dataHash.mismatch",)),
        ),
        "revoked": Evidence(make_content("file"), MARK, revoked, FACTS, plain),
        "nothing-found": Evidence(make_content(), nothing, None, None, IdentityEvidence(True)),
    }


def make_report(evidence: Evidence, *, coarse: bool = False) -> Report:
    """Judge and sign evidence."""
    verdict: Verdict = judge(evidence)
    return sign_report(evidence, verdict, time=TIME, signing_key=REPORT_KEY, coarse=coarse)
