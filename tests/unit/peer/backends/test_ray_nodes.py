"""On which machine of a Ray each host is started."""

from typing import Any

import pytest

from peer.backends.ray_nodes import Node, Places, Seen
from peer.errors import BackendFailed

A, B, C = (Node(f"192.0.2.{number}", f"{number}" * 28) for number in (10, 11, 12))


def bound(node: Node) -> dict[str, Any]:
    return {"resources": {f"node:{node.address}": 0.0001}}


def places(
    nodes: list[Node],
    has: dict[Node, set[str]] | None = None,
    noted: dict[str, Node] | None = None,
    *,
    shared: bool = False,
    copies: bool = False,
) -> Places:
    seen = {node.address: Seen(shared or node is nodes[0], frozenset((has or {}).get(node, ()))) for node in nodes}
    return Places(nodes, seen, {host: node.address for host, node in (noted or {}).items()}, copies)


def put(found: Places, *hosts: str) -> dict[str, dict[str, Any]]:
    return found.put([(host, f"{host} (of somebody)") for host in hosts])


def test_new_hosts_are_spread_evenly() -> None:
    found = put(places([A, B, C]), "host-1", "host-2", "host-3", "host-4")
    assert list(found.values()) == [bound(A), bound(B), bound(C), bound(A)]


def test_hosts_that_come_later_go_where_there_are_fewest() -> None:
    there = places([A, B])
    put(there, "host-1")
    assert put(there, "host-2") == {"host-2": bound(B)}


def test_a_machine_that_has_joined_gets_the_next_hosts() -> None:
    before = places([A, B])
    assert before.are([A, B])
    assert not before.are([A, B, C])
    seen = {node.address: Seen(node is A, frozenset()) for node in (A, B, C)}
    later = Places([A, B, C], seen, {}, False, [A.address, B.address, "192.0.2.99"])
    assert put(later, "host-3", "host-4") == {"host-3": bound(C), "host-4": bound(A)}


def test_a_host_runs_where_its_log_is_and_new_ones_elsewhere() -> None:
    found = put(places([A, B], {B: {"host-1"}}, {"host-1": B}), "host-1", "host-2")
    assert found == {"host-1": bound(B), "host-2": bound(A)}


def test_a_log_is_found_though_its_machine_has_another_address_now() -> None:
    assert put(places([A, B], {B: {"host-1"}}, {"host-1": C}), "host-1") == {"host-1": bound(B)}


def test_of_two_logs_the_one_where_the_host_ran_last_counts() -> None:
    found = places([A, B, C], {B: {"host-1"}, C: {"host-1"}}, {"host-1": C})
    assert put(found, "host-1") == {"host-1": bound(C)}


def test_a_host_whose_log_is_gone_with_its_folder_goes_where_it_was() -> None:
    assert put(places([A, B], {}, {"host-1": B}), "host-1") == {"host-1": bound(B)}


@pytest.mark.parametrize("nodes", [[A, B], [A]])
def test_a_host_whose_machine_is_away_is_not_started_without_its_log(nodes: list[Node]) -> None:
    with pytest.raises(BackendFailed, match=r"host-1 \(of somebody\) has its log on 192.0.2.12, which is no machine"):
        put(places(nodes, {}, {"host-1": C}), "host-1")


def test_it_is_started_elsewhere_if_others_have_copies() -> None:
    assert put(places([A, B], {}, {"host-1": C}, copies=True), "host-1") == {"host-1": bound(A)}


def test_where_all_machines_see_the_folder_a_host_is_bound_to_none() -> None:
    has = {A: {"host-1"}, B: {"host-1"}}
    found = put(places([A, B], has, {"host-1": C}, shared=True), "host-1")
    strategy = found["host-1"]["scheduling_strategy"]
    assert found["host-1"]["memory"] > 0
    assert (strategy.node_id, strategy.soft) == (A.id, True)
