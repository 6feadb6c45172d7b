"""Auditing a catalogue: what is counted, what is written and signed, and what is never fetched."""

import csv
import http.server
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SAMPLE_RATE, Shell, Stamped, write_audio

import api.screening
from api.auditing import AUDIT_LIMITS, choose_collection, make_kind
from api.auditpage import _share, draw_bars, format_audit_page
from api.collection import ItemError
from api.dataset import FILE, Item, format_path
from api.drawing import Box
from api.errors import RefusedError, StoppedError
from api.exports import COLUMNS, format_csv
from api.installation import open_installation
from api.manifest import AUDIT_TYPE, count_rows
from api.outcomes import BAD, USAGE
from api.screening import JOURNAL_NAME, survey
from api.screenwork import PASSING, describe_unreadable
from api.settings import read_settings
from api.storecollection import StoreCollection
from api.urlcollection import FORMAT, GuardedBackend, UrlCollection, UrlPolicy, is_public, read_url_policy

LOCAL = UrlPolicy(("localhost",), max_bytes=1000, timeout_s=20, plain_http=True, private=True)


def make_row(path: str, **members: Any) -> dict[str, Any]:
    plain = {"path": path, "bytes": 9, **describe_unreadable("not-audio"), "duplicate_of": None}
    return {**plain, **members}


ROWS = (
    make_row("=1+1.mp3", **{"class": "stamped"}, verdict="exact", machine_made="all", copies=["a", "b"]),
    make_row("<b>.mp3", **{"class": "unknown"}, verdict="nothing-found", milliseconds=60_000),
    make_row("readme.txt"),
    make_row(
        "c.mp3", **{"class": "stamped"}, verdict="metadata-forged", machine_made="all", contradicted=["title"]
    ),
)


def test_the_sums_are_of_what_could_be_read() -> None:
    sums = count_rows(ROWS, AUDIT_TYPE)
    assert sums["verdicts"] == {"exact": 1, "metadata-forged": 1, "nothing-found": 1}
    assert sums["machine_made"] == {"all": 2, "partly": 0, "none": 0, "undeclared": 0, "unknown": 1}
    assert sums["classes"]["unreadable"] == 1
    assert sums["milliseconds"] == 60_000


def test_csv_has_every_column_and_no_formula_of_a_stranger() -> None:
    rows = list(csv.reader(io.StringIO(format_csv({}, ROWS).decode("utf-8"))))
    assert rows[0] == list(COLUMNS)
    assert rows[1][0] == "'=1+1.mp3"
    assert dict(zip(rows[0], rows[1], strict=True))["copies"] == "a b"
    assert rows[3][rows[0].index("verdict")] == ""


def test_parquet_has_the_same_rows_with_their_types() -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    from api.exports import format_parquet

    table = pq.read_table(io.BytesIO(format_parquet({}, ROWS)))
    assert table.column_names == list(COLUMNS)
    assert table["copies"].to_pylist() == [["a", "b"], [], [], []]
    assert table["milliseconds"].to_pylist() == [None, 60_000, None, None]


def test_the_page_escapes_names_counts_and_puts_the_worst_first() -> None:
    facts = {"origin": "test.example/log", "time": "2026-11-28T12:00:00Z", "source": "<i>", "log_size": 2}
    facts |= {"catalogue": 1, "limits": list(AUDIT_LIMITS), **count_rows(ROWS, AUDIT_TYPE)}
    page = format_audit_page(facts, ROWS).decode("utf-8")
    assert "66.7 % made by a machine" in page
    assert "&lt;i&gt;" in page
    assert "<i>" not in page
    assert page.index("c.mp3") < page.index("readme.txt") < page.index("=1+1.mp3")
    assert "<b>.mp3" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_shares_never_say_none_or_all_unless_it_is_so() -> None:
    assert [_share(*pair) for pair in ((0, 9), (1, 10_000), (9_999, 10_000), (9, 9), (0, 0))] == [
        "0.0 %",
        "< 0.1 %",
        "99.9 %",
        "100.0 %",
        "-",
    ]
    drawing = draw_bars("t", [("a", 0, "intact"), ("b", 1, "intact")], 100_000)
    drawn = [mark for mark in drawing.marks if isinstance(mark, Box) and mark.role == "intact"]
    assert len(drawn) == 1
    assert drawn[0].width >= 1.5


