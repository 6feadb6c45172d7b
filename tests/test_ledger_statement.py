import pytest
from ledger_world import sha

from ledger import Statement, Subject, build_statement, parse_statement
from ledger.canonical import format_json, parse_object
from ledger.errors import FormatError

SUBJECTS = [Subject("file", sha("file")), Subject("pcm", sha("pcm"))]


def test_a_statement_parses_to_what_was_built() -> None:
    payload = build_statement("https://provenote.example/stamped/v1", SUBJECTS, {"a": [1, "ü", None, True]})
    parsed = parse_statement(payload)
    assert isinstance(parsed, Statement)
    assert parsed.subjects == tuple(SUBJECTS)
    assert parsed.predicate_type == "https://provenote.example/stamped/v1"
    assert dict(parsed.predicate) == {"a": [1, "ü", None, True]}
    assert b'"_type":"https://in-toto.io/Statement/v1"' in payload


def test_a_parsed_predicate_cannot_be_changed() -> None:
    parsed = parse_statement(build_statement("t", SUBJECTS, {"a": 1}))
    with pytest.raises(TypeError):
        parsed.predicate["a"] = 2  # type: ignore[index]


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"subject": []},
        {"subject": "file"},
        {"subject": [{"name": "file", "digest": {"sha256": "00"}}]},
        {"subject": [{"name": "file", "digest": {"sha256": "AB" * 32}}]},
        {"subject": [{"name": "file", "digest": {"sha1": "ab" * 20}}]},
        {"subject": [{"name": "", "digest": {"sha256": "ab" * 32}}]},
        {"subject": [{"name": "file", "digest": {"sha256": "ab" * 32}}] * 2},
        {"subject": [{"name": str(n), "digest": {"sha256": "ab" * 32}} for n in range(65)]},
        {"predicateType": ""},
        {"predicateType": 7},
        {"predicate": []},
        {"extra": 1},
    ],
)
def test_other_statements_are_refused(change: dict[str, object]) -> None:
    members = parse_object(build_statement("t", SUBJECTS, {}), max_bytes=10**5)
    with pytest.raises(FormatError):
        parse_statement(format_json(members | change))


def test_a_float_anywhere_in_a_predicate_is_refused() -> None:
    with pytest.raises(FormatError, match="float"):
        build_statement("t", SUBJECTS, {"a": {"b": [1, 2.5]}})


def test_a_digest_must_be_32_bytes() -> None:
    with pytest.raises(FormatError):
        build_statement("t", [Subject("file", b"short")], {})
