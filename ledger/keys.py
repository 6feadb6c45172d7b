"""Ed25519 keys (RFC 8032), named by their RFC 7638 thumbprint.

The key id is base64url(SHA-256(JWK)) over the members that RFC 8037 (appendix A.3) prescribes:

    {"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from . import edwards
from .canonical import check_members, format_json
from .ed25519 import Verify, verify_openssl
from .encoding import decode_base64url, encode_base64url
from .errors import BadSignatureError, FormatError


@functools.lru_cache(maxsize=1024)
def _check_strength(raw: bytes) -> None:
    edwards.check_public_key(raw)  # a millisecond or two of integer arithmetic: worth remembering


def _thumbprint(raw: bytes) -> str:
    return encode_base64url(hashlib.sha256(format_json(_format_jwk(raw))).digest())


def _format_jwk(raw: bytes) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": encode_base64url(raw)}


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key that every verifier reads alike.

    Parameters
    ----------
    raw : the 32 bytes of RFC 8032

    Raises
    ------
    WeakKeyError : not canonical, not on the curve, of small order, or with a small-order component
    """

    raw: bytes
    key_id: str = field(init=False)

    def __post_init__(self) -> None:
        _check_strength(self.raw)
        object.__setattr__(self, "key_id", _thumbprint(self.raw))

    @classmethod
    def from_jwk(cls, value: object) -> Self:
        """Read the three-member JWK of RFC 8037; FormatError for anything else."""
        members = check_members(value, {"crv", "kty", "x"}, "public key")
        if members["crv"] != "Ed25519" or members["kty"] != "OKP" or not isinstance(members["x"], str):
            raise FormatError(f"expected an Ed25519 JWK, got kty {members['kty']!r} crv {members['crv']!r}")
        return cls(decode_base64url(members["x"], "public key"))

    def jwk(self) -> dict[str, Any]:
        """Return the JWK whose thumbprint is the key id."""
        return dict(_format_jwk(self.raw))

    def check_signature(self, signature: bytes, message: bytes, verify: Verify = verify_openssl) -> None:
        """Raise BadSignatureError unless `signature` (64 bytes) is this key's signature of `message`.

        An R of small order is refused, as libsodium does; OpenSSL alone would take one such signature.
        """
        if signature[:32] in edwards.SMALL_ORDER:
            raise BadSignatureError(
                f"signature by key {self.key_id} has an R of small order", key_id=self.key_id
            )
        if not verify(self.raw, signature, message):
            raise BadSignatureError(f"signature by key {self.key_id} does not verify", key_id=self.key_id)


class SigningKey:
    """An Ed25519 private key; it never shows its secret in `repr`."""

    def __init__(self, seed: bytes) -> None:
        """Take the 32-byte seed of RFC 8032, section 5.1.5."""
        if len(seed) != 32:
            raise ValueError(f"expected a seed of 32 bytes, got {len(seed)}")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = PublicKey(self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the operating system's random source."""
        private = Ed25519PrivateKey.generate()
        return cls(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read an unencrypted PKCS#8 PEM; FormatError when it is no Ed25519 private key."""
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise FormatError(f"expected a PKCS#8 PEM private key: {error}") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise FormatError(f"expected an Ed25519 private key, got {type(private).__name__}")
        return cls(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))

    @property
    def key_id(self) -> str:
        """The RFC 7638 thumbprint of the public key."""
        return self.public_key.key_id

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte deterministic signature of `message`."""
        return self._private.sign(message)

    def derive(self, label: str) -> bytes:
        """Return 32 secret bytes for a purpose other than signing, another for each label (HKDF-SHA256)."""
        seed = self._private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return HKDF(SHA256(), 32, salt=None, info=label.encode("utf-8")).derive(seed)

    def pem(self) -> bytes:
        """Return the unencrypted PKCS#8 PEM: the caller keeps it secret."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def __repr__(self) -> str:
        return f"SigningKey(key_id={self.key_id!r})"
