"""A time-stamping authority for tests: certificates made here, tokens by `openssl ts`, served over HTTP."""

from __future__ import annotations

import datetime
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ledger.timestamp import build_request, read_response

START = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
certs = {folder}/chain.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = {digest}
"""


def make_key(kind: str) -> Any:
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


def make_certificate(
    name: str, key: Any, issuer: x509.Certificate | None, issuer_key: Any, **options: Any
) -> x509.Certificate:
    """Return a certificate; options: `ca`, `usages`, `critical`, `years` of validity."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + datetime.timedelta(days=365 * options.get("years", 30)))
        .add_extension(x509.BasicConstraints(ca=options.get("ca", False), path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .add_extension(_usage(signs_certificates=options.get("ca", False)), critical=True)
    )
    if usages := options.get("usages"):
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=options.get("critical", True))
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    others = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(digital_signature=not signs_certificates, key_cert_sign=signs_certificates, **others)


@dataclass(frozen=True)
class Authority:
    """A folder with the authority's key and configuration, and the root that verifiers trust."""

    folder: Path
    root: x509.Certificate

    def answer(self, request: bytes) -> bytes:
        """Return the response of `openssl ts` to a request."""
        query, reply = self.folder / "query.tsq", self.folder / "reply.tsr"
        query.write_bytes(request)
        subprocess.run(
            [
                "openssl",
                "ts",
                "-reply",
                "-config",
                self.folder / "ts.cnf",
                "-queryfile",
                query,
                "-out",
                reply,
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )
        return reply.read_bytes()

    def stamp(self, imprint: bytes, nonce: int = 7) -> bytes:
        return read_response(self.answer(build_request(imprint, nonce)))

    @property
    def roots_pem(self) -> bytes:
        return self.root.public_bytes(Encoding.PEM)


def make_authority(folder: Path, *, kind: str = "rsa", digest: str = "sha256", **options: Any) -> Authority:
    """Make an authority: root, intermediate unless `direct`, signer with options of `make_certificate`."""
    folder.mkdir(parents=True, exist_ok=True)
    root_key, middle_key, key = (make_key(kind) for _ in range(3))
    root = make_certificate("Test root", root_key, None, root_key, ca=True)
    direct = options.pop("direct", False)
    middle_ca = options.pop("middle_ca", True)
    middle = make_certificate("Test intermediate", middle_key, root, root_key, ca=middle_ca)
    issuer, issuer_key = (root, root_key) if direct else (middle, middle_key)
    usages = options.pop("usages", [ExtendedKeyUsageOID.TIME_STAMPING])
    signer = make_certificate("Test time-stamps", key, issuer, issuer_key, usages=usages, **options)
    # A token of a direct authority carries the signer's certificate alone.
    chain = signer if direct else middle
    (folder / "tsa.pem").write_bytes(signer.public_bytes(Encoding.PEM))
    (folder / "chain.pem").write_bytes(chain.public_bytes(Encoding.PEM))
    (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "serial").write_text("01\n")
    (folder / "ts.cnf").write_text(CONFIG.format(folder=folder, digest=digest))
    return Authority(folder, root)


@contextmanager
def served_authority(authority: Authority) -> Iterator[str]:
    """Serve an authority on a free loopback port; give its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            assert self.headers["content-type"] == "application/timestamp-query"
            body = authority.answer(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "application/timestamp-reply")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tsa"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
