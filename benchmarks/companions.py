"""Sound that attacks lay over or splice into a clip: one voice, many voices, and other songs."""

import functools
import os

import numpy as np
from scipy.signal import oaconvolve

from benchmarks.attack import Scene
from benchmarks.attacks_codec import resample
from benchmarks.music import CACHE, choose, list_tracks, load
from benchmarks.tools import Audio, read_audio, run

SONGS = 12  # how many tracks of the cache serve as "another song"
SONG_S = 40.0
VOICE = "slt"
BABBLE_VOICES = ("awb", "kal", "rms", "slt")  # of ffmpeg's flite, each heard twice
BABBLE_ROOM_S = 0.5

# Read by ffmpeg's flite voices; about 40 s of speech with pauses.
TEXT = (
    "Welcome back to the evening programme. Tonight we follow one recording from the studio to the listener, "
    "and ask what becomes of it on the way. The engineer keeps the tapes in a cellar under the stage, where "
    "the air is dry and the trains can be felt more than heard. Somebody wrote the date on every box, and "
    "somebody else crossed it out. When the first copies were made, nobody thought of the second. A song is "
    "carried in many hands, at many speeds, and each of them leaves a trace. We asked three people what they "
    "remembered. The first one hummed it. The second one knew the words, but not the tune. The third said "
    "that she had written it, and that it had never had a name. Stay with us."
)


@functools.cache
def load_speech(sample_rate: int, voice: str = VOICE) -> Audio:
    """Load a voice, float32 (1, samples): synthesised once with ffmpeg's flite, kept in the music cache."""
    path = CACHE / (f"speech-{sample_rate}.wav" if voice == VOICE else f"speech-{voice}-{sample_rate}.wav")
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.wav")
        text = TEXT.replace(",", "\\,")
        source = f"flite=voice={voice}:text='{text}'"
        shape = ["-ar", str(sample_rate), "-ac", "1", "-c:a", "pcm_f32le", str(fresh)]
        run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", source, *shape])
        fresh.rename(path)
    return read_audio(path)[0]


@functools.cache
def load_babble(sample_rate: int) -> Audio:
    """Eight voices speaking at once in a room, float32 (1, samples); the same each time."""
    rng = np.random.default_rng(0)
    voices = [load_speech(sample_rate, voice)[0] for voice in BABBLE_VOICES]
    babble = np.zeros(min(map(len, voices)))
    for voice in voices * 2:
        spoken = np.roll(voice, int(rng.integers(len(voice))))[: len(babble)]
        babble += spoken / np.sqrt(np.mean(spoken**2))
    time_s = np.arange(round(BABBLE_ROOM_S * sample_rate)) / sample_rate
    tail = rng.standard_normal(len(time_s)) * 10 ** (-3 * time_s / BABBLE_ROOM_S)  # 60 dB over its length
    return oaconvolve(babble, tail / np.sqrt(np.sum(tail**2)))[None, : len(babble)].astype(np.float32)


@functools.lru_cache(maxsize=SONGS)
def load_cached_song(index: int) -> Audio:
    """Load one of the songs that stand in where the caller gives none."""
    track = choose(list_tracks(split="tune"), SONGS)[index]
    return load(track, seconds=SONG_S)


def load_song(scene: Scene, sample_rate: int) -> Audio:
    """Give the scene's own song at `sample_rate`, or one of the cache drawn by the scene's randomness."""
    if scene.song is not None:
        return resample(sample_rate)(scene.song, scene.song_rate, scene)[0]
    song = load_cached_song(int(scene.rng.integers(SONGS)))
    return resample(sample_rate)(song, 44_100, scene)[0]


def fit(sound: Audio, shape: tuple[int, ...], rng: np.random.Generator) -> Audio:
    """Cut or repeat a sound to (channels, samples), from a random place, mixing or repeating its channels."""
    channels, count = shape
    start = int(rng.integers(sound.shape[1]))
    index = (start + np.arange(count)) % sound.shape[1]
    rows = sound if sound.shape[0] >= channels else np.repeat(sound[:1], channels, axis=0)
    if channels == 1:
        rows = sound.mean(axis=0, keepdims=True)
    return np.ascontiguousarray(rows[:channels, index], dtype=np.float32)
