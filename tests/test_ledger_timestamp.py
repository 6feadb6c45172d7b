import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from ledger_world import sha
from tsa_server import Authority, make_authority

from ledger import der, timestamp
from ledger.errors import FormatError, LedgerError, ProofError, TimestampError
from ledger.timestamp import build_request, hash_text, load_roots, open_token, read_response

pytestmark = pytest.mark.tool("openssl")
IMPRINT = hash_text("provenote.example/test\n5\nroot\n")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def token(authority: Authority) -> bytes:
    return authority.stamp(IMPRINT, nonce=2**63 + 5)


def test_a_token_of_openssl_says_when_and_by_whom(authority: Authority, token: bytes) -> None:
    found = open_token(token, IMPRINT, [authority.root], nonce=2**63 + 5)
    assert abs(found.time - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=5)
    assert (found.authority, found.policy) == ("CN=Test time-stamps", "1.2.3.4.1")
    assert found.serial >= 1
    assert open_token(token, IMPRINT, load_roots(authority.roots_pem)) == found


@pytest.mark.parametrize(("kind", "digest"), [("rsa", "sha1"), ("ec", "sha256"), ("ec", "sha512")])
def test_authorities_of_other_kinds_are_read(tmp_path: Path, kind: str, digest: str) -> None:
    other = make_authority(tmp_path / "tsa", kind=kind, digest=digest)
    assert open_token(other.stamp(IMPRINT), IMPRINT, [other.root]).serial >= 1


def test_a_token_holds_for_its_own_data_and_request_alone(authority: Authority, token: bytes) -> None:
    with pytest.raises(ProofError, match="other data"):
        open_token(token, sha("other"), [authority.root])
    with pytest.raises(ProofError, match="another request"):
        open_token(token, IMPRINT, [authority.root], nonce=5)


def test_every_changed_byte_of_a_token_is_refused(authority: Authority, token: bytes) -> None:
    survived = []
    for position in range(len(token)):
        changed = bytearray(token)
        changed[position] ^= 1
        try:
            open_token(bytes(changed), IMPRINT, [authority.root])
        except LedgerError:
            continue
        survived.append(position)
    # At most the count of unused bits (0) in front of a certificate's own signature, if its last bit is 0.
    assert all(token[position - 4 : position + 1] == b"\x03\x82\x01\x01\x00" for position in survived)
    assert len(survived) <= 2
    for cut in range(0, len(token), 7):
        with pytest.raises(FormatError):
            open_token(token[:cut], IMPRINT, [authority.root])
    with pytest.raises(FormatError):
        open_token(token + b"\0", IMPRINT, [authority.root])


def test_only_the_caller_s_roots_are_trusted(authority: Authority, token: bytes, tmp_path: Path) -> None:
    stranger = make_authority(tmp_path / "tsa")
    for roots in ([], [stranger.root]):
        with pytest.raises(TimestampError, match="trusted authority"):
            open_token(token, IMPRINT, roots)
    middle = x509.load_pem_x509_certificate((authority.folder / "chain.pem").read_bytes())
    signer = x509.load_pem_x509_certificate((authority.folder / "tsa.pem").read_bytes())
    for root in (middle, signer):  # the caller may trust less than the root
        assert open_token(token, IMPRINT, [root]).policy == "1.2.3.4.1"


@pytest.mark.parametrize(
    "options",
    [
        {"usages": [ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH]},
        {"usages": [ExtendedKeyUsageOID.CODE_SIGNING]},
        {"critical": False},
    ],
)
def test_a_certificate_for_other_purposes_may_not_stamp(
    authority: Authority, tmp_path: Path, options: dict
) -> None:
    """OpenSSL itself refuses to sign with such a certificate, so it is put in the place of the right one."""
    made = make_authority(tmp_path / "tsa")
    sound = made.stamp(IMPRINT)
    wrong = make_authority(tmp_path / "wrong", **options)
    certificate = (wrong.folder / "tsa.pem").read_bytes()
    with pytest.raises(TimestampError, match="time-stamping"):
        timestamp._check_purpose(x509.load_pem_x509_certificate(certificate))
    assert open_token(sound, IMPRINT, [made.root])


def test_a_certificate_that_had_expired_may_not_stamp(tmp_path: Path) -> None:
    expired = make_authority(tmp_path / "tsa", years=1)
    with pytest.raises(TimestampError, match="not valid"):
        open_token(expired.stamp(IMPRINT), IMPRINT, [expired.root])


def test_an_intermediate_that_is_no_authority_leads_nowhere(tmp_path: Path) -> None:
    broken = make_authority(tmp_path / "tsa", middle_ca=False)
    with pytest.raises(TimestampError, match="trusted authority"):
        open_token(broken.stamp(IMPRINT), IMPRINT, [broken.root])


def test_a_refusal_is_told_from_an_answer(authority: Authority) -> None:
    request = build_request(IMPRINT, 1)
    unknown = request.replace(
        der.encode_oid("2.16.840.1.101.3.4.2.1"), der.encode_oid("2.16.840.1.101.3.4.2.2")
    )
    with pytest.raises(TimestampError, match="refused"):
        read_response(authority.answer(unknown))
    for data in (b"", b"\x30\x00", b"<html>", b"\x30\x03\x02\x01\x00", request):
        with pytest.raises(FormatError):
            read_response(data)


def test_roots_are_certificates() -> None:
    for pem in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(FormatError):
            load_roots(pem)


@pytest.mark.package("rfc3161_client")
def test_another_verifier_takes_and_refuses_the_same_tokens(tmp_path: Path) -> None:
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    # With one certificate: OpenSSL does not sort a set of several, as that verifier wants it (and DER says).
    authority = make_authority(tmp_path / "tsa", direct=True)
    message = b"provenote.example/test\n5\nroot\n"
    response = decode_timestamp_response(authority.answer(build_request(IMPRINT, 99)))
    verifier = VerifierBuilder(nonce=99).add_root_certificate(authority.root).build()
    assert verifier.verify_message(response, message)
    with pytest.raises(VerificationError):
        verifier.verify_message(response, b"other")
    ours = open_token(response.time_stamp_token(), IMPRINT, [authority.root], nonce=99)
    assert ours.time == response.tst_info.gen_time
    assert ours.serial == response.tst_info.serial_number
