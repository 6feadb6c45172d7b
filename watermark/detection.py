"""Looking for marks in a signal, segment by segment, under several keys and every published profile."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from .finding import Finder
from .keystream import check_watermark_key, sync_key
from .known import KnownPayloads
from .layout import layout_of
from .outcome import Detection
from .profile import PROFILES, Profile
from .reader import KeyReader
from .segment import Preparation, Segments, prepare
from .segmenting import Segmenter

FloatArray = npt.NDArray[np.float32]


def detect(
    audio: FloatArray,
    *,
    sample_rate: int,
    watermark_keys: Sequence[bytes],
    profiles: Sequence[Profile] = PROFILES,
    known: Sequence[KnownPayloads] = (),
    preparation: Preparation = prepare,
) -> Detection:
    """Return what marks under `watermark_keys` the clip carries.

    Parameters
    ----------
    audio : float32, shape (channels, samples)
    sample_rate : int
        Hz, 8,000 to 192,000.
    watermark_keys : sequence of 32 or 64 bytes each
        All are tried; the strongest mark found is reported. Epochs of one key (64 bytes, the same first half)
        cost little more than one of them.
    profiles : sequence of Profile
        Those that marks may have been embedded with, in the order in which they are looked for: a segment in
        which one is plainly there is not searched for the next. Each costs a search of its own.
    known : sequence of KnownPayloads
        What a registry knows, one for each key and profile of interest: where the payload cannot be decoded
        blindly, one of these may still be told.
    preparation : Preparation
        Who makes the transforms: numpy, or torch on a device (`torch_segment.prepare_on`).

    Raises
    ------
    AudioError
        The audio cannot be worked on. Finding nothing is a result.
    """
    channels = audio.shape[0] if isinstance(audio, np.ndarray) and audio.ndim == 2 else 1
    detector = Detector(
        sample_rate=sample_rate,
        channels=channels,
        watermark_keys=watermark_keys,
        profiles=profiles,
        known=known,
        preparation=preparation,
    )
    detector.push(audio)
    return detector.finish()


def detect_batch(
    clips: Sequence[FloatArray],
    *,
    sample_rate: int,
    watermark_keys: Sequence[bytes],
    profiles: Sequence[Profile] = PROFILES,
    known: Sequence[KnownPayloads] = (),
    preparation: Preparation = prepare,
    workers: int = 1,
) -> list[Detection]:
    """Return for each of `clips` what `detect` returns, `workers` of them at a time.

    While one clip's transforms are made on a device, others are decoded.
    """

    def one(clip: FloatArray) -> Detection:
        return detect(
            clip,
            sample_rate=sample_rate,
            watermark_keys=watermark_keys,
            profiles=profiles,
            known=known,
            preparation=preparation,
        )

    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(one, clips))


class Detector:
    """Looks for marks in a signal that comes in blocks; holds at most 24 s of it at a time."""

    def __init__(
        self,
        *,
        sample_rate: int,
        channels: int,
        watermark_keys: Sequence[bytes],
        profiles: Sequence[Profile] = PROFILES,
        known: Sequence[KnownPayloads] = (),
        preparation: Preparation = prepare,
    ) -> None:
        self._segmenter = Segmenter(sample_rate=sample_rate, channels=channels)
        if not watermark_keys or not profiles:
            raise ValueError("expected at least one watermark key and one profile")
        self._sample_rate = sample_rate
        self._profiles = tuple(profiles)
        self._preparation = preparation
        self._finders: dict[tuple[Profile, bytes], Finder] = {}
        self._readers = []
        by_key = {(k.profile, k.watermark_key): k for k in known}
        for profile in profiles:
            for index, watermark_key in enumerate(watermark_keys):
                check_watermark_key(watermark_key)
                finder = self._finders.setdefault(
                    (profile, sync_key(watermark_key)), Finder(layout_of(watermark_key, profile))
                )
                self._readers.append(
                    KeyReader(watermark_key, profile, index, finder, by_key.get((profile, watermark_key)))
                )

    def push(self, block: FloatArray) -> None:
        """Take the next samples, float32 (channels, n)."""
        for start, audio in self._segmenter.push(block):
            self._read(start, audio, alone=False)

    def finish(self) -> Detection:
        """Return the outcome for everything pushed."""
        for start, audio in self._segmenter.finish():
            self._read(start, audio, alone=start == 0)
        for finder in self._finders.values():
            finder.finish()
        outcomes = [reader.conclude(len(self._readers)) for reader in self._readers]
        return min(outcomes, key=lambda found: (not found.detected, found.false_alarm_probability))

    def _read(self, start: int, audio: FloatArray, *, alone: bool) -> None:
        """Let every finder read a segment that begins at sample `start`.

        Digital silence carries nothing, and hours of it are a file of kilobytes: it is not searched.
        """
        if not audio.any():
            return
        samples = audio.shape[1]
        start_s, end_s = start / self._sample_rate, (start + samples) / self._sample_rate
        segments = Segments(audio, self._sample_rate, self._preparation)
        for profile in self._profiles:
            segment = segments.of(profile)
            finders = [finder for (of, _), finder in self._finders.items() if of is profile]
            placed = [finder.read(segment, start_s, end_s, alone=alone) for finder in finders]
            if any(placed):
                # Audio is marked once: where one profile is plainly there, the next ones are not looked for.
                break
