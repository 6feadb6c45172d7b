"""API keys: their form, what is kept of them, when they hold, and the commands that make and end them."""

from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest
import sqlalchemy
from conftest import Shell, Stamped
from sqlmodel import SQLModel

from api.access import ANYBODY, OPERATOR, Caller, CallerKind, Scope, make_key, match_key, parse_key
from api.accesskeys import ACTIVE, EXPIRED, REVOKED, AccessKeys
from api.errors import ConflictError, MissingError, RefusedError
from ledger.database import open_database
from ledger.migration import downgrade, upgrade

NOON, LATER = "2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z"


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path / 'a.db'}"
    upgrade(address)
    return address


@pytest.fixture
def keys(url: str) -> AccessKeys:
    return AccessKeys(url)


def test_a_key_names_itself_and_no_two_are_alike() -> None:
    key_id, key = make_key()
    assert parse_key(key) == key_id
    assert make_key() != (key_id, key)
    for wrong in ("", key[:-1], key + "A", key.replace("pnk_", "pnx_"), key[4:], f"Bearer {key}", key + "\n"):
        assert parse_key(wrong) is None


def test_an_operator_may_everything_and_the_public_nothing() -> None:
    issuer = Caller(CallerKind.KEY, "k", frozenset({Scope.ISSUER}))
    assert issuer.may(Scope.AUDITOR, Scope.ISSUER)
    assert not issuer.may(Scope.AUDITOR)
    assert all(OPERATOR.may(scope) and not ANYBODY.may(scope) for scope in Scope)


def test_the_migration_makes_the_table_and_runs_down(url: str) -> None:
    engine = open_database(url).engine
    columns = {item["name"]: item for item in sqlalchemy.inspect(engine).get_columns("access_key")}
    declared = SQLModel.metadata.tables["access_key"].columns
    assert {(n, c["nullable"]) for n, c in columns.items()} == {(c.name, c.nullable) for c in declared}
    engine.dispose()
    downgrade(url, "0008_track_credit")
    engine = open_database(url).engine
    assert not sqlalchemy.inspect(engine).has_table("access_key")
    engine.dispose()


def test_a_key_is_found_by_itself_alone_and_the_database_does_not_have_it(
    keys: AccessKeys, tmp_path: Path
) -> None:
    made = keys.create([Scope.ISSUER, Scope.AUDITOR], label="pipeline", created=NOON, daily=7)
    caller = keys.find_caller(made.key, now=NOON)
    assert caller == Caller(
        CallerKind.KEY, made.row.key_id, frozenset({Scope.ISSUER, Scope.AUDITOR}), daily=7
    )
    other = keys.create([Scope.OPERATOR], label="other", created=NOON)
    swapped = made.key[: -len("x" * 43)] + other.key[-43:]
    assert parse_key(swapped) == made.row.key_id
    assert keys.find_caller(swapped, now=NOON) is None
    assert keys.find_caller(make_key()[1], now=NOON) is None
    keys.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert made.row.key_id.encode() in content
    assert made.key[-43:].encode() not in content
    assert match_key(made.key, made.row.digest)


def test_a_key_holds_until_it_expires_or_is_revoked(keys: AccessKeys) -> None:
    made = keys.create([Scope.PRESS], label="daily", created=NOON, expires=LATER)
    assert keys.find_caller(made.key, now="2026-01-02T11:59:59Z") is not None
    assert keys.find_caller(made.key, now=LATER) is None
    assert (made.row.state(NOON), made.row.state(LATER)) == (ACTIVE, EXPIRED)
    endless = keys.create([Scope.PRESS], label="weekly", created=NOON)
    assert keys.find_caller(endless.key, now="2999-01-01T00:00:00Z") is not None
    assert keys.revoke(endless.row.key_id, now=LATER).state(LATER) == REVOKED
    assert keys.find_caller(endless.key, now=NOON) is None
    with pytest.raises(ConflictError, match="was revoked at"):
        keys.revoke(endless.row.key_id, now=LATER)
    with pytest.raises(MissingError):
        keys.revoke("a" * 16, now=LATER)


def test_the_day_of_its_last_use_is_kept(keys: AccessKeys) -> None:
    made = keys.create([Scope.PRESS], label="daily", created=NOON)
    assert [row.used for row in keys.list_keys()] == [None]
    keys.find_caller(made.key, now=LATER)
    assert [row.used for row in keys.list_keys()] == ["2026-01-02"]


@pytest.mark.parametrize(
    ("scopes", "label", "expires", "message"),
    [
        ([], "a", None, "a scope"),
        ([Scope.PRESS], "  ", None, "a label"),
        ([Scope.PRESS], "a" * 121, None, "a label"),
        ([Scope.PRESS], "a\nb", None, "a label"),
        ([Scope.PRESS], "a", NOON, "an end after"),
    ],
)
def test_a_key_that_says_too_little_is_not_made(
    keys: AccessKeys, scopes: list[Scope], label: str, expires: str | None, message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        keys.create(scopes, label=label, created=NOON, expires=expires)
    assert keys.list_keys() == []


def test_keys_are_made_listed_and_revoked_by_command(shell: Shell, stamped: Stamped) -> None:
    home = ("--home", stamped.home)
    made = shell.json("access", "create", "issuer", "auditor", "--label", "pipeline", "--days", "2", *home)
    assert made["scopes"] == ["auditor", "issuer"]
    code, text = shell("access", "create", "press", "--label", "daily", "--forever", *home)
    assert code == 0
    assert parse_key(text.split("\n")[1].strip()) is not None
    listed = shell.json("access", "list", *home)["keys"]
    assert {item["label"]: item["expires"] is None for item in listed} == {"pipeline": False, "daily": True}
    assert made["key"] not in str(listed)
    assert shell.json("access", "revoke", made["key_id"], *home)["state"] == "revoked"
    code, text = shell("access", "list", *home)
    assert f"{made['key_id']}  revoked" in text
    assert "never used" in text
    assert shell("access", "create", "emperor", "--label", "x", *home)[0] == 2
    assert shell("access", "revoke", made["key_id"], *home)[0] == 2
    with sqlite.connect(stamped.home / "ledger.db") as connection:
        digests = [row[0] for row in connection.execute("SELECT digest FROM access_key")]
    connection.close()
    assert all(len(digest) == 32 for digest in digests)
