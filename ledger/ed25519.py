"""Two libraries that verify Ed25519 (RFC 8032), and which one to use.

`verify_openssl` (package cryptography) is always there. `verify_sodium` (PyNaCl, extra `fast`) is about twice
as quick. On the keys that `keys.PublicKey` admits (canonical, of prime order) both compare the encoded point
R without a cofactor, so they give the same answers; a test says so over the published edge cases.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key of 32 bytes, signature of 64, message) -> whether the signature is good."""


def verify_openssl(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Verify by OpenSSL."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def verify_sodium(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Verify by libsodium; ImportError without PyNaCl."""
    open_signed, refusal = _load_sodium()
    try:
        open_signed(signature + message, public_key)
    except refusal:
        return False
    return True


@functools.cache
def _load_sodium() -> tuple[Callable[[bytes, bytes], bytes], type[Exception]]:
    """Import once: at each signature it would be a fortieth of the work."""
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError

    return crypto_sign_open, BadSignatureError


def pick_verifier() -> Verify:
    """Return the quickest verifier that is installed."""
    return verify_sodium if importlib.util.find_spec("nacl") else verify_openssl
