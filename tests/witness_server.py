"""A witness over real HTTP, written from c2sp.org/tlog-witness and apart from the code under test.

It shares only what the specification builds on: notes, checkpoints, and consistency proofs.
"""

from __future__ import annotations

import hashlib
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ledger import SigningKey, merkle
from ledger.checkpoint import parse_checkpoint
from ledger.cosignature import Cosigner, cosign
from ledger.errors import LedgerError, ProofError
from ledger.mldsa import MldsaSigningKey
from ledger.note import NoteVerifier, open_note

EMPTY = (0, merkle.EMPTY_ROOT)


@dataclass
class WitnessState:
    """What a witness remembers: the logs it trusts, and the largest tree that it cosigned of each."""

    name: str
    key: SigningKey | MldsaSigningKey
    logs: Mapping[str, NoteVerifier]
    clock: Callable[[], int] = lambda: int(time.time())
    seen: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def vkey(self) -> str:
        return Cosigner(self.name, self.key.public_key).vkey

    def add_checkpoint(self, body: bytes) -> tuple[int, bytes]:
        """Judge a request; return status and body."""
        with self.lock:
            self.requests += 1
            return self._judge(body)

    def _judge(self, body: bytes) -> tuple[int, bytes]:
        head, _, note = body.partition(b"\n\n")
        lines = head.decode().split("\n")
        if not lines[0].startswith("old ") or len(lines) > 64:
            return 400, b"no request"
        old, proof = int(lines[0][4:]), [b64decode(line) for line in lines[1:]]
        origin = note.decode().split("\n")[0]
        if origin not in self.logs:
            return 404, b"unknown origin"
        try:
            text = open_note(note, [self.logs[origin]]).text
        except LedgerError:  # also a line that cannot be read: no good signature is there
            return 403, b"invalid signature"
        checkpoint = parse_checkpoint(text)
        if old > checkpoint.size:
            return 400, b"old size beyond the checkpoint"
        size, root = self.seen.get(origin, EMPTY)
        if old != size:
            return 409, b"%d\n" % size
        if old == 0 and proof:
            return 422, b"consistency proof: expected none from size 0"
        try:
            if old:
                merkle.check_consistency(old, checkpoint.size, root, checkpoint.root, proof)
        except ProofError as error:
            return 422, f"consistency proof: {error}".encode()
        self.seen[origin] = (checkpoint.size, checkpoint.root)
        line = cosign(text, self.name, self.key, time_s=self.clock()).line().encode()
        self.notes[hashlib.sha256(origin.encode()).hexdigest()] = note + line
        return 200, line


@contextmanager
def served_witness(state: WitnessState) -> Iterator[str]:
    """Serve a witness on a free loopback port; give its prefix."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/w/add-checkpoint":
                self._answer(*state.add_checkpoint(body))
            else:
                self._answer(404, b"")

        def do_GET(self) -> None:
            parts = self.path.split("/")
            note = state.notes.get(parts[2]) if len(parts) == 4 and parts[3] == "checkpoint" else None
            self._answer(200 if note else 404, note or b"")

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "text/x.tlog.size" if status == 409 else "text/plain")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/w"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
