"""Cases from notice to restoration: what is written, what the ledger says, what a crash leaves."""

import copy
import datetime
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import case_forms
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from conftest import Shell, Stamped
from ledger_world import sha
from sqlmodel import Session, SQLModel, col

from api import casework
from api.casecheck import CaseCheck, check_cases, find_unlogged
from api.casehistory import describe_case, list_due, read_case
from api.caseintake import OpenedCase, accept_case, close_case, open_case, supplement_case
from api.cases import PENDING, CaseRow, DocumentRow, StayDownRow, StepRow
from api.casestates import CaseError
from api.casesteps import list_decisions
from api.casewriter import take_step
from api.custody import check_custody
from api.deskkey import open_desk_key
from api.errors import ConflictError, MissingError, OverloadError, RefusedError
from api.forgetting import forget_person
from api.installation import Installation, open_installation
from api.letters import write_letter
from api.notices import Complaint, CounterNotice, Notice, VerificationRequest
from api.outcomes import BAD
from api.reasons import Reasons
from api.recording import add_actor
from api.settings import read_settings
from api.transparency import state_for_database
from ledger import SigningKey
from ledger.database import open_database
from ledger.errors import CorruptError, CustodyError, UnknownKeyError

REASONS = Reasons.model_validate(case_forms.REASONS)
COUNTER_NOTICE = CounterNotice.model_validate(case_forms.COUNTER_NOTICE)
COMPLAINT = Complaint.model_validate(case_forms.COMPLAINT)


class Clock:
    """The time that casework sees, moved by tests."""

    def __init__(self) -> None:
        self.time = datetime.datetime(2026, 11, 20, 12, 0, 0, tzinfo=datetime.UTC)  # a Friday

    def __call__(self) -> str:
        return self.time.strftime("%Y-%m-%dT%H:%M:%SZ")

    def pass_days(self, days: int) -> None:
        self.time += datetime.timedelta(days=days)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("casework", "caseintake", "casewriter", "casehistory", "caseevents"):
        monkeypatch.setattr(f"api.{module}.now", clock)
    return clock


@pytest.fixture
def desk(stamped: Stamped, clock: Clock) -> Iterator[Installation]:
    with open_installation(read_settings(stamped.home, {})) as installation:
        yield installation


def make_notice(stamped: Stamped, **changes: object) -> Notice:
    document = {**copy.deepcopy(case_forms.NOTICE), **changes}
    document["material"]["locations"] = [f"track:{stamped.track_id}"]
    return Notice.model_validate(document)


def open_valid(desk: Installation, stamped: Stamped, **changes: object) -> str:
    opened = open_case(desk, make_notice(stamped, **changes))
    accept_case(desk, opened.case_id)
    return opened.case_id


def status_of(desk: Installation, stamped: Stamped) -> str:
    found = check_custody(desk.store, desk.public, f"track:{stamped.track_id}").evidence
    assert found.fault is None
    return found.status


def steps_of(desk: Installation, case_id: str) -> list[str]:
    return [step.step for step in read_case(desk, case_id).steps]


def test_a_complete_notice_waits_for_a_person_before_the_ledger_hears_of_it(
    desk: Installation, stamped: Stamped
) -> None:
    opened = open_case(desk, make_notice(stamped), public=True)
    assert opened.missing == ()
    view = read_case(desk, opened.case_id)
    assert (view.state.status, view.state.complete, view.row.due) == (
        "received",
        True,
        "2026-11-24T23:59:59Z",
    )
    assert view.row.tracks == stamped.track_id
    assert status_of(desk, stamped) == "valid"
    accept_case(desk, opened.case_id)
    assert status_of(desk, stamped) == "contested"
    view = read_case(desk, opened.case_id)
    assert [(item.step, item.event.rsplit("/", 2)[1]) for item in view.logged] == [(3, "notice")]


def test_an_incomplete_notice_is_kept_and_completed(desk: Installation, stamped: Stamped) -> None:
    opened = open_case(desk, make_notice(stamped, signature="", reasons=""))
    assert [item.provision for item in opened.missing] == ["512(c)(3)(A)(i)", "Art. 16(2)(a)"]
    assert read_case(desk, opened.case_id).state.status == "incomplete"
    with pytest.raises(CaseError, match="missing"):
        accept_case(desk, opened.case_id)
    left = supplement_case(desk, opened.case_id, {"signature": "Ann Holder"})
    assert [item.provision for item in left] == ["Art. 16(2)(a)"]
    with pytest.raises(RefusedError, match="sgnature"):
        supplement_case(desk, opened.case_id, {"sgnature": "Ann Holder"})
    assert supplement_case(desk, opened.case_id, {"reasons": "Ours."}) == ()
    accept_case(desk, opened.case_id)
    form = read_case(desk, opened.case_id).find_value("notice")
    assert (form["signature"], form["reasons"], form["claimant"]["name"]) == (
        "Ann Holder",
        "Ours.",
        "Ann Holder",
    )


