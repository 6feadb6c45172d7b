"""Tags: written into what we release, read from what others send, held against the ledger."""

import json
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import mutagen
import pytest
import soundfile
from conftest import SAMPLE_RATE, make_music, write_audio
from mutagen import apev2, flac, id3, mp4, wave
from test_api_disclosure import MADE

from api.decoding import DEFAULT_LIMITS, Limits
from api.errors import WriteError
from api.labels import Labels, read_labels
from api.tagcheck import TagField, check_tags
from api.tags import list_tags, write_tags

NAMES = [
    "TITLE",
    "ARTIST",
    "ISRC",
    "DATE",
    "DIGITALSOURCETYPE",
    "CONTAINSAI",
    "DISCLOSURE",
    "PROVENANCE_ID",
    "PROVENANCE_LOG",
    "PROVENANCE_URL",
    "AIGC",
]
AUDIO = make_music(1.0, seed=9)


def make_file(folder: Path, container: str) -> Path:
    """Return a tagged file of a second of music."""
    path = write_audio(folder / f"a.{container}", AUDIO, subtype="PCM_24")
    write_tags(path, MADE, coding="A=PCM,F=44100,W=24,M=stereo")
    return path


def values(labels: Labels, carrier: str) -> dict[str, str]:
    return {item.name: item.value for item in labels.tags if item.carrier == carrier}


@pytest.mark.parametrize(("container", "carrier"), [("flac", "vorbis"), ("wav", "id3"), ("wav", "ixml")])
def test_every_tag_is_read_back_and_the_samples_stay(tmp_path: Path, container: str, carrier: str) -> None:
    plain = write_audio(tmp_path / f"plain.{container}", AUDIO, subtype="PCM_24")
    path = make_file(tmp_path, container)
    labels = read_labels(path, DEFAULT_LIMITS)
    assert labels.tags_problem == ""
    found = values(labels, carrier)
    assert {name: found[name] for name in NAMES} == {tag.name: tag.value for tag in list_tags(MADE)}
    assert (soundfile.read(path)[0] == soundfile.read(plain)[0]).all()


def test_a_broadcast_wave_chunk_has_the_fields_of_its_version_2(tmp_path: Path) -> None:
    content = make_file(tmp_path, "wav").read_bytes()
    start = content.index(b"bext")
    size = struct.unpack_from("<I", content, start + 4)[0]
    body = content[start + 8 : start + 8 + size]
    assert body[:256].rstrip(b"\0") == b"This recording was made by a generative system."
    assert body[256:288].rstrip(b"\0") == b"Example Music"
    assert body[288:320].rstrip(b"\0") == MADE.track_id.encode()
    assert body[320:338] == b"2026-11-2521:00:00"
    assert struct.unpack_from("<QH", body, 338) == (0, 2)
    assert struct.unpack_from("<5H", body, 412) == (0x7FFF,) * 5
    assert body[602:] == b"A=PCM,F=44100,W=24,M=stereo,T=Provenote\r\n"
    assert struct.unpack_from("<I", content, 4)[0] == len(content) - 8


@pytest.mark.tool("ffmpeg")
@pytest.mark.parametrize("container", ["mp3", "m4a", "ogg", "opus"])
def test_tags_that_another_program_carried_over_are_read(tmp_path: Path, container: str) -> None:
    path = tmp_path / f"b.{container}"
    command = ["ffmpeg", "-v", "error", "-i", make_file(tmp_path, "flac"), path]
    subprocess.run(command, check=True, timeout=60)
    labels = read_labels(path, DEFAULT_LIMITS)
    found = {item.name: item.value for item in labels.tags}
    assert (found["TITLE"], found["ARTIST"]) == (MADE.title, MADE.artist)
    if container != "m4a":  # ffmpeg keeps only the fields that MP4 names
        assert found["PROVENANCE_ID"] == MADE.track_id
        assert check_tags(labels.tags, MADE, generated=True).contradicted == ()


@pytest.mark.tool("ffmpeg")
def test_free_form_atoms_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    source = write_audio(tmp_path / "a.wav", AUDIO)
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, path], check=True, timeout=60)
    file = mp4.MP4(path)
    file["----:com.apple.iTunes:PROVENANCE_ID"] = [MADE.track_id.encode()]
    file["\xa9nam"] = ["Song"]
    file.save()
    assert values(read_labels(path, DEFAULT_LIMITS), "mp4").items() >= {
        ("PROVENANCE_ID", MADE.track_id),
        ("TITLE", "Song"),
    }


