"""Whether a machine made a file: what the signed record says, where the file was tied to one."""

from .declaration import measure_share
from .labelverdict import METADATA_FORGED
from .verdict import ALTERED, GOOD, MARK_MISSING, MARK_REMOVED, REVOKED, UNMARKED_ORIGINAL

OF_THE_TRACK = GOOD | {ALTERED, MARK_REMOVED, MARK_MISSING, UNMARKED_ORIGINAL, METADATA_FORGED, REVOKED}
"""Verdicts under which what the record says of the track's origin is said of the file, too."""
UNDECLARED, UNKNOWN = "undeclared", "unknown"
ORIGINS = ("all", "partly", "none", UNDECLARED, UNKNOWN)


def tell_origin(verdict: str, *, track: bool, source_type: str | None) -> str:
    """Return how much of a file a machine made, by its track's record: one of ORIGINS.

    `undeclared`: the record does not say; `unknown`: there is no record that the file could be tied to.
    """
    if verdict not in OF_THE_TRACK or not track:
        return UNKNOWN
    return measure_share(source_type) or UNDECLARED
