"""Bearer tokens of an OpenID Connect provider (extra `oidc`): who is logged in elsewhere has scopes here.

    steps of `identify`
    1. no more than MAX_TOKEN_BYTES; the header names an algorithm of ALGORITHMS, none of them symmetric
    2. its `kid` is one of the provider's keys, read from a file, or fetched and kept for a while
    3. the signature holds under that key, with the algorithm that the key is for
    4. issuer and audience are those of the settings; `exp` lies ahead, `nbf` and `iat` behind, by LEEWAY_S
    5. the claim of the settings names values that stand for scopes, one at least

The provider's name for the person (`sub`) leaves this file only as a keyed hash.
"""

import hashlib
import hmac
import ipaddress
import json
import logging
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from .access import Caller, CallerKind, Scope
from .accesssettings import OidcSettings
from .errors import ScopeError, SettingsError, SourceError, TokenError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
MAX_TOKEN_BYTES = 16 << 10
MAX_DOCUMENT_BYTES = 1 << 20
LEEWAY_S = 30
KEPT_S, AGAIN_S = 600.0, 30.0
"""How long fetched keys are used, and how soon an unknown `kid` may have them fetched again."""
FETCH_S = 10.0
DISCOVERY = "/.well-known/openid-configuration"
logger = logging.getLogger(__name__)


class TokenChecker:
    """Checks tokens of one provider; `name_key` is the secret under which people are named."""

    def __init__(
        self, settings: OidcSettings, name_key: bytes, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        try:
            import jwt
        except ModuleNotFoundError as error:
            raise SettingsError("PROVENOTE_OIDC_ISSUER needs PyJWT: pip install 'provenote[oidc]'") from error
        self._jwt = jwt
        self._settings = settings
        self._name_key = name_key
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, Any] = {}
        self._read: tuple[float, object] = (float("-inf"), None)
        self._failed: SourceError | None = None

    def identify(self, token: str) -> Caller:
        """Return whose token this is.

        Raises
        ------
        TokenError
            Not a token of the provider for this service, or not one that holds now.
        ScopeError
            A token that holds, but gives no scope here.
        SourceError
            The provider's keys cannot be read.
        """
        claims = self._open(token)
        scopes = self._read_scopes(claims)
        if not scopes:
            raise ScopeError(f"expected a claim {self._settings.claim!r} that gives a scope here, got none")
        subject = f"{self._settings.issuer}\n{claims['sub']}".encode("utf-8", "surrogateescape")
        name = hmac.digest(self._name_key, b"provenote/oidc/v1\n" + subject, hashlib.sha256).hex()[:16]
        return Caller(CallerKind.OIDC, f"oidc:{name}", scopes)

    def _open(self, token: str) -> Mapping[str, Any]:
        """Verify a token and return its claims: steps 1 to 4."""
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenError(f"expected a token of at most {MAX_TOKEN_BYTES} bytes, got {len(token)}")
        try:
            header = self._jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise TokenError(f"expected an algorithm of {', '.join(ALGORITHMS)}, got another")
            key = self._find_key(str(header.get("kid")))
            claims = self._jwt.decode(
                token,
                key=key,
                algorithms=list(ALGORITHMS),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except self._jwt.PyJWTError as error:
            raise TokenError(f"the token does not hold: {error}") from error
        return dict(claims)

    def _find_key(self, kid: str) -> Any:
        """Return the provider's key of a name, read again where that may help; TokenError without one."""
        with self._lock:
            read_s, state = self._read
            known = kid in self._keys
            age_s = self._clock() - read_s
            changed = self._file_state() != state
            if changed or age_s > KEPT_S or (not known and age_s > AGAIN_S):
                self._read = (self._clock(), self._file_state())  # a failure is not tried again at once
                self._failed = self._renew_keys()
            key, failed = self._keys.get(kid), self._failed
        if key is None and failed is not None:
            raise SourceError(f"the provider's keys cannot be read: {failed}")
        if key is None:
            raise TokenError("expected a token signed by a key of the provider, got another")
        return key

    def _renew_keys(self) -> SourceError | None:
        """Read the keys again; where that fails, those read before stay, and the failure is returned."""
        try:
            self._keys = self._read_keys()
        except SourceError as error:
            logger.warning("keys of %s cannot be read: %s", self._settings.issuer, error)
            return error
        return None

    def _file_state(self) -> object:
        """Return what changes when the file of keys does; None for an address."""
        source = self._settings.jwks
        if source is None or "://" in source:
            return None
        try:
            found = Path(source).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read_keys(self) -> Mapping[str, Any]:
        document = self._read_key_set()
        keys = {}
        for item in document.get("keys", []):
            if not isinstance(item, dict) or item.get("use", "sig") != "sig" or "kid" not in item:
                continue
            try:
                key = self._jwt.PyJWK(item)
            except self._jwt.PyJWTError:
                continue  # a key of a kind that nobody signs tokens with here
            if key.algorithm_name in ALGORITHMS:
                keys[str(item["kid"])] = key
        return keys

    def _read_key_set(self) -> Mapping[str, Any]:
        source = self._settings.jwks
        if source is None:
            found = fetch_json(self._settings.issuer.rstrip("/") + DISCOVERY)
            if found.get("issuer") != self._settings.issuer:
                raise SourceError(
                    f"expected the provider {self._settings.issuer}, got {found.get('issuer')!r:.200}"
                )
            source = str(found.get("jwks_uri"))
        if "://" in source:
            return fetch_json(source)
        try:
            content = Path(source).read_bytes()
            document = json.loads(content[:MAX_DOCUMENT_BYTES])
        except (OSError, ValueError) as error:
            raise SourceError(f"{source}: no set of keys: {error}") from error
        if not isinstance(document, dict):
            raise SourceError(f"{source}: expected a set of keys, got {type(document).__name__}")
        return document

    def _read_scopes(self, claims: Mapping[str, Any]) -> frozenset[Scope]:
        """Return the scopes that a claim gives: a text of words or a list of them, at a path of names."""
        value: Any = claims
        for name in self._settings.claim.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        words = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
        given = {
            scope for word in words if isinstance(word, str) for scope in self._settings.scopes.get(word, ())
        }
        return frozenset(given)


def fetch_json(address: str) -> Mapping[str, Any]:
    """Fetch a JSON object over HTTPS, or from this machine; bounded, without redirects.

    Raises
    ------
    SourceError
        No such address, no answer, or something else.
    """
    check_address(address)
    content = b""
    try:
        with httpx.stream("GET", address, timeout=FETCH_S, follow_redirects=False) as answer:
            answer.raise_for_status()
            for part in answer.iter_bytes():
                content += part
                if len(content) > MAX_DOCUMENT_BYTES:
                    raise SourceError(f"{address}: expected at most {MAX_DOCUMENT_BYTES} bytes, got more")
        document = json.loads(content)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise SourceError(f"{address}: cannot be fetched: {error}") from error
    if not isinstance(document, dict):
        raise SourceError(f"{address}: expected a JSON object, got {type(document).__name__}")
    return document


def check_address(address: str) -> None:
    """Raise SourceError unless an address is HTTPS, or HTTP on this machine."""
    parts = urllib.parse.urlsplit(address)
    host = parts.hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise SourceError(f"expected an https address, got {address!r:.200}")
