"""The signal core: keyed watermarks in audio arrays. Pure: no files, no clock, no environment."""

from .candidate import CandidateMatch, CandidateMatcher, match_candidate
from .detection import Detector, detect
from .embedding import Embedder, embed
from .errors import AudioError, WatermarkError
from .outcome import Alignment, Detection, SegmentEvidence
from .profile import PROFILE, PROFILES, Profile

__all__ = [
    "PROFILE",
    "PROFILES",
    "Alignment",
    "AudioError",
    "CandidateMatch",
    "CandidateMatcher",
    "Detection",
    "Detector",
    "Embedder",
    "Profile",
    "SegmentEvidence",
    "WatermarkError",
    "detect",
    "embed",
    "match_candidate",
]
