"""Points of edwards25519 (RFC 8032, section 5.1), as far as judging a public key and `vrf` need them.

OpenSSL accepts keys of small order and keys in non-canonical encoding, libsodium refuses most of them, and
verifiers differ on keys with a small-order component. Whoever registers such a key can later deny a
signature, so it is refused once, at the door. Nothing secret is handled here: plain integers, no constant
time.
"""

from __future__ import annotations

from .errors import WeakKeyError

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]
"""Extended homogeneous coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, x * y = T/Z."""

SMALL_ORDER = frozenset(
    bytes.fromhex(encoded)
    for encoded in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
"""The canonical encodings of the eight points whose order divides 8."""

IDENTITY: Point = (0, 1, 1, 0)
BASE_ENCODED = bytes.fromhex("58" + 31 * "66")
"""The generator of the prime-order group: y = 4/5, x even."""


def decode_point(encoded: bytes) -> Point:
    """Decode 32 bytes by RFC 8032, section 5.1.3; WeakKeyError when not canonical or not on the curve."""
    if len(encoded) != 32:
        raise WeakKeyError(f"expected a public key of 32 bytes, got {len(encoded)}")
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= P:
        raise WeakKeyError("expected a canonical public key, got one with y beyond the field")
    numerator, denominator = (y * y - 1) % P, (D * y * y + 1) % P
    # Candidate root (u/v)^((p+3)/8), written without a division.
    x = numerator * pow(denominator, 3, P) * pow(numerator * pow(denominator, 7, P), (P - 5) // 8, P) % P
    if denominator * x * x % P == -numerator % P:
        x = x * SQRT_MINUS_ONE % P
    if denominator * x * x % P != numerator:
        raise WeakKeyError("expected a point of the curve as public key, got a value that is not on it")
    if x == 0 and sign:
        raise WeakKeyError("expected a canonical public key, got a zero x with its sign bit set")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def encode_point(point: Point) -> bytes:
    """Return the 32 bytes of a point (RFC 8032, section 5.1.2)."""
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def add_points(a: Point, b: Point) -> Point:
    """Add two points (RFC 8032, section 5.1.4; complete, so it doubles as well)."""
    i = (a[1] - a[0]) * (b[1] - b[0]) % P
    j = (a[1] + a[0]) * (b[1] + b[0]) % P
    k = 2 * a[3] * b[3] * D % P
    m = 2 * a[2] * b[2] % P
    e, f, g, h = j - i, m - k, m + k, j + i
    return e * f % P, g * h % P, f * g % P, e * h % P


BASE = decode_point(BASE_ENCODED)


def multiply_point(scalar: int, point: Point) -> Point:
    """Return scalar * point by double-and-add."""
    result = IDENTITY
    for bit in bin(scalar)[2:]:
        result = add_points(result, result)
        if bit == "1":
            result = add_points(result, point)
    return result


def is_identity(point: Point) -> bool:
    """Tell whether a point is the neutral element."""
    return point[0] % P == 0 and (point[1] - point[2]) % P == 0


def check_public_key(encoded: bytes) -> None:
    """Raise WeakKeyError unless the bytes are a canonical point of order exactly L."""
    point = decode_point(encoded)
    if encoded in SMALL_ORDER:
        raise WeakKeyError("expected a public key of the prime-order group, got a point of small order")
    if not is_identity(multiply_point(L, point)):
        raise WeakKeyError("expected a public key of the prime-order group, got one with a small-order part")
