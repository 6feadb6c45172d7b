"""The signal core: keyed watermarks in audio arrays. Pure: no files, no clock, no environment."""

from .candidate import CandidateMatch, CandidateMatcher, match_candidate
from .detection import Detector, detect, detect_batch
from .embedding import GENTLE, STRONG, Embedder, embed
from .errors import AudioError, WatermarkError
from .keystream import epoch_key
from .known import KnownPayloads
from .outcome import Alignment, Detection, SegmentEvidence
from .placed import ClipPlacement, PlacedMatcher
from .profile import PROFILE, PROFILES, Profile
from .tracing import Trace, TracedCopy, Tracer, trace

__all__ = [
    "GENTLE",
    "PROFILE",
    "PROFILES",
    "STRONG",
    "Alignment",
    "AudioError",
    "CandidateMatch",
    "CandidateMatcher",
    "ClipPlacement",
    "Detection",
    "Detector",
    "Embedder",
    "KnownPayloads",
    "PlacedMatcher",
    "Profile",
    "SegmentEvidence",
    "Trace",
    "TracedCopy",
    "Tracer",
    "WatermarkError",
    "detect",
    "detect_batch",
    "embed",
    "epoch_key",
    "match_candidate",
    "trace",
]
