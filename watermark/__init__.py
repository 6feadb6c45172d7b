"""The signal core: keyed watermarks in audio arrays. Pure: no files, no clock, no environment."""

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
    "Detection",
    "Detector",
    "Embedder",
    "Profile",
    "SegmentEvidence",
    "WatermarkError",
    "detect",
    "embed",
]
