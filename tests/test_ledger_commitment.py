import hashlib

import pytest

from ledger import Opening, commit
from ledger.commitment import check_opening
from ledger.errors import FormatError, ProofError

SALT = bytes(range(32))


def test_a_commitment_is_the_documented_hash() -> None:
    expected = hashlib.sha256(b"provenote/commitment/v1\nprompt\n" + SALT + b'"slow waltz"').digest()
    assert commit("prompt", SALT, "slow waltz") == expected


def test_only_the_same_label_salt_and_value_open_it() -> None:
    commitment = commit("prompt", SALT, {"text": "slow waltz"})
    check_opening(Opening("prompt", SALT, {"text": "slow waltz"}), commitment)
    for other in (
        Opening("mark_id", SALT, {"text": "slow waltz"}),
        Opening("prompt", SALT[::-1], {"text": "slow waltz"}),
        Opening("prompt", SALT, {"text": "slow Waltz"}),
        Opening("prompt", SALT, "slow waltz"),
    ):
        with pytest.raises(ProofError):
            check_opening(other, commitment)


@pytest.mark.parametrize(
    ("label", "salt", "value"),
    [("", SALT, 1), ("A", SALT, 1), ("a\nb", SALT, 1), ("prompt", SALT[1:], 1), ("prompt", SALT, 1.5)],
)
def test_what_cannot_be_committed_to_is_refused(label: str, salt: bytes, value: object) -> None:
    with pytest.raises(FormatError):
        commit(label, salt, value)
