"""Attacks by coding: lossy codecs through ffmpeg's encoders, G.711, and plain resampling.

Every codec pass writes a real file and decodes it again, so encoder delay, padding and the decoder's
handling of both are part of it.
"""

import tempfile
from pathlib import Path

import numpy as np
from scipy.signal import butter, resample_poly, sosfiltfilt

from benchmarks.attack import Effect, Scene
from benchmarks.tools import Audio, read_audio, run, write_audio

ENCODERS = {  # container suffix and encoder by codec
    "mp3": (".mp3", "libmp3lame"),
    "aac": (".m4a", "aac"),
    "opus": (".opus", "libopus"),
    "vorbis": (".ogg", "libvorbis"),
}
QUIET = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1"]


def transcode(
    codec: str, *, kbit: int | None = None, quality: float | None = None, complexity: int | None = None
) -> Effect:
    """Encode and decode with a lossy codec at `kbit` kbit/s or at `quality` (the codec's own scale).

    Opus gives 48 kHz back, the others keep the rate. `complexity` is libopus' effort, 0 to 10.
    """
    suffix, encoder = ENCODERS[codec]
    rate = ["-b:a", f"{kbit}k"] if kbit is not None else ["-q:a", str(quality)]
    if complexity is not None:
        rate += ["-compression_level", str(complexity)]

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            source, coded, result = folder / "in.wav", folder / f"coded{suffix}", folder / "out.wav"
            write_audio(source, audio, sample_rate=sample_rate)
            run([*QUIET, "-i", source, "-c:a", encoder, *rate, coded])
            run([*QUIET, "-i", coded, "-c:a", "pcm_f32le", result])
            return read_audio(result)

    return effect


def resample(target_rate: int) -> Effect:
    """Convert to `target_rate` Hz by polyphase filtering and leave it there."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        common = np.gcd(target_rate, sample_rate)
        changed = resample_poly(audio, target_rate // common, sample_rate // common, axis=1)
        return changed.astype(np.float32), target_rate

    return effect


def telephone(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
    """A telephone line: mono, 300-3400 Hz, 8 kHz, G.711 mu-law (8 bit logarithmic); gives 8 kHz mono."""
    mono = audio.mean(axis=0, keepdims=True)
    sections = butter(4, [300, 3400], "bandpass", fs=sample_rate, output="sos")
    narrow, rate = resample(8000)(sosfiltfilt(sections, mono, axis=1), sample_rate, scene)
    narrow = np.clip(narrow, -1, 1)
    level = np.log1p(255 * np.abs(narrow)) / np.log1p(255)  # G.711 mu-law, mu = 255, as a continuous law
    level = np.round(level * 127) / 127
    return (np.sign(narrow) * np.expm1(level * np.log1p(255)) / 255).astype(np.float32), rate
