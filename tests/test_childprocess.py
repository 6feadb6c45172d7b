"""Children that read untrusted files: started anew or forked from a warm server, they behave alike."""

import contextlib
import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api import childprocess
from api.childprocess import Child, keep_warm

SCRIPT = """
import json, os, sys, time
LOADED = os.getpid()

def main():
    with os.fdopen(int(sys.argv[1]), "rb") as note:
        orders = json.load(note)
    if "raise" in orders:
        raise ValueError("no")
    if "signal" in orders:
        os.kill(os.getpid(), orders["signal"])
    if "sleep" in orders:
        print(os.getpid(), flush=True)
        time.sleep(60)
    sys.stderr.write(orders.get("note", ""))
    sys.stderr.flush()
    opened = len(os.listdir("/proc/self/fd"))
    print(json.dumps([LOADED, os.getpid(), sorted(os.environ), sys.stdin.read(), opened]))

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that says what it sees."""
    path = tmp_path / "program.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


@pytest.fixture(params=[False, True], ids=["anew", "forked"])
def either(request: pytest.FixtureRequest, program: Path) -> Iterator[Path]:
    """The program, either way."""
    with keep_warm(program) if request.param else contextlib.nullcontext():
        yield program


@pytest.fixture
def upload(tmp_path: Path) -> Iterator[io.BufferedReader]:
    """An open file."""
    (tmp_path / "upload").write_bytes(b"sound")
    with (tmp_path / "upload").open("rb") as file:
        yield file


def listen(child: Child) -> list[object]:
    """Read what the program says, to its end."""
    said: list[object] = json.loads(child.output.read())
    return said


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for something that must come."""
    deadline_s = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Say whether no process of that number runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_child_reads_the_file_and_says_how_it_ended(either: Path, upload: io.BufferedReader) -> None:
    with Child(either, {"note": "heard"}, upload) as child:
        said = listen(child)
        assert said[3] == "sound"
        assert child.notes.read() == b"heard"
        assert child.wait(10) == 0
        assert child.wait(10) == 0


def test_no_secret_and_no_descriptor_of_ours_is_in_it(
    either: Path, upload: io.BufferedReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENOTE_API_TOKEN", "secret")
    kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(50)]
    with Child(either, {}, upload) as child, Child(either, {"sleep": True}, upload):
        said = listen(child)
    for descriptor in kept:
        os.close(descriptor)
    assert set(said[2]) <= {  # type: ignore[call-overload]
        "LC_CTYPE",
        "LD_LIBRARY_PATH",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "PYTHONIOENCODING",
    }
    assert int(str(said[4])) < 12


@pytest.mark.parametrize(
    ("orders", "status"),
    [({"raise": 1}, 1), ({"signal": signal.SIGKILL}, -9), ({"signal": signal.SIGSEGV}, -11)],
)
def test_a_child_that_breaks_says_by_what(
    either: Path, upload: io.BufferedReader, orders: dict[str, int], status: int
) -> None:
    with Child(either, orders, upload) as child:
        assert child.output.read() == b""
        assert child.wait(10) == status


def test_a_child_that_goes_on_too_long_is_killed_when_it_is_left(
    either: Path, upload: io.BufferedReader
) -> None:
    with Child(either, {"sleep": True}, upload) as child:
        pid = int(child.output.readline())
        with pytest.raises(TimeoutError):
            child.wait(0.01)
    wait_until(lambda: is_gone(pid))


def test_each_child_of_a_warm_server_is_a_process_of_its_own(
    program: Path, upload: io.BufferedReader
) -> None:
    with keep_warm(program):
        said = []
        for _ in range(3):
            with Child(program, {}, upload) as child:
                said.append(listen(child))
    assert len({each[0] for each in said}) == 1
    assert len({each[1] for each in said}) == 3


def test_after_a_crash_children_come_from_a_new_server(program: Path, upload: io.BufferedReader) -> None:
    with keep_warm(program):
        with Child(program, {}, upload) as child:
            before = listen(child)[0]
        with Child(program, {"sleep": True}, upload) as bystander:
            pid = int(bystander.output.readline())
            with Child(program, {"signal": signal.SIGSEGV}, upload) as child:
                assert child.wait(10) == -signal.SIGSEGV
            with Child(program, {}, upload) as child:
                assert listen(child)[0] != before
            assert not is_gone(pid)


def test_a_server_that_was_killed_is_replaced(program: Path, upload: io.BufferedReader) -> None:
    with keep_warm(program):
        with Child(program, {}, upload) as child:
            before = int(str(listen(child)[0]))
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: is_gone(before))
        with Child(program, {}, upload) as child:
            assert listen(child)[0] != before


def test_nothing_is_left_when_the_service_ends(program: Path, upload: io.BufferedReader) -> None:
    with keep_warm(program):
        with Child(program, {}, upload) as child:
            server = int(str(listen(child)[0]))
        with Child(program, {"signal": signal.SIGSEGV}, upload) as child:
            child.wait(10)
    assert is_gone(server)
    assert program not in childprocess._warm