def test_an_audit_of_a_folder_is_written_signed_and_checked(
    shell: Shell, stamped_once: Stamped, tmp_path: Path
) -> None:
    folder, output = tmp_path / "set", tmp_path / "out"
    folder.mkdir()
    shutil.copy(stamped_once.audio, folder / "ours.flac")
    noise = 0.1 * np.random.default_rng(1).standard_normal((1, SAMPLE_RATE // 2))
    write_audio(folder / "noise.wav", noise.astype(np.float32))
    (folder / "readme.txt").write_text("no sound")
    home = ("--home", stamped_once.home)
    found = shell.json(
        "audit", folder, "-o", output, "--workers", 1, "--format", "csv", "--format", "html", *home
    )
    assert found["verdicts"] == {"exact": 1, "nothing-found": 1}
    assert found["machine_made"]["undeclared"] == 1
    assert found["source"] == "set"
    names = {"audit.csv", "audit.html", "files.jsonl", "manifest.json"}
    assert {path.name for path in output.iterdir()} == names
    assert shell.json("check-manifest", output, "--dataset", folder, *home)["ok"]
    for name in sorted(names - {"manifest.json"}):
        content = (output / name).read_bytes()
        (output / name).write_bytes(content.replace(b"ours", b"nice"))
        assert not shell.json("check-manifest", output, *home, code=BAD)["ok"]
        (output / name).unlink()
        if name != "files.jsonl":
            assert "not there" in shell.json("check-manifest", output, *home, code=BAD)["fault"]
        (output / name).write_bytes(content)
    assert shell("audit", folder, "-o", output, *home)[0] == USAGE
    assert shell("audit", folder, "-o", tmp_path / "x", "--format", "xls", *home)[0] == USAGE


def test_far_files_are_read_once_and_asked_for_again_only_if_they_failed(
    stamped_once: Stamped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, output = tmp_path / "list.txt", tmp_path / "out"
    listing.write_text("".join(f"http://localhost/{name}\n" for name in "abcd"))
    asked: list[bytes] = []

    def work(function: Callable[..., Any], items: list[Item], cancelled: Callable[[], bool]) -> Any:
        for item in items:
            asked.append(item.path)
            if item.path.endswith(b"d") and len(asked) == 4:
                raise StoppedError("stopped")
            row = {**format_path(item.path), "bytes": 5, **describe_unreadable("fetch-failed")}
            if item.path.endswith(b"c"):
                yield item, {**row, PASSING: True}
            else:
                yield item, {**row, "sha256": "ab" * 32, "class": "unknown", "verdict": "nothing-found"}

    monkeypatch.setattr(api.screening.Crew, "run", lambda _, *arguments: work(*arguments))
    collection = UrlCollection(listing, LOCAL, output)
    with open_installation(read_settings(stamped_once.home, {})) as installation:
        with pytest.raises(StoppedError):
            survey(installation, collection, output, make_kind(["csv"]))
        assert (output / JOURNAL_NAME).exists()
        asked.clear()
        found = survey(installation, collection, output, make_kind(["csv"]))
    assert asked == [b"http://localhost/c", b"http://localhost/d"]
    rows = {row["path"][-1]: row for row in found.rows}
    assert rows["b"]["bytes"] == 5
    assert PASSING not in rows["c"]
    assert found.predicate["source"] == "list.txt"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as strangers' servers do."""

    def do_GET(self) -> None:
        name = self.path.strip("/")
        status = {"moved": 302, "gone": 404, "busy": 503}.get(name, 200)
        body = b"x" * {"big": 5000, "sound": 500}.get(name, 10)
        self.send_response(status)
        if name == "moved":
            self.send_header("location", "/sound")
        if name == "endless":
            self.send_header("content-length", "1000")  # more than comes
        elif name != "big":
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://localhost:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def fetch_one(server: str, name: str, tmp_path: Path, policy: UrlPolicy = LOCAL) -> bytes:
    with UrlCollection(tmp_path / "list", policy, tmp_path).hold(
        Item(f"{server}/{name}".encode(), FILE)
    ) as path:
        return path.read_bytes()


def test_a_file_of_an_allowed_host_is_fetched_and_not_kept(server: str, tmp_path: Path) -> None:
    assert fetch_one(server, "sound", tmp_path) == b"x" * 500
    assert list((tmp_path / "fetched").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "code", "passing"),
    [
        ("big", "too-large", False),
        ("moved", "redirected", False),
        ("gone", "not-found", False),
        ("busy", "fetch-failed", True),
        ("endless", "fetch-failed", True),
    ],
)
def test_what_cannot_be_had_is_named(
    server: str, tmp_path: Path, name: str, code: str, passing: bool
) -> None:
    with pytest.raises(ItemError) as caught:
        fetch_one(server, name, tmp_path)
    assert (caught.value.code, caught.value.passing) == (code, passing)
    assert list((tmp_path / "fetched").iterdir()) == []


def test_a_name_that_cannot_be_one_is_that_item_s_fault(tmp_path: Path) -> None:
    long = "a" * 64
    listing = tmp_path / "list"
    listing.write_text(f"https://{long}.media.example.org/a.flac\n", encoding="ascii")
    collection = UrlCollection(listing, UrlPolicy(("*.media.example.org",)), tmp_path)
    with pytest.raises(ItemError, match="not-an-address"), collection.hold(collection.list_items()[0]):
        pass


def test_a_name_that_leads_to_a_private_network_is_not_connected_to(server: str) -> None:
    with pytest.raises(ItemError, match="private-address"):
        GuardedBackend().connect_tcp("localhost", int(server.rsplit(":", 1)[1]))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::a00:1",
        "224.0.0.1",
        "ff02::1",
    ],
)
def test_private_addresses_are_told(address: str) -> None:
    assert not is_public(address)


