"""The case file: what it proves offline, and that whatever is changed in it is found out."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import case_forms
import pytest
from conftest import Shell, Stamped
from ledger_world import sha

import ledger
from api import casework
from api.caseexamination import examine_clip
from api.casefile import CASE_FILE_TYPE, format_row, freeze_case
from api.casefilecheck import CaseFileError, check_case_file
from api.caseintake import accept_case, open_case
from api.forgetting import forget_person
from api.installation import open_installation
from api.keyring import PublicKeys, format_public_keys
from api.notices import CounterNotice, Notice
from api.outcomes import BAD, GOOD
from api.reasons import Reasons
from api.settings import read_settings
from ledger.canonical import format_json
from ledger.envelope import parse_envelope

REASONS = Reasons.model_validate(case_forms.REASONS)
Files = dict[str, bytes]


@dataclass(frozen=True)
class Frozen:
    """A ledger folder with one decided case: its case file opened and closed, the track's bundle before the
    decision, the ledger's public keys.
    """

    home: Path
    case_id: str
    person: str
    track_id: str
    opened: bytes
    closed: bytes
    early: bytes
    public: PublicKeys


@pytest.fixture(scope="module")
def frozen(stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory) -> Frozen:
    home = tmp_path_factory.mktemp("casefile") / "ledger"
    shutil.copytree(stamped_once.home, home)
    with open_installation(read_settings(home, {})) as desk:
        case_id = open_case(desk, Notice.model_validate(case_forms.NOTICE)).case_id
        examine_clip(desk, case_id, stamped_once.audio)  # names the track
        accept_case(desk, case_id)
        casework.counter_case(desk, case_id, CounterNotice.model_validate(case_forms.COUNTER_NOTICE))
        casework.note_court_action(desk, case_id, "1:26-cv-01234")
        early = ledger.make_bundle(desk.store, f"track:{stamped_once.track_id}")
        casework.decide_case(desk, case_id, "upheld", "court", reasons=REASONS)
        closed = freeze_case(desk, case_id)
        opened = freeze_case(desk, case_id, opened=True)
        person = desk.cases.get_case(case_id).person
        return Frozen(home, case_id, person, stamped_once.track_id, opened, closed, early, desk.public)


def unpack(content: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def sign_again(content: Files, signing_key: ledger.SigningKey, **changes: object) -> Files:
    """Return the files with listing and manifest made to fit, as a forger with a key of their own would."""
    others = {name: content[name] for name in sorted(content) if name not in ("manifest.json", "files.jsonl")}
    listing = b"".join(format_row(name, data) + b"\n" for name, data in others.items())
    stated = json.loads(parse_envelope(content["manifest.json"]).unverified_payload)["predicate"]
    facts = {**stated, "files": len(others), **changes}
    subject = ledger.Subject("files", hashlib.sha256(listing).digest())
    payload = ledger.build_statement(CASE_FILE_TYPE, (subject,), facts)
    manifest = ledger.sign_envelope(payload, [signing_key])
    return {"manifest.json": manifest, "files.jsonl": listing, **others}


def issuer_of(frozen: Frozen) -> ledger.SigningKey:
    with open_installation(read_settings(frozen.home, {})) as desk:
        return desk.keyring.issuer_signing_key


def test_a_case_file_proves_steps_report_and_events(frozen: Frozen) -> None:
    report = check_case_file(frozen.closed, public=frozen.public)
    assert (report.case_id, report.state.status, report.pinned) == (frozen.case_id, "upheld", True)
    assert [step.step for step in report.steps] == [
        "received", "checked", "examined", "accepted", "countered", "court-action", "decided",
    ]  # fmt: skip
    assert [(item.step, item.event) for item in report.logged] == [
        (3, "notice"),
        (4, "counter-notice"),
        (6, "decision"),
    ]
    assert (report.reports, report.opened, report.closed) == (1, 0, 4)
    opened = check_case_file(frozen.opened)
    assert (opened.pinned, opened.opened, opened.closed) == (False, 4, 0)
    assert opened.steps[-1].step == "frozen"  # the first export is in the second


def test_a_closed_case_file_holds_nobody_s_data(frozen: Frozen) -> None:
    content = b"".join(unpack(frozen.closed).values())
    opened = b"".join(unpack(frozen.opened).values())
    for text in (b"Ann Holder", b"Bob Player", b"1:26-cv-01234"):
        assert text not in content
        assert text in opened
    letters = {name for name in unpack(frozen.opened) if name.startswith("letters/")}
    assert letters == {"letters/receipt.txt", "letters/decision.txt", "letters/reasons.txt"}


def test_every_member_that_is_changed_missing_or_added_is_named(frozen: Frozen) -> None:
    files = unpack(frozen.opened)
    for name, content in files.items():
        changed = {**files, name: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]}
        with pytest.raises(CaseFileError) as caught:
            check_case_file(pack(changed), public=frozen.public)
        expected = {"manifest.json": "manifest", "files.jsonl": "manifest"}.get(name, "files")
        assert caught.value.code in (expected, "form"), name
        if expected == "files":
            assert caught.value.code == "form" or name in str(caught.value)
        without = {other: files[other] for other in files if other != name}
        with pytest.raises(CaseFileError):
            check_case_file(pack(without), public=frozen.public)
    for extra, code in (
        ("letters/extra.txt", "files"),
        ("../../etc/passwd", "form"),
        ("steps/x.json", "form"),
    ):
        with pytest.raises(CaseFileError) as caught:
            check_case_file(pack({**files, extra: b"x"}), public=frozen.public)
        assert caught.value.code == code


def replace_step(files: Files, n: int, other: int) -> Files:
    return {**files, f"steps/{n:04d}.json": files[f"steps/{other:04d}.json"]}


def drop(files: Files, prefix: str) -> Files:
    return {name: content for name, content in files.items() if not name.startswith(prefix)}


def open_falsely(files: Files) -> Files:
    document = json.loads(files["openings.json"])
    document["openings"][0]["value"] = "something else"
    return {**files, "openings.json": format_json(document)}


FORGERIES: list[tuple[str, Callable[[Files], Files], dict[str, object], str]] = [
    ("a step twice", lambda files: replace_step(files, 5, 4), {}, "steps"),
    (
        "the decision left out",
        lambda files: drop(files, "steps/0006"),
        {"steps": 6, "status": "valid"},
        "steps",
    ),
    ("another status", lambda files: files, {"status": "denied"}, "steps"),
    ("another case", lambda files: files, {"case": "a" * 16}, "steps"),
    ("no report", lambda files: drop(files, "reports/"), {}, "reports"),
    ("no bundle", lambda files: drop(files, "bundles/"), {}, "bundles"),
    ("a false opening", open_falsely, {}, "openings"),
    ("fewer files stated", lambda files: files, {"files": 3}, "files"),
]


@pytest.mark.parametrize(
    ("change", "changes", "code"), [item[1:] for item in FORGERIES], ids=[i[0] for i in FORGERIES]
)
def test_what_the_issuer_itself_signs_must_still_fit_together(
    frozen: Frozen, change: Callable[[Files], Files], changes: dict[str, object], code: str
) -> None:
    """Even with the issuer's key: the steps, the reports and the ledger bind each other."""
    forged = sign_again(change(unpack(frozen.opened)), issuer_of(frozen), **changes)
    with pytest.raises(CaseFileError) as caught:
        check_case_file(pack(forged), public=frozen.public)
    assert caught.value.code == code


