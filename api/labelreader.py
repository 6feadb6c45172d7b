"""The child process that reads tags and C2PA credentials of an untrusted file; run by path, never imported.

    python -I labelreader.py 5 5< orders.json < upload.flac

    {"memory_bytes": ..., "cpu_s": ..., "anchors": {"own": "<PEM>", "listed": "", "tsa": ""}, "sidecar": null}

It gives up memory, processor time and the right to write, reads the file on standard input with mutagen and
with the C2PA library (no network), and writes one JSON object:

    {"container": "flac",
     "tags": [["vorbis", "TITLE", "Song"], ...], "tags_cut": false, "tags_problem": "",
     "credential": null | {"state": "Trusted", "store": {...}, "label": "urn:c2pa:...", "sha256": "..."},
     "credential_problem": ""}

`store` is what the library says of the whole manifest store. What any of it means is decided by the parent
(`api.labels`), which believes none of it.
"""

import contextlib
import hashlib
import json
import os
import resource
import struct
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

MAX_TAGS = 512
MAX_CHARACTERS = 4096
MAX_CHUNK_BYTES = 1 << 20
MAX_MANIFEST_BYTES = 64 << 20
MAX_STORE_CHARACTERS = 4 << 20
MAX_CHUNKS = 10_000
TAG_MEMORY_BYTES = 96 << 20, 256 << 20
"""What reading tags may take, besides three times the file, and at most: a compressed ID3 frame of kilobytes
unpacks to gigabytes."""
CREDENTIAL_MEMORY_BYTES = 128 << 20
MIME = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "mp4": "audio/mp4"}
ID3_NAMES = {"TIT2": "TITLE", "TPE1": "ARTIST", "TSRC": "ISRC", "TDRC": "DATE", "TYER": "DATE"}
ATOM_NAMES = {"\xa9nam": "TITLE", "\xa9ART": "ARTIST", "\xa9day": "DATE"}
INFO_NAMES = {b"INAM": "TITLE", b"IART": "ARTIST", b"ICRD": "DATE", b"ISRC": "SOURCE", b"ICMT": "COMMENT"}
ITUNES = "----:com.apple.iTunes:"
C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
BEXT_HEAD = struct.Struct("<256s32s32s10s8s")

Found = Iterator[tuple[str, str, str]]


def give_up_rights(limits: dict[str, Any]) -> None:
    """Lower this process's limits, for good."""
    for name, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def preload() -> None:
    """Load what reading needs: called by a server that children are forked from."""
    import c2pa  # noqa: F401
    from mutagen import aiff, apev2, flac, id3, mp4, oggopus, oggvorbis, wave  # noqa: F401


