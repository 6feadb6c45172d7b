"""Calls of the command-line tools that the benchmarks lean on (ffmpeg, sox, rubberband), audio as arrays.

Audio goes to a tool as 32-bit float, so that no step but the one under test quantises or clips it.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

Audio: TypeAlias = NDArray[np.float32]


class BenchmarkError(Exception):
    """A measurement cannot be made: a tool is missing or failed, or there is no music."""


def require(*names: str) -> None:
    """Check that every named command is installed.

    Raises
    ------
    BenchmarkError
        With the names of all commands that are missing.
    """
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise BenchmarkError(f"expected these commands to be installed, got none of: {', '.join(missing)}")


def run(arguments: Sequence[str | Path], *, stdin: bytes | None = None) -> bytes:
    """Run a command to its end and return what it wrote to standard output.

    Raises
    ------
    BenchmarkError
        The command is missing, or ended with a status other than 0; carries the tail of its messages.
    """
    require(str(arguments[0]))
    done = subprocess.run([str(a) for a in arguments], input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        tail = done.stderr.decode(errors="replace").strip()[-400:]
        raise BenchmarkError(f"expected {arguments[0]} to end with 0, got {done.returncode}: {tail}")
    return done.stdout


def write_audio(path: Path, audio: Audio, *, sample_rate: int) -> None:
    """Write audio (channels, samples) as a 32-bit float WAV file."""
    soundfile.write(path, audio.T, sample_rate, subtype="FLOAT", format="WAV")


def read_audio(path: Path) -> tuple[Audio, int]:
    """Read any file libsndfile knows; float32 (channels, samples) and its sample rate in Hz."""
    data, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(data.T), int(sample_rate)


def decode(
    path: Path, *, sample_rate: int, channels: int, start_s: float = 0.0, seconds: float = 0.0
) -> Audio:
    """Decode (part of) any file that ffmpeg reads.

    Parameters
    ----------
    path : file
    sample_rate, channels : of the result; ffmpeg resamples and mixes
    start_s : seconds to skip; they are decoded and dropped, so the cut is exact in every container
    seconds : length to keep, or 0.0 for the rest of the file

    Returns
    -------
    float32 (channels, samples)
    """
    limits = ["-ss", f"{start_s:.6f}"] if start_s else []
    limits += ["-t", f"{seconds:.6f}"] if seconds else []
    shape = ["-map", "0:a:0", "-ac", str(channels), "-ar", str(sample_rate), "-f", "f32le", "-"]
    raw = run(["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i", str(path), *limits, *shape])
    return np.ascontiguousarray(np.frombuffer(raw, dtype="<f4").reshape(-1, channels).T)