def test_a_decision_that_the_log_has_not_is_found_out(frozen: Frozen) -> None:
    files = {**unpack(frozen.opened), f"bundles/{frozen.track_id}.json": frozen.early}
    with pytest.raises(CaseFileError, match=r"step 6 .decided. is not in the history") as caught:
        check_case_file(pack(sign_again(files, issuer_of(frozen))), public=frozen.public)
    assert caught.value.code == "bundles"


def test_a_stranger_s_signature_counts_only_for_who_pins_nothing(frozen: Frozen) -> None:
    stranger = ledger.SigningKey(sha("stranger"))
    files = unpack(frozen.closed)
    forged_keys = PublicKeys(
        frozen.public.origin, frozen.public.vkey, (stranger.public_key,), frozen.public.reports
    )
    files["public-keys.json"] = json.dumps(format_public_keys(forged_keys)).encode()
    forged = pack(sign_again(files, stranger))
    with pytest.raises(CaseFileError, match="not among the known keys") as caught:
        check_case_file(forged, public=frozen.public)
    assert caught.value.code == "manifest"
    assert check_case_file(forged).pinned is False


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"PK\x05\x06" + bytes(18), b"x" * 1000],
    ids=["empty", "two", "no members", "noise"],
)
def test_what_is_no_case_file_is_refused(content: bytes) -> None:
    with pytest.raises(CaseFileError) as caught:
        check_case_file(content)
    assert caught.value.code == "form"


def test_an_archive_that_unpacks_beyond_the_bound_is_refused(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.casefilecheck.MAX_CONTENT_BYTES", 10_000)
    with pytest.raises(CaseFileError, match="unpacked"):
        check_case_file(frozen.closed)


def test_the_same_case_gives_the_same_bytes_but_for_its_manifest(frozen: Frozen) -> None:
    with open_installation(read_settings(frozen.home, {})) as desk:
        first, second = unpack(freeze_case(desk, frozen.case_id)), unpack(freeze_case(desk, frozen.case_id))
    same = {name for name in first if first[name] == second[name]}
    assert set(first) - same == {"manifest.json", "files.jsonl", "case.json"}
    assert "steps/0008.json" in second


def test_the_commands_export_and_check(shell: Shell, frozen: Frozen, tmp_path: Path) -> None:
    file = tmp_path / "case.zip"
    home = ("--home", frozen.home)
    made = shell.json("case", "export", frozen.case_id, "--output", file, "--open", *home)
    assert made["bytes"] == file.stat().st_size
    keys = frozen.home / "public-keys.json"
    found = shell.json("case", "check-file", file, "--keys", keys, code=GOOD)
    assert (found["pinned"], found["status"], found["tracks"]) == (True, "upheld", [frozen.track_id])
    file.write_bytes(file.read_bytes()[:-1000])
    assert shell.json("case", "check-file", file, code=BAD)["code"] == "form"


def test_after_an_erasure_a_case_file_opens_less_and_still_holds(frozen: Frozen) -> None:
    with open_installation(read_settings(frozen.home, {})) as desk:
        forget_person(desk, frozen.person, "gdpr-17")
        report = check_case_file(freeze_case(desk, frozen.case_id, opened=True), public=frozen.public)
    assert (report.opened, report.closed) == (2, 2)
