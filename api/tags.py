"""The tags of a released file: what they say, and how they are written into FLAC and WAV.

The same names in every container, as Vorbis comments, as ID3 `TXXX` frames, as iTunes free-form atoms:

| name | holds |
| --- | --- |
| TITLE, ARTIST, ISRC | what the issuer declared (ID3: TIT2, TPE1, TSRC) |
| DATE | the day of registration (ID3: TDRC) |
| DIGITALSOURCETYPE | URI of IPTC's vocabulary |
| CONTAINSAI | all, partly or none |
| DISCLOSURE | the same in a sentence |
| PROVENANCE_ID, PROVENANCE_LOG, PROVENANCE_URL | the track's id, the log's origin, where the track is shown |
| AIGC | the label of GB 45438-2025, JSON, for what a model made |

WAV files carry an `id3 ` chunk with these, a `bext` chunk (EBU Tech 3285, version 2) and an `iXML` chunk.
Tags are for people and programs that read nothing else. Anybody can change them: what they are worth is
found out against the ledger (`api.tagcheck`).
"""

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import mutagen
from mutagen import flac, id3, wave

from .audiofile import sync_file
from .declaration import NONE
from .disclosure import Disclosure, format_aigc
from .errors import WriteError

BEXT_VERSION = 2
BEXT_UNSET = 0x7FFF  # EBU Tech 3285, 2.4: a loudness that was not measured
IXML_VERSION = "2.10"
_ID3_FRAMES = {"TITLE": id3.TIT2, "ARTIST": id3.TPE1, "ISRC": id3.TSRC, "DATE": id3.TDRC}
_UTF8 = 3


@dataclass(frozen=True)
class Tag:
    """One tag: a name of the table above, and its text."""

    name: str
    value: str


def list_tags(disclosure: Disclosure) -> tuple[Tag, ...]:
    """Return the tags of a track, in the order of the table; what is not known has none."""
    aigc = None
    if disclosure.share not in (None, NONE):
        aigc = json.dumps(format_aigc(disclosure), ensure_ascii=False, separators=(",", ":"))
    values = {
        "TITLE": disclosure.title,
        "ARTIST": disclosure.artist,
        "ISRC": disclosure.isrc,
        "DATE": disclosure.created[:10],
        "DIGITALSOURCETYPE": disclosure.source_type,
        "CONTAINSAI": disclosure.share,
        "DISCLOSURE": disclosure.sentence,
        "PROVENANCE_ID": disclosure.track_id,
        "PROVENANCE_LOG": disclosure.log,
        "PROVENANCE_URL": disclosure.link,
        "AIGC": aigc,
    }
    return tuple(Tag(name, value) for name, value in values.items() if value is not None)


def write_tags(path: Path, disclosure: Disclosure, *, coding: str = "") -> None:
    """Write the tags of a track into its file, FLAC or WAV by the name's ending, and sync it.

    Parameters
    ----------
    path
        A file without tags, as `AudioWriter` leaves it.
    coding
        For WAV: the coding history of EBU R98, such as `A=PCM,F=44100,W=24,M=stereo`.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    tags = list_tags(disclosure)
    try:
        if path.suffix == ".flac":
            _write_vorbis(path, tags)
        else:
            _append_chunks(
                path, [(b"bext", format_bext(disclosure, coding)), (b"iXML", format_ixml(disclosure, tags))]
            )
            _write_id3(path, tags)
        sync_file(path)
    except (OSError, mutagen.MutagenError) as error:
        raise WriteError(f"{path}: its tags cannot be written: is the disk full? ({error})") from error


def _write_vorbis(path: Path, tags: tuple[Tag, ...]) -> None:
    file = flac.FLAC(path)
    if file.tags is None:
        file.add_tags()
    for tag in tags:
        file[tag.name] = tag.value
    file.save()


def _write_id3(path: Path, tags: tuple[Tag, ...]) -> None:
    file = wave.WAVE(path)
    file.add_tags()
    for tag in tags:
        frame = _ID3_FRAMES.get(tag.name)
        if frame is not None:
            file.tags.add(frame(encoding=_UTF8, text=[tag.value]))
        else:
            file.tags.add(id3.TXXX(encoding=_UTF8, desc=tag.name, text=[tag.value]))
    file.save()


def format_bext(disclosure: Disclosure, coding: str) -> bytes:
    """Return the content of a `bext` chunk (EBU Tech 3285 v2, 2.3); texts are cut to their fields.

    The UMID is left at zero, its value for "none": the track id stands in OriginatorReference.
    """
    history = f"{coding},T=Provenote\r\n".encode("ascii", "replace") if coding else b""
    return (
        struct.pack(
            "<256s32s32s10s8sQH64s5H180s",
            _cut(disclosure.sentence or disclosure.title or "", 256),
            _cut(disclosure.provider, 32),
            _cut(disclosure.track_id, 32),
            disclosure.created[:10].encode("ascii"),
            disclosure.created[11:19].encode("ascii"),
            0,
            BEXT_VERSION,
            bytes(64),
            *(BEXT_UNSET,) * 5,
            bytes(180),
        )
        + history
    )


def _cut(text: str, size: int) -> bytes:
    return text.encode("ascii", "replace")[:size]


def format_ixml(disclosure: Disclosure, tags: tuple[Tag, ...]) -> bytes:
    """Return the content of an `iXML` chunk: the track id as FILE_UID, the tags under USER."""
    root = ElementTree.Element("BWFXML")
    ElementTree.SubElement(root, "IXML_VERSION").text = IXML_VERSION
    ElementTree.SubElement(root, "FILE_UID").text = disclosure.track_id
    if disclosure.sentence is not None:
        ElementTree.SubElement(root, "NOTE").text = disclosure.sentence
    user = ElementTree.SubElement(root, "USER")
    for tag in tags:
        ElementTree.SubElement(user, tag.name).text = tag.value
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def _append_chunks(path: Path, chunks: list[tuple[bytes, bytes]]) -> None:
    """Append chunks to a RIFF file and correct its length; a file of 4 GiB or more is refused."""
    with path.open("r+b") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise WriteError(f"{path}: expected a RIFF WAVE file")
        end = file.seek(0, os.SEEK_END)
        if end % 2:
            file.write(b"\0")
        for name, content in chunks:
            file.write(struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2))
        size = file.tell() - 8
        if size >= 1 << 32:
            raise WriteError(f"{path}: a WAV file holds at most 4 GiB: write FLAC instead")
        file.seek(4)
        file.write(struct.pack("<I", size))
