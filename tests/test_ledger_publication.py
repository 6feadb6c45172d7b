from collections.abc import Callable
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest
import sqlalchemy.dialects.sqlite
from ledger_editor import edit
from ledger_world import (
    ACTOR_KEY,
    ORIGIN,
    OTHER_KEY,
    VKEY,
    append,
    draft,
    fill,
    make_store,
    make_url,
    sha,
)
from sqlmodel import SQLModel
from witness_server import WitnessState

import ledger
from ledger import Store, sign_checkpoint
from ledger.attestation import COSIGNATURE, RFC3161, Attestation, Attestations
from ledger.cosignature import Cosigner, open_cosigned
from ledger.errors import BadSignatureError, SourceUnreachableError
from ledger.mldsa import MldsaSigningKey
from ledger.note import parse_vkey
from ledger.policy import UNWITNESSED, Policy, parse_policy
from ledger.publication import Publication, publish, read_publication
from ledger.witness import Outcome

NOW_S = 1_790_000_000
KEYS = {"one": ACTOR_KEY, "two": OTHER_KEY, "three": MldsaSigningKey(sha("three"))}
LOG_MLDSA = MldsaSigningKey(sha("log mldsa"))


class Network:
    """Witnesses reached by name; those in `down` do not answer."""

    def __init__(self) -> None:
        trusted = {ORIGIN: parse_vkey(VKEY)}
        self.states = {
            name: WitnessState(f"{name}.example", key, trusted, clock=lambda: NOW_S)
            for name, key in KEYS.items()
        }
        self.down: set[str] = set()

    @property
    def policy(self) -> Policy:
        lines = [f"witness {name} {state.vkey} http://{name}\n" for name, state in self.states.items()]
        return parse_policy(("".join(lines) + "group g 2 one two three\nquorum g\n").encode())

    def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        name = url.split("/")[2]
        if name in self.down:
            raise SourceUnreachableError(f"{name} is down")
        return self.states[name].add_checkpoint(body)


@pytest.fixture
def store(new_url: Callable[[], str]):
    with make_store(new_url()) as opened:
        yield opened


@pytest.fixture
def attestations(store: Store):
    opened = Attestations(store.url)
    yield opened
    opened.close()


@pytest.fixture
def network() -> Network:
    return Network()


def go(store: Store, attestations: Attestations, network: Network, **options: object) -> Publication:
    return publish(store, attestations, network.policy, network.post, now_s=NOW_S, **options)


def test_a_checkpoint_is_published_with_the_quorum_s_cosignatures(
    store: Store, attestations: Attestations, network: Network
) -> None:
    assert read_publication(store, attestations, network.policy) is None
    for size in (1, 2, 3):
        published = go(store, attestations, network, mldsa_signing_key=LOG_MLDSA)
        assert published.witnessed
        assert {item.outcome for item in published.submissions} == {Outcome.COSIGNED}
        again = read_publication(store, attestations, network.policy, witnessed=True)
        assert again is not None
        assert (again.note, again.checkpoint.size) == (published.note, size)
        cosigners = [witness.cosigner for witness in network.policy.witnesses]
        opened = open_cosigned(published.note, ORIGIN, VKEY, cosigners)
        assert [item.name for item in opened.cosignatures] == ["one.example", "two.example", "three.example"]
        own = Cosigner(ORIGIN, LOG_MLDSA.public_key)
        assert open_cosigned(published.note, ORIGIN, own.vkey).checkpoint.size == size
        fill(store, 1)


def test_publishing_goes_on_visibly_unwitnessed(
    store: Store, attestations: Attestations, network: Network
) -> None:
    go(store, attestations, network)
    network.down = {"two", "three"}
    fill(store, 3)
    published = go(store, attestations, network)
    assert not published.witnessed
    assert [item.outcome for item in published.submissions] == [
        Outcome.COSIGNED,
        Outcome.UNREACHABLE,
        Outcome.UNREACHABLE,
    ]
    newest = read_publication(store, attestations, network.policy)
    witnessed = read_publication(store, attestations, network.policy, witnessed=True)
    assert newest is not None
    assert witnessed is not None
    assert (newest.checkpoint.size, newest.witnessed) == (4, False)
    assert (witnessed.checkpoint.size, witnessed.witnessed) == (1, True)
    assert newest.note.count("— ".encode()) == 2


def test_witnesses_that_come_back_are_asked_again_and_only_they(
    store: Store, attestations: Attestations, network: Network
) -> None:
    network.down = {"two"}
    assert go(store, attestations, network).witnessed
    network.down = set()
    published = go(store, attestations, network)
    assert [item.witness.name for item in published.submissions] == ["two"]
    assert len(published.cosigned.cosignatures) == 3
    assert go(store, attestations, network).submissions == ()
    assert [state.requests for state in network.states.values()] == [1, 1, 1]


def test_sizes_that_are_known_save_a_question(
    store: Store, attestations: Attestations, network: Network
) -> None:
    go(store, attestations, network)
    fill(store, 1)
    published = go(store, attestations, network, sizes={"one": 1, "two": 1})
    assert published.witnessed
    assert [state.requests for state in network.states.values()] == [2, 2, 3]