def test_an_incomplete_notice_may_be_accepted_for_a_stated_reason(
    desk: Installation, stamped: Stamped
) -> None:
    opened = open_case(desk, make_notice(stamped, signature=""))
    accept_case(desk, opened.case_id, despite="substantially-complete")
    assert read_case(desk, opened.case_id).steps[-1].facts["despite"] == "substantially-complete"


def test_the_whole_way_of_a_notice_under_512(desk: Installation, stamped: Stamped, clock: Clock) -> None:
    case_id = open_valid(desk, stamped)
    casework.restrict_case(desk, case_id, REASONS)
    taken = casework.counter_case(desk, case_id, COUNTER_NOTICE)
    assert len(taken.receipts) == 1  # the house owns the track: its key signs
    window = describe_case(read_case(desk, case_id))["restore_window"]
    assert window == {"from": "2026-12-07T00:00:00Z", "until": "2026-12-11T23:59:59Z"}
    with pytest.raises(CaseError, match="2026-12-07") as caught:
        casework.decide_case(desk, case_id, "denied", "counter-notice")
    assert caught.value.code == "clock-early"
    with pytest.raises(CaseError, match="no court action"):
        casework.decide_case(desk, case_id, "upheld", "infringing", reasons=REASONS)
    clock.pass_days(17)
    casework.decide_case(desk, case_id, "denied", "counter-notice")
    view = read_case(desk, case_id)
    assert (view.state.status, view.state.restricted, view.steps[-1].facts["clock"]) == (
        "denied",
        False,
        "in-time",
    )
    assert status_of(desk, stamped) == "valid"


def test_a_court_action_stops_the_clock_and_lets_the_notice_be_upheld(
    desk: Installation, stamped: Stamped
) -> None:
    case_id = open_valid(desk, stamped)
    casework.counter_case(desk, case_id, COUNTER_NOTICE)
    casework.note_court_action(desk, case_id, "1:26-cv-01234")
    assert "restore" not in {item.name for item in read_case(desk, case_id).deadlines}
    with pytest.raises(CaseError, match="went to court"):
        casework.decide_case(desk, case_id, "denied", "counter-notice")
    casework.decide_case(desk, case_id, "upheld", "court", reasons=REASONS)
    assert status_of(desk, stamped) == "taken-down"


def test_an_upheld_notice_is_restored_after_a_counter_notice(
    desk: Installation, stamped: Stamped, clock: Clock
) -> None:
    case_id = open_valid(desk, stamped)
    casework.decide_case(desk, case_id, "upheld", "infringing", reasons=REASONS)
    assert [row.track_id for row in desk.cases.list_stay_down()] == [stamped.track_id]
    assert len(casework.counter_case(desk, case_id, COUNTER_NOTICE).receipts) == 1
    assert status_of(desk, stamped) == "taken-down"
    with pytest.raises(CaseError, match="2026-12-07"):
        casework.restore_case(desk, case_id, "counter-notice")
    clock.pass_days(30)
    casework.restore_case(desk, case_id, "counter-notice")
    assert read_case(desk, case_id).steps[-1].facts["clock"] == "late"
    assert status_of(desk, stamped) == "valid"
    assert desk.cases.list_stay_down() == []


def test_a_complaint_may_reverse_either_decision(desk: Installation, stamped: Stamped) -> None:
    upheld = open_valid(desk, stamped)
    casework.decide_case(desk, upheld, "upheld", "infringing", reasons=REASONS)
    casework.complain_about(desk, upheld, COMPLAINT)
    with pytest.raises(CaseError, match="complaint is open"):
        casework.restore_case(desk, upheld, "mistake")
    casework.decide_complaint(desk, upheld, "reversed", "own-work")
    assert status_of(desk, stamped) == "valid"
    denied = open_valid(desk, stamped)
    casework.decide_case(desk, denied, "denied", "not-infringing")
    casework.complain_about(desk, denied, COMPLAINT)
    taken = casework.decide_complaint(desk, denied, "reversed", "infringing")
    assert len(taken.receipts) == 2  # a notice anew, and its decision
    assert status_of(desk, stamped) == "taken-down"
    casework.withdraw_case(desk, denied)
    assert (status_of(desk, stamped), read_case(desk, denied).state.status) == ("valid", "restored")
    # Each of these is a decision in the history of the track: a case that lacks one does not hold.
    view = read_case(desk, denied)
    decided = list_decisions(view.steps)
    assert [view.steps[n].step for n in decided] == ["decided", "complaint-decided", "withdrawn"]
    assert find_unlogged(view) == ""
    for n in decided:
        without = replace(view, logged=tuple(item for item in view.logged if item.step != n))
        assert f"step {n} ({view.steps[n].step}) is not in the history" in find_unlogged(without)


