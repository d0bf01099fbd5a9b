"""A cluster on Ray that outlives the command that has launched it, however that ends."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from peer.audit.reader import read_trail
from peer.backends.admission import addresses_in
from peer.backends.ray_head import FILE, LOCK
from peer.store.lock import holder
from peer.trust import authority
from tests.endtoend.commands import EBBTIDE, HERE, Run, until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    found = Run(tmp_path / "run", capsys, monkeypatch)
    yield found
    if (found.folder / authority.FILE).exists():
        ebbtide("down")


def ebbtide(*command: object) -> str:
    """Run a command that joins Ray in a process of its own: only there it is imported with the cluster's token."""
    done = subprocess.run([EBBTIDE, *map(str, command)], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def processes(run: Run) -> dict[str, int]:
    """Return who is what; a busy machine may have a host in doubt meanwhile."""
    return {row["host"]: row["process"] for row in run.told("ps", code=None)}


def killed(run: Run, *hosts: str) -> None:
    """Kill hosts' processes, at once, and wait until Ray has started them again and they are known to be up."""
    before = processes(run)
    for host in hosts:
        os.kill(before[host], signal.SIGKILL)

    def are_back() -> bool:
        rows = {row["host"]: row for row in run.told("ps", code=None)}
        return all(rows[host]["state"] == "up" and rows[host]["process"] != before[host] for host in hosts)

    until(are_back)


def test_it_goes_on_when_up_has_ended_and_its_hosts_come_back_without_it(run: Run) -> None:
    assert "2 agents are up" in ebbtide("up", HERE / "corner_shop.py")
    assert len(processes(run)) == 2
    run.do("submit", "buyer", "--as", "Order", '{"item": "milk", "price": 5}')
    run.rest()
    assert run.one("state", "cashier") == {"key": "paid", "value": 11}
    killed(run, "host-1")
    run.do("submit", "buyer", "--as", "Order", '{"item": "ink", "price": 2}')
    run.rest()
    assert run.one("state", "cashier") == {"key": "paid", "value": 14}
    assert run.one("checkpoint") == {"epoch": 1}
    assert run.one("rollback", "buyer/1/2", "--inputs", "discard", "--yes")["committed"]
    run.rest()
    state = run.told("state", "cashier")
    assert "has ended; its folder stays" in ebbtide("down")
    assert "no cluster runs in" in run.do("ps", code=2)
    assert "nothing runs in" in ebbtide("down")
    subprocess.run([EBBTIDE, "log", "verify", run.folder], check=True, capture_output=True)
    ebbtide("up", HERE / "corner_shop.py")
    assert run.told("state", "cashier") == state


def test_a_launcher_that_is_killed_in_the_middle_of_work_loses_nothing(run: Run) -> None:
    program = subprocess.Popen(
        [EBBTIDE, "up", HERE / "relay.py"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert program.stdout is not None
        last = next((line for line in program.stdout if line.strip() == "20"), None)
        assert last is not None, program.stderr and program.stderr.read()
    finally:
        program.kill()
    acknowledged = max(20, *(int(line) for line in program.stdout.read().split()), 0)
    program.wait()
    run.rest()
    seen: Any = run.one("state", "sender")
    # The next one may have been taken, and not acknowledged any more.
    assert seen["value"] in (acknowledged, acknowledged + 1)
    assert run.one("state", "adder")["value"] == sum(range(1, seen["value"] + 1))


def test_hosts_that_are_all_killed_at_once_find_each_other_without_their_launcher(run: Run) -> None:
    ebbtide("up", HERE / "quiet_relay.py")
    (run.bank / "shut").touch()
    run.do("submit", "sender", "1", "2")
    before = processes(run)
    for number in before.values():
        os.kill(number, signal.SIGKILL)
    until(lambda: all(each.pid != before[name] for name, each in addresses_in(run.folder).items()))
    (run.bank / "shut").unlink()
    # Who attached would introduce them to each other, so it is their logs that are looked at.
    until(lambda: len(read_trail(run.folder).of("adder")) == 2)
    assert run.one("state", "adder") == {"key": "sum", "value": 3}


def test_an_up_that_is_told_to_end_before_it_is_done_leaves_no_ray(run: Run) -> None:
    program = subprocess.Popen([EBBTIDE, "up", HERE / "relay.py"], text=True, stderr=subprocess.PIPE)
    until(lambda: holder(run.folder, LOCK) is not None)
    program.send_signal(signal.SIGTERM)
    _, said = program.communicate(timeout=200)
    assert (program.returncode, said) == (143, "")
    assert holder(run.folder, LOCK) is None
    assert not (run.folder / FILE).exists()
    assert "nothing runs in" in ebbtide("down")
