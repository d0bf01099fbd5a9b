"""Sweeping blobs: what any record of any log may refer to stays, what nobody can refer to any more goes."""

import asyncio
import json
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import CliRunner

from peer.audit import sweeping
from peer.audit.cli import group
from peer.audit.sweeping import Swept, sweep
from peer.backends.roll import FILE as ROLL
from peer.errors import ConfigInvalid, EbbtideError, LogBusy, LogCorrupt, LogFailed
from peer.keys import HostKeys
from peer.ports import blob_digest
from peer.store import reading, writing
from peer.store.archive import read_boundary
from peer.store.compacting import ArchiveTerm
from peer.store.heads import LOG as HEADS
from peer.store.offline import compact
from peer.store.outside.blobs import FsspecBlobs
from peer.store.outside.keyring import KEY_FILE, Keyring, make_secret, read_secret
from peer.store.outside.places import Place
from peer.store.segments import SegmentStore
from peer.values.forms import Form, Packed, blobs_in, pack
from protocol.checkpoints.witness import Head
from protocol.ids import StepId
from protocol.step import Input, StepRecord, Write
from protocol.wire import encode_record
from tests.damage import damage_record

DAY_S = 86_400


def bulky(data: bytes, version: int = 1) -> bytes:
    """Return what the log has of a bulky value."""
    return pack(Packed(version, Form.BULKY, blob_digest(data)))


def step_with(*values: bytes, seq: int = 1, more: bytes = b"") -> bytes:
    """Return the record of a step that has written bulky values."""
    writes = tuple(Write(f"k{at}", bulky(value)) for at, value in enumerate(values))
    given = Input("ext:x", 1, seq, more, "L")
    return encode_record(StepRecord(StepId("clerk", 1, seq), given, (), writes, (), (), (), {}, seq))


def write_logs(folder: Path, cipher: Any = None, **logs: list[bytes]) -> None:
    """Write the logs of a host that is down."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = HostKeys.from_seed(str(folder).encode())
    if not (folder / "host.key").exists():
        keys.save(folder / "host.key")

    async def work() -> None:
        store = SegmentStore(folder, asyncio.get_running_loop(), keys=keys, cipher=cipher)
        for agent, records in logs.items():
            for at, record in enumerate(records):
                done = asyncio.Event()
                store.append(agent, [record], done.set, anchor=at == len(records) - 1)
                await asyncio.wait_for(done.wait(), 20)
        store.close()

    asyncio.run(work())


def aged(address: str, data: bytes, days: float = 2) -> None:
    """Put a blob, some days ago."""
    digest = FsspecBlobs(address).put(data).hex()
    path = f"{digest[:2]}/{digest[2:]}"
    when = time.time() - days * DAY_S
    if address.startswith("memory:"):
        root = MemoryFileSystem._strip_protocol(address)
        MemoryFileSystem.store[f"{root}/{path}"].modified = datetime.fromtimestamp(when, UTC)
    else:
        os.utime(Path(address) / path, (when, when))


def is_there(address: str, data: bytes) -> bool:
    digest = blob_digest(data).hex()
    return Place(address).holds(f"{digest[:2]}/{digest[2:]}")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two hosts, one of which keeps a copy of the other's log."""
    folder = tmp_path / "run"
    write_logs(folder / "host-1", clerk=[step_with(b"a scan"), step_with(b"and", b"more", seq=2)])
    write_logs(folder / "host-2", **{"copy:1/other": [step_with(b"of a copy")]})
    (folder / ROLL).write_text(json.dumps(["host-1", "host-2"]))
    return folder


@pytest.fixture(params=["folder", "memory"])
def address(request: pytest.FixtureRequest, run: Path) -> str:
    return str(run / "blobs") if request.param == "folder" else f"memory://{uuid.uuid4()}/blobs"


USED = (b"a scan", b"and", b"more", b"of a copy")


@pytest.mark.parametrize("version", [1, 2, 127, 128, 40_000, 1 << 20, 1 << 40])
def test_every_form_of_a_bulky_value_is_found_anywhere_in_a_record(version: int) -> None:
    data = b"\xc9\x00\x0b" + bulky(b"x", version) + b"\xc9" + bulky(b"y", version) + bulky(b"z", version)[:-1]
    assert list(blobs_in(data)) == [blob_digest(b"x"), blob_digest(b"y")]
    for form in (Form.SECRET, Form.PLAIN):
        assert not list(blobs_in(pack(Packed(2, form, blob_digest(b"x")))))


