"""Completeness of what people send in: each field, taken away, is named with its law and provision."""

import copy
from typing import Any

import case_forms
import pytest

from api.errors import RefusedError, TooLargeError
from api.notices import STATEMENTS, Complaint, CounterNotice, Form, Notice, VerificationRequest, parse_form
from api.reasons import Reasons, find_missing_reasons
from api.requirements import REQUIREMENTS, find_missing, is_location, is_substantial, list_missing

COMPLETE: dict[type[Form], dict[str, Any]] = {
    Notice: case_forms.NOTICE,
    CounterNotice: case_forms.COUNTER_NOTICE,
    VerificationRequest: case_forms.REQUEST,
    Complaint: case_forms.COMPLAINT,
}
# What is taken away or put in its place, and which provisions are then missing.
FAULTS: list[tuple[type[Form], str, Any, list[str]]] = [
    (Notice, "signature", "", ["512(c)(3)(A)(i)"]),
    (Notice, "signature", "  ", ["512(c)(3)(A)(i)"]),
    (Notice, "work", {}, ["512(c)(3)(A)(ii)"]),
    (Notice, "work", {"identifiers": {"isrc": "NLA012600001"}}, []),
    (Notice, "material", {"description": "somewhere"}, ["512(c)(3)(A)(iii)", "Art. 16(2)(b)"]),
    (Notice, "material", {"locations": ["the home page"]}, ["512(c)(3)(A)(iii)", "Art. 16(2)(b)"]),
    (Notice, "material", {"locations": ["track:k3t5mz7qa2xw4hbn"]}, []),
    (Notice, "claimant", {}, ["512(c)(3)(A)(iv)", "Art. 16(2)(c)", "Art. 16(2)(c)"]),
    (Notice, "claimant", {"organisation": "Label", "phone": "1"}, ["Art. 16(2)(c)"]),
    (Notice, "claimant", {"name": "Ann", "email": "ann at label"}, ["512(c)(3)(A)(iv)", "Art. 16(2)(c)"]),
    (Notice, "reasons", "", ["Art. 16(2)(a)"]),
    (Notice, "statements", {}, ["512(c)(3)(A)(v)", "512(c)(3)(A)(vi)", "Art. 16(2)(d)"]),
    (CounterNotice, "signature", "", ["512(g)(3)(A)"]),
    (CounterNotice, "material", {}, ["512(g)(3)(B)"]),
    (CounterNotice, "statements", {}, ["512(g)(3)(C)", "512(g)(3)(D)", "512(g)(3)(D)"]),
    (CounterNotice, "respondent", {"email": "b@c.example"}, ["512(g)(3)(D)"] * 3),
    (VerificationRequest, "question", "", [""]),
    (VerificationRequest, "claimant", {"name": "Ann"}, [""]),
    (Complaint, "by", "", ["Art. 20(1)"]),
    (Complaint, "reasons", "", ["Art. 20(3)"]),
]


@pytest.mark.parametrize("kind", list(COMPLETE))
def test_a_complete_form_misses_nothing_and_an_empty_one_everything(kind: type[Form]) -> None:
    assert find_missing(parse_form(kind, COMPLETE[kind])) == ()
    assert len(find_missing(kind())) == len(REQUIREMENTS[kind])


@pytest.mark.parametrize(("kind", "field", "value", "provisions"), FAULTS)
def test_each_missing_field_is_named_by_its_provision(
    kind: type[Form], field: str, value: Any, provisions: list[str]
) -> None:
    form = parse_form(kind, {**copy.deepcopy(COMPLETE[kind]), field: value})
    assert [item.provision for item in find_missing(form)] == provisions


def test_every_requirement_is_tested_above() -> None:
    tested = {(kind, provision) for kind, _, _, provisions in FAULTS for provision in provisions}
    asked = {(kind, item.provision) for kind, items in REQUIREMENTS.items() for item in items}
    assert tested == asked


def test_only_the_law_that_a_notice_invokes_is_asked_for() -> None:
    assert {item.law for item in find_missing(Notice(laws=["dsa"]))} == {"dsa"}
    assert {item.law for item in find_missing(Notice(laws=["dmca"]))} == {"dmca"}
    text = list_missing(find_missing(Notice(laws=["dsa"])))
    assert "your email address (claimant.email, Art. 16(2)(c))" in text


@pytest.mark.parametrize(
    ("without", "substantial"),
    [("signature", True), ("statements", True), ("work", False), ("material", False), ("claimant", False)],
)
def test_a_substantial_notice_obliges_to_ask_for_the_rest(without: str, *, substantial: bool) -> None:
    document = {name: value for name, value in case_forms.NOTICE.items() if name != without}
    missing = find_missing(parse_form(Notice, document))
    assert missing
    assert is_substantial(missing) is substantial


@pytest.mark.parametrize("field", list(case_forms.REASONS))
def test_a_statement_of_reasons_has_every_field_of_article_17(field: str) -> None:
    assert find_missing_reasons(Reasons.model_validate(case_forms.REASONS)) == ()
    document = {name: value for name, value in case_forms.REASONS.items() if name != field}
    assert [item.field for item in find_missing_reasons(Reasons.model_validate(document))] == [field]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "valid dictionary"),
        ({"laws": []}, "laws"),
        ({"laws": ["gdpr"]}, "laws.0"),
        ({"claimant": {"fax": "1"}}, "claimant.fax"),
        ({"signature": "x" * 301}, "signature"),
        ({"material": {"locations": ["x"] * 41}}, "material.locations"),
        ({"statements": {"good_faith": "perhaps"}}, "statements.good_faith"),
        ({"claim": "nuisance"}, "claim"),
        ({"statements": {"good_faith": "true"}}, "statements.good_faith"),  # said, not implied
        ({"signature": "Ann\nDecision: upheld"}, "signature"),
        ({"claimant": {"name": "\ud800"}}, "claimant.name"),
    ],
)
def test_what_is_no_form_is_refused_with_the_fault_named(document: Any, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        parse_form(Notice, document)


def test_a_form_that_cannot_be_sealed_in_one_piece_is_refused() -> None:
    document = {"reasons": "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 8000, "work": {"description": "\u4e00" * 8000}}
    with pytest.raises(TooLargeError, match="50000 bytes"):
        parse_form(Notice, {**document, "material": {"description": "\u4e00" * 1000}})


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("https://example.org/a?b=c", True),
        ("http://example.org", True),
        ("track:k3t5mz7qa2xw4hbn", True),
        ("ftp://example.org/a", False),
        ("track:short", False),
        ("https://", False),
        ("https://a b", False),
        ("javascript:alert(1)", False),
    ],
)
def test_what_counts_as_an_exact_location(text: str, *, exact: bool) -> None:
    assert is_location(text) is exact


def test_every_statement_has_its_words() -> None:
    fields = {*Notice().statements.model_dump(), *CounterNotice().statements.model_dump()}
    assert fields == set(STATEMENTS)
