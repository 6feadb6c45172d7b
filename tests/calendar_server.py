"""An OpenTimestamps calendar over real HTTP, with a block chain of its own: what the public ones do, hours
faster.

`POST /digest` takes 32 bytes and answers with a promise; `GET /timestamp/COMMITMENT` is 404 until `mine` has
put the commitment into a block, and then the path to that block's Merkle root.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentimestamps.core.notary import BitcoinBlockHeaderAttestation, PendingAttestation
from opentimestamps.core.op import OpAppend, OpPrepend, OpSHA256
from opentimestamps.core.serialize import BytesSerializationContext
from opentimestamps.core.timestamp import Timestamp


@dataclass
class Calendar:
    """What a calendar has been given, and the Merkle roots (as explorers print them) of its blocks."""

    url: str = ""
    waiting: list[bytes] = field(default_factory=list)
    answers: dict[bytes, bytes] = field(default_factory=dict)
    blocks: dict[int, bytes] = field(default_factory=dict)
    asked: int = 0

    def promise(self, digest: bytes) -> bytes:
        timestamp = Timestamp(digest)
        commitment = timestamp.ops.add(OpAppend(b"calendar nonce")).ops.add(OpSHA256())
        commitment.attestations.add(PendingAttestation(self.url))
        self.waiting.append(commitment.msg)
        return serialize(timestamp)

    def mine(self, height: int) -> None:
        """Put what waits into a block: one transaction, beside another."""
        for commitment in self.waiting:
            timestamp = Timestamp(commitment)
            sibling = hashlib.sha256(b"another transaction").digest()
            root = timestamp.ops.add(OpPrepend(sibling)).ops.add(OpSHA256()).ops.add(OpSHA256())
            root.attestations.add(BitcoinBlockHeaderAttestation(height))
            self.answers[commitment] = serialize(timestamp)
            self.blocks[height] = root.msg[::-1]
        self.waiting.clear()


def serialize(timestamp: Timestamp) -> bytes:
    context = BytesSerializationContext()
    timestamp.serialize(context)
    return context.getbytes()


@contextmanager
def served_calendar(calendar: Calendar) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            known = self.path == "/digest" and len(body) == 32
            self.answer(200 if known else 400, calendar.promise(body) if known else b"")

        def do_GET(self) -> None:
            calendar.asked += 1
            found = calendar.answers.get(bytes.fromhex(self.path.removeprefix("/timestamp/")))
            self.answer(404 if found is None else 200, found or b"Pending confirmation in Bitcoin blockchain")

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/vnd.opentimestamps.v1")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    calendar.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield calendar.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
