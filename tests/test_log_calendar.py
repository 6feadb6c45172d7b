"""OpenTimestamps behind the interface of time-stamps, over real HTTP: promised, completed, exported."""

import hashlib
import json
import logging
import time
from pathlib import Path

import pytest
from conftest import Shell, Stamped

from api.errors import LedgerFolderError
from api.installation import open_installation
from api.publishing import complete_once, publish_once, stamp_once, web_post
from api.settings import read_settings
from api.timestamping import read_authorities
from ledger import calendar
from ledger.attestation import OPENTIMESTAMPS
from ledger.errors import FormatError, TimestampError
from ledger.timestamp import hash_text

pytestmark = pytest.mark.package("opentimestamps")
DIGEST = hashlib.sha256(b"a checkpoint").digest()


def configure(stamped: Stamped, **urls: str) -> None:
    items = [{"name": name, "url": url, "kind": "opentimestamps"} for name, url in urls.items()]
    read_settings(stamped.home, {}).timestamp_authorities.write_text(json.dumps(items))


def test_a_checkpoint_is_promised_then_completed_and_read_by_the_library_itself(
    shell: Shell, stamped: Stamped, tmp_path: Path
) -> None:
    from calendar_server import Calendar, served_calendar
    from opentimestamps.core.serialize import BytesDeserializationContext
    from opentimestamps.core.timestamp import DetachedTimestampFile

    home, bitcoin = ("--home", stamped.home), Calendar()
    with served_calendar(bitcoin) as url:
        configure(stamped, here=url)
        answer = shell.json("log", "publish", *home)
        assert answer["time_stamps"] == [
            {"authority": "here", "time": None, "detail": "promised; complete once it is in a block"}
        ]
        assert answer["promises_kept"] == 0
        bitcoin.mine(820_000)
        assert shell.json("log", "publish", *home)["promises_kept"] == 1
        asked = bitcoin.asked
        assert shell.json("log", "publish", *home)["promises_kept"] == 0
        assert bitcoin.asked == asked, "a complete stamp is asked for again"
    made = shell.json("log", "export-stamps", tmp_path / "stamps", *home)
    (name,) = made["stamps"]
    text = (tmp_path / "stamps" / f"checkpoint-{answer['size']}.txt").read_bytes()
    content = (tmp_path / "stamps" / name).read_bytes()
    stamp = calendar.open_stamp(content, hashlib.sha256(text).digest())
    assert stamp.blocks == ((820_000, bitcoin.blocks[820_000]),)
    detached = DetachedTimestampFile.deserialize(BytesDeserializationContext(content))
    assert detached.file_digest == hash_text(text.decode())
    assert answer["checkpoint"].startswith(text.decode())


def test_dead_and_lying_calendars_are_said_and_delay_nothing(
    stamped: Stamped, caplog: pytest.LogCaptureFixture
) -> None:
    from calendar_server import Calendar, served_calendar

    class Liar(Calendar):
        def promise(self, digest: bytes) -> bytes:
            return digest + b"\x00" * 8

    good, liar = Calendar(), Liar()
    with served_calendar(good) as url, served_calendar(liar) as lies:
        configure(stamped, dead="http://127.0.0.1:9", lying=lies, good=url)
        with (
            open_installation(read_settings(stamped.home, {})) as installation,
            web_post() as post,
            caplog.at_level(logging.CRITICAL),
        ):
            started = time.monotonic()
            published = publish_once(installation, post)
            outcomes = stamp_once(installation, published)
            assert complete_once(installation) == 0
            assert time.monotonic() - started < 20
            kept = installation.attestations.list_of(published.checkpoint.size)
            good.answers[good.waiting[0]] = b"\x00" * 9
            assert complete_once(installation) == 0
    assert [(item.authority, item.detail.startswith("promised")) for item in outcomes] == [
        ("dead", False),
        ("lying", False),
        ("good", True),
    ]
    assert [item.source for item in kept if item.kind == OPENTIMESTAMPS] == ["good"]


def test_a_stamp_holds_for_its_own_digest_alone_and_every_changed_byte_shows() -> None:
    from calendar_server import Calendar

    bitcoin = Calendar(url="http://calendar.example")
    content = calendar.read_promise(bitcoin.promise(DIGEST), DIGEST)
    bitcoin.mine(7)
    whole = calendar.upgrade_stamp(content, DIGEST, bitcoin.answers.get)
    assert calendar.open_stamp(whole, DIGEST).blocks == ((7, bitcoin.blocks[7]),)
    with pytest.raises(FormatError):
        calendar.open_stamp(whole, hashlib.sha256(b"other").digest())
    promise = whole.index(bytes.fromhex("83dfe30d2ef90c8e")), whole.index(b"example") + len(b"example")
    for position in range(len(whole)):
        changed = whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
        try:
            found = calendar.open_stamp(changed, DIGEST)
        except FormatError:
            continue
        if found.blocks == ((7, bitcoin.blocks[7]),):  # then only the promise, now of no use, was changed
            assert promise[0] <= position < promise[1]
    for body in (b"", b"\x00", b"\xff" * 100, bitcoin.promise(DIGEST) + b"x", b"\xff" * 20_000):
        with pytest.raises(FormatError):
            calendar.read_promise(body, DIGEST)


def test_without_the_library_a_calendar_is_an_authority_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.calendar.importlib.util.find_spec", lambda _: None)
    with pytest.raises(TimestampError, match="extra `opentimestamps`"):
        calendar.read_promise(b"x", DIGEST)


@pytest.mark.parametrize(
    "item",
    [
        {"name": "x", "kind": "opentimestamps"},
        {"name": "x", "url": "ftp://x", "kind": "opentimestamps"},
        {"name": "X", "url": "http://x", "kind": "opentimestamps"},
        {"name": "x", "url": "http://x", "kind": "opentimestamps", "roots": "r.pem"},
        {"name": "x", "url": "http://x", "kind": "rumour"},
    ],
)
def test_a_calendar_is_configured_by_name_url_and_kind(stamped: Stamped, item: dict[str, str]) -> None:
    settings = read_settings(stamped.home, {})
    settings.timestamp_authorities.write_text(json.dumps([item]))
    with pytest.raises(LedgerFolderError):
        read_authorities(settings)
