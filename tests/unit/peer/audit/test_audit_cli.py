"""`ebbtide log` as people and scripts use it."""

import asyncio
import json
import shutil
from pathlib import Path

import msgspec
import pytest
from shop import Scene
from typer.testing import CliRunner, Result

from peer.audit import cli, read_trail
from peer.keys import HostKeys
from peer.store import reading
from peer.store.segments import SegmentStore
from protocol.checkpoints.witness import Head


def log(*arguments: object) -> Result:
    return CliRunner().invoke(cli.group, [str(argument) for argument in arguments])


def printed(*arguments: object) -> str:
    done = log(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_verify_counts_what_is_whole(scene: Scene) -> None:
    said = printed("verify", scene.folder)
    assert "every record is as written" in said
    told = json.loads(printed("verify", scene.folder, "--json"))
    assert told["is_intact"] is True
    assert [Path(host["folder"]).name for host in told["hosts"]] == ["host-1", "host-2", "host-3"]
    assert all(host["records"] > 10 for host in told["hosts"])


def test_verify_names_the_first_bad_record_and_the_remedy(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(logs: reading.Logs, see: reading.See) -> reading.Report:
        finding = reading.Finding(logs.folder / "file", "buyer", 7, "its hash is another.", "Restore it from a backup.")
        return reading.Report(1, 9, 4, (finding,))

    monkeypatch.setattr(reading, "verify_logs", found)
    done = log("verify", scene.folder / "host-1")
    assert done.exit_code == 1
    assert "file, agent buyer, record 7: its hash is another. Restore it from a backup." in done.stdout
    assert "one place is not as written: 9 records in 1 logs, 4 of them signed" in done.stdout
    done = log("verify", scene.folder / "host-1", "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["is_intact"], told["hosts"][0]["findings"][0]["number"]) == (False, 7)


def test_a_changed_byte_is_found_and_the_rest_is_told(scene: Scene, tmp_path: Path) -> None:
    shutil.copytree(scene.folder, tmp_path / "run")
    files = [path for path in (tmp_path / "run" / "host-2").rglob("*") if path.is_file()]
    file = max(files, key=lambda path: path.stat().st_size)
    data = file.read_bytes()
    # Some bytes hold no record but what is between them, which verify alone looks at; others the names of whole logs.
    for at in range(len(data) // 2, len(data), 16):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert log("verify", tmp_path / "run").exit_code == 1
        if gaps := [gap for gap in read_trail(tmp_path / "run").gaps if gap.agent is not None]:
            break
    done = log("verify", tmp_path / "run")
    assert "host-2" in done.stdout.partition("damaged:")[2]
    assert "record" in str(gaps[0])
    done = log("show", tmp_path / "run")
    assert done.exit_code == 3
    assert f"damaged: {gaps[0]}" in done.stderr
    assert "buyer/1/1" in done.stdout


def test_show_lists_steps(scene: Scene) -> None:
    said = printed("show", scene.folder)
    assert "pricer@2 0.75" in said
    assert "Order ext:" in said
    assert "charge undone" in said
    assert "buyer/1/p1" in said
    said = printed("show", scene.folder, "buyer", "--last", 1)
    assert "steps of buyer, the last 1" in said
    assert "cashier/1/" not in said.replace("cashier/1/p", "")


def test_show_tells_machines_more(scene: Scene) -> None:
    lines = [json.loads(line) for line in printed("show", scene.folder, "--undone", "--json").splitlines()]
    assert {line["step"] for line in lines if line["undone"]["kind"] == "rollback"} == set(scene.undone)
    assert all(line["undone"]["by"] == line["retracted_by"] for line in lines)
    (last,) = (json.loads(line) for line in printed("show", scene.folder, "--last", 1, "--json").splitlines())
    assert last["input"]["hash"]


def test_why_tells_the_whole_story(scene: Scene) -> None:
    said = printed("why", "cashier/1/3", scene.folder)
    for part in (
        "its input: Pay buyer/1/3#0", "sent by buyer/1/3 (pricer@2), which handled Order ext:cluster-",
        "from outside: ext:cluster-", "last, as cashier/1/2 had left it (undone)", "write space:sold/all",
        "claimed -> done", "undone by buyer/1/p1", "dollars taken for cents", "proposed by buyer (inputs: retry)",
        "cashier/1/2 depends on buyer/1/2 by message buyer/1/2#0", "watcher accepted", "the same input was run by",
    ):  # fmt: skip
        assert part in said, part
    stands = printed("why", "buyer/1/1", scene.folder)
    assert "it stands" in stands
    assert "watcher rejected: the books are closed" in stands
    assert "buyer/1/p2 named it as well (too late): abort" in printed("why", "buyer/1/1", scene.folder)
    assert "of which 1000000000000 may go" in printed("why", "watcher/1/4", scene.folder)
    told = json.loads(printed("why", "cashier/1/3", scene.folder, "--json"))
    assert told["undone"]["by"] == "buyer/1/p1"


def test_why_says_where_one_hosts_logs_end(scene: Scene) -> None:
    said = printed("why", "cashier/1/1", scene.folder / "host-2")
    assert "sent by buyer/1/1, of which these logs do not tell" in said


def test_cone_draws_the_consequences(scene: Scene) -> None:
    said = printed("cone", "buyer/1/2", scene.folder)
    assert "5 steps at 3 agents, 5 of them undone" in said
    assert "handled buyer/1/2#0 charge: undone (undone by buyer/1/p1)" in said
    told = json.loads(printed("cone", "buyer/1/2", scene.folder, "--json"))
    assert {step["step"] for step in told["steps"]} == set(scene.undone)


def test_a_large_cone_is_drawn_in_part(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.views, "TREE_MAX", 2)
    said = printed("cone", "buyer/1/2", scene.folder)
    assert "and 3 more: --all draws them" in said
    assert "more" not in printed("cone", "buyer/1/2", scene.folder, "--all")


def test_export_names_its_files(scene: Scene, tmp_path: Path) -> None:
    said = printed("export", scene.folder, tmp_path / "new" / "out", "--format", "jsonl")
    assert "steps.jsonl" in said
    done = log("export", scene.folder, tmp_path, "--format", "xml")
    assert done.exit_code == 2
    assert "'xml' is none of jsonl" in done.output


def test_follow_prints_events_until_nothing_happens(scene: Scene) -> None:
    lines = printed("follow", scene.folder, "--from-start", "--until-idle", 0).splitlines()
    events = [json.loads(line) for line in lines]
    assert {event["specversion"] for event in events} == {"1.0"}
    assert {"dev.ebbtide.step", "dev.ebbtide.rollback.decided"} <= {event["type"] for event in events}
    assert printed("follow", scene.folder, "--until-idle", 0) == ""


def test_compact_is_done_for_every_host_and_the_trail_stays_whole(scene: Scene, tmp_path: Path) -> None:
    shutil.copytree(scene.folder, tmp_path / "run")
    before = printed("show", tmp_path / "run", "--json")
    said = printed("compact", tmp_path / "run")
    assert all(f"host-{number}" in said for number in (1, 2, 3))
    assert printed("show", tmp_path / "run", "--json") == before
    assert "every record is as written" in printed("verify", tmp_path / "run")


def test_a_log_that_its_owner_has_set_back_is_found_by_what_others_were_told(scene: Scene, tmp_path: Path) -> None:
    shutil.copytree(scene.folder, tmp_path / "run")
    keys = HostKeys.load(tmp_path / "run" / "host-1" / "host.key")
    head = Head(keys.host_id, 10_000, b"d" * 16, keys.public_key, b"")
    head = msgspec.structs.replace(head, signature=keys.sign(head.signed()))
    asyncio.run(keep_head(tmp_path / "run" / "host-2", msgspec.msgpack.encode(head)))
    result = log("verify", tmp_path / "run")
    assert result.exit_code == 1
    assert "rewritten or set back" in result.output


async def keep_head(folder: Path, head: bytes) -> None:
    store = SegmentStore(folder, asyncio.get_running_loop(), keys=HostKeys.load(folder / "host.key"))
    store.append("heads:", [head], lambda: None)
    store.close()


@pytest.mark.parametrize("command", ["verify", "show", "why", "cone", "export", "follow", "compact"])
def test_help_teaches_by_example(command: str) -> None:
    assert f"ebbtide log {command}" in printed(command, "--help")
