"""Tiles over HTTP and on the command line: the same log, readable without this program's database."""

import shutil
from pathlib import Path

import httpx
import pytest
from conftest import Shell, Stamped
from test_api_http import check_problem, served

from api.errors import RefusedError, SourceError
from api.installation import open_installation
from api.keyring import read_public_keys
from api.outcomes import BAD, ENVIRONMENT, USAGE
from api.settings import read_settings
from api.tilefetch import open_source, web_fetch
from ledger.errors import NotFoundError
from ledger.tilereader import check_tiles, open_tile_log, prove_entry


def test_a_stranger_reads_and_checks_the_log_over_http(stamped: Stamped) -> None:
    public = read_public_keys(read_settings(stamped.home, {}))
    with served(stamped.home) as client:
        with web_fetch(f"{client.base_url}/log/") as fetch:
            log = open_tile_log(fetch, public.origin, public.vkey)
            check_tiles(log)
            entry, _ = prove_entry(log, stamped.entry_index)
        answer = client.get("/log/checkpoint")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        for path in ("tile/0/000.p/2", "tile/0/000.p/1", "tile/entries/000.p/2"):
            answer = client.get(f"/log/{path}")
            assert answer.headers["content-type"] == "application/octet-stream"
            assert "immutable" in answer.headers["cache-control"]
        assert answer.content == client.get(f"/log/{path}", headers={"accept-encoding": "identity"}).content
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "accept-encoding"
    with open_installation(read_settings(stamped.home, {})) as installation:
        assert entry == installation.store.entry(stamped.entry_index)


def test_tiles_that_are_not_there_yet_are_not_found(stamped: Stamped) -> None:
    paths = ("0/000", "0/000.p/9", "1/000.p/1", "0/001.p/1", "entries/000.p/9", "0/0", "x", "entries/0")
    with served(stamped.home) as client:
        for path in paths:
            answer = client.get(f"/log/tile/{path}")
            check_problem(answer, 404, "not-found")
            assert "cache-control" not in answer.headers


def test_export_and_check_on_the_command_line(shell: Shell, stamped: Stamped, tmp_path: Path) -> None:
    public = read_public_keys(read_settings(stamped.home, {}))
    folder = tmp_path / "public"
    made = shell.json("log", "export-tiles", folder, "--home", stamped.home)
    assert (made["size"], made["tiles_written"]) == (2, 2)
    kept = tmp_path / "kept"
    shutil.copy(folder / "checkpoint", kept)
    answer = shell.json("log", "check-tiles", folder, "--vkey", public.vkey, "--known", kept)
    assert (answer["ok"], answer["size"], answer["origin"]) == (True, 2, public.origin)
    assert (answer["assets"], answer["anchors"]) == (2, 0)
    assert "assets" not in shell.json("log", "check-tiles", folder, "--vkey", public.vkey, "--tree-only")
    shell.json("log", "publish", "--home", stamped.home)
    shell.json("log", "export-tiles", tmp_path / "later", "--home", stamped.home)
    later = ("log", "check-tiles", tmp_path / "later", "--vkey", public.vkey, "--known", kept)
    assert shell.json(*later)["anchors"] == 1
    assert "1 anchored maps" in shell(*later)[1]
    bundle = folder / "tile/entries/000.p/2"
    bundle.write_bytes(bundle.read_bytes().replace(b"sig", b"Sig", 1))
    answer = shell.json("log", "check-tiles", folder, "--vkey", public.vkey, code=BAD)
    assert "entry 0" in answer["message"]
    other = public.vkey.replace("test.example", "tost.example")
    assert shell("log", "check-tiles", folder, "--vkey", other)[0] == USAGE
    assert shell("log", "check-tiles", tmp_path / "nowhere", "--vkey", public.vkey)[0] == USAGE
    assert shell("log", "check-tiles", "http://127.0.0.1:9/", "--vkey", public.vkey)[0] == ENVIRONMENT


def test_a_server_s_answers_are_bounded_and_judged() -> None:
    with pytest.raises(RefusedError), open_source("gopher://example.org/"):
        pass
    answers = {
        "/log/checkpoint": httpx.Response(200, content=b"x" * 1_000_001),
        "/log/tile/0/000": httpx.Response(500),
        "/log/tile/0/001": httpx.Response(404),
    }
    transport = httpx.MockTransport(lambda request: answers[request.url.path])
    with web_fetch("http://log.example/log", transport=transport) as fetch:
        with pytest.raises(SourceError, match="at most"):
            fetch("checkpoint")
        with pytest.raises(SourceError, match="500"):
            fetch("tile/0/000")
        with pytest.raises(NotFoundError):
            fetch("tile/0/001")
