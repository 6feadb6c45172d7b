"""The cells of a block: every one is used once, and the published profile never changes."""

import hashlib

import numpy as np
import pytest

from watermark.keystream import epoch_key
from watermark.layout import codeword_of, first_column_of, layout_of
from watermark.profile import PN1, PN2, PN3, PROFILES, Profile

WATERMARK_KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("0123456789abcdef")


def test_each_cell_carries_either_synchronisation_or_payload() -> None:
    layout = layout_of(WATERMARK_KEY, PN1)
    assert ((layout.sync_chips != 0) ^ (layout.payload_chips != 0)).all()
    share = (layout.sync_chips != 0).mean(axis=0)
    assert np.allclose(share, PN1.sync_share, atol=0.01)


def test_rows_cover_the_bands_without_gap_or_overlap() -> None:
    rows = layout_of(WATERMARK_KEY, PN1).row_bands
    assert rows[0, 0] == 0
    assert rows[-1, 1] == PN1.bands
    assert (rows[1:, 0] == rows[:-1, 1]).all()


def test_every_codeword_bit_gets_its_fair_share_of_cells() -> None:
    layout = layout_of(WATERMARK_KEY, PN1)
    counts = np.bincount(layout.codeword_position[layout.payload_chips != 0], minlength=PN1.codeword_bits)
    assert counts.max() - counts.min() <= 1


def test_chips_are_signs_and_follow_the_codeword() -> None:
    layout = layout_of(WATERMARK_KEY, PN1)
    zeros = np.zeros(PN1.codeword_bits, np.uint8)
    chips, flipped = layout.chips(zeros), layout.chips(1 - zeros)
    assert set(np.unique(chips)) == {-1, 1}
    is_sync = layout.sync_chips != 0
    assert (chips[is_sync] == flipped[is_sync]).all()
    assert (chips[~is_sync] == -flipped[~is_sync]).all()


def test_layouts_of_two_keys_agree_by_chance_alone() -> None:
    a, b = layout_of(WATERMARK_KEY, PN1), layout_of(bytes(32), PN1)
    zeros = np.zeros(PN1.codeword_bits, np.uint8)
    product = a.chips(zeros).astype(int) * b.chips(zeros)
    assert abs(product.sum()) < 6 * product.size**0.5


def test_first_column_differs_between_payloads() -> None:
    columns = {first_column_of(bytes([n]) * 8, WATERMARK_KEY, PN1) for n in range(40)}
    assert len(columns) > 20
    assert all(0 <= column < PN1.period_columns for column in columns)


def test_profile_names_are_unique_and_cells_fit_octaves() -> None:
    assert len({profile.name for profile in PROFILES}) == len(PROFILES)
    for profile in PROFILES:
        assert all(profile.bands_per_octave % width == 0 for width in profile.cell_bands)
        assert profile.payload_bits % 8 == 0
        assert profile.check_bits % 8 == 0


PINNED = {
    "pn1": ("119066e23923a2811d1c7678425adab9e33ea1d46b7c6f1b8b8b18ca2c97cdad", 13),
    "pn3": ("7738e3806c36293e2191d424487a7d629c47086870d4411344d0c5ee656af102", 13409),
    "pn2": ("1dfe515070c2f8cc082e3e028e29362cd6de4a946daefaa3cd7d83bd84b328af", 81),
}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_published_profile_is_frozen(profile: Profile) -> None:
    """A file marked yesterday is read tomorrow: a published profile's pattern is pinned by its digest."""
    layout = layout_of(WATERMARK_KEY, profile)
    chips = layout.chips(codeword_of(PAYLOAD, WATERMARK_KEY, profile))
    pattern = chips.tobytes() + layout.row_bands.astype("<i8").tobytes()
    if layout.masks is not None:
        pattern += layout.pilot_chips.tobytes() + layout.masks.tobytes()
    digest = hashlib.sha256(pattern).hexdigest()
    assert (digest, first_column_of(PAYLOAD, WATERMARK_KEY, profile)) == PINNED[profile.name]


def test_blocks_differ_in_all_chips_but_the_pilots() -> None:
    layout = layout_of(WATERMARK_KEY, PN3)
    assert layout.masks is not None
    assert layout.masks.shape == (PN3.blocks, *layout.sync_chips.shape)
    pilot = layout.pilot_chips != 0
    assert pilot.mean() == pytest.approx(PN3.pilot_share, abs=0.003)
    assert (layout.pilot_chips[pilot] == layout.sync_chips[pilot]).all()
    assert (layout.masks[:, pilot] == 1).all()
    others = layout.masks[::8, ~pilot].astype(np.float32)
    alike = others @ others.T / others.shape[1]
    # 120 pairs of 15,700 coin tosses: six deviations come by chance once in four million layouts.
    assert np.abs(alike - np.eye(len(others))).max() < 6 / others.shape[1] ** 0.5


def test_where_blocks_differ_files_begin_anywhere_in_the_sequence() -> None:
    columns = [first_column_of(bytes([n]) * 8, WATERMARK_KEY, PN3) for n in range(60)]
    assert max(columns) > PN3.sequence_columns * 0.9
    assert min(columns) < PN3.sequence_columns * 0.1
    assert all(0 <= column < PN3.sequence_columns for column in columns)


def test_epochs_share_the_masks_of_blocks() -> None:
    one = layout_of(epoch_key(WATERMARK_KEY, bytes(32)), PN3)
    other = layout_of(epoch_key(WATERMARK_KEY, bytes([1]) * 32), PN3)
    assert one.masks is other.masks


def test_epochs_of_a_key_share_synchronisation_and_nothing_else() -> None:
    one = layout_of(epoch_key(WATERMARK_KEY, bytes(32)), PN2)
    other = layout_of(epoch_key(WATERMARK_KEY, bytes([1]) * 32), PN2)
    assert (one.sync_chips == other.sync_chips).all()
    agreement = one.payload_chips.astype(int) * other.payload_chips
    assert abs(agreement.sum()) < 6 * (agreement != 0).sum() ** 0.5
    assert (one.codeword_position != other.codeword_position).mean() > 0.5


def test_a_key_of_two_equal_halves_is_the_key_of_32_bytes() -> None:
    one, other = layout_of(WATERMARK_KEY, PN2), layout_of(WATERMARK_KEY * 2, PN2)
    assert (one.sync_chips == other.sync_chips).all()
    assert (one.payload_chips == other.payload_chips).all()