def test_ape_tags_behind_an_mp3_are_read(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.mp3", AUDIO)
    tags = apev2.APEv2()
    tags["Title"] = "Forged"
    tags["Year"] = "1969"
    tags.save(path)
    frames = id3.ID3()
    frames.add(id3.TIT2(encoding=3, text=["Honest"]))
    frames.save(path)
    labels = read_labels(path, DEFAULT_LIMITS)
    assert values(labels, "ape") == {"TITLE": "Forged", "DATE": "1969"}
    assert values(labels, "id3") == {"TITLE": "Honest"}


CAPTURED = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
FORGERIES = [
    ("TITLE", "Another Song", "title"),
    ("ARTIST", "Somebody Famous", "artist"),
    ("ISRC", "USRC17607839", "isrc"),
    ("DATE", "1969", "date"),
    ("DATE", "2026-11-23", "date"),
    (
        "DIGITALSOURCETYPE",
        "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
        "digital-source-type",
    ),
    ("CONTAINSAI", "none", "contains-ai"),
    ("PROVENANCE_ID", "a" * 16, "track-id"),
    ("ORIGINATOR_REFERENCE", "a" * 16, "track-id"),
    ("PROVENANCE_LOG", "evil.example/log", "log"),
    ("PROVENANCE_URL", "https://evil.example/x", "link"),
    ("AIGC", '{"AIGC":{"Label":"1","ContentProducer":"Evil","ProduceID":"k3t5mz7qa2xw4hbn"}}', "aigc"),
]


@pytest.mark.parametrize(("name", "value", "field"), FORGERIES)
def test_each_forged_field_is_named_with_what_the_ledger_states(name: str, value: str, field: str) -> None:
    honest = [TagField("id3", tag.name, tag.value) for tag in list_tags(MADE) if tag.name != name]
    found = check_tags([*honest, TagField("id3", name, value)], MADE, generated=True)
    assert [(item.field, item.carrier, item.found) for item in found.contradicted] == [(field, "id3", value)]
    assert field not in found.confirmed
    assert found.contradicted[0].stated


HONEST = [
    ("TITLE", "WÄLZER  & <Söhne>"),
    ("TITLE", "Wa\u0308lzer & <So\u0308hne>"),
    ("ISRC", "NL-A01-26-00001"),
    ("DIGITALSOURCETYPE", "trainedAlgorithmicMedia"),
    ("DIGITALSOURCETYPE", MADE.source_type.replace("http:", "https:") if MADE.source_type else ""),
    ("DATE", "2027"),
    ("DATE", "2026-11"),
    ("DATE", "2026-11-24T23:00:00"),
    ("PROVENANCE_URL", f"{MADE.link}/"),
]


@pytest.mark.parametrize(("name", "value"), HONEST)
def test_the_same_in_other_words_is_no_contradiction(name: str, value: str) -> None:
    found = check_tags([TagField("vorbis", name, value)], MADE, generated=True)
    assert found.contradicted == ()
    assert len(found.confirmed) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("GENRE", "Jazz"), ("FILE_UID", "some-daw-17"), ("DATE", "soon"), ("AIGC", "{"), ("AIGC", "[" * 10_000)],
)
def test_what_says_nothing_checkable_is_neither(name: str, value: str) -> None:
    found = check_tags([TagField("ixml", name, value)], MADE, generated=True)
    assert (found.contradicted, found.confirmed, found.count) == ((), (), 1)


def test_a_stamped_recording_may_be_of_any_age_and_unregistered_fields_are_named() -> None:
    bare = replace(MADE, title=None, artist=None, isrc=None)
    fields = [TagField("id3", "DATE", "1969"), TagField("id3", "TITLE", "Anything")]
    found = check_tags(fields, bare, generated=False)
    assert found.contradicted == ()
    assert found.unregistered == ("date", "title")


def test_an_artist_added_beside_the_registered_one_is_a_contradiction() -> None:
    fields = [TagField("vorbis", "ARTIST", "Die Bänd"), TagField("vorbis", "ARTIST", "Somebody Famous")]
    found = check_tags(fields, MADE)
    assert [item.found for item in found.contradicted] == ["Somebody Famous"]
    both = replace(MADE, artist="Die Bänd & Somebody Famous")
    assert check_tags(fields, both).contradicted == ()


