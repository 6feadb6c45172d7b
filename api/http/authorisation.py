"""Who calls, and whether that is enough: every route says whom it is open to, by one of two dependencies.

    @router.post("/v1/stamps", dependencies=[require_scope(Scope.ISSUER)])   one of these scopes, or operator
    @router.get("/v1/keys", dependencies=[open_to_all()])                    everybody
    def work(caller: Annotated[Caller, open_to_all()])                       the same, and who it is

Credentials that are wrong, expired or revoked are refused everywhere, also where none are needed: whoever
sends some wants to be known by them.
"""

import hmac
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ..access import ANYBODY, OPERATOR, SCOPES, Caller, Scope, parse_key
from ..errors import ScopeError, TokenError
from ..installation import now
from ..keyring import hash_token
from .context import Context, UsedContext
from .problems import declare_problems

bearer = HTTPBearer(
    auto_error=False,
    description="An API key of `provenote access create`, the token that `provenote init` shows once, or a "
    "token of the OpenID Connect provider, where one is set.\n\n"
    + "\n".join(f"- `{scope}`: {text}" for scope, text in SCOPES.items()),
)


def get_caller(
    request: Request,
    context: UsedContext,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Caller:
    """Return who calls; TokenError for credentials that are not, or no longer, taken."""
    found = getattr(request.state, "caller", None)  # once for a request, though several ask
    if found is None:
        found = ANYBODY if credentials is None else identify_caller(context, credentials.credentials)
        request.state.caller = found
    assert isinstance(found, Caller)
    return found


def identify_caller(context: Context, token: str) -> Caller:
    """Return whose token this is: the operator's (in constant time), an API key's, or a provider's."""
    if hmac.compare_digest(hash_token(token), context.token_hash):
        return OPERATOR
    if context.oidc is not None and parse_key(token) is None:
        return context.oidc.identify(token)
    caller = context.installation.access.find_caller(token, now=now())
    if caller is None:
        raise TokenError("expected an API key or token of this service that holds now, got another")
    return caller


class Requirement:
    """A dependency that lets pass whoever has one of `scopes`, or everybody if there are none."""

    def __init__(self, scopes: tuple[Scope, ...]) -> None:
        self.scopes = scopes

    def __call__(self, request: Request, caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
        """Return the caller; TokenError for a stranger, ScopeError for somebody without the scope."""
        if not self.scopes:
            return caller
        request.state.audited = True
        if caller.may(*self.scopes):
            return caller
        names = " or ".join(self.scopes)
        if not caller.known:
            raise TokenError(f"expected `Authorization: Bearer KEY` with scope {names}, got no key")
        raise ScopeError(
            f"expected a key with scope {names}, got one with {', '.join(sorted(caller.scopes))}"
        )


def require_scope(*scopes: Scope) -> Any:
    """Return the dependency of a route for callers with one of these scopes; operators may do everything."""
    if not scopes:
        raise ValueError("expected a scope at least; a route for everybody says open_to_all()")
    return Security(Requirement(scopes), scopes=[str(scope) for scope in scopes])


def open_to_all() -> Any:
    """Return the dependency of a route for everybody."""
    return Security(Requirement(()))


def describe_security(document: dict[str, Any]) -> None:
    """Write into an OpenAPI document which scopes each route takes: any one of them, and operator always.

    The framework has listed the scopes as if all were needed at once.
    """
    name = bearer.scheme_name
    for operation in (item for methods in document["paths"].values() for item in methods.values()):
        if "security" not in operation:
            continue
        stated = {scope for entry in operation["security"] for scope in entry.get(name, [])}
        refusals = declare_problems(401, 403) if stated else declare_problems(401)
        for status, answer in refusals.items():
            operation["responses"].setdefault(str(status), answer)
        if not stated:
            operation["security"] = [{}, {name: []}]
            continue
        taken = sorted(stated | {str(Scope.OPERATOR)})
        operation["security"] = [{name: [scope]} for scope in taken]
        said = " or ".join(f"`{scope}`" for scope in taken)
        operation["description"] = f"{operation.get('description', '')}\n\nScope: {said}.".strip()
