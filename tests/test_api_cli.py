"""The command line: exit codes, JSON, and what it says when something is wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import SAMPLE_RATE, Stamped, make_music, write_audio

import watermark
from api import cli
from api.cli import run
from api.cli_mark import read_watermark_key
from api.errors import RefusedError
from api.installation import make_installation, open_installation
from api.outcomes import BAD, CANCELLED, ENVIRONMENT, GOOD, USAGE
from api.settings import read_settings
from ledger.keyfile import save_secret

PAYLOAD = "0123456789abcdef"


class Shell:
    """Runs commands in this process and reads what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.errors = ""

    def __call__(self, *arguments: object) -> tuple[int, str]:
        code = run([str(item) for item in arguments])
        captured = self._capsys.readouterr()
        self.errors = captured.err
        return code, captured.out

    def json(self, *arguments: object, code: int = GOOD) -> Any:
        found, text = self(*arguments, "--json")
        assert found == code, (text, self.errors)
        return json.loads(text)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in [name for name in os.environ if name.startswith("PROVENOTE_")]:
        monkeypatch.delenv(name)
    return Shell(capsys)


def start(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "api", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_init_makes_a_ledger_whose_secrets_only_the_owner_reads(shell: Shell, tmp_path: Path) -> None:
    home = tmp_path / "ledger"
    made = shell.json("init", "--home", home, "--origin", "example.org/log")
    assert made["origin"] == "example.org/log"
    assert made["log_vkey"].startswith("example.org/log+")
    assert len(made["api_token"]) >= 32
    assert home.stat().st_mode & 0o077 == 0
    assert (home / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (home / "keys").iterdir()} == {0o600}
    assert (home / "ledger.db").stat().st_mode & 0o077 == 0
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert made["api_token"].encode() not in stored
    assert shell.json("log", "fsck", "--home", home) == {
        "ok": True,
        "size": 1,
        "first_broken": None,
        "findings": [],
    }


def test_init_refuses_a_folder_that_holds_something(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert shell("init", "--home", tmp_path)[0] == ENVIRONMENT
    assert "expected an empty or new folder" in shell.errors
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_verify_answers_by_exit_code_and_writes_the_signed_report(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    answer = shell.json("verify", stamped.audio, "--home", stamped.home, "--report", report)
    assert answer["verdict"] == "exact"
    assert json.loads(report.read_bytes()) == answer["envelope"]
    assert shell("verify", stamped.audio, "--home", stamped.home, "--report", report)[0] == USAGE
    assert "exists already" in shell.errors
    assert shell.json("verify", stamped.source, "--home", stamped.home, code=BAD)["good"] is False


def test_verify_prints_the_evidence_for_people(shell: Shell, stamped: Stamped) -> None:
    code, text = shell("verify", stamped.audio, "--home", stamped.home)
    assert code == GOOD
    for word in ("exact", stamped.track_id, "stamped #1", "issuer's clock", "(mark-found)"):
        assert word in text


def test_stamp_copies_the_release_where_it_is_asked_to(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    song = write_audio(tmp_path / "song.wav", make_music(12.0, seed=31))
    before = song.read_bytes()
    answer = shell.json(
        "stamp", song, "--home", stamped.home, "--output", tmp_path / "out", "--format", "wav"
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bundle.json", "track.wav"]
    assert answer["entry"] == 2
    assert song.read_bytes() == before
    assert shell("verify", tmp_path / "out" / "track.wav", "--home", stamped.home)[0] == GOOD
    assert shell.json("stamp", song, "--home", stamped.home, code=USAGE)["type"].endswith(
        "/already-registered"
    )


def test_log_commands_show_prove_and_check(shell: Shell, stamped: Stamped) -> None:
    home = ("--home", stamped.home)
    listed = shell.json("log", "show", *home)
    assert [entry["event"] for entry in listed["entries"]] == ["key-added", "stamped"]
    assert shell.json("log", "show", 1, *home)["envelope"]["payloadType"] == "application/vnd.in-toto+json"
    code, proof = shell("log", "prove", 1, *home)
    assert code == GOOD
    assert proof.startswith("c2sp.org/tlog-proof@v1\nindex 1\n")
    assert shell("log", "show", 7, *home)[0] == USAGE
    assert shell("log", "prove", 7, *home)[0] == USAGE


def test_fsck_names_the_broken_entry_and_fails(shell: Shell, stamped: Stamped) -> None:
    with open_installation(read_settings(stamped.home, {})) as installation:
        piece = installation.store.entry(1)[200:264]
    database = stamped.home / "ledger.db"
    content = bytearray(database.read_bytes())
    place = content.index(piece)
    content[place] = ord("A") if content[place] != ord("A") else ord("B")
    database.write_bytes(content)
    report = shell.json("log", "fsck", "--home", stamped.home, code=BAD)
    assert report["first_broken"] == 1
    code, text = shell("log", "fsck", "--home", stamped.home)
    assert code == BAD
    assert "entry 1:" in text
    assert shell("log", "prove", 1, "--home", stamped.home)[0] == BAD


def test_bundle_check_needs_no_ledger_and_fails_on_a_changed_byte(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    bundle = stamped.audio.with_name("bundle.json")
    assert shell.json("bundle", "check", bundle)["vkey_pinned"] is False
    vkey = json.loads((stamped.home / "public-keys.json").read_bytes())["log_vkey"]
    answer = shell.json("bundle", "check", bundle, "--vkey", vkey)
    assert answer["vkey_pinned"] is True
    assert answer["asset"] == f"track:{stamped.track_id}"
    other = vkey.replace("test.example", "best.example")
    assert shell.json("bundle", "check", bundle, "--vkey", other, code=BAD)["ok"] is False
    changed = bundle.read_text().replace(stamped.track_id, "a" * 16)
    (tmp_path / "changed.json").write_text(changed)
    assert shell("bundle", "check", tmp_path / "changed.json")[0] == BAD
    (tmp_path / "text.json").write_text("hello")
    assert shell("bundle", "check", tmp_path / "text.json")[0] == BAD


def test_new_keys_sign_and_embed_and_the_old_ones_go_on_verifying(shell: Shell, stamped: Stamped) -> None:
    home = ("--home", stamped.home)
    before = shell.json("keys", "list", *home)
    issuer = shell.json("keys", "new", "issuer", *home)
    mark = shell.json("keys", "new", "watermark", *home)
    after = shell.json("keys", "list", *home)
    assert [item["key_id"] for item in after["issuers"] if item["signs"]] == [issuer["key_id"]]
    assert [item["key_id"] for item in after["watermark"] if item["embeds"]] == [mark["key_id"]]
    assert {item["key_id"] for item in before["issuers"]} < {item["key_id"] for item in after["issuers"]}
    assert shell("verify", stamped.audio, *home)[0] == GOOD
    assert shell.json("log", "fsck", *home)["size"] == 3
    assert "watermark" in shell("keys", "list", *home)[1]


def test_the_bare_mark_is_embedded_and_detected(shell: Shell, tmp_path: Path) -> None:
    key, song = tmp_path / "mark.key", write_audio(tmp_path / "a.wav", make_music(6.0, seed=32))
    shell.json("keys", "new", "watermark", "--file", key)
    marked = tmp_path / "b.flac"
    written = shell.json("mark", "embed", song, marked, "--key", key, "--payload", PAYLOAD)
    assert written["samples"] == 6 * 44_100
    found = shell.json("mark", "detect", marked, "--key", key)
    assert set(found) == {"detected", "payload", "profile", "false_alarm_probability", "alignment"}
    assert (found["detected"], found["payload"]) == (True, PAYLOAD)
    assert found["false_alarm_probability"] < 1e-9
    assert set(found["alignment"]) == {"offset_s", "speed", "pitch_semitones"}
    known = shell.json("mark", "match", marked, "--key", key, "--payload", PAYLOAD)
    assert known["present"] is True
    assert known["false_alarm_probability"] < 1e-6
    assert set(known["alignment"]) == {"offset_s", "speed", "pitch_semitones"}
    other = shell.json("mark", "match", song, "--key", key, "--payload", PAYLOAD)
    assert other["present"] is False
    assert other["alignment"] is None
    nothing = shell.json("mark", "detect", song, "--key", key)
    assert (nothing["detected"], nothing["payload"], nothing["alignment"]) == (False, None, None)
    assert shell("mark", "embed", song, marked, "--key", key, "--payload", PAYLOAD)[0] == USAGE
    assert "--force replaces it" in shell.errors
    assert shell("mark", "embed", song, marked, "--key", key, "--payload", PAYLOAD, "--force")[0] == GOOD
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_mark_is_looked_for_in_every_profile_or_those_that_are_named(shell: Shell, tmp_path: Path) -> None:
    marked = watermark.embed(
        make_music(6.0, seed=36, channels=1),
        sample_rate=SAMPLE_RATE,
        watermark_key=b"k" * 32,
        payload=bytes.fromhex(PAYLOAD),
        profile=next(profile for profile in watermark.PROFILES if profile.name == "pn1"),
    )
    song, key = write_audio(tmp_path / "a.flac", marked, subtype="PCM_24"), tmp_path / "k.key"
    save_secret(key, b"k" * 32)
    found = shell.json("mark", "detect", song, "--key", key)
    assert (found["payload"], found["profile"]) == (PAYLOAD, "pn1")
    other = shell.json("mark", "detect", song, "--key", key, "--profile", "pn3")
    assert (other["detected"], other["profile"]) == (False, None)
    match = ("mark", "match", song, "--key", key, "--payload", PAYLOAD)
    assert shell.json(*match, "--profile", "pn1")["present"] is True
    assert shell.json(*match)["present"] is False
    assert shell("mark", "detect", song, "--key", key, "--profile", "pn9")[0] == USAGE
    assert "expected one of pn3, pn2, pn1" in " ".join(shell.errors.split())


@pytest.mark.parametrize("octets", [32, 64])
def test_a_bare_key_has_either_length_as_hex_or_raw(tmp_path: Path, octets: int) -> None:
    path, key = tmp_path / "mark.key", bytes(range(7, 7 + octets))
    for content in (key, key.hex().encode(), key.hex().encode() + b"\n"):
        path.write_bytes(content)
        path.chmod(0o600)
        assert read_watermark_key(path) == key
    path.write_bytes(bytes(48))
    with pytest.raises(RefusedError, match="got 48 other bytes"):
        read_watermark_key(path)


def test_a_bare_key_may_be_raw_bytes_and_a_readable_one_is_warned_about(shell: Shell, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "a.wav", make_music(1.0, seed=33))
    key = tmp_path / "raw.key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o644)
    assert shell.json("mark", "detect", song, "--key", key)["detected"] is False
    assert "can be read by others" in shell.errors
    key.write_text("too short")
    assert shell("mark", "detect", song, "--key", key)[0] == USAGE
    assert "expected 64 or 128 hex digits, or 32 or 64 raw bytes" in shell.errors
    assert "too short" not in shell.errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("mark", "embed", "{song}", "b.mp3", "--key", "{key}", "--payload", PAYLOAD),
        ("mark", "embed", "{song}", "b.wav", "--key", "{key}", "--payload", "123"),
        ("mark", "embed", "{song}", "b.wav", "--key", "{key}", "--payload", "g" * 16),
        ("mark", "detect", "missing.wav", "--key", "{key}"),
        ("mark", "detect", "{text}", "--key", "{key}"),
        ("verify",),
        ("stamp", "{song}", "--bits", "20"),
        ("stamp", "{song}", "--format", "mp3"),
        ("keys", "new", "issuer", "--file", "x.key"),
        ("generate", "waltz", "--set", "novalue"),
        ("generate", "waltz", "--midi", "{text}"),
        ("generate", "waltz", "--abc", "{text}", "--midi", "{text}"),
        ("nonsense",),
        ("verify", "{song}", "--nonsense"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_changes_nothing(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"song": tmp_path / "song.wav", "key": tmp_path / "k.key", "text": tmp_path / "text.wav"}
    write_audio(files["song"], make_music(1.0, seed=34))
    save_secret(files["key"], b"k" * 32)
    files["text"].write_text("not audio")
    before = sorted(tmp_path.iterdir())
    code, text = shell(*(item.format(**files) for item in arguments))
    assert code == USAGE
    assert shell.errors
    assert text == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "{song}"),
        ("stamp", "{song}"),
        ("generate", "waltz"),
        ("log", "show"),
        ("log", "fsck"),
        ("keys", "list"),
        ("serve",),
    ],
)
def test_without_a_ledger_every_command_says_so(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    song = write_audio(tmp_path / "song.wav", make_music(1.0, seed=35))
    assert shell(*(item.format(song=song) for item in arguments))[0] == ENVIRONMENT
    assert "provenote init" in shell.errors


def damage_database(home: Path) -> None:
    (home / "ledger.db").write_bytes(b"\xff" * 50_000)


def open_keys(home: Path) -> None:
    (home / "keys").chmod(0o755)


def open_one_key(home: Path) -> None:
    (home / "keys" / "log.pem").chmod(0o644)


def lose_a_key(home: Path) -> None:
    (home / "keys" / "report.pem").unlink()


def swap_the_log(home: Path) -> None:
    keys = home / "public-keys.json"
    keys.write_text(keys.read_text().replace("test.example", "best.example"))


def forget_the_format(home: Path) -> None:
    (home / "provenote.json").write_text('{"format": 99}')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_database, "damaged"),
        (open_keys, "expected mode 0700"),
        (open_one_key, "expected mode 0600"),
        (lose_a_key, "No such file"),
        (swap_the_log, "the database names"),
        (forget_the_format, "expected format 1"),
    ],
)
def test_a_damaged_installation_is_exit_code_3(
    shell: Shell, stamped: Stamped, damage: Any, words: str
) -> None:
    damage(stamped.home)
    problem = shell.json("verify", stamped.audio, "--home", stamped.home, code=ENVIRONMENT)
    assert words in problem["detail"]
    assert problem["exit_code"] == ENVIRONMENT


def test_a_settings_variable_out_of_range_is_exit_code_2(
    shell: Shell, stamped: Stamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVENOTE_MAX_SECONDS", "many")
    assert shell("verify", stamped.audio, "--home", stamped.home)[0] == USAGE
    assert "PROVENOTE_MAX_SECONDS" in shell.errors
    monkeypatch.setenv("PROVENOTE_MAX_SECONDS", "5")
    assert shell("verify", stamped.audio, "--home", stamped.home)[0] == USAGE
    assert "at most 5 s" in shell.errors


def test_a_port_in_use_is_exit_code_3(shell: Shell, stamped: Stamped) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert shell("serve", "--home", stamped.home, "--port", port)[0] == ENVIRONMENT
    assert "Address already in use" in shell.errors


def test_a_full_disk_is_exit_code_3_and_loses_nothing(stamped: Stamped, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "song.wav", make_music(12.0, seed=36))
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)); "
    program = f"{limit} sys.argv = ['provenote', *sys.argv[1:]]; from api.cli import main; main()"
    command = [sys.executable, "-c", program, "stamp", str(song), "--home", str(stamped.home), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == ENVIRONMENT, ended.stderr
    assert json.loads(ended.stdout)["type"].endswith("/storage-full")
    assert list((stamped.home / "incoming").iterdir()) == []
    assert start("log", "fsck", "--home", stamped.home).returncode == GOOD


def test_an_interrupted_command_says_so_and_leaves_nothing(stamped: Stamped, tmp_path: Path) -> None:
    song = write_audio(tmp_path / "song.wav", np.tile(make_music(6.0, seed=37, channels=1), 8))
    command = [sys.executable, "-m", "api", "stamp", str(song), "--home", str(stamped.home)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not [path for path in (stamped.home / "incoming").iterdir() if path.is_dir()]:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == CANCELLED, errors
    assert "cancelled" in errors
    assert list((stamped.home / "incoming").iterdir()) == []


def test_an_interrupt_amid_a_callback_of_the_sound_library_is_not_lost() -> None:
    before = signal.signal(signal.SIGALRM, cli._interrupt)

    def vio_read() -> None:
        cli._interrupt(signal.SIGTERM, sys._getframe())

    try:
        vio_read()
        with pytest.raises(KeyboardInterrupt):
            time.sleep(10)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_the_program_runs_as_a_module_and_describes_itself() -> None:
    answer = start("--help")
    assert answer.returncode == GOOD
    for command in ("init", "keys", "generate", "stamp", "verify", "serve", "log", "bundle", "mark", "demo"):
        assert command in answer.stdout


def read_address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rsplit(" ", 1)[1].strip()


def wait_until_served(address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{address}/health").raise_for_status()
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def test_a_killed_service_loses_no_job_and_a_stopped_one_exits_with_0(
    stamped: Stamped, tmp_path: Path
) -> None:
    song = write_audio(tmp_path / "song.wav", np.tile(make_music(6.0, seed=38, channels=1), 8))
    command = [sys.executable, "-m", "api", "serve", "--home", str(stamped.home), "--port", "0"]
    headers = {"authorization": f"Bearer {stamped.token}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        address = read_address(first)
        wait_until_served(address)
        answer = httpx.post(f"{address}/v1/stamps", content=song.read_bytes(), headers=headers)
        assert answer.status_code == 202
        while not [path for path in (stamped.home / "incoming").iterdir() if path.is_dir()]:
            time.sleep(0.01)
        first.kill()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
        address = read_address(second)
        wait_until_served(address)
        job = httpx.get(f"{address}{answer.headers['location']}", headers=headers).raise_for_status().json()
        second.send_signal(signal.SIGTERM)
        assert second.wait(timeout=60) == GOOD
    assert job["state"] in ("queued", "running", "done")
    # What was begun is gone; what the job is to work on waits for the next start.
    assert [path for path in (stamped.home / "incoming").iterdir() if path.is_dir()] == []
    assert start("log", "fsck", "--home", stamped.home).returncode == GOOD


def test_a_file_name_that_is_not_unicode_is_taken(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/song-\xff.flac"))
    path.write_bytes(stamped.audio.read_bytes())
    ended = start("verify", path, "--home", stamped.home)
    assert ended.returncode == GOOD, ended.stderr
    assert "exact" in ended.stdout


def test_a_failed_init_leaves_the_folder_empty(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.touch()  # a file where the folder of keys should be: refused for root, too
    monkeypatch.setenv("PROVENOTE_KEYS", str(keys))
    assert shell("init", "--home", tmp_path / "ledger")[0] == ENVIRONMENT
    assert list((tmp_path / "ledger").iterdir()) == []
    monkeypatch.delenv("PROVENOTE_KEYS")
    assert shell("init", "--home", tmp_path / "ledger")[0] == GOOD


WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Absent())
from api.cli import run
"""


def test_verifying_needs_no_torch(stamped: Stamped) -> None:
    program = (
        f"{WITHOUT_TORCH}sys.exit(run(['verify', {str(stamped.audio)!r}, '--home', {str(stamped.home)!r}]))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60).returncode == GOOD


def test_generating_without_torch_is_exit_code_3(stamped: Stamped) -> None:
    program = f"{WITHOUT_TORCH}sys.exit(run(['generate', 'waltz', '--home', {str(stamped.home)!r}]))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == ENVIRONMENT
    assert "provenote[generator]" in ended.stderr


def test_a_second_init_of_the_same_folder_changes_no_key(tmp_path: Path, shell: Shell) -> None:
    settings = read_settings(tmp_path / "ledger", {})
    make_installation(settings)
    before = {path.name: path.read_bytes() for path in settings.keys.iterdir()}
    assert shell("init", "--home", settings.home)[0] == ENVIRONMENT
    assert {path.name: path.read_bytes() for path in settings.keys.iterdir()} == before
