"""Worker processes that are started once and outlive the files that kill one of them."""

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.synchronize import Event
from typing import Any, TypeVar

from .errors import StoppedError
from .marking import CancelCheck

# Spawned, not forked: a copy of an open database connection must not be used.
SPAWN = multiprocessing.get_context("spawn")
# Tasks handed to each worker ahead of time.
AHEAD = 3

Item = TypeVar("Item")


class Crew:
    """Runs functions on items in worker processes.

    Parameters
    ----------
    start : called in each new process, with `arguments`
    stopping : set when no more work is wanted
    """

    def __init__(
        self, start: Callable[..., None], arguments: tuple[Any, ...], *, stopping: Event, workers: int
    ) -> None:
        self._start = start
        self._arguments = arguments
        self._stopping = stopping
        self._workers = workers
        self._pool = self._make_pool()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _make_pool(self) -> concurrent.futures.ProcessPoolExecutor:
        return concurrent.futures.ProcessPoolExecutor(
            self._workers,
            mp_context=SPAWN,
            initializer=self._start,
            initargs=self._arguments,
        )

    def run(
        self, work: Callable[[Item], Any], items: Sequence[Item], cancelled: CancelCheck
    ) -> Iterator[tuple[Item, Any]]:
        """Yield each item with its outcome, as they come; with a BrokenProcessPool for one that kills its
        worker.

        Raises
        ------
        StoppedError
            `cancelled()` returned True.
        """
        waiting, lost = iter(items), []
        running: dict[concurrent.futures.Future[Any], Item] = {}
        while True:
            if cancelled():
                raise StoppedError("stopped while screening: call again to go on")
            for item in islice(waiting, AHEAD * self._workers - len(running)):
                running[self._pool.submit(work, item)] = item
            if not running:
                break
            done, _ = concurrent.futures.wait(
                running, timeout=0.5, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                item = running.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    lost.append(item)
                    continue
                yield item, outcome
            if lost:
                # All that ran with it are lost too: each again by itself tells which one it was.
                suspects, lost = [*lost, *running.values()], []
                running = {}
                yield from self._run_alone(work, suspects)

    def _run_alone(self, work: Callable[[Item], Any], items: list[Item]) -> Iterator[tuple[Item, Any]]:
        self._restart()
        for item in items:
            try:
                yield item, self._pool.submit(work, item).result()
            except BrokenProcessPool as error:
                self._restart()
                yield item, error

    def _restart(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._make_pool()
