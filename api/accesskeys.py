"""The API keys of the service: a table beside the registry's.

    access_key   one row for each key ever made: id, digest, scopes, label, quota, end, last use

A revoked or expired key keeps its row, so that its id in the audit trail goes on meaning something.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Column, Integer, LargeBinary, Text
from sqlmodel import Field, SQLModel, col, select

from .access import (
    Caller,
    CallerKind,
    Scope,
    format_scopes,
    hash_key,
    make_key,
    match_key,
    parse_key,
    parse_scopes,
)
from .errors import ConflictError, MissingError, RefusedError
from .storedrows import StoredRows

MAX_LABEL_CHARACTERS = 120
ACTIVE, EXPIRED, REVOKED = "active", "expired", "revoked"
NO_DIGEST = bytes(32)
"""Compared with where there is no such key, so that an unknown id takes as long as a wrong secret."""


class AccessKeyRow(SQLModel, table=True):
    """An API key; times are RFC 3339 UTC, `used` a date, `daily` its verifications a day."""

    __tablename__ = "access_key"

    key_id: str = Field(sa_column=Column(Text, primary_key=True))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    scopes: str = Field(sa_column=Column(Text, nullable=False))
    label: str = Field(sa_column=Column(Text, nullable=False))
    created: str = Field(sa_column=Column(Text, nullable=False))
    expires: str | None = Field(default=None, sa_column=Column(Text))
    revoked: str | None = Field(default=None, sa_column=Column(Text))
    used: str | None = Field(default=None, sa_column=Column(Text))
    daily: int | None = Field(default=None, sa_column=Column(Integer))

    def state(self, now: str) -> str:
        """Return `active`, `expired` or `revoked` at a time."""
        if self.revoked is not None:
            return REVOKED
        return EXPIRED if self.expires is not None and self.expires <= now else ACTIVE


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; `key` is the secret, to be shown once."""

    row: AccessKeyRow
    key: str


class AccessKeys(StoredRows):
    """Reads and writes of the table; each method is one transaction. Times are RFC 3339 UTC.

    Raises (every method)
    ---------------------
    ledger.StorageError
        The database is missing, damaged, full, busy or read-only.
    """

    def create(
        self,
        scopes: Iterable[Scope],
        *,
        label: str,
        created: str,
        expires: str | None = None,
        daily: int | None = None,
    ) -> NewKey:
        """Make a key.

        Parameters
        ----------
        scopes : what it is for, one at least
        label : whose it is, in words: an organisation or a machine, no person
        created, expires : RFC 3339 UTC; without `expires` it ends when it is revoked
        daily : verifications a day; None for no bound

        Raises
        ------
        RefusedError
            No scope, a label that is empty, too long or not printable, or an end that is past.
        """
        chosen = format_scopes(set(scopes))
        label = label.strip()
        if not chosen:
            raise RefusedError("expected a scope at least, got none")
        if not label or len(label) > MAX_LABEL_CHARACTERS or not label.isprintable():
            raise RefusedError(
                f"expected a label of 1 to {MAX_LABEL_CHARACTERS} printable characters, got {label!r:.140}"
            )
        if expires is not None and expires <= created:
            raise RefusedError(f"expected an end after {created}, got {expires}")
        key_id, key = make_key()
        row = AccessKeyRow(
            key_id=key_id,
            digest=hash_key(key),
            scopes=chosen,
            label=label,
            created=created,
            expires=expires,
            daily=daily,
        )
        with self._session(write=True) as session:
            session.add(row)
        return NewKey(row, key)

    def find_caller(self, key: str, *, now: str) -> Caller | None:
        """Return whose key this is, or None for one that is unknown, wrong, expired or revoked."""
        key_id = parse_key(key)
        with self._session() as session:
            row = None if key_id is None else session.get(AccessKeyRow, key_id)
        right = match_key(key, NO_DIGEST if row is None else row.digest)
        if row is None or not right or row.state(now) != ACTIVE:
            return None
        if row.used != now[:10]:
            self._note_use(row.key_id, now[:10])
        return Caller(CallerKind.KEY, row.key_id, parse_scopes(row.scopes), row.daily)

    def find_active(self, key_id: str, *, now: str) -> Caller | None:
        """Return whose key has this id, if it holds now: for a session that the key itself had opened."""
        with self._session() as session:
            row = session.get(AccessKeyRow, key_id)
        if row is None or row.state(now) != ACTIVE:
            return None
        return Caller(CallerKind.KEY, row.key_id, parse_scopes(row.scopes), row.daily)

    def _note_use(self, key_id: str, date: str) -> None:
        """Keep the day of the last use: to the day, so that reading costs no write."""
        with self._session(write=True) as session:
            row = session.get(AccessKeyRow, key_id)
            assert row is not None
            row.used = date
            session.add(row)

    def revoke(self, key_id: str, *, now: str) -> AccessKeyRow:
        """End a key at once; MissingError without such a key, ConflictError if it is revoked already."""
        with self._session(write=True) as session:
            row = session.get(AccessKeyRow, key_id)
            if row is None:
                raise MissingError(f"no API key {key_id!r:.80}")
            if row.revoked is not None:
                raise ConflictError(f"API key {key_id} was revoked at {row.revoked}")
            row.revoked = now
            session.add(row)
        return row

    def list_keys(self) -> list[AccessKeyRow]:
        """Return every key ever made, oldest first."""
        with self._session() as session:
            order = (col(AccessKeyRow.created), col(AccessKeyRow.key_id))
            return list(session.exec(select(AccessKeyRow).order_by(*order)))
