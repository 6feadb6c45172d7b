"""The check before publication: each rule by its evidence, policies to the letter, one command, one call."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Shell, Stamped
from hypothesis import given, settings
from hypothesis import strategies as st
from report_world import EVENT, FACTS, HISTORY, TIME, TRACK, make_content, make_evidence

from api.disclosure import Disclosure
from api.errors import MissingError, RefusedError
from api.evidence import CopyEvidence, Evidence, NamedCopy
from api.labelevidence import CredentialEvidence, TagEvidence
from api.outcomes import BAD, USAGE
from api.releasepolicy import (
    ADVISED,
    BUILT_IN,
    FORMAT,
    OFF,
    RULES,
    LoudnessRule,
    ReleasePolicy,
    find_policy,
    parse_policy,
)
from api.releaserules import CODES, FAIL, NOT_ASSESSED, PASS, Facts, check_rules, list_advice, weigh
from api.verdict import judge
from watermark.loudness import Loudness

LOUD = Loudness(-14.0, 6.0, -10.0, -12.0, -1.5, -1.8)
DISCLOSED = Disclosure(
    track_id=TRACK,
    log="test.example/log",
    provider="test",
    created=TIME,
    milliseconds=60_000,
    pcm_sha256="22" * 32,
    source_type="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    title="Song",
    artist="Band",
    isrc="NLA012600001",
)
LABELS: dict[str, Any] = {
    "tags": TagEvidence("present", "", 4, (), ("isrc", "title")),
    "credential": CredentialEvidence("trusted", manifest_id="urn:c2pa:1", ours=True, logged=True),
}
EVIDENCE = make_evidence()
RELEASE = dataclasses.replace(EVIDENCE["exact"], **LABELS)


def make_facts(evidence: Evidence = RELEASE, **more: Any) -> Facts:
    """A release that passes everything, but for what is given."""
    plain: dict[str, Any] = {"loudness": LOUD, "disclosure": DISCLOSED, "margin_sufficient": True}
    return Facts(evidence, judge(evidence), **{**plain, **more})


def find_codes(policy: ReleasePolicy, facts: Facts) -> dict[str, list[str]]:
    return {item.rule: [found.code for found in item.findings] for item in check_rules(policy, facts)}


def make_policy(**rules: Any) -> ReleasePolicy:
    named = {name.replace("_", "-"): value for name, value in rules.items()}
    return parse_policy(json.dumps({"format": FORMAT, "name": "test", "rules": named}).encode())


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_release_in_order_passes_every_rule(name: str) -> None:
    level = dataclasses.replace(LOUD, integrated_lufs=-23.0 if name == "broadcast" else -14.0)
    results = check_rules(BUILT_IN[name], make_facts(loudness=level))
    assert [item.rule for item in results] == list(RULES)
    assert {item.outcome for item in results} == {PASS}
    assert weigh(results) == PASS


@pytest.mark.parametrize("code", sorted(set(EVIDENCE) - {"exact"}))
def test_nothing_but_the_release_itself_passes_by_default(code: str) -> None:
    evidence = dataclasses.replace(EVIDENCE[code])
    track = evidence.track is not None
    facts = make_facts(evidence, disclosure=DISCLOSED if track else None)
    results = check_rules(BUILT_IN["default"], facts)
    assert weigh(results) == FAIL
    by_rule = {item.rule: item.outcome for item in results}
    assert by_rule["unaltered"] == FAIL
    if not track:
        assert by_rule["rights"] == NOT_ASSESSED


FAULTS: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("stamped", {}, {"evidence": EVIDENCE["mark-missing"]}, ["mark-not-found"]),
    ("stamped", {}, {"evidence": EVIDENCE["unknown-mark"]}, ["mark-not-borne-out"]),
    (
        "stamped",
        {"margin": "sufficient"},
        {"margin_sufficient": False},
        ["margin-insufficient", "mark-borne-out"],
    ),
    ("stamped", {"margin": "sufficient"}, {"margin_sufficient": None}, ["margin-unknown", "mark-borne-out"]),
    ("signed", {}, {"evidence": EVIDENCE["signer-not-trusted"]}, ["signer-not-trusted"]),
    ("signed", {}, {"evidence": EVIDENCE["ledger-broken"]}, ["record-broken"]),
    ("signed", {}, {"evidence": EVIDENCE["nothing-found"]}, ["no-record"]),
    ("logged", {}, {"evidence": EVIDENCE["ledger-broken"]}, ["record-broken"]),
    ("logged", {"witnessed": True}, {}, ["not-witnessed", "entry-proven"]),
    ("logged", {"witnessed": True}, {"witnessed": True}, ["entry-proven"]),
    ("logged", {"time_stamped": True}, {}, ["not-time-stamped", "entry-proven"]),
    ("unaltered", {}, {"evidence": EVIDENCE["altered"]}, ["verdict-not-allowed"]),
    (
        "unaltered",
        {"verdicts": ["exact", "re-encoded"]},
        {"evidence": EVIDENCE["re-encoded"]},
        ["is-the-release"],
    ),
    ("loudness", {"min_lufs": -13.99}, {}, ["too-quiet"]),
    ("loudness", {"max_lufs": -14.01}, {}, ["too-loud"]),
    ("loudness", {"min_lufs": -14, "max_lufs": -14}, {}, ["loudness-within"]),
    ("loudness", {"max_range_lu": 5.99}, {}, ["range-too-wide", "loudness-within"]),
    ("true-peak", {"max_dbtp": -1.51}, {}, ["true-peak-too-high"]),
    ("true-peak", {"max_dbtp": -1.5}, {}, ["true-peak-within"]),
    ("metadata", {}, {"evidence": EVIDENCE["metadata-forged"]}, ["tag-contradicts"]),
    ("metadata", {"confirmed": ["artist"]}, {}, ["tag-not-confirmed"]),
    (
        "disclosure",
        {"fields": ["isrc"]},
        {"disclosure": dataclasses.replace(DISCLOSED, isrc=None)},
        ["isrc-missing"],
    ),
    (
        "disclosure",
        {},
        {"disclosure": dataclasses.replace(DISCLOSED, source_type=None)},
        ["source-type-missing"],
    ),
    ("disclosure", {"source_types": ["digitalCapture"]}, {}, ["source-type-not-allowed"]),
    ("rights", {}, {"evidence": EVIDENCE["revoked"]}, ["registration-revoked"]),
    ("rights", {"licences": ["sync"]}, {"licences": ("master",)}, ["licence-missing"]),
    ("rights", {"licences": ["sync"]}, {"licences": ("sync",)}, ["rights-in-force"]),
    ("rights", {}, {"relations": ("conflicts-with",)}, ["conflict-stated"]),
    ("rights", {"derived": "refuse"}, {"relations": ("derived-from",)}, ["derivation-stated"]),
]


@pytest.mark.parametrize(("rule", "asked", "facts", "codes"), FAULTS)
def test_each_rule_finds_what_it_is_for(
    rule: str, asked: dict[str, Any], facts: dict[str, Any], codes: list[str]
) -> None:
    assert find_codes(make_policy(**{rule.replace("-", "_"): asked}), make_facts(**facts))[rule] == codes


@pytest.mark.parametrize("status", ["contested", "taken-down"])
def test_a_track_under_a_notice_is_not_published(status: str) -> None:
    evidence = dataclasses.replace(RELEASE, ledger=dataclasses.replace(HISTORY, status=status))
    assert find_codes(BUILT_IN["default"], make_facts(evidence))["rights"] == [status]


def test_a_signature_in_dispute_is_not_trusted() -> None:
    history = dataclasses.replace(HISTORY, events=(dataclasses.replace(EVENT, disputed=True),))
    evidence = dataclasses.replace(RELEASE, ledger=history)
    assert find_codes(BUILT_IN["default"], make_facts(evidence))["signed"] == ["signature-in-dispute"]


def test_a_delivered_copy_is_no_master() -> None:
    copies = CopyEvidence((NamedCopy("a" * 16, 3, "digest", 1.0),), candidates=2)
    found = find_codes(BUILT_IN["default"], make_facts(dataclasses.replace(RELEASE, copies=copies)))
    assert found["unaltered"] == ["delivered-copy", "is-the-release"]
    allowed = make_policy(unaltered={"copies": "allow"})
    assert find_codes(allowed, make_facts(dataclasses.replace(RELEASE, copies=copies)))["unaltered"] == [
        "is-the-release"
    ]


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        (CredentialEvidence("absent", expected_id="urn:c2pa:1"), "credential-missing"),
        (CredentialEvidence("broken", codes=("assertion.dataHash.mismatch",)), "credential-broken"),
        (CredentialEvidence("valid", manifest_id="urn:c2pa:2", logged=False), "credential-not-logged"),
        (CredentialEvidence("unreadable", "no"), "labels-unreadable"),
    ],
)
def test_the_logged_credential_is_asked_for(credential: CredentialEvidence, code: str) -> None:
    evidence = dataclasses.replace(RELEASE, credential=credential)
    policy = make_policy(metadata={"credential": "required"})
    assert find_codes(policy, make_facts(evidence))["metadata"] == [code]


def test_what_cannot_be_measured_has_not_passed() -> None:
    silent = Loudness(None, None, None, None, float("-inf"), float("-inf"))
    results = check_rules(BUILT_IN["streaming"], make_facts(loudness=silent))
    outcomes = {item.rule: item.outcome for item in results}
    assert outcomes["loudness"] == NOT_ASSESSED
    assert outcomes["true-peak"] == PASS
    assert weigh(results) == NOT_ASSESSED


def test_advice_does_not_decide_and_nothing_required_is_no_pass() -> None:
    loud = dataclasses.replace(LOUD, integrated_lufs=-3.0, true_peak_dbtp=1.2)
    results = check_rules(BUILT_IN["default"], make_facts(loudness=loud))
    assert weigh(results) == PASS
    assert {item.rule for item in list_advice(results)} == {"loudness", "true-peak"}
    advised = make_policy(**{rule.replace("-", "_"): {"enforce": ADVISED} for rule in RULES})
    assert weigh(check_rules(advised, make_facts())) == NOT_ASSESSED
    off = make_policy(**{rule.replace("-", "_"): {"enforce": OFF} for rule in RULES})
    assert check_rules(off, make_facts()) == ()


def test_every_code_can_be_found_by_a_rule_and_is_in_the_document() -> None:
    text = (Path(__file__).parent.parent / "docs" / "release.md").read_text(encoding="utf-8")
    written = dict(re.findall(r"^\| `([a-z-]+)` \| (pass|fail|not-assessed) \|", text, re.M))
    assert written == {code: outcome for code, (outcome, _) in CODES.items()}
    named = set(re.findall(r"^\| `([a-z-]+)`: ", text, re.M))
    assert named == set(RULES)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_policy_in_full_reads_back_as_itself(name: str) -> None:
    document = {**BUILT_IN[name].document(), "name": "copy"}
    again = parse_policy(json.dumps(document).encode())
    assert dataclasses.replace(again, name=name) == BUILT_IN[name]
    assert again.sha256() != BUILT_IN[name].sha256()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected an object"),
        ("{", "JSON"),
        ('{"format": "provenote-release-policy/2", "name": "a"}', "expected format"),
        ('{"format": "%s", "name": "A"}', "name"),
        ('{"format": "%s", "name": "default"}', "built-in"),
        ('{"format": "%s", "name": "a", "rule": {}}', "unknown 'rule'"),
        ('{"format": "%s", "name": "a", "rules": {"stampd": {}}}', "unknown 'stampd'"),
        ('{"format": "%s", "name": "a", "rules": {"loudness": {"max": -9}}}', "unknown 'max'"),
        ('{"format": "%s", "name": "a", "rules": {"loudness": {"max_lufs": "-9"}}}', "number"),
        ('{"format": "%s", "name": "a", "rules": {"loudness": {"max_lufs": NaN}}}', "NaN"),
        ('{"format": "%s", "name": "a", "rules": {"loudness": {"max_lufs": true}}}', "number"),
        ('{"format": "%s", "name": "a", "rules": {"loudness": {"min_lufs": -5, "max_lufs": -9}}}', "below"),
        ('{"format": "%s", "name": "a", "rules": {"true-peak": {"max_dbtp": null}}}', "number"),
        ('{"format": "%s", "name": "a", "rules": {"rights": {"enforce": "maybe"}}}', "expected one of"),
        ('{"format": "%s", "name": "a", "rules": {"unaltered": {"verdicts": ["altered"]}}}', "known words"),
        ('{"format": "%s", "name": "a", "rules": {"unaltered": {"verdicts": []}}}', "one at least"),
        ('{"format": "%s", "name": "a", "rules": {"logged": {"witnessed": 1}}}', "true or false"),
        ('{"format": "%s", "name": "a", "rules": {}, "rules": {}}', "member once"),
        ('{"format": "%s", "name": "a", "rules": {"loudness": {"max_lufs": 1e999}}}', "number"),
    ],
)
def test_a_policy_that_is_not_one_is_refused(text: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        parse_policy(text.replace("%s", FORMAT).encode())


@given(st.binary(max_size=200))
@settings(derandomize=True, max_examples=100)
def test_any_bytes_are_a_policy_or_refused(content: bytes) -> None:
    with pytest.raises(RefusedError):
        parse_policy(content)


def test_policies_are_found_by_name_and_no_path_is_a_name(tmp_path: Path) -> None:
    own = {"format": FORMAT, "name": "house", "rules": {"loudness": {"enforce": "off"}}}
    (tmp_path / "house.json").write_text(json.dumps(own), encoding="utf-8")
    assert find_policy("house", tmp_path).loudness == LoudnessRule(OFF)
    assert find_policy("streaming", tmp_path) is BUILT_IN["streaming"]
    for name in ("nothing", "../house", "house.json", ""):
        with pytest.raises(MissingError):
            find_policy(name, tmp_path)


def test_the_command_checks_a_file_and_signs_what_it_found(
    shell: Shell, stamped_once: Stamped, tmp_path: Path
) -> None:
    home = ("--home", stamped_once.home)
    kept = tmp_path / "check.json"
    found = shell.json("check-release", stamped_once.audio, "--report", kept, *home, code=BAD)
    failed = {item["rule"] for item in found["rules"] if item["outcome"] != "pass"}
    assert failed == {"disclosure"}  # nothing was declared when it was stamped
    assert found["verification"]["verdict"] == "exact"
    assert float(found["measured"]["true_peak_dbtp"]) == pytest.approx(-6, abs=0.5)
    assert -30 < float(found["measured"]["integrated_lufs"]) < -8
    checked = shell.json("check-report", kept, "--file", stamped_once.audio, *home)
    assert checked["report"]["policy"]["sha256"] == BUILT_IN["default"].sha256()

    policy = tmp_path / "policy.json"
    rules = {"disclosure": {"fields": []}, "metadata": {"credential": "required"}}
    policy.write_text(json.dumps({"format": FORMAT, "name": "house", "rules": rules}), encoding="utf-8")
    code, text = shell("check-release", stamped_once.audio, "--policy", policy, *home)
    assert code == 0, text
    assert "may be published by policy house" in text
    code, text = shell("release-policy", policy, *home)
    assert json.loads(text)["rules"]["metadata"] == {
        "enforce": "required",
        "credential": "required",
        "confirmed": [],
    }
    policy.write_text("{}", encoding="utf-8")
    assert shell("check-release", stamped_once.audio, "--policy", policy, *home)[0] == USAGE


def test_the_evidence_of_these_tests_is_of_a_release() -> None:
    assert make_content("file").matched == "file"
    assert FACTS.track_id == TRACK
