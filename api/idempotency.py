"""Requests that must not be done twice: answers kept under the key that a client has chosen for its request.

    request_key    one row for each: its name, what was asked, and the answer once there is one

A client that does not know whether its request arrived sends it again with the same `Idempotency-Key`, and
gets the answer of the first one. A row is written before the work begins and filled when it has succeeded;
work that failed takes its row back. A process that dies in between leaves a row without an answer: such a
request is never done again, since nobody knows whether it was.

A key is stored as an HMAC, what was asked as one, too; the answer, which may hold an access code, is sealed
under a key that is made of the client's key and of the secret in keys/clients.key: the database alone opens
none.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel, col

from ledger.tables import BIG

from .errors import ConflictError, KeyReusedError
from .storedrows import StoredRows, insert_into

NONCE_BYTES = 12
HOUR_S = 3600


class RequestKeyRow(SQLModel, table=True):
    """A request with a key; `answer` is None while it is worked on, and where its process died."""

    __tablename__ = "request_key"

    name: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    created: int = Field(sa_column=Column(BIG, nullable=False, index=True))
    asked: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    answer: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


@dataclass(frozen=True)
class Answer:
    """What was answered: status, headers that are kept, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class RequestKeys(StoredRows):
    """Keys of requests and their answers; each method is one transaction.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database is missing, damaged, full, busy or read-only.
    """

    def __init__(
        self, url: str, secret: bytes, *, kept_hours: int, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(url)
        self._secret = secret
        self._kept_s = kept_hours * HOUR_S
        self._clock = clock

    def begin(self, caller: str, key: str) -> bool:
        """Take a key for a request that is to be done now; False where it was taken before."""
        now_s = int(self._clock())
        table = SQLModel.metadata.tables["request_key"]
        with self._session(write=True) as session:
            session.execute(
                sqlalchemy.delete(RequestKeyRow).where(col(RequestKeyRow.created) <= now_s - self._kept_s)
            )
            made = insert_into(table, self._database.engine)
            made = made.values(name=self._name(caller, key), created=now_s)
            found = session.execute(made.on_conflict_do_nothing())
            return bool(found.rowcount)  # type: ignore[attr-defined]

    def keep(self, caller: str, key: str, asked: bytes, answer: Answer) -> None:
        """Keep the answer of a request that was done; `asked` is the digest of all of it."""
        name = self._name(caller, key)
        document = {"status": answer.status, "headers": answer.headers, "body": answer.body.hex()}
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._cipher(caller, key).encrypt(nonce, json.dumps(document).encode("utf-8"), name)
        values = {"asked": self._digest(asked), "answer": nonce + sealed}
        with self._session(write=True) as session:
            same = col(RequestKeyRow.name) == name
            session.execute(sqlalchemy.update(RequestKeyRow).where(same).values(**values))

    def give_back(self, caller: str, key: str) -> None:
        """Free a key whose request was not done."""
        with self._session(write=True) as session:
            name, answer = col(RequestKeyRow.name), col(RequestKeyRow.answer)
            same = (name == self._name(caller, key)) & answer.is_(None)
            session.execute(sqlalchemy.delete(RequestKeyRow).where(same))

    def recall(self, caller: str, key: str, asked: bytes) -> Answer:
        """Return the answer that the same request got.

        Raises
        ------
        KeyReusedError
            The key was that of another request.
        ConflictError
            That request is still worked on, or its process has died.
        """
        name = self._name(caller, key)
        with self._session() as session:
            row = session.get(RequestKeyRow, name)
        if row is None or row.answer is None or row.asked is None:
            raise ConflictError(
                "a request with this Idempotency-Key is worked on, or was cut off: look whether it was done"
            )
        if not hmac.compare_digest(row.asked, self._digest(asked)):
            raise KeyReusedError("this Idempotency-Key was sent with another request: send a new one")
        nonce, sealed = row.answer[:NONCE_BYTES], row.answer[NONCE_BYTES:]
        document = json.loads(self._cipher(caller, key).decrypt(nonce, sealed, name))
        return Answer(document["status"], document["headers"], bytes.fromhex(document["body"]))

    def _name(self, caller: str, key: str) -> bytes:
        return hmac.digest(self._secret, f"request-key\n{caller}\n{key}".encode(), hashlib.sha256)

    def _digest(self, asked: bytes) -> bytes:
        return hmac.digest(self._secret, b"request\n" + asked, hashlib.sha256)

    def _cipher(self, caller: str, key: str) -> ChaCha20Poly1305:
        info = f"provenote/request-key/v1\n{caller}\n{key}".encode()
        return ChaCha20Poly1305(HKDF(SHA256(), 32, None, info).derive(self._secret))
