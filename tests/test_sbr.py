"""C2PA Soft Binding Resolution API 2.4, asked by a client that knows the specification alone."""

import base64
import hashlib
import json
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import c2pa
import httpx
import pytest
import soundfile
from conftest import Stamped, make_music, write_audio
from http_service import served

PROBLEM = "application/problem+json"
# Names, types and what is required, out of the specification's OpenAPI document (version 2.4.0).
DISCOVERY = {"apiEndpoint", "c2paSpecificationVersion", "capabilitiesEndpoint", "statusEndpoint"}
MATCH_MEMBERS = {"manifestId", "endpoint", "similarityScore"}


@dataclass
class Resolver:
    """A client of any Soft Binding Resolution API: it finds its way from the server's root."""

    http: httpx.Client

    def __post_init__(self) -> None:
        found = self.http.get("/.well-known/c2pa-soft-binding-resolution").json()
        assert set(found) >= DISCOVERY
        assert all(isinstance(found[name], str) for name in DISCOVERY)
        self.found = found
        self.api = found["apiEndpoint"]

    def match(self, response: httpx.Response) -> list[str]:
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("application/json")
        matches = response.json()["matches"]
        for item in matches:
            assert {"manifestId"} <= set(item) <= MATCH_MEMBERS
        return [item["manifestId"] for item in matches]

    def by_binding(self, alg: str, value: bytes, **more: object) -> list[str]:
        query = {"alg": alg, "value": base64.b64encode(value).decode(), **more}
        return self.match(self.http.get(f"{self.api}/matches/byBinding", params=query))

    def by_large_binding(self, alg: str, value: bytes) -> list[str]:
        body = {"alg": alg, "value": base64.b64encode(value).decode()}
        return self.match(self.http.post(f"{self.api}/matches/byBinding", json=body))

    def by_content(self, path: Path, media: str, **query: str) -> list[str]:
        headers = {"content-type": media}
        content = path.read_bytes()
        url = f"{self.api}/matches/byContent"
        return self.match(self.http.post(url, params=query, content=content, headers=headers))

    def manifest(self, manifest_id: str, **query: str) -> bytes:
        response = self.http.get(f"{self.api}/manifests/{manifest_id}", params=query)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/c2pa"
        return response.content


@pytest.fixture(scope="module")
def service(
    stamped_once: Stamped, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Resolver, Stamped, Path]]:
    home = tmp_path_factory.mktemp("sbr") / "ledger"
    shutil.copytree(stamped_once.home, home)
    with served(home, PROVENOTE_MAX_UPLOAD_MB="8") as client:
        yield Resolver(client), stamped_once, home


@pytest.fixture
def resolver(service: tuple[Resolver, Stamped, Path]) -> Resolver:
    return service[0]


@pytest.fixture(scope="module")
def released(service: tuple[Resolver, Stamped, Path]) -> tuple[str, dict[str, Any]]:
    """The active manifest of the released file, as C2PA's own library reads it."""
    with c2pa.Reader(str(service[1].audio)) as reader:
        store = json.loads(reader.json())
    label = store["active_manifest"]
    return label, store["manifests"][label]


def bindings(manifest: dict[str, Any]) -> list[tuple[str, bytes]]:
    found = [item["data"] for item in manifest["assertions"] if item["label"] == "c2pa.soft-binding"]
    return [(item["alg"], base64.b64decode(item["blocks"][0]["value"])) for item in found]


def test_a_manifests_soft_binding_leads_back_to_it(
    resolver: Resolver, released: tuple[str, dict[str, Any]]
) -> None:
    label, manifest = released
    [(alg, value)] = bindings(manifest)
    assert resolver.by_binding(alg, value) == [label]
    assert resolver.by_binding(alg, value, maxResults=1) == [label]
    assert resolver.by_large_binding(alg, value) == [label]
    assert resolver.by_binding(alg, hashlib.sha256(value).digest()) == []
    supported = resolver.http.get(f"{resolver.api}/services/supportedAlgorithms").json()
    assert alg in [item["alg"] for item in supported["watermarks"]]


def test_the_manifest_is_the_one_in_the_released_file(
    resolver: Resolver, released: tuple[str, dict[str, Any]], service: tuple[Resolver, Stamped, Path]
) -> None:
    store = resolver.manifest(released[0])
    assert service[1].audio.read_bytes().count(store) == 1
    statement = resolver.http.get(f"/v1/tracks/{service[1].track_id}/statement").json()["statement"]
    credential = statement["predicate"]["credential"]
    assert (credential["id"], credential["sha256"]) == (released[0], hashlib.sha256(store).hexdigest())


def test_the_active_manifest_alone_is_a_store_of_its_own(
    resolver: Resolver, released: tuple[str, dict[str, Any]]
) -> None:
    """Read box by box (ISO 19566-5), by other code than the service's."""
    store = resolver.manifest(released[0], returnActiveManifest="true")
    length, kind = struct.unpack(">I4s", store[:8])
    assert (length, kind) == (len(store), b"jumb")
    place, labels = 8, []
    while place < len(store):
        length, kind = struct.unpack(">I4s", store[place : place + 8])
        if kind == b"jumb":
            labels.append(store[place + 33 : store.index(b"\0", place + 33)].decode())
        place += length
    assert labels == [released[0]]
    assert resolver.manifest(released[0]).endswith(store[-200:])


