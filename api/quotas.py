"""How often somebody may ask, counted in the database, so that the bounds hold over all workers of a service.

    access_salt    one row for each day: 16 random bytes, deleted two days later
    access_count   how often a subject asked in a stretch of time; deleted two days later

A subject is an address, a key, or a version of a track. It is stored as an HMAC under a key made of the
secret in keys/clients.key and the day's salt: the database alone gives no address, and when the salt is
deleted nobody, not even who has the secret, can tell whose a row was. One statement both counts and compares,
so two workers cannot both take the last place.
"""

import contextlib
import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Column, Integer, LargeBinary
from sqlmodel import Field, Session, SQLModel, col

from ledger.database import open_database
from ledger.tables import BIG

from .errors import QuotaError
from .secretfile import open_secret
from .settings import Settings
from .storedrows import insert_into

KEY_NAME = "clients.key"
SALT_BYTES, SUBJECT_BYTES = 16, 16
MINUTE_S, DAY_S = 60, 86_400
KEPT_DAYS = 2
IPV6_PREFIX = 64
"""Bits of an IPv6 address that name a client: a household has all addresses below them."""


class SaltRow(SQLModel, table=True):
    """The salt of a day, by its first second (Unix time)."""

    __tablename__ = "access_salt"

    start: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class CountRow(SQLModel, table=True):
    """How often a subject asked in the `window` seconds from `start` on."""

    __tablename__ = "access_count"

    subject: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    window: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    start: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False, index=True))
    count: int = Field(sa_column=Column(Integer, nullable=False))


@dataclass(frozen=True)
class Bound:
    """At most `most` times in each `window_s` seconds; `what` says so in an answer."""

    most: int
    window_s: int
    what: str


class Quotas:
    """Counts in the database; each method is one transaction.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database is missing, damaged, full, busy or read-only.
    """

    def __init__(self, url: str, secret: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._database = open_database(url)
        self._secret = secret
        self._clock = clock
        self._keys: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give up the connections."""
        self._database.close()

    def take(self, subject: str, bounds: Sequence[Bound]) -> None:
        """Count one question under every bound, or under none.

        Raises
        ------
        QuotaError
            A bound is reached; it says when the next question is taken.
        """
        now_s = int(self._clock())
        name = self._name(subject, now_s)
        with self._write() as session:
            for bound in bounds:
                start = now_s - now_s % bound.window_s
                if not self._count(session, name, bound, start):
                    session.rollback()
                    raise QuotaError(f"{bound.what}: no more of them now", start + bound.window_s - now_s)
            session.commit()

    def take_version(self, group: str, version: str, bound: Bound) -> None:
        """Count a version of a group once, however often it is asked about; QuotaError as `take`."""
        now_s = int(self._clock())
        start = now_s - now_s % bound.window_s
        member = self._name(f"{group}\n{version}", now_s)
        with self._write() as session:
            once = Bound(1, bound.window_s, bound.what)
            if not self._count(session, member, once, start):
                return  # asked about before: the same question again gives nothing new away
            if not self._count(session, self._name(group, now_s), bound, start):
                session.rollback()
                raise QuotaError(f"{bound.what}: no more of them now", start + bound.window_s - now_s)
            session.commit()

    @contextlib.contextmanager
    def _write(self) -> Iterator[Session]:
        engine = self._database.engine.execution_options(sqlite_begin="IMMEDIATE")
        with self._database.translate_errors(), Session(engine) as session:
            yield session

    def _count(self, session: Session, subject: bytes, bound: Bound, start: int) -> bool:
        """Add one and say whether that stayed within the bound, in one statement."""
        table = SQLModel.metadata.tables["access_count"]
        values = {"subject": subject, "window": bound.window_s, "start": start, "count": 1}
        insert = insert_into(table, self._database.engine).values(values)
        statement = insert.on_conflict_do_update(
            index_elements=["subject", "window", "start"],
            set_={"count": table.c.count + 1},
            where=table.c.count < bound.most,
        ).returning(table.c.count)
        return session.execute(statement).first() is not None

    def _name(self, subject: str, now_s: int) -> bytes:
        start = now_s - now_s % DAY_S
        with self._lock:
            key = self._keys.get(start)
            if key is None:
                key = self._derive(self._read_salt(start))
                self._keys = {start: key}
        return hmac.digest(key, subject.encode("utf-8", "surrogateescape"), hashlib.sha256)[:SUBJECT_BYTES]

    def _derive(self, salt: bytes) -> bytes:
        return HKDF(SHA256(), 32, salt, b"provenote/clients/v1").derive(self._secret)

    def _read_salt(self, start: int) -> bytes:
        """Return the salt of a day, made by whichever worker is first; forget what is two days old."""
        oldest = start - KEPT_DAYS * DAY_S
        salts = SQLModel.metadata.tables["access_salt"]
        with self._write() as session:
            made = insert_into(salts, self._database.engine).values(
                start=start, salt=secrets.token_bytes(SALT_BYTES)
            )
            session.execute(made.on_conflict_do_nothing())
            session.execute(sqlalchemy.delete(SaltRow).where(col(SaltRow.start) <= oldest))
            session.execute(sqlalchemy.delete(CountRow).where(col(CountRow.start) <= oldest))
            row = session.get(SaltRow, start)
            assert row is not None
            salt = row.salt
            session.commit()
        return salt


def open_quotas(settings: Settings) -> Quotas:
    """Open the counts of a ledger folder; the secret of its clients' names is made when first needed.

    Raises
    ------
    ledger.KeyFileError
        The secret cannot be made or read.
    """
    return Quotas(settings.database_url, load_name_key(settings))


def load_name_key(settings: Settings) -> bytes:
    """Return the secret under which clients and people are named, made when first needed; errors as above."""
    return open_secret(settings.keys / KEY_NAME)


def name_client(host: str | None) -> str:
    """Return the subject that an address is counted under: IPv4 whole, IPv6 by its network of 64 bits."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return f"client/{host or 'local'}"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return f"client/{address.ipv4_mapped}"
        return f"client/{ipaddress.ip_network((address, IPV6_PREFIX), strict=False)}"
    return f"client/{address}"
