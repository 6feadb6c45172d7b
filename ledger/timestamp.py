"""Time-stamps of RFC 3161: an authority's signed word that a checkpoint existed at a time.

What is stamped is the SHA-256 of a checkpoint's text (origin, size, root). A token is a CMS SignedData (RFC
5652) over a TSTInfo; it is checked here offline, down to a root certificate that the caller trusts:

1. the token is a SignedData over a TSTInfo with one signer whose certificate it carries
2. the TSTInfo names the SHA-256 of the text, and the nonce where one was sent
3. the signed attributes name that content's digest and this very certificate (RFC 5035, RFC 2634)
4. the certificate's key has signed the attributes
5. the certificate may do nothing but time-stamping, was valid at that time, and leads to a trusted root

Whether a certificate was revoked is not looked up: a token proves what the authority signed.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from . import der
from .errors import FormatError, ProofError, TimestampError

SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
}
SHA256 = "2.16.840.1.101.3.4.2.1"
RSA_SIGNATURES = {
    "1.2.840.113549.1.1.1": None,  # rsaEncryption: the digest is named elsewhere
    "1.2.840.113549.1.1.11": hashes.SHA256,
    "1.2.840.113549.1.1.12": hashes.SHA384,
    "1.2.840.113549.1.1.13": hashes.SHA512,
}
ECDSA_SIGNATURES = {
    "1.2.840.10045.4.3.2": hashes.SHA256,
    "1.2.840.10045.4.3.3": hashes.SHA384,
    "1.2.840.10045.4.3.4": hashes.SHA512,
}
ED25519_SIGNATURES = {"1.3.101.112": None}
MAX_CHAIN = 6
GRANTED = (0, 1)
"""PKIStatus: granted, and granted with modifications."""
_MALFORMED = (
    IndexError,  # fewer parts than there must be
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True)
class Timestamp:
    """What a verified token says.

    Attributes
    ----------
    time : when, by the authority's clock (UTC)
    authority : subject of its certificate, as RFC 4514 text
    serial : the token's number
    policy : object identifier of the policy that it was issued under
    """

    time: datetime.datetime
    authority: str
    serial: int
    policy: str


def hash_text(text: str) -> bytes:
    """Return what is stamped of a checkpoint: the SHA-256 of its text, without signature lines."""
    return hashlib.sha256(text.encode("utf-8")).digest()


def build_request(imprint: bytes, nonce: int) -> bytes:
    """Return a TimeStampReq (section 2.4.1) for a SHA-256, asking for the authority's certificates."""
    algorithm = der.encode_sequence([der.encode_oid(SHA256), der.encode(der.NULL, b"")])
    return der.encode_sequence(
        [
            der.encode_integer(1),
            der.encode_sequence([algorithm, der.encode(der.OCTET_STRING, imprint)]),
            der.encode_integer(nonce),
            der.encode(der.BOOLEAN, b"\xff"),
        ]
    )


def read_response(response: bytes) -> bytes:
    """Return the token of a TimeStampResp (section 2.4.2), unverified.

    Raises
    ------
    FormatError : not a response
    TimestampError : the authority refused
    """
    parts = der.read_element(response).check_tag(der.SEQUENCE, "time-stamp response").children()
    status = parts[0].check_tag(der.SEQUENCE, "status").children() if parts else []
    if not status or len(parts) > 2:
        raise FormatError("time-stamp response: expected a status and perhaps a token")
    code = status[0].integer("status")
    if code not in GRANTED or len(parts) != 2:
        raise TimestampError(f"the authority refused: status {code}, {response[:200]!r}")
    return parts[1].encoded


def open_token(
    token: bytes, imprint: bytes, roots: Sequence[x509.Certificate], *, nonce: int | None = None
) -> Timestamp:
    """Verify a token over a SHA-256.

    Parameters
    ----------
    token : DER
    imprint : the 32 bytes that must have been stamped
    roots : certificates of authorities that the caller trusts, from a source other than the token
    nonce : what the request carried; None when the token is checked later

    Raises
    ------
    FormatError : not a token
    TimestampError : not one by a trusted authority, or its signature does not verify
    ProofError : for other data, or the answer to another request
    """
    try:
        return _open(token, imprint, roots, nonce)
    except _MALFORMED as error:
        raise FormatError(f"time-stamp token: malformed: {error}") from error


