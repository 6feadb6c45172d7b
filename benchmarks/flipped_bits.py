"""Flipped bits: one bit of a stored file changed, and what the ledger says of it.

A flip is found when `fsck` names it, or the ledger does not open. One that is not found must have changed
nothing that is stored: free space of a page, or what SQLite computes anew. So every table is read and
compared with what it was.
"""

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pysqlite3.dbapi2 as sqlite

import ledger
from benchmarks.ledger_material import ACTOR_KEY, ORIGIN
from benchmarks.powercuts import LOCK_NAME, Image
from ledger.errors import GuardError, LedgerError, RollbackError
from ledger.guard import FileGuard


@dataclass(frozen=True)
class Flip:
    """One bit: the file, the byte's offset and the bit's number."""

    name: str
    offset: int
    bit: int


def choose_flips(image: Image, count: int, seed: int) -> list[Flip]:
    """Choose bits of all files, each byte as likely as any other."""
    generator = random.Random(seed)
    places = [(name, size) for name, content in sorted(image.items()) if (size := len(content))]
    flips = []
    for _ in range(count):
        name, size = generator.choices(places, [size for _, size in places])[0]
        flips.append(Flip(name, generator.randrange(size), generator.randrange(8)))
    return flips


def judge_flip(image: Image, flip: Flip, vkey: str) -> str:
    """Return what became of a flip: found, harmless, or "missed", which must never be."""
    with tempfile.TemporaryDirectory(prefix="flipped-", dir=_memory()) as name:
        folder = Path(name)
        for file, content in image.items():
            changed = bytearray(content)
            if file == flip.name:
                changed[flip.offset] ^= 1 << flip.bit
            (folder / file).write_bytes(changed)
        if flip.name == LOCK_NAME:
            return _judge_lock(folder, image)
        try:
            url = f"sqlite:///{folder / 'ledger.db'}"
            report = ledger.fsck(url, vkey=vkey, public_keys=[ACTOR_KEY.public_key])
            ledger.Store(url).close()  # which looks at the schema's version as well
        except LedgerError:
            return "found"
        if not report.ok:
            return "found"
        try:
            schema, rows = read_tables(folder / "ledger.db")
        except (sqlite.Error, UnicodeDecodeError):
            return "missed"  # by the full check, which reads the same
        sound_schema, sound_rows = read_image_tables(image)
        return "harmless" if (schema, rows) == (sound_schema, sound_rows) else "missed"


def read_image_tables(image: Image) -> tuple[object, dict[str, object]]:
    """Return what the database of an image holds."""
    with tempfile.TemporaryDirectory(prefix="flipped-", dir=_memory()) as name:
        for file, content in image.items():
            (Path(name) / file).write_bytes(content)
        return read_tables(Path(name) / "ledger.db")


def read_tables(path: Path) -> tuple[object, dict[str, object]]:
    """Return the schema's text and each table's rows by its name; sqlite3.Error where they cannot be read."""
    connection = sqlite.connect(path)
    try:
        schema = connection.execute(
            "SELECT type, name, CAST(sql AS BLOB) FROM sqlite_master ORDER BY type, name"
        ).fetchall()
        tables = [name for kind, name, _ in schema if kind == "table"]
        rows = {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in tables}
        return schema, rows
    finally:
        connection.close()


def _judge_lock(folder: Path, image: Image) -> str:
    """A damaged lock store gives its other slot, or refuses; never a checkpoint that was not there."""
    before = image[LOCK_NAME]
    try:
        slot = FileGuard(folder / LOCK_NAME).read()
    except (GuardError, RollbackError):
        return "found"
    if slot.checkpoint.origin != ORIGIN or slot.note not in before:
        return "missed"
    with tempfile.TemporaryDirectory(prefix="flipped-", dir=_memory()) as name:
        (Path(name) / LOCK_NAME).write_bytes(before)
        newest = FileGuard(Path(name) / LOCK_NAME).read()
    return "harmless" if slot == newest else "found"


def _memory() -> str | None:
    folder = Path("/dev/shm")
    return str(folder) if folder.is_dir() else None
