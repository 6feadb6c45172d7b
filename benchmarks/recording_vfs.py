"""A VFS that records, and can fail, every write of the SQLite library that the ledger runs on.

SQLite reaches its files through a table of functions, the VFS (sqlite.org/vfs.html). `record` puts a copy of
the system's own table in front, in which opening, writing, truncating, syncing and deleting pass through
here; reading, locking and shared memory go straight to the system. It is the very library of `pysqlite3`,
reached by ctypes, that runs: nothing of its commit protocol is imitated. Also recorded are the writes of the
lock store.

The record is a list of operations in their order, from which `benchmarks.powercuts` makes every disk that a
power cut could leave behind.
"""

import contextlib
import ctypes
import os
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pysqlite3._sqlite3

from ledger import guard, rewriting

OK, FULL = 0, 13
IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE = 778, 1034, 1546

# The members of the two tables, in their order (sqlite3.h).
_METHODS = [
    *("xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock", "xUnlock"),
    *("xCheckReservedLock", "xFileControl", "xSectorSize", "xDeviceCharacteristics"),
    *("xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap", "xFetch", "xUnfetch"),
]
_CALLS = [
    *("xOpen", "xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym", "xDlClose"),
    *("xRandomness", "xSleep", "xCurrentTime", "xGetLastError", "xCurrentTimeInt64"),
    *("xSetSystemCall", "xGetSystemCall", "xNextSystemCall"),
]


class _Methods(ctypes.Structure):
    _fields_ = [("iVersion", ctypes.c_int), *((name, ctypes.c_void_p) for name in _METHODS)]


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in _CALLS),
    ]


_Open = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,  # the name's own address: SQLite keeps it, and reads on behind its end
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_int),
)
_Delete = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
_Close = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


@dataclass(frozen=True)
class Operation:
    """One thing done to a file.

    Attributes
    ----------
    kind : write, truncate, sync, sync-failed, delete, link (a second name), sync-folder, or note: something
        that the caller remarks
    name : the file's name without its folder
    offset : of a write; the new size of a truncate
    data : what was written, linked, or remarked
    """

    kind: str
    name: str
    offset: int = 0
    data: Any = b""


Fault = Callable[[str, str, int], "str | None"]
"""(kind, file name, bytes written) -> None, or how it fails: before, after (yet it was done), full."""


@dataclass
class Recorder:
    """What has been done so far; `fault`, if set, is asked before each operation."""

    operations: list[Operation] = field(default_factory=list)
    fault: Fault | None = None

    def remark(self, data: object) -> None:
        """Put something of the caller's between the operations, such as a receipt that was handed out."""
        self.operations.append(Operation("note", "", data=data))

    def ask(self, kind: str, name: str, count: int = 0) -> str | None:
        """Return how an operation fails, None when it does not."""
        return self.fault(kind, name, count) if self.fault else None

    def sync_failed(self, name: str) -> None:
        """Note a failed sync: of what was written, nothing is sure to be on the disk, now or later."""
        self.operations.append(Operation("sync-failed", name))


@contextlib.contextmanager
def record(folder: Path) -> Iterator[Recorder]:
    """Record what this process does through SQLite to files in a folder, and to lock stores there.

    Only for connections opened inside the block, and closed before its end.
    """
    recorder = Recorder()
    shim = _Shim(recorder, str(folder.resolve()))
    shim.register()
    real_os = guard.os
    guard.os = rewriting.os = _make_os(recorder, folder)  # type: ignore[assignment]
    try:
        yield recorder
    finally:
        guard.os = rewriting.os = real_os
        shim.unregister()