def test_public_addresses_are_told() -> None:
    assert all(map(is_public, ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808")))


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://a.example.org/x", None),
        ("https://a.example.org:443/x", None),
        ("https://x.media.example.org/x", None),
        ("https://media.example.org/x", "refused-by-policy"),
        ("https://evil.org/a.example.org", "refused-by-policy"),
        ("https://a.example.org.evil.org/", "refused-by-policy"),
        ("http://a.example.org/x", "refused-by-policy"),
        ("ftp://a.example.org/x", "refused-by-policy"),
        ("file:///etc/passwd", "not-an-address"),
        ("https://a.example.org:8443/x", "refused-by-policy"),
        ("https://user@a.example.org/x", "not-an-address"),
        ("https://a.example.org:x/", "not-an-address"),
        ("https://[::1/x", "not-an-address"),
        ("nothing", "not-an-address"),
    ],
)
def test_a_policy_lets_only_its_hosts_through(url: str, code: str | None) -> None:
    policy = UrlPolicy(("a.example.org", "*.media.example.org"))
    if code is None:
        policy.check(url)
        return
    with pytest.raises(ItemError, match=code):
        policy.check(url)


def test_a_list_has_each_address_once_and_no_remarks(tmp_path: Path) -> None:
    listing = tmp_path / "list"
    listing.write_bytes(b"# mine\nhttps://b/1\n\n https://a/1 \nhttps://b/1\n\xff\n")
    items = UrlCollection(listing, LOCAL, tmp_path).list_items()
    assert [item.path for item in items] == [b"https://a/1", b"https://b/1", b"\xff"]
    with (
        pytest.raises(ItemError, match="not-an-address"),
        UrlCollection(listing, LOCAL, tmp_path).hold(items[2]),
    ):
        pass


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"format": FORMAT},
        {"format": FORMAT, "hosts": []},
        {"format": FORMAT, "hosts": ["*"]},
        {"format": FORMAT, "hosts": ["localhost"]},
        {"format": FORMAT, "hosts": ["A.example.org"]},
        {"format": FORMAT, "hosts": ["a.example.org"], "private": True},
        {"format": FORMAT, "hosts": ["a.example.org"], "max_bytes": 0},
        {"format": FORMAT, "hosts": ["a.example.org"], "timeout_s": "9"},
        {"format": FORMAT, "hosts": ["a.example.org"], "plain_http": 1},
        [],
    ],
)
def test_a_policy_for_addresses_is_strict(document: object, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(document))
    with pytest.raises(RefusedError):
        read_url_policy(path)
    path.write_text(json.dumps({"format": FORMAT, "hosts": ["a.example.org"], "timeout_s": 9}))
    assert read_url_policy(path) == UrlPolicy(("a.example.org",), timeout_s=9)


def test_a_source_is_a_folder_a_list_with_a_policy_or_a_store(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, {})
    listing = tmp_path / "list"
    listing.write_text("")
    for source, policy in ((listing, None), (tmp_path / "none", None), (tmp_path, listing)):
        with pytest.raises(RefusedError):
            choose_collection(str(source), tmp_path / "out", settings, policy)
    assert choose_collection(str(tmp_path), tmp_path / "out", settings, None).near
    assert not choose_collection("memory://x", tmp_path / "out", settings, None).near


def test_objects_of_a_store_are_listed_copied_and_watched(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    (tmp_path / "bucket" / "deep").mkdir(parents=True)
    (tmp_path / "bucket" / "deep" / "b.wav").write_bytes(b"12345")
    (tmp_path / "bucket" / "a.wav").write_bytes(b"1" * 2000)
    store = StoreCollection(f"file://{tmp_path}/bucket", tmp_path, max_bytes=1000)
    big, small = store.list_items()
    assert [big.path, small.path] == [b"a.wav", b"deep/b.wav"]
    with store.hold(small) as path:
        assert path.read_bytes() == b"12345"
    assert list((tmp_path / "fetched").iterdir()) == []
    with pytest.raises(ItemError, match="too-large"), store.hold(big):
        pass
    (tmp_path / "bucket" / "deep" / "b.wav").write_bytes(b"123456")
    with pytest.raises(ItemError, match="changed-meanwhile"), store.hold(small):
        pass
    (tmp_path / "bucket" / "deep" / "b.wav").unlink()
    with pytest.raises(ItemError, match="not-found"), store.hold(small):
        pass


@pytest.mark.parametrize("url", ["https://x.example/y", "simplecache::s3://b/k", "nosuch://x"])
def test_stores_that_are_none_are_refused(url: str, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(RefusedError):
        StoreCollection(url, tmp_path, 10).list_items()
