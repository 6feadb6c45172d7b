"""Keyed streams: labels are independent, values are pinned, keys are checked."""

import numpy as np
import pytest

from watermark.keystream import KeyStream, derive, keyed_check
from watermark.layout import layout_of
from watermark.profile import PN1

WATERMARK_KEY = bytes(range(32))


def test_each_label_profile_and_key_has_a_stream_of_its_own() -> None:
    subkeys = {
        derive(key, profile, label)
        for key in (WATERMARK_KEY, bytes(32))
        for profile in ("pn1", "pn2", "pn3")
        for label in ("sync-chips", "payload-chips", "interleaver", "check")
    }
    assert len(subkeys) == 24


def test_subkey_follows_rfc_5869_as_the_library_of_the_host_computes_it() -> None:
    # HKDF by hand: extract with a zero salt, expand one block.
    import hashlib
    import hmac

    prk = hmac.new(bytes(32), WATERMARK_KEY, hashlib.sha256).digest()
    okm = hmac.new(prk, b"provenote/pn1/check" + b"\x01", hashlib.sha256).digest()
    assert derive(WATERMARK_KEY, "pn1", "check") == okm


def test_a_stream_goes_on_where_it_stopped() -> None:
    whole = KeyStream(WATERMARK_KEY, "pn1", "x").take(100)
    stream = KeyStream(WATERMARK_KEY, "pn1", "x")
    assert stream.take(37) + stream.take(63) == whole


def test_chips_are_balanced_signs() -> None:
    chips = KeyStream(WATERMARK_KEY, "pn1", "chips").chips(20_000)
    assert set(np.unique(chips)) == {-1, 1}
    # Six deviations of a fair coin; the key is fixed, so there is no luck in it.
    assert abs(int(chips.sum())) < 6 * 20_000**0.5


def test_permutation_holds_every_place_once() -> None:
    order = KeyStream(WATERMARK_KEY, "pn1", "p").permutation(1000)
    assert sorted(order.tolist()) == list(range(1000))
    assert order.tolist() != list(range(1000))


def test_check_depends_on_key_and_payload() -> None:
    one = keyed_check(WATERMARK_KEY, "pn1", b"12345678", 32)
    assert len(one) == 4
    assert one != keyed_check(bytes(32), "pn1", b"12345678", 32)
    assert one != keyed_check(WATERMARK_KEY, "pn1", b"12345679", 32)


@pytest.mark.parametrize("bad", [b"", bytes(31), bytes(33), "k" * 32])
def test_a_watermark_key_of_another_length_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match="watermark key of 32 or 64 bytes"):
        layout_of(bad, PN1)
