"""A verifiable random function: ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381, suite 3).

Whoever holds the secret key turns an input into an output that looks random to everybody else, and can prove
that it is the only one: under a public key of prime order (`edwards.check_public_key`) no second output can
be proven, not even by the key's owner. A proof is 80 bytes: the point Gamma, the challenge c, the scalar s.

Multiples by secret numbers take the same steps whatever the number; Python's integers are not constant in
time, so a key is to be used where nobody can measure single operations. What leaks with it is who can compute
outputs, never their uniqueness.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from .edwards import (
    BASE,
    IDENTITY,
    L,
    P,
    Point,
    add_points,
    decode_point,
    encode_point,
    is_identity,
    multiply_point,
)
from .errors import ProofError, WeakKeyError
from .keys import PublicKey

SEED_BYTES = 32
PROOF_BYTES = 80
_SUITE = b"\x03"
_COFACTOR = 8
_CHALLENGE_BYTES = 16


@dataclass(frozen=True)
class VrfKey:
    """A secret key: a seed of 32 bytes, from which RFC 8032 derives scalar and public key."""

    seed: bytes = field(repr=False)
    public_key: PublicKey = field(init=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise ValueError(f"expected a seed of {SEED_BYTES} bytes, got {len(self.seed)}")
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        object.__setattr__(self, "public_key", PublicKey(raw))

    @classmethod
    def generate(cls) -> Self:
        """Return a new random key."""
        private = Ed25519PrivateKey.generate()
        return cls(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))

    def prove(self, alpha: bytes) -> bytes:
        """Return the proof of 80 bytes that `open_output` turns into the output of the input `alpha`."""
        hashed = hashlib.sha512(self.seed).digest()
        scalar = int.from_bytes(hashed[:32], "little") & ~7 & ~(1 << 255) | 1 << 254  # RFC 8032, 5.1.5
        encoded_key = self.public_key.raw
        point = _encode_to_curve(encoded_key, alpha)
        gamma = _multiply_evenly(scalar, point)
        nonce_hash = hashlib.sha512(hashed[32:] + encode_point(point)).digest()
        nonce = int.from_bytes(nonce_hash, "little") % L  # RFC 9381, 5.4.2.2
        challenge = _challenge(
            encoded_key, point, gamma, _multiply_evenly(nonce, BASE), _multiply_evenly(nonce, point)
        )
        response = (nonce + int.from_bytes(challenge, "little") * scalar) % L
        return encode_point(gamma) + challenge + response.to_bytes(32, "little")


def open_output(public_key: PublicKey, alpha: bytes, proof: bytes) -> bytes:
    """Return the output of 64 bytes that a proof shows to be the input's (RFC 9381, section 5.3).

    Raises
    ------
    ProofError : the proof is malformed, or of another key or input
    """
    if len(proof) != PROOF_BYTES:
        raise ProofError(f"VRF proof: expected {PROOF_BYTES} bytes, got {len(proof)}")
    challenge = proof[32 : 32 + _CHALLENGE_BYTES]
    response = int.from_bytes(proof[32 + _CHALLENGE_BYTES :], "little")
    try:
        gamma = decode_point(proof[:32])
    except WeakKeyError as error:
        raise ProofError(f"VRF proof: its first 32 bytes are no point: {error}") from error
    if response >= L:
        raise ProofError("VRF proof: expected a scalar below the group's order")
    key, point = decode_point(public_key.raw), _encode_to_curve(public_key.raw, alpha)
    factor = int.from_bytes(challenge, "little")
    u = add_points(multiply_point(response, BASE), multiply_point(factor, _negate(key)))
    v = add_points(multiply_point(response, point), multiply_point(factor, _negate(gamma)))
    if _challenge(public_key.raw, point, gamma, u, v) != challenge:
        raise ProofError("VRF proof: does not hold for this key and input")
    cleared = multiply_point(_COFACTOR, gamma)
    return hashlib.sha512(_SUITE + b"\x03" + encode_point(cleared) + b"\x00").digest()


def _encode_to_curve(encoded_key: bytes, alpha: bytes) -> Point:
    """Hash to a point of the prime-order group, by trying and incrementing (section 5.4.1.1)."""
    for counter in range(256):
        text = _SUITE + b"\x01" + encoded_key + alpha + bytes([counter]) + b"\x00"
        try:
            point = multiply_point(_COFACTOR, decode_point(hashlib.sha512(text).digest()[:32]))
        except WeakKeyError:
            continue  # every second try
        if not is_identity(point):
            return point
    raise ProofError("VRF: the input gives no point")  # once in 2^256 inputs


def _challenge(encoded_key: bytes, *points: Point) -> bytes:
    """Hash the five points of a proof (section 5.4.3)."""
    text = b"".join(map(encode_point, points))
    return hashlib.sha512(_SUITE + b"\x02" + encoded_key + text + b"\x00").digest()[:_CHALLENGE_BYTES]


def _multiply_evenly(scalar: int, point: Point) -> Point:
    """Return scalar * point by a ladder: one addition and one doubling for each of 256 bits."""
    low, high = IDENTITY, point
    for position in range(255, -1, -1):
        pair = (low, high)
        bit = scalar >> position & 1
        total = add_points(low, high)
        doubled = add_points(pair[bit], pair[bit])
        low, high = ((doubled, total), (total, doubled))[bit]
    return low


def _negate(point: Point) -> Point:
    return -point[0] % P, point[1], point[2], -point[3] % P
