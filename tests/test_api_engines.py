"""Engines in the service: set up in a file, listed, played onto a tape alone, stated with their factors."""

import hashlib
import json
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import SAMPLE_RATE, Shell, make_music
from http_service import served
from scipy import signal

import ledger
from api.audiofile import PcmDigest
from api.cli_verify import print_report
from api.disclosing import disclose_track
from api.disclosure import format_json, list_assertions
from api.enginefile import ConfiguredEngine, read_engines
from api.engines import EngineRack, LoadedEngine, Request, load_engine
from api.errors import RefusedError, RegisteredError, SettingsError
from api.factors import DeclaredFactors, describe_factors, parse_factors, read_factors, state_factors
from api.installation import Installation, make_installation, open_installation
from api.issuing import issue
from api.metering import DECLARED, MEASURED, Meter
from api.release import name_asset
from api.resemblance import ResemblancePolicy
from api.settings import Settings, read_settings
from api.tape import Tape
from api.verification import verify
from generator import EngineError, EngineSetup, RequestError
from generator.engine import Reel

SONG_S = 14.0
RATE = 32_000

# Copies a file beside it to its output, whatever it is asked for.
JUKEBOX = """
import json, os, shutil, sys
order = json.loads(sys.stdin.readline())
if order["prompt"] == "stop halfway":
    sys.exit("the record is scratched")
shutil.copyfileobj(open(os.path.join(os.path.dirname(sys.argv[0]), "song.wav"), "rb"), sys.stdout.buffer)
"""


@pytest.fixture(scope="module")
def jukebox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that plays a recording of 14 s at 32 kHz."""
    folder = tmp_path_factory.mktemp("jukebox")
    audio = make_music(SONG_S, seed=31, sample_rate=RATE)
    soundfile.write(folder / "song.wav", audio.T, RATE, subtype="PCM_24")
    path = folder / "play"
    path.write_text(f"#!{sys.executable} -I\n{JUKEBOX}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def write_engines(settings: Settings, jukebox: Path, **more: object) -> None:
    members = {
        "kind": "command",
        "command": [str(jukebox)],
        "licence": "MIT",
        "training_corpus": "songs of the house",
        "training_classes": ["proprietary"],
        "royalty_class": "royalty-free",
        "watts": 20,
        **more,
    }
    (settings.home / "engines.json").write_text(json.dumps({"jukebox": members}))


@contextmanager
def opened(home: Path) -> Iterator[Installation]:
    with open_installation(read_settings(home, {})) as installation:
        yield installation


@pytest.fixture(scope="module")
def issued_home(jukebox: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A ledger with one track that the jukebox played; never changed."""
    home = tmp_path_factory.mktemp("engines") / "ledger"
    settings = read_settings(home, {})
    make_installation(settings, origin="test.example/log")
    write_engines(settings, jukebox)
    with opened(home) as installation:
        issued = issue(
            installation,
            EngineRack.of(settings).get("jukebox"),
            Request("our song", SONG_S, 1),
            factors=parse_factors(oversight="human_validated"),
        )
    return home, issued.track_id


def read_predicate(installation: Installation, track_id: str) -> Any:
    _, entry = installation.store.chain(name_asset(track_id))[0]
    return json.loads(ledger.open_envelope(entry, installation.public.issuers).payload)["predicate"]


def test_the_statement_has_engine_and_factors(issued_home: tuple[Path, str], jukebox: Path) -> None:
    home, track_id = issued_home
    with opened(home) as installation:
        predicate = read_predicate(installation, track_id)
    assert predicate["generation"]["engine"] == "jukebox"
    assert predicate["generation"]["weights"] == {"program": hashlib.sha256(jukebox.read_bytes()).hexdigest()}
    assert predicate["generation"]["training_corpus"] == "songs of the house"
    factors = predicate["factors"]
    assert set(factors) == {
        "version",
        "latency_ms",
        "compute",
        "training_data",
        "royalty_class",
        "human_oversight",
    }
    assert factors["version"] == 1
    compute = factors["compute"]
    assert 0 < compute["cpu_ms"] < 60_000
    assert (compute["cpu_of"], compute["device"]) == ("piece", "cpu")
    # What is declared for it is 20 W, so energy is 20 mJ for each millisecond, rounding aside.
    assert compute["energy"]["method"] == "declared-power"
    assert abs(compute["energy"]["millijoules"] - 20 * factors["latency_ms"]) <= 20
    assert factors["training_data"] == {"classes": ["proprietary"], "stated_by": "engine"}
    assert factors["royalty_class"] == "royalty-free"
    assert factors["human_oversight"] == "human_validated"


