import json

import pytest
from ledger_world import ACTOR_KEY, vector_path

from ledger import PublicKey, SigningKey, edwards
from ledger.ed25519 import Verify, verify_openssl, verify_sodium
from ledger.encoding import decode_base64url
from ledger.errors import BadSignatureError, FormatError, WeakKeyError

VERIFIERS = pytest.mark.parametrize("verify", [verify_openssl, verify_sodium])


def test_key_id_is_the_thumbprint_of_rfc8037_appendix_a3() -> None:
    public_key = PublicKey(decode_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "x"))
    assert public_key.key_id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert PublicKey.from_jwk(public_key.jwk()) == public_key


@VERIFIERS
def test_wycheproof_signatures_are_judged_as_the_suite_says(verify: Verify) -> None:
    suite = json.loads(vector_path("ed25519/wycheproof_ed25519_test.json").read_text())
    judged = 0
    for group in suite["testGroups"]:
        public_key = PublicKey(bytes.fromhex(group["publicKey"]["pk"]))
        for case in group["tests"]:
            signature, message = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
            if case["result"] == "valid":
                public_key.check_signature(signature, message, verify)
            else:
                with pytest.raises(BadSignatureError):
                    public_key.check_signature(signature, message, verify)
            judged += 1
    assert judged == suite["numberOfTests"]


@VERIFIERS
def test_cctv_edge_cases_are_accepted_only_where_every_verifier_agrees(verify: Verify) -> None:
    """Of 914 edge cases only those of an ordinary key with an ordinary signature may pass."""
    cases = json.loads(vector_path("ed25519/cctv_ed25519vectors.json").read_text())
    accepted, weak = [], 0
    for case in cases:
        flags = set(case["flags"] or [])
        raw = bytes.fromhex(case["key"])
        if flags & {"low_order_A", "low_order_component_A", "non_canonical_A"}:
            weak += 1
            with pytest.raises(WeakKeyError):
                PublicKey(raw)
            continue
        try:
            PublicKey(raw).check_signature(bytes.fromhex(case["sig"]), case["msg"].encode(), verify)
        except BadSignatureError:
            continue
        accepted.append(flags)
    assert (len(cases), weak, accepted) == (914, 886, [set()])


def test_the_table_of_small_order_points_is_complete() -> None:
    assert len(edwards.SMALL_ORDER) == 8
    for encoded in edwards.SMALL_ORDER:
        try:
            point = edwards.decode_point(encoded)
        except WeakKeyError:  # x = 0 with the sign bit set decodes to nothing
            continue
        assert edwards.is_identity(edwards.multiply_point(8, point))
        with pytest.raises(WeakKeyError):
            PublicKey(encoded)


@pytest.mark.parametrize("raw", [b"", b"\x01" * 31, b"\x01" * 33, (2).to_bytes(32, "little"), b"\xff" * 32])
def test_bytes_that_are_no_point_are_refused(raw: bytes) -> None:
    with pytest.raises(WeakKeyError):
        PublicKey(raw)


@VERIFIERS
def test_every_flipped_bit_of_a_signature_is_noticed(verify: Verify) -> None:
    signature = ACTOR_KEY.sign(b"message")
    ACTOR_KEY.public_key.check_signature(signature, b"message", verify)
    for position in range(512):
        changed = bytearray(signature)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(BadSignatureError):
            ACTOR_KEY.public_key.check_signature(bytes(changed), b"message", verify)


def test_a_signing_key_survives_its_pem_and_hides_its_secret() -> None:
    restored = SigningKey.from_pem(ACTOR_KEY.pem())
    assert restored.key_id == ACTOR_KEY.key_id
    assert restored.sign(b"x") == ACTOR_KEY.sign(b"x")
    assert repr(restored) == f"SigningKey(key_id='{ACTOR_KEY.key_id}')"
    assert SigningKey.generate().key_id != SigningKey.generate().key_id


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        {},
        {"crv": "Ed25519", "kty": "OKP"},
        {"crv": "X25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="},
        {"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "d": ""},
    ],
)
def test_other_jwks_are_refused(jwk: object) -> None:
    with pytest.raises(FormatError):
        PublicKey.from_jwk(jwk)


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_other_pem_files_are_refused(pem: bytes) -> None:
    with pytest.raises(FormatError):
        SigningKey.from_pem(pem)
