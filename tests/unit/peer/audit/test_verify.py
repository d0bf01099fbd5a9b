"""`ebbtide log verify` on a cluster's folder: whatever is wrong with what would be started is named, host by host."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from shop import Scene
from typer.testing import CliRunner

from peer.audit import cli
from peer.backends.roll import seats_in
from peer.errors import ConfigInvalid
from peer.keys import HostKeys
from peer.store.opening import BEGUN
from peer.store.segments import SegmentStore
from protocol.checkpoints.witness import Head

SEGMENT = Path("log") / "00000001.seg"


def verified(folder: Path) -> tuple[int, dict]:
    done = CliRunner().invoke(cli.group, ["verify", str(folder), "--json"])
    return done.exit_code, json.loads(done.stdout)


def said(folder: Path) -> str:
    return CliRunner().invoke(cli.group, ["verify", str(folder)]).stdout


def bad(told: dict) -> dict[str, str]:
    """Return what is wrong, by host; what is wrong with the list by its name."""
    found = {Path(host["folder"]).name: host["findings"] for host in told["hosts"] if host["findings"]}
    found |= {Path(finding["file"]).name: [finding] for finding in told["findings"]}
    return {name: "; ".join(finding["what"] for finding in findings) for name, findings in found.items()}


@pytest.fixture
def run(scene: Scene, tmp_path: Path) -> Path:
    shutil.copytree(scene.folder, tmp_path / "run")
    return tmp_path / "run"


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def flip(file: Path, at: int = 0, bit: int = 0) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1 << bit
    file.write_bytes(data)


def swap_folders_of_an_older_release(run: Path) -> None:
    for mark in run.glob(f"{BEGUN}*"):
        mark.write_bytes(b"")
    swap(run / "host-1", run / "host-2")


def copied(run: Path) -> None:
    shutil.rmtree(run / "host-2")
    shutil.copytree(run / "host-1", run / "host-2")


def seats(run: Path, **changed: object) -> None:
    file = run / "hosts.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | changed))


DAMAGES: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "folder gone": (lambda run: shutil.rmtree(run / "host-2"), {"host-2": "host-2 is gone, and hosts.json names it"}),
    "folder gone, not listed": (
        lambda run: (shutil.rmtree(run / "host-2"), (run / "hosts.json").unlink()),
        {"host-2": "host-2 is gone, and begun-host-2 names it"},
    ),
    "log gone": (lambda run: shutil.rmtree(run / "host-2" / "log"), {"host-2": "its log is gone"}),
    "log and key gone": (
        lambda run: (shutil.rmtree(run / "host-2" / "log"), (run / "host-2" / "host.key").unlink()),
        {"host-2": "its log is gone"},
    ),
    "segment gone": (lambda run: (run / "host-2" / SEGMENT).unlink(), {"host-2": "no segment in it"}),
    "segment no file": (
        lambda run: ((run / "host-2" / SEGMENT).unlink(), (run / "host-2" / SEGMENT).mkdir()),
        {"host-2": "Can't read"},
    ),
    "key gone": (lambda run: (run / "host-2" / "host.key").unlink(), {"host-2": "can't start from its log"}),
    "key cut": (lambda run: (run / "host-2" / "host.key").write_bytes(b"k" * 31), {"host-2": "has 31 bytes"}),
    "key open": (lambda run: (run / "host-2" / "host.key").chmod(0o644), {"host-2": "mode 0644"}),
    "keys swapped": (
        lambda run: swap(run / "host-1" / "host.key", run / "host-2" / "host.key"),
        {"host-1": "whose log is in host-2", "host-2": "whose log is in host-1"},
    ),
    "segments swapped": (
        lambda run: swap(run / "host-1" / SEGMENT, run / "host-2" / SEGMENT),
        {"host-1": "it is the key of host", "host-2": "it is the key of host"},
    ),
    "segments and keys swapped": (
        lambda run: [swap(run / "host-1" / name, run / "host-2" / name) for name in (SEGMENT, "host.key")],
        {"host-1": "has run here", "host-2": "has run here"},
    ),
    "folders swapped": (
        lambda run: swap(run / "host-1", run / "host-2"),
        {"host-1": "whose log is in host-2, has run here", "host-2": "whose log is in host-1, has run here"},
    ),
    "folders swapped, marks of an older release": (
        swap_folders_of_an_older_release,
        {"host-1": "agent buyer lives in host-1", "host-2": "agent cashier lives in host-2"},
    ),
    "marks swapped, too": (
        lambda run: (swap(run / "host-1", run / "host-2"), swap(run / f"{BEGUN}host-1", run / f"{BEGUN}host-2")),
        {"host-1": "agent buyer lives in host-1", "host-2": "agent cashier lives in host-2"},
    ),
    "folder of another": (copied, {"host-2": "holds the log of host"}),
    "list gone bad": (lambda run: (run / "hosts.json").write_bytes(b"{"), {"hosts.json": "can't be read as the list"}),
    "list is none": (lambda run: (run / "hosts.json").write_text("7"), {"hosts.json": "can't be read as the list"}),
    "list names one more": (
        lambda run: seats(run, **{"host-4": {"agents": [], "ran": True}}),
        {"host-4": "host-4 is gone"},
    ),
    "list lacks an agent": (
        lambda run: seats(run, **{"host-1": {"agents": [], "ran": True}}),
        {"hosts.json": "does not name agent buyer, whose log is in host-1"},
    ),
    "added agents": (
        lambda run: (run / "host-2" / "agents.json").write_text("[1]"),
        {"host-2": "no list of the agents that came later"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGES)
def test_each_damage_is_named_with_its_host_and_verify_fails(run: Path, kind: str) -> None:
    assert verified(run)[0] == 0
    damage, expected = DAMAGES[kind]
    damage(run)
    code, told = verified(run)
    found = bad(told)
    assert (code, told["is_intact"]) == (1, False)
    assert set(found) == set(expected)
    for name, text in expected.items():
        assert text in found[name]
        assert f"{run / name}" in said(run).partition("damaged:")[2]


@pytest.mark.parametrize("bit", range(0, 256, 5))
def test_no_bit_of_a_key_is_changed_unseen(run: Path, bit: int) -> None:
    flip(run / "host-3" / "host.key", bit // 8, bit % 8)
    code, told = verified(run)
    assert (code, list(bad(told))) == (1, ["host-3"])


def test_no_bit_of_the_list_is_changed_unseen(run: Path) -> None:
    file = run / "hosts.json"
    whole, before = file.read_bytes(), seats_in(run)
    for at in range(len(whole)):
        file.write_bytes(whole)
        flip(file, at, at % 8)
        try:
            is_same = seats_in(run) == before
        except ConfigInvalid:
            is_same = False
        code, told = verified(run)
        assert code == 1 or is_same, file.read_bytes()
        assert bool(bad(told)) == bool(code)


def test_one_hosts_folder_is_checked_by_itself(run: Path) -> None:
    shutil.rmtree(run / "host-1")
    assert verified(run / "host-2")[0] == 0
    (run / "host-2" / "host.key").unlink()
    code, told = verified(run / "host-2")
    assert (code, list(bad(told))) == (1, ["host-2"])
    shutil.rmtree(run / "host-3" / "log")
    assert "its log is gone" in said(run / "host-3")


def test_a_host_whose_first_start_came_to_nothing_is_not_missed(run: Path) -> None:
    listed = msgspec.json.decode((run / "hosts.json").read_bytes())
    seats(run, **{"host-4": {"agents": ["late"], "ran": False}, "host-5": {"agents": [], "ran": False}})
    (run / "host-5" / "log").mkdir(parents=True)
    code, told = verified(run)
    assert (code, len(told["hosts"])) == (0, len(listed))


def test_a_folder_without_any_host_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.group, ["verify", str(tmp_path)])
    assert isinstance(done.exception, ConfigInvalid)
    assert "holds no log" in str(done.exception)


async def keep_heads(folder: Path, *records: bytes) -> None:
    store = SegmentStore(folder, asyncio.get_running_loop(), keys=HostKeys.load(folder / "host.key"))
    store.append("heads:", records, lambda: None)
    store.close()


def head_of(run: Path, name: str, sequence: int) -> bytes:
    keys = HostKeys.load(run / name / "host.key")
    head = Head(keys.host_id, sequence, b"d" * 16, keys.public_key, b"")
    return msgspec.msgpack.encode(msgspec.structs.replace(head, signature=keys.sign(head.signed())))


@pytest.mark.parametrize("kind", ["flipped", "no head"])
def test_a_damaged_log_of_others_heads_is_one_bad_row_of_the_table(run: Path, kind: str) -> None:
    end = (run / "host-2" / SEGMENT).stat().st_size
    asyncio.run(keep_heads(run / "host-2", b"no head" if kind == "no head" else head_of(run, "host-1", 1)))
    if kind == "flipped":
        flip(run / "host-2" / SEGMENT, end + 200)
    code, told = verified(run)
    assert (code, list(bad(told))) == (1, ["host-2"])
    assert "heads:" in {finding["agent"] for host in told["hosts"] for finding in host["findings"]}
    table = said(run).partition("damaged:")[0]
    assert [f"host-{number}" in table for number in (1, 2, 3)] == [True] * 3


def test_a_head_behind_a_damaged_one_still_tells_of_a_log_that_was_set_back(run: Path) -> None:
    end = (run / "host-2" / SEGMENT).stat().st_size
    asyncio.run(keep_heads(run / "host-2", head_of(run, "host-3", 1)))
    asyncio.run(keep_heads(run / "host-2", head_of(run, "host-1", 10_000)))
    flip(run / "host-2" / SEGMENT, end + 200)
    found = bad(verified(run)[1])
    assert set(found) == {"host-1", "host-2"}
    assert "rewritten or set back" in found["host-1"]


def test_bytes_behind_the_end_of_a_log_are_found(run: Path) -> None:
    file = run / "host-1" / SEGMENT
    file.write_bytes(file.read_bytes() + b"and more")
    code, told = verified(run)
    assert code == 1
    assert "8 bytes were appended behind its last batch" in bad(told)["host-1"]
    assert CliRunner().invoke(cli.group, ["show", str(run), "--json"]).exit_code == 0
