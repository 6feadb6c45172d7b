"""Reading a payload that is one of those a registry knows: what was registered serves as side information.

Blindly a decoder chooses among 2^64 payloads; a registry has but N. Let L_b be the codeword's soft bits and
s_b(n) the signs of the n-th known codeword: `z_n = sum_b s_b(n) L_b / sqrt(sum_b L_b^2)`. For audio that does
not depend on the key the signs are fair coins given the L_b, so (Hoeffding 1963, and the union over the N
codewords and over the readings tried)

    P(max_n z_n as large)  <=  N * attempts * exp(-z^2 / 2)

which for a million payloads asks for z of 8.6 at 1e-9, where the blind payload needs 11.6 and its code 13.5.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from . import polar
from .false_alarm import log_probability
from .keystream import check_watermark_key, keyed_check
from .profile import PROFILE, Profile

DoubleArray = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]

# The best known codeword must stand this much above the next one: a mark under the key that the registry does
# not know resembles some known codewords a little.
LEAD = 1.25
# Codewords compared at a time.
ROWS = 16_384


class KnownPayloads:
    """The codewords of the payloads known to have been embedded under one watermark key and profile.

    Parameters
    ----------
    watermark_key : bytes of 32 or 64
    payloads : sequence of 8 bytes each
        Must be random, as mark ids are. 64 bytes of memory each.
    """

    def __init__(
        self, watermark_key: bytes, payloads: Sequence[bytes], *, profile: Profile = PROFILE
    ) -> None:
        check_watermark_key(watermark_key)
        size = profile.payload_bits // 8
        if any(not isinstance(payload, bytes) or len(payload) != size for payload in payloads):
            raise ValueError(f"expected payloads of {size} bytes")
        self.watermark_key = watermark_key
        self.profile = profile
        self.payloads = tuple(dict.fromkeys(payloads))
        self._codewords = np.zeros((len(self.payloads), profile.codeword_bits // 8), np.uint8)
        for first in range(0, len(self.payloads), ROWS):
            some = self.payloads[first : first + ROWS]
            data = b"".join(p + keyed_check(watermark_key, profile.name, p, profile.check_bits) for p in some)
            words = np.unpackbits(np.frombuffer(data, np.uint8).reshape(len(some), -1), axis=1)
            coded = polar.encode_rows(words, profile.codeword_bits)
            self._codewords[first : first + len(some)] = np.packbits(coded, axis=1)

    def match(self, soft: DoubleArray) -> tuple[bytes, float] | None:
        """Return the payload whose codeword fits the soft bits, (codeword_bits,), best, and its statistic.

        None when no codeword stands out from the others, or the soft bits are all 0.
        """
        energy = float((soft * soft).sum())
        if not self.payloads or energy == 0:
            return None
        values = self.correlate(soft[None] / math.sqrt(energy))[:, 0]
        best = int(values.argmax())
        statistic = float(values[best])
        others = np.delete(values, best)
        if others.size and statistic < LEAD * float(others.max()):
            return None
        return self.payloads[best], statistic

    def correlate(self, soft: DoubleArray) -> FloatArray:
        """Return `sum_b s_b L_b` of each codeword and each row of soft bits, (m, codeword_bits): float32
        (payloads, m).
        """
        columns = soft.T.astype(np.float32)
        values = np.empty((len(self.payloads), soft.shape[0]), np.float32)
        for first in range(0, len(self.payloads), ROWS):
            bits = np.unpackbits(self._codewords[first : first + ROWS], axis=1)
            values[first : first + ROWS] = columns.sum(axis=0) - 2 * (bits.astype(np.float32) @ columns)
        return values

    def log_probability(self, statistic: float, attempts: int) -> float:
        """Return the natural log of the bound on the probability that chance gives `statistic`."""
        return log_probability(statistic, math.log(max(len(self.payloads) * attempts, 1)))