def test_a_decision_cannot_be_complained_about_after_six_months(
    desk: Installation, stamped: Stamped, clock: Clock
) -> None:
    case_id = open_valid(desk, stamped)
    casework.decide_case(desk, case_id, "denied", "not-infringing")
    clock.pass_days(182)
    with pytest.raises(CaseError, match="2027-05-20") as caught:
        casework.complain_about(desk, case_id, COMPLAINT)
    assert caught.value.code == "complaint-late"


def test_what_is_not_complete_is_refused_with_every_field_named(desk: Installation, stamped: Stamped) -> None:
    case_id = open_valid(desk, stamped)
    with pytest.raises(RefusedError, match=r"512\(g\)\(3\)\(C\).*512\(g\)\(3\)\(D\)"):
        casework.counter_case(desk, case_id, CounterNotice(signature="Bob"))
    with pytest.raises(RefusedError, match=r"Art. 17\(3\)\(c\)"):
        casework.decide_case(desk, case_id, "upheld", "infringing", reasons=Reasons(measure="removal"))
    with pytest.raises(RefusedError, match="statement of reasons"):
        casework.decide_case(desk, case_id, "upheld", "infringing")
    with pytest.raises(RefusedError, match=r"Art. 20\(3\)"):
        casework.complain_about(desk, case_id, Complaint(by="claimant"))
    with pytest.raises(RefusedError, match="expected a letter"):
        casework.note_sent(desk, case_id, "poem", "claimant")
    assert steps_of(desk, case_id) == ["received", "checked", "accepted"]


def test_a_verification_request_has_no_decision(desk: Installation, stamped: Stamped) -> None:
    opened = open_case(desk, VerificationRequest.model_validate(case_forms.REQUEST))
    accept_case(desk, opened.case_id)
    with pytest.raises(CaseError, match="not for a verification request"):
        casework.decide_case(desk, opened.case_id, "denied", "no")
    assert [item.name for item in read_case(desk, opened.case_id).deadlines] == ["acknowledge", "answer"]


def test_deadlines_are_met_by_what_they_ask_for(desk: Installation, stamped: Stamped, clock: Clock) -> None:
    case_id = open_valid(desk, stamped)
    assert [item.name for item in read_case(desk, case_id).deadlines] == ["acknowledge", "act", "decide"]
    casework.note_sent(desk, case_id, "receipt", "claimant")
    casework.restrict_case(desk, case_id, REASONS)
    casework.note_sent(desk, case_id, "reasons", "respondent")
    assert [item.name for item in read_case(desk, case_id).deadlines] == ["decide"]
    assert [row.case_id for row in list_due(desk)] == [case_id]
    assert list_due(desk, within_days=0) == [] or list_due(desk, within_days=0)[0].case_id == case_id
    clock.pass_days(40)
    assert describe_case(read_case(desk, case_id))["late"]
    casework.decide_case(desk, case_id, "denied", "not-infringing")
    casework.note_sent(desk, case_id, "decision", "claimant")
    assert read_case(desk, case_id).row.due is None
    assert list_due(desk) == []


def test_nothing_personal_is_in_the_tables_or_the_log(desk: Installation, stamped: Stamped) -> None:
    case_id = open_valid(desk, stamped)
    casework.counter_case(desk, case_id, COUNTER_NOTICE)
    casework.add_note(desk, case_id, "Ann called about it")
    content = stamped.home.joinpath("ledger.db").read_bytes()
    content += stamped.home.joinpath("ledger.db-wal").read_bytes()
    for text in (b"Ann Holder", b"ann@label.example", b"Bob Player", b"Ann called", b"first bar"):
        assert text not in content
    values = describe_case(read_case(desk, case_id))["timeline"][-1]["values"]
    assert values == {"note": "Ann called about it"}


