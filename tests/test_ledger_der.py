import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import der
from ledger.errors import FormatError


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.integers(-(2**70), 2**70), st.binary(max_size=300), st.lists(st.integers(0, 2**40), max_size=6))
def test_what_is_encoded_reads_back(number: int, content: bytes, arcs: list[int]) -> None:
    dotted = ".".join(map(str, [2, 999, *arcs]))
    items = [der.encode_integer(number), der.encode(der.OCTET_STRING, content), der.encode_oid(dotted)]
    first, second, third = der.read_element(der.encode_sequence(items)).children()
    assert first.integer("number") == number
    assert second.check_tag(der.OCTET_STRING, "content").content == content
    assert third.oid("name") == dotted


def test_known_encodings() -> None:
    assert der.encode_integer(0) == b"\x02\x01\x00"
    assert der.encode_integer(128) == b"\x02\x02\x00\x80"
    assert der.encode_integer(-128) == b"\x02\x01\x80"
    assert der.encode_oid("1.2.840.113549") == bytes.fromhex("06062a864886f70d")
    assert der.encode(4, bytes(200))[:3] == b"\x04\x81\xc8"
    assert der.read_element(bytes.fromhex("06022a03")).oid("x") == "1.2.3"


@pytest.mark.parametrize(
    "data",
    [
        "",
        "02",
        "0201",
        "020100ff",
        "02810100",
        "0280",
        "028200010000",
        "1f0100",
        "0285010000000000",
        "30020201",
        "0484ffffffff",
    ],
)
def test_other_encodings_are_refused(data: str) -> None:
    with pytest.raises(FormatError):
        der.read_element(bytes.fromhex(data)).children()


def test_values_of_the_wrong_kind_are_refused() -> None:
    for data in ("02020000", "0202ffff", "0400", "0200"):
        with pytest.raises(FormatError):
            der.read_element(bytes.fromhex(data)).integer("x")
    for data in ("0600", "0602802a", "06022a80", "0201ff"):
        with pytest.raises(FormatError):
            der.read_element(bytes.fromhex(data)).oid("x")


@pytest.mark.parametrize(
    "text", ["20261122173132", "20261322173132Z", "261122173132Z", "20261122173132+0000", ""]
)
def test_times_are_in_utc(text: str) -> None:
    sound = der.read_element(der.encode(der.GENERALIZED_TIME, b"20261122173132.25Z")).time("x")
    assert (sound.year, sound.microsecond, sound.utcoffset().total_seconds()) == (2026, 250_000, 0)  # type: ignore[union-attr]
    with pytest.raises(FormatError):
        der.read_element(der.encode(der.GENERALIZED_TIME, text.encode())).time("x")


def test_input_is_bounded() -> None:
    with pytest.raises(FormatError, match="at most"):
        der.read_element(bytes(der.MAX_DER_BYTES + 1))
