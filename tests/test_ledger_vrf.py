import hashlib

import pytest
from ledger_world import sha

from ledger import PublicKey
from ledger.edwards import (
    BASE,
    SMALL_ORDER,
    L,
    add_points,
    decode_point,
    encode_point,
    is_identity,
    multiply_point,
)
from ledger.errors import ProofError, WeakKeyError
from ledger.vrf import VrfKey, _challenge, _encode_to_curve, open_output

# RFC 9381, appendix B.3, examples 16 to 18: seed, public key, input, proof, output.
EXAMPLES = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f479d97"
        "27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
        "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff"
        "66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c92a465"
        "301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
        "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb"
        "5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f9ea3c0"
        "e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
        "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c45"
        "2118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f",
    ),
]
KEY = VrfKey(sha("vrf"))


@pytest.mark.parametrize(("seed", "public", "alpha", "proof", "output"), EXAMPLES)
def test_the_examples_of_rfc_9381_hold_byte_for_byte(
    seed: str, public: str, alpha: str, proof: str, output: str
) -> None:
    key = VrfKey(bytes.fromhex(seed))
    assert key.public_key.raw.hex() == public
    assert key.prove(bytes.fromhex(alpha)).hex() == proof
    assert open_output(key.public_key, bytes.fromhex(alpha), bytes.fromhex(proof)).hex() == output


def test_every_changed_byte_of_a_proof_and_every_other_length_is_refused() -> None:
    proof = KEY.prove(b"input")
    for place in range(len(proof)):
        changed = bytearray(proof)
        changed[place] ^= 1 << place % 8
        with pytest.raises(ProofError, match="VRF proof"):
            open_output(KEY.public_key, b"input", bytes(changed))
    for other in (proof[:-1], proof + b"\0", b""):
        with pytest.raises(ProofError, match="80 bytes"):
            open_output(KEY.public_key, b"input", other)


def test_a_proof_is_of_its_key_and_input_alone() -> None:
    proof = KEY.prove(b"input")
    output = open_output(KEY.public_key, b"input", proof)
    for public_key, alpha in ((KEY.public_key, b"inpuT"), (VrfKey(sha("other")).public_key, b"input")):
        with pytest.raises(ProofError, match="does not hold"):
            open_output(public_key, alpha, proof)
    assert output != open_output(KEY.public_key, b"inpuT", KEY.prove(b"inpuT"))


def test_a_scalar_has_one_spelling() -> None:
    proof = KEY.prove(b"input")
    again = int.from_bytes(proof[48:], "little") + L
    with pytest.raises(ProofError, match="below the group's order"):
        open_output(KEY.public_key, b"input", proof[:48] + again.to_bytes(32, "little"))


def test_not_even_the_key_s_owner_can_prove_a_second_output() -> None:
    """Gamma with a small-order part passes if its order divides the challenge; the output stays."""
    alpha, torsion = b"input", next(decode_point(item) for item in SMALL_ORDER if _order(item) == 2)
    proof = KEY.prove(alpha)
    gamma = add_points(decode_point(proof[:32]), torsion)
    hashed = hashlib.sha512(KEY.seed).digest()
    scalar = int.from_bytes(hashed[:32], "little") & ~7 & ~(1 << 255) | 1 << 254
    point = _encode_to_curve(KEY.public_key.raw, alpha)
    for nonce in range(1, 64):
        challenge = _challenge(
            KEY.public_key.raw, point, gamma, multiply_point(nonce, BASE), multiply_point(nonce, point)
        )
        if challenge[0] & 1 == 0:
            break
    response = (nonce + int.from_bytes(challenge, "little") * scalar) % L
    forged = encode_point(gamma) + challenge + response.to_bytes(32, "little")
    assert forged[:32] != proof[:32]
    assert open_output(KEY.public_key, alpha, forged) == open_output(KEY.public_key, alpha, proof)


def _order(encoded: bytes) -> int:
    point = decode_point(encoded)
    return next(order for order in (1, 2, 4, 8) if is_identity(multiply_point(order, point)))


def test_keys_outside_the_prime_order_group_are_none() -> None:
    mixed = encode_point(add_points(decode_point(KEY.public_key.raw), decode_point(min(SMALL_ORDER))))
    for raw in (*SMALL_ORDER, mixed, b"\xee" + 30 * b"\xff" + b"\x7f"):
        with pytest.raises(WeakKeyError):
            PublicKey(raw)


def test_a_secret_is_not_shown_and_has_32_bytes() -> None:
    assert KEY.seed.hex() not in repr(KEY)
    assert str(KEY.seed) not in repr(KEY)
    assert VrfKey.generate() != VrfKey.generate()
    with pytest.raises(ValueError, match="32 bytes"):
        VrfKey(b"short")
