"""Fingerprints: which recording is this, which part of it, and what was changed. Pure."""

from .agreement import bit_errors, verify_sketch
from .extraction import Extractor, Query, extract, extract_query, make_fingerprint
from .fingerprint_format import FingerprintError, format_fingerprint, parse_fingerprint
from .localisation import compare
from .merging import merge_segments
from .outcome import (
    CHANGE_KINDS,
    Change,
    Comparison,
    Fingerprint,
    Identification,
    IntactRange,
    Landmarks,
    Match,
    Placement,
    Sketch,
)
from .profile import PROFILE, FingerprintProfile
from .search import Index, identify
from .segment import Segment, SegmentError, build_segment, format_segment, parse_segment
from .sketch_format import SketchError, format_sketch, parse_sketch

__all__ = [
    "CHANGE_KINDS",
    "PROFILE",
    "Change",
    "Comparison",
    "Extractor",
    "Fingerprint",
    "FingerprintError",
    "FingerprintProfile",
    "Identification",
    "Index",
    "IntactRange",
    "Landmarks",
    "Match",
    "Placement",
    "Query",
    "Segment",
    "SegmentError",
    "Sketch",
    "SketchError",
    "bit_errors",
    "build_segment",
    "compare",
    "extract",
    "extract_query",
    "format_fingerprint",
    "format_segment",
    "format_sketch",
    "identify",
    "make_fingerprint",
    "merge_segments",
    "parse_fingerprint",
    "parse_segment",
    "parse_sketch",
    "verify_sketch",
]
