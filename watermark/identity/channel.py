"""The channel that a query went through, as its levels tell: the gain of each column, and steady noise.

Rows of 0.2 s of query and track are held side by side along the intact pieces. Where the track is loud, their
ratio is the gain; what is left of the query where the track is quietest is noise that was there all the time.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .noise import Channel
from .outcome import Placement, Sketch
from .pieces import SAME_LINE_S, Piece
from .sketch import NOISE_HZ, SketchQuery, stored_levels, warp_levels
from .sketch_profile import SketchProfile

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Levels under which nothing is expected: what lies under -90 dB is rounding, dither or a codec's own.
FLOOR_DB = -90.0
# Noise power in a bin of the spectrogram is that of NOISE_HZ; mixing two channels halves it.
MONO_LOSS = 2.0
# Stored levels are rounded to half a dB, which is no noise.
ROUNDING = 1.12
# The gain of a column is its own where its loud rows have so many times the power of its noise.
CERTAIN_GAIN = 4.0
# Noise is read from rows in which the track has no more than this share of what is heard, if there are as
# many as this.
PAUSE_RATIO = 0.5
LEAST_PAUSES = 2
# Noise is worth knowing when it makes up half or more of this share of all levels. The noise fitted is never
# more than 1.2 times what one level in twenty lies under, so that quiet music alone has no such share.
BURIED_SHARE = 0.15


@dataclass(frozen=True)
class PairedRows:
    """Rows of query and track from row `first` of the track on, along neighbouring pieces of one line.

    Parameters
    ----------
    line : int
    shift_s : float
        Track seconds less seconds of the query on the track's scale.
    first : int
    matched : bool (rows,)
        Rows that lie wholly in intact pieces.
    found, held : float64 (rows, columns)
        Powers of the query and of the track; NaN where not measured.
    """

    line: int
    shift_s: float
    first: int
    matched: BoolArray
    found: DoubleArray
    held: DoubleArray


def pair_rows(query: SketchQuery, track: Sketch, warp: Placement, intact: list[Piece]) -> list[PairedRows]:
    """Put the levels of query and track side by side along the intact pieces, given in order.

    What lies before the first piece and after the last is held against the track on their lines.
    """
    groups: list[list[Piece]] = []
    for piece in intact:
        if groups and abs(groups[-1][-1].shift_s - piece.shift_s) < SAME_LINE_S:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    row_s = query.profile.stored_row_s
    stored = np.asarray(stored_levels(track, query.profile), np.float64)
    rows = []
    for place, group in enumerate(groups):
        placement = Placement(group[0].shift_s, warp.time_scale, warp.pitch_semitones)
        levels = np.asarray(warp_levels(query, placement, len(stored)), np.float64)
        start_s = group[0].track_start_s if place else group[0].shift_s
        end_s = group[-1].track_end_s
        if place == len(groups) - 1:
            end_s = query.seconds * warp.time_scale + group[-1].shift_s
        first = max(0, int(np.ceil(start_s / row_s + 0.25)))
        last = max(first, min(len(stored), int(np.floor(end_s / row_s - 0.25))))
        rows.append(
            PairedRows(
                line=group[0].line,
                shift_s=group[0].shift_s,
                first=first,
                matched=_matched_rows(group, first, last, row_s),
                found=10 ** (levels[first:last] / 10),
                held=10 ** (stored[first:last] / 10),
            )
        )
    return rows


def fit_channel(rows: list[PairedRows], profile: SketchProfile) -> tuple[DoubleArray, DoubleArray]:
    """Gain of each column, from its louder intact rows, and its noise, from the quietest of all: float64
    (columns,) both.

    Columns outside the spectrogram's range take the gain of the middle ones: what was added there from end
    to end must not pass for gain.
    """
    found = np.concatenate([one.found for one in rows])
    held = np.concatenate([one.held for one in rows])
    matched = np.concatenate([one.matched for one in rows])
    columns = found.shape[1]
    gain, noise = np.ones(columns), np.full(columns, 10 ** (FLOOR_DB / 10))
    if np.count_nonzero(matched) < 5:
        return gain, noise
    middle = slice(profile.first_middle, profile.first_high)
    certain = np.zeros(columns, np.bool_)
    for column in range(profile.first_middle, profile.first_high):
        known = np.isfinite(found[:, column]) & np.isfinite(held[:, column]) & (held[:, column] > 0)
        if np.count_nonzero(known) < 5:
            continue
        powers, references = found[known, column], held[known, column]
        loud = (references >= np.quantile(references, 0.6)) & matched[known]
        if not loud.any():
            continue
        gain[column] = np.median(powers[loud] / references[loud])
        # Stationary noise is what is left where the track is quietest, and never more than the least heard.
        quiet = references <= np.quantile(references, max(0.05, min(1.0, 8 / len(references))))
        # Few rows may be so quiet; those in which the track still is heard tell nothing of it.
        pauses = quiet & (gain[column] * references < PAUSE_RATIO * powers)
        if np.count_nonzero(pauses) >= LEAST_PAUSES:
            quiet = pauses
        rest = np.maximum(powers[quiet] - ROUNDING * gain[column] * references[quiet], 0.0)
        noise[column] += min(float(np.quantile(rest, 0.75)), 1.2 * float(np.quantile(powers, 0.05)))
        certain[column] = np.median(powers[loud]) > CERTAIN_GAIN * noise[column]
    # Where the loudest is hardly over the noise, the ratio is that of the noise.
    whole = float(np.median(gain[certain])) if certain.any() else 1.0
    gain[middle] = np.where(certain[middle], gain[middle], whole)
    # Noise goes on beside the spectrogram's range at the density that it has where it is seen best.
    fitted = max(0.0, float(noise[profile.first_middle : profile.first_high].max()) - 10 ** (FLOOR_DB / 10))
    low_hz, high_hz = np.diff(profile.low_edges_hz), np.diff(profile.high_edges_hz)
    widths = np.concatenate((low_hz, np.zeros(profile.middle_columns), high_hz))
    for column in range(columns):
        if not profile.first_middle <= column < profile.first_high:
            gain[column] = whole
            noise[column] += MONO_LOSS * fitted / NOISE_HZ * widths[column]
    return gain, noise


def find_channel(query: SketchQuery, track: Sketch, warp: Placement, intact: list[Piece]) -> Channel | None:
    """Return the channel of a noisy query; None where there is too little noise to matter."""
    profile = query.profile
    rows = pair_rows(query, track, warp, intact)
    if not rows:
        return None
    gain, noise = (fitted[profile.first_middle : profile.first_high] for fitted in fit_channel(rows, profile))
    # Columns are those of the track: the query's own lie higher by the pitch.
    split = np.linspace(0, profile.spectrum_bands, profile.middle_columns + 1)
    centres = (split[:-1] + split[1:] - 1) / 2 + warp.pitch_semitones * profile.bands_per_octave / 12
    bands = np.interp(np.arange(profile.spectrum_bands), centres, np.log(noise))
    band_noise = np.exp(bands).astype(np.float32)
    buried = query.power < 2 * band_noise
    if not len(buried) or float(buried.mean()) < BURIED_SHARE:
        return None
    return Channel(gain, noise, band_noise)


def _matched_rows(group: list[Piece], first: int, last: int, row_s: float) -> BoolArray:
    starts = np.arange(first, last) * row_s
    inside = np.zeros(len(starts), np.bool_)
    for piece in group:
        inside |= (starts >= piece.track_start_s + 0.1) & (starts + row_s <= piece.track_end_s - 0.1)
    return inside
