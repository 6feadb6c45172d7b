"""Who may use which route."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from conftest import Stamped
from http_service import served

from api.access import Scope
from api.accesskeys import AccessKeys
from api.installation import now
from api.settings import read_settings

EXAMPLES = {"track_id": "a" * 16, "job_id": "0" * 16, "notation": "abc", "index": "0", "path": "0/000"} | {
    "case_id": "a" * 16,
    "sha256": "0" * 64,
    "letter": "receipt",
}


@dataclass(frozen=True)
class Service:
    """A service, its table of keys, and the track in it."""

    client: httpx.Client
    keys: AccessKeys
    track: Stamped

    def make_key(self, *scopes: Scope, **options: Any) -> dict[str, str]:
        """Return the headers of a new API key."""
        made = self.keys.create(scopes, **{"label": "test", "created": now(), **options})
        return {"authorization": f"Bearer {made.key}"}


@pytest.fixture(scope="module")
def service(stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("access") / "ledger"
    shutil.copytree(stamped_once.home, home)
    keys = AccessKeys(read_settings(home, {}).database_url)
    with served(home) as client:
        yield Service(client, keys, stamped_once)
    keys.close()


def list_operations(service: Service) -> list[tuple[str, str, set[str]]]:
    """Return method, path with examples, and taken scopes of every route in the OpenAPI document."""
    document = service.client.get("/openapi.json").json()
    found = []
    for path, methods in document["paths"].items():
        for name, example in EXAMPLES.items():
            path = path.replace(f"{{{name}}}", example)
        for method, operation in methods.items():
            assert "security" in operation, f"{method} {path} does not say whom it is open to"
            scopes = {scope for entry in operation["security"] for scope in entry.get("HTTPBearer", [])}
            found.append((method, path, scopes))
    return found


def test_every_route_with_scopes_refuses_strangers_and_other_keys(service: Service) -> None:
    guarded = [item for item in list_operations(service) if item[2]]
    keys = {scope: service.make_key(scope) for scope in Scope}
    assert len(guarded) >= 7
    for number, (method, path, scopes) in enumerate(guarded):
        assert str(Scope.OPERATOR) in scopes
        assert service.client.request(method, path).status_code == 401, path
        # One scope that is not enough and one that is, others for each route: all would be many requests.
        refused = sorted(set(Scope) - scopes)[number % len(set(Scope) - scopes)]
        taken = sorted(scopes)[number % len(scopes)]
        answer = service.client.request(method, path, headers=keys[refused])
        assert (answer.status_code, answer.json()["type"][-9:]) == (403, "forbidden"), (path, refused)
        answer = service.client.request(method, path, headers=keys[Scope(taken)])
        assert answer.status_code not in (401, 403), (path, taken)


def test_open_routes_take_everybody_but_no_wrong_key(service: Service) -> None:
    for path in ("/v1/tracks", "/v1/keys", "/health", "/log/checkpoint"):
        assert service.client.get(path).status_code == 200
        assert service.client.get(path, headers=service.make_key(Scope.PRESS)).status_code == 200
        wrong = service.client.get(path, headers={"authorization": "Bearer nonsense"})
        assert wrong.status_code == 401, path
        assert wrong.headers["content-type"] == "application/problem+json"


def test_a_revoked_or_expired_key_ends_at_once(service: Service) -> None:
    keys = service.keys
    made = keys.create([Scope.ISSUER], label="a", created=now())
    headers = {"authorization": f"Bearer {made.key}"}
    address = "/v1/jobs/" + "0" * 16
    assert service.client.get(address, headers=headers).status_code == 404
    keys.revoke(made.row.key_id, now=now())
    assert service.client.get(address, headers=headers).status_code == 401
    past = service.make_key(Scope.ISSUER, created="2020-01-01T00:00:00Z", expires="2021-01-01T00:00:00Z")
    assert service.client.get(address, headers=past).status_code == 401


def test_the_first_token_is_an_operators(service: Service) -> None:
    headers = {"authorization": f"Bearer {service.track.token}"}
    assert service.client.get("/v1/jobs/" + "0" * 16, headers=headers).status_code == 404


@pytest.mark.parametrize(("scope", "opened"), [(Scope.AUDITOR, True), (Scope.PRESS, False)])
def test_a_bundle_is_opened_for_whom_it_concerns(service: Service, scope: Scope, opened: bool) -> None:
    path = f"/v1/tracks/{service.track.track_id}/bundle"
    bundle = service.client.get(path, headers=service.make_key(scope)).json()
    assert bool(bundle["openings"]) == opened


def test_the_token_may_come_from_the_environment(stamped: Stamped) -> None:
    with served(stamped.home, PROVENOTE_API_TOKEN="t" * 32) as client:
        path = "/v1/jobs/" + "0" * 16
        assert client.get(path, headers={"authorization": f"Bearer {'t' * 32}"}).status_code == 404
        assert client.get(path, headers={"authorization": f"Bearer {stamped.token}"}).status_code == 401
