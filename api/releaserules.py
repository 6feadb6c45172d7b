"""The rules of a release, one pure function each, and the codes of what they find.

A rule passes, fails, or cannot be assessed; what cannot be assessed has not passed. Nothing is decided here
that a verification has decided: its verdict, its reasons and its evidence are what the rules are about.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from watermark.loudness import Loudness

from .disclosure import Disclosure
from .evidence import Evidence
from .labelevidence import ABSENT, BROKEN, NOT_READ, UNREADABLE, UNSUPPORTED
from .releasepolicy import ADVISED, NEEDED, OFF, REFUSE, REQUIRED, RULES, ReleasePolicy, format_decimal
from .verdict import Verdict

PASS, FAIL, NOT_ASSESSED = "pass", "fail", "not-assessed"
CODES = {
    "mark-borne-out": (PASS, "the track's mark is in the sound, and a signed entry commits to it"),
    "mark-not-found": (FAIL, "no mark of these keys was found in the sound"),
    "mark-not-borne-out": (FAIL, "the mark in the sound is not the one that a signed entry commits to"),
    "margin-insufficient": (FAIL, "the stamper predicted that the mark may not survive an ordinary MP3"),
    "margin-unknown": (NOT_ASSESSED, "the record does not state how well the mark will hold"),
    "signers-trusted": (PASS, "every entry of the track is signed by keys that are trusted here"),
    "signer-not-trusted": (FAIL, "an entry is signed by a key that is not trusted here"),
    "signature-bad": (FAIL, "an entry's signature does not verify"),
    "signature-in-dispute": (FAIL, "an entry is by a key that was later revoked from there on"),
    "entry-proven": (PASS, "every entry of the track is proven to be in the log"),
    "record-broken": (FAIL, "the track's record does not hold"),
    "not-witnessed": (FAIL, "no quorum of witnesses has cosigned a checkpoint that covers the entries"),
    "not-time-stamped": (FAIL, "no authority has time-stamped a checkpoint that covers the entries"),
    "no-record": (NOT_ASSESSED, "the file could not be tied to a track, so there is no record to look at"),
    "is-the-release": (PASS, "the file verifies as a verdict that the policy allows"),
    "verdict-not-allowed": (FAIL, "the file verifies as another verdict than the policy allows"),
    "delivered-copy": (FAIL, "the file is, or was made from, a copy that names its recipient"),
    "file-damaged": (FAIL, "the file is damaged"),
    "loudness-within": (PASS, "integrated loudness lies within the bounds"),
    "too-quiet": (FAIL, "integrated loudness lies below the lower bound"),
    "too-loud": (FAIL, "integrated loudness lies above the upper bound"),
    "range-too-wide": (FAIL, "the loudness range is wider than the bound"),
    "loudness-not-measurable": (
        NOT_ASSESSED,
        "too quiet, too short, or a layout of channels that is not known",
    ),
    "true-peak-within": (PASS, "the true peak lies below the bound"),
    "true-peak-too-high": (FAIL, "the true peak lies above the bound"),
    "labels-agree": (PASS, "no tag and no credential contradicts the signed entry"),
    "tag-contradicts": (FAIL, "a tag says otherwise than the signed entry"),
    "credential-contradicts": (FAIL, "the C2PA credential says another origin, or is another track's"),
    "credential-broken": (FAIL, "the C2PA credential does not hold: the file was changed after signing"),
    "credential-missing": (FAIL, "the file carries no C2PA credential"),
    "credential-not-logged": (FAIL, "the C2PA credential is not the one that the signed entry states"),
    "tag-not-confirmed": (FAIL, "a tag that the policy asks for is not there, or not borne out by the entry"),
    "labels-unreadable": (NOT_ASSESSED, "tags or credential could not be read"),
    "disclosure-complete": (PASS, "the signed record states all that the policy asks for"),
    "source-type-missing": (FAIL, "the signed record does not state how the recording came to be"),
    "source-type-not-allowed": (FAIL, "the stated source type is not among those that the policy allows"),
    "isrc-missing": (FAIL, "the signed record states no ISRC"),
    "title-missing": (FAIL, "the signed record states no title that opens"),
    "artist-missing": (FAIL, "the signed record states no artist that opens"),
    "rights-in-force": (PASS, "the registration is in force, and nothing in the record stands against it"),
    "registration-revoked": (FAIL, "the registration was revoked"),
    "taken-down": (FAIL, "a notice against the track was upheld"),
    "contested": (FAIL, "a notice against the track is not decided"),
    "licence-missing": (FAIL, "no licence of the classes that the policy asks for is logged"),
    "conflict-stated": (FAIL, "the record says that it conflicts with another known recording"),
    "derivation-stated": (FAIL, "the record says that it is derived from another known recording"),
}
"""Every code: what it makes of its rule, and what it means."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at: a verification's evidence and verdict, and what its track's proven events say.

    `loudness` is of the examined file. `disclosure`, `margin_sufficient`, `licences` and `relations` are of
    the track; None or empty where there is none, or none is stated.
    """

    evidence: Evidence
    verdict: Verdict
    loudness: Loudness
    disclosure: Disclosure | None = None
    margin_sufficient: bool | None = None
    witnessed: bool = False
    time_stamped: bool = False
    licences: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something that a rule found: a code of CODES, and the figures or words behind it (JSON, no floats)."""

    code: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """What it makes of its rule."""
        return CODES[self.code][0]

    @property
    def text(self) -> str:
        """What it means."""
        return CODES[self.code][1]


