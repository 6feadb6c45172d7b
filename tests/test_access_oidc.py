"""Tokens of an OpenID Connect provider: those that hold give scopes, every other one is refused."""

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from conftest import Stamped
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_service import served
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from api.access import CallerKind, Scope
from api.accesssettings import OidcSettings, read_access_settings
from api.errors import ScopeError, SettingsError, SourceError, TokenError
from api.oidc import AGAIN_S, KEPT_S, MAX_TOKEN_BYTES, TokenChecker, check_address

ISSUER, AUDIENCE = "https://login.example/realm", "provenote"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
SECRET = bytes(32)


def describe(algorithm: Any, key: Any, kid: str, **more: str) -> dict[str, Any]:
    """Return a public key as the provider shows it."""
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig", **more}


KEY_SET = {
    "keys": [
        describe(RSAAlgorithm, RSA_KEY, "rsa", alg="RS256"),
        describe(ECAlgorithm, EC_KEY, "ec", alg="ES256"),
        describe(OKPAlgorithm, ED_KEY, "ed"),
        {**describe(RSAAlgorithm, RSA_KEY, "encrypting"), "use": "enc"},
        {"kty": "oct", "kid": "secret", "k": base64.urlsafe_b64encode(SECRET).decode(), "alg": "HS256"},
        {"kty": "novel", "kid": "odd"},
    ]
}


def make_token(key: Any = ED_KEY, kid: str = "ed", algorithm: str = "EdDSA", **changes: Any) -> str:
    """Return a token that holds, unless `changes` (None leaves a claim out) make it another."""
    claims = {
        "iss": ISSUER,
        "aud": ["other", AUDIENCE],
        "sub": "ada@example.org",
        "exp": time.time() + 300,
        "scope": "openid issuer auditor",
        **changes,
    }
    kept = {name: item for name, item in claims.items() if item is not None}
    return jwt.encode(kept, key, algorithm, headers={"kid": kid})


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(KEY_SET), encoding="utf-8")
    return path


@pytest.fixture
def checker(key_file: Path) -> TokenChecker:
    return TokenChecker(OidcSettings(ISSUER, AUDIENCE, str(key_file)), SECRET)


@pytest.mark.parametrize(
    ("key", "kid", "algorithm"), [(RSA_KEY, "rsa", "RS256"), (EC_KEY, "ec", "ES256"), (ED_KEY, "ed", "EdDSA")]
)
def test_a_token_that_holds_gives_scopes_and_no_name(
    checker: TokenChecker, key: Any, kid: str, algorithm: str
) -> None:
    caller = checker.identify(make_token(key, kid, algorithm))
    assert (caller.kind, caller.scopes) == (CallerKind.OIDC, {Scope.ISSUER, Scope.AUDITOR})
    assert "ada" not in caller.actor
    assert caller.actor == checker.identify(make_token()).actor
    assert caller.actor != checker.identify(make_token(sub="bob@example.org")).actor


RSA_PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
UNSIGNED = make_token().rsplit(".", 1)[0]
HEADLESS = base64.urlsafe_b64encode(b'{"alg":"none","kid":"ed"}').rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(make_token(exp=time.time() - 60), id="expired"),
        pytest.param(make_token(nbf=time.time() + 3600), id="not yet"),
        pytest.param(make_token(aud="other"), id="for others"),
        pytest.param(make_token(iss="https://login.example/other"), id="of others"),
        pytest.param(make_token(exp=None), id="without end"),
        pytest.param(make_token(sub=None), id="of nobody"),
        pytest.param(make_token(ed25519.Ed25519PrivateKey.generate()), id="another key of that name"),
        pytest.param(make_token(kid="unknown"), id="unknown key"),
        pytest.param(make_token(RSA_KEY, "rsa", "PS256"), id="algorithm that the key is not for"),
        pytest.param(make_token(RSA_KEY, "encrypting", "RS256"), id="key for another use"),
        pytest.param(make_token(SECRET, "secret", "HS256"), id="symmetric key in the set"),
        pytest.param(UNSIGNED + ".", id="no signature"),
        pytest.param(f"{HEADLESS}.{UNSIGNED.split('.')[1]}.", id="algorithm none"),
        pytest.param(make_token()[:-4] + "AAAA", id="signature changed"),
        pytest.param("a.b.c", id="garbage"),
        pytest.param("", id="empty"),
        pytest.param("é" * 99, id="not ascii"),
        pytest.param("a" * (MAX_TOKEN_BYTES + 1), id="too long"),
    ],
)
def test_every_other_token_is_refused(checker: TokenChecker, token: str) -> None:
    with pytest.raises(TokenError):
        checker.identify(token)


def test_a_public_key_is_no_shared_secret(checker: TokenChecker) -> None:
    import hashlib
    import hmac

    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa"}').rstrip(b"=")
    body = make_token().split(".")[1].encode()
    mac = base64.urlsafe_b64encode(hmac.digest(RSA_PEM, head + b"." + body, hashlib.sha256)).rstrip(b"=")
    with pytest.raises(TokenError, match="algorithm"):
        checker.identify(b".".join((head, body, mac)).decode())


