"""Bounds on what strangers ask: counted together over workers, forgotten in time, and no address kept."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy
from conftest import Stamped

from api.errors import QuotaError
from api.quotas import DAY_S, MINUTE_S, Bound, Quotas, name_client, open_quotas
from api.settings import read_settings
from ledger.database import open_database
from ledger.migration import downgrade, upgrade

NOON_S = 1_767_225_600 + 12 * 3600
SECRET = bytes(range(32))
THREE, FIVE = Bound(3, MINUTE_S, "three"), Bound(5, DAY_S, "five")


class Clock:
    def __init__(self) -> None:
        self.now_s = float(NOON_S)

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    address = new_url()
    upgrade(address)
    return address


@pytest.fixture
def quotas(url: str, clock: Clock) -> Iterator[Quotas]:
    opened = Quotas(url, SECRET, clock=clock)
    yield opened
    opened.close()


def count_taken(quotas: Quotas, subject: str, *bounds: Bound, tries: int = 20) -> int:
    taken = 0
    for _ in range(tries):
        try:
            quotas.take(subject, bounds)
        except QuotaError:
            break
        taken += 1
    return taken


def test_every_bound_holds_and_says_when_to_come_back(quotas: Quotas, clock: Clock) -> None:
    clock.now_s += 10
    assert count_taken(quotas, "a", THREE, FIVE) == 3
    with pytest.raises(QuotaError, match="three") as caught:
        quotas.take("a", [THREE, FIVE])
    assert caught.value.retry_after_s == 50
    assert count_taken(quotas, "b", THREE, FIVE) == 3  # another's are its own
    clock.now_s += 50
    assert count_taken(quotas, "a", THREE, FIVE) == 2  # what was refused did not count for the day
    with pytest.raises(QuotaError, match="five") as caught:
        quotas.take("a", [THREE, FIVE])
    assert caught.value.retry_after_s == DAY_S // 2 - 60
    clock.now_s += DAY_S // 2
    assert count_taken(quotas, "a", THREE, FIVE) == 3


def test_workers_together_take_no_more_than_the_bound(url: str, clock: Clock) -> None:
    workers = [Quotas(url, SECRET, clock=clock) for _ in range(4)]
    taken: list[int] = []
    bound = Bound(25, DAY_S, "25")

    def work(worker: Quotas) -> None:
        taken.append(count_taken(worker, "a", bound, tries=30))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 25
    for worker in workers:
        worker.close()


def test_a_version_counts_once_and_versions_count_together(quotas: Quotas, clock: Clock) -> None:
    bound = Bound(2, DAY_S, "two versions")
    for version in ("x", "x", "y", "x", "y"):
        quotas.take_version("track/a", version, bound)
    with pytest.raises(QuotaError, match="two versions"):
        quotas.take_version("track/a", "z", bound)
    with pytest.raises(QuotaError, match="two versions"):
        quotas.take_version("track/a", "z", bound)  # a refused version is still a new one
    quotas.take_version("track/a", "x", bound)
    quotas.take_version("track/b", "z", bound)
    clock.now_s += DAY_S
    quotas.take_version("track/a", "z", bound)


def test_rows_and_salts_are_forgotten_after_two_days(quotas: Quotas, url: str, clock: Clock) -> None:
    quotas.take("a", [FIVE])
    for _ in range(2):
        clock.now_s += DAY_S
        quotas.take("a", [FIVE])
    engine = open_database(url).engine
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT start FROM access_count ORDER BY start")).all()
        salts = connection.execute(sqlalchemy.text("SELECT start FROM access_salt ORDER BY start")).all()
    engine.dispose()
    days = [(NOON_S - NOON_S % DAY_S + day * DAY_S,) for day in (1, 2)]
    assert [tuple(row) for row in rows] == days
    assert [tuple(row) for row in salts] == days


def test_what_is_kept_of_an_address_depends_on_the_secret_and_the_day(url: str, clock: Clock) -> None:
    names = set()
    for secret, days in ((SECRET, 0), (bytes(32), 0), (SECRET, 1)):
        quotas = Quotas(url, secret, clock=clock)
        clock.now_s = NOON_S + days * DAY_S
        quotas.take(name_client("192.0.2.7"), [FIVE])
        quotas.close()
    engine = open_database(url).engine
    with engine.connect() as connection:
        for (subject,) in connection.execute(sqlalchemy.text("SELECT subject FROM access_count")):
            names.add(bytes(subject))
    engine.dispose()
    assert len(names) == 3
    assert all(len(name) == 16 and b"192.0.2.7" not in name for name in names)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        (None, "192.0.2.7", False),
        ("garbage", "garbage", True),
    ],
)
def test_a_household_is_one_client(one: str | None, other: str, same: bool) -> None:
    assert (name_client(one) == name_client(other)) == same


def test_the_secret_is_made_once_and_is_the_owners(stamped: Stamped) -> None:
    settings = read_settings(stamped.home, {})
    open_quotas(settings).close()
    path = settings.keys / "clients.key"
    content = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    open_quotas(settings).close()
    assert path.read_bytes() == content


def test_the_migration_runs_down(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'a.db'}"
    upgrade(address)
    downgrade(address, "0009_access_key")
    engine = open_database(address).engine
    assert not {"access_count", "access_salt"} & set(sqlalchemy.inspect(engine).get_table_names())
    engine.dispose()
