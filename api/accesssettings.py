"""How the service meets strangers and browsers: read from the environment, once.

| variable | meaning | default |
| --- | --- | --- |
| PROVENOTE_PUBLIC_DAILY | files that a stranger may have verified or identified in a day (UTC) | 60 |
| PROVENOTE_PUBLIC_MINUTE | the same in a minute | 20 |
| PROVENOTE_PUBLIC_VARIANTS | versions of one track that all strangers may ask about in a day | 200 |
| PROVENOTE_PUBLIC_SECONDS | longest recording that a stranger may have verified, in seconds | 900 |
| PROVENOTE_TRUSTED_PROXIES | addresses or networks whose X-Forwarded-For is believed, commas between | none |
| PROVENOTE_CORS_ORIGINS | origins whose pages may read answers, commas between; `*` for all | none |
| PROVENOTE_TLS | `yes`: browsers are told to come back by HTTPS alone (a proxy ends TLS) | no |
| PROVENOTE_OIDC_ISSUER | OpenID Connect provider whose bearer tokens are taken (extra `oidc`) | none |
| PROVENOTE_OIDC_AUDIENCE | what their `aud` must name: this service | |
| PROVENOTE_OIDC_JWKS | the provider's keys: a file or an https address | by discovery |
| PROVENOTE_OIDC_CLAIM | claim that gives scopes, names with dots between | scope |
| PROVENOTE_OIDC_SCOPES | what a value of it gives: VALUE=SCOPE, commas between | each scope its own name |
| PROVENOTE_BODY_TIMEOUT_S | seconds without a byte after which a request's body is given up | 60 |
| PROVENOTE_REQUEST_KEY_HOURS | hours that answers are kept for requests with an Idempotency-Key | 24 |
"""

import ipaddress
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from .access import Scope
from .errors import SettingsError

MAX_NUMBER = 1_000_000


OWN_NAMES: Mapping[str, frozenset[Scope]] = {str(scope): frozenset({scope}) for scope in Scope}


@dataclass(frozen=True)
class OidcSettings:
    """Whose tokens are taken, and what a value of which claim gives."""

    issuer: str
    audience: str
    jwks: str | None = None
    claim: str = "scope"
    scopes: Mapping[str, frozenset[Scope]] = field(default_factory=lambda: OWN_NAMES)


@dataclass(frozen=True)
class AccessSettings:
    """What `provenote serve` grants to strangers, and what it tells browsers."""

    public_daily: int = 60
    public_minute: int = 20
    public_variants: int = 200
    public_seconds: int = 900
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    tls: bool = False
    body_timeout_s: int = 60
    request_key_hours: int = 24
    oidc: OidcSettings | None = None


DEFAULT_ACCESS = AccessSettings()


def read_access_settings(environment: Mapping[str, str]) -> AccessSettings:
    """Put the settings together; SettingsError for a variable that is not what the table above says."""
    default = DEFAULT_ACCESS
    tls = environment.get("PROVENOTE_TLS") or "no"
    if tls not in ("yes", "no"):
        raise SettingsError(f"PROVENOTE_TLS: expected yes or no, got {tls!r:.80}")
    return AccessSettings(
        public_daily=_read_count(environment, "PROVENOTE_PUBLIC_DAILY", default.public_daily),
        public_minute=_read_count(environment, "PROVENOTE_PUBLIC_MINUTE", default.public_minute),
        public_variants=_read_count(environment, "PROVENOTE_PUBLIC_VARIANTS", default.public_variants),
        public_seconds=_read_count(environment, "PROVENOTE_PUBLIC_SECONDS", default.public_seconds),
        trusted_proxies=tuple(
            _check_network(item) for item in _split(environment, "PROVENOTE_TRUSTED_PROXIES")
        ),
        cors_origins=tuple(_check_origin(item) for item in _split(environment, "PROVENOTE_CORS_ORIGINS")),
        tls=tls == "yes",
        body_timeout_s=_read_count(environment, "PROVENOTE_BODY_TIMEOUT_S", default.body_timeout_s),
        request_key_hours=_read_count(environment, "PROVENOTE_REQUEST_KEY_HOURS", default.request_key_hours),
        oidc=_read_oidc(environment),
    )


def _read_oidc(environment: Mapping[str, str]) -> OidcSettings | None:
    issuer = environment.get("PROVENOTE_OIDC_ISSUER")
    if not issuer:
        return None
    audience = environment.get("PROVENOTE_OIDC_AUDIENCE")
    if not audience:
        raise SettingsError(
            "PROVENOTE_OIDC_AUDIENCE: expected what tokens for this service name, got nothing"
        )
    scopes: dict[str, frozenset[Scope]] = {}
    for item in _split(environment, "PROVENOTE_OIDC_SCOPES"):
        value, _, scope = item.rpartition("=")
        if not value or scope not in set(Scope):
            raise SettingsError(f"PROVENOTE_OIDC_SCOPES: expected VALUE=SCOPE, got {item!r:.80}")
        scopes[value] = scopes.get(value, frozenset()) | {Scope(scope)}
    return OidcSettings(
        issuer=issuer,
        audience=audience,
        jwks=environment.get("PROVENOTE_OIDC_JWKS") or None,
        claim=environment.get("PROVENOTE_OIDC_CLAIM") or "scope",
        scopes=scopes or OWN_NAMES,
    )


def _split(environment: Mapping[str, str], name: str) -> list[str]:
    return [item.strip() for item in environment.get(name, "").split(",") if item.strip()]


def _check_network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise SettingsError(f"PROVENOTE_TRUSTED_PROXIES: expected an address or network: {error}") from error
    return text


def _check_origin(text: str) -> str:
    parts = urllib.parse.urlsplit(text)
    whole = parts.scheme in ("http", "https") and parts.netloc and text == f"{parts.scheme}://{parts.netloc}"
    if text != "*" and not whole:
        raise SettingsError(
            f"PROVENOTE_CORS_ORIGINS: expected an origin such as https://example.org, got {text!r:.80}"
        )
    return text


def _read_count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:8]) <= MAX_NUMBER:
        raise SettingsError(f"{name}: expected a whole number from 1 to {MAX_NUMBER}, got {text!r:.80}")
    return int(text)
