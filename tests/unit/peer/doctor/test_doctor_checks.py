"""What the doctor finds: of files, of ports as the kernel tells of them, and of what hosts have said."""

import os
from pathlib import Path

import pytest

from peer.doctor import files, machine
from peer.doctor.files import check_files, room
from peer.doctor.finding import Finding
from peer.doctor.hosts import Seen, check_clocks, check_disks, check_versions, check_wire
from peer.doctor.machine import check_ports, check_ray, listening
from peer.errors import AskTimeout
from peer.host import questions
from peer.host.condition import About, about
from peer.host.health import Health
from peer.host.questions import Notice
from peer.host.versions import UNSPOKEN
from protocol.since import FIRST, VERSION


def verdicts(found: list[Finding], check: str) -> list[tuple[str, str]]:
    return [(each.verdict, each.text) for each in found if each.check == check]


# -- files ---------------------------------------------------------------------------------------------------------


def keyed(folder: Path) -> Path:
    """Return a folder as a cluster's: its authority's key and a host's."""
    (folder / "host-1").mkdir()
    for name in ("authority.key", "host-1/host.key"):
        (folder / name).write_bytes(b"key")
        (folder / name).chmod(0o600)
    return folder


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    found = list(check_files(keyed(tmp_path)))
    assert verdicts(found, "keys") == [("ok", "2 files with keys are their owner's alone")]
    assert verdicts(found, "disk")[0][0] == "ok"


def test_a_key_that_others_may_read_is_named_with_the_remedy(tmp_path: Path) -> None:
    (keyed(tmp_path) / "host-1" / "host.key").chmod(0o640)
    (found,) = [each for each in check_files(tmp_path) if each.check == "keys"]
    assert (found.verdict, found.remedy) == ("fail", f"chmod 600 {tmp_path / 'host-1' / 'host.key'}")
    assert "has mode 0640" in found.text


def test_certificates_are_for_everybody_and_keys_in_the_vault_are_not(tmp_path: Path) -> None:
    (keyed(tmp_path) / "authority.cert").write_bytes(b"c")
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "ab").write_bytes(b"k")
    (tmp_path / "authority.cert").chmod(0o644)
    (tmp_path / "vault" / "ab").chmod(0o644)
    found = verdicts(list(check_files(tmp_path)), "keys")
    assert [text for _, text in found] == [f"{tmp_path / 'vault' / 'ab'} has mode 0644: others may use it"]


def test_a_folder_without_keys_is_no_clusters(tmp_path: Path) -> None:
    assert verdicts(list(check_files(tmp_path)), "keys") == [("fail", f"{tmp_path} has no key at all")]


def test_a_slow_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "write_s", lambda folder: 0.3)
    ((verdict, text),) = verdicts(list(check_files(keyed(tmp_path))), "disk")
    assert (verdict, "took 0.30 s to be durable" in text) == ("warn", True)


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> float:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(files, "write_s", full)
    ((verdict, text),) = verdicts(list(check_files(keyed(tmp_path))), "disk")
    assert (verdict, text) == ("fail", f"{tmp_path} can't be written: No space left on device")


@pytest.mark.parametrize(
    ("free", "verdict"), [(50 << 20, "fail"), (500 << 20, "warn"), (2 << 30, "warn"), (20 << 30, "ok")]
)
def test_a_disk_that_is_nearly_full_is_told_before_it_is(free: int, verdict: str) -> None:
    assert room("here", free, 100 << 30).verdict == verdict


# -- this machine --------------------------------------------------------------------------------------------------

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def told_by_the_kernel(proc: Path, *sockets: tuple[str, str, str]) -> Path:
    """Return a folder that tells of sockets as `/proc` does: address and state as it writes them, inode."""
    (proc / "net").mkdir(parents=True)
    for name, length in (("tcp", 8), ("tcp6", 32)):
        rows = [f"   0: {address} 00000000:0000 {state} 0:0 0:0 0 0 0 {inode} 1\n" for address, state, inode in sockets
                if len(address.partition(":")[0]) == length]  # fmt: skip
        (proc / "net" / name).write_text(HEAD + "".join(rows))
    (proc / "7" / "fd").mkdir(parents=True)
    return proc


LOOPBACK, EVERYBODY, PRIVATE = "0100007F:1F90", "00000000000000000000000000000000:1F91", "0200000A:1F92"


def test_ports_are_read_as_the_kernel_tells_of_them(tmp_path: Path) -> None:
    proc = told_by_the_kernel(
        tmp_path, (LOOPBACK, "0A", "11"), (EVERYBODY, "0A", "12"), (PRIVATE, "0A", "13"), (PRIVATE, "01", "14")
    )
    assert [str(port) for port in listening(proc)] == ["127.0.0.1:8080", "10.0.0.2:8082", "[::]:8081"]


def test_a_host_that_listens_to_everybody_is_a_warning_and_says_whose_port_it_is(tmp_path: Path) -> None:
    proc = told_by_the_kernel(tmp_path, (LOOPBACK, "0A", "11"), (EVERYBODY, "0A", "12"))
    for number, inode in enumerate(("11", "12", "99")):
        (proc / "7" / "fd" / str(number)).symlink_to(f"socket:[{inode}]")
    ((verdict, text),) = verdicts(list(check_ports({7: "host-1"}, {8080}, proc)), "ports")
    assert (verdict, text) == ("warn", "host-1 listens to everybody at [::]:8081 (a port of Ray)")
    ((verdict, text),) = verdicts(list(check_ports({7: "host-1"}, {8081}, proc)), "ports")
    assert text == "host-1 listens to everybody at [::]:8081"