def test_a_clip_without_credentials_leads_to_its_manifest_by_mark_and_by_sound(
    resolver: Resolver,
    released: tuple[str, dict[str, Any]],
    service: tuple[Resolver, Stamped, Path],
    tmp_path: Path,
) -> None:
    frames, rate = soundfile.read(service[1].audio, dtype="float32", always_2d=True)
    clip = write_audio(tmp_path / "clip.ogg", frames[4 * rate : 15 * rate].T, rate)
    supported = resolver.http.get(f"{resolver.api}/services/supportedAlgorithms").json()
    [fingerprint] = [item["alg"] for item in supported["fingerprints"]]
    [(mark, value)] = bindings(released[1])
    assert resolver.by_content(clip, "audio/ogg", alg=mark) == [released[0]]
    hint = base64.b64encode(value).decode()
    assert resolver.by_content(clip, "audio/ogg", alg=fingerprint, hintAlg=mark, hintValue=hint) == [
        released[0]
    ]
    assert list((service[2] / "incoming").iterdir()) == []


def test_a_stored_fingerprints_digest_is_a_binding(
    resolver: Resolver, released: tuple[str, dict[str, Any]], service: tuple[Resolver, Stamped, Path]
) -> None:
    statement = resolver.http.get(f"/v1/tracks/{service[1].track_id}/statement").json()["statement"]
    digests = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    supported = resolver.http.get(f"{resolver.api}/services/supportedAlgorithms").json()
    [alg] = [item["alg"] for item in supported["fingerprints"]]
    assert resolver.by_binding(alg, bytes.fromhex(digests["fingerprint"])) == [released[0]]


def test_other_sound_leads_nowhere(resolver: Resolver, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "other.flac", make_music(5.0, seed=77))
    assert resolver.by_content(path, "audio/flac") == []


def test_discovery_capabilities_and_status_have_the_specifications_form(resolver: Resolver) -> None:
    found = resolver.found
    assert found["c2paSpecificationVersion"] == "2.4.0"
    assert resolver.api.startswith(str(resolver.http.base_url))
    capabilities = resolver.http.get(found["capabilitiesEndpoint"]).json()
    assert capabilities == {"c2paSpecificationVersion": "2.4.0", "supportedCapabilities": ["queryByContent"]}
    status = resolver.http.get(found["statusEndpoint"]).json()
    assert status["status"] == "ok"
    assert status["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/matches/byBinding", {"value": "AAAA"}, 400),
        ("/matches/byBinding", {"alg": "example.provenote.watermark.pn3"}, 400),
        ("/matches/byBinding", {"alg": "example.provenote.watermark.pn3", "value": "not base64!"}, 400),
        ("/matches/byBinding", {"alg": "com.example.other", "value": "AAAA"}, 400),
        (
            "/matches/byBinding",
            {"alg": "example.provenote.watermark.pn3", "value": "AAAA", "maxResults": "0"},
            400,
        ),
        ("/matches/byBinding", {"alg": "example.provenote.watermark.pn3", "value": "A" * 2052}, 414),
        ("/manifests/urn:c2pa:conformance-does-not-exist", {}, 404),
        ("/manifests/urn:c2pa:x", {"returnActiveManifest": "perhaps"}, 400),
        ("/manifests/" + "u" * 300, {}, 400),
    ],
)
def test_queries_that_cannot_be_answered_are_problems(
    resolver: Resolver, path: str, query: dict[str, str], status: int
) -> None:
    response = resolver.http.get(f"{resolver.api}{path}", params=query)
    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM
    assert response.json()["status"] == status


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"no audio at all", "audio/mpeg", 415),
        (b"{}", "application/json", 415),
        (b"", "audio/mpeg", 400),
        (bytes(9 << 20), "audio/wav", 413),
    ],
)
def test_bodies_that_are_no_audio_or_too_large_are_refused(
    resolver: Resolver, content: bytes, media: str, status: int
) -> None:
    url = f"{resolver.api}/matches/byContent"
    response = resolver.http.post(url, content=content, headers={"content-type": media})
    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM


def test_bodies_of_queries_are_bounded_and_checked(resolver: Resolver) -> None:
    url = f"{resolver.api}/matches/byBinding"
    assert resolver.http.post(url, json={"alg": "x"}).status_code == 400
    assert (
        resolver.http.post(url, content=b"{", headers={"content-type": "application/json"}).status_code == 400
    )
    assert resolver.http.post(url, json={"alg": "x", "value": "A" * 70_000}).status_code == 413
    more = {"alg": "example.provenote.watermark.pn3", "value": "AAAA", "later": "member"}
    assert resolver.http.post(url, json=more).status_code == 200


def test_a_file_that_was_changed_does_not_pass_as_the_logged_manifest(
    stamped: Stamped, released: tuple[str, dict[str, Any]]
) -> None:
    with served(stamped.home) as client:
        resolver = Resolver(client)
        store = resolver.manifest(released[0])
        content = bytearray(stamped.audio.read_bytes())
        content[content.index(store) + 2_000] ^= 1
        stamped.audio.write_bytes(content)
        response = client.get(f"{resolver.api}/manifests/{released[0]}")
    assert response.status_code == 404
    assert "was logged" in response.json()["detail"]
