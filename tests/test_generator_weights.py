"""Weights are the published ones or are refused."""

import json
import shutil
from pathlib import Path

import pytest

from generator.errors import WeightsError
from generator.weights import (
    COMPOSER,
    FILES,
    TIMBRE,
    load_sequences,
    read_digests,
    read_weights,
    weights_folder,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the published weights."""
    for name in (*FILES, "digests.json"):
        shutil.copy(str(weights_folder() / name), tmp_path / name)
    return tmp_path


def test_published_weights_have_their_pinned_digests_and_are_small(folder: Path) -> None:
    digests = read_digests(folder)
    assert sum(len(read_weights(folder, name, digest)) for name, digest in digests.items()) < 15_000_000


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(WeightsError, match=f"expected {name} with SHA-256"):
        read_weights(folder, name, read_digests(folder)[name])


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / TIMBRE).unlink()
    with pytest.raises(WeightsError, match=TIMBRE):
        read_weights(folder, TIMBRE, "0" * 64)


@pytest.mark.parametrize("text", ["", "{}", json.dumps({COMPOSER: "0" * 64})])
def test_digests_must_be_complete(folder: Path, text: str) -> None:
    (folder / "digests.json").write_text(text)
    with pytest.raises(WeightsError, match=r"digest"):
        read_digests(folder)


def test_the_index_of_sequences_is_sorted(folder: Path) -> None:
    sequences = load_sequences((folder / "tunes.safetensors").read_bytes())
    assert len(sequences) > 100_000
    assert bool((sequences[1:] > sequences[:-1]).all())
