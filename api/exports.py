"""The rows of an audit for other programs: CSV for spreadsheets, Parquet for analysis.

A row of strangers' files has strangers' words in it: in CSV a cell that a spreadsheet would take for a
formula begins with an apostrophe.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import RefusedError
from .manifest import Row

COLUMNS: Mapping[str, str] = {
    "path": "string",
    "class": "string",
    "verdict": "string",
    "machine_made": "string",
    "track_id": "string",
    "digital_source_type": "string",
    "status": "string",
    "copies": "list",
    "reasons": "list",
    "false_alarm_at_most": "string",
    "sounds_like": "string",
    "credential": "string",
    "contradicted": "list",
    "duplicate_of": "string",
    "same": "string",
    "bytes": "integer",
    "milliseconds": "integer",
    "sha256": "string",
    "pcm_sha256": "string",
    "code": "string",
}
"""Columns and what they hold, in their order; a list is joined by spaces in CSV."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def format_csv(_predicate: Mapping[str, Any], rows: Sequence[Row]) -> bytes:
    """Return the rows as CSV (RFC 4180), UTF-8, with a head."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_show(_pick(row, name)) for name in COLUMNS])
    return text.getvalue().encode("utf-8", "backslashreplace")


def format_parquet(_predicate: Mapping[str, Any], rows: Sequence[Row]) -> bytes:
    """Return the rows as Parquet; RefusedError where pyarrow, the extra `parquet`, is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise RefusedError("Parquet needs pyarrow: install the extra, provenote[parquet]") from error
    kinds = {"string": pa.string(), "integer": pa.int64(), "list": pa.list_(pa.string())}
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    columns = {name: [_pick(row, name) for row in rows] for name in COLUMNS}
    target = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), target, compression="zstd")
    return target.getvalue()


def _pick(row: Row, name: str) -> Any:
    value = row.get(name)
    if name == "sounds_like" and isinstance(value, Mapping):
        return value["track_id"] or value["name"]
    return [] if value is None and COLUMNS[name] == "list" else value


def _show(value: Any) -> Any:
    text = " ".join(map(str, value)) if isinstance(value, list) else value
    if isinstance(text, str) and text.startswith(FORMULA):
        return f"'{text}"
    return "" if text is None else text
