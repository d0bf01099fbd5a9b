"""`ray up` for real, on three machines: what spans all of them works, comes back, and ends. In order, on one Ray."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.lan import Lan, Machine, Unbuildable, check_buildable
from tests.cluster.launched import Launched, until

pytestmark = [pytest.mark.timeout(600)]

ADDRESSES = {"192.0.2.10", "192.0.2.11", "192.0.2.12"}
UP = "up ebbtide/app/many_machines.py --address auto --folder run"


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


@pytest.fixture(scope="module")
def shop(cluster: Launched) -> Launched:
    """Have the agents of examples/many_machines.py up, four hosts on three machines."""
    cluster.ebbtide(UP)
    rest(cluster)
    return cluster


def rest(shop: Launched) -> None:
    until(lambda: not any(row["under_way"] for row in shop.told("agents --folder run", code=None)))


def booked(shop: Launched) -> Any:
    return shop.told("state books --folder run")[0]["value"]


def hosts(shop: Launched) -> dict[str, Any]:
    return {row["host"]: row for row in shop.told("ps --folder run", code=None)}


def address(row: Any) -> str:
    return re.match(r"tcp://([0-9.]+):\d+\?key=", row["address"])[1]  # type: ignore[index]


def machine(shop: Launched, row: Any) -> Machine:
    return next(each for each in shop.lan.machines if each.address == address(row))


def lives(shop: Launched, rows: dict[str, Any]) -> dict[str, str]:
    """Return by host which process holds its folder, as its machine knows it."""
    return {name: shop.on(machine(shop, row), f"cat run/{name}/lock").strip() for name, row in rows.items()}


def host_of(rows: dict[str, Any], agent: str) -> str:
    return next(name for name, row in rows.items() if row["agents"] == [agent])


def test_all_machines_join(cluster: Launched) -> None:
    assert cluster.joined() == ADDRESSES


def test_nobody_is_let_in_with_another_token(cluster: Launched) -> None:
    asked = f"timeout 60 env RAY_AUTH_TOKEN={'0' * 64} ray status 2>&1"
    assert "InvalidAuthToken" in cluster.on(cluster.head, asked, code=None)


def test_ray_proves_who_it_is(cluster: Launched) -> None:
    asked = "openssl s_client -connect 192.0.2.10:6379 -CAfile ebbtide/tls/ca.crt -alpn h2 < /dev/null 2>&1"
    assert "Verify return code: 0 (ok)" in cluster.on(cluster.lan.machines[1], asked, code=None)


def test_payments_are_settled_and_a_wrong_scorers_consequences_undone(cluster: Launched) -> None:
    # The bank's books, the world outside, are where all machines see them.
    command = "TMPDIR=/mnt RAY_ADDRESS=auto ebbtide demo --payments 200 --agents 9 --no-branch --folder payments"
    said = cluster.on(cluster.head, command, timeout_s=300)
    assert "all checks hold" in said
    assert "a picture of its largest rollback" in said
    logs = [cluster.on(each, "ls -d payments/host-*/log").split() for each in cluster.lan.machines]
    assert [len(each) for each in logs] == [3, 3, 3]


def test_a_benchmark_joins_this_ray_by_its_address(cluster: Launched) -> None:
    command = (
        "ebbtide bench run checkpoints --quick --address 192.0.2.10:6379 --no-plots --out bench --json 2>/dev/null"
    )
    found = json.loads(cluster.on(cluster.head, command, timeout_s=300))
    assert found["ray"] == "a running cluster"
    assert found["failed"] == []
    assert {row["backend"] for row in found["rows"]["live"]} == {"ray"}


def test_agents_are_spread_and_a_rollback_spans_all_machines(shop: Launched) -> None:
    rows = hosts(shop)
    assert {row["state"] for row in rows.values()} == {"up"}
    assert {address(row) for row in rows.values()} == ADDRESSES
    assert "hosts        4 of 4 up" in shop.ebbtide("status --folder run")
    assert booked(shop) == 304
    plan = shop.told("preview shop/1/2 --folder run")[0]
    cone = {step.partition("/")[0] for step in plan["steps"]}
    assert {address(row) for row in rows.values() if cone & set(row["agents"])} == ADDRESSES
    assert shop.told("rollback shop/1/2 --inputs discard --yes --folder run")[0]["committed"]
    rest(shop)
    assert booked(shop) == 4


def test_a_host_that_is_killed_comes_back_on_its_machine_where_its_log_is(shop: Launched) -> None:
    rows, before = hosts(shop), booked(shop)
    name = host_of(rows, "books")
    only = {name: rows[name]}
    first = lives(shop, only)
    shop.on(machine(shop, rows[name]), f"kill -9 {first[name]}")
    until(lambda: lives(shop, only) != first)
    until(lambda: hosts(shop)[name]["state"] == "up")
    assert hosts(shop)[name]["address"] == rows[name]["address"]
    assert booked(shop) == before
    shop.ebbtide("""submit shop --as Order '{"item": "ink", "price": 2}' --folder run""")
    rest(shop)
    assert booked(shop) == before + 2


def test_hosts_that_are_all_killed_at_once_find_each_other_without_their_launcher(shop: Launched) -> None:
    rows = hosts(shop)
    name = host_of(rows, "books")
    there = machine(shop, rows[name])

    def steps() -> int:
        return len(shop.on(there, f"ebbtide log show run/{name} books --json").splitlines())

    last, first = steps(), lives(shop, rows)
    shop.lan.wire.cut()
    shop.ebbtide("""submit shop --as Order '{"item": "salt", "price": 1}' --folder run""")
    for each, row in rows.items():
        shop.on(machine(shop, row), f"kill -9 {first[each]}")
    shop.lan.wire.heal()
    # Who attached would introduce them to each other, so it is a log that is looked at.
    until(lambda: steps() == last + 1)


def test_after_down_all_agents_go_on_where_their_logs_are(shop: Launched) -> None:
    where, before = {name: address(row) for name, row in hosts(shop).items()}, booked(shop)
    shop.ebbtide("down run")
    assert "no cluster runs in" in shop.on(shop.head, "ebbtide ps --folder run 2>&1", code=2)
    shop.ebbtide(UP)
    assert {name: address(row) for name, row in hosts(shop).items()} == where
    assert booked(shop) == before


def test_ray_down_ends_it(shop: Launched) -> None:
    shop.ebbtide("down run")
    shop.down()
    for each in shop.lan.machines:
        until(lambda each=each: len(each.processes()) == 1)
