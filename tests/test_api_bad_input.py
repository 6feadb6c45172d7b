"""Difficult and wrong files at the command line and in the issue flow: a clear outcome, and nothing lost.

"Nothing lost" is checked each time: the source is untouched, no half-written file is left, an older file is
whole, and the ledger has grown by exactly what was acknowledged.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import SAMPLE_RATE, Audio, Shell, Stamped, make_music, write_audio

import watermark
from api.outcomes import GOOD, USAGE
from ledger.keyfile import load_secret, save_secret

PAYLOAD, OTHER_PAYLOAD = "0123456789abcdef", "fedcba9876543210"
OTHER_KEY = b"o" * 32
SECONDS = 5.5
# Just long enough not to be called too short.
TIME = np.arange(round(5.1 * SAMPLE_RATE)) / SAMPLE_RATE


@pytest.fixture(scope="module")
def song() -> Audio:
    return make_music(SECONDS, seed=41, channels=1)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    save_secret(tmp_path / "mark.key", b"k" * 32)
    return tmp_path / "mark.key"


@pytest.fixture
def nothing_else(tmp_path: Path) -> Iterator[list[Path]]:
    """Check, after the test, that its folder holds no file but those that it expects."""
    expected: list[Path] = []
    yield expected
    found = {path for path in tmp_path.iterdir() if path.is_file()}
    assert found == set(expected)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def count_entries(shell: Shell, home: Path) -> int:
    report = shell.json("log", "fsck", "--home", home)
    assert report["ok"] is True
    assert list((home / "incoming").iterdir()) == []
    return int(report["size"])


# What cannot carry a mark: the reasons that `stamp` gives.
HOPELESS = {
    "silence": (np.zeros((1, TIME.size)), ["silent"]),
    "half a second": (make_music(0.5, seed=42, channels=1), ["too-short"]),
    "one sample": (np.full((1, 1), 0.5), ["too-short"]),
    "a constant": (np.full((1, TIME.size), 0.5), ["out-of-band"]),
    "a full-scale square wave": (np.sign(np.sin(2 * np.pi * 441 * TIME + 0.1))[None, :], ["full-scale"]),
    # Its mark would lie below the last of 16 bits.
    "-86 dB": (make_music(5.1, seed=43, channels=1) * 1e-4, ["near-silent"]),
}


@pytest.mark.parametrize("name", HOPELESS)
def test_what_cannot_carry_a_mark_is_refused_with_its_reasons(
    shell: Shell, stamped: Stamped, tmp_path: Path, name: str
) -> None:
    audio, reasons = HOPELESS[name]
    source = write_audio(tmp_path / "a.wav", audio.astype(np.float32), subtype="PCM_16")
    before, size = digest(source), count_entries(shell, stamped.home)
    problem = shell.json("stamp", source, "--bits", 16, "--home", stamped.home, code=USAGE)
    assert problem["type"].endswith("/mark-unreadable")
    assert problem["reasons"][: len(reasons)] == reasons
    assert "cannot be read back" in problem["detail"]
    assert count_entries(shell, stamped.home) == size
    assert digest(source) == before


def test_the_bare_mark_warns_of_it_and_refuses_it_where_a_margin_is_required(
    shell: Shell, tmp_path: Path, key_file: Path, nothing_else: list[Path]
) -> None:
    source = write_audio(tmp_path / "a.wav", np.zeros((1, TIME.size), np.float32))
    marked = tmp_path / "b.wav"
    arguments = ("mark", "embed", source, marked, "--key", key_file, "--payload", PAYLOAD, "--over-mark")
    problem = shell.json(*arguments, "--require-margin", code=USAGE)
    assert problem["type"].endswith("/mark-weak")
    assert problem["reasons"] == ["silent"]
    assert not marked.exists()
    answer = shell.json(*arguments)
    assert answer["margin"]["sufficient"] is False
    assert answer["margin"]["reasons"] == ["silent"]
    assert "poor carrier" in shell.errors
    assert shell.json(*arguments, "--force", "--no-margin")["margin"] is None
    assert shell.errors == ""
    nothing_else += [source, marked, key_file]


def test_a_margin_that_is_required_and_missing_keeps_the_older_file(
    shell: Shell, tmp_path: Path, key_file: Path, nothing_else: list[Path]
) -> None:
    source = write_audio(tmp_path / "a.wav", make_music(1.0, seed=44))
    older = tmp_path / "b.wav"
    older.write_text("an older file")
    arguments = (
        "mark",
        "embed",
        source,
        older,
        "--key",
        key_file,
        "--payload",
        PAYLOAD,
        "--force",
        "--over-mark",
    )
    assert shell.json(*arguments, "--require-margin", code=USAGE)["reasons"] == ["too-short"]
    assert older.read_text() == "an older file"
    nothing_else += [source, older, key_file]


def test_a_fade_is_stamped_and_its_margin_told(
    shell: Shell, stamped: Stamped, tmp_path: Path, song: Audio
) -> None:
    fade = (song * np.linspace(1, 0, song.shape[1]) ** 2).astype(np.float32)
    source = write_audio(tmp_path / "fade.flac", fade, subtype="PCM_24")
    answer = shell.json("stamp", source, "--home", stamped.home)
    assert [row["window_s"] for row in answer["margin"]["rows"]] == [5, 5, 5]
    assert shell.json("verify", Path(answer["folder"]) / answer["audio"], "--home", stamped.home)["good"]


@pytest.mark.parametrize(
    ("sample_rate", "container"), [(8_000, "flac"), (11_025, "wav"), (96_000, "wav"), (192_000, "flac")]
)
def test_every_rate_is_marked_and_kept(
    shell: Shell, tmp_path: Path, key_file: Path, sample_rate: int, container: str
) -> None:
    audio = make_music(0.5, seed=45, sample_rate=sample_rate, channels=1)
    source = write_audio(tmp_path / "a.wav", audio, sample_rate, subtype="PCM_24")
    check_embedded(shell, source, tmp_path / f"b.{container}", key_file, sample_rate=sample_rate)


@pytest.mark.parametrize("channels", range(1, 9))
def test_every_number_of_channels_is_marked_and_kept(
    shell: Shell, tmp_path: Path, key_file: Path, channels: int
) -> None:
    source = write_audio(tmp_path / "a.wav", make_music(0.2, seed=46, channels=channels), subtype="PCM_24")
    check_embedded(shell, source, tmp_path / "b.flac", key_file, channels=channels)


@pytest.mark.parametrize(
    ("name", "subtype", "bits"),
    [
        ("a.wav", "PCM_U8", 24),
        ("a.wav", "PCM_16", 16),
        ("a.wav", "PCM_24", 24),
        ("a.wav", "PCM_32", 24),
        ("a.wav", "FLOAT", 24),
        ("a.wav", "DOUBLE", 24),
        ("a.flac", "PCM_16", 16),
        ("a.aiff", "PCM_24", 24),
        ("a.ogg", "VORBIS", 24),
    ],
)
def test_every_sample_format_is_marked_and_kept(
    shell: Shell, tmp_path: Path, key_file: Path, name: str, subtype: str, bits: int
) -> None:
    source = write_audio(tmp_path / name, make_music(0.3, seed=47), subtype=subtype)
    check_embedded(shell, source, tmp_path / "b.wav", key_file, channels=2, bits=bits)


def check_embedded(
    shell: Shell,
    source: Path,
    marked: Path,
    key_file: Path,
    *,
    sample_rate: int = SAMPLE_RATE,
    channels: int = 1,
    bits: int = 24,
) -> None:
    before, (frames, _) = digest(source), soundfile.read(source, always_2d=True)
    answer = shell.json(
        "mark", "embed", source, marked, "--key", key_file, "--payload", PAYLOAD, "--no-margin", "--over-mark"
    )
    assert digest(source) == before
    written = soundfile.info(marked)
    assert (written.samplerate, written.channels) == (sample_rate, channels)
    assert written.subtype == f"PCM_{bits}"
    assert written.frames == answer["samples"] == len(frames)
    after, _ = soundfile.read(marked, always_2d=True)
    assert not np.array_equal(after, frames)
    assert np.abs(after - frames).max() < 0.1


@pytest.mark.parametrize(
    ("command", "value"),
    [("stamp", np.nan), ("mark embed", np.inf), ("mark detect", -np.inf), ("verify", np.nan)],
)
def test_samples_that_are_no_numbers_are_refused_everywhere(
    shell: Shell,
    stamped: Stamped,
    tmp_path: Path,
    key_file: Path,
    nothing_else: list[Path],
    value: float,
    command: str,
) -> None:
    audio = make_music(0.3, seed=48)
    audio[0, -5] = value
    source = write_audio(tmp_path / "a.wav", audio, subtype="FLOAT")
    size = count_entries(shell, stamped.home)
    arguments = {
        "stamp": (source, "--home", stamped.home),
        "verify": (source, "--home", stamped.home),
        "mark detect": (source, "--key", key_file),
        "mark embed": (source, tmp_path / "b.wav", "--key", key_file, "--payload", PAYLOAD, "--over-mark"),
    }[command]
    problem = shell.json(*command.split(), *arguments, code=USAGE)
    assert problem["code"] == "not-finite"
    assert count_entries(shell, stamped.home) == size
    nothing_else += [source, key_file]


@pytest.mark.parametrize(
    ("channels", "sample_rate", "code"), [(9, 44_100, "channels"), (1, 4_000, "sample-rate")]
)
def test_what_is_outside_the_limits_is_refused_with_a_word(
    shell: Shell, tmp_path: Path, key_file: Path, channels: int, sample_rate: int, code: str
) -> None:
    source = tmp_path / "a.wav"
    soundfile.write(source, np.zeros((1000, channels)), sample_rate)
    arguments = ("mark", "embed", source, tmp_path / "b.wav", "--key", key_file, "--payload", PAYLOAD)
    assert shell.json(*arguments, code=USAGE)["code"] == code


def test_a_track_of_ours_is_refused_with_its_mark(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    size = count_entries(shell, stamped.home)
    frames, rate = soundfile.read(stamped.audio, dtype="float32", always_2d=True)
    excerpt = write_audio(tmp_path / "excerpt.ogg", frames[5 * rate : 15 * rate].T, rate)
    problem = shell.json("stamp", excerpt, "--home", stamped.home, code=USAGE)
    assert problem["type"].endswith("/already-registered")
    assert problem["track_id"] == stamped.track_id
    bundle = shell.json("bundle", "check", stamped.audio.with_name("bundle.json"))
    assert problem["mark_id"] == bundle["openings"]["mark_id"]
    assert problem["mark_id"] in problem["detail"]
    assert count_entries(shell, stamped.home) == size


def test_a_mark_of_an_older_epoch_is_refused_as_well(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    shell.json("keys", "rotate", "watermark", "--home", stamped.home)
    frames, rate = soundfile.read(stamped.audio, dtype="float32", always_2d=True)
    excerpt = write_audio(tmp_path / "excerpt.wav", frames[5 * rate : 15 * rate].T, rate)
    problem = shell.json("stamp", excerpt, "--home", stamped.home, code=USAGE)
    assert problem["track_id"] == stamped.track_id


@pytest.mark.parametrize("which", ["source", "audio"])
def test_a_file_that_is_registered_is_refused_before_it_is_decoded(
    shell: Shell, stamped: Stamped, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    def never(*_: object, **__: object) -> object:
        raise AssertionError("registered bytes need no decoding")

    monkeypatch.setattr("api.issuing.examine", never)
    problem = shell.json("stamp", getattr(stamped, which), "--home", stamped.home, code=USAGE)
    assert problem["track_id"] == stamped.track_id
    assert "same file" in problem["detail"]


def test_an_unregistered_mark_of_our_key_is_refused_with_its_mark(
    shell: Shell, stamped: Stamped, tmp_path: Path, song: Audio
) -> None:
    key = load_secret(stamped.home / "keys" / "watermark-0001.key", lengths=(64,))
    marked = watermark.embed(song, sample_rate=SAMPLE_RATE, watermark_key=key, payload=bytes.fromhex(PAYLOAD))
    source = write_audio(tmp_path / "a.flac", marked, subtype="PCM_24")
    problem = shell.json("stamp", source, "--home", stamped.home, code=USAGE)
    assert problem["mark_id"] == PAYLOAD
    assert "track_id" not in problem


def test_a_mark_of_a_foreign_key_cannot_be_seen_and_ours_is_added(
    shell: Shell, stamped: Stamped, tmp_path: Path, song: Audio
) -> None:
    foreign = watermark.embed(
        song, sample_rate=SAMPLE_RATE, watermark_key=OTHER_KEY, payload=bytes.fromhex(OTHER_PAYLOAD)
    )
    source = write_audio(tmp_path / "a.flac", foreign, subtype="PCM_24")
    answer = shell.json("stamp", source, "--home", stamped.home, "--no-margin")
    audio = Path(answer["folder"]) / answer["audio"]
    assert shell.json("verify", audio, "--home", stamped.home)["verdict"] == "exact"


def test_the_bare_mark_is_not_put_over_one_of_the_same_key_unasked(
    shell: Shell, tmp_path: Path, key_file: Path, song: Audio, nothing_else: list[Path]
) -> None:
    source = write_audio(tmp_path / "a.flac", song, subtype="PCM_24")
    marked, twice = tmp_path / "b.flac", tmp_path / "c.flac"
    options = ("--key", key_file, "--no-margin")
    shell.json("mark", "embed", source, marked, *options, "--payload", PAYLOAD, "--over-mark")
    for payload in (PAYLOAD, OTHER_PAYLOAD):
        # --force is about the destination alone.
        problem = shell.json(
            "mark", "embed", marked, twice, *options, "--payload", payload, "--force", code=USAGE
        )
        assert problem["type"].endswith("/already-marked")
        assert problem["mark_id"] == PAYLOAD
        assert not twice.exists()
    code, _ = shell("mark", "embed", marked, twice, *options, "--payload", OTHER_PAYLOAD, "--over-mark")
    assert code == GOOD
    assert shell.json("mark", "detect", twice, "--key", key_file)["payload"] in (PAYLOAD, OTHER_PAYLOAD, None)
    nothing_else += [source, marked, twice, key_file]


def test_the_bare_mark_of_another_key_is_not_seen(
    shell: Shell, tmp_path: Path, key_file: Path, song: Audio
) -> None:
    foreign = watermark.embed(
        song, sample_rate=SAMPLE_RATE, watermark_key=OTHER_KEY, payload=bytes.fromhex(OTHER_PAYLOAD)
    )
    source = write_audio(tmp_path / "a.flac", foreign, subtype="PCM_24")
    arguments = ("mark", "embed", source, tmp_path / "b.flac", "--key", key_file, "--payload", PAYLOAD)
    assert shell(*arguments, "--no-margin")[0] == GOOD