def test_only_what_no_record_refers_to_is_counted_and_only_removed_when_asked(run: Path, address: str) -> None:
    for data in (*USED, b"loose", b"longer and loose"):
        aged(address, data)
    FsspecBlobs(address).put(b"put just now")
    looked = sweep([run], address)
    assert looked == Swept(2, 3, (4, 22), (1, 12), (2, 21), (0, 0), missing=0, others=0)
    assert is_there(address, b"loose")
    done = sweep([run], address, removes=True)
    assert done.removed == (2, 21)
    assert [is_there(address, data) for data in (*USED, b"put just now")] == [True] * 5
    assert not is_there(address, b"loose")
    assert not is_there(address, b"longer and loose")
    assert sweep([run], address, removes=True).loose == (0, 0)
    assert not any(".going" in file.name or "probe" in file.name for file in Place(address).files())


def test_what_is_put_again_while_logs_are_read_stays(
    run: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    for data in (*USED, b"wanted again", b"loose"):
        aged(address, data)
    check = sweeping._check_complete

    def meanwhile(*given: Any) -> None:
        FsspecBlobs(address).put(b"wanted again")
        check(*given)

    monkeypatch.setattr(sweeping, "_check_complete", meanwhile)
    done = sweep([run], address, removes=True)
    assert (done.loose.blobs, done.removed.blobs) == (2, 1)
    assert FsspecBlobs(address).get(blob_digest(b"wanted again")) == b"wanted again"


def test_one_that_puts_a_blob_while_it_is_being_removed_has_it_afterwards(
    run: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The sweep has found it old, and removes it only after it was put."""
    for data in (*USED, b"at the same time"):
        aged(address, data)
    remove, puts = Place.remove, list[Any]()

    def late(place: Place, name: str) -> None:
        if name.endswith(blob_digest(b"at the same time").hex()[2:]):
            put = pool.submit(FsspecBlobs(address).put, b"at the same time")
            with pytest.raises(TimeoutError):
                put.result(timeout=0.3)  # it waits for the sweep
            puts.append(put)
        remove(place, name)

    with ThreadPoolExecutor() as pool:
        monkeypatch.setattr(Place, "remove", late)
        assert sweep([run], address, removes=True).removed.blobs == 1
        (put,) = puts
        digest = put.result(timeout=20)
    assert FsspecBlobs(address).get(digest) == b"at the same time"


def test_a_mark_that_a_killed_sweep_has_left_goes_with_the_next_and_is_named_until_then(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    blobs = run / "blobs"
    aged(str(blobs), b"a scan")
    aged(str(blobs), b"loose")
    digest = blob_digest(b"loose").hex()
    mark = blobs / digest[:2] / f"{digest[2:]}.going"
    mark.touch()
    monkeypatch.setattr("peer.store.outside.blobs.WAIT_S", 0.1)
    with pytest.raises(EbbtideError, match=rf"if none runs any more, remove {digest[:2]}/{digest[2:]}.going"):
        FsspecBlobs(str(blobs)).put(b"loose")
    aged_s = time.time() - DAY_S
    os.utime(mark, (aged_s, aged_s))
    os.utime(mark.with_suffix(""), (aged_s - DAY_S, aged_s - DAY_S))
    assert sweep([run], str(blobs), removes=True).removed.blobs == 0
    assert not mark.exists()
    assert sweep([run], str(blobs), removes=True).removed.blobs == 1


def test_drafts_of_killed_hosts_go_and_files_of_others_stay(run: Path) -> None:
    blobs = run / "blobs"
    aged(str(blobs), b"a scan")
    draft, other = blobs / "ab" / f".{'c' * 62}.{'d' * 16}", blobs / "notes.txt"
    draft.parent.mkdir(exist_ok=True)
    old_s = time.time() - 2 * DAY_S
    for file in (draft, other):
        file.write_bytes(b"half")
        os.utime(file, (old_s, old_s))
    done = sweep([run], str(blobs), removes=True)
    assert (done.removed, done.others) == ((1, 4), 1)
    assert other.exists()
    assert not draft.exists()


def test_a_damaged_log_stops_the_sweep_and_is_named(run: Path) -> None:
    blobs = str(run / "blobs")
    for data in (*USED, b"loose"):
        aged(blobs, data)
    file = damage_record(run / "host-1", "clerk", 1)
    with pytest.raises(LogCorrupt, match=r"restore the\s+file from a backup.*Nothing was removed") as caught:
        sweep([run], blobs, removes=True)
    assert str(file) in str(caught.value)
    assert is_there(blobs, b"loose")


def test_without_the_key_of_an_encrypted_log_nothing_goes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    blobs = str(run / "blobs")
    make_secret(tmp_path / "key")
    (run / "host-3").mkdir()
    cipher = Keyring.open(run / "host-3", read_secret(tmp_path / "key"))
    write_logs(run / "host-3", cipher, locked=[step_with(b"under lock")])
    for data in (*USED, b"under lock", b"loose"):
        aged(blobs, data)
    with pytest.raises(ConfigInvalid, match=r"host-3.* is encrypted, and no key was given.*--key-file"):
        sweep([run], blobs, removes=True)
    assert is_there(blobs, b"loose")
    monkeypatch.setenv(KEY_FILE, str(tmp_path / "key"))
    assert sweep([run], blobs, removes=True).removed.blobs == 1
    assert is_there(blobs, b"under lock")


@pytest.fixture
def archived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A host whose older records are in an archive elsewhere."""
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 4_000)
    folder, away = tmp_path / "run", str(tmp_path / "away")
    steps = [step_with(b"scan %d" % seq, seq=seq, more=os.urandom(1_000)) for seq in range(1, 21)]
    write_logs(folder / "host-1", clerk=steps)
    assert compact(folder / "host-1", address=away).archived_segments > 2
    for seq in range(1, 21):
        aged(str(folder / "blobs"), b"scan %d" % seq)
    return folder, away


def test_what_the_archive_refers_to_stays_as_long_as_the_archive_keeps_it(archived: tuple[Path, str]) -> None:
    folder, away = archived
    blobs = str(folder / "blobs")
    assert sweep([folder], blobs, removes=True).used.blobs == 20
    dropped = compact(folder / "host-1", address=away, kept=ArchiveTerm(bytes=6_000))
    assert dropped.dropped_segments > 0
    done = sweep([folder], blobs, removes=True)
    assert 0 < done.removed.blobs < 20
    assert not is_there(blobs, b"scan 1")
    assert is_there(blobs, b"scan 20")


def test_an_archive_that_is_away_or_altered_stops_the_sweep_and_is_named(archived: tuple[Path, str]) -> None:
    folder, away = archived
    blobs = str(folder / "blobs")
    aged(blobs, b"loose")
    file = next(Path(away).rglob("*.seg"))
    data = file.read_bytes()
    file.unlink()
    with pytest.raises(LogCorrupt, match=rf"{file.name} is missing from the archive {away}.*Nothing was removed"):
        sweep([folder], blobs, removes=True)
    file.write_bytes(data[:-40] + bytes(40))
    with pytest.raises(LogCorrupt, match=rf"{file.name}.*Nothing was removed"):
        sweep([folder], blobs, removes=True)
    file.write_bytes(data)
    boundary = read_boundary(folder / "host-1" / "log")
    assert boundary is not None
    (folder / "host-1" / "log" / "archived.json").write_bytes(b"{}")
    with pytest.raises(LogCorrupt, match=r"archived\.json"):
        sweep([folder], blobs, removes=True)
    assert is_there(blobs, b"loose")


def test_a_host_that_is_known_and_was_not_read_stops_the_sweep(run: Path, tmp_path: Path) -> None:
    blobs = str(run / "blobs")
    for data in (*USED, b"loose"):
        aged(blobs, data)
    with pytest.raises(ConfigInvalid, match=rf"host-2 is a host's folder too.*all hosts: {run}"):
        sweep([run / "host-1"], blobs, removes=True)
    (run / "host-2").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigInvalid, match=r"host host-2 was not read, and .*hosts\.json names it.*--gone host-2"):
        sweep([run], blobs, removes=True)
    with pytest.raises(ConfigInvalid, match=r"--gone host-9: no host .* is missed"):
        sweep([run], blobs, gone=["host-9"])
    done = sweep([run], blobs, gone=["host-2"])
    assert (done.used.blobs, done.loose.blobs) == (3, 2)


