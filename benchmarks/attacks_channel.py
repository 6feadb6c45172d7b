"""Attacks of the channel: level, channels, quantisation, filters, noise, rooms, and other sound on top.

Plain arithmetic on arrays; levels are RMS over all channels of the clip.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, oaconvolve, sosfilt

from benchmarks.attack import Effect, Scene
from benchmarks.companions import fit, load_babble, load_song, load_speech
from benchmarks.tools import Audio

SPEED_OF_DECAY = np.log(1000)  # amplitude falls by 60 dB over the reverberation time


def rms(audio: NDArray[np.floating]) -> float:
    """Root mean square over all channels, never 0."""
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) + 1e-12


def gain(db: float) -> Effect:
    """Change the level by `db`, without clipping."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        return (audio * 10 ** (db / 20)).astype(np.float32), sample_rate

    return effect


def mix_channels(*rows: tuple[float, ...]) -> Effect:
    """Mix channels by a matrix, a row per output channel: ((0.5, 0.5),) is mono, ((1, 0),) the left channel.

    A mono clip counts as two equal channels.
    """

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        stereo = audio if audio.shape[0] > 1 else np.repeat(audio, 2, axis=0)
        return (np.array(rows) @ stereo[:2]).astype(np.float32), sample_rate

    return effect


def quantise(bits: int) -> Effect:
    """Round to `bits` per sample, undithered."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        steps = 2 ** (bits - 1)
        return (np.clip(np.round(audio * steps), -steps, steps - 1) / steps).astype(np.float32), sample_rate

    return effect


def clip_peaks(over_db: float) -> Effect:
    """Raise the clip until its peak is `over_db` above full scale, then clip at full scale."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        peak = float(np.abs(audio).max()) or 1.0
        return np.clip(audio * (10 ** (over_db / 20) / peak), -1, 1).astype(np.float32), sample_rate

    return effect


def lowpass(corner_hz: float) -> Effect:
    """Butterworth low-pass of order 8."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        sections = butter(8, corner_hz, "lowpass", fs=sample_rate, output="sos")
        return sosfilt(sections, audio, axis=1).astype(np.float32), sample_rate

    return effect


def add_noise(snr_db: float, *, pink: bool = False) -> Effect:
    """Add Gaussian noise at `snr_db` below the clip, white or pink (3 dB less per octave) above 20 Hz."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        noise = scene.rng.standard_normal(audio.shape)
        if pink:
            spectrum = np.fft.rfft(noise, axis=1)
            frequency_hz = np.fft.rfftfreq(audio.shape[1], 1 / sample_rate)
            noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency_hz, 20)), audio.shape[1], axis=1)
        level = rms(audio) / rms(noise) * 10 ** (-snr_db / 20)
        return (audio + noise * level).astype(np.float32), sample_rate

    return effect


def room_response(
    seconds: float, direct_db: float, *, sample_rate: int, channels: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Make a room's impulse response: direct sound, then noise that decays by 60 dB in `seconds`.

    Treble decays in half that time. `direct_db` is the energy of the direct sound over that of the tail. Each
    channel has a tail of its own; the first reflection comes after 5 ms. Returns float64 (channels, samples).
    """
    count = round(1.2 * seconds * sample_rate)
    time_s = np.arange(count) / sample_rate
    noise = rng.standard_normal((channels, count))
    low = sosfilt(butter(2, 2500, "lowpass", fs=sample_rate, output="sos"), noise, axis=1)
    tail = low * np.exp(-SPEED_OF_DECAY * time_s / seconds)
    tail += (noise - low) * np.exp(-SPEED_OF_DECAY * time_s / (seconds / 2))
    tail[:, : round(0.005 * sample_rate)] = 0
    tail *= np.sqrt(10 ** (-direct_db / 10) / np.sum(tail**2, axis=1, keepdims=True))
    tail[:, 0] = 1.0
    return np.asarray(tail, dtype=np.float64)


def reverberate(seconds: float, direct_db: float) -> Effect:
    """Play the clip in a room of that RT60 and direct-to-reverberant ratio; the length stays."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        response = room_response(
            seconds, direct_db, sample_rate=sample_rate, channels=audio.shape[0], rng=scene.rng
        )
        wet = oaconvolve(audio, response, axes=1)[:, : audio.shape[1]]
        return (wet * (rms(audio) / rms(wet))).astype(np.float32), sample_rate

    return effect


def loudspeaker(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
    """A small loudspeaker into one microphone: mono, 150 Hz to 9 kHz, order 2 each way."""
    mono = audio.mean(axis=0, keepdims=True)
    sections = butter(2, [150, min(9000, 0.45 * sample_rate)], "bandpass", fs=sample_rate, output="sos")
    return sosfilt(sections, mono, axis=1).astype(np.float32), sample_rate


def echo(delay_s: float, level_db: float) -> Effect:
    """Add one echo."""

    def effect(audio: Audio, sample_rate: int, _scene: Scene) -> tuple[Audio, int]:
        delay = min(round(delay_s * sample_rate), audio.shape[1])
        late = np.pad(audio, ((0, 0), (delay, 0)))[:, : audio.shape[1]]
        return (audio + late * 10 ** (level_db / 20)).astype(np.float32), sample_rate

    return effect


def talk_over(level_db: float) -> Effect:
    """Lay a speaking voice over the clip, at `level_db` relative to it."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        speech = fit(load_speech(sample_rate), audio.shape, scene.rng)
        return (audio + speech * (rms(audio) / rms(speech) * 10 ** (level_db / 20))).astype(
            np.float32
        ), sample_rate

    return effect


def add_babble(snr_db: float) -> Effect:
    """Add many voices in a room, at `snr_db` below the clip."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        babble = fit(load_babble(sample_rate), audio.shape, scene.rng)
        level = rms(audio) / rms(babble) * 10 ** (-snr_db / 20)
        return (audio + babble * level).astype(np.float32), sample_rate

    return effect


def mix_song(level_db: float) -> Effect:
    """Mix another, unmarked song with the clip, at `level_db` relative to it."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        song = fit(load_song(scene, sample_rate), audio.shape, scene.rng)
        return (audio + song * (rms(audio) / rms(song) * 10 ** (level_db / 20))).astype(
            np.float32
        ), sample_rate

    return effect


def splice_song(share: float) -> Effect:
    """Replace a share of the clip, at its start or at its end, by another, unmarked song."""

    def effect(audio: Audio, sample_rate: int, scene: Scene) -> tuple[Audio, int]:
        count = round(share * audio.shape[1])
        song = fit(load_song(scene, sample_rate), (audio.shape[0], count), scene.rng)
        song *= rms(audio) / rms(song)
        parts = [song, audio[:, count:]] if scene.rng.random() < 0.5 else [audio[:, :-count], song]
        return np.concatenate(parts, axis=1), sample_rate

    return effect
