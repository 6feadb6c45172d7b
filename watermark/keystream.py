"""Labelled pseudo-random streams of one watermark key.

Every use of the watermark key has a label of its own; the label goes through HKDF-SHA256 (RFC 5869)
and the result keys ChaCha20 (RFC 8439), whose keystream is the randomness. Two labels never share a stream,
so the synchronisation pattern says nothing about the payload chips and neither says anything about the
check.

A watermark key is 32 secret bytes, or 64: then the first half keys the synchronisation pattern and the second
one all else. Keys that share the first half are epochs of one another: a detector searches once for all of
them. Who learns the pattern of one epoch's payload knows nothing of another's.
"""

import hashlib
import hmac

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

WATERMARK_KEY_BYTES = 32
EPOCH_KEY_BYTES = 64


def check_watermark_key(watermark_key: bytes) -> None:
    """Raise ValueError unless `watermark_key` is 32 or 64 bytes."""
    lengths = (WATERMARK_KEY_BYTES, EPOCH_KEY_BYTES)
    if not isinstance(watermark_key, bytes) or len(watermark_key) not in lengths:
        raise ValueError(f"expected a watermark key of {lengths[0]} or {lengths[1]} bytes")


def sync_key(watermark_key: bytes) -> bytes:
    """Return the half that keys synchronisation: the same for all epochs of a key."""
    return watermark_key[:WATERMARK_KEY_BYTES]


def epoch_key(watermark_key: bytes, fresh: bytes) -> bytes:
    """Return the key of a new epoch: the synchronisation of `watermark_key`, all else from 32 `fresh` random
    bytes.
    """
    check_watermark_key(watermark_key)
    if len(fresh) != WATERMARK_KEY_BYTES:
        raise ValueError(f"expected {WATERMARK_KEY_BYTES} random bytes, got {len(fresh)}")
    return sync_key(watermark_key) + fresh


def derive(watermark_key: bytes, profile_name: str, label: str) -> bytes:
    """Return the 32-byte subkey for one use of the key (RFC 5869, info = "provenote/<profile>/<label>")."""
    info = f"provenote/{profile_name}/{label}".encode()
    half = sync_key(watermark_key) if label.startswith("sync-") else watermark_key[-WATERMARK_KEY_BYTES:]
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(half)


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