def test_a_host_that_others_have_heard_of_is_missed_until_it_is_said_to_be_gone(tmp_path: Path) -> None:
    keys = HostKeys.from_seed(b"far away")
    head = Head(keys.host_id, 3, b"d" * 16, keys.public_key, b"s" * 64)
    write_logs(tmp_path / "host-1", **{"clerk": [step_with(b"a scan")], HEADS: [msgspec.msgpack.encode(head)]})
    aged(str(tmp_path / "blobs"), b"a scan")
    with pytest.raises(ConfigInvalid, match=rf"host {keys.host_id} was not read, and other hosts have heard of it"):
        sweep([tmp_path], str(tmp_path / "blobs"))
    assert sweep([tmp_path], str(tmp_path / "blobs"), gone=[keys.host_id]).used.blobs == 1
    # It lost its log, and came up as another.
    keys.save(tmp_path / "host-1" / "host.key.lost-1")
    assert sweep([tmp_path], str(tmp_path / "blobs")).used.blobs == 1


def test_a_store_of_which_the_logs_know_nothing_is_not_swept_unless_that_is_said(run: Path) -> None:
    blobs = str(run / "others")
    aged(blobs, b"of another cluster")
    with pytest.raises(ConfigInvalid, match=r"are 1 blobs, none of the 4 that these logs refer to.*--all"):
        sweep([run], blobs, removes=True)
    assert sweep([run], blobs, removes=True, even_all=True).removed.blobs == 1


