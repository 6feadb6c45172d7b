"""Power cuts: disks that a cut could leave, made from a record of writes, and the ledger judged on them.

What a disk promises (as POSIX, ext4 and the drives behind them do): what was synced stays. Of what was
written since, any part may be there, in any order, whole or torn at sectors of 512 bytes; file names appear
and vanish in their order, but as late as the next sync of a new journal or of the folder. After a failed
sync, what it should have written may be lost for good, although the running system still sees it.

On each such disk the ledger must open, hold every receipt that was handed out, pass the full check, and go
on.
"""

import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import ledger
from benchmarks.ledger_material import ACTOR_KEY, LOG_KEY, draft_event, make_ledger
from benchmarks.recording_vfs import Operation, Recorder, record
from ledger import Receipt, Store, merkle, sqlite
from ledger.guard import FileGuard

SECTOR = 512
LOCK_NAME = "lock"
AUTOCHECKPOINT_PAGES = 25
"""Instead of the ledger's own setting, so that a short run moves the WAL into the database many times."""

Image = dict[str, bytes]
"""A disk: file names and contents."""


@dataclass
class Inode:
    """A file's content: what the disk is sure to hold, and what was done since."""

    durable: bytes = b""
    pending: list[Operation] = field(default_factory=list)


@dataclass
class Disk:
    """A folder's files as a record of operations leaves them."""

    generator: random.Random
    names: dict[str, Inode] = field(default_factory=dict)
    durable_names: dict[str, Inode] = field(default_factory=dict)
    pending_names: list[tuple[str, Inode | None]] = field(default_factory=list)

    @classmethod
    def load(cls, image: Image, generator: random.Random) -> "Disk":
        """Start with files that are all on the disk."""
        names = {name: Inode(content) for name, content in image.items()}
        return cls(generator, dict(names), dict(names))

    def apply(self, operation: Operation) -> None:
        """Do what was done."""
        name = operation.name
        if operation.kind in ("write", "truncate"):
            if name not in self.names:
                self._rename(name, Inode())
            self.names[name].pending.append(operation)
        elif operation.kind == "sync":
            inode = self.names[name]
            inode.durable = apply_writes(inode.durable, inode.pending)
            inode.pending.clear()
            if self.durable_names.get(name) is not inode:  # SQLite syncs the folder with a new journal
                self._sync_names()
        elif operation.kind == "sync-failed":
            inode = self.names[name]
            inode.durable = apply_writes(inode.durable, self._survive(inode.pending))
            inode.pending.clear()
        elif operation.kind == "delete":
            self._rename(name, None)
        elif operation.kind == "link":
            self._rename(operation.data, self.names[name])
        elif operation.kind == "sync-folder":
            self._sync_names()

    def cut(self) -> Image:
        """Return what the disk may hold when the power goes now."""
        names = dict(self.durable_names)
        kept = self.generator.randint(0, len(self.pending_names))
        for name, inode in self.pending_names[:kept]:
            _set_name(names, name, inode)
        return {
            name: apply_writes(inode.durable, self._survive(inode.pending)) for name, inode in names.items()
        }

    def _rename(self, name: str, inode: Inode | None) -> None:
        _set_name(self.names, name, inode)
        self.pending_names.append((name, inode))

    def _sync_names(self) -> None:
        for name, inode in self.pending_names:
            _set_name(self.durable_names, name, inode)
        self.pending_names.clear()

    def _survive(self, pending: list[Operation]) -> list[Operation]:
        """Choose what of the unsynced operations reached the disk."""
        generator = self.generator
        choice = generator.random()
        if choice < 0.15:
            return []
        if choice < 0.3:
            return list(pending)
        if choice < 0.5:  # in order, up to a torn one
            stop = generator.randint(0, len(pending))
            return [*pending[:stop], *(self._tear(item) for item in pending[stop : stop + 1])]
        share = generator.random()
        return [
            self._tear(item) if generator.random() < 0.2 else item
            for item in pending
            if generator.random() < share
        ]

    def _tear(self, operation: Operation) -> Operation:
        """Return a part of a write that ends, or begins, at a sector; a short one is whole or not there."""
        first = -operation.offset % SECTOR
        cuts = range(first, len(operation.data), SECTOR)
        if operation.kind != "write" or not cuts:
            return operation
        cut = self.generator.choice(cuts)
        if self.generator.random() < 0.5:
            return Operation("write", operation.name, operation.offset, operation.data[:cut])
        return Operation("write", operation.name, operation.offset + cut, operation.data[cut:])