def test_factors_are_in_report_and_disclosure(
    issued_home: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    home, track_id = issued_home
    with opened(home) as installation:
        track = installation.registry.get_released(track_id)
        audio = installation.settings.tracks / track_id / track.audio_name
        report = verify(installation, audio)
        disclosure = disclose_track(installation, track_id)
        factors = read_predicate(installation, track_id)["factors"]
    assert report.predicate["track"]["factors"] == factors
    assert format_json(disclosure)["factors"] == factors
    assertions = {item["label"]: item["data"] for item in list_assertions(disclosure)}
    assert assertions["c2pa.ai-disclosure"]["contentProfile"] == {"humanOversightLevel": "human_validated"}
    print_report(report, audio.name)
    text = " ".join(capsys.readouterr().out.split())
    for word in ("made in", "proprietary", "royalty-free", "human_validated", "declared-power"):
        assert word in text


def test_an_engines_sample_rate_is_kept(issued_home: tuple[Path, str]) -> None:
    home, track_id = issued_home
    with opened(home) as installation:
        track = installation.registry.get_released(track_id)
        assert (track.sample_rate, track.samples) == (RATE, round(SONG_S * RATE))
        assert soundfile.info(installation.settings.tracks / track_id / track.audio_name).samplerate == RATE


def test_no_file_holds_what_the_engine_played(issued_home: tuple[Path, str], jukebox: Path) -> None:
    """Not as audio, and not as raw samples: the kept original is sealed."""
    home, _ = issued_home
    raw, _ = soundfile.read(jukebox.with_name("song.wav"), dtype="float32", always_2d=True)
    digest = PcmDigest()
    digest.push(raw.T)
    pieces = [raw[5_000:5_200].astype(kind).tobytes() for kind in ("<f4", "<f8")]
    pieces += [(raw[5_000:5_200] * 2**15).astype("<i2").tobytes()]
    for path in home.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        assert not any(piece in content for piece in pieces), path
        if path.suffix in (".flac", ".wav"):
            frames, _ = soundfile.read(path, dtype="float32", always_2d=True)
            found = PcmDigest()
            found.push(frames.T)
            assert found.hex() != digest.hex()
            assert np.abs(frames[: len(raw)] - raw).max() > 1e-4


def test_an_engine_plays_onto_tapes_alone(jukebox: Path) -> None:
    setup = EngineSetup("jukebox", "command", options={"command": [str(jukebox)]})
    engine = load_engine(ConfiguredEngine(setup))
    reel = Reel()
    with pytest.raises(TypeError, match="tapes alone, got Reel"):
        engine.perform(Request("", 5.0, 1), reel)  # type: ignore[arg-type]
    assert not reel.blocks
    assert not hasattr(engine, "generate")


def test_the_same_piece_is_refused_and_an_engine_that_breaks_leaves_nothing(
    issued_home: tuple[Path, str], tmp_path: Path
) -> None:
    home = tmp_path / "ledger"
    shutil.copytree(issued_home[0], home)
    with opened(home) as installation:
        engine = EngineRack.of(installation.settings).get("jukebox")
        with pytest.raises(RegisteredError) as caught:
            issue(installation, engine, Request("our song", SONG_S, 1))
        assert caught.value.track_id == issued_home[1]
        with pytest.raises(EngineError, match="the record is scratched"):
            issue(installation, engine, Request("stop halfway", SONG_S, 1))
        assert installation.store.state().size == 2
        assert list(installation.settings.incoming.iterdir()) == []


def test_what_an_engine_plays_is_held_against_the_catalogue(
    issued_home: tuple[Path, str], jukebox: Path, tmp_path: Path
) -> None:
    """The registered song again, 3 % faster and quieter: other samples, the same sound."""
    home = tmp_path / "ledger"
    shutil.copytree(issued_home[0], home)
    shutil.copytree(jukebox.parent, tmp_path / "jukebox")
    song, _ = soundfile.read(jukebox.parent / "song.wav", always_2d=True)
    faster = signal.resample(song, round(len(song) / 1.03))
    soundfile.write(tmp_path / "jukebox" / "song.wav", 0.7 * faster, RATE, subtype="PCM_24")
    write_engines(read_settings(home, {}), tmp_path / "jukebox" / jukebox.name)
    with opened(home) as installation:
        engine = EngineRack.of(installation.settings).get("jukebox")
        request = Request("our song", len(faster) / RATE, 2)
        with pytest.raises(RegisteredError, match="sounds like track") as caught:
            issue(installation, engine, request)
        assert caught.value.track_id == issued_home[1]
        issued = issue(installation, engine, request, resemblance=ResemblancePolicy.ALLOW)
        assert issued.nearest[0].track_id == issued_home[1]
        assert issued.nearest[0].speed == pytest.approx(1.03, abs=0.002)
        (relation,) = read_predicate(installation, issued.track_id)["relations"]
    assert (relation["relation"], relation["track_id"]) == ("conflicts-with", issued_home[1])


@pytest.fixture
def tape(tmp_path: Path) -> Iterator[Tape]:
    (tmp_path / "incoming").mkdir()
    with Tape(read_settings(tmp_path, {"PROVENOTE_MAX_SECONDS": "2"})) as tape:
        yield tape


def test_a_tape_gives_back_what_was_written_and_has_no_name(tape: Tape, tmp_path: Path) -> None:
    audio = np.random.default_rng(1).uniform(-1, 1, (2, 70_000)).astype(np.float32)
    for start in range(0, 70_000, 30_000):
        tape.write(audio[:, start : start + 30_000], sample_rate=SAMPLE_RATE)
    for _ in range(2):
        assert np.array_equal(np.concatenate(list(tape.blocks()), axis=1), audio)
    digest = PcmDigest()
    digest.push(audio)
    assert tape.pcm_sha256 == digest.hex()
    assert list((tmp_path / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("block", "sample_rate", "message"),
    [
        (np.zeros((2, 10), np.float64), SAMPLE_RATE, "float32"),
        (np.zeros(10, np.float32), SAMPLE_RATE, "float32"),
        (np.full((2, 10), np.nan, np.float32), SAMPLE_RATE, "not a finite number"),
        (np.zeros((1, 10), np.float32), SAMPLE_RATE, "2 channels at 44100 Hz as before, got 1 at 44100"),
        (np.zeros((2, 10), np.float32), 48_000, "got 2 at 48000"),
        (np.zeros((2, 90_000), np.float32), SAMPLE_RATE, "at most 2 s"),
    ],
)
def test_a_tape_refuses_what_is_no_audio(tape: Tape, block: Any, sample_rate: int, message: str) -> None:
    tape.write(np.zeros((2, 10), np.float32), sample_rate=SAMPLE_RATE)
    with pytest.raises(EngineError, match=message):
        tape.write(block, sample_rate=sample_rate)


@pytest.mark.parametrize(("shape", "rate"), [((9, 10), 44_100), ((0, 10), 44_100), ((2, 10), 4_000)])
def test_a_tape_refuses_forms_that_are_not_taken(tape: Tape, shape: tuple[int, int], rate: int) -> None:
    with pytest.raises(EngineError, match="expected"):
        tape.write(np.zeros(shape, np.float32), sample_rate=rate)


def test_energy_is_what_the_counters_say_also_where_they_start_again(tmp_path: Path) -> None:
    for number, energy in enumerate((1_000_000, 9_000_000)):
        package = tmp_path / f"intel-rapl:{number}"
        package.mkdir()
        (package / "max_energy_range_uj").write_text("10000000\n")
        (package / "energy_uj").write_text(f"{energy}\n")
    (tmp_path / "intel-rapl:0:0").mkdir()  # a part of package 0, counted there
    meter = Meter("cpu", powercap=tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("3000000\n")
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("500000\n")
    cost = meter.read()
    assert (cost.energy_j, cost.method) == (3.5, MEASURED)
    assert Meter("cpu", watts=10, powercap=tmp_path).read().method == DECLARED
    assert Meter("cuda", powercap=tmp_path).read().energy_j is None
    assert Meter("cpu", powercap=tmp_path / "none").read().energy_j is None
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert meter.read().energy_j is None


def test_nothing_unknown_is_stated() -> None:
    assert state_factors(DeclaredFactors()) == {}
    stated = state_factors(parse_factors(royalty_class="royalty-bearing", training_classes=["licensed"]))
    assert stated["factors"] == {
        "version": 1,
        "training_data": {"classes": ["licensed"], "stated_by": "issuer"},
        "royalty_class": "royalty-bearing",
    }
    assert read_factors({"factors": {"version": 2, "royalty_class": "royalty-free"}}) is None
    assert read_factors({}) is None
    assert describe_factors({}) == []
    for name, value in (("oversight", "some"), ("royalty_class", "cheap"), ("training_classes", ["mine"])):
        with pytest.raises(RefusedError, match="expected one of"):
            parse_factors(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "expected an object"),
        ('{"My Engine": {"kind": "command"}}', "expected a name"),
        ('{"a": {}}', "kind: expected a text"),
        ('{"a": {"kind": "embedded"}}', "the embedded engine is called embedded"),
        ('{"embedded": {"kind": "command"}}', "the embedded engine is called embedded"),
        ('{"a": {"kind": "command", "device": "tpu"}}', "device"),
        ('{"a": {"kind": "command", "royalty_class": "cheap"}}', "royalty_class"),
        ('{"a": {"kind": "command", "training_classes": ["mine"]}}', "training_classes"),
        ('{"a": {"kind": "command", "watts": 0}}', "watts"),
        ('{"a": {"kind": "command", "licence": ""}}', "licence"),
        (" " * 300_000, "at most"),
    ],
)
def test_a_file_of_engines_that_is_not_as_it_should_be_is_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "engines.json").write_text(content)
    with pytest.raises(SettingsError, match=message):
        read_engines(read_settings(tmp_path, {}))