def test_what_is_new_goes_only_while_no_host_runs(run: Path) -> None:
    blobs = str(run / "blobs")
    for data in (*USED, b"loose"):
        aged(blobs, data, days=0.001)
    held = sweeping.lock(run / "host-2")
    with pytest.raises(LogBusy, match=r"put 5 seconds ago.*while no host runs.*host-2.*--older-than 1h"):
        sweep([run], blobs, 5, removes=True)
    assert sweep([run], blobs, 5).loose.blobs == 1
    os.close(held)
    assert sweep([run], blobs, 5, removes=True).removed.blobs == 1


class Timeless(MemoryFileSystem):
    """A file system that does not tell when a file was written."""

    protocol = "timeless"

    def modified(self, path: str) -> Any:
        raise NotImplementedError


def test_a_file_system_that_tells_no_times_is_refused(run: Path) -> None:
    fsspec.register_implementation("timeless", Timeless, clobber=True)
    FsspecBlobs("timeless://a/blobs").put(b"a scan")
    with pytest.raises(ConfigInvalid, match=r"'timeless://a/blobs' .*does not tell when they were written.*Copy"):
        sweep([run], "timeless://a/blobs")


def test_what_can_not_be_removed_is_said_with_what_was(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = str(run / "blobs")
    for data in (*USED, b"loose", b"loose 2"):
        aged(blobs, data)

    def refused(place: Place, name: str) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(Place, "modified_s", refused)
    monkeypatch.setattr(FsspecBlobs, "now_s", lambda blobs: time.time())
    with pytest.raises(EbbtideError, match=rf"{blobs} can't be removed \(PermissionError: not yours\). 0 were removed"):
        sweep([run], blobs, removes=True)


def test_a_log_that_changes_at_every_look_is_not_taken_for_damaged(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*given: Any) -> Any:
        raise FileNotFoundError("00000001.seg")

    monkeypatch.setattr(reading, "_verified", gone)
    with pytest.raises(LogFailed, match="changes faster than it can be read"):
        reading.verify(run / "host-1")


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(group, ["sweep", *map(str, arguments)])


def test_the_command_counts_first_and_removes_when_asked(run: Path) -> None:
    for data in (*USED, b"loose"):
        aged(str(run / "blobs"), data)
    shown = cli(run)
    assert shown.exit_code == 0
    assert "none does, and none was removed" in shown.output
    assert "--remove removes what no record refers to" in shown.output
    told = json.loads(cli(run, "--json", "--remove").output)
    assert told["removed"] == [1, 5]
    assert not told["is_dry_run"]


@pytest.mark.parametrize("text", ["1", "d", "-1d", "1w", "1 day", ""])
def test_a_time_without_a_unit_is_refused_with_an_example(run: Path, text: str) -> None:
    done = cli(run, "--older-than", text)
    assert done.exit_code == 2
    assert "as in 36h" in done.output


def test_the_command_asks_for_the_address_where_the_folder_does_not_tell_it(run: Path, tmp_path: Path) -> None:
    for folders in ([run / "host-1"], [run, tmp_path]):
        assert "--blobs" in str(cli(*folders).exception)
    assert "There are no blobs at" in str(cli(run).exception)
