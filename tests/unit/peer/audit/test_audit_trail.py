"""The trail: all that logs tell of steps, and nothing that they do not."""

import json
from pathlib import Path
from typing import Any

import pytest
from kept import Kept, step_of
from shop import Scene

from peer.audit import Edges, Trail, read_trail
from peer.audit.logs import own_logs
from peer.audit.ocel import ocel_of
from peer.audit.provenance import provenance_of
from peer.audit.reader import trail_of
from peer.audit.telling import explained, export_checkpoints, export_proposals, export_steps, told
from peer.audit.trail import digest
from peer.errors import CallerError, ConfigInvalid, StepUnknown
from protocol.fact import Began
from protocol.ids import StepId
from protocol.records import BaseRecord, BirthRecord, ForcedRecord
from protocol.step import Input, StepDraft, StepRecord
from protocol.wire import decode_record, encode_record


def lines_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_every_step_is_there_in_the_order_of_time_undone_ones_too(trail: Trail, scene: Scene) -> None:
    assert [log.agent for log in trail.logs] == ["buyer", "cashier", "watcher"]
    times = [step.record.time_us for step in trail.steps.values()]
    assert times == sorted(times)
    assert {str(step.id) for step in trail.steps.values() if step.undone and step.undone.kind == "rollback"} == set(
        scene.undone
    )
    assert trail.notes == []


def test_it_says_who_undid_a_step_and_by_whose_votes(trail: Trail) -> None:
    line = told(trail, trail.step("cashier/1/2"))
    undone = line["undone"]
    assert (undone["by"], undone["kind"], undone["reason"]) == ("buyer/1/p1", "rollback", "dollars taken for cents")
    assert (undone["proposer"], undone["inputs"], undone["is_root"]) == ("buyer", "retry", False)
    assert [(vote["voter"], vote["accepts"]) for vote in undone["votes"]] == [
        ("buyer", True),
        ("cashier", True),
        ("watcher", True),
    ]
    assert undone["time"] > line["time"]
    restored = told(trail, trail.step("buyer/1/4"))["undone"]
    assert (restored["by"], restored["reason"]) == ("restore/1", "back to before lunch")
    refused = trail.rollbacks["buyer/1/p2"]
    assert (refused.decision, refused.votes["watcher"].why) == ("abort", "the books are closed")


def test_it_says_which_model_made_a_step_and_how_effects_stand(trail: Trail) -> None:
    step = trail.step("buyer/1/1")
    assert (step.record.model, step.record.confidence, step.record.scores) == ("pricer@2", 0.75, {"margin": 1.5})
    line = told(trail, trail.step("cashier/1/2"))
    assert line["model"] is None
    (call,) = line["calls"]
    assert call["tool"].endswith("shop:charge")
    assert (call["effect"], call["state"]) == ("compensable", "undone")
    states = [state for state, _, _ in trail.effects[call["intent"]].history]
    assert states == ["open", "done", "undoing", "undone"]
    assert told(trail, trail.step("cashier/1/1"))["calls"][0]["state"] == "done"


def test_values_are_told_by_size_and_hash(trail: Trail) -> None:
    step = trail.step("buyer/1/1")
    line = told(trail, step)
    assert line["input"]["type"] == "Order"
    assert line["input"]["hash"] == digest(step.record.input.payload)
    ((send,), (write,)) = line["sends"], line["writes"]
    value = step.record.writes[0].value
    assert value is not None
    assert (write["size"], write["hash"]) == (len(value), digest(value))
    assert told(trail, trail.step("cashier/1/1"))["input"]["hash"] == send["hash"]


def test_folders_export_what_the_cluster_does(trail: Trail, scene: Scene) -> None:
    assert export_steps(trail) == lines_in(scene.exported / "steps.jsonl")
    # What a rollback cost on the wire, and when a commit was heard of, stands in no log.
    asked = [line | {"messages": 0, "bytes": 0} for line in lines_in(scene.exported / "proposals.jsonl")]
    assert export_proposals(trail) == asked
    checkpoints = lines_in(scene.exported / "checkpoints.jsonl")
    assert {line["kind"] for line in checkpoints} == {"checkpoint", "restore"}
    asked = [line | {"committed": None} if line["kind"] == "checkpoint" else line for line in checkpoints]
    assert export_checkpoints(trail) == asked


def test_one_hosts_folder_tells_of_its_agents_alone(scene: Scene) -> None:
    trail = read_trail(scene.folder / "host-2")
    assert {step.agent for step in trail.steps} == {"cashier"}
    assert list(trail.rollbacks["buyer/1/p1"].votes) == ["cashier"]


def test_logs_of_an_older_release_are_read(old: Path) -> None:
    trail = read_trail(old)
    assert len(trail.steps) == 18
    undone = {str(step.id) for step in trail.steps.values() if step.undone is not None}
    assert undone == {f"{agent}/1/{seq}" for agent in ("buyer", "cashier") for seq in range(1, 5)}
    line = told(trail, trail.step("cashier/1/1"))
    assert (line["model"], line["confidence"], line["calls"][0]["effect"]) == (None, 0.9, "unknown")


