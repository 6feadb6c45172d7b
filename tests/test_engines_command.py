"""A program as an engine: what it is given, how it is bounded, and that nothing of it is left."""

import hashlib
import os
import stat
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generator import (
    Cancelled,
    EngineError,
    EngineSetup,
    Request,
    RequestError,
    Result,
    WeightsError,
    open_engine,
)
from generator.engine import collect_result

# Plays a tone whose pitch is its seed; writes the header as a program does that cannot seek back.
TONE = """
import json, math, struct, sys
order = json.loads(sys.stdin.readline())
assert sys.stdin.read() == ""
rate, count = 16_000, int(order["seconds"] * 16_000)
print("progress 0.5", file=sys.stderr, flush=True)
out = sys.stdout.buffer
out.write(b"RIFF\\xff\\xff\\xff\\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16))
out.write(b"data\\xff\\xff\\xff\\xff")
for n in range(count):
    out.write(struct.pack("<h", int(8_000 * math.sin(2 * math.pi * order["seed"] * n / rate))))
"""


@pytest.fixture
def program(tmp_path: Path) -> Any:
    """Write a Python program and give the setup that runs it."""

    def write(code: str, **options: object) -> EngineSetup:
        path = tmp_path / "engine"
        path.write_text(f"#!{sys.executable} -I\n{textwrap.dedent(code)}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return EngineSetup("house", "command", options={"command": [str(path)], **options})

    return write


def play(setup: EngineSetup, seconds: float = 1.0, **more: Any) -> Result:
    return collect_result(open_engine(setup), Request("a tone", seconds, 440), **more)


def test_it_gets_the_request_and_its_wav_is_played(program: Any) -> None:
    setup = program(TONE, version="2.0")
    seen: list[tuple[str, float]] = []
    result = play(setup, progress=lambda stage, fraction: seen.append((stage, fraction)))
    assert (result.sample_rate, result.audio.shape) == (16_000, (1, 16_000))
    expected = 8_000 / 32_768 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(result.audio[0] - expected).max() < 1e-4
    assert seen == [("render", 0.5)]
    digest = hashlib.sha256(Path(setup.options["command"][0]).read_bytes()).hexdigest()
    assert result.model.weights == {"program": digest}
    assert result.model.version == "2.0"
    assert result.cpu_s is not None
    assert 0.0 < result.cpu_s < 60.0


def test_it_sees_no_secret_and_works_in_an_empty_folder(
    program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENOTE_API_TOKEN", "x" * 40)
    code = "import os\nassert not [n for n in os.environ if n.startswith('PROVENOTE')]\n"
    code += "assert os.listdir('.') == []\n"
    assert play(program(code + TONE)).audio.shape == (1, 16_000)


def test_an_opening_and_parameters_reach_it_where_its_setup_says_so(program: Any) -> None:
    check = """
order = json.loads(sys.stdin.readline())
assert order["abc"] == "K:C" and order["parameters"] == {"mood": "calm"} and order["version"] == 1
order["seed"] = 100
"""
    code = TONE.replace('order = json.loads(sys.stdin.readline())\nassert sys.stdin.read() == ""\n', check)
    setup = program(code, abc=True, parameters={"mood": "how it feels"})
    engine = open_engine(setup)
    assert engine.describe().accepts == ("text", "abc")
    request = Request("a tone", 1.0, 440, abc="K:C", parameters={"mood": "calm"})
    assert collect_result(engine, request).audio.shape == (1, 16_000)
    plain = open_engine(program(TONE))
    with pytest.raises(RequestError, match="takes no opening"):
        collect_result(plain, Request("a tone", 1.0, 440, abc="K:C"))
    with pytest.raises(RequestError, match="out of none, got 'mood'"):
        collect_result(plain, Request("a tone", 1.0, 440, parameters={"mood": "calm"}))


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        ("import sys; sys.exit('no model here')", {}, "ended with status 1: no model here"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", {}, "ended with signal 11"),
        ("import time; time.sleep(60)", {"timeout_s": 0.3}, "took more than 0.3 s"),
        ("import os, time; os.close(1); os.close(2); time.sleep(60)", {"timeout_s": 0.5}, "took more than"),
        ("import os\nwhile True: os.write(1, bytes(65_536))", {"max_mb": 1}, "wrote more than 1 MiB"),
        ("import os\nwhile True: os.write(2, b'x' * 65_536)", {"timeout_s": 0.5}, "took more than"),
        ("bytearray(900 << 20)", {"memory_mb": 400}, "MemoryError"),
        ("print('no audio')", {}, "expected a WAV file"),
        ("pass", {}, "expected a WAV file"),
        (TONE, {"max_seconds": 1}, "1 to 1 seconds"),
        (TONE.replace('order["seconds"] *', "9 *"), {"max_seconds": 2}, "at most 2 s, got more"),
        (TONE.replace('int(order["seconds"] * 16_000)', "0"), {}, "holds no samples"),
    ],
)
def test_a_program_that_goes_too_far_or_fails_is_told(
    program: Any, code: str, options: dict[str, object], message: str
) -> None:
    seconds = 1.5 if "max_seconds" in options else 1.0
    with pytest.raises((EngineError, RequestError), match=message):
        play(program(code, **options), seconds)


def find_running(mark: str) -> list[int]:
    """Return the processes whose command line has a word."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                line = (path / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line:
                found.append(int(path.name))
    return found


@pytest.mark.parametrize("how", ["cancelled", "timeout", "done"])
def test_nothing_that_it_started_is_left(program: Any, tmp_path: Path, how: str) -> None:
    mark = f"mark-{os.getpid()}-{how}"
    child = f"""
import subprocess, sys
line = [sys.executable, "-c", "import time; time.sleep(60)", {mark!r}]
quiet = subprocess.DEVNULL
subprocess.Popen(line, stdin=quiet, stdout=quiet, stderr=quiet)
"""
    wait = "" if how == "done" else "import time; time.sleep(60)\n"
    setup = program(child + wait + TONE, timeout_s=1.5 if how == "timeout" else 60)
    if how == "done":
        play(setup)
    else:
        stop = threading.Event()
        threading.Timer(0.8, stop.set).start()
        kind = Cancelled if how == "cancelled" else EngineError
        with pytest.raises(kind):
            play(setup, cancelled=stop.is_set if how == "cancelled" else lambda: False)
    deadline = time.monotonic() + 10
    while find_running(mark):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_program_that_does_not_read_its_order_is_played(program: Any) -> None:
    code = TONE.replace(
        'order = json.loads(sys.stdin.readline())\nassert sys.stdin.read() == ""\n',
        'order = {"seconds": 1, "seed": 9}\nsys.stdin.close()\n',
    )
    request = Request("x" * 4_000, 1.0, 1)
    assert collect_result(open_engine(program(code)), request).audio.shape == (1, 16_000)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"command": []}, EngineError, "expected a list of texts"),
        ({"command": "run"}, EngineError, "expected a list of texts"),
        ({"command": ["/no/such/program"]}, WeightsError, "no program that can be run"),
        ({"command": ["sh"], "timeout": 5}, EngineError, "got 'timeout'"),
        ({"command": ["sh"], "timeout_s": "5"}, EngineError, "timeout_s: expected"),
        ({"command": ["sh"], "memory_mb": True}, EngineError, "memory_mb: expected"),
        ({"command": ["sh"], "parameters": ["mood"]}, EngineError, "parameters"),
        ({"command": ["sh"], "abc": "yes"}, EngineError, "abc"),
    ],
)
def test_a_setup_that_is_not_as_it_must_be_is_refused(
    options: dict[str, object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        open_engine(EngineSetup("house", "command", options=options))