def test_folders_are_relative_to_the_ledger_and_unknown_engines_are_refused(tmp_path: Path) -> None:
    (tmp_path / "engines.json").write_text('{"m": {"kind": "transformers", "folder": "models/m"}}')
    rack = EngineRack.of(read_settings(tmp_path, {}))
    assert rack.find("m").setup.folder == tmp_path / "models" / "m"
    assert {item.setup.name: bool(item.problem) for item in rack.list()}["m"]
    with pytest.raises(RequestError, match="out of embedded, m, got 'n'"):
        rack.get("n")


def test_one_engine_is_kept_beside_the_embedded_one(tmp_path: Path, jukebox: Path) -> None:
    members = {"kind": "command", "command": [str(jukebox)]}
    (tmp_path / "engines.json").write_text(json.dumps({"a": members, "b": members}))
    rack = EngineRack.of(read_settings(tmp_path, {}))
    first: LoadedEngine = rack.get("a")
    assert rack.get("a") is first
    rack.get("b")
    assert rack.get("a") is not first


def test_engines_are_listed_and_shown(
    issued_home: tuple[Path, str], jukebox: Path, shell: Shell, tmp_path: Path
) -> None:
    home = issued_home[0]
    listed = {item["name"]: item for item in shell.json("engines", "--home", home)["engines"]}
    assert list(listed) == ["embedded", "jukebox"]
    assert listed["jukebox"]["training_classes"] == ["proprietary"]
    assert listed["jukebox"]["problem"] is None
    shown = shell.json("engines", "jukebox", "--home", home)
    assert shown["weights"] == {"program": hashlib.sha256(jukebox.read_bytes()).hexdigest()}
    assert shown["watts"] == 20
    code, text = shell("engines", "--home", home)
    assert code == 0
    assert "jukebox" in text
    code, _ = shell("engines", "nothing", "--home", home)
    assert code == 2
    code, _ = shell("generate", "x", "--engine", "nothing", "--home", home)
    assert code == 2


