"""The predicted margin: where it looks, what it counts, what it costs at most, and what is signed of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE_RATE, Shell, Stamped, make_music, write_audio
from test_api_http import authorised, served, wait_for
from test_api_issuing import register_audio

import api.margin
import ledger
import watermark
from api.errors import StoppedError, WeakMarkError
from api.installation import open_installation
from api.margin import (
    CODINGS,
    WINDOWS_S,
    Margin,
    MarginPolicy,
    MarginRow,
    document_margin,
    format_margin,
    is_sufficient,
    parse_margin,
    plan,
    predict,
)
from api.outcomes import USAGE
from api.settings import read_settings
from ledger.canonical import format_json

KEY, PAYLOAD = b"k" * 32, b"\x01\x02\x03\x04\x05\x06\x07\x08"
# One window of 5 s.
SECONDS = 6.0


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    audio = make_music(10.0, seed=21, channels=1)
    marked = watermark.embed(audio, sample_rate=SAMPLE_RATE, watermark_key=KEY, payload=PAYLOAD)
    return write_audio(tmp_path_factory.mktemp("margin") / "a.flac", marked, subtype="PCM_24")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough for one window of 5 s."""
    audio = make_music(5.1, seed=21, channels=1)
    marked = watermark.embed(audio, sample_rate=SAMPLE_RATE, watermark_key=KEY, payload=PAYLOAD)
    return write_audio(tmp_path_factory.mktemp("margin") / "b.flac", marked, subtype="PCM_24")


@pytest.mark.parametrize("seconds", [5.0, 7.3, 10.0, 19.9, 20.0, 30.0, 35.0, 61.0, 95.0, 200.0, 7200.0])
def test_windows_lie_inside_their_stretch_and_stretches_inside_the_recording(seconds: float) -> None:
    stretches = plan(seconds)
    assert stretches
    for stretch in stretches:
        assert 0 <= stretch.start_s <= stretch.start_s + stretch.length_s <= seconds
        assert len(set(stretch.windows)) == len(stretch.windows)
        for start, length in stretch.windows:
            assert length in WINDOWS_S
            assert 0 <= start <= start + length <= stretch.length_s


def test_the_work_does_not_grow_with_the_recording() -> None:
    for seconds in np.arange(5.0, 400.0, 0.7):
        stretches = plan(float(seconds))
        assert sum(stretch.length_s for stretch in stretches) <= 80
        assert sum(len(stretch.windows) for stretch in stretches) <= 14
    assert [len(s.windows) for s in plan(7200.0)] == [4, 3, 4, 3]
    starts = [stretch.start_s for stretch in plan(7200.0)]
    assert starts == pytest.approx([885.0, 2695.0, 4485.0, 6295.0])


def test_each_length_that_fits_is_tried() -> None:
    for seconds, lengths in [(4.9, set()), (5.0, {5}), (10.0, {5, 10}), (29.9, {5, 10}), (30.0, {5, 10, 30})]:
        assert {length for stretch in plan(seconds) for _, length in stretch.windows} == lengths


def test_a_marked_recording_is_read_and_what_is_lost_is_counted(marked: Path) -> None:
    margin = predict(marked, watermark_key=KEY, payload=PAYLOAD)
    assert [(row.coding, row.window_s, row.windows) for row in margin.rows] == [
        (coding, window_s, windows) for coding in CODINGS for window_s, windows in ((5, 2), (10, 1))
    ]
    counts = {(row.coding, row.window_s): row.read for row in margin.rows}
    assert counts["none", 10] == counts["mp3-128", 10] == 1
    for window_s in (5, 10):
        read = [counts[coding, window_s] for coding in CODINGS]
        assert read == sorted(read, reverse=True)
    assert margin.sufficient
    assert (margin.warning, margin.reasons) == ("", ())


@pytest.mark.parametrize(("key", "payload"), [(b"x" * 32, PAYLOAD), (KEY, b"\xff" * 8)])
def test_another_key_or_payload_is_not_counted_and_mp3_is_not_tried(
    short: Path, monkeypatch: pytest.MonkeyPatch, key: bytes, payload: bytes
) -> None:
    def never(*_: object, **__: object) -> object:
        raise AssertionError("a window that was not read as written is not encoded")

    monkeypatch.setattr(api.margin, "simulate_mp3", never)
    margin = predict(short, watermark_key=key, payload=payload)
    assert {row.read for row in margin.rows} == {0}
    assert not margin.sufficient
    assert margin.reasons == ("unexplained",)
    assert "5 s clips read: 0 of 1 as written, 0 of 1 after MP3 128" in margin.warning


def test_audio_too_short_for_any_window_is_called_that(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", make_music(4.0, seed=22, channels=1))
    margin = predict(path, watermark_key=KEY, payload=PAYLOAD)
    assert margin == Margin((), ("too-short",))
    assert "shorter than 5 s" in margin.warning


def test_a_prediction_can_be_stopped(short: Path) -> None:
    with pytest.raises(StoppedError):
        predict(short, watermark_key=KEY, payload=PAYLOAD, cancelled=lambda: True)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], False),
        ([("none", 5, 2, 2), ("mp3-128", 5, 2, 2)], True),
        ([("none", 5, 2, 2), ("mp3-128", 5, 2, 1)], False),
        ([("none", 5, 2, 0), ("mp3-128", 5, 2, 0), ("none", 30, 2, 2), ("mp3-128", 30, 2, 2)], True),
        ([("none", 5, 2, 2), ("mp3-128", 5, 2, 2), ("none", 30, 2, 2), ("mp3-128", 30, 2, 1)], False),
        ([("none", 10, 1, 1), ("mp3-128", 10, 1, 1), ("mp3-64", 10, 1, 0)], True),
    ],
)
def test_the_margin_is_sufficient_when_the_longest_windows_outlive_an_ordinary_mp3(
    rows: list[tuple[str, int, int, int]], expected: bool
) -> None:
    assert is_sufficient(MarginRow(*row) for row in rows) is expected