@contextlib.contextmanager
def bound_memory(more_bytes: int) -> Iterator[None]:
    """Allow so much more memory than there is, until the block ends."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        pages = int(file.read().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (min(soft, pages * resource.getpagesize() + more_bytes), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def sniff(file: BinaryIO) -> str:
    """Return the container by its first bytes; "" for one that is not known."""
    head = file.read(12)
    file.seek(0)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return "aiff"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == b"fLaC":
        return "flac"
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:3] == b"ID3":
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        file.seek(10 + size)
        behind = file.read(4)
        file.seek(0)
        return "flac" if behind == b"fLaC" else "mp3"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3"
    return ""


def read_tags(file: BinaryIO, container: str) -> Found:
    """Yield carrier, name and text of every tag; names as in `api.tags`."""
    from mutagen import aiff, flac, mp4, oggopus, oggvorbis, wave

    if container == "wav":
        yield from read_chunks(file)
        yield from from_id3(wave.WAVE(file).tags)
    elif container == "aiff":
        yield from from_id3(aiff.AIFF(file).tags)
    elif container == "flac":
        yield from from_comments(flac.FLAC(file).tags)
        yield from read_id3(file)
    elif container == "mp3":
        yield from read_id3(file)
        yield from read_ape(file)
    elif container == "mp4":
        yield from from_atoms(mp4.MP4(file).tags)
    elif container == "ogg":
        kind = oggopus.OggOpus if b"OpusHead" in file.read(512) else oggvorbis.OggVorbis
        file.seek(0)
        yield from from_comments(kind(file).tags)


def from_comments(tags: Any) -> Found:
    for name, value in tags or ():
        yield "vorbis", name.upper(), value


def from_id3(tags: Any) -> Found:
    for frame in () if tags is None else tags.values():
        if frame.FrameID == "TXXX":
            name = frame.desc.upper()
        elif frame.FrameID in ID3_NAMES:
            name = ID3_NAMES[frame.FrameID]
        elif frame.FrameID == "COMM":
            name = "COMMENT"
        else:
            continue
        for text in frame.text:
            yield "id3", name, str(text)


def from_atoms(tags: Any) -> Found:
    for key, values in (tags or {}).items():
        name = ATOM_NAMES.get(key) or (key[len(ITUNES) :].upper() if key.startswith(ITUNES) else None)
        for value in values if name and isinstance(values, list) else ():
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            yield "mp4", str(name), text


def read_id3(file: BinaryIO) -> Found:
    from mutagen import id3

    file.seek(0)
    with contextlib.suppress(id3.ID3NoHeaderError):
        yield from from_id3(id3.ID3(file))
    file.seek(0)


def read_ape(file: BinaryIO) -> Found:
    from mutagen import apev2

    file.seek(0)
    with contextlib.suppress(apev2.APENoHeaderError):
        for name, value in apev2.APEv2(file).items():
            if value.kind == apev2.TEXT:
                for text in value:
                    yield "ape", name.upper().replace("YEAR", "DATE"), text
    file.seek(0)


def walk_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, offset and size of the chunks of a RIFF file; stops where it is cut off."""
    end = file.seek(0, os.SEEK_END)
    position = 12
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = struct.unpack("<4sI", head)
        yield name, position + 8, min(size, end - position - 8)
        position += 8 + size + size % 2


def read_chunks(file: BinaryIO) -> Found:
    """Yield what `bext`, `iXML`, `AIGC` and LIST INFO chunks of a WAV file say."""
    for name, offset, size in walk_chunks(file):
        if name not in (b"bext", b"iXML", b"AIGC", b"LIST"):
            continue
        file.seek(offset)
        content = file.read(min(size, MAX_CHUNK_BYTES))
        if name == b"bext" and len(content) >= BEXT_HEAD.size:
            fields = BEXT_HEAD.unpack_from(content)
            texts = [text.split(b"\0")[0].decode("ascii", "replace") for text in fields]
            names = ("DESCRIPTION", "ORIGINATOR", "ORIGINATOR_REFERENCE", "DATE")
            yield from (("bext", *pair) for pair in zip(names, texts[:4], strict=True))
        elif name == b"iXML":
            yield from read_ixml(content)
        elif name == b"AIGC":
            yield "riff", "AIGC", content.rstrip(b"\0").decode("utf-8", "replace")
        elif name == b"LIST" and content[:4] == b"INFO":
            yield from read_info(content[4:])
    file.seek(0)


def read_info(content: bytes) -> Found:
    position = 0
    while position + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        text = content[position + 8 : position + 8 + size].split(b"\0")[0].decode("utf-8", "replace")
        if name in INFO_NAMES:
            yield "info", INFO_NAMES[name], text
        position += 8 + size + size % 2


def read_ixml(content: bytes) -> Found:
    """Yield FILE_UID and what stands under USER; XML with a document type is not read (entity bombs)."""
    from xml.etree import ElementTree

    text = content.rstrip(b"\0")
    if b"<!" in text.replace(b"<!--", b""):
        return
    with contextlib.suppress(ElementTree.ParseError):
        root = ElementTree.fromstring(text)
        for element in root.iter("FILE_UID"):
            yield "ixml", "FILE_UID", element.text or ""
        for user in root.iter("USER"):
            for element in user:
                yield "ixml", element.tag.upper(), element.text or ""


