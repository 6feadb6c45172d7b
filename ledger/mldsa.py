"""ML-DSA-44 keys (FIPS 204): signatures that a quantum computer does not forge.

C2SP advises them for checkpoints and witnesses beside Ed25519: 1,312 bytes of public key, 2,420 of signature.
A key is a 32-byte seed; signing is hedged with fresh randomness, so two signatures of one message differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from .errors import BadSignatureError, FormatError

PUBLIC_KEY_BYTES = 1312
SIGNATURE_BYTES = 2420
SEED_BYTES = 32


@dataclass(frozen=True)
class MldsaPublicKey:
    """An ML-DSA-44 public key, 1,312 bytes; FormatError for another length or a library without ML-DSA."""

    raw: bytes

    def __post_init__(self) -> None:
        self._load()

    def check_signature(self, signature: bytes, message: bytes, *, context: bytes = b"") -> None:
        """Raise BadSignatureError unless `signature` is this key's of `message` under the context string."""
        try:
            self._load().verify(signature, message, context)
        except (InvalidSignature, ValueError) as error:  # ValueError: a context beyond 255 bytes
            name = self.raw[:8].hex()
            raise BadSignatureError(
                f"ML-DSA-44 signature by key {name}... does not verify", key_id=name
            ) from error

    def _load(self) -> MLDSA44PublicKey:
        try:
            return MLDSA44PublicKey.from_public_bytes(self.raw)
        except ValueError as error:
            raise FormatError(
                f"ML-DSA-44 public key: expected {PUBLIC_KEY_BYTES} bytes, got {len(self.raw)}"
            ) from error
        except UnsupportedAlgorithm as error:
            raise FormatError("this installation's cryptography library has no ML-DSA-44") from error


class MldsaSigningKey:
    """An ML-DSA-44 private key; it never shows its secret in `repr`."""

    def __init__(self, seed: bytes) -> None:
        """Take the 32-byte seed of FIPS 204, algorithm 6; FormatError in a library without ML-DSA."""
        if len(seed) != SEED_BYTES:
            raise ValueError(f"expected a seed of {SEED_BYTES} bytes, got {len(seed)}")
        try:
            self._private = MLDSA44PrivateKey.from_seed_bytes(seed)
        except UnsupportedAlgorithm as error:
            raise FormatError("this installation's cryptography library has no ML-DSA-44") from error
        self.public_key = MldsaPublicKey(self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the operating system's random source."""
        return cls(MLDSA44PrivateKey.generate().private_bytes_raw())

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes: the caller keeps them so."""
        return self._private.private_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return a signature of 2,420 bytes under the empty context."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"MldsaSigningKey({self.public_key.raw[:8].hex()}...)"
