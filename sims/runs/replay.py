"""A failing world as a file: enough to run it again bit for bit, here or at a colleague's."""

from pathlib import Path

import msgspec
from msgspec import Struct

from protocol.errors import UNREADABLE
from sims.runs.scenario import Result, Scenario

FORMAT = 1


class Replay(Struct, frozen=True):
    """What is written down of a run."""

    format: int
    scenario: Scenario
    invariant: str
    failure: str
    hash: str
    command: str = ""


class ReplayInvalid(ValueError):
    """The file is no replay."""


def write_replay(path: Path, result: Result) -> None:
    """Write a run down."""
    replay = Replay(
        FORMAT, result.scenario, result.invariant, result.failure, result.hash, f"ebbtide sim --replay {path.name}"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(replay)) + b"\n")


def read_replay(path: Path) -> Replay:
    """Read a run back.

    Raises: ReplayInvalid, naming the file.
    """
    try:
        replay = msgspec.json.decode(path.read_bytes(), type=Replay)
    except OSError as error:
        raise ReplayInvalid(f"{path} can't be read ({error.strerror})") from error
    except UNREADABLE as error:
        raise ReplayInvalid(f"{path} is no replay: {error}") from error
    if replay.format != FORMAT:
        raise ReplayInvalid(f"{path} has format {replay.format}; this release reads {FORMAT}")
    return replay
