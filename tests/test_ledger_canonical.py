import json
from collections.abc import Iterator

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_world import vector_path

from ledger import canonical
from ledger.canonical import check_hex, format_json, parse_json, parse_object
from ledger.errors import FormatError


@pytest.fixture(params=["with msgspec", "without"], scope="module", autouse=True)
def reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything here holds with the quick reader, and where it is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "without":
            patch.setattr(canonical, "_QUICK", None)
        yield


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(VALUES)
def test_what_is_formatted_parses_to_the_same_value_and_back_to_the_same_bytes(value: object) -> None:
    data = format_json(value)
    assert parse_json(data, max_bytes=10**6) == value
    assert format_json(parse_json(data, max_bytes=10**6)) == data


@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_rfc8785_vectors_give_their_output_or_are_refused_for_their_floats(name: str) -> None:
    folder = vector_path("jcs-rfc8785")
    value = json.loads((folder / "input" / f"{name}.json").read_text("utf-8"))
    expected = (folder / "output" / f"{name}.json").read_bytes()
    as_hex = bytes.fromhex((folder / "outhex" / f"{name}.txt").read_text())
    if name in ("structures", "values"):  # the inputs that hold floats
        with pytest.raises(FormatError, match="float"):
            format_json(value)
    if name == "structures":  # whose only float is 56.0, written 56
        assert parse_json(expected, max_bytes=10**6) == value
    elif name == "values":
        with pytest.raises(FormatError, match="integer"):
            parse_json(expected, max_bytes=10**6)
    else:
        assert format_json(value) == expected == as_hex
        assert parse_json(expected, max_bytes=10**6) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1,"a":1}',  # duplicate member
        b'{"b":1,"a":2}',  # order
        b'{"a": 1}',  # white space
        b'{"a":1}\n',
        b'{"a":1.0}',
        b'{"a":[1.5]}',
        b'{"a":["x",1.5]}',
        b'{"a":[{"b":-1.5}]}',
        b'{"a":-1e3}',
        b'{"a":1E400}',
        b"1.5",
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":9007199254740992}',  # 2^53
        b'{"a":-9007199254740992}',
        b'{"a":[9007199254740992]}',
        b'{"a":["x",9007199254740992]}',
        b'{"a":18446744073709551616}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\\u0041"}',  # an escape that RFC 8785 writes as the character
        b'{"a":"\\/"}',
        b'{"a":"\\ud800"}',  # lone surrogate
        b'{"a":"\xff"}',  # not UTF-8
        b"\xef\xbb\xbf{}",  # byte order mark
        b"[" * 100_000,
        b"[" * 100 + b"]" * 100,
    ],
)
def test_any_other_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_json(data, max_bytes=10**6)


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), {1: 2}, {"a": b"x"}, 2**53, {"a": {"b": [0.5]}}, "\ud800"]
)
def test_values_without_a_canonical_form_are_refused(value: object) -> None:
    with pytest.raises(FormatError):
        format_json(value)


def test_members_sort_by_utf16_code_units() -> None:
    # U+1F600 is a surrogate pair (D83D...) and sorts before U+FB33 although its code point is larger.
    assert format_json({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'.encode()


def test_a_document_longer_than_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(FormatError, match="at most 3 bytes"):
        parse_json(b"[[[[", max_bytes=3)


def test_an_object_is_told_from_other_values() -> None:
    with pytest.raises(FormatError, match="expected a JSON object, got list"):
        parse_object(b"[]", max_bytes=10)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(VALUES, st.data())
def test_both_readers_say_the_same_of_a_document_with_one_byte_changed(
    value: object, data: st.DataObject
) -> None:
    document = bytearray(format_json({"a": value, "b": [value, 9007199254740991], "c": 7}))
    at = data.draw(st.integers(0, len(document) - 1))
    document[at] = data.draw(st.sampled_from(b'0123456789.eE-+"\\{}[],: u/\x7f\x1f\xc3'))
    assert _read(bytes(document)) == _read_slowly(bytes(document))


def test_a_plain_statement_is_read_quickly() -> None:
    if canonical._QUICK is None:
        pytest.skip("without msgspec")
    document = {"n": 12, "asset": "track:7e1", "digest": "12e3" * 16, "subject": [{"name": "file"}]}
    assert canonical._read_plain(format_json(document)) == document


def _read(document: bytes) -> object:
    try:
        return parse_json(document, max_bytes=10**6)
    except FormatError:
        return FormatError


def _read_slowly(document: bytes) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "_QUICK", None)
        return _read(document)


@pytest.mark.parametrize("text", ["", "AB" * 32, "ab" * 31, "ab" * 33, " " + "ab" * 31 + "a", 5, None])
def test_hex_is_lower_case_and_of_exact_length(text: object) -> None:
    with pytest.raises(FormatError):
        check_hex(text, "digest")


@settings(derandomize=True, max_examples=300, deadline=None)
@given(VALUES)
def test_the_quick_encoder_writes_what_the_reference_library_writes(value: object) -> None:
    assert format_json(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value", [(1, 2), [], {}, True, None, 2**53 - 1, -(2**53) + 1, '"\\\b\f\n\r\t\x00\x1f\x7f']
)
def test_single_values_are_written_as_the_reference_library_writes_them(value: object) -> None:
    assert format_json(value) == rfc8785.dumps(value)