def test_tracks_are_issued_with_an_engine_by_name_over_http(jukebox: Path, tmp_path: Path) -> None:
    settings = read_settings(tmp_path / "ledger", {})
    _, token = make_installation(settings, origin="test.example/log")
    write_engines(settings, jukebox)
    with served(settings.home) as client:
        client.headers["authorization"] = f"Bearer {token}"
        names = [item["name"] for item in client.get("/v1/engines").json()["engines"]]
        assert names == ["embedded", "jukebox"]
        assert str(jukebox) not in client.get("/v1/engines").text
        body = {"prompt": "our song", "seconds": SONG_S, "margin": "off", "royalty_class": "royalty-bearing"}
        refused = client.post("/v1/tracks", json={**body, "engine": "nothing"})
        assert (refused.status_code, refused.json()["type"].rsplit("/")[-1]) == (422, "request-refused")
        assert client.post("/v1/tracks", json={**body, "oversight": "none"}).status_code == 422
        job = client.post("/v1/tracks", json={**body, "engine": "jukebox"}).json()
        while job["state"] in ("queued", "running"):
            job = client.get(f"/v1/jobs/{job['job_id']}").json()
        assert job["state"] == "done", job
        predicate = client.get(f"/v1/tracks/{job['track_id']}/statement").json()["statement"]["predicate"]
    assert predicate["generation"]["engine"] == "jukebox"
    assert predicate["factors"]["royalty_class"] == "royalty-bearing"
    assert "human_oversight" not in predicate["factors"]
