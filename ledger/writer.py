"""The queue of an open log: appends gather while the last ones are being committed, and share a commit.

No timer is needed: what queues up during a sync of the disk is the next commit, and the busier the log, the
larger its commits. One thread takes what waits, has workers examine it (`examiners`) while the commit before
is made, and hands it to the log (`committer.LocalLog`, or `sharing.SharedLog`).
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
MAX_AHEAD = 3
"""Batches in the hands of the workers."""
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
    """The queue of one open ledger and the thread that empties it."""

    def __init__(self, log: Log, where: str, examiners: Examiners | None) -> None:
        self._log = log
        self._where = where
        self._examiners = examiners
        self._changed = threading.Condition()
        self._waiting: collections.deque[Submission] = collections.deque()
        self._events = 0  # in all that wait
        self._thread: threading.Thread | None = None
        self._running = False
        self._closing = False

    def submit(self, events: Sequence[Draft | bytes], log_signing_key: SigningKey) -> Future[list[Receipt]]:
        """Queue events; BusyError when too many wait already."""
        submission = Submission(tuple(events), log_signing_key)
        with self._changed:
            if self._events + len(events) > MAX_WAITING and self._waiting:
                raise BusyError(f"{self._where}: {self._events} events wait to be appended")
            self._waiting.append(submission)
            self._events += len(events)
            if not self._running:
                self._running = True
                self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
                self._thread.start()
            self._changed.notify()
        return submission.future

    def close(self) -> None:
        """Append what waits, and end the thread; a later `submit` starts another."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()
        self._closing = False
        self._log.close()
        if self._examiners:
            self._examiners.close()

    def _run(self) -> None:
        prepared: collections.deque[Preparation] = collections.deque()
        while True:
            # Without workers, looking ahead would only split what can be committed together.
            if not prepared or (self._examiners and len(prepared) < MAX_AHEAD):
                taken = self._take(wait=not prepared)
                if taken:
                    prepared.extend(self._prepare(taken))
                elif not prepared and self._ended():
                    return  # the log is being closed, and nothing waits
                if not prepared:
                    continue
            current = [prepared.popleft()]
            events = current[0].events
            while prepared and prepared[0].done() and events + prepared[0].events <= MAX_BATCH:
                events += prepared[0].events
                current.append(prepared.popleft())
            self._finish(current)

    def _take(self, *, wait: bool) -> list[Submission]:
        """Return submissions in their order; none if `wait` is false and none are there, or at the end."""
        taken: list[Submission] = []
        events = 0
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._waiting or self._closing)
            while self._waiting and (not taken or events + len(self._waiting[0].events) <= MAX_BATCH):
                submission = self._waiting.popleft()
                self._events -= len(submission.events)
                if submission.future.set_running_or_notify_cancel():
                    taken.append(submission)
                    events += len(submission.events)
        return taken

    def _ended(self) -> bool:
        """Tell whether the thread has to end; from then on a `submit` starts another."""
        with self._changed:
            self._running = bool(self._waiting) or not self._closing
            return not self._running

    def _prepare(self, submissions: list[Submission]) -> list[Preparation]:
        """Have submissions looked at; nothing when that fails, and their callers know."""
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
