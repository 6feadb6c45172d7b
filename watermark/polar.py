"""Polar code with check-aided successive-cancellation list decoding.

Arikan 2009 (the transform), Tal and Vardy 2015 (the list decoder), Balatsoukas-Stimming et al. 2015 (path
metrics on log-likelihood ratios). The frozen set follows the polarisation weight of He et al. 2017: position
i with binary digits b_j weighs sum_j b_j * 2**(j/4). The code is short (512), the rate low, and the list is
searched for the one candidate whose keyed check fits, so a wrong payload needs a collision of the check.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BitArray = npt.NDArray[np.uint8]


def information_set(length: int, information_bits: int) -> npt.NDArray[np.int64]:
    """Return the ascending positions that carry information, by polarisation weight."""
    order = length.bit_length() - 1
    if 1 << order != length or not 0 < information_bits <= length:
        raise ValueError(
            f"expected a power of two and at most as many bits, got {length}, {information_bits}"
        )
    digits = (np.arange(length)[:, None] >> np.arange(order)) & 1
    weight = (digits * 2.0 ** (np.arange(order) / 4)).sum(1)
    return np.sort(np.argsort(weight, kind="stable")[length - information_bits :]).astype(np.int64)


def encode(information: BitArray, length: int) -> BitArray:
    """Return the codeword, uint8 of shape (length,), for information bits 0/1."""
    word = np.zeros(length, np.uint8)
    word[information_set(length, information.size)] = information
    return transform(word)


def encode_rows(information: BitArray, length: int) -> BitArray:
    """Return the codewords, uint8 (n, length), of n rows of information bits."""
    words = np.zeros((len(information), length), np.uint8)
    words[:, information_set(length, information.shape[1])] = information
    return transform(words)


def transform(word: BitArray) -> BitArray:
    """Return word @ F^(kron n) over GF(2), F = [[1, 0], [1, 1]], along the last axis; its own inverse."""
    out = np.ascontiguousarray(word).copy()
    half = 1
    while half < out.shape[-1]:
        pairs = out.reshape(-1, 2, half)
        pairs[:, 0] ^= pairs[:, 1]
        half *= 2
    return out


def decode_list(soft_bits: FloatArray, information_bits: int, list_size: int) -> Iterator[BitArray]:
    """Yield candidate information words, likeliest first.

    Parameters
    ----------
    soft_bits : float64, shape (length,)
        Positive for a 0, negative for a 1; only ratios matter.
    information_bits : int
        Bits per word.
    list_size : int
        Paths kept.
    """
    decoder = _ListDecoder(soft_bits, information_bits, list_size)
    decoder.run()
    for path in np.argsort(decoder.metric, kind="stable"):
        yield decoder.decided[path]


class _ListDecoder:
    """One run of the list decoder; paths lie along the first axis of every array."""

    def __init__(self, soft_bits: FloatArray, information_bits: int, list_size: int) -> None:
        self.length = soft_bits.size
        self.list_size = list_size
        self.channel = soft_bits[None, :].astype(np.float64)
        self.is_information = np.zeros(self.length, bool)
        self.is_information[information_set(self.length, information_bits)] = True
        self.metric = np.zeros(1)
        self.decided = np.zeros((1, 0), np.uint8)
        # Survivor of each present path since a caller last looked: lets a node reorder what it kept.
        self.origin = np.zeros(1, np.int64)

    def run(self) -> None:
        self._node(self.channel, 0)

    def _node(self, soft: FloatArray, first: int) -> BitArray:
        """Decode the subtree over `soft` (paths, size) that starts at leaf `first`; return its bits (paths,
        size).

        On return `self.origin` maps each surviving path to the path of the input it came from.
        """
        paths, size = soft.shape
        kinds = self.is_information[first : first + size]
        if not kinds.any():
            # All frozen to zero: each disagreeing soft bit costs its magnitude.
            self.metric = self.metric + np.maximum(-soft, 0).sum(1)
            self.origin = np.arange(paths)
            return np.zeros((paths, size), np.uint8)
        if size == 1:
            return self._leaf(soft[:, 0])
        half = size // 2
        a, b = soft[:, :half], soft[:, half:]
        minimum = np.minimum(np.abs(a), np.abs(b))
        left = self._node(np.where((a < 0) ^ (b < 0), -minimum, minimum), first)
        kept = self.origin
        a, b = a[kept], b[kept]
        right = self._node(np.where(left, b - a, b + a), first + half)
        last = self.origin
        self.origin = kept[last]
        return np.concatenate([left[last] ^ right, right], axis=1)

    def _leaf(self, soft: FloatArray) -> BitArray:
        paths = soft.size
        hard = (soft < 0).astype(np.uint8)
        metric = np.concatenate([self.metric, self.metric + np.abs(soft)])
        bits = np.concatenate([hard, 1 - hard])
        keep = (
            np.argpartition(metric, self.list_size - 1)[: self.list_size]
            if metric.size > self.list_size
            else np.arange(metric.size)
        )
        self.origin = keep % paths
        self.metric = metric[keep]
        chosen = bits[keep][:, None]
        self.decided = np.concatenate([self.decided[self.origin], chosen], axis=1)
        return chosen
