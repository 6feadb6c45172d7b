"""Requests made up from the OpenAPI document get no 5xx, and answers that the document describes.

Every operation, by a right request and a wrong one; `python -m benchmarks.fuzz_openapi` sends many more.
"""

from pathlib import Path

import pytest
from conftest import Stamped
from http_service import served

from benchmarks.fuzz_openapi import fuzz
from benchmarks.service import Served


@pytest.mark.package("schemathesis")
def test_made_up_requests_get_described_answers(stamped: Stamped, tmp_path: Path) -> None:
    with served(stamped.home, PROVENOTE_JOB_WORKERS="0") as client:
        target = Served(str(client.base_url).rstrip("/"), stamped.token, stamped.track_id)
        outcome = fuzz(target, examples=1, seed=1)
        operations = {
            f"{method.upper()} {path}"
            for path, methods in client.get("/openapi.json").json()["paths"].items()
            for method in methods
        }
    assert outcome.faults == {}
    assert {name for name, _ in outcome.answers} == operations