@dataclass(frozen=True)
class RuleResult:
    """A rule's outcome, and all that it found, worst first."""

    rule: str
    enforce: str
    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> str:
        """The worst of its findings."""
        return max((item.outcome for item in self.findings), key=_RANK.__getitem__)


_RANK = {PASS: 0, NOT_ASSESSED: 1, FAIL: 2}


def check_rules(policy: ReleasePolicy, facts: Facts) -> tuple[RuleResult, ...]:
    """Return the result of every rule that the policy does not switch off."""
    results = []
    for rule in RULES:
        settings = getattr(policy, rule.replace("-", "_"))
        if settings.enforce != OFF:
            found = sorted(_CHECKS[rule](settings, facts), key=lambda item: -_RANK[item.outcome])
            results.append(RuleResult(rule, settings.enforce, tuple(found)))
    return tuple(results)


def weigh(results: tuple[RuleResult, ...]) -> str:
    """Return the outcome of a release: the worst among the rules that are required."""
    outcomes = [item.outcome for item in results if item.enforce == REQUIRED]
    return max(outcomes, key=_RANK.__getitem__, default=NOT_ASSESSED)


def list_advice(results: tuple[RuleResult, ...]) -> tuple[RuleResult, ...]:
    """Return the rules that are only advised, and have not passed."""
    return tuple(item for item in results if item.enforce == ADVISED and item.outcome != PASS)


def _has_record(facts: Facts) -> bool:
    return facts.evidence.ledger is not None and facts.evidence.ledger.fault is None


def _check_stamped(settings: Any, facts: Facts) -> Iterator[Finding]:
    mark = facts.evidence.watermark
    if not mark.found:
        yield Finding("mark-not-found")
    elif mark.opens_commitment is not True:
        yield Finding("mark-not-borne-out", {"track_id": mark.track_id})
    else:
        yield Finding("mark-borne-out", {"track_id": mark.track_id})
    if settings.margin == "sufficient" and facts.margin_sufficient is not True:
        yield Finding("margin-unknown" if facts.margin_sufficient is None else "margin-insufficient")


def _check_signed(_settings: Any, facts: Facts) -> Iterator[Finding]:
    history = facts.evidence.ledger
    if history is None:
        yield Finding("no-record")
    elif history.fault is not None:
        code = {"signer-unknown": "signer-not-trusted", "signature-failed": "signature-bad"}
        yield Finding(code.get(history.fault.code, "record-broken"), _blame(facts))
    elif any(item.disputed for item in history.events):
        yield Finding("signature-in-dispute", {"entries": [e.index for e in history.events if e.disputed]})
    else:
        yield Finding("signers-trusted", {"key_ids": sorted({k for e in history.events for k in e.key_ids})})


def _check_logged(settings: Any, facts: Facts) -> Iterator[Finding]:
    history = facts.evidence.ledger
    if history is None:
        yield Finding("no-record")
        return
    if history.fault is not None:
        yield Finding("record-broken", _blame(facts))
        return
    yield Finding("entry-proven", {"entries": [item.index for item in history.events], "log": history.origin})
    if settings.witnessed and not facts.witnessed:
        yield Finding("not-witnessed")
    if settings.time_stamped and not facts.time_stamped:
        yield Finding("not-time-stamped")


def _blame(facts: Facts) -> dict[str, Any]:
    fault = facts.evidence.ledger.fault if facts.evidence.ledger is not None else None
    return {} if fault is None else {"entry": fault.index, "reason": fault.code}


def _check_unaltered(settings: Any, facts: Facts) -> Iterator[Finding]:
    code = facts.verdict.code
    allowed = code in settings.verdicts
    yield Finding("is-the-release" if allowed else "verdict-not-allowed", {"verdict": code})
    copies = facts.evidence.copies
    if settings.copies == REFUSE and copies is not None and copies.named:
        yield Finding("delivered-copy", {"copies": [item.copy_id for item in copies.named]})
    if facts.evidence.content.extent.damage:
        yield Finding("file-damaged", {"damage": facts.evidence.content.extent.damage})


