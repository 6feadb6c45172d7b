"""How much a fresh mark has in hand: the stamper reads it back from short clips, also after MP3.

The marked file is cut into windows of 5, 10 and 30 s at places spread over it; in each the mark is looked for
as a stranger's clip would be searched, blindly, as written and after MP3 at 128 and 64 kbit/s (`api.lossy`).
The result is how many of them give exactly the payload:

    {"coding": "mp3-64", "window_s": 10, "windows": 4, "read": 3}

Places, for a recording of T seconds: up to four, centred on T/8, 3T/8, 5T/8, 7T/8, fewer where windows would
overlap much. Every second place is a stretch of 30 s, the others of 10 s; a stretch is encoded once, and
holds one window of its own length, one of 10 s and two of 5 s. So the work is bounded however long the
recording is: 80 s of audio encoded twice, 14 windows searched three times.

A window that is not read as written is not tried after MP3, and one not read at 128 kbit/s not at 64: it
counts as not read. What fails costs most, since a search that finds nothing tries all changes of speed and
pitch; this keeps the worst case near twice the usual one.

It is a prediction about this recording and these codings, made on the stamper's own machine: it does not
cover what else may happen to the file. In a signed statement it is public: it also tells which recordings
carry a weaker mark than others.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import watermark

from .carrier import describe, explain
from .errors import StoppedError
from .lossy import simulate_mp3
from .marking import Block, CancelCheck, Progress, never_cancelled, report_nothing

WINDOWS_S = (5, 10, 30)
PLACES = 4
AS_WRITTEN = "none"
MP3_KBIT_S = {"mp3-128": 128, "mp3-64": 64}
CODINGS = (AS_WRITTEN, *MP3_KBIT_S)
# What a sufficient margin asks for: an ordinary MP3.
REQUIRED_CODINGS = (AS_WRITTEN, "mp3-128")


class MarginPolicy(enum.StrEnum):
    """What the stamper does about the margin: nothing, predict and report it, or refuse without enough."""

    OFF = "off"
    REPORT = "report"
    REQUIRE = "require"


@dataclass(frozen=True)
class MarginRow:
    """In how many windows of a length, after a coding, exactly the payload was read."""

    coding: str
    window_s: int
    windows: int
    read: int


@dataclass(frozen=True)
class Margin:
    """A prediction; `reasons` are codes of `api.carrier`, empty where the margin is sufficient."""

    rows: tuple[MarginRow, ...]
    reasons: tuple[str, ...]

    @property
    def sufficient(self) -> bool:
        """Whether all windows of the longest length that fits are read, as written and after MP3 128."""
        return is_sufficient(self.rows)

    @property
    def warning(self) -> str:
        """What to tell people when the margin is not sufficient, with the reasons; "" when it is."""
        if self.sufficient:
            return ""
        if not self.rows:
            return f"this audio is a poor carrier of a mark: {describe(self.reasons)}"
        longest = max(row.window_s for row in self.rows)
        counts = ", ".join(
            f"{row.read} of {row.windows} {name_coding(row.coding)}"
            for row in self.rows
            if row.window_s == longest and row.coding in REQUIRED_CODINGS
        )
        why = describe(self.reasons)
        return f"this audio is a poor carrier of a mark ({longest} s clips read: {counts}): {why}"


@dataclass(frozen=True)
class _Stretch:
    """A piece of the file that is encoded at once, and the windows in it: (start, length) in seconds."""

    start_s: float
    length_s: int
    windows: tuple[tuple[float, int], ...]


def predict(
    path: Path,
    *,
    watermark_key: bytes,
    payload: bytes,
    progress: Progress = report_nothing,
    cancelled: CancelCheck = never_cancelled,
) -> Margin:
    """Read the mark back from windows of a marked file, as written and after MP3.

    Parameters
    ----------
    path : a FLAC or WAV file that this program wrote; it is read in this process
    watermark_key, payload : what was embedded

    Raises
    ------
    StoppedError
        `cancelled()` returned True.
    RefusedError
        This machine's libsndfile writes no MP3.
    """
    counts: dict[tuple[str, int], list[int]] = {}
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        stretches = plan(file.frames / rate)
        for done, stretch in enumerate(stretches):
            file.seek(round(stretch.start_s * rate))
            audio = file.read(stretch.length_s * rate, dtype="float32", always_2d=True).T
            unread: set[tuple[float, int]] = set()
            for step, coding in enumerate(CODINGS):
                if cancelled():
                    raise StoppedError(f"stopped while the margin of {path.name} was predicted")
                left = [window for window in stretch.windows if window not in unread]
                coded, coded_rate = _encode(audio, rate, coding) if left else (audio, rate)
                for window in stretch.windows:
                    tally = counts.setdefault((coding, window[1]), [0, 0])
                    tally[0] += 1
                    if window in left and _reads(coded, coded_rate, window, watermark_key, payload):
                        tally[1] += 1
                    else:
                        unread.add(window)
                progress("predict", (done + (step + 1) / len(CODINGS)) / len(stretches))
    rows = tuple(
        MarginRow(coding, window_s, *counts[coding, window_s])
        for coding in CODINGS
        for window_s in WINDOWS_S
        if (coding, window_s) in counts
    )
    return Margin(rows, () if is_sufficient(rows) else explain(path))


def name_coding(coding: str) -> str:
    """Return a coding in words."""
    return "as written" if coding == AS_WRITTEN else f"after MP3 {MP3_KBIT_S.get(coding, coding)}"


def is_sufficient(rows: Iterable[MarginRow]) -> bool:
    """Say whether every window of the longest length was read, as written and after MP3 128."""
    rows = tuple(rows)
    longest = max((row.window_s for row in rows), default=0)
    asked = [row for row in rows if row.window_s == longest and row.coding in REQUIRED_CODINGS]
    return bool(asked) and all(row.read == row.windows for row in asked)


def plan(seconds: float) -> tuple[_Stretch, ...]:
    """Return the stretches of a recording that are tried; none when it is too short for any window."""
    shortest, middle, longest = WINDOWS_S
    if seconds < shortest:
        return ()
    places = int(min(PLACES, max(1, seconds // middle)))
    # Stretches of the longest kind do not overlap.
    long_places = int(min((places + 1) // 2, seconds // longest))
    stretches = []
    for place in range(places):
        is_long = place % 2 == 0 and place // 2 < long_places
        length = longest if is_long else middle if seconds >= middle else shortest
        centre = seconds * (2 * place + 1) / (2 * places)
        start = min(max(0.0, centre - length / 2), seconds - length)
        windows = [(0.0, length)]
        if is_long:
            windows.append(((longest - middle) / 2, middle))
        if length > shortest:
            windows += [(0.0, shortest), (float(length - shortest), shortest)]
        stretches.append(_Stretch(start, length, tuple(windows)))
    return tuple(stretches)


def _encode(audio: Block, rate: int, coding: str) -> tuple[Block, int]:
    if coding == AS_WRITTEN:
        return np.ascontiguousarray(audio), rate
    return simulate_mp3(audio, sample_rate=rate, kbit_s=MP3_KBIT_S[coding])


def _reads(audio: Block, rate: int, window: tuple[float, int], watermark_key: bytes, payload: bytes) -> bool:
    start = round(window[0] * rate)
    clip = np.ascontiguousarray(audio[:, start : start + window[1] * rate])
    found = watermark.detect(
        clip, sample_rate=rate, watermark_keys=(watermark_key,), profiles=(watermark.PROFILE,)
    )
    return found.payload == payload


def format_margin(margin: Margin) -> dict[str, Any]:
    """Return the member `margin` of a statement's `mark`: integers and codes alone, since it is signed."""
    return {
        "rows": [
            {"coding": row.coding, "window_s": row.window_s, "windows": row.windows, "read": row.read}
            for row in margin.rows
        ],
        "reasons": list(margin.reasons),
    }


def parse_margin(predicate: Mapping[str, Any]) -> Margin | None:
    """Return the margin that a track's statement states; None where it states none, as older ones do.

    What is there but is not what `format_margin` writes counts as none, too: a later version may say more.
    """
    mark = predicate.get("mark")
    stated = mark.get("margin") if isinstance(mark, Mapping) else None
    if not isinstance(stated, Mapping):
        return None
    try:
        rows = tuple(
            MarginRow(str(row["coding"]), int(row["window_s"]), int(row["windows"]), int(row["read"]))
            for row in stated["rows"]
        )
        return Margin(rows, tuple(str(code) for code in stated["reasons"]))
    except (KeyError, TypeError, ValueError):
        return None


def document_margin(margin: Margin | None) -> dict[str, Any] | None:
    """Return what the command line and the service answer: the stated margin, and what follows from it."""
    if margin is None:
        return None
    return {
        **format_margin(margin),
        "sufficient": margin.sufficient,
        "warning": margin.warning or None,
    }
