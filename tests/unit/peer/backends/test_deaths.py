"""What Ray tells of processes that die: nothing of those that were killed on purpose, one line for the others."""

from pathlib import Path

import pytest

from peer.backends import ray_lines
from peer.backends.ray_lines import Lines

DEATH = (
    "A worker died or was killed while executing a task by an unexpected system error. To troubleshoot the problem,"
    " check the logs for the dead worker. Lease ID: 00ab Worker ID: 3ee5 Node ID: 0888 Worker IP address: 192.0.2.2"
    " Worker port: 37505 Worker PID: 5327 Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits"
    " with a connection error code 2. End of file. Some common causes include: (1) the OOM killer."
)


def lines() -> Lines:
    return Lines(lambda folder: f"{folder.name} (front)")


def test_a_death_that_was_wanted_is_not_told() -> None:
    shown = lines()
    shown.learn(5327, Path("run/host-1"))
    shown.expect_death(5327)
    assert shown.death(DEATH) == ""


def test_another_death_is_one_line_that_names_the_host() -> None:
    shown = lines()
    shown.learn(5327, Path("run/host-1"))
    assert shown.death(DEATH) == (
        "host-1 (front): its process 5327 has died (Worker unexpectedly exits with a connection error code 2. End of"
        " file). Ray starts it again, and its agents go on from their log."
    )


def test_what_is_no_hosts_death_is_left_to_ray() -> None:
    assert lines().death(DEATH) is None
    assert lines().death("The node is low on memory") is None


def test_on_a_ray_of_the_clusters_own_a_process_that_has_said_nothing_yet_is_a_host_too() -> None:
    shown = lines()
    shown.is_only = True
    told = shown.death(DEATH)
    assert told is not None
    assert told.startswith("a host's process, 5327, has died while it started (Worker unexpectedly exits")


def test_lines_of_hosts_are_shown_as_they_are_and_those_of_others_are_left_to_ray(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left: list[object] = []
    monkeypatch.setattr(ray_lines, "_rays", lambda data: left.extend(data["lines"]))
    shown = lines()
    monkeypatch.setattr(ray_lines, "_SHOWN", [shown])
    ray_lines.show({"pid": 5327, "actor_name": "HostActor", "lines": [f"{ray_lines.BEGIN}run/host-1", "[a/1/1] hello"]})
    ray_lines.show({"pid": 5327, "actor_name": "HostActor", "lines": ["[a/1/1] oh"], "is_err": True})
    ray_lines.show({"pid": 9, "actor_name": "Theirs", "lines": ["hello"]})
    again = "Task HostActor.about failed. There are infinite retries remaining, so the task will be retried."
    ray_lines.show({"pid": "raylet", "lines": [again, DEATH, "The node is low on memory"]})
    said = capsys.readouterr()
    assert said.out == "[a/1/1] hello\n"
    assert said.err.splitlines()[0] == "[a/1/1] oh"
    assert said.err.splitlines()[1].startswith("host-1 (front): its process 5327 has died")
    assert left == ["hello", "The node is low on memory"]


def test_the_last_lines_of_hosts_are_waited_for() -> None:
    shown = lines()
    for _ in range(ray_lines.STREAMS):
        shown.ended(Path("run/host-1"))
    shown.await_all([Path("run/host-1")], 3600)
    shown.await_all([Path("run/host-2")], 0)
