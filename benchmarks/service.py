"""A service to measure or to attack: a new ledger with one stamped recording, on a loopback port."""

import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import soundfile

from api.http.server import bind, build_server, hold_serving_lock
from api.installation import make_installation, open_installation
from api.issuing import stamp
from api.margin import MarginPolicy
from api.settings import read_settings

STRANGERS = {"PROVENOTE_PUBLIC_DAILY": "1000000", "PROVENOTE_PUBLIC_MINUTE": "1000000"}
RATE_HZ = 44_100
START_S = 300.0


@dataclass(frozen=True)
class Served:
    """A running service: its address, its operator's token, its one track."""

    address: str
    token: str
    track_id: str


def make_song(seconds: float, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return plucked notes by formula, float32 (samples, 2): enough to carry a mark."""
    rng = np.random.default_rng(seed)
    song = 0.01 * rng.standard_normal((round(seconds * RATE_HZ), 2))
    time_s = np.arange(RATE_HZ) / RATE_HZ
    for onset in rng.integers(0, len(song) - RATE_HZ, round(8 * seconds)):
        partials = 90.0 * 2 ** rng.uniform(0, 3) * np.arange(1, 12)[:, None]
        note = (np.exp(-3 * time_s) * np.sin(2 * np.pi * partials * time_s) / partials).sum(axis=0)
        song[onset : onset + RATE_HZ] += 90 * rng.uniform(0.3, 1.0, 2) * note[:, None]
    return np.asarray(0.5 * song / np.abs(song).max(), np.float32)


@dataclass(frozen=True)
class Made:
    """A ledger with one stamped recording: its folder, its operator's token, its track and released file."""

    home: Path
    token: str
    track_id: str
    audio: Path


def make_ledger(folder: Path, environment: Mapping[str, str], *, seconds: float = 12.0) -> Made:
    """Make a ledger below a folder and stamp a recording."""
    settings = read_settings(folder / "ledger", environment)
    _, token = make_installation(settings)
    source = folder / "song.flac"
    soundfile.write(source, make_song(seconds, seed=1), RATE_HZ, subtype="PCM_24")
    with open_installation(settings) as installation:
        issued = stamp(installation, source, margin=MarginPolicy.OFF)
    return Made(settings.home, token, issued.track_id, issued.audio)


@contextlib.contextmanager
def serve_ledger(folder: Path, environment: Mapping[str, str]) -> Iterator[Served]:
    """Make a ledger with a track, and serve it in this process until the block ends."""
    made = make_ledger(folder, environment)
    settings = read_settings(made.home, {**STRANGERS, **environment})
    settings = dataclasses.replace(settings, queued_jobs=1 << 20)
    with hold_serving_lock(settings), bind("127.0.0.1", 0) as sock:
        server = build_server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            begun_s = time.monotonic()
            while not server.started:
                if not thread.is_alive() or time.monotonic() - begun_s > START_S:
                    raise RuntimeError("the service did not start")
                time.sleep(0.01)
            address = f"http://127.0.0.1:{sock.getsockname()[1]}"
            yield Served(address, made.token, made.track_id)
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def serve_apart(home: Path) -> Iterator[tuple[str, int]]:
    """Run `provenote serve` and give its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "api", "serve", "--port", str(port), "--home", str(home)]
    process = subprocess.Popen(
        command, env={**os.environ, **STRANGERS}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address, begun_s = f"http://127.0.0.1:{port}", time.monotonic()
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{address}/health").status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() - begun_s > START_S:
                raise RuntimeError("the service did not start")
            time.sleep(0.1)
        yield address, process.pid
        if process.poll() is not None:
            raise RuntimeError(f"the service died with {process.returncode}")
    finally:
        process.terminate()
        process.wait()
