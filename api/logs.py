"""Logs of a service: one line a record, as text or as JSON, with the request that it belongs to.

    {"time": "2026-11-28T22:37:51.204Z", "level": "INFO", "logger": "api.http.tracing", "message": "request",
     "request_id": "5b1f0c77a2d94e0e", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "method": "POST",
     "path": "/v1/stamps", "status": 202, "duration_ms": 41}

No record has a token, a query, a body or a file's name as it was given: paths are logged without their query,
uploads have random names, and where a message of ours names a track, it is by its id.
"""

import datetime
import json
import logging
import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
"""W3C Trace Context, 3.2: version, trace id, parent id, flags; later versions may go on after a dash."""


@dataclass(frozen=True)
class Trace:
    """The request that is being answered: its id, and the trace that it is a part of, if it came with one."""

    request_id: str
    trace_id: str | None = None


current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)


def read_trace(headers: Mapping[str, str]) -> Trace:
    """Return what a request says of itself; an id that is missing or not plain is drawn anew."""
    given = headers.get("x-request-id", "")
    request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    return Trace(request_id, parse_traceparent(headers.get("traceparent", "")))


def parse_traceparent(text: str) -> str | None:
    """Return the trace id of a `traceparent` header, or None for what must be ignored."""
    found = TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    version, trace_id, parent_id, rest = found.groups()
    invalid = version == "ff" or (version == "00" and rest)
    return None if invalid or not int(trace_id, 16) or not int(parent_id, 16) else trace_id


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON; members of `extra={"facts": {...}}` become its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        members: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        trace = current_trace.get()
        if trace is not None:
            members |= {"request_id": trace.request_id, "trace_id": trace.trace_id}
        members |= getattr(record, "facts", {})
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in members.items() if value is not None}, default=str)


class TextFormatter(logging.Formatter):
    """Writes a record as a line to be read, and what belongs to it after it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or lines, where there is an exception."""
        facts = dict(getattr(record, "facts", {}))
        trace = current_trace.get()
        if trace is not None:
            facts["request_id"] = trace.request_id
        told = "".join(f" {name}={value}" for name, value in facts.items() if value is not None)
        text = f"{record.levelname} {record.name}: {record.getMessage()}{told}"
        return text if not record.exc_info else f"{text}\n{self.formatException(record.exc_info)}"


def set_up_logging(form: str, level: str) -> None:
    """Write all records of this process to standard error; for entry points alone.

    Parameters
    ----------
    form
        `json` or `text`.
    level
        Such as `INFO`: the least important records that are written.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in (
        "httpx",
        "httpcore",
        "huey",
        "alembic",
    ):  # what they say at INFO is not about requests of ours
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
