"""What the demo works on: a recording to stamp, one that is never stamped, and what happens to a file on its
way.

By default the recordings are freely licensed game music out of a Debian package, fetched with `apt-get
download` (no root needed, nothing is installed). Where that does not work, two more pieces are generated and
play the recordings' parts.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from mutagen import flac
from numpy.typing import NDArray
from scipy.signal import resample_poly

import ledger
import watermark

from .audiofile import AudioWriter
from .engines import LoadedEngine, Request
from .errors import RefusedError
from .installation import make_installation, open_installation
from .issuing import issue
from .settings import Settings, read_settings

PACKAGE = "hex-a-hop-data"
SONG, OTHER = "music-ending.ogg", "music-game-1.ogg"
FETCH_S = 90
OTHER_S = 30
EXCERPT_START_S, EXCERPT_S = 8.0, 15.0
REPLACED_START_S, REPLACED_S = 12.0, 4.0
MP3_LEVEL = (
    0.6  # libsndfile's scale from 0 (best) to 1; with a constant bit rate at 44.1 kHz stereo: 128 kbit/s
)
FORGED_TAGS = {
    "TITLE": "Serenade for Strings",
    "DATE": "1958",
    "CONTAINSAI": "none",
    "DIGITALSOURCETYPE": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
}
Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """Two recordings: `song` will be stamped, `other` never; `note` says where they come from."""

    song: Path
    other: Path
    note: str


def find_material(
    folder: Path, *, song: Path | None, offline: bool, load_engine: Callable[[], LoadedEngine]
) -> Material:
    """Get the recordings, by download where allowed; the engine is loaded only when it has to fill in."""
    fetched = None if offline else fetch_recordings(folder)
    if fetched is not None:
        other = folder / "never-stamped.wav"
        audio, sample_rate = read_audio(fetched[1])
        write_wav(other, audio[:, : OTHER_S * sample_rate], sample_rate)
        note = f"{SONG} out of the Debian package {PACKAGE}"
        return Material(song or fetched[0], other, str(song) if song else note)
    engine = load_engine()
    other = folder / "never-stamped.wav"
    _generate(engine, "lively jig in G major, fiddle", 12, other)
    if song is not None:
        return Material(song, other, str(song))
    substitute = folder / "recording.wav"
    _generate(engine, "march in C major, brass", 11, substitute)
    why = "as --offline asks" if offline else f"because {PACKAGE} could not be fetched (apt-get download)"
    return Material(substitute, other, f"a second generated piece, {why}")


def fetch_recordings(folder: Path) -> tuple[Path, Path] | None:
    """Download and unpack the package; None where the tools, the network or the package are missing."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return None
    unpacked = folder / "package"
    try:
        subprocess.run(
            ["apt-get", "-q", "download", PACKAGE],
            cwd=folder,
            capture_output=True,
            timeout=FETCH_S,
            check=True,
        )
        archive = next(folder.glob(f"{PACKAGE}_*.deb"))
        subprocess.run(["dpkg", "-x", archive, unpacked], capture_output=True, timeout=FETCH_S, check=True)
        archive.unlink()
        found = {path.name: path for path in unpacked.rglob("*.ogg")}
        kept = folder / SONG, folder / OTHER
        for path in kept:
            found[path.name].replace(path)
        shutil.rmtree(unpacked)
    except (OSError, subprocess.SubprocessError, StopIteration, KeyError):
        return None
    return kept


def read_audio(path: Path) -> tuple[Audio, int]:
    """Read one of the demo's own files as float32 (channels, samples) and its sample rate."""
    frames, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(frames.T), sample_rate


def write_wav(path: Path, audio: Audio, sample_rate: int) -> None:
    """Write 16-bit WAV."""
    with AudioWriter(
        path, container="wav", sample_rate=sample_rate, channels=audio.shape[0], bits=16
    ) as writer:
        writer.push(audio)


def encode_mp3(source: Path, destination: Path) -> None:
    """Encode a file as MP3 by libsndfile (LAME), constant bit rate."""
    audio, sample_rate = read_audio(source)
    soundfile.write(
        destination,
        audio.T,
        sample_rate,
        format="MP3",
        bitrate_mode="CONSTANT",
        compression_level=MP3_LEVEL,
    )


def cut_faster(source: Path, destination: Path) -> None:
    """Cut 15 s that run 5 % faster (and so sound higher), as if a record were played too fast."""
    audio, sample_rate = read_audio(source)
    start = round(EXCERPT_START_S * sample_rate)
    part = audio[:, start : start + round(1.05 * EXCERPT_S * sample_rate)]
    faster = resample_poly(part, 20, 21, axis=1).astype(np.float32)
    write_wav(destination, faster, sample_rate)


def replace_part(source: Path, other: Path, destination: Path) -> None:
    """Put some seconds of another recording in the place of as many of the source's."""
    audio, sample_rate = read_audio(source)
    foreign, _ = read_audio(other)
    start, count = round(REPLACED_START_S * sample_rate), round(REPLACED_S * sample_rate)
    part = foreign[:, :count] if len(foreign) == len(audio) else foreign[:1, :count]
    audio[:, start : start + part.shape[1]] = part[:, : audio.shape[1] - start]
    write_wav(destination, audio, sample_rate)


def lift_mark(other: Path, destination: Path, *, watermark_key: bytes, mark_id: bytes) -> None:
    """Write a track's mark onto another recording: what a thief of the key, or of the pattern, could do."""
    audio, sample_rate = read_audio(other)
    marked = watermark.embed(audio, sample_rate=sample_rate, watermark_key=watermark_key, payload=mark_id)
    write_wav(destination, marked, sample_rate)


def play_faster(source: Path, destination: Path, *, percent: float) -> None:
    """Write the source in full, as if a record were played too fast."""
    audio, sample_rate = read_audio(source)
    up, down = 1000, round(1000 * (1 + percent / 100))
    write_wav(destination, resample_poly(audio, up, down, axis=1).astype(np.float32), sample_rate)


def forge_tags(source: Path, destination: Path) -> None:
    """Copy a FLAC file and write into its tags that it is an old recording of an orchestra."""
    shutil.copyfile(source, destination)
    file = flac.FLAC(destination)
    file.update(FORGED_TAGS)
    file.save()


def damage_ledger(settings: Settings, copy: Path, index: int) -> int:
    """Copy a closed ledger folder and change one byte of an entry in the copy; return the byte's place in the
    file.

    The byte is a character of the envelope's base64 payload, in the middle of the signed statement.
    """
    shutil.copytree(settings.home, copy)
    with ledger.Store(settings.database_url) as store:
        entry = store.entry(index)
    database = copy / settings.database.name
    content = bytearray(database.read_bytes())
    # A long entry is spread over pages of the database: look for a piece that lies within one.
    piece = entry[200:264]
    place = content.find(piece)
    if place < 0:
        raise RefusedError(f"{database}: entry {index} is not where it is expected")
    content[place] = ord("A") if content[place] != ord("A") else ord("B")
    database.write_bytes(content)
    return place


def _generate(engine: LoadedEngine, prompt: str, seed: int, path: Path) -> None:
    """Make a recording as another service would: under a ledger, keys and marks that ours does not know."""
    with tempfile.TemporaryDirectory() as place:
        settings = replace(read_settings(Path(place) / "ledger", {}), credentials=False, keep_originals=False)
        make_installation(settings, origin="other.example/log")
        with open_installation(settings) as other:
            issued = issue(other, engine, Request(prompt=prompt, seconds=float(OTHER_S), seed=seed))
            audio, sample_rate = read_audio(issued.audio)
    write_wav(path, audio, sample_rate)
