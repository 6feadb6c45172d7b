"""Fixtures that several files share: synthetic music, a ledger with one stamped recording, a command line."""

import dataclasses
import hashlib
import itertools
import json
import os
import secrets
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Before NumPy is loaded, and for every process that tests start: on a busy machine OpenBLAS' threads spin.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from benchmarks.postgres_cluster import Cluster, run_cluster

SAMPLE_RATE = 44_100
Audio = NDArray[np.float32]


def make_music(seconds: float, *, seed: int, sample_rate: int = SAMPLE_RATE, channels: int = 2) -> Audio:
    """Plucked chords over a soft noise floor: enough partials and motion to carry a mark; peak 0.5."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * sample_rate)
    audio = np.zeros((channels, samples))
    time = np.arange(round(1.5 * sample_rate)) / sample_rate
    for onset in range(0, samples, sample_rate // 4):
        pitch = 48 + int(rng.choice([0, 3, 5, 7, 10, 12, 15, 19, 24]))
        frequency = 440.0 * 2.0 ** ((pitch - 69) / 12)
        partials = np.arange(1, 24)
        partials = partials[partials * frequency < 0.45 * sample_rate]
        note = sum(
            np.exp(-time * (1.5 + 0.5 * k))
            * np.sin(2 * np.pi * frequency * k * time + rng.uniform(0, 6.28))
            / k
            for k in partials
        )
        stop = min(samples, onset + time.size)
        gains = rng.uniform(0.4, 1.0, size=(channels, 1))
        audio[:, onset:stop] += gains * np.asarray(note)[None, : stop - onset]
    audio += 0.01 * rng.standard_normal(audio.shape)
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


def make_free_music(seconds: float, *, seed: int) -> Audio:
    """Plucked notes of any pitch at any time: what shares no note with `make_music`, as two songs do not."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * SAMPLE_RATE)
    audio = np.zeros((2, samples))
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for onset in np.sort(rng.integers(0, samples, round(8 * seconds))):
        frequency = 90.0 * 2 ** rng.uniform(0, 3)
        note = sum(
            np.exp(-time * (2 + k)) * np.sin(2 * np.pi * frequency * k * time) / k for k in range(1, 12)
        )
        stop = min(samples, onset + time.size)
        audio[:, onset:stop] += rng.uniform(0.3, 1.0, (2, 1)) * np.asarray(note)[: stop - onset]
    audio += 0.01 * rng.standard_normal(audio.shape)
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


def write_audio(path: Path, audio: Audio, sample_rate: int = SAMPLE_RATE, **options: object) -> Path:
    """Write audio (channels, samples) by the file name's ending."""
    soundfile.write(path, audio.T, sample_rate, **options)
    return path


class SeededSecrets:
    """Takes the place of `secrets.token_bytes`, so that keys and marks are the same in every run.

    How much noise a mark stands, or where two copies begin, depends on the key: tests of that must not fail
    by luck. Each fixture and each test has a stream of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.restart("import")

    def restart(self, seed: str) -> None:
        """Begin the stream of `seed`."""
        with self._lock:
            self._seed, self._taken = seed, 0

    @contextmanager
    def aside(self, seed: str) -> Iterator[None]:
        """Draw from the stream of `seed` within the block."""
        before = self._seed, self._taken
        self.restart(seed)
        try:
            yield
        finally:
            self._seed, self._taken = before

    def __call__(self, nbytes: int | None = None) -> bytes:
        with self._lock:
            self._taken += 1
            text = f"{self._seed} {self._taken}".encode()
        return hashlib.shake_256(text).digest(32 if nbytes is None else nbytes)


seeded_secrets = SeededSecrets()
secrets.token_bytes = seeded_secrets


class SeededFixtures:
    """Gives each fixture the same secrets in every run, in whatever order tests come.

    A plugin of its own: hooks of this file are not called for fixtures of the whole session, which belong to
    the folder above `tests`.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[Any]:
        """Make the fixture with its own stream, then go on in the stream of whoever asked for it."""
        with seeded_secrets.aside(f"fixture {fixturedef.baseid} {fixturedef.argname}"):
            return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Seed the secrets of fixtures."""
    config.pluginmanager.register(SeededFixtures(), "seeded-fixtures")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[Any]:
    """Give each test the same secrets in every run."""
    seeded_secrets.restart(f"test {item.nodeid}")
    return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose system tool or outside package is missing; an error in CI, which installs them."""
    for marker in item.iter_markers("package"):
        (package,) = marker.args
        if find_spec(package) is None:
            if os.environ.get("CI"):
                pytest.fail(f"needs the package {package}, which `make setup` installs")
            pytest.skip(f"needs the package {package}")
    for marker in item.iter_markers("tool"):
        (tool,) = marker.args
        if shutil.which(tool) is None:
            if os.environ.get("CI"):
                pytest.fail(f"needs the system tool {tool}, which CI must install")
            pytest.skip(f"needs the system tool {tool}")


