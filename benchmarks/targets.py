"""The figures that the mark is to reach: exact payloads by family of our own table and clip length."""

from collections.abc import Mapping

from benchmarks.systems import CANDIDATE, OURS, PLACED, REGISTRY

_DESYNC = {5.0: 0.85, 10.0: 0.97, 30.0: 1.0}
TARGETS: Mapping[str, Mapping[float, float]] = {
    "plain": {5.0: 0.97, 10.0: 0.995, 30.0: 1.0},
    "codec": {5.0: 0.90, 10.0: 0.98, 30.0: 1.0},
    "harsh codec": {5.0: 0.70, 10.0: 0.92, 30.0: 0.99},
    "desync": _DESYNC,
    "desync + mp3": _DESYNC,
    "noise, room": {5.0: 0.75, 10.0: 0.92, 30.0: 0.99},
    "mix": {5.0: 0.40, 10.0: 0.75, 30.0: 0.95},
    "cut": {5.0: 0.50, 10.0: 0.85, 30.0: 0.98},
    "chain": {5.0: 0.50, 10.0: 0.85, 30.0: 0.97},
}
# The test for one known mark, present at p < 1e-6, on every row that has a target.
CANDIDATE_TARGETS: Mapping[float, float] = {5.0: 0.95}


def find_target(system: str, family: str, clip_s: float) -> float | None:
    """The share to reach, or None where none was set: other systems, other lists, other lengths."""
    name = system.partition("@")[0]
    if family not in TARGETS or name not in (OURS, CANDIDATE, PLACED, REGISTRY):
        return None
    return (CANDIDATE_TARGETS if name in (CANDIDATE, PLACED) else TARGETS[family]).get(clip_s)