def _check_loudness(settings: Any, facts: Facts) -> Iterator[Finding]:
    measured = facts.loudness.integrated_lufs
    if measured is None:
        yield Finding("loudness-not-measurable", {"channels": facts.evidence.content.extent.channels})
        return
    stated = round(measured, 2)
    details = {"integrated_lufs": format_decimal(stated)}
    if settings.min_lufs is not None and stated < settings.min_lufs:
        yield Finding("too-quiet", {**details, "min_lufs": format_decimal(settings.min_lufs)})
    elif settings.max_lufs is not None and stated > settings.max_lufs:
        yield Finding("too-loud", {**details, "max_lufs": format_decimal(settings.max_lufs)})
    else:
        yield Finding("loudness-within", details)
    width = facts.loudness.range_lu
    if settings.max_range_lu is None:
        return
    if width is None:
        yield Finding("loudness-not-measurable")
    elif round(width, 2) > settings.max_range_lu:
        bound = format_decimal(settings.max_range_lu)
        yield Finding("range-too-wide", {"range_lu": format_decimal(width), "max_range_lu": bound})


def _check_true_peak(settings: Any, facts: Facts) -> Iterator[Finding]:
    peak = facts.loudness.true_peak_dbtp
    within = peak <= settings.max_dbtp or round(peak, 2) <= settings.max_dbtp
    details = {"true_peak_dbtp": format_decimal(peak), "max_dbtp": format_decimal(settings.max_dbtp)}
    yield Finding("true-peak-within" if within else "true-peak-too-high", details)


def _check_metadata(settings: Any, facts: Facts) -> Iterator[Finding]:
    if not _has_record(facts) or facts.disclosure is None:
        yield Finding("no-record")
        return
    tags, credential = facts.evidence.tags, facts.evidence.credential
    found = [
        Finding(
            "tag-contradicts", {"field": x.field, "where": x.carrier, "found": x.found, "stated": x.stated}
        )
        for x in tags.contradicted
    ]
    if tags.state in (UNREADABLE, NOT_READ) or credential.state in (UNREADABLE, NOT_READ):
        found.append(Finding("labels-unreadable", {"tags": tags.state, "credential": credential.state}))
    if credential.contradicted or credential.other_track:
        found.append(Finding("credential-contradicts", {"signer": credential.signer}))
    if settings.credential == NEEDED:
        found.extend(_need_credential(credential))
    found.extend(
        Finding("tag-not-confirmed", {"field": name})
        for name in settings.confirmed
        if name not in tags.confirmed
    )
    yield from found or [Finding("labels-agree", {"confirmed": list(tags.confirmed)})]


def _need_credential(credential: Any) -> Iterator[Finding]:
    if credential.state in (ABSENT, UNSUPPORTED):
        yield Finding("credential-missing", {"released_with": credential.expected_id})
    elif credential.state == BROKEN:
        yield Finding("credential-broken", {"codes": list(credential.codes)})
    elif credential.logged is not True and credential.state not in (UNREADABLE, NOT_READ):
        yield Finding("credential-not-logged", {"manifest_id": credential.manifest_id})


def _check_disclosure(settings: Any, facts: Facts) -> Iterator[Finding]:
    stated = facts.disclosure
    if stated is None:
        yield Finding("no-record")
        return
    values = {
        "source-type": stated.source_type,
        "isrc": stated.isrc,
        "title": stated.title,
        "artist": stated.artist,
    }
    found = [Finding(f"{name}-missing") for name in settings.fields if values[name] is None]
    if settings.source_types and stated.source_type is not None:
        term = stated.source_type.rsplit("/", 1)[-1]
        if term not in settings.source_types:
            found.append(Finding("source-type-not-allowed", {"source_type": term}))
    details = {"contains_ai": stated.share, "source_type": stated.source_type, "isrc": stated.isrc}
    yield from found or [Finding("disclosure-complete", details)]


def _check_rights(settings: Any, facts: Facts) -> Iterator[Finding]:
    history = facts.evidence.ledger
    if history is None or history.fault is not None:
        yield Finding("no-record")
        return
    found = []
    status = {"revoked": "registration-revoked"}.get(history.status, history.status)
    if status != "valid":
        found.append(Finding(status))
    if settings.licences and not set(settings.licences) & set(facts.licences):
        found.append(Finding("licence-missing", {"logged": list(facts.licences)}))
    if settings.conflicts == REFUSE and "conflicts-with" in facts.relations:
        found.append(Finding("conflict-stated"))
    if settings.derived == REFUSE and "derived-from" in facts.relations:
        found.append(Finding("derivation-stated"))
    yield from found or [Finding("rights-in-force", {"licences": list(facts.licences)})]


_CHECKS: Mapping[str, Callable[[Any, Facts], Iterator[Finding]]] = {
    "stamped": _check_stamped,
    "signed": _check_signed,
    "logged": _check_logged,
    "unaltered": _check_unaltered,
    "loudness": _check_loudness,
    "true-peak": _check_true_peak,
    "metadata": _check_metadata,
    "disclosure": _check_disclosure,
    "rights": _check_rights,
}