@pytest.fixture(scope="session", autouse=True)
def _warm_children() -> Iterator[None]:
    """Fork the children that read files from servers, as a service does: each costs milliseconds."""
    from api.childprocess import keep_warm
    from api.decoding import DECODER
    from api.labels import READER

    with keep_warm(DECODER, READER):
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of this test run."""
    with run_cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.tool("pg_createcluster"))])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Give URLs of new databases, in SQLite and in PostgreSQL."""
    numbers = itertools.count()

    def make() -> str:
        if request.param == "sqlite":
            return f"sqlite:///{tmp_path / f'ledger-{next(numbers)}.db'}"
        running: Cluster = request.getfixturevalue("cluster")
        return running.create(f"test_{uuid.uuid4().hex}")  # `secrets` gives each test the same

    return make


@dataclass(frozen=True)
class Stamped:
    """A ledger folder with one stamped recording of 20 s: its source, the released file, the API token."""

    home: Path
    source: Path
    audio: Path
    track_id: str
    entry_index: int
    token: str


@pytest.fixture(scope="session")
def stamped_once(tmp_path_factory: pytest.TempPathFactory) -> Stamped:
    """Make the ledger that `stamped` copies; never change this one."""
    from api.installation import make_installation, open_installation
    from api.issuing import stamp
    from api.settings import read_settings

    folder = tmp_path_factory.mktemp("stamped")
    source = write_audio(folder / "song.flac", make_music(20.0, seed=1), subtype="PCM_24")
    settings = read_settings(folder / "ledger", {})
    _, token = make_installation(settings, origin="test.example/log")
    with open_installation(settings) as installation:
        issued = stamp(installation, source)
    return Stamped(settings.home, source, issued.audio, issued.track_id, issued.entry_index, token)


@pytest.fixture
def stamped(stamped_once: Stamped, tmp_path: Path) -> Stamped:
    """A copy of the ledger with one stamped recording, to read and to damage."""
    home = tmp_path / "ledger"
    shutil.copytree(stamped_once.home, home)
    audio = home / stamped_once.audio.relative_to(stamped_once.home)
    return dataclasses.replace(stamped_once, home=home, audio=audio)


@pytest.fixture(scope="session")
def music() -> Callable[..., Audio]:
    """Give `make_music` to tests."""
    return make_music


class Shell:
    """Runs commands in this process and reads what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.errors = ""

    def __call__(self, *arguments: object) -> tuple[int, str]:
        from api.cli import run

        code = run([str(item) for item in arguments])
        captured = self._capsys.readouterr()
        self.errors = captured.err
        return code, captured.out

    def json(self, *arguments: object, code: int = 0) -> Any:
        """Run a command with --json, check its exit code, and return the object it printed."""
        found, text = self(*arguments, "--json")
        assert found == code, (text, self.errors)
        return json.loads(text)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Give a command line without settings in its environment."""
    for name in [name for name in os.environ if name.startswith("PROVENOTE_")]:
        monkeypatch.delenv(name)
    return Shell(capsys)
