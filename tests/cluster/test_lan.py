"""What can be done to machines and to the wire between them."""

import time
from collections.abc import Iterator

import pytest

from tests.cluster.lan import Lan, Machine, Unbuildable, check_buildable

PYTHON = "/usr/bin/python3"
KNOCK = "import socket, sys; s = socket.create_connection((sys.argv[1], 22), 1); s.recv(1)"


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    try:
        check_buildable()
    except Unbuildable as error:
        pytest.skip(str(error))
    with Lan(tmp_path_factory.mktemp("lan")) as found:
        yield found


@pytest.fixture(autouse=True)
def whole(lan: Lan) -> Iterator[None]:
    yield
    lan.wire.heal()


def reaches(one: Machine, other: Machine) -> bool:
    return one.exec(PYTHON, "-c", KNOCK, other.address, code=None).returncode == 0


def test_machines_reach_each_other_and_share_nothing_but_one_disk(lan: Lan) -> None:
    one, other, _ = lan.machines
    assert reaches(one, other)
    assert reaches(lan.desk, one)
    one.exec("touch", "here", "/tmp/here", "/srv/here", "/dev/shm/here", "/mnt/here")
    found = other.exec("ls", "here", "/tmp/here", "/srv/here", "/dev/shm/here", "/mnt/here", code=None).stdout
    assert found.split() == ["/mnt/here"]
    assert one.exec("hostname").stdout.strip() == "m0"


def test_a_cut_has_a_direction_and_the_desk_is_never_cut_off(lan: Lan) -> None:
    one, other, third = lan.machines
    lan.wire.isolate(one)
    assert not reaches(one, other)
    assert not reaches(third, one)
    assert reaches(other, third)
    assert reaches(lan.desk, one)
    lan.wire.heal()
    assert reaches(one, other)
    lan.wire.cut(one, other)
    assert not reaches(one, other)
    assert reaches(one, third)
    received = ("-c", "print(next(line.split()[1] for line in open('/proc/net/dev') if 'eth0' in line))")
    before = int(one.exec(PYTHON, *received).stdout)
    assert not reaches(other, one)  # what it sends comes, and the answers do not
    assert int(one.exec(PYTHON, *received).stdout) > before


def test_frames_are_lost_by_a_share(lan: Lan) -> None:
    one, other, _ = lan.machines
    send = "import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM); s.connect((sys.argv[1], 9))"
    send += "\nfor _ in range(1000):\n try: s.send(b'.')\n except ConnectionRefusedError: pass"
    count = ("-c", "print(next(line.split()[2] for line in open('/proc/net/dev') if 'eth0' in line))")
    assert reaches(one, other)
    lan.wire.lose(0.5, one, other)
    before = int(other.exec(PYTHON, *count).stdout)
    one.exec(PYTHON, "-c", send, other.address)
    assert 300 < int(other.exec(PYTHON, *count).stdout) - before < 700


def test_frames_take_longer(lan: Lan) -> None:
    one, other, _ = lan.machines
    lan.wire.delay(one, 100)
    began = time.monotonic()
    assert reaches(one, other)
    assert time.monotonic() - began > 0.4  # there and back, twice


def test_a_machine_that_hangs_answers_again_when_it_goes_on(lan: Lan) -> None:
    one, other, _ = lan.machines
    other.pause()
    assert not reaches(one, other)
    other.resume()
    assert reaches(one, other)


def test_a_machine_without_power_keeps_its_disk_unless_that_goes_too(lan: Lan) -> None:
    one, other, _ = lan.machines
    other.exec("touch", "/srv/kept", "/tmp/gone")
    other.kill()
    assert other.processes() == []
    assert not reaches(one, other)
    lan.boot(other)
    assert reaches(one, other)
    assert other.exec("ls", "/srv/kept", "/tmp/gone", code=None).stdout.split() == ["/srv/kept"]
    other.kill(with_disk=True)
    lan.boot(other)
    assert other.exec("ls", "/srv/kept", code=None).stdout == ""