def _open(token: bytes, imprint: bytes, roots: Sequence[x509.Certificate], nonce: int | None) -> Timestamp:
    # 1
    signed, signer = _read_signed_data(token)
    content = _read_content(signed)
    certificates = _read_certificates(signed)
    certificate = _find_signer(signer, certificates)
    # 2
    serial, time, policy = _read_tst_info(content, imprint, nonce)
    # 3, 4
    _check_signature(signer, content, certificate)
    # 5
    _check_purpose(certificate)
    _check_chain(certificate, certificates, roots, time)
    return Timestamp(time, certificate.subject.rfc4514_string(), serial, policy)


def load_roots(pem: bytes) -> list[x509.Certificate]:
    """Read trusted certificates; FormatError unless there is at least one."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise FormatError(f"expected PEM certificates: {error}") from error


def _read_signed_data(token: bytes) -> tuple[list[der.Element], list[der.Element]]:
    outer = der.read_element(token).check_tag(der.SEQUENCE, "token").children()
    if len(outer) != 2 or outer[0].oid("token type") != SIGNED_DATA:
        raise FormatError("time-stamp token: expected CMS SignedData")
    inner = der.read_element(outer[1].check_tag(0xA0, "token content").content)
    signed = inner.check_tag(der.SEQUENCE, "SignedData").children()
    signers = signed[-1].check_tag(der.SET, "signers").children() if len(signed) >= 4 else []
    if len(signers) != 1 or signed[0].integer("SignedData version") != 3:
        raise FormatError(f"time-stamp token: expected version 3 and one signer, got {len(signers)}")
    signer = signers[0].check_tag(der.SEQUENCE, "signer").children()
    if len(signer) < 6 or signer[0].integer("signer version") != (1 if signer[1].tag == der.SEQUENCE else 3):
        raise FormatError("time-stamp token: expected a signer of version 1 or 3 with signed attributes")
    listed = [_find_hash(item).name for item in signed[1].check_tag(der.SET, "digest algorithms").children()]
    if listed != [_find_hash(signer[2]).name]:
        raise FormatError(f"time-stamp token: expected the signer's digest algorithm, got {listed}")
    return signed, signer


def _read_content(signed: list[der.Element]) -> bytes:
    parts = signed[2].check_tag(der.SEQUENCE, "token content").children()
    if len(parts) != 2 or parts[0].oid("token content type") != TST_INFO:
        raise FormatError("time-stamp token: expected a TSTInfo as content")
    return (
        der.read_element(parts[1].check_tag(0xA0, "TSTInfo").content)
        .check_tag(der.OCTET_STRING, "TSTInfo")
        .content
    )


def _read_certificates(signed: list[der.Element]) -> list[x509.Certificate]:
    sets = (part.children() for part in signed[3:-1] if part.tag == 0xA0)
    return [x509.load_der_x509_certificate(item.encoded) for items in sets for item in items]


def _find_signer(signer: list[der.Element], certificates: list[x509.Certificate]) -> x509.Certificate:
    for certificate in certificates:
        if signer[1].tag == der.SEQUENCE:  # issuer and serial number
            issuer, serial = signer[1].children()
            same = issuer.encoded == certificate.issuer.public_bytes()
            if same and serial.integer("serial") == certificate.serial_number:
                return certificate
        elif signer[1].tag == 0x80:  # subject key identifier
            identifier = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
            if identifier.digest == signer[1].content:
                return certificate
    raise TimestampError("the token does not carry its signer's certificate")


def _read_tst_info(content: bytes, imprint: bytes, nonce: int | None) -> tuple[int, datetime.datetime, str]:
    parts = der.read_element(content).check_tag(der.SEQUENCE, "TSTInfo").children()
    if len(parts) < 5 or parts[0].integer("TSTInfo version") != 1:
        raise FormatError("TSTInfo: expected version 1 with policy, imprint, serial and time")
    stamped = parts[2].check_tag(der.SEQUENCE, "imprint").children()
    algorithm = _read_algorithm(stamped[0], "imprint algorithm")
    if algorithm != SHA256 or stamped[1].check_tag(der.OCTET_STRING, "imprint").content != imprint:
        raise ProofError("the time-stamp is for other data")
    found = next((item.integer("nonce") for item in parts[5:] if item.tag == der.INTEGER), None)
    if nonce is not None and found != nonce:
        raise ProofError("the time-stamp answers another request")
    return parts[3].integer("TSTInfo serial"), parts[4].time("TSTInfo time"), parts[1].oid("TSTInfo policy")


def _check_signature(signer: list[der.Element], content: bytes, certificate: x509.Certificate) -> None:
    digest = _find_hash(signer[2])
    attributes = signer[3].check_tag(0xA0, "signed attributes")
    found: dict[str, der.Element] = {}
    for item in attributes.children():
        kind, values = item.check_tag(der.SEQUENCE, "signed attribute").children()
        (value,) = values.check_tag(der.SET, "attribute values").children()
        if kind.oid("attribute type") in found:
            raise FormatError("time-stamp token: an attribute is there twice")
        found[kind.oid("attribute type")] = value
    if CONTENT_TYPE not in found or found[CONTENT_TYPE].oid("content type") != TST_INFO:
        raise TimestampError("the signed attributes do not name a TSTInfo")
    hasher = hashes.Hash(digest)
    hasher.update(content)
    if MESSAGE_DIGEST not in found or found[MESSAGE_DIGEST].content != hasher.finalize():
        raise TimestampError("the signed attributes do not name this content")
    _check_named(found, certificate)
    # What is signed is the SET OF the attributes, not the [0] that it is sent as (RFC 5652, section 5.4).
    message = bytes([der.SET]) + attributes.encoded[1:]
    signature = signer[5].check_tag(der.OCTET_STRING, "signature").content
    algorithm = _read_algorithm(signer[4], "signature algorithm")
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            _check_algorithm(algorithm, RSA_SIGNATURES, digest)
            key.verify(signature, message, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            _check_algorithm(algorithm, ECDSA_SIGNATURES, digest)
            key.verify(signature, message, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            _check_algorithm(algorithm, ED25519_SIGNATURES, digest)
            key.verify(signature, message)
        else:
            raise TimestampError(f"a key of a kind that is not taken: {type(key).__name__}")
    except InvalidSignature as error:
        raise TimestampError("the authority's signature does not verify") from error


def _check_algorithm(
    dotted: str, taken: Mapping[str, type[hashes.HashAlgorithm] | None], digest: hashes.HashAlgorithm
) -> None:
    named = taken.get(dotted)
    if dotted not in taken or (named is not None and not isinstance(digest, named)):
        raise TimestampError(f"a signature algorithm that is not taken for this key: {dotted}")


def _check_named(found: dict[str, der.Element], certificate: x509.Certificate) -> None:
    """Check that the signed attributes name the signer's certificate: another with its key will not do."""
    encoded = certificate.public_bytes(Encoding.DER)
    for kind in (SIGNING_CERTIFICATE_V2, SIGNING_CERTIFICATE):
        if kind not in found:
            continue
        first = found[kind].children()[0].children()[0].children()  # certs, ESSCertID, its fields
        expected = hashlib.sha1(
            encoded, usedforsecurity=False
        ).digest()  # RFC 2634: SHA-1, here an identifier
        if kind == SIGNING_CERTIFICATE_V2:
            named = first[0].tag == der.SEQUENCE
            hasher = hashes.Hash(_find_hash(first[0]) if named else hashes.SHA256())
            hasher.update(encoded)
            expected = hasher.finalize()
            first = first[1:] if named else first
        if first[0].check_tag(der.OCTET_STRING, "certificate hash").content != expected:
            raise TimestampError("the signed attributes name another certificate")
        return
    raise TimestampError("the signed attributes name no certificate")