def apply_writes(content: bytes, operations: list[Operation]) -> bytes:
    """Return a file's content after writes and truncates."""
    if not operations:
        return content
    changed = bytearray(content)
    for item in operations:
        if item.kind == "truncate":
            del changed[item.offset :]
        else:
            changed.extend(bytes(max(0, item.offset - len(changed))))
            changed[item.offset : item.offset + len(item.data)] = item.data
    return bytes(changed)


def _set_name(names: dict[str, Inode], name: str, inode: Inode | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode


@dataclass(frozen=True)
class Run:
    """A recorded run of the ledger: the disk before it, and what was done; receipts are among the notes."""

    start: Image
    operations: tuple[Operation, ...]


def read_image(folder: Path) -> Image:
    """Return the files that a power cut leaves in a folder: not shared memory and lock files."""
    ignored = ("-shm", ".gate", ".writer")
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(ignored)}


def record_run(folder: Path, commits: int, seed: int) -> Run:
    """Append to a new ledger with a lock store, in an empty folder, and record it."""
    generator = random.Random(seed)
    url = make_ledger(folder)
    start = read_image(folder)
    with ExitStack() as stack:
        recorder = stack.enter_context(record(folder))
        stack.enter_context(small_checkpoints())
        for _ in range(2):  # closed in between: the WAL is moved into the database and deleted
            with Store(url, guard=FileGuard(folder / LOCK_NAME)) as store:
                for _ in range(commits // 2):
                    append_some(store, recorder, generator)
    return Run(start, tuple(recorder.operations))


def append_some(store: Store, recorder: Recorder, generator: random.Random) -> None:
    """Append one to four events in one commit, and note the receipts."""
    drafts = [draft_event(f"track:{generator.randrange(3)}") for _ in range(generator.choice((1, 1, 2, 4)))]
    recorder.remark(store.append(drafts, log_signing_key=LOG_KEY))


def small_checkpoints() -> ExitStack:
    """Return a block in which connections move the WAL into the database early."""
    stack = ExitStack()
    name, pages = "wal_autocheckpoint", sqlite.PRAGMAS["wal_autocheckpoint"]
    stack.callback(sqlite.PRAGMAS.__setitem__, name, pages)
    sqlite.PRAGMAS[name] = AUTOCHECKPOINT_PAGES
    return stack


def cut_power(
    run: Run, states: int, seed: int, *, at_the_end: bool = False
) -> Iterator[tuple[Image, list[Receipt]]]:
    """Yield disks that a cut could leave, each with the receipts by then; moments are spread over the run."""
    generator = random.Random(seed)
    moments = sorted(generator.randrange(len(run.operations) + 1) for _ in range(states))
    if at_the_end:
        moments = [len(run.operations)] * states
    disk, receipts, position = Disk.load(run.start, generator), [], 0
    for moment in moments:
        for operation in run.operations[position:moment]:
            if operation.kind == "note":
                receipts.extend(operation.data)
            else:
                disk.apply(operation)
        position = moment
        yield disk.cut(), list(receipts)


def judge(image: Image, receipts: list[Receipt]) -> str | None:
    """Open the ledger on a disk, check it in full and go on; return what is wrong, None when all is well."""
    with tempfile.TemporaryDirectory(prefix="powercut-", dir=_memory()) as name:
        folder = Path(name)
        for file, content in image.items():
            (folder / file).write_bytes(content)
        url = f"sqlite:///{folder / 'ledger.db'}"
        try:
            with Store(url, guard=FileGuard(folder / LOCK_NAME)) as store:
                entries = store.entries(0, 1 << 30)
                for receipt in receipts:
                    if receipt.index >= len(entries):
                        return f"entry {receipt.index} is lost of {len(entries)}"
                    if merkle.leaf_hash(entries[receipt.index]) != receipt.leaf_hash:
                        return f"entry {receipt.index} is another"
                if receipts:
                    store.check_ancestor(receipts[-1].checkpoint)
                store.append([draft_event("track:after")], log_signing_key=LOG_KEY)
                report = ledger.fsck(store, vkey=store.vkey, public_keys=[ACTOR_KEY.public_key])
                if not report.ok:
                    return f"the full check says: {report.findings[0].message}"
        except ledger.LedgerError as error:
            return f"{type(error).__name__}: {error}"
    return None


def _memory() -> str | None:
    folder = Path("/dev/shm")
    return str(folder) if folder.is_dir() else None
