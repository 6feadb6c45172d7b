"""Requests made up from the OpenAPI document get no 5xx, and answers that the document describes.

Only those that read: `python -m benchmarks.fuzz_openapi` calls every operation, and more often.
"""

from pathlib import Path

import pytest
from conftest import Stamped
from http_service import served

from benchmarks.fuzz_openapi import fuzz
from benchmarks.service import Served


@pytest.mark.package("schemathesis")
def test_made_up_requests_get_described_answers(stamped: Stamped, tmp_path: Path) -> None:
    with served(stamped.home) as client:
        target = Served(str(client.base_url).rstrip("/"), stamped.token, stamped.track_id)
        outcome = fuzz(target, examples=1, seed=1, only="GET")
    assert outcome.faults == {}
    assert outcome.requests > 30
