"""The child process that decodes an untrusted audio file; run by path, never imported.

    python -I decoder.py 5 5< orders.json < upload.flac

    {"max_channels": 8, "max_seconds": 7200, ...}

It gives up what it does not need (memory, processor time, writing files, starting processes), then reads the
audio file on standard input with libsndfile and writes to standard output one line of JSON followed by the
samples as interleaved 32-bit little-endian floats:

    {"container": "FLAC", "subtype": "PCM_24", "sample_rate": 44100, "channels": 2, "frames": 220500,
     "damage": ""}

`frames` is what the header claims, 0 for nothing. The exit status says how it ended: 0 all samples written;
4 refused, with `{"code": ..., "detail": ...}` as a line on standard error; 5 the samples written so far are
all that could be decoded of a damaged file, with the same line. Anything else is a crash or a limit hit.
"""

import json
import os
import re
import resource
import sys

import soundfile

REFUSED, DAMAGED = 4, 5
CONTAINERS = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF"})
REPORT = 3  # where our own last line goes: codec libraries write warnings without end to standard error
BLOCK_SAMPLES = 1 << 16  # over all channels; what a damaged file loses at its end is less than this


SHORT_CHUNK = re.compile(r"(?:data|ssnd)\s*:\s*(\d+) \(should be", re.IGNORECASE)
UNKNOWN_BYTES = 0x7FFF_0000
UNKNOWN_SAMPLES = 1 << 62  # libsndfile's word for "the header does not say"


class Stream(soundfile.SoundFile):  # type: ignore[misc]  # the library has no types
    """A sound file read straight on: the library's seek after each read fails where the length is unknown."""

    def seekable(self) -> bool:
        """Say no, whatever the file allows."""
        return False


def give_up_rights(limits: dict[str, int]) -> None:
    """Lower this process's limits, for good: what a hostile file makes of the decoder stays small."""
    for name, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def stop(status: int, code: str, detail: str) -> None:
    sys.stdout.flush()
    os.write(REPORT, json.dumps({"code": code, "detail": detail}).encode() + b"\n")
    os._exit(status)


def find_damage(extra_info: str) -> str:
    """What libsndfile noticed while parsing: it repairs short RIFF and AIFF files silently, and logs it."""
    for line in extra_info.splitlines():
        # Only the sound chunk counts: many whole files carry a wrong RIFF length. A program that writes to
        # a pipe cannot know the length and puts a number near the largest one there.
        found = SHORT_CHUNK.match(line.strip())
        if found and int(found[1]) < UNKNOWN_BYTES:
            return "the header promises more samples than the file holds"
        if "ended unexpectedly" in line or "lacks an end-of-stream bit" in line:
            return "the stream ends before its end mark"
    return ""


def silence_libraries() -> None:
    """Keep standard error for our own report, and send what codec libraries print there to nowhere."""
    os.dup2(2, REPORT)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)


def main() -> None:
    with os.fdopen(int(sys.argv[1]), "rb") as note:
        limits = json.load(note)
    silence_libraries()
    give_up_rights(limits)
    try:
        sound = Stream(0, closefd=False)
    except soundfile.LibsndfileError as error:
        return stop(REFUSED, "not-audio", f"no known audio format: {error.error_string}")
    if sound.format not in CONTAINERS:
        return stop(REFUSED, "not-audio", f"container {sound.format} is not read")
    if not 1 <= sound.channels <= limits["max_channels"]:
        return stop(
            REFUSED, "channels", f"expected 1 to {limits['max_channels']} channels, got {sound.channels}"
        )
    if not limits["min_rate"] <= sound.samplerate <= limits["max_rate"]:
        expected = f"{limits['min_rate']} to {limits['max_rate']} Hz"
        return stop(
            REFUSED, "sample-rate", f"expected a sample rate of {expected}, got {sound.samplerate} Hz"
        )
    frames = sound.frames if 0 < sound.frames < UNKNOWN_SAMPLES else 0
    if frames > limits["max_seconds"] * sound.samplerate:
        claimed = frames / sound.samplerate
        detail = f"expected at most {limits['max_seconds']} s of audio, the file claims {claimed:.0f} s"
        return stop(REFUSED, "too-long", detail)
    header = {
        "container": sound.format,
        "subtype": sound.subtype,
        "sample_rate": sound.samplerate,
        "channels": sound.channels,
        "frames": frames,
        "damage": find_damage(sound.extra_info),
    }
    out = sys.stdout.buffer
    out.write(json.dumps(header).encode() + b"\n")
    out.flush()
    block = bytearray(4 * max(1, BLOCK_SAMPLES // sound.channels) * sound.channels)
    total = 0
    while True:
        try:
            count = sound.buffer_read_into(block, dtype="float32")
        except soundfile.LibsndfileError as error:
            return stop(DAMAGED, "damaged", f"decoding stops after {total} samples: {error.error_string}")
        if count == 0:
            break
        total += count
        if total > limits["max_seconds"] * sound.samplerate:
            return stop(REFUSED, "too-long", f"expected at most {limits['max_seconds']} s of audio, got more")
        out.write(memoryview(block)[: 4 * count * sound.channels])
    out.flush()
    if sound.format in ("FLAC", "MP3") and total < frames * 0.999:
        return stop(DAMAGED, "damaged", f"the header promises {frames} samples, the file holds {total}")
    return None


if __name__ == "__main__":
    main()
