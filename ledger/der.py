"""DER (ITU-T X.690), as much as time-stamps need: definite lengths, low tag numbers, nothing lenient.

>>> [item.tag for item in read_element(bytes.fromhex("3006020101040161")).children()]
[2, 4]
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import FormatError

INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x02, 0x03, 0x04, 0x05, 0x06
GENERALIZED_TIME, SEQUENCE, SET = 0x18, 0x30, 0x31
BOOLEAN = 0x01
MAX_DER_BYTES = 1 << 20
_TIME = re.compile(r"[0-9]{14}(\.[0-9]{1,6})?Z")


@dataclass(frozen=True)
class Element:
    """One element: its tag byte, its content, and its whole encoding."""

    tag: int
    content: bytes
    encoded: bytes

    def children(self) -> list[Element]:
        """Return the elements inside; FormatError unless the content is nothing but elements."""
        found = []
        rest = self.content
        while rest:
            child = _read_first(rest)
            found.append(child)
            rest = rest[len(child.encoded) :]
        return found

    def check_tag(self, tag: int, what: str) -> Element:
        """Return itself; FormatError unless it has this tag."""
        if self.tag != tag:
            raise FormatError(f"{what}: expected DER tag 0x{tag:02x}, got 0x{self.tag:02x}")
        return self

    def integer(self, what: str) -> int:
        """Return the value of an INTEGER in its shortest form."""
        self.check_tag(INTEGER, what)
        value = int.from_bytes(self.content, "big", signed=True)
        if self.encoded != encode_integer(value):
            raise FormatError(f"{what}: expected the shortest DER integer")
        return value

    def oid(self, what: str) -> str:
        """Return an OBJECT IDENTIFIER in dotted decimal."""
        content = self.check_tag(OID, what).content
        arcs, value = [], 0
        for position, octet in enumerate(content):
            if value == 0 and octet == 0x80:
                raise FormatError(f"{what}: expected the shortest DER object identifier")
            value = value << 7 | octet & 0x7F
            if not octet & 0x80:
                arcs.append(value)
                value = 0
            elif position == len(content) - 1:
                raise FormatError(f"{what}: the DER object identifier is cut off")
        if not arcs:
            raise FormatError(f"{what}: expected a DER object identifier, got an empty one")
        first = min(arcs[0] // 40, 2)
        return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))

    def time(self, what: str) -> datetime.datetime:
        """Return a GeneralizedTime in UTC, with fractions if it has them (RFC 3161, section 2.4.2)."""
        text = self.check_tag(GENERALIZED_TIME, what).content.decode("ascii", "replace")
        form = "%Y%m%d%H%M%S.%fZ" if "." in text else "%Y%m%d%H%M%SZ"
        if not _TIME.fullmatch(text):
            raise FormatError(f"{what}: expected a DER time in UTC, got {text!r:.40}")
        try:
            return datetime.datetime.strptime(text, form).replace(tzinfo=datetime.UTC)
        except ValueError as error:
            raise FormatError(f"{what}: expected a DER time in UTC, got {text!r:.40}") from error


def read_element(data: bytes) -> Element:
    """Return the one element that the bytes are; FormatError for bytes behind it, or another encoding."""
    if len(data) > MAX_DER_BYTES:
        raise FormatError(f"expected at most {MAX_DER_BYTES} bytes of DER, got {len(data)}")
    element = _read_first(data)
    if len(element.encoded) != len(data):
        raise FormatError(f"expected one DER element, got {len(data) - len(element.encoded)} bytes behind it")
    return element


def encode(tag: int, content: bytes) -> bytes:
    """Return an element of a tag and content."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def encode_sequence(items: Iterable[bytes]) -> bytes:
    """Return a SEQUENCE of encoded elements."""
    return encode(SEQUENCE, b"".join(items))


def encode_integer(value: int) -> bytes:
    """Return an INTEGER."""
    return encode(
        INTEGER, value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True)
    )


def encode_oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER."""
    first, second, *rest = map(int, dotted.split("."))
    content = b""
    for arc in (40 * first + second, *rest):
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.append(arc & 0x7F | 0x80)
        content += bytes(reversed(octets))
    return encode(OID, content)


def _read_first(data: bytes) -> Element:
    if len(data) < 2 or data[0] & 0x1F == 0x1F:
        raise FormatError("expected a DER element with a low tag number")
    length, start = data[1], 2
    if length & 0x80:
        count = length & 0x7F
        octets = data[2 : 2 + count]
        length, start = int.from_bytes(octets, "big"), 2 + count
        if not 1 <= count <= 4 or len(octets) != count or length < 0x80 or octets[0] == 0:
            raise FormatError("expected the shortest DER length")
    content = data[start : start + length]
    if len(content) != length:
        raise FormatError(f"expected {length} bytes of DER content, got {len(content)}")
    return Element(data[0], content, data[: start + length])