def read_credential(file: BinaryIO, container: str, orders: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the C2PA library says of the embedded manifest store; None where there is none."""
    import c2pa

    anchors = []
    for name, kind in (("own", "manifest"), ("listed", "manifest"), ("tsa", "tsa")):
        if orders["anchors"][name]:
            # The library hands the name back: it tells whose list was led to.
            anchors.append({"trust_kind": kind, "trust_uri": name, "trust_anchors": orders["anchors"][name]})
    context = c2pa.Context.from_dict(
        {
            "trust": {"anchors": anchors},
            "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
            "core": {"allowed_network_hosts": [], "allow_redirects": False},
        }
    )
    sidecar = orders["sidecar"]
    data = bytes.fromhex(sidecar) if sidecar else None
    file.seek(0)
    reader = c2pa.Reader.try_create(MIME.get(container, "application/octet-stream"), file, data, context)
    if reader is None:
        return None
    text = reader.json()
    if len(text) > MAX_STORE_CHARACTERS:
        raise ValueError(f"expected at most {MAX_STORE_CHARACTERS} characters of manifests, got {len(text)}")
    store = json.loads(text)
    return {
        "state": reader.get_validation_state(),
        "label": store.get("active_manifest"),
        "embedded": reader.is_embedded(),
        "store": store,
        "sha256": hashlib.sha256(data if data is not None else extract(file, container)).hexdigest(),
    }


def extract(file: BinaryIO, container: str) -> bytes:
    """Return the bytes of the embedded manifest store; b"" where they are not found."""
    if container == "wav":
        for name, offset, size in walk_chunks(file):
            if name == b"C2PA" and size <= MAX_MANIFEST_BYTES:
                file.seek(offset)
                return file.read(size)
    elif container in ("flac", "mp3"):
        from mutagen import id3

        file.seek(0)
        for frame in id3.ID3(file).getall("GEOB"):
            if frame.mime in ("application/c2pa", "application/x-c2pa-manifest-store"):
                return bytes(frame.data)
    elif container == "mp4":
        return extract_box(file)
    return b""


def extract_box(file: BinaryIO) -> bytes:
    """Return the manifest store of an MP4 file (C2PA 2.4, A.5.1): a `uuid` box of the top level, in it
    version and flags, a purpose that ends with a zero byte, an offset of 8 bytes, and the store.
    """
    end = file.seek(0, os.SEEK_END)
    position = 0
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        head = file.read(32)
        if len(head) < 8:
            break
        size, start = struct.unpack(">I", head[:4])[0], 8
        if size == 1 and len(head) >= 16:
            size, start = struct.unpack(">Q", head[8:16])[0], 16
        elif size == 0:
            size = end - position
        if size < start:
            break
        if head[4:8] == b"uuid" and head[start : start + 16] == C2PA_BOX:
            file.seek(position + start + 16)
            content = file.read(min(size - start - 16, MAX_MANIFEST_BYTES))
            purpose, _, rest = content[4:].partition(b"\0")
            if purpose == b"manifest":
                return rest[8:]
        position += size
    return b""


def main() -> None:
    with os.fdopen(int(sys.argv[1]), "rb") as note:
        orders = json.load(note)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    give_up_rights(orders)
    answer: dict[str, Any] = {
        "container": "",
        "tags": [],
        "tags_cut": False,
        "tags_problem": "",
        "credential": None,
        "credential_problem": "",
    }
    with open(0, "rb", closefd=False) as file:
        answer["container"] = sniff(file)
        try:
            least, most = TAG_MEMORY_BYTES
            with bound_memory(min(most, least + 3 * os.fstat(0).st_size)):
                for item in read_tags(file, answer["container"]):
                    if len(answer["tags"]) == MAX_TAGS:
                        answer["tags_cut"] = True
                        break
                    answer["tags"].append([text[:MAX_CHARACTERS] for text in item])
        except Exception as error:  # noqa: BLE001 - whatever a hostile file makes of a library is an answer
            answer["tags_problem"] = f"{type(error).__name__}: {error}"[:200]
        if answer["container"] in MIME or orders["sidecar"]:
            try:
                # A frame of kilobytes unpacks to gigabytes here, too: no more than the file can account for.
                with bound_memory(CREDENTIAL_MEMORY_BYTES + 4 * os.fstat(0).st_size):
                    answer["credential"] = read_credential(file, answer["container"], orders)
            except Exception as error:  # noqa: BLE001 - the same
                answer["credential_problem"] = f"{type(error).__name__}: {error}"[:200]
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
