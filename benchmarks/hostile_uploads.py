"""Files that a stranger may send: cut short, lying, swollen, and made to unpack without end.

Each comes from a whole file (WAV, FLAC, Ogg, Opus, MP3, AIFF, CAF, W64, AU; with and without tags) by one
kind of damage, drawn by seed and number, so that any of them can be made again.
"""

# ruff: noqa: ARG005  # each damage takes what it needs

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import soundfile

Damage = Callable[[bytes, np.random.Generator], bytes]
RATE_HZ = 44_100
KINDS = ("WAV", "FLAC", "OGG", "OPUS", "MP3", "AIFF", "CAF", "W64", "AU")
MIB = 1 << 20
RARE = {
    "silence without end": 10,
    "silence cut": 10,
    **dict.fromkeys(("whole", "repeated", "two formats", "zeroed", "credential of noise", "many tags"), 5),
}
"""In which turn alone what is decoded whole comes: each costs as much as a hundred that are refused."""


@dataclass(frozen=True)
class Upload:
    """One hostile file: its number, what was done, its bytes."""

    number: int
    kind: str
    content: bytes


@cache
def write_whole(kind: str, seconds: float = 0.7) -> bytes:
    """Return a whole file of a tone under noise."""
    rng = np.random.default_rng(1)
    rate = 48_000 if kind == "OPUS" else RATE_HZ
    time_s = np.arange(round(seconds * rate)) / rate
    audio = 0.3 * np.sin(2 * np.pi * 440 * time_s)[:, None] + 0.05 * rng.standard_normal((time_s.size, 2))
    buffer = io.BytesIO()
    container, subtype = ("OGG", "OPUS") if kind == "OPUS" else (kind, None)
    soundfile.write(buffer, audio, rate, subtype=subtype, format=container)
    return buffer.getvalue()


def write_silence(seconds: float, *, rate: int = 8_000, channels: int = 1) -> bytes:
    """Return a FLAC file of silence: some thousand times smaller than what it unpacks to."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, channels, format="FLAC", subtype="PCM_16") as file:
        block = np.zeros((rate * 10, channels), np.int16)
        for _ in range(round(seconds / 10)):
            file.write(block)
    return buffer.getvalue()


def make_uploads(count: int, *, seed: int, bomb_s: float) -> list[Callable[[], Upload]]:
    """Return makers of `count` uploads; every damage comes in turn (`RARE`), on a file drawn for each."""
    whole = {kind: write_whole(kind) for kind in KINDS}
    damages = list_damages(bomb_s)
    turns = (name for turn in itertools.count() for name in damages if turn % RARE.get(name, 1) == 0)
    names = list(itertools.islice(turns, count))

    def make(number: int) -> Upload:
        rng = np.random.default_rng([seed, number])
        name = names[number]
        kind = KINDS[int(rng.integers(len(KINDS)))]
        return Upload(number, f"{name} ({kind})", damages[name](whole[kind], rng))

    return [lambda number=number: make(number) for number in range(count)]  # type: ignore[misc]


def list_damages(bomb_s: float) -> Mapping[str, Damage]:
    """Return every kind of damage by name; `bomb_s` is how long the silence of bombs lasts."""
    bomb = write_silence(bomb_s)
    return {
        "whole": lambda whole, rng: whole,
        "truncated": lambda whole, rng: whole[: int(rng.integers(len(whole)))],
        "truncated header": lambda whole, rng: whole[: int(rng.integers(1, 120))],
        "flipped header": lambda whole, rng: _flip(whole, rng, 128, 8),
        "flipped anywhere": lambda whole, rng: _flip(whole, rng, len(whole), 64),
        "lying sizes": _lie,
        "zeroed": _zero,
        "repeated": lambda whole, rng: whole * int(rng.integers(2, 5)),
        "two formats": lambda whole, rng: whole[: len(whole) // 2] + write_whole("MP3")[:20_000],
        "random bytes": lambda whole, rng: rng.bytes(int(rng.integers(1, 200_000))),
        "random after magic": lambda whole, rng: whole[:16] + rng.bytes(50_000),
        "silence without end": lambda whole, rng: bomb,
        "silence cut": lambda whole, rng: bomb[: int(rng.integers(100, len(bomb)))],
        "tag of megabytes": lambda whole, rng: _id3(b"TXXX", b"\x03a\0" + b"x" * (8 * MIB)) + whole,
        "tag that claims more": lambda whole, rng: b"ID3\x04\0\0" + _synchsafe((1 << 28) - 1) + whole,
        "compressed tag": lambda whole, rng: _compressed_id3() + whole,
        "many tags": lambda whole, rng: _id3_frames(20_000) + whole,
        "comments that claim more": _comments,
        "chunks": _chunks,
        "nested boxes": lambda whole, rng: _boxes(int(rng.integers(10, 3000))),
        "credential of noise": lambda whole, rng: _credential(rng),
        "text": lambda whole, rng: b"#EXTM3U\n" + b"http://127.0.0.1/\n" * 100,
    }


def _flip(whole: bytes, rng: np.random.Generator, within: int, most: int) -> bytes:
    changed = bytearray(whole)
    for place in rng.integers(0, min(within, len(whole)), int(rng.integers(1, most))):
        changed[int(place)] = int(rng.integers(256))
    return bytes(changed)


def _lie(whole: bytes, rng: np.random.Generator) -> bytes:
    """Replace some four bytes of the header by a number that no file means."""
    changed = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(0, 100))
        value = int(rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE]))
        changed[place : place + 4] = struct.pack(str(rng.choice(["<I", ">I"])), value)
    return bytes(changed)


def _zero(whole: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(whole)))
    stop = start + int(rng.integers(len(whole)))
    return whole[:start] + bytes(len(whole[start:stop])) + whole[stop:]


def _synchsafe(number: int) -> bytes:
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))


def _id3(frame: bytes, body: bytes, flags: int = 0) -> bytes:
    content = frame + struct.pack(">IH", len(body), flags) + body
    return b"ID3\x03\0\0" + _synchsafe(len(content)) + content


@cache
def _compressed_id3() -> bytes:
    """Return a tag whose frame unpacks to 256 MiB (ID3v2.3, 3.3.1: flag i)."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(256)) + packer.flush()
    return _id3(b"TXXX", struct.pack(">I", 256 * MIB) + packed, 0x0080)


