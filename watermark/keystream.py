"""Labelled pseudo-random streams of one watermark key.

Every use of the 32-byte watermark key has a label of its own; the label goes through HKDF-SHA256 (RFC 5869)
and the result keys ChaCha20 (RFC 8439), whose keystream is the randomness. Two labels never share a stream,
so the synchronisation pattern says nothing about the payload chips and neither says anything about the
check.
"""

import hashlib
import hmac

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

WATERMARK_KEY_BYTES = 32


def check_watermark_key(watermark_key: bytes) -> None:
    """Raise ValueError unless `watermark_key` is 32 bytes."""
    if not isinstance(watermark_key, bytes) or len(watermark_key) != WATERMARK_KEY_BYTES:
        raise ValueError(f"expected a watermark key of {WATERMARK_KEY_BYTES} bytes")


def derive(watermark_key: bytes, profile_name: str, label: str) -> bytes:
    """Return the 32-byte subkey for one use of the key (RFC 5869, info = "provenote/<profile>/<label>")."""
    info = f"provenote/{profile_name}/{label}".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(watermark_key)


class KeyStream:
    """Randomness of one label: the same key, profile and label give the same values, in order."""

    def __init__(self, watermark_key: bytes, profile_name: str, label: str) -> None:
        subkey = derive(watermark_key, profile_name, label)
        self._encryptor = Cipher(algorithms.ChaCha20(subkey, bytes(16)), mode=None).encryptor()

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        return self._encryptor.update(bytes(count))

    def chips(self, count: int) -> npt.NDArray[np.int8]:
        """Return `count` chips, +1 or -1, int8."""
        bits = np.unpackbits(np.frombuffer(self.take((count + 7) // 8), np.uint8))[:count]
        return (1 - 2 * bits.astype(np.int8)).astype(np.int8)

    def permutation(self, count: int) -> npt.NDArray[np.int64]:
        """Return a permutation of range(count): the order of `count` 64-bit values of the stream."""
        values = np.frombuffer(self.take(8 * count), "<u8")
        return np.argsort(values, kind="stable").astype(np.int64)


def keyed_check(watermark_key: bytes, profile_name: str, payload: bytes, check_bits: int) -> bytes:
    """Return the first `check_bits` (a multiple of 8) bits of HMAC-SHA256 over the payload, as bytes."""
    subkey = derive(watermark_key, profile_name, "check")
    return hmac.new(subkey, payload, hashlib.sha256).digest()[: check_bits // 8]
