"""What a host remembers of others, and where it receives in its next life."""

import socket
from pathlib import Path

from peer.backends.admission import Address, addresses_in, all_went, came, noted_elsewhere
from peer.backends.others import FILE, endpoint, remembered

HERE = "127.0.0.1"


def free_port() -> int:
    with socket.create_server((HERE, 0)) as server:
        return server.getsockname()[1]


def test_a_host_that_has_not_lived_takes_any_port(tmp_path: Path) -> None:
    assert endpoint(tmp_path, HERE) == "tcp://127.0.0.1:*"
    assert remembered(tmp_path) == []


def test_it_keeps_its_port_if_that_is_free(tmp_path: Path) -> None:
    port = free_port()
    came(tmp_path, Address("a", f"tcp://{HERE}:{port}", 1))
    assert endpoint(tmp_path, HERE) == f"tcp://{HERE}:{port}"
    with socket.create_server((HERE, port)):
        assert endpoint(tmp_path, HERE) == "tcp://127.0.0.1:*"


def test_on_a_machine_with_another_address_it_takes_any_port(tmp_path: Path) -> None:
    came(tmp_path, Address("a", "tcp://192.0.2.10:4000", 1))
    assert endpoint(tmp_path, HERE) == "tcp://127.0.0.1:*"


def test_what_it_remembers_and_can_not_be_read_is_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('["tcp://192.0.2.11:4000"]')
    assert remembered(tmp_path) == ["tcp://192.0.2.11:4000"]
    (tmp_path / FILE).write_text("{")
    assert remembered(tmp_path) == []


def test_hosts_elsewhere_are_found_by_what_was_noted_of_them(tmp_path: Path) -> None:
    (tmp_path / "host-1").mkdir()
    came(tmp_path / "host-1", Address("a", "tcp://192.0.2.10:1", 7))
    noted_elsewhere(tmp_path, {"host-2": Address("b", "tcp://192.0.2.11:2", 8)})
    noted_elsewhere(tmp_path, {"host-3": Address("c", "tcp://192.0.2.12:3", 9)})
    found = addresses_in(tmp_path)
    assert {name: (each.host, each.pid) for name, each in found.items()} == {
        "host-1": ("a", 7),
        "host-2": ("b", 0),
        "host-3": ("c", 0),
    }
    all_went(tmp_path)
    assert set(addresses_in(tmp_path)) == {"host-1"}
