"""May this master go out? One verification, its loudness in the same pass, the rules of a policy; signed.

    {"outcome": "fail", "passed": false, "policy": {"name": "streaming", "sha256": ...},
     "rules": [{"rule": "loudness", "enforce": "required", "outcome": "fail",
                "findings": [{"code": "too-loud", "text": ..., "details": {...}}]}, ...],
     "measured": {"integrated_lufs": "-7.12", "range_lu": "4.40", "true_peak_dbtp": "0.31", ...},
     "verification": {"verdict": "exact", ...}, "limits": [...], "time": ...}

No floats in what is signed: levels are decimal text, and compared as they are stated.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ledger
from ledger.event import Event
from ledger.predicate import LICENSED, PREDICATE_BASE
from ledger.publication import read_publication
from watermark.loudness import Loudness, LoudnessMeter

from .custody import check_custody
from .decoding import AudioFormat
from .disclosing import disclose_event, find_registration
from .evidence import Evidence
from .installation import Installation, now
from .margin import parse_margin
from .marking import Block, CancelCheck, Progress, never_cancelled, report_nothing
from .release import name_asset
from .releasepolicy import ReleasePolicy, format_decimal, without_floats
from .releaserules import PASS, Facts, RuleResult, check_rules, weigh
from .report import build_predicate
from .stampedtime import find_stamped
from .verdict import judge
from .verification import collect

RELEASE_TYPE = PREDICATE_BASE + "release-check/v1"
LIMITS = (
    "A check says what was true of this file, by this policy, at this time; not what is logged later.",
    "Rights are those that the ledger records; whether a recording infringes anybody's is not decided here.",
    "Declarations are the issuer's own words: nobody has checked how the recording came to be.",
)


class LevelTap:
    """Measures loudness and peaks while a file is examined; a `marking.Meter`."""

    def __init__(self) -> None:
        self._meter: LoudnessMeter | None = None

    def begin(self, audio_format: AudioFormat) -> None:
        """Learn what blocks will come."""
        self._meter = LoudnessMeter(sample_rate=audio_format.sample_rate, channels=audio_format.channels)

    def push(self, block: Block) -> None:
        """Take the next samples, float32 (channels, n)."""
        assert self._meter is not None
        self._meter.push(block)

    def finish(self) -> Loudness:
        """Return what was measured."""
        assert self._meter is not None
        return self._meter.finish()


@dataclass(frozen=True)
class ReleaseCheck:
    """A check of a release: its outcome, rule by rule, and the signed envelope that says so."""

    outcome: str
    results: tuple[RuleResult, ...]
    predicate: Mapping[str, Any]
    envelope: bytes

    @property
    def passed(self) -> bool:
        """Whether every required rule has passed."""
        return self.outcome == PASS

    def document(self) -> dict[str, Any]:
        """Return the JSON object that is handed out: readable check and signed envelope."""
        return {**self.predicate, "envelope": json.loads(self.envelope)}


def check_release(
    installation: Installation,
    path: Path,
    policy: ReleasePolicy,
    *,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> ReleaseCheck:
    """Say whether a file may be published, by a policy; errors as `verification.verify`."""
    tap = LevelTap()
    _, evidence = collect(installation, path, meters=(tap,), progress=progress, cancelled=cancelled)
    facts = _gather(installation, evidence, tap.finish())
    results = check_rules(policy, facts)
    time = now()
    predicate = {
        "outcome": weigh(results),
        "passed": weigh(results) == PASS,
        "policy": {"name": policy.name, "sha256": policy.sha256(), **_without_name(policy)},
        "rules": [_format_result(item) for item in results],
        "measured": _format_levels(facts.loudness),
        "verification": build_predicate(evidence, facts.verdict, time=time),
        "limits": list(LIMITS),
        "time": time,
    }
    subjects = (
        ledger.Subject("file", bytes.fromhex(evidence.content.file_sha256)),
        ledger.Subject("pcm", bytes.fromhex(evidence.content.pcm_sha256)),
    )
    payload = ledger.build_statement(RELEASE_TYPE, subjects, predicate)
    envelope = ledger.sign_envelope(payload, [installation.keyring.report_signing_key])
    return ReleaseCheck(str(predicate["outcome"]), results, predicate, envelope)


def _gather(installation: Installation, evidence: Evidence, loudness: Loudness) -> Facts:
    """Add to the evidence what the track's proven events say."""
    verdict = judge(evidence)
    track = evidence.track
    if track is None or evidence.ledger is None or evidence.ledger.fault is not None:
        return Facts(evidence, verdict, loudness)
    custody = check_custody(installation.store, installation.public, name_asset(track.track_id))
    event = find_registration(custody.events)
    if custody.evidence.fault is not None or event is None:
        return Facts(evidence, verdict, loudness)
    margin = parse_margin(event.statement.predicate)
    last = custody.evidence.events[-1]
    published = read_publication(
        installation.store, installation.attestations, installation.policy, witnessed=True
    )
    return Facts(
        evidence=evidence,
        verdict=verdict,
        loudness=loudness,
        disclosure=disclose_event(installation, track.track_id, event),
        margin_sufficient=None if margin is None else margin.sufficient,
        witnessed=published is not None and published.witnessed and published.checkpoint.size > last.index,
        time_stamped=find_stamped(installation, last) is not None,
        licences=tuple(dict.fromkeys(_list_licences(custody.events))),
        relations=_list_relations(event),
    )


def _list_licences(events: tuple[Event, ...]) -> list[str]:
    return [
        str(item.statement.predicate["licence"]["class"])
        for item in events
        if item.statement.predicate_type == LICENSED
    ]


def _list_relations(event: Event) -> tuple[str, ...]:
    stated = event.statement.predicate.get("relations")
    items = stated if isinstance(stated, list) else []
    return tuple(dict.fromkeys(str(item.get("relation")) for item in items if isinstance(item, Mapping)))


def _without_name(policy: ReleasePolicy) -> dict[str, Any]:
    document: dict[str, Any] = without_floats(policy.document())
    return {"format": document["format"], "rules": document["rules"]}


def _format_result(result: RuleResult) -> dict[str, Any]:
    return {
        "rule": result.rule,
        "enforce": result.enforce,
        "outcome": result.outcome,
        "findings": [
            {"code": item.code, "outcome": item.outcome, "text": item.text, "details": dict(item.details)}
            for item in result.findings
        ],
    }


def _format_levels(loudness: Loudness) -> dict[str, str | None]:
    levels = {
        "integrated_lufs": loudness.integrated_lufs,
        "range_lu": loudness.range_lu,
        "max_momentary_lufs": loudness.max_momentary_lufs,
        "max_short_term_lufs": loudness.max_short_term_lufs,
        "true_peak_dbtp": loudness.true_peak_dbtp,
        "sample_peak_dbfs": loudness.sample_peak_dbfs,
    }
    return {name: None if value is None else format_decimal(value) for name, value in levels.items()}