@cache
def _id3_frames(count: int) -> bytes:
    frame = b"TXXX" + struct.pack(">IH", 8, 0) + b"\x03key\0val"
    return b"ID3\x03\0\0" + _synchsafe(count * len(frame)) + frame * count


def _comments(_whole: bytes, rng: np.random.Generator) -> bytes:
    """Return a FLAC file whose comments claim to be gigabytes, or are many."""
    flac = write_whole("FLAC", 0.5)
    claimed = int(rng.choice([0xFFFFFFFF, 0x7FFFFFFF, 1 << 24]))
    comments = struct.pack("<I", 4) + b"test" + struct.pack("<I", claimed) + b"\x03\0\0\0a=b" * 1000
    block = bytes([4]) + len(comments).to_bytes(3, "big") + comments
    return flac[:42] + block + flac[42:]


def _chunks(_whole: bytes, rng: np.random.Generator) -> bytes:
    """Return a WAV file with chunks of all kinds that lie about their length, or are megabytes long."""
    wave = write_whole("WAV", 0.5)
    names = [b"LIST", b"bext", b"iXML", b"id3 ", b"C2PA", b"AIGC", b"cue ", b"smpl", b"fact"]
    body = b"".join(
        names[int(rng.integers(len(names)))]
        + struct.pack("<I", int(rng.choice([0, 3, 1000, 0xFFFFFFFF])))
        + rng.bytes(1000)
        for _ in range(int(rng.integers(1, 20)))
    )
    large = b"iXML" + struct.pack("<I", 4 * MIB) + b"<a>" * (4 * MIB // 3 + 1)
    return wave[:12] + body + (large if rng.random() < 0.3 else b"") + wave[12:]


def _boxes(depth: int) -> bytes:
    """Return an MP4 file of boxes in boxes."""
    head = struct.pack(">I", 24) + b"ftypM4A \0\0\0\0M4A mp42"
    inner = b""
    for _ in range(depth):
        inner = struct.pack(">I", len(inner) + 8) + b"moov" + inner
    return head + inner + struct.pack(">I", 0xFFFFFFFF) + b"uuid" + bytes(1000)


def _credential(rng: np.random.Generator) -> bytes:
    """Return a WAV file whose C2PA chunk begins like a manifest store and goes on as noise."""
    wave = write_whole("WAV", 0.5)
    store = b"jumbjumd" + b"c2pa" + rng.bytes(int(rng.integers(10, 200_000)))
    store = struct.pack(">I", int(rng.choice([len(store) + 4, 0, 1, 0xFFFFFFFF]))) + store
    return wave + b"C2PA" + struct.pack("<I", len(store)) + store