def test_each_carrier_is_checked_for_itself(tmp_path: Path) -> None:
    path = make_file(tmp_path, "wav")
    file = wave.WAVE(path)
    assert file.tags is not None
    file.tags.add(id3.TIT2(encoding=3, text=["Forged"]))
    file.save()
    found = check_tags(read_labels(path, DEFAULT_LIMITS).tags, MADE, generated=True)
    assert [(item.field, item.carrier) for item in found.contradicted] == [("title", "id3")]


def test_a_file_of_no_track_still_says_which_track_it_claims_to_be() -> None:
    fields = [TagField("vorbis", "PROVENANCE_ID", MADE.track_id)]
    found = check_tags(fields, None)
    assert (found.claims_track, found.contradicted) == (MADE.track_id, ())


BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;">]><a><USER><TITLE>&c;</TITLE></USER></a>'
HOSTILE = {
    "empty": b"",
    "not audio": b"MZ" + bytes(100),
    "a FLAC that ends in its header": b"fLaC\x00\x00\x00\x22",
    "a FLAC with a lying comment length": b"fLaC\x84\xff\xff\xff" + b"\xff" * 64,
    "an ID3 tag that is longer than the file": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7fTIT2\x7f\x7f\x7f\x7f",
    "a RIFF of endless empty chunks": b"RIFF\xff\xff\xff\xffWAVE" + (b"junk" + bytes(4)) * 50_000,
    "an iXML entity bomb": b"RIFF\x00\x01\x00\x00WAVEiXML\xa0\x00\x00\x00" + BOMB.ljust(160),
    "an MP4 whose box is larger than itself": b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42"
    + b"\xff\xff\xff\xffmoov",
    "an Ogg page without a stream": b"OggS" + bytes(60),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_have_no_tags_and_break_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "upload"
    path.write_bytes(HOSTILE[name])
    labels = read_labels(path, DEFAULT_LIMITS)
    assert all(item.name != "TITLE" for item in labels.tags)
    assert labels.credential is None


def test_a_huge_tag_is_cut_and_many_tags_are_too_many(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", AUDIO, subtype="PCM_16")
    file = flac.FLAC(path)
    file["TITLE"] = "x" * (15 << 20)  # a FLAC block holds 16 MiB
    file.save()
    labels = read_labels(path, DEFAULT_LIMITS)
    assert [len(item.value) for item in labels.tags] == [4096]
    file["TITLE"] = [str(number) for number in range(600)]
    file.save()
    labels = read_labels(path, DEFAULT_LIMITS)
    assert len(labels.tags) == 512
    assert labels.tags_problem == "too many tags"
    assert check_tags(labels.tags, None, problem=labels.tags_problem).state == "unreadable"


def test_a_compressed_tag_that_unpacks_to_more_than_its_file_allows_is_not_unpacked(tmp_path: Path) -> None:
    sound = write_audio(tmp_path / "a.mp3", AUDIO).read_bytes()
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(128)) + packer.flush()
    body = struct.pack(">I", 128 << 20) + packed
    frame = b"TXXX" + struct.pack(">IH", len(body), 0x0080) + body  # ID3v2.3, 3.3.1: flag i, compressed
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    (tmp_path / "a.mp3").write_bytes(b"ID3\x03\0\0" + size + frame + sound)
    labels = read_labels(tmp_path / "a.mp3", DEFAULT_LIMITS)
    assert labels.tags_problem.startswith("MemoryError")
    assert labels.tags == ()


def test_a_reader_that_hits_a_limit_is_said_to_have_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_file(tmp_path, "flac")
    reader = tmp_path / "reader.py"
    reader.write_text("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", encoding="utf-8")
    monkeypatch.setattr("api.labels.READER", reader)
    labels = read_labels(path, Limits())
    assert "limit" in labels.tags_problem
    assert labels.tags == ()


def test_a_file_that_is_no_wave_cannot_be_tagged_as_one(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"not a wave file")
    with pytest.raises(WriteError, match="RIFF"):
        write_tags(path, MADE)


def test_tags_of_a_container_are_those_that_mutagen_reads(tmp_path: Path) -> None:
    file = mutagen.File(make_file(tmp_path, "flac"))
    assert json.loads(file["aigc"][0])["AIGC"]["ProduceID"] == MADE.track_id
    assert file.info.sample_rate == SAMPLE_RATE
