"""Casework by commands: a notice from its form to its restoration, and a request that a report answers."""

import json
from pathlib import Path
from typing import Any

import case_forms
from conftest import Shell, Stamped, make_free_music, write_audio

from api.outcomes import USAGE


def write_form(folder: Path, name: str, document: dict[str, Any]) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_notice_from_form_to_restoration(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    home = ("--home", stamped.home)
    code, text = shell("case", "form", "notice")
    assert (code, set(json.loads(text))) == (0, set(case_forms.NOTICE))
    assert "512(c)(3)(A)(i)" in shell.errors
    notice = write_form(tmp_path, "notice", {**case_forms.NOTICE, "signature": "", "laws": ["dsa", "dmca"]})
    opened = shell.json("case", "open", notice, "--track", stamped.track_id, *home)
    assert (opened["status"], opened["missing"][0]["provision"]) == ("incomplete", "512(c)(3)(A)(i)")
    case_id = opened["case_id"]
    more = write_form(tmp_path, "more", {"signature": "Ann Holder"})
    assert shell.json("case", "supplement", case_id, more, *home)["missing"] == []
    assert shell.json("case", "accept", case_id, *home)["tracks"] == [stamped.track_id]
    reasons = write_form(tmp_path, "reasons", case_forms.REASONS)
    assert shell.json("case", "restrict", case_id, "--reasons", reasons, *home)["restricted"]
    counter = write_form(tmp_path, "counter", case_forms.COUNTER_NOTICE)
    assert shell.json("case", "counter", case_id, counter, *home)["restore_window"]
    refused = shell.json("case", "decide", case_id, "denied", "--reason", "counter-notice", *home, code=USAGE)
    assert refused["code"] == "clock-early"
    assert shell.json("case", "court-action", case_id, "--text", "1:26-cv-01234", *home)["court"]
    decide = ("case", "decide", case_id, "upheld", "--reason", "court", "--reasons", reasons)
    assert shell.json(*decide, *home)["status"] == "upheld"
    complaint = write_form(tmp_path, "complaint", case_forms.COMPLAINT)
    assert shell.json("case", "complain", case_id, complaint, *home)["complaint"] == "open"
    ruling = ("case", "decide-complaint", case_id, "confirmed", "--reason", "court")
    assert shell.json(*ruling, *home)["complaint"] == "decided"
    assert shell.json("case", "note", case_id, "settled", *home)["timeline"][-1]["values"] == {"note": None}
    shell.json("case", "sent", case_id, "decision", "--to", "claimant", *home)
    assert shell.json("case", "restore", case_id, "--reason", "settled", *home)["status"] == "restored"
    assert shell.json("custody", "show", stamped.track_id, *home)["status"] == "valid"
    listed = shell.json("case", "list", "--due", *home)["cases"]
    assert [item["case_id"] for item in listed] == [case_id]
    assert shell.json("case", "list", "--status", "valid", *home)["cases"] == []
    code, text = shell("case", "show", case_id, "--personal", *home)
    assert code == 0
    assert 'note: "settled"' in text
    assert "Bob Player" in text


def test_a_request_is_answered_by_a_signed_report(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    home = ("--home", stamped.home)
    request = write_form(tmp_path, "request", case_forms.REQUEST)
    case_id = shell.json("case", "open", request, "--request", *home)["case_id"]
    shell.json("case", "accept", case_id, *home)
    clip = write_audio(tmp_path / "clip.wav", make_free_music(1.5, seed=3))
    answered = shell.json("case", "examine", case_id, clip, *home)
    step = answered["timeline"][-1]
    assert (answered["status"], answered["tracks"]) == ("answered", [])
    assert step["facts"]["verdict"] == "nothing-found"
    assert answered["documents"] == [step["facts"]["report_sha256"]]


def test_bad_input_is_said_and_changes_nothing(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    home = ("--home", stamped.home)
    broken = tmp_path / "broken.json"
    broken.write_text("[1, 2", encoding="utf-8")
    for content in ("[1, 2", "[]", '{"laws": "dmca"}', '{"x": 1}'):
        broken.write_text(content, encoding="utf-8")
        assert shell("case", "open", broken, *home)[0] == USAGE
    assert shell("case", "form", "poem")[0] == USAGE
    assert shell("case", "show", "nowhere", *home)[0] == USAGE
    assert shell("case", "decide", "nowhere", "perhaps", "--reason", "x", *home)[0] == USAGE
    assert shell("case", "list", "--status", "lost", *home)[0] == USAGE
    assert shell.json("case", "list", *home)["cases"] == []