def test_a_host_that_this_machine_alone_or_a_private_network_reaches_is_well(tmp_path: Path) -> None:
    proc = told_by_the_kernel(tmp_path, (LOOPBACK, "0A", "11"), (PRIVATE, "0A", "13"))
    (proc / "7" / "fd" / "0").symlink_to("socket:[13]")
    found = list(check_ports({7: "host-1"}, {8082}, proc))
    assert verdicts(found, "ports") == [("ok", "host-1 listens at 10.0.0.2:8082")]
    assert verdicts(found, "dashboard")[0][0] == "ok"


def test_a_dashboard_beyond_this_machine_is_a_warning(tmp_path: Path) -> None:
    found = list(check_ports({}, (), told_by_the_kernel(tmp_path, (f"00000000:{8265:04X}", "0A", "11"))))
    assert verdicts(found, "dashboard") == [("warn", "a Ray's dashboard, which runs code, listens at 0.0.0.0:8265")]
    assert verdicts(found, "ports")[0][0] == "unknown"


def test_where_the_kernel_does_not_tell_ports_are_unknown(tmp_path: Path) -> None:
    assert [each.verdict for each in check_ports({7: "host-1"}, (), tmp_path)] == ["unknown"]


def test_a_ray_without_a_token_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setattr(machine.ray_head, "head_in", lambda folder: None)
    assert [each.verdict for each in check_ray(tmp_path, "ray", "10.0.0.2:6379")] == ["warn"]
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert [each.verdict for each in check_ray(tmp_path, "ray", "10.0.0.2:6379")] == ["ok"]
    assert [each.verdict for each in check_ray(tmp_path, "local", "")] == ["ok"]
    assert [each.verdict for each in check_ray(tmp_path, "", "")] == ["unknown"]


# -- hosts ---------------------------------------------------------------------------------------------------------


def seen(name: str, off_s: float = 0.0, sure_s: float = 0.01, **more: object) -> Seen:
    here = about(None)
    told = {field: getattr(here, field) for field in About.__struct_fields__} | more
    return Seen(name, name, About(**told), Health(name, 0, 1), off_s, sure_s)


def test_clocks_that_differ_are_a_warning_and_then_a_failure() -> None:
    assert [each.verdict for each in check_clocks([seen("a", 0.5), seen("b", -0.9)])] == ["ok"]
    found = list(check_clocks([seen("a"), seen("b", 3.0), seen("c", -90.0)]))
    assert [(each.verdict, each.text) for each in found] == [
        ("warn", "b is 3.0 s ahead of this machine"), ("fail", "c is 90.0 s behind this machine")]  # fmt: skip


def test_a_clock_is_not_blamed_for_an_answer_that_took_long() -> None:
    assert [each.verdict for each in check_clocks([seen("a", 3.0, sure_s=2.5)])] == ["ok"]


def test_versions_that_differ_are_told_with_who_has_which() -> None:
    here = about(None).versions
    assert [each.verdict for each in check_versions([seen("a"), seen("b")])] == ["ok"]
    found = list(check_versions([seen("a"), seen("b", versions=here | {"ebbtide": "0.0.1", "ray": "1.0"})]))
    assert [(each.verdict, each.text) for each in found] == [
        ("warn", f"ebbtide is {here['ebbtide']} at here, a; 0.0.1 at b"),
        ("warn", f"ray is {here['ray']} at here, a; 1.0 at b"),
    ]


def test_hosts_that_speak_an_older_wire_version_are_named_and_the_upgrade_is_not_finished() -> None:
    (found,) = check_wire([seen("a"), seen("b")])
    assert (found.verdict, found.text) == ("ok", f"2 hosts and this release speak wire version {VERSION}")
    (found,) = check_wire([seen("a"), seen("b", wire=1), seen("c", wire=1)])
    assert (found.verdict, found.check) == ("warn", "wire")
    assert f"wire version is 1 at b, c, and {VERSION} elsewhere: the upgrade is not finished" in found.text
    assert "#upgrade-host-by-host" in found.remedy
    (found,) = check_wire([seen("a", wire=VERSION + 1)])
    assert f"wire version is {VERSION} at here, and {VERSION + 1} elsewhere" in found.text


def test_a_host_that_speaks_no_version_which_is_read_here_is_a_failure() -> None:
    notices = [Notice(1, "host", "refused", "h", ""), Notice(2, "host", UNSPOKEN, "h", "host h sends in version 9")]
    found = list(check_wire([seen("a")], notices))
    assert [(each.verdict, each.text) for each in found] == [("fail", "host h sends in version 9")]


def test_an_older_release_says_nothing_of_its_wire_version_and_speaks_the_first() -> None:
    told = {field: getattr(about(None), field) for field in About.__struct_fields__ if field != "wire"}
    assert questions.decode(questions.encode(told), About).wire == FIRST


def test_a_host_that_can_not_encrypt_is_told() -> None:
    found = list(check_versions([seen("a", has_curve=False)]))
    assert verdicts(found, "libzmq") == [("fail", "a has a libzmq without CURVE: it can't encrypt")]


def test_disks_of_hosts_are_told_as_they_say() -> None:
    full = seen("a", folder="/data/host-1/log", is_writable=False, free_bytes=1 << 20, total_bytes=100 << 30)
    silent = Seen("b", "b", AskTimeout("b is away"), Health("b", 0, 1), 0.0, 0.0)
    found = list(check_disks([full, silent]))
    assert [(each.check, each.verdict) for each in found] == [("disk", "fail"), ("room", "fail")]