def test_what_is_signed_is_canonical_json_and_reads_back() -> None:
    margin = Margin((MarginRow("none", 5, 8, 7), MarginRow("mp3-128", 5, 8, 0)), ("sustained-tone",))
    stated = {"mark": {"profile": "pn1", "margin": format_margin(margin)}}
    assert parse_margin(json.loads(format_json(stated))) == margin
    document = document_margin(margin)
    assert document is not None
    assert document["sufficient"] is False
    assert "sustained tone" in document["warning"]
    assert document_margin(None) is None


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"mark": {"profile": "pn1", "watermark_key": "00"}},
        {"mark": "text"},
        {"mark": {"margin": []}},
        {"mark": {"margin": {"rows": [{}], "reasons": []}}},
        {"mark": {"margin": {"rows": [{"coding": "none", "window_s": "x", "windows": 1, "read": 1}]}}},
    ],
)
def test_statements_without_a_margin_state_none(predicate: dict[str, object]) -> None:
    assert parse_margin(predicate) is None


def test_stamping_signs_the_prediction_and_the_strength_and_says_it(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    song = write_audio(tmp_path / "song.wav", make_music(SECONDS, seed=23, channels=1))
    answer = shell.json("stamp", song, "--home", stamped.home, "--require-margin", "--strength", "strong")
    assert answer["margin"]["sufficient"] is True
    assert {row["coding"] for row in answer["margin"]["rows"]} == set(CODINGS)
    with open_installation(read_settings(stamped.home, {})) as installation:
        entry = installation.store.entry(answer["entry"])
        predicate = json.loads(ledger.open_envelope(entry, installation.public.issuers).payload)["predicate"]
    assert predicate["mark"]["margin"]["rows"] == answer["margin"]["rows"]
    assert parse_margin(predicate) is not None
    assert predicate["mark"]["strength_percent"] == 125
    bundle = Path(answer["folder"]) / "bundle.json"
    assert shell.json("bundle", "check", bundle)["ok"] is True


def test_without_a_prediction_the_statement_is_as_it_was(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    song = write_audio(tmp_path / "song.wav", make_music(SECONDS, seed=24, channels=1))
    answer = shell.json("stamp", song, "--home", stamped.home, "--no-margin")
    assert answer["margin"] is None
    with open_installation(read_settings(stamped.home, {})) as installation:
        entry = installation.store.entry(answer["entry"])
        predicate = json.loads(ledger.open_envelope(entry, installation.public.issuers).payload)["predicate"]
    assert set(predicate["mark"]) == {"profile", "watermark_key"}
    code, _ = shell("stamp", song, "--strength", "loud", "--home", stamped.home)
    assert code == USAGE
    code, _ = shell("stamp", song, "--home", stamped.home, "--no-margin", "--require-margin")
    assert code == USAGE


def test_too_little_margin_is_warned_about_and_refused_where_enough_is_required(
    stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_everything(audio: np.ndarray, *, sample_rate: int, kbit_s: int) -> tuple[np.ndarray, int]:
        return np.zeros_like(audio), sample_rate

    monkeypatch.setattr(api.margin, "simulate_mp3", lose_everything)
    song = make_music(SECONDS, seed=25, channels=1)
    with open_installation(read_settings(stamped.home, {})) as installation:
        size = installation.store.state().size
        with pytest.raises(WeakMarkError, match="0 of 1 after MP3 128") as caught:
            register_audio(installation, song, margin=MarginPolicy.REQUIRE)
        assert caught.value.reasons == ("unexplained",)
        assert installation.store.state().size == size
        assert installation.registry.list_pending() == []
        assert list(installation.settings.incoming.iterdir()) == []
        issued = register_audio(installation, song, margin=MarginPolicy.REPORT)
        assert issued.margin is not None
        assert "poor carrier" in issued.margin.warning


def test_the_service_answers_the_margin_with_the_job(stamped: Stamped, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "a.wav", make_music(SECONDS, seed=26, channels=1)).read_bytes()
    with served(stamped.home) as client:
        answer = client.post(
            "/v1/stamps?margin=report&strength=strong", content=song, headers=authorised(stamped)
        )
        job = wait_for(client, stamped, answer.raise_for_status().headers["location"])
        assert job["state"] == "done", job
        statement = client.get(f"/v1/tracks/{job['track_id']}/statement").raise_for_status().json()
        mark = statement["statement"]["predicate"]["mark"]
        assert job["margin"]["rows"] == mark["margin"]["rows"]
        assert mark["strength_percent"] == 125
        refused = client.post("/v1/stamps?margin=maybe", content=song, headers=authorised(stamped))
        assert refused.status_code == 422
        refused = client.post("/v1/stamps?strength=1.4", content=song, headers=authorised(stamped))
        assert refused.status_code == 422