def test_strangers_open_only_so_many_cases_an_hour(
    desk: Installation, stamped: Stamped, clock: Clock
) -> None:
    object.__setattr__(desk.settings, "intake_per_hour", 2)
    for _ in range(2):
        open_case(desk, make_notice(stamped), public=True)
    with pytest.raises(OverloadError, match="within the hour"):
        open_case(desk, make_notice(stamped), public=True)
    open_case(desk, make_notice(stamped))  # the desk itself is not bounded
    clock.pass_days(1)
    open_case(desk, make_notice(stamped), public=True)


def test_unknown_tracks_persons_and_cases_are_said(desk: Installation, stamped: Stamped) -> None:
    with pytest.raises(MissingError, match="no case"):
        read_case(desk, "k3t5mz7qa2xw4hbn")
    with pytest.raises(MissingError, match="no track"):
        open_case(desk, make_notice(stamped), tracks=["k3t5mz7qa2xw4hbn"])
    with pytest.raises(MissingError, match="person"):
        open_case(desk, make_notice(stamped), person="0" * 32)
    assert desk.cases.list_cases(limit=9) == []


def test_what_the_ledger_refuses_leaves_the_case_as_it_was(desk: Installation, stamped: Stamped) -> None:
    case_id = open_valid(desk, stamped)
    stranger = SigningKey(sha("stranger"))
    with pytest.raises(UnknownKeyError, match="not among the known keys"):
        casework.decide_case(desk, case_id, "denied", "no", signing_keys=[stranger])
    add_actor(desk, stranger, ["owner"], "stranger.example")
    with pytest.raises(CustodyError, match="role of"):
        casework.decide_case(desk, case_id, "denied", "no", signing_keys=[stranger])
    assert steps_of(desk, case_id) == ["received", "checked", "accepted"]
    assert [row.state for row in desk.cases.list_steps(case_id)] == ["done"] * 3
    casework.decide_case(desk, case_id, "denied", "not-infringing")


@pytest.mark.parametrize("logged", [False, True], ids=["before the entry", "after the entry"])
def test_a_crash_leaves_a_step_that_is_removed_or_finished(
    desk: Installation, stamped: Stamped, monkeypatch: pytest.MonkeyPatch, *, logged: bool
) -> None:
    case_id = open_valid(desk, stamped)
    append = type(desk.store).append

    def die(store, events, **options):  # type: ignore[no-untyped-def]
        if logged:
            append(store, events, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(desk.store), "append", die)
        with pytest.raises(KeyboardInterrupt):
            casework.decide_case(desk, case_id, "upheld", "infringing", reasons=REASONS)
    assert desk.cases.list_steps(case_id)[-1].state == PENDING
    assert read_case(desk, case_id).state.status == "valid"
    casework.note_sent(desk, case_id, "receipt", "claimant")
    expected = ["decided", "sent"] if logged else ["accepted", "sent"]
    assert steps_of(desk, case_id)[-2:] == expected
    assert [row.track_id for row in desk.cases.list_stay_down()] == ([stamped.track_id] if logged else [])
    assert status_of(desk, stamped) == ("taken-down" if logged else "contested")


def test_a_changed_step_is_found_out(desk: Installation, stamped: Stamped) -> None:
    case_id = open_valid(desk, stamped)
    row = desk.cases.list_steps(case_id)[1]
    with desk.cases._session(write=True) as session:
        stored = session.get(type(row), (case_id, 1))
        assert stored is not None
        stored.envelope = desk.cases.list_steps(case_id)[2].envelope
        session.add(stored)
    with pytest.raises(CorruptError, match="do not hold"):
        read_case(desk, case_id)


def test_two_hands_on_one_case_do_not_overwrite_each_other(desk: Installation, stamped: Stamped) -> None:
    case_id = open_valid(desk, stamped)
    row = desk.cases.list_steps(case_id)[-1]
    with pytest.raises(ConflictError, match="changed meanwhile"):
        desk.cases.add_step(row)


def test_a_case_that_was_never_taken_up_is_closed_for_good(desk: Installation, stamped: Stamped) -> None:
    opened: OpenedCase = open_case(desk, make_notice(stamped, signature=""))
    close_case(desk, opened.case_id, "not-completed")
    with pytest.raises(CaseError, match="closed"):
        accept_case(desk, opened.case_id, despite="late")
    assert status_of(desk, stamped) == "valid"