def _read_algorithm(algorithm: der.Element, what: str) -> str:
    parts = algorithm.check_tag(der.SEQUENCE, what).children()
    if len(parts) > 2 or (len(parts) == 2 and parts[1].encoded != der.encode(der.NULL, b"")):
        raise FormatError(f"{what}: expected no parameters")
    return parts[0].oid(what)


def _find_hash(algorithm: der.Element) -> hashes.HashAlgorithm:
    dotted = _read_algorithm(algorithm, "digest algorithm")
    if dotted not in HASHES:
        raise TimestampError(f"a digest algorithm that is not taken: {dotted}")
    return HASHES[dotted]()


def _check_purpose(certificate: x509.Certificate) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound as error:
        raise TimestampError("the signer's certificate is not one for time-stamping") from error
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise TimestampError("the signer's certificate may do more, or other, than time-stamping")


def _check_chain(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    time: datetime.datetime,
) -> None:
    current = certificate
    for _ in range(MAX_CHAIN):
        if not current.not_valid_before_utc <= time <= current.not_valid_after_utc:
            raise TimestampError(f"{current.subject.rfc4514_string()} was not valid at {time.isoformat()}")
        if current in roots:
            return
        issuer = next((item for item in (*roots, *others) if _has_issued(item, current)), None)
        if issuer is None:
            break
        current = issuer
    raise TimestampError(f"{certificate.subject.rfc4514_string()} does not lead to a trusted authority")


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(issuer)
    except (*_MALFORMED, x509.ExtensionNotFound, TypeError, InvalidSignature):
        return False
    return constraints.ca