def test_a_record_without_a_model_decodes() -> None:
    assert StepDraft().model == ""
    record = StepRecord(StepId("a", 1, 1), Input("ext:x", 1, 1, b"", ""), (), (), (), (), (), {}, 7, model="m")
    assert decode_record(encode_record(record)) == record


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("buyer", CallerError, "not a step: 'buyer'"),
        ("buyer/1/99", StepUnknown, "buyer/1/1 to buyer/1/"),
        ("nobody/1/1", StepUnknown, "no agent 'nobody', only buyer, cashier, watcher"),
    ],
)
def test_a_step_that_is_not_there_is_named(trail: Trail, name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        trail.step(name)


def test_a_folder_without_logs_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="holds no log"):
        read_trail(tmp_path)
    with pytest.raises(ConfigInvalid, match="there is no folder"):
        read_trail(tmp_path / "none")


def test_of_two_logs_that_agree_the_longer_speaks() -> None:
    short = Kept("one", a=[BirthRecord(1), step_of(1)])
    long = Kept("two", a=[BirthRecord(1), step_of(1), step_of(2)])
    for hosts in ([short, long], [long, short]):
        (own,) = own_logs(hosts)
        assert (own.logs.folder.name, own.note) == ("two", "")


def test_after_a_succession_the_new_life_speaks_though_its_log_is_shorter() -> None:
    dead = Kept("dead", a=[BirthRecord(1), step_of(1), step_of(2), step_of(3)])
    successor = Kept("successor", a=[BirthRecord(1), step_of(1), BirthRecord(2, ((1, 1),))])
    for hosts in ([dead, successor], [successor, dead]):
        (own,) = own_logs(hosts)
        assert own.logs.folder.name == "successor"
        assert "differ from record 3 on" in own.note
        assert "2 records that only dead has" in own.note


def test_two_logs_of_one_life_that_differ_are_said_to_be_wrong() -> None:
    (own,) = own_logs([Kept("one", a=[step_of(1), step_of(2)]), Kept("two", a=[step_of(1), step_of(3), step_of(4)])])
    assert own.logs.folder.name == "two"
    assert "which no host does" in own.note


def test_copies_and_hosts_logs_are_nobodys_own() -> None:
    kept = Kept("one", a=[step_of(1)])
    kept.records |= {"copy:x:a": [b"\1"], "spec:x:a": [b"\1"], "host:": [b"\1"]}
    assert [own.agent for own in own_logs([kept])] == ["a"]


def test_a_base_tells_what_was_dropped_before_it() -> None:
    base = BaseRecord(
        is_full=True, incarnation=2, seq=9, epoch=3, committed=3, horizon=1, is_outside=False, place=9, time_us=500,
        forgotten=4, undone=1, restores=(), steps=(step_of(8, 2), step_of(9, 2)), keys=(), entries=(), dead=(),
        channels=(), line=(), numbers=(), outbox=(), effects=(), ended=(), voided=(), after=(), subscribers=(),
        retraction=(), retracted_by=((StepId("a", 2, 8), "b/1/p1"),), attempts=(), beginnings=(), votes=(),
        decisions=(), proposed=(), outcomes=(), proposals=0,
    )  # fmt: skip
    trail = trail_of(Path("x"), [Kept("one", a=[base])])
    first, second = trail.steps.values()
    assert first.undone is not None
    assert (first.undone.by, second.undone, first.number) == ("b/1/p1", None, 0)


def test_a_step_that_hung_on_a_lost_one_says_so() -> None:
    began = Began("b", 2, ((1, 3),))
    trail = trail_of(Path("x"), [Kept("one", a=[step_of(1), step_of(2), ForcedRecord(began, (StepId("a", 1, 2),))])])
    stands, gone = trail.steps.values()
    assert stands.undone is None
    assert gone.undone == ("loss/b/2", "loss", 20, "b lost all after b/1/3", 3)
    assert trail.losses == {"loss/b/2": began}
    assert explained(trail, Edges(trail), gone)["path"] == []
    assert "rollback:loss/b/2" in provenance_of(trail).get_provn()
    assert any(event["type"] == "undo" for event in ocel_of(trail)["events"])


def test_of_a_damaged_log_all_is_told_but_the_damage() -> None:
    kept = Kept("one", a=[step_of(1), step_of(2), step_of(3)], b=[step_of(4)])
    kept.records["a"][1] = b""
    trail = trail_of(Path("x"), [kept])
    assert [step.record.step.seq for step in trail.steps.values()] == [1, 3, 4]
    assert [str(gap) for gap in trail.gaps] == ["one: of the log of a record 2 is not told. damaged"]
    kept.records["a"][1] = b"\7 of a later release"
    (gap,) = trail_of(Path("x"), [kept]).gaps
    assert (gap[:4], "log version 07" in gap.why) == (("one", "a", 2, 2), True)
    kept.records["a"][1:] = [b"", b""]
    (gap,) = trail_of(Path("x"), [kept]).gaps
    assert str(gap) == "one: of the log of a all from record 2 on is not told. damaged"