def test_without_witnesses_the_log_s_second_key_signs(store: Store, attestations: Attestations) -> None:
    published = publish(store, attestations, UNWITNESSED, _never, now_s=NOW_S, mldsa_signing_key=LOG_MLDSA)
    assert (published.witnessed, published.submissions) == (False, ())
    own = Cosigner(ORIGIN, LOG_MLDSA.public_key)
    assert open_cosigned(published.note, ORIGIN, own.vkey).checkpoint.size == 1
    again = publish(store, attestations, UNWITNESSED, _never, now_s=NOW_S + 9, mldsa_signing_key=LOG_MLDSA)
    assert again.note == published.note


def _never(url: str, body: bytes) -> tuple[int, bytes]:
    raise AssertionError("nobody is to be asked")


def test_a_log_restored_from_an_old_backup_is_found_out_by_its_witnesses(
    tmp_path: Path, network: Network
) -> None:
    (tmp_path / "new").mkdir()
    with make_store(tmp_path) as store:
        source = sqlite.connect(store.url.removeprefix("sqlite:///"))
        target = sqlite.connect(tmp_path / "new" / "ledger.db")
        source.backup(target)
        source.close()
        target.close()
        fill(store, 2)
        newer = Attestations(store.url)
        assert go(store, newer, network).witnessed
        newer.close()
    with Store(f"sqlite:///{tmp_path / 'new' / 'ledger.db'}") as store:
        restored = Attestations(store.url)
        published = go(store, restored, network)
        assert not published.witnessed
        assert {item.outcome for item in published.alarms} == {Outcome.AHEAD}
        append(store, *[draft("track:other", number=number) for number in range(5)])
        published = go(store, restored, network)
        assert {item.outcome for item in published.alarms} == {Outcome.INCONSISTENT}
        assert len(published.alarms) == 3
        restored.close()


def test_a_split_view_never_has_two_quorums(tmp_path: Path, network: Network) -> None:
    views = []
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        store = make_store(tmp_path / name)
        append(store, draft("track:1", view=name))
        opened = Attestations(store.url)
        views.append(go(store, opened, network))
        opened.close()
        store.close()
    assert [view.witnessed for view in views] == [True, False]
    assert len(views[1].alarms) == 3


def test_kept_lines_that_were_changed_are_found_out(
    store: Store, attestations: Attestations, network: Network
) -> None:
    published = go(store, attestations, network)
    name = network.policy.witnesses[0].cosigner.name
    with edit(store.url) as editor:
        (line,) = editor.execute(
            "SELECT content FROM attestation WHERE source LIKE ?", (f"{name}%",)
        ).fetchone()
        changed = line.replace(line[-10:-5], b"AAAAA")
        editor.execute("UPDATE attestation SET content = ? WHERE content = ?", (changed, line))
    with pytest.raises(BadSignatureError):
        read_publication(store, attestations, network.policy)
    # Lines of cosigners that a policy does not name prove nothing to it, and are only carried along.
    assert published.witnessed
    assert read_publication(store, attestations, UNWITNESSED) is not None


def test_a_checkpoint_that_the_log_did_not_sign_is_not_published(
    store: Store, attestations: Attestations, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = sign_checkpoint(ORIGIN, 1, sha("x"), OTHER_KEY)
    monkeypatch.setattr(store, "latest_checkpoint", lambda: forged)
    with pytest.raises(ledger.LedgerError):
        go(store, attestations, network)
    assert all(state.requests == 0 for state in network.states.values())


def test_attestations_are_kept_once_and_found_by_size(attestations: Attestations) -> None:
    first = Attestation(5, RFC3161, "tsa", 100, b"token")
    attestations.add([first, Attestation(5, RFC3161, "tsa", 200, b"later")])
    attestations.add(
        [Attestation(5, COSIGNATURE, "w", 100, b"line"), Attestation(9, RFC3161, "tsa", 1, b"x")]
    )
    assert attestations.list_of(5) == (Attestation(5, COSIGNATURE, "w", 100, b"line"), first)
    assert attestations.list_of(6) == ()
    assert attestations.list_sizes(RFC3161, last=5) == [9, 5]
    assert attestations.list_sizes(RFC3161, last=1) == [9]
    assert [attestations.first_size(RFC3161, above) for above in (0, 4, 5, 8, 9)] == [5, 5, 9, 9, None]
    with pytest.raises(ValueError, match="kinds"):
        attestations.add([Attestation(5, "rumour", "w", 1, b"")])


def test_the_migrated_table_is_the_one_of_the_program(tmp_path: Path) -> None:
    url = make_url(tmp_path)
    ledger.upgrade(url)
    connection = sqlite.connect(url.removeprefix("sqlite:///"))
    found = [
        (row[1], row[2], bool(row[3]), row[5]) for row in connection.execute("PRAGMA table_info(attestation)")
    ]
    connection.close()
    columns = SQLModel.metadata.tables["attestation"].columns
    keys = {"size": 1, "kind": 2, "source": 3}
    assert found == [
        (c.name, c.type.compile(sqlalchemy.dialects.sqlite.dialect()), not c.nullable, keys.get(c.name, 0))
        for c in columns
    ]