def test_erasing_a_person_reaches_the_case_and_leaves_its_signatures(
    desk: Installation, stamped: Stamped
) -> None:
    case_id = open_valid(desk, stamped)
    casework.counter_case(desk, case_id, COUNTER_NOTICE)
    casework.add_note(desk, case_id, "Ann called")
    row = read_case(desk, case_id).row
    assert forget_person(desk, row.person, "gdpr-17").values == 2
    view = read_case(desk, case_id)
    assert view.steps[-1].facts == {
        "ground": "gdpr-17",
        "erased": [{"n": 0, "label": "notice"}, {"n": 4, "label": "note"}],
    }
    assert view.find_value("notice", "note") is None
    assert view.find_value("counter_notice")["respondent"]["name"] == "Bob Player"
    assert status_of(desk, stamped) == "contested"
    with pytest.raises(RefusedError, match="erased"):
        supplement_case(desk, case_id, {"signature": "Ann"})
    assert "erased" not in write_letter(view, "counter-notice")
    assert row.respondent is not None
    forget_person(desk, row.respondent, "gdpr-17")
    assert "(what was written here was erased)" in write_letter(read_case(desk, case_id), "counter-notice")
    with pytest.raises(MissingError, match="nothing is known"):
        forget_person(desk, row.person, "gdpr-17")
    casework.decide_case(desk, case_id, "denied", "not-infringing", override=True)


def test_an_erasure_that_was_interrupted_goes_on(
    desk: Installation, stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = open_valid(desk, stamped)
    person = read_case(desk, case_id).row.person

    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("api.forgetting.erase_person", die)
        with pytest.raises(KeyboardInterrupt):
            forget_person(desk, person, "gdpr-17")
    assert forget_person(desk, person, "gdpr-17").values == 1
    assert steps_of(desk, case_id) == ["received", "checked", "accepted", "erased"]


def test_letters_say_what_has_come_of_the_case(desk: Installation, stamped: Stamped) -> None:
    incomplete = open_case(desk, make_notice(stamped, signature="")).case_id
    for letter in ("receipt", "missing"):
        assert "512(c)(3)(A)(i)" in write_letter(read_case(desk, incomplete), letter)
    case_id = open_valid(desk, stamped)
    for letter in ("missing", "counter-notice", "decision", "reasons"):
        with pytest.raises(ConflictError):
            write_letter(read_case(desk, case_id), letter)
    with pytest.raises(MissingError, match="no letter"):
        write_letter(read_case(desk, case_id), "poem")
    casework.counter_case(desk, case_id, COUNTER_NOTICE)
    text = write_letter(read_case(desk, case_id), "counter-notice")
    assert "1 Road, Town" in text
    assert "between 2026-12-07T00:00:00Z and 2026-12-11T23:59:59Z" in text
    casework.note_court_action(desk, case_id)
    casework.decide_case(desk, case_id, "upheld", "court", reasons=REASONS)
    assert "complain to us, free of charge, until 2027-05-20" in write_letter(
        read_case(desk, case_id), "decision"
    )
    text = write_letter(read_case(desk, case_id), "reasons")
    for part in ("removal", "17 U.S.C. 106(1)", "Found by automated means: yes", "Art. 21", "512(g)(3)"):
        assert part in text


def test_of_two_who_decide_at_once_one_is_refused(desk: Installation, stamped: Stamped) -> None:
    case_id = open_valid(desk, stamped)

    def decide(outcome: str) -> str:
        try:
            casework.decide_case(desk, case_id, outcome, "no", reasons=REASONS)
        except CaseError as error:
            return error.code
        return outcome

    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(decide, ["upheld", "denied"]))
    assert "not-valid" in found
    (outcome,) = found - {"not-valid"}
    assert read_case(desk, case_id).state.status == outcome
    assert steps_of(desk, case_id)[-1] == "decided"


def test_a_changed_row_does_not_change_what_a_case_is(desk: Installation, stamped: Stamped) -> None:
    case_id = open_valid(desk, stamped)
    with desk.cases._session(write=True) as session:
        row = session.get(CaseRow, case_id)
        assert row is not None
        row.status, row.tracks = "denied", ""
        session.add(row)
    shown = describe_case(read_case(desk, case_id))
    assert (shown["status"], shown["tracks"]) == ("valid", [stamped.track_id])


def test_the_migrated_tables_are_those_of_the_program(stamped: Stamped) -> None:
    database = open_database(read_settings(stamped.home, {}).database_url)
    names = {"case_file", "case_step", "case_document", "stay_down"}

    def is_ours(item: object, name: str | None, kind: str, *_: object) -> bool:
        return (name if kind == "table" else item.table.name) in names

    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": is_ours, "compare_type": True}
        )
        assert compare_metadata(context, SQLModel.metadata) == []
    database.close()


