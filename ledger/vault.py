"""The vault: sealed personal values in the database, and the key of each person in a file of its own.

The two are kept apart because backups are: a backup of the database holds values that nobody can open once
the key file is gone. Key files belong where backups live briefly, or are not made.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sqlalchemy import Column, Connection, Index, LargeBinary, Table, Text, delete, select
from sqlmodel import Field, SQLModel

from .commitment import SALT_BYTES, Opening, commit
from .database import open_database
from .errors import KeyFileError, NotFoundError
from .keyfile import load_secret, save_secret
from .sealing import KEY_BYTES, NONCE_BYTES, open_sealed, seal_opening

PERSON_BYTES = 16
_PERSON = re.compile(r"[0-9a-f]{32}")


class SealedRow(SQLModel, table=True):
    """One sealed value, named by its commitment; nothing here is readable without the person's key."""

    __tablename__ = "sealed_value"
    __table_args__ = (Index("sealed_value_person", "person"), Index("sealed_value_asset", "asset"))

    commitment: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    person: str = Field(sa_column=Column(Text, nullable=False))
    asset: str = Field(sa_column=Column(Text, nullable=False))
    label: str = Field(sa_column=Column(Text, nullable=False))
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


_TABLE = cast(Table, SealedRow.__table__)  # type: ignore[attr-defined]  # SQLModel gives it one


@dataclass(frozen=True)
class SealedValue:
    """A sealed value: which commitment it opens, of which asset and label, and whose it is."""

    commitment: bytes
    person: str
    asset: str
    label: str
    sealed: bytes


class Vault:
    """Sealed values of one ledger and the keys that open them.

    Raises (every method)
    ---------------------
    StorageError : the database cannot be used
    KeyFileError : a person's key file cannot be read or written, or is open to others
    """

    def __init__(self, url: str, keys: Path) -> None:
        """Open the table in the ledger's database; `keys` is the folder of key files, made when needed."""
        self._database = open_database(url)
        self._keys = keys

    def close(self) -> None:
        """Give up the connections."""
        self._database.close()

    def add_person(self) -> str:
        """Make a key for somebody and return the random id that stands for them; who that is, is not kept."""
        try:
            self._keys.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise KeyFileError(f"{self._keys}: cannot be made: {error.strerror}") from error
        person = secrets.token_hex(PERSON_BYTES)
        save_secret(self._path(person), secrets.token_bytes(KEY_BYTES))
        return person

    def seal(self, person: str, asset: str, label: str, value: object) -> bytes:
        """Keep a value of somebody's and return the commitment that goes into the entry.

        Raises
        ------
        NotFoundError : no such person, or erased
        FormatError, ValueError : a label or value that cannot be committed to
        """
        key = self._load_key(person)
        opening = Opening(label, secrets.token_bytes(SALT_BYTES), value)
        sealed = seal_opening(opening, asset, key, secrets.token_bytes(NONCE_BYTES))
        commitment = commit(label, opening.salt, value)
        row = {"commitment": commitment, "person": person, "asset": asset, "label": label, "sealed": sealed}
        with self._connect(write=True) as connection:
            connection.execute(_TABLE.insert(), row)
            connection.commit()
        return commitment

    def is_known(self, person: str) -> bool:
        """Tell whether somebody has a key, or sealed values that were once under one."""
        return self._path(person).exists() or bool(self.list_of_person(person))

    def list_of_person(self, person: str) -> tuple[SealedValue, ...]:
        """Return somebody's sealed values."""
        return self._list(_TABLE.c.person == person)

    def open_asset(self, asset: str) -> tuple[Opening, ...]:
        """Return what opens an asset's commitments, of everybody who was not erased.

        Raises
        ------
        ProofError : a sealed value was changed
        """
        openings = []
        for item in self._list(_TABLE.c.asset == asset):
            with contextlib.suppress(NotFoundError):
                key = self._load_key(item.person)
                openings.append(open_sealed(item.sealed, asset, item.label, item.commitment, key))
        return tuple(openings)

    def destroy_key(self, person: str) -> None:
        """Destroy somebody's key: their values cannot be opened any more. Doing it again changes nothing.

        The file is overwritten before it is removed; a disk or file system that keeps old blocks may still
        hold it, which is why its folder belongs on a volume that can be destroyed as a whole.
        """
        path = self._path(person)
        try:
            with path.open("r+b") as file:
                file.write(b"0" * path.stat().st_size)
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return
        except OSError as error:
            raise KeyFileError(f"{path}: cannot be destroyed: {error.strerror}") from error

    def remove(self, commitments: Sequence[bytes]) -> None:
        """Remove sealed values; without the key they were noise already."""
        with self._connect(write=True) as connection:
            for commitment in commitments:
                connection.execute(delete(_TABLE).where(_TABLE.c.commitment == commitment))
            connection.commit()

    def _list(self, chosen: object) -> tuple[SealedValue, ...]:
        query = select(_TABLE).where(chosen).order_by(_TABLE.c.asset, _TABLE.c.label, _TABLE.c.commitment)  # type: ignore[arg-type]
        with self._connect() as connection:
            return tuple(SealedValue(**row._mapping) for row in connection.execute(query))

    def _load_key(self, person: str) -> bytes:
        path = self._path(person)
        if not path.exists():
            raise NotFoundError(f"there is no key of person {person}: never made, or erased")
        return load_secret(path)

    def _path(self, person: str) -> Path:
        if not _PERSON.fullmatch(person):
            raise NotFoundError(f"expected a person's id of 32 hex digits, got {person!r:.80}")
        return self._keys / f"{person}.key"

    @contextlib.contextmanager
    def _connect(self, *, write: bool = False) -> Iterator[Connection]:
        database = self._database
        with (
            database.translate_errors(),
            database.begin() if write else database.engine.connect() as connection,
        ):
            yield connection