class _Shim:
    """The table of functions in front of the system's own."""

    def __init__(self, recorder: Recorder, folder: str) -> None:
        self.recorder = recorder
        self.folder = folder
        self.library = ctypes.CDLL(pysqlite3._sqlite3.__file__)
        self.library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self.system = self.library.sqlite3_vfs_find(None)
        self.vfs = _Vfs.from_buffer_copy(self.system.contents)
        self.vfs.zName = b"recording"
        self.files: dict[int, tuple[str, _Methods]] = {}  # by the address of SQLite's file object
        self.methods: dict[int, tuple[_Methods, _Methods]] = {}
        self.callbacks = {
            "xClose": _Close(self.close),
            "xWrite": _Write(self.write),
            "xTruncate": _Truncate(self.truncate),
            "xSync": _Sync(self.sync),
        }
        self.open_callback, self.delete_callback = _Open(self.open), _Delete(self.delete)
        self.real_open, self.real_delete = _Open(self.vfs.xOpen), _Delete(self.vfs.xDelete)
        self.vfs.xOpen = ctypes.cast(self.open_callback, ctypes.c_void_p)
        self.vfs.xDelete = ctypes.cast(self.delete_callback, ctypes.c_void_p)

    def register(self) -> None:
        assert self.library.sqlite3_vfs_register(ctypes.byref(self.vfs), 1) == OK

    def unregister(self) -> None:
        assert self.library.sqlite3_vfs_register(self.system, 1) == OK
        assert self.library.sqlite3_vfs_unregister(ctypes.byref(self.vfs)) == OK

    def name(self, path: bytes | None) -> str | None:
        """Return a recorded file's name; shared memory and files elsewhere are not recorded."""
        folder, _, name = os.fsdecode(path or b"").rpartition("/")
        return name if folder == self.folder and not name.endswith("-shm") else None

    def open(self, vfs: int, path: int | None, file: int, flags: int, out: Any) -> int:
        code = self.real_open(vfs, path, file, flags, out)
        name = self.name(ctypes.string_at(path) if path else None)
        if code == OK and name is not None:
            pointer = ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p))
            system = pointer[0]
            assert system is not None
            if system not in self.methods:  # one table for each way of locking
                real = _Methods.from_address(system)
                ours = _Methods.from_buffer_copy(real)
                for method, callback in self.callbacks.items():
                    setattr(ours, method, ctypes.cast(callback, ctypes.c_void_p))
                self.methods[system] = real, ours
            self.files[file] = name, self.methods[system][0]
            pointer[0] = ctypes.addressof(self.methods[system][1])
        return int(code)

    def close(self, file: int) -> int:
        _, real = self.files.pop(file)
        return int(_Close(real.xClose)(file))

    def write(self, file: int, data: int, count: int, offset: int) -> int:
        name, real = self.files[file]
        fault = self.recorder.ask("write", name, count)
        if fault == "full":
            return FULL
        if fault != "before":
            code = _Write(real.xWrite)(file, data, count, offset)
            if code != OK:
                return int(code)
            self.recorder.operations.append(Operation("write", name, offset, ctypes.string_at(data, count)))
        return IOERR_WRITE if fault else OK

    def truncate(self, file: int, size: int) -> int:
        name, real = self.files[file]
        fault = self.recorder.ask("truncate", name)
        if fault is None or fault == "after":
            code = _Truncate(real.xTruncate)(file, size)
            if code != OK:
                return int(code)
            self.recorder.operations.append(Operation("truncate", name, size))
        return IOERR_TRUNCATE if fault else OK

    def sync(self, file: int, flags: int) -> int:
        name, real = self.files[file]
        fault = self.recorder.ask("sync", name)
        if fault == "before":
            self.recorder.sync_failed(name)
        else:
            code = _Sync(real.xSync)(file, flags)
            if code != OK:
                return int(code)
            self.recorder.operations.append(Operation("sync", name))
        return IOERR_FSYNC if fault else OK

    def delete(self, vfs: int, path: bytes, sync_folder: int) -> int:
        code = self.real_delete(vfs, path, sync_folder)
        name = self.name(path)
        if code == OK and name is not None:
            self.recorder.operations.append(Operation("delete", name))
        return int(code)


def _make_os(recorder: Recorder, folder: Path) -> types.SimpleNamespace:
    """Return the functions of `os` that the lock store uses, with its writes recorded."""
    names: dict[int, str] = {}

    def open_file(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = os.open(path, flags, mode)
        names[descriptor] = path.name if path.parent == folder and flags & os.O_RDWR else ""
        return descriptor

    def write(descriptor: int, data: bytes, offset: int) -> int:
        fault = recorder.ask("write", names[descriptor], len(data))
        if fault != "before":
            os.pwrite(descriptor, data, offset)
            recorder.operations.append(Operation("write", names[descriptor], offset, data))
        if fault:
            raise OSError(28 if fault == "full" else 5, "injected")
        return len(data)

    def sync(descriptor: int) -> None:
        if not names[descriptor]:
            os.fsync(descriptor)
            recorder.operations.append(Operation("sync-folder", ""))
        else:
            fault = recorder.ask("sync", names[descriptor])
            if fault == "before":
                recorder.sync_failed(names[descriptor])
            else:
                recorder.operations.append(Operation("sync", names[descriptor]))
            if fault:
                raise OSError(5, "injected")

    def link(source: Path, target: Path) -> None:
        os.link(source, target)
        recorder.operations.append(Operation("link", source.name, data=target.name))

    changed = {"open": open_file, "pwrite": write, "fsync": sync, "link": link}
    return types.SimpleNamespace(**(vars(os) | changed))
