"""Secrets of tests are the same in every run: what a key decides must not fail by luck."""

import hashlib
import secrets

import pytest


@pytest.fixture(scope="session")
def drawn_for_the_session() -> bytes:
    """Draw as fixtures of the whole session do."""
    return secrets.token_bytes(4)


@pytest.fixture
def drawn_for_a_test(drawn_for_the_session: bytes) -> tuple[bytes, bytes]:
    """Draw as a fixture does that another one stands on."""
    return drawn_for_the_session, secrets.token_bytes(4)


def nth_draw(stream: str, number: int) -> bytes:
    """Four bytes of a stream, as `SeededSecrets` draws them."""
    return hashlib.shake_256(f"{stream} {number}".encode()).digest(4)


def test_fixtures_draw_from_streams_of_their_own(drawn_for_a_test: tuple[bytes, bytes]) -> None:
    here = "fixture tests/test_seeded_secrets.py"
    assert drawn_for_a_test == (
        nth_draw(f"{here} drawn_for_the_session", 1),
        nth_draw(f"{here} drawn_for_a_test", 1),
    )


def test_a_fixture_asked_for_late_takes_nothing_from_a_test(request: pytest.FixtureRequest) -> None:
    first = secrets.token_bytes(4)
    request.getfixturevalue("drawn_for_a_test")
    stream = f"test {request.node.nodeid}"
    assert (first, secrets.token_bytes(4)) == (nth_draw(stream, 1), nth_draw(stream, 2))