def test_claims_are_mapped_to_scopes_and_none_is_refused(key_file: Path) -> None:
    environment = {
        "PROVENOTE_OIDC_ISSUER": ISSUER,
        "PROVENOTE_OIDC_AUDIENCE": AUDIENCE,
        "PROVENOTE_OIDC_JWKS": str(key_file),
        "PROVENOTE_OIDC_CLAIM": "realm_access.roles",
        "PROVENOTE_OIDC_SCOPES": "safety=auditor, safety=case-worker,urn:x=1=issuer",
    }
    oidc = read_access_settings(environment).oidc
    assert oidc is not None
    checker = TokenChecker(oidc, SECRET)
    given = checker.identify(make_token(realm_access={"roles": ["safety", "other", 7]})).scopes
    assert given == {Scope.AUDITOR, Scope.CASE_WORKER}
    assert checker.identify(make_token(realm_access={"roles": "urn:x=1"})).scopes == {Scope.ISSUER}
    for roles in (None, {}, "safety", {"roles": ["operator"]}, {"roles": {"safety": 1}}):
        with pytest.raises(ScopeError):
            checker.identify(make_token(realm_access=roles))
    for name, text in (("AUDIENCE", ""), ("SCOPES", "safety"), ("SCOPES", "safety=emperor")):
        with pytest.raises(SettingsError, match=name):
            read_access_settings({**environment, f"PROVENOTE_OIDC_{name}": text})


def test_a_changed_file_of_keys_is_read_again(checker: TokenChecker, key_file: Path) -> None:
    new = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(TokenError):
        checker.identify(make_token(new, "new"))
    key_file.write_text(json.dumps({"keys": [describe(OKPAlgorithm, new, "new")]}), encoding="utf-8")
    assert checker.identify(make_token(new, "new")).known
    with pytest.raises(TokenError):
        checker.identify(make_token())


class Provider(http.server.BaseHTTPRequestHandler):
    """Answers with documents of its server, and counts."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        found = self.server.documents.get(self.path)  # type: ignore[attr-defined]
        self.send_response(404 if found is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def provider() -> Iterator[Any]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        server.address, server.asked = address, []  # type: ignore[attr-defined]
        server.documents = {  # type: ignore[attr-defined]
            "/.well-known/openid-configuration": {"issuer": address, "jwks_uri": f"{address}/keys"},
            "/keys": KEY_SET,
        }
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_keys_are_discovered_kept_and_fetched_again_in_time(provider: Any) -> None:
    clock = [0.0]
    checker = TokenChecker(OidcSettings(provider.address, AUDIENCE), SECRET, clock=lambda: clock[0])
    token = make_token(iss=provider.address)
    for _ in range(3):
        assert checker.identify(token).known
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]
    for moment, fetches in ((1.0, 1), (AGAIN_S + 1, 2), (AGAIN_S + 2, 2)):
        clock[0] = moment
        with pytest.raises(TokenError):
            checker.identify(make_token(iss=provider.address, kid="unknown"))
        assert provider.asked.count("/keys") == fetches
    clock[0] += KEPT_S + 1
    del provider.documents["/keys"]
    assert checker.identify(token).known  # the provider is away: the keys read before stay
    assert provider.asked.count("/keys") == 3


def test_a_provider_that_is_away_or_another_is_said(provider: Any) -> None:
    checker = TokenChecker(OidcSettings(provider.address, AUDIENCE), SECRET)
    provider.documents["/.well-known/openid-configuration"]["issuer"] = "https://other.example"
    for _ in range(2):
        with pytest.raises(SourceError, match="expected the provider"):
            checker.identify(make_token(iss=provider.address))
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    "address", ["http://login.example/keys", "ftp://localhost/", "file:///etc/passwd", ""]
)
def test_keys_are_fetched_over_https_alone(address: str) -> None:
    with pytest.raises(SourceError, match="https"):
        check_address(address)


def test_the_service_takes_tokens_and_keys_beside_each_other(stamped: Stamped, key_file: Path) -> None:
    with served(
        stamped.home,
        PROVENOTE_OIDC_ISSUER=ISSUER,
        PROVENOTE_OIDC_AUDIENCE=AUDIENCE,
        PROVENOTE_OIDC_JWKS=str(key_file),
    ) as client:
        codes = [
            client.get("/v1/jobs/" + "0" * 16, headers={"authorization": f"Bearer {token}"}).status_code
            for token in (
                make_token(),
                make_token(scope="openid"),
                make_token(scope="press"),
                make_token(exp=1.0),
                stamped.token,
            )
        ]
        open_codes = [
            client.get("/v1/keys", headers={"authorization": f"Bearer {make_token(scope=scope)}"}).status_code
            for scope in ("openid", "press")
        ]
    assert codes == [404, 403, 403, 401, 404]
    assert open_codes == [403, 200]
