"""Fetch the benchmark music: `python -m benchmarks.fetch_music [--megabytes 120]`.

Downloads Debian packages that carry freely licensed game music with `apt-get download` (no root needed,
nothing is installed), unpacks them with `dpkg -x`, keeps the pieces of 40 s and more, and lists them with
their split and the licence names of the package. Packages already in the list are left alone, so the command
can be repeated after an interruption.
"""

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.music import CACHE, LIST_NAME, MIN_TRACK_S, PACKAGES, Track, list_tracks, split_of, write_list
from benchmarks.tools import BenchmarkError, decode, require, run

MUSIC_SUFFIXES = {".ogg", ".oga", ".opus", ".mp3", ".flac", ".wav", ".xm", ".mod", ".s3m", ".it"}
PROBE_RATE = 8000  # Hz: enough to tell a track's length and that it is not silent
QUIETEST_RMS = 1e-4
UNKNOWN_PACKAGE = "Unable to locate package"  # in these words by apt-get; other releases lack some
# Single stems of a rhythm game: mostly digital silence, not music as published.
LEFT_OUT = re.compile(r"guitar\.ogg$")


def download(package: str, folder: Path) -> Path:
    """Download one package; its .deb file appears in `folder` only when it is complete."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        # apt-get writes into the working folder; `sh -c cd` keeps this process's own folder.
        run(["sh", "-c", 'cd "$1" && exec apt-get -q download "$2"', "sh", temporary, package])
        found = sorted(Path(temporary).glob(f"{package}_*.deb"))
        if not found:
            raise BenchmarkError(f"expected apt-get to write {package}_*.deb, got nothing")
        return found[0].rename(folder / found[0].name)


def read_licence(unpacked: Path, package: str) -> str:
    """Read the licence names out of the package's copyright file (DEP-5 `License:` fields)."""
    path = unpacked / "usr" / "share" / "doc" / package / "copyright"
    text = path.read_text(errors="replace") if path.exists() else ""
    names = {name.strip() for name in re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE)}
    return ", ".join(sorted(names)) or f"stated in free text: music/{package}/copyright"


def measure_seconds(path: Path) -> float:
    """Measure a piece by decoding it; 0.0 for what cannot be decoded or is silent."""
    try:
        audio = decode(path, sample_rate=PROBE_RATE, channels=1)
    except BenchmarkError:
        return 0.0
    if not audio.size or float((audio**2).mean()) < QUIETEST_RMS**2:
        return 0.0
    return float(audio.shape[1] / PROBE_RATE)


def unpack(deb: Path, package: str, cache: Path) -> list[Track]:
    """Unpack a package, move its music into the cache and describe each piece."""
    tracks: list[Track] = []
    folder = cache / "music" / package
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        root = Path(temporary)
        run(["dpkg", "-x", deb, root])
        licence = read_licence(root, package)
        for source in sorted(p for p in root.rglob("*") if p.suffix.lower() in MUSIC_SUFFIXES):
            skip = source.is_symlink() or LEFT_OUT.search(source.name)
            seconds = 0.0 if skip else measure_seconds(source)
            if seconds < MIN_TRACK_S:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / source.name
            # Two albums of one package may use one name: the second takes its folder's name in front.
            if target.name in {Path(track.path).name for track in tracks}:
                target = folder / f"{source.parent.name}-{source.name}"
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            shutil.move(source, target)
            name = f"{package}/{target.name}"
            path = str(target.relative_to(cache))
            tracks.append(
                Track(name, package, path, round(seconds, 2), split_of(target.name), licence, digest)
            )
        notice = root / "usr" / "share" / "doc" / package / "copyright"
        if tracks and notice.is_file():
            shutil.copy(notice, folder / "copyright")
    return tracks


def fetch(cache: Path, *, megabytes: float) -> list[Track]:
    """Fetch packages, smallest first, up to `megabytes` of downloads; returns all tracks in the cache."""
    require("apt-get", "dpkg", "ffmpeg")
    (cache / "packages").mkdir(parents=True, exist_ok=True)
    tracks = list_tracks(cache) if (cache / LIST_NAME).exists() else []
    have = {track.package for track in tracks}
    total = 0.0
    for package, size in PACKAGES.items():
        total += size
        if total > megabytes:
            break
        if package in have:
            continue
        print(f"{package} ({size} MB)", file=sys.stderr, flush=True)
        ready = sorted((cache / "packages").glob(f"{package}_*.deb"))
        try:
            deb = ready[-1] if ready else download(package, cache / "packages")
        except BenchmarkError as error:
            if UNKNOWN_PACKAGE in str(error):
                print(f"{package}: not in this system's package lists, left out", file=sys.stderr)
                continue
            raise BenchmarkError(
                f"expected to download {package} with apt-get, got an error (no network?); the {len(tracks)} "
                f"tracks fetched so far are kept: {error}"
            ) from error
        tracks += unpack(deb, package, cache)
        write_list(cache, tracks)
        deb.unlink()
    if not tracks:
        raise BenchmarkError(
            "expected one package at least that apt-get knows, got none: are there package lists of Debian "
            "or Ubuntu here (`apt-get update`)?"
        )
    return tracks


def main() -> int:
    """Fetch and print what there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder to fill (default: %(default)s)")
    parser.add_argument(
        "--megabytes", type=float, default=700.0, help="most to download (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        tracks = fetch(options.cache, megabytes=options.megabytes)
    except BenchmarkError as error:
        print(f"fetch_music: {error}", file=sys.stderr)
        return 3
    for track in tracks:
        print(f"{track.split:4} {track.seconds:7.1f} s  {track.name}  [{track.licence[:60]}]")
    print(
        f"{len(tracks)} tracks, {sum(track.seconds for track in tracks) / 3600:.1f} hours in {options.cache}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
