"""Who may do what: scopes, callers, and the form of API keys. No database, no network.

    pnk_k3t5mz7qa2xw4hbn_2bX...(43 characters)
    |   |                `- 32 random bytes, base64url
    |   `- the key's id: public, in lists and in the audit trail
    `- prefix that scanners for leaked secrets can look for

The database has the id and a SHA-256 of the whole key, which is shown once. The digest needs no salt and no
slow hash: what is hashed has 256 random bits.
"""

import enum
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "pnk_"
SECRET_BYTES = 32
ID_CHARACTERS = "abcdefghijklmnopqrstuvwxyz234567"
ID_LENGTH = 16
_KEY = re.compile(rf"{PREFIX}([a-z2-7]{{{ID_LENGTH}}})_[A-Za-z0-9_-]{{43}}")


class Scope(enum.StrEnum):
    """What a key is for; each route says which of them it is open to."""

    ISSUER = "issuer"
    AUDITOR = "auditor"
    CASE_WORKER = "case-worker"
    OPERATOR = "operator"
    AUTHORITY = "authority"
    PRESS = "press"
    RESEARCH = "research"


SCOPES = {
    Scope.ISSUER: "issues and stamps tracks, sees their jobs, audio and opened bundles",
    Scope.AUDITOR: "audits catalogues, sees audio and opened bundles; changes nothing",
    Scope.CASE_WORKER: "works on notices and requests, sees audio, appends events",
    Scope.OPERATOR: "may do everything, and alone reads the audit trail",
    Scope.AUTHORITY: "an authority, court or trusted flagger: verifies without quota",
    Scope.PRESS: "a newsroom or fact-checker: verifies without quota",
    Scope.RESEARCH: "research, education, civil society: verifies without quota",
}
"""Every scope in words, for help texts and the OpenAPI document."""


class CallerKind(enum.StrEnum):
    """How a caller is known."""

    PUBLIC = "public"
    KEY = "key"
    TOKEN = "token"
    OIDC = "oidc"
    COMMAND = "command"


@dataclass(frozen=True)
class Caller:
    """Who calls: `actor` is a key's id or another name without personal data, as the audit trail has it.

    `daily` is how many verifications a day a known caller has; None for no bound.
    """

    kind: CallerKind
    actor: str
    scopes: frozenset[Scope] = frozenset()
    daily: int | None = None

    @property
    def known(self) -> bool:
        """Whether this is somebody with a key, a token or an identity, and not the public."""
        return self.kind is not CallerKind.PUBLIC

    def may(self, *scopes: Scope) -> bool:
        """Say whether one of these scopes is the caller's; an operator has all."""
        return Scope.OPERATOR in self.scopes or not self.scopes.isdisjoint(scopes)


ANYBODY = Caller(CallerKind.PUBLIC, "public")
COMMAND_LINE = Caller(CallerKind.COMMAND, "command-line", frozenset({Scope.OPERATOR}))
OPERATOR = Caller(CallerKind.TOKEN, "operator-token", frozenset({Scope.OPERATOR}))
"""Whoever has the token of `provenote init` or PROVENOTE_API_TOKEN."""


def make_key() -> tuple[str, str]:
    """Return a new key's id and the key itself, which nobody can be told again."""
    key_id = "".join(secrets.choice(ID_CHARACTERS) for _ in range(ID_LENGTH))
    return key_id, f"{PREFIX}{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"


def parse_key(text: str) -> str | None:
    """Return the id in an API key, or None for what has not the form of one."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def hash_key(text: str) -> bytes:
    """Return what is stored of an API key."""
    return hashlib.sha256(b"provenote/access-key/v1\n" + text.encode("utf-8", "surrogateescape")).digest()


def match_key(text: str, digest: bytes) -> bool:
    """Say whether a presented key is the one with this digest; in constant time."""
    return hmac.compare_digest(hash_key(text), digest)


def format_scopes(scopes: Iterable[Scope]) -> str:
    """Return scopes as they are stored: sorted, with blanks between."""
    return " ".join(sorted(scopes))


def parse_scopes(text: str) -> frozenset[Scope]:
    """Return the scopes of a stored text; ValueError for a word that is none."""
    return frozenset(Scope(word) for word in text.split())
