"""The audit trail: what is written, that it cannot be changed, and that a change shows."""

from collections.abc import Callable
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest
import sqlalchemy
from conftest import Shell, Stamped
from http_service import served

from api.access import ANYBODY, OPERATOR, Caller, CallerKind, Scope
from api.accesskeys import AccessKeys
from api.accesslog import AccessLog, find_break
from api.installation import now
from api.settings import read_settings
from ledger.database import open_database
from ledger.migration import downgrade, upgrade

NOON = "2026-01-01T12:00:00Z"
CALLER = Caller(CallerKind.KEY, "a" * 16, frozenset({Scope.ISSUER}))


def fill(url: str, lines: int) -> AccessLog:
    trail = AccessLog(url)
    for n in range(lines):
        trail.append(CALLER, f"POST /{n}", "202", time=NOON, about={"job_id": str(n)})
    return trail


def test_lines_are_numbered_chained_and_say_who_did_what(new_url: Callable[[], str]) -> None:
    url = new_url()
    upgrade(url)
    trail = fill(url, 3)
    trail.append(ANYBODY, "GET /x" * 99, "401", time=NOON)
    events = list(trail.walk())
    assert [event.n for event in events] == [1, 2, 3, 4]
    assert events[1].document() == {
        "n": 2,
        "time": NOON,
        "actor": "a" * 16,
        "kind": "key",
        "scopes": ["issuer"],
        "action": "POST /1",
        "object": {"job_id": "1"},
        "outcome": "202",
        "hash": events[1].hash.hex(),
    }
    assert len(events[3].document()["action"]) == 120
    assert find_break(events) is None
    assert [event.n for event in trail.read(after=1, limit=2)] == [2, 3]
    assert trail.size() == 4
    trail.close()


def test_the_database_refuses_to_change_a_line(new_url: Callable[[], str]) -> None:
    url = new_url()
    upgrade(url)
    fill(url, 2).close()
    engine = open_database(url).engine
    for change in ("UPDATE access_event SET n = 9 WHERE n = 1", "DELETE FROM access_event WHERE n = 2"):
        with engine.connect() as connection, pytest.raises(sqlalchemy.exc.DBAPIError, match="append-only"):
            connection.execute(sqlalchemy.text(change))
    engine.dispose()


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("UPDATE access_event SET body = replace(body, '202', '500') WHERE n = 3", 3),
        ("UPDATE access_event SET hash = zeroblob(32) WHERE n = 2", 2),
        ("DELETE FROM access_event WHERE n = 1", 1),
        ("DELETE FROM access_event WHERE n = 4", 4),
        ("INSERT INTO access_event VALUES (7, 'x', zeroblob(32))", 7),
        ("DELETE FROM access_event WHERE n = 6", None),  # the chain cannot tell: a kept hash does
    ],
)
def test_a_changed_trail_is_found_out(
    shell: Shell, stamped: Stamped, change: str, broken: int | None
) -> None:
    trail = fill(read_settings(stamped.home, {}).database_url, 6)
    last = list(trail.walk())[-1].hash.hex()
    trail.close()
    home = ("--home", stamped.home)
    assert shell.json("access", "log", "--known", last, *home)["size"] == 6
    connection = sqlite.connect(str(stamped.home / "ledger.db"))
    for name in ("update", "delete", "replace"):
        connection.execute(f"DROP TRIGGER access_event_no_{name}")
    connection.execute(change)
    connection.commit()
    connection.close()
    found = shell.json("access", "log", *home, code=0 if broken is None else 1)
    assert found["broken_at"] == broken
    again = shell.json("access", "log", "--known", last, *home, code=1)
    assert again["known_missing"] == (broken is None)


def test_the_migration_runs_down(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'a.db'}"
    upgrade(address)
    fill(address, 1).close()
    downgrade(address, "0011_casework")
    engine = open_database(address).engine
    assert not sqlalchemy.inspect(engine).has_table("access_event")
    engine.dispose()


def test_the_service_writes_what_changes_needs_a_scope_asks_or_is_refused(
    shell: Shell, stamped: Stamped
) -> None:
    home = ("--home", stamped.home)
    made = shell.json("access", "create", "issuer", "--label", "pipeline", *home)
    key = {"authorization": f"Bearer {made['key']}"}
    operator = {"authorization": f"Bearer {stamped.token}"}
    with served(stamped.home, PROVENOTE_PUBLIC_DAILY="1") as client:
        client.get("/v1/tracks", headers=key)
        client.get(f"/v1/tracks/{stamped.track_id}/audio", headers=key)
        client.get("/v1/access/log", headers=key)
        client.post("/v1/verifications?secret=x", content=b"")
        client.post("/v1/identifications", content=b"")
        client.get("/v1/keys", headers={"authorization": "Bearer wrong"})
        client.get("/nowhere")
        page = client.get("/v1/access/log?limit=3", headers=operator).raise_for_status().json()
        rest = client.get(f"/v1/access/log?after={page['next']}", headers=operator).raise_for_status().json()
    events = [*page["events"], *rest["events"]]
    assert [(e["actor"], e["action"], e["outcome"]) for e in events] == [
        ("command-line", "access create", "done"),
        (made["key_id"], "GET /v1/tracks/{track_id}/audio", "200"),
        (made["key_id"], "GET /v1/access/log", "403"),
        ("public", "POST /v1/verifications", "422"),
        ("public", "POST /v1/identifications", "429"),
        ("public", "GET /v1/keys", "401"),
        (OPERATOR.actor, "GET /v1/access/log", "200"),
    ]
    assert events[1]["object"] == {"track_id": stamped.track_id}
    assert "127.0.0.1" not in str(events)
    assert "secret" not in str(events)
    assert rest["next"] is None
    shown = shell.json("access", "log", *home)
    assert shown["ok"]
    assert shown["events"][:7] == events
    code, text = shell("access", "log", "--last", "2", *home)
    assert code == 0
    assert shown["events"][-1]["hash"] in text


def test_no_answer_leaves_without_its_line(stamped: Stamped) -> None:
    keys = AccessKeys(read_settings(stamped.home, {}).database_url)
    made = keys.create([Scope.ISSUER], label="a", created=now())
    keys.close()
    with served(stamped.home) as client:
        headers = {"authorization": f"Bearer {made.key}"}
        path = f"/v1/tracks/{stamped.track_id}/audio"
        assert client.get(path, headers=headers).status_code == 200
        connection = sqlite.connect(str(stamped.home / "ledger.db"))
        connection.execute("ALTER TABLE access_event RENAME TO moved")
        connection.commit()
        connection.close()
        refused = client.get(path, headers=headers)
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert client.get("/v1/tracks").status_code == 200


def test_refused_strangers_fill_no_trail(stamped: Stamped) -> None:
    with served(stamped.home) as client:
        for _ in range(70):
            assert client.get("/v1/keys", headers={"authorization": "Bearer wrong"}).status_code == 401
    trail = AccessLog(read_settings(stamped.home, {}).database_url)
    assert trail.size() in (30, 60)  # twice as many where a minute ended in between
    trail.close()
