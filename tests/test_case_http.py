"""Casework over HTTP: a stranger sends a notice in, a case worker decides it, others see nothing of it."""

import contextlib
import copy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import case_forms
import httpx
import pytest
import sqlalchemy
from conftest import Stamped
from http_service import served
from sqlmodel import col

from api.access import Scope
from api.accesskeys import AccessKeys
from api.caseforms import FORMS
from api.cases import CaseRow, Cases
from api.installation import now
from api.settings import read_settings


@dataclass(frozen=True)
class Desk:
    """A service with one track, and the headers of a case worker, an issuer and the press."""

    client: httpx.Client
    home: Path
    track: Stamped
    worker: dict[str, str]
    issuer: dict[str, str]
    press: dict[str, str]

    def send(self, notice: dict[str, Any], **options: Any) -> httpx.Response:
        return self.client.post("/v1/cases", json={"notice": notice}, **options)

    def step(self, case_id: str, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = self.client.post(f"/v1/cases/{case_id}/steps", json=body, headers=self.worker)
        assert answer.status_code == status, answer.text
        return dict(answer.json())


@pytest.fixture(scope="module")
def desk(stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home = tmp_path_factory.mktemp("cases") / "ledger"
    shutil.copytree(stamped_once.home, home)
    keys = AccessKeys(read_settings(home, {}).database_url)

    def make_key(scope: Scope) -> dict[str, str]:
        made = keys.create([scope], label="test", created=now())
        return {"authorization": f"Bearer {made.key}"}

    made = [make_key(scope) for scope in (Scope.CASE_WORKER, Scope.ISSUER, Scope.PRESS)]
    keys.close()
    with served(home) as client:
        yield Desk(client, home, stamped_once, *made)


def make_notice(desk: Desk, **changes: Any) -> dict[str, Any]:
    document = {**copy.deepcopy(case_forms.NOTICE), **changes}
    document["material"]["locations"] = [f"track:{desk.track.track_id}"]
    return document


def test_a_stranger_s_notice_is_completed_and_decided(desk: Desk) -> None:
    sent = desk.send(make_notice(desk, signature=""))
    assert sent.status_code == 201, sent.text
    receipt = sent.json()
    case_id = receipt["case_id"]
    assert (receipt["status"], receipt["missing"][0]["field"]) == ("incomplete", "signature")
    assert "a physical or electronic signature (512(c)(3)(A)(i))" in receipt["receipt"]
    code = {"case-code": receipt["access_code"]}
    status = desk.client.get(f"/v1/cases/{case_id}/status", headers=code).json()
    assert (status["status"], len(status["missing"])) == ("incomplete", 1)
    added = desk.client.post(
        f"/v1/cases/{case_id}/supplements", json={"signature": "Ann Holder"}, headers=code
    )
    assert (added.status_code, added.json()["missing"]) == (200, [])
    assert desk.step(case_id, step="accept")["status"] == "valid"
    upheld = desk.step(
        case_id, step="decide", outcome="upheld", reason="infringing", reasons=case_forms.REASONS
    )
    assert upheld["restricted"]
    assert [entry["event"] for entry in upheld["timeline"][-1]["entries"]] == [
        "https://provenote.example/decision/v1"
    ]
    custody = desk.client.get(f"/v1/tracks/{desk.track.track_id}/custody").json()
    assert custody["status"] == "taken-down"
    letter = desk.client.get(f"/v1/cases/{case_id}/letters/reasons", headers=desk.worker)
    assert "17 U.S.C. 106(1)" in letter.text
    listed = desk.client.get("/v1/stay-down", headers=desk.worker).json()["entries"]
    assert [item["track_id"] for item in listed] == [desk.track.track_id]
    checked = desk.client.post(
        "/v1/stay-down/checks", content=desk.track.audio.read_bytes(), headers=desk.issuer
    )
    assert set(checked.json()["matches"][0]["by"]) == {"digest", "mark", "sound"}
    answer = desk.client.get(f"/v1/cases/{case_id}", headers=desk.worker).json()
    assert answer["timeline"][0]["values"]["notice"]["claimant"]["name"] == "Ann Holder"
    assert desk.step(case_id, step="restore", reason="licence-agreed")["status"] == "restored"


def test_a_clip_answers_a_request_and_its_report_is_kept(desk: Desk) -> None:
    sent = desk.client.post("/v1/cases", json={"request": case_forms.REQUEST}, headers=desk.worker)
    case_id = sent.json()["case_id"]
    desk.step(case_id, step="accept")
    answer = desk.client.post(
        f"/v1/cases/{case_id}/clips", content=desk.track.audio.read_bytes(), headers=desk.worker
    ).json()
    assert (answer["status"], answer["tracks"]) == ("answered", [desk.track.track_id])
    report = desk.client.get(f"/v1/cases/{case_id}/reports/{answer['documents'][0]}", headers=desk.worker)
    assert set(report.json()) == {"payload", "payloadType", "signatures"}
    missing = desk.client.get(f"/v1/cases/{case_id}/reports/{'0' * 64}", headers=desk.worker)
    assert missing.status_code == 404


def test_a_case_is_shown_to_nobody_without_code_or_scope(desk: Desk) -> None:
    receipt = desk.send(make_notice(desk), headers=desk.worker).json()
    case_id = receipt["case_id"]
    for headers, status in (({}, 401), (desk.press, 403), (desk.issuer, 403), (desk.worker, 200)):
        assert desk.client.get(f"/v1/cases/{case_id}", headers=headers).status_code == status
    for code, at in (("wrong", case_id), (receipt["access_code"], "a" * 16)):
        answer = desk.client.get(f"/v1/cases/{at}/status", headers={"case-code": code})
        assert (answer.status_code, answer.json()["detail"]) == (404, f"no case '{at}'")
        answer = desk.client.post(f"/v1/cases/{at}/supplements", json={}, headers={"case-code": code})
        assert answer.status_code == 404
    assert desk.client.get(f"/v1/cases/{case_id}/status").status_code == 422


def test_what_a_case_worker_may_say_strangers_may_not(desk: Desk) -> None:
    body = {"notice": make_notice(desk), "urgent": True}
    assert desk.client.post("/v1/cases", json=body).status_code == 403
    assert desk.client.post("/v1/cases", json=body, headers=desk.worker).status_code == 201


def test_bad_requests_are_problems_that_name_the_fault(desk: Desk) -> None:
    case_id = desk.send(make_notice(desk), headers=desk.worker).json()["case_id"]
    assert desk.client.post("/v1/cases", json={}, headers=desk.worker).status_code == 422
    assert desk.client.post("/v1/cases", json={"notice": {"fax": 1}}, headers=desk.worker).status_code == 422
    large = {"notice": {"reasons": "x" * 9_000}}
    assert desk.client.post("/v1/cases", json=large, headers=desk.worker).status_code == 422
    assert desk.client.post("/v1/cases", content=b"x" * 70_000).status_code == 413
    refused = desk.step(case_id, 409, step="decide", outcome="denied", reason="no")
    assert refused["code"] == "not-valid"
    assert desk.step(case_id, 422, step="dismiss")["type"].endswith("/malformed")
    assert desk.step(case_id, 422, step="decide", outcome="denied", reason="Because!")["faults"]
    desk.step(case_id, step="accept")
    incomplete = desk.step(case_id, 422, step="decide", outcome="upheld", reason="no", reasons={})
    assert "Art. 17(3)(a)" in incomplete["detail"]
    letter = desk.client.get(f"/v1/cases/{case_id}/letters/decision", headers=desk.worker)
    assert letter.status_code == 409
    pages = desk.client.get("/v1/cases", params={"limit": 1}, headers=desk.worker).json()
    assert (len(pages["cases"]), pages["next"]) == (1, pages["cases"][0]["case_id"])
    due = desk.client.get("/v1/deadlines", headers=desk.worker).json()["cases"]
    assert [item["due"] for item in due] == sorted(item["due"] for item in due)


def test_strangers_are_counted_by_address(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.case_intake_routes.INTAKE_PER_DAY", 3)  # other tests' notices count, too
    answers = [desk.send(make_notice(desk)).status_code for _ in range(4)]
    assert answers == sorted(answers)
    assert answers[-1] == 429
    assert desk.send(make_notice(desk), headers=desk.worker).status_code == 201


@pytest.mark.parametrize("name", FORMS)
def test_an_empty_form_says_what_is_asked_for_and_is_missing_all_of_it(desk: Desk, name: str) -> None:
    empty = desk.client.get(f"/v1/case-forms/{name}").raise_for_status().json()
    assert FORMS[name].model_validate(empty["form"]) == FORMS[name]()
    assert empty["requirements"]
    assert {item["law"] for item in empty["requirements"]} <= {"", "dmca", "dsa"}
    assert set(empty["statements"]) == set(empty["form"].get("statements", {}))
    assert desk.client.get("/v1/case-forms/petition").status_code == 422


def test_a_case_file_is_checked_by_the_service_s_keys_or_its_own(desk: Desk) -> None:
    case_id = desk.send(make_notice(desk), headers=desk.worker).json()["case_id"]
    desk.step(case_id, step="accept")
    file = desk.client.post(f"/v1/cases/{case_id}/file", headers=desk.worker).content
    address = "/v1/case-files/checks"

    def check(content: bytes, **query: str) -> dict[str, Any]:
        answer = desk.client.post(address, content=content, params=query, headers=desk.worker)
        return dict(answer.raise_for_status().json())

    found = check(file)
    assert (found["ok"], found["case_id"], found["status"]) == (True, case_id, "valid")
    assert (found["pinned"], check(file, keys="file")["pinned"]) == (True, False)
    assert [item["event"] for item in found["logged"]] == ["notice"]
    assert check(file[:-40]) == {"ok": False, "code": "form", "message": "File is not a zip file"}
    assert check(b"")["code"] == "form"
    for headers, status in (({}, 401), (desk.issuer, 403)):
        assert desk.client.post(address, content=file, headers=headers).status_code == status
    large = desk.client.post(address, content=bytes((64 << 20) + 1), headers=desk.worker)
    assert large.status_code == 413
    assert list(desk.home.joinpath("incoming").glob("upload-*")) == []


def test_all_cases_are_checked_a_page_at_a_time(desk: Desk) -> None:
    sent = {desk.send(make_notice(desk), headers=desk.worker).json()["case_id"] for _ in range(2)}
    checked, after = 0, ""
    while True:
        query = {"limit": 1, "after": after}
        page = desk.client.get("/v1/case-checks", params=query, headers=desk.worker).raise_for_status().json()
        assert (page["ok"], page["faults"]) == (True, [])
        checked += page["cases"]
        if page["next"] is None:
            break
        after = page["next"]
    listed = desk.client.get("/v1/cases", params={"limit": 200}, headers=desk.worker).json()["cases"]
    assert checked == len(listed) >= len(sent)
    with contextlib.closing(Cases(read_settings(desk.home, {}).database_url)) as cases:
        spoiled = sorted(sent)[0]
        with cases._session(write=True) as session:
            session.execute(
                sqlalchemy.update(CaseRow).where(col(CaseRow.case_id) == spoiled).values(status="denied")
            )
        page = desk.client.get("/v1/case-checks", params={"limit": 100}, headers=desk.worker).json()
        assert [item["case_id"] for item in page["faults"]] == [spoiled]
        assert "its row says notice denied" in page["faults"][0]["message"]
        with cases._session(write=True) as session:
            session.execute(
                sqlalchemy.update(CaseRow).where(col(CaseRow.case_id) == spoiled).values(status="received")
            )
    assert desk.client.get("/v1/case-checks", headers=desk.issuer).status_code == 403
