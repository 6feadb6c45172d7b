"""Work that one service of a ledger folder does for all, every few seconds, in a thread of its own."""

import logging
import threading
from collections.abc import Callable

from .leading import Lead

logger = logging.getLogger(__name__)


class Rounds:
    """A thread that does a piece of work again and again, as long as this service has the lead.

    `work` is given what tells whether the service is stopping; whatever it raises is logged as "NAME failed",
    and the next round tries again.
    """

    def __init__(
        self, name: str, work: Callable[[Callable[[], bool]], object], lead: Lead, interval_s: float
    ) -> None:
        self._name = name
        self._work = work
        self._lead = lead
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin after the first interval."""
        self._thread.start()

    def close(self) -> None:
        """Stop when the work under way has ended or noticed."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                if self._lead.take():
                    self._work(self._stopping.is_set)
            except Exception:
                # Whatever it is, the thread lives on for the next round.
                logger.exception("%s failed; trying again", self._name)
