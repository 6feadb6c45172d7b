"""The queue of an open log: appends gather while the last ones are being committed, and share a commit.

No timer is needed: what queues up during a sync of the disk is the next commit, and the busier the log, the
larger its commits. One thread takes what waits and hands it to the log (`committer.LocalLog`, or
`sharing.SharedLog`). Where there are workers, a second one gives them what gathers during a commit to examine
(`examiners`), so that they do not stand idle until it ends. Either way submissions keep their order.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from .errors import BusyError, LedgerError
from .event import parse_event
from .examiners import Examination, Examiners, find_signers
from .keys import PublicKey, SigningKey
from .receipt import Receipt
from .submission import Draft, Submission

MAX_BATCH = 512
"""Events in one commit, save for a single submission that has more: more would only make others wait."""
MAX_AHEAD = 1024
"""Events in the hands of the workers, beyond the commit under way."""
MIN_AHEAD = 64
"""Events that gather during a commit before they are given to the workers."""
MIN_EXAMINED = 4
"""Entries below which a task costs more than the work."""
MAX_WAITING = 10_000
"""Events in the queue; beyond it the log says that it is busy and takes no more than it can do in time."""


class Log(Protocol):
    """Where the queue leads."""

    def append(self, submissions: list[Submission]) -> None:
        """Append submissions and settle their futures, now or later; raise when nothing came of any."""

    def read_keys(self, key_ids: Iterable[str]) -> Mapping[str, PublicKey]:
        """Return those of the keys that the log knows."""

    def close(self) -> None:
        """Come to rest; an append may follow."""


class Preparation:
    """Submissions that are being looked at before their turn."""

    def __init__(self, submissions: list[Submission], examination: Examination | None = None) -> None:
        self.submissions = submissions
        self.events = sum(len(item.events) for item in submissions)
        self._examination = examination

    def done(self) -> bool:
        """Tell whether `finish` would not wait."""
        return self._examination is None or self._examination.done()

    def finish(self) -> list[Submission]:
        """Return the submissions whose entries can be parsed; the others have got their error."""
        found = iter(self._examination.result() if self._examination else ())
        parsed = []
        for submission in self.submissions:
            for event in submission.events:
                submission.examined.append(None if isinstance(event, Draft) else next(found, None))
            try:
                for number, event in enumerate(submission.events):
                    if isinstance(event, bytes) and submission.examined[number] is None:
                        submission.examined[number] = parse_event(event)
            except LedgerError as error:
                submission.settle(error)
            else:
                parsed.append(submission)
        return parsed


class Writer:
    """The queue of one open ledger and the threads that empty it."""

    def __init__(self, log: Log, where: str, examiners: Examiners | None) -> None:
        self._log = log
        self._where = where
        self._examiners = examiners
        self._lock = threading.Lock()
        self._for_writer = threading.Condition(self._lock)
        self._for_helper = threading.Condition(self._lock)
        self._waiting: collections.deque[Submission] = collections.deque()
        self._events = 0  # in all that wait
        self._prepared: collections.deque[Preparation] = collections.deque()
        self._ahead = 0  # events in all that is prepared
        self._preparing = False  # the second thread has taken something, and not put it there yet
        self._committing = False
        self._threads: list[threading.Thread] = []
        self._run: _Run | None = None
        self._closing = False

    def submit(self, events: Sequence[Draft | bytes], log_signing_key: SigningKey) -> Future[list[Receipt]]:
        """Queue events; BusyError when too many wait already."""
        submission = Submission(tuple(events), log_signing_key)
        with self._lock:
            if self._events + len(events) > MAX_WAITING and self._waiting:
                raise BusyError(f"{self._where}: {self._events} events wait to be appended")
            self._waiting.append(submission)
            self._events += len(events)
            if self._run is None:
                self._start()
            if not self._committing:
                self._for_writer.notify()
            elif self._gathered():
                self._for_helper.notify()
        return submission.future

    def close(self) -> None:
        """Append what waits, and end the threads; a later `submit` starts others."""
        with self._lock:
            self._closing = True
            self._for_writer.notify()
            threads = self._threads
        for thread in threads:
            thread.join()
        self._closing = False
        self._log.close()
        if self._examiners:
            self._examiners.close()

    def _start(self) -> None:
        run = self._run = _Run()
        self._threads = [threading.Thread(target=self._write, args=(run,), name="ledger-writer", daemon=True)]
        if self._examiners:
            helper = threading.Thread(target=self._look_ahead, args=(run,), name="ledger-helper", daemon=True)
            self._threads.append(helper)
        for thread in self._threads:
            thread.start()

    def _write(self, run: _Run) -> None:
        """Commit what is prepared, or else what waits, until the log is closed."""
        while True:
            current = self._pop(run)
            if current:
                self._finish(current)
            elif run.ended:
                return

    def _pop(self, run: _Run) -> list[Preparation]:
        """Return what comes into the next commit; nothing where all of it was refused, or at the end."""
        with self._lock:
            self._committing = False
            self._for_writer.wait_for(
                lambda: self._prepared or (not self._preparing and (self._waiting or self._closing))
            )
            if self._prepared:
                current = self._pop_prepared()
                taken: list[Submission] = []
            elif self._waiting:
                current, taken = [], self._take()
            else:
                run.ended = True  # from now on a `submit` starts other threads
                self._run = None
                self._for_helper.notify_all()
                return []
            self._committing = True
            if self._gathered():
                self._for_helper.notify()
        return current or self._prepare(taken)

    def _pop_prepared(self) -> list[Preparation]:
        """Return the first preparation, and those after it that are done and fit into the same commit."""
        current: list[Preparation] = []
        events = 0
        while self._prepared:
            item = self._prepared[0]
            if current and (events + item.events > MAX_BATCH or not item.done()):
                break
            events += item.events
            current.append(self._prepared.popleft())
        self._ahead -= events
        return current

    def _look_ahead(self, run: _Run) -> None:
        """Have workers examine what gathers during a commit."""
        while True:
            with self._lock:
                self._for_helper.wait_for(lambda: run.ended or self._gathered())
                if run.ended:
                    return
                taken = self._take()
                self._preparing = True
            preparations = self._prepare(taken)
            with self._lock:
                self._prepared.extend(preparations)
                self._ahead += sum(item.events for item in preparations)
                self._preparing = False
                self._for_writer.notify()

    def _gathered(self) -> bool:
        return self._committing and self._events >= MIN_AHEAD and self._ahead < MAX_AHEAD

    def _take(self) -> list[Submission]:
        """Return what waits, in its order, up to the limit of a commit; the caller holds the lock."""
        taken: list[Submission] = []
        events = 0
        while self._waiting and (not taken or events + len(self._waiting[0].events) <= MAX_BATCH):
            submission = self._waiting.popleft()
            self._events -= len(submission.events)
            if submission.future.set_running_or_notify_cancel():
                taken.append(submission)
                events += len(submission.events)
        return taken

    def _prepare(self, submissions: list[Submission]) -> list[Preparation]:
        """Have submissions looked at; nothing when that fails, and their callers know."""
        if not submissions:
            return []
        entries = [event for item in submissions for event in item.events if isinstance(event, bytes)]
        if self._examiners is None or len(entries) < MIN_EXAMINED:
            return [Preparation(submissions)]
        try:
            keys = self._log.read_keys({key_id for entry in entries for key_id in find_signers(entry)})
            return [Preparation(submissions, self._examiners.start(entries, keys))]
        except OSError:
            return [Preparation(submissions)]  # no process to be had: this one will do
        except BaseException as error:  # noqa: BLE001  # as in `_finish`
            for submission in submissions:
                submission.settle(error)
            return []

    def _finish(self, preparations: list[Preparation]) -> None:
        submissions = [item for preparation in preparations for item in preparation.submissions]
        try:
            ready = [item for preparation in preparations for item in preparation.finish()]
            if ready:
                self._log.append(ready)
        except BaseException as error:  # noqa: BLE001  # the callers get it; this thread has to go on
            for submission in submissions:
                submission.settle(error)


class _Run:
    """The life of one set of threads: a later one never takes orders meant for an earlier."""

    def __init__(self) -> None:
        self.ended = False
