"""How likely audio that knows nothing of the key would do as well: bounds that assume nothing about the
audio.

Let y_i be the value read from cell i and c_i its chip. If the audio is independent of the key, the chips are
independent fair signs given the y_i, whatever these are, and by Hoeffding's inequality (1963, theorem 2)

    P( sum c_i y_i / sqrt(sum y_i^2) >= z )  <=  exp(-z^2 / 2).

The number of things tried multiplies it (union bound). For a decoded payload these are the 2^64 codewords
and the placements that were decoded; the search for placements costs nothing, since it looks only at
synchronisation chips, which are independent of the payload chips. For presence without a payload it is the
size of the search.
"""

import math


def log_probability(statistic: float, log_trials: float) -> float:
    """Return the natural log of the bound on the false-alarm probability: at most 0."""
    return min(0.0, log_trials - max(statistic, 0.0) ** 2 / 2)


def probability(log_value: float) -> float:
    """Return exp(log_value), at least the smallest positive normal double: a bound is never 0."""
    return max(math.exp(max(log_value, -745.0)), 2.3e-308)


def payload_log_probability(statistic: float, payload_bits: int, attempts: int) -> float:
    """Return the log bound for a payload decoded in one of `attempts` decodings."""
    return log_probability(statistic, payload_bits * math.log(2) + math.log(max(attempts, 1)))


def presence_log_probability(statistic: float, placements: int) -> float:
    """Return the log bound for a synchronisation statistic that is the best of `placements`."""
    return log_probability(statistic, math.log(max(placements, 1)))
