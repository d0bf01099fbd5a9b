"""`ray up` for real, on three machines: what spans all of them works, comes back, and ends."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.lan import Lan, Machine, Unbuildable, check_buildable
from tests.cluster.launched import Launched, until

pytestmark = [pytest.mark.timeout(400)]

ADDRESSES = {"192.0.2.10", "192.0.2.11", "192.0.2.12"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    try:
        check_buildable()
    except Unbuildable as error:
        pytest.skip(str(error))
    with Lan(tmp_path_factory.mktemp("lan")) as lan:
        found = Launched(lan)
        found.up()
        yield found


@pytest.fixture
def shop(cluster: Launched) -> Iterator[Launched]:
    cluster.ebbtide("up ebbtide/app/many_machines.py --address auto --folder run")
    rest(cluster)
    yield cluster
    cluster.ebbtide("down run")


def rest(cluster: Launched) -> None:
    until(lambda: not any(row["under_way"] for row in cluster.told("agents --folder run", code=None)))


def booked(cluster: Launched) -> Any:
    return cluster.told("state books --folder run")[0]["value"]


def hosts(cluster: Launched) -> dict[str, Any]:
    return {row["host"]: row for row in cluster.told("ps --folder run", code=None)}


def machine_of(row: Any) -> str:
    return re.fullmatch(r"tcp://([0-9.]+):\d+", row["address"])[1]  # type: ignore[index]


def test_all_machines_join(cluster: Launched) -> None:
    assert cluster.joined() == ADDRESSES


def test_payments_are_settled_and_a_wrong_scorers_consequences_undone(cluster: Launched) -> None:
    said = cluster.on(
        cluster.head,
        "TMPDIR=/mnt RAY_ADDRESS=auto ebbtide demo --payments 200 --agents 9 --no-branch --folder payments",
        timeout_s=200,
    )
    assert "all checks hold" in said
    for machine in cluster.lan.machines:
        assert cluster.on(machine, "ls -d payments/host-*/log").split()


def test_agents_are_spread_and_a_rollback_spans_all_machines(shop: Launched) -> None:
    rows = hosts(shop)
    assert {row["state"] for row in rows.values()} == {"up"}
    assert {machine_of(row) for row in rows.values()} == ADDRESSES
    assert "hosts        4 of 4 up" in shop.ebbtide("status --folder run")
    assert booked(shop) == 304
    plan = shop.told("preview shop/1/2 --folder run")[0]
    cone = {step.partition("/")[0] for step in plan["steps"]}
    assert {machine_of(row) for row in rows.values() if cone & set(row["agents"])} == ADDRESSES
    assert shop.told("rollback shop/1/2 --inputs discard --yes --folder run")[0]["committed"]
    rest(shop)
    assert booked(shop) == 4


def lives(shop: Launched) -> dict[str, str]:
    """Return by host which process holds its folder on its machine."""
    rows = hosts(shop)
    return {name: shop.on(machine(shop, row), f"cat run/{name}/lock").strip() for name, row in rows.items()}


def machine(shop: Launched, row: Any) -> Machine:
    return next(each for each in shop.lan.machines if each.address == machine_of(row))


def test_a_host_that_is_killed_comes_back_on_its_machine_where_its_log_is(shop: Launched) -> None:
    rows, before = hosts(shop), booked(shop)
    (name,) = (name for name, row in rows.items() if row["agents"] == ["books"])
    first = lives(shop)[name]
    shop.on(machine(shop, rows[name]), f"kill -9 {first}")
    until(lambda: (now := hosts(shop)[name])["state"] == "up" and lives(shop)[name] != first and now == rows[name])
    assert booked(shop) == before
    shop.ebbtide("""submit shop --as Order '{"item": "ink", "price": 2}' --folder run""")
    rest(shop)
    assert booked(shop) == before + 2


def test_after_down_all_agents_go_on_where_their_logs_are(shop: Launched) -> None:
    where, before = {name: machine_of(row) for name, row in hosts(shop).items()}, booked(shop)
    shop.ebbtide("down run")
    assert "no cluster runs in" in shop.on(shop.head, "ebbtide ps --folder run 2>&1", code=2)
    shop.ebbtide("up ebbtide/app/many_machines.py --address auto --folder run")
    assert {name: machine_of(row) for name, row in hosts(shop).items()} == where
    assert booked(shop) == before


def test_hosts_that_are_all_killed_at_once_find_each_other_without_their_launcher(shop: Launched) -> None:
    rows = hosts(shop)
    (books,) = (row for row in rows.values() if row["agents"] == ["books"])
    last = len(steps_of_books(shop, books))
    first = lives(shop)
    shop.lan.wire.cut()
    shop.ebbtide("""submit shop --as Order '{"item": "salt", "price": 1}' --folder run""")
    for name, row in rows.items():
        shop.on(machine(shop, row), f"kill -9 {first[name]}")
    shop.lan.wire.heal()
    # Who attached would introduce them to each other, so it is their logs that are looked at.
    until(lambda: len(steps_of_books(shop, books)) == last + 1)


def steps_of_books(shop: Launched, row: Any) -> list[str]:
    return shop.on(machine(shop, row), f"ebbtide log show run/{row['host']} books --json").splitlines()


def test_ray_down_ends_it(cluster: Launched) -> None:
    cluster.down()
    assert cluster.joined() == set()
    for each in cluster.lan.machines:
        until(lambda each=each: len(each.processes()) == 1)
