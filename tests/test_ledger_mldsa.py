import json

import pytest
from ledger_world import sha, vector_path

from ledger.errors import BadSignatureError, FormatError
from ledger.mldsa import MldsaPublicKey, MldsaSigningKey


def test_wycheproof_cases_are_judged_as_they_say() -> None:
    suite = json.loads(vector_path("mldsa44/wycheproof_mldsa_44_verify_test.json").read_text())
    judged = 0
    for group in suite["testGroups"]:
        for case in group["tests"]:
            message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            context = bytes.fromhex(case.get("ctx", ""))
            judged += 1
            if case["result"] == "valid":
                public_key = MldsaPublicKey(bytes.fromhex(group["publicKey"]))
                public_key.check_signature(signature, message, context=context)
            else:
                with pytest.raises((BadSignatureError, FormatError)):
                    MldsaPublicKey(bytes.fromhex(group["publicKey"])).check_signature(
                        signature, message, context=context
                    )
    assert judged == 180


def test_a_key_is_its_seed_and_signs_for_itself_alone() -> None:
    key = MldsaSigningKey(sha("seed"))
    again = MldsaSigningKey(key.seed)
    assert again.public_key == key.public_key
    signature = key.sign(b"message")
    key.public_key.check_signature(signature, b"message")
    for wrong in (signature[:-1], signature + b"x", bytes([signature[0] ^ 1]) + signature[1:]):
        with pytest.raises(BadSignatureError):
            key.public_key.check_signature(wrong, b"message")
    with pytest.raises(BadSignatureError):
        key.public_key.check_signature(signature, b"massage")
    with pytest.raises(BadSignatureError):
        MldsaSigningKey.generate().public_key.check_signature(signature, b"message")


def test_secrets_are_not_shown_and_lengths_hold() -> None:
    key = MldsaSigningKey(sha("seed"))
    assert sha("seed").hex() not in repr(key)
    with pytest.raises(ValueError, match="32 bytes"):
        MldsaSigningKey(b"short")
    with pytest.raises(FormatError, match="1312"):
        MldsaPublicKey(bytes(1311))
