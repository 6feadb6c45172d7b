"""Figures for Prometheus (`GET /metrics`): what this service has done, and how its ledger stands.

Two kinds. Counts and times are of the process that answers; where several processes are given the same folder
by PROMETHEUS_MULTIPROC_DIR, as Prometheus' client has it, of all of them together. How the ledger, its jobs
and its publication stand is read from the database and the ledger folder when it is asked for, so every
process says the same.
"""

import os
import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from ledger.errors import LedgerError

from ..installation import Installation
from ..publishing import read_published
from ..scrubbing import read_progress

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
VERIFICATION_BUCKETS_S = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "provenote_http_requests_total",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._request_seconds = Histogram(
            "provenote_http_request_seconds",
            "Time to answer a request, streams to their end.",
            ["route"],
            registry=self._registry,
        )
        self._verdicts = Counter(
            "provenote_verifications_total",
            "Verifications by verdict.",
            ["verdict"],
            registry=self._registry,
        )
        self._verification_seconds = Histogram(
            "provenote_verification_seconds",
            "Time of a verification, after its upload and once it had a place.",
            buckets=VERIFICATION_BUCKETS_S,
            registry=self._registry,
        )

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(method if method in METHODS else "other", route, status).inc()
        self._request_seconds.labels(route).observe(seconds)

    def count_verification(self, verdict: str, seconds: float) -> None:
        """Count a verification."""
        self._verdicts.labels(verdict).inc()
        self._verification_seconds.observe(seconds)

    def format(self, installation: Installation) -> bytes:
        """Return all figures in Prometheus' text format."""
        standing = CollectorRegistry()
        standing.register(Standing(installation))
        return self.format_counts() + bytes(generate_latest(standing))

    def format_counts(self) -> bytes:
        """Return counts and times, of this process or of all that share a folder."""
        registry = self._registry
        if MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return bytes(generate_latest(registry))


class Standing:
    """How a ledger and what is around it stand just now."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def collect(self) -> Iterable[Metric]:
        """Read the figures; without a database those that come from files, and that there is none."""
        try:
            database = list(self._read_database())
        except LedgerError:
            database = []
        yield GaugeMetricFamily("provenote_database_up", "1 if the database answers.", bool(database))
        yield from database
        yield from self._read_files()

    def _read_database(self) -> Iterable[Metric]:
        size = self._installation.store.state().size
        yield GaugeMetricFamily("provenote_ledger_size", "Entries in the log.", size)
        jobs = GaugeMetricFamily("provenote_jobs", "Jobs by state, ever.", labels=["kind", "state"])
        for (kind, state), number in self._installation.jobs.count_all().items():
            jobs.add_metric([kind, state], number)
        yield jobs
        waiting = self._installation.jobs.count()["queued"]
        yield GaugeMetricFamily("provenote_jobs_waiting", "Jobs that wait for a worker.", waiting)

    def _read_files(self) -> Iterable[Metric]:
        scrubbed = read_progress(self._installation.settings.scrubbing)
        yield GaugeMetricFamily(
            "provenote_scrub_findings",
            "Faults found, not yet seen healed.",
            len(scrubbed.known),
        )
        yield GaugeMetricFamily("provenote_scrub_rounds", "Whole rounds of scrubbing.", scrubbed.rounds)
        published = read_published(self._installation.settings)
        if published is None:
            return
        yield GaugeMetricFamily(
            "provenote_published_age_seconds",
            "Since a checkpoint was last published: it is, every few seconds, where one service runs.",
            max(0.0, time.time() - published.time_s),
        )
        yield GaugeMetricFamily("provenote_published_size", "Size of the published log.", published.size)
        yield GaugeMetricFamily(
            "provenote_published_witnessed",
            "1 if enough witnesses cosigned.",
            published.witnessed,
        )
        yield GaugeMetricFamily(
            "provenote_witness_alarms", "Witnesses that know another history.", len(published.alarms)
        )