def test_a_statement_of_reasons_for_the_public_database(desk: Installation, stamped: Stamped) -> None:
    case_id = open_valid(desk, stamped)
    with pytest.raises(ConflictError, match="no statement of reasons"):
        state_for_database(desk, case_id)
    casework.decide_case(desk, case_id, "upheld", "infringing", reasons=REASONS)
    day = desk.registry.get_released(stamped.track_id).created[:10]
    assert state_for_database(desk, case_id) == {
        "puid": f"{case_id}-3",
        "decision_visibility": ["DECISION_VISIBILITY_CONTENT_REMOVED"],
        "decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT",
        "illegal_content_legal_ground": "17 U.S.C. 106(1)",
        "illegal_content_explanation": "It is a copy without licence.",
        "content_type": ["CONTENT_TYPE_AUDIO"],
        "category": "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS",
        "category_specification": ["KEYWORD_COPYRIGHT_INFRINGEMENT"],
        "content_date": day,
        "application_date": "2026-11-20",
        "decision_facts": "It is the claimant's recording.",
        "source_type": "SOURCE_ARTICLE_16",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_NOT_AUTOMATED",
    }
    other = open_case(desk, Notice.model_validate({**case_forms.NOTICE, "laws": ["dmca"], "claim": "voice"}))
    accept_case(desk, other.case_id)
    changes = {"ground": "terms", "territory": "FR, DE", "measure": "demonetisation", "source": "court-order"}
    casework.restrict_case(desk, other.case_id, REASONS.model_copy(update=changes))
    with pytest.raises(RefusedError, match="about no track"):
        state_for_database(desk, other.case_id)
    found = state_for_database(desk, other.case_id, content_date=datetime.date(2026, 1, 2))
    assert found["territorial_scope"] == ["FR", "DE"]
    assert found["decision_monetary"] == "DECISION_MONETARY_SUSPENSION"
    assert found["category"] == "STATEMENT_CATEGORY_OTHER_VIOLATION_TC"
    assert found["incompatible_content_ground"] == "17 U.S.C. 106(1)"
    assert (found["source_type"], "category_specification" in found) == (
        "SOURCE_TYPE_OTHER_NOTIFICATION",
        False,
    )
    casework.decide_case(
        desk, other.case_id, "upheld", "no", reasons=REASONS.model_copy(update={"explanation": "x" * 2_001})
    )
    with pytest.raises(RefusedError, match="illegal_content_explanation: the database takes 2000"):
        state_for_database(desk, other.case_id, content_date=datetime.date(2026, 1, 2))


Spoil = Callable[[Installation, str, Session], None]


def spoil_row(_desk: Installation, case_id: str, session: Session) -> None:
    session.execute(sqlalchemy.update(CaseRow).values(status="denied"))


def spoil_step(_desk: Installation, case_id: str, session: Session) -> None:
    session.execute(sqlalchemy.delete(StepRow).where(col(StepRow.n) == 1))


def spoil_report(_desk: Installation, case_id: str, session: Session) -> None:
    session.execute(sqlalchemy.update(DocumentRow).values(content=b"{}"))


def spoil_list(_desk: Installation, case_id: str, session: Session) -> None:
    session.execute(sqlalchemy.update(StayDownRow).values(lifted="2026-11-20T12:00:00Z"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_row, "its row says notice denied"),
        (spoil_step, "do not hold"),
        (spoil_report, "missing or was changed"),
        (spoil_list, "stay-down list"),
    ],
)
def test_a_check_of_all_cases_names_the_one_that_does_not_hold(
    desk: Installation, stamped: Stamped, shell: Shell, spoil: Spoil, message: str
) -> None:
    case_id = open_valid(desk, stamped)
    content = b'{"a": 1}'
    desk_key = open_desk_key(desk)
    facts = {"report_sha256": hashlib.sha256(content).hexdigest(), "verdict": "exact"}
    take_step(desk, case_id, "examined", facts, signing_keys=[desk_key], document=content)
    casework.decide_case(desk, case_id, "upheld", "infringing", reasons=REASONS)
    assert check_cases(desk) == CaseCheck(1, ())
    with desk.cases._session(write=True) as session:
        spoil(desk, case_id, session)
    (fault,) = shell.json("case", "check", "--home", stamped.home, code=BAD)["faults"]
    assert fault["case_id"] == case_id
    assert message in fault["message"]
