"""The lines of an export (`docs/export.md`), read and checked; unknown extra fields are ignored."""

from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from protocol.errors import UNREADABLE

STEPS_FILE = "steps.jsonl"
PROPOSALS_FILE = "proposals.jsonl"
CHECKPOINTS_FILE = "checkpoints.jsonl"


class ReportError(ValueError):
    """The export cannot be reported on. Names the file and the line; nothing has been written."""


class InputLine(Struct, frozen=True):
    """What a step consumed: a message of `producer`, or something from outside (`producer` is null)."""

    id: str
    producer: str | None
    lineage: str


class ReadLine(Struct, frozen=True):
    """One key read and one step whose write was seen; a summed counter gives one such line per writer."""

    key: str
    writer: str | None


class WriteLine(Struct, frozen=True):
    """One key written."""

    key: str


class SendLine(Struct, frozen=True):
    """One message sent."""

    id: str
    to: str


class CallLine(Struct, frozen=True):
    """One tool call and where it stands now."""

    tool: str
    intent: str
    effect: str
    state: str


class StepLine(Struct, frozen=True):
    """One line of steps.jsonl."""

    step: str
    input: InputLine
    reads: tuple[ReadLine, ...]
    writes: tuple[WriteLine, ...]
    sends: tuple[SendLine, ...]
    calls: tuple[CallLine, ...]
    clock: dict[str, tuple[int, int]]
    time: int
    retracted_by: str | None


class RejectLine(Struct, frozen=True):
    """Who voted against, and the reason that travelled with the vote."""

    voter: str
    why: str


class ProposalLine(Struct, frozen=True):
    """One line of proposals.jsonl."""

    id: str
    roots: tuple[str, ...]
    mode: Literal["discard", "retry", "amend"]
    decision: Literal["commit", "abort", "undecided"]
    electors: tuple[str, ...]
    rejects: tuple[RejectLine, ...]
    messages: int
    bytes: int
    began: int
    decided: int | None
    reason: str


class CutLine(Struct, frozen=True):
    """Where an agent's cut of a checkpoint stands: after its step `last`."""

    last: str | None
    time: int


class CheckpointLine(Struct, frozen=True, tag_field="kind", tag="checkpoint"):
    """A committed checkpoint, in checkpoints.jsonl."""

    epoch: int
    begun: int
    committed: int | None
    cuts: dict[str, CutLine]


class RestoreLine(Struct, frozen=True, tag_field="kind", tag="restore"):
    """A restore, in checkpoints.jsonl."""

    number: int
    epoch: int
    decided: int
    done: int


class _KindLine(Struct, frozen=True):
    kind: str


def checkpoints_of(path: Path) -> tuple[tuple[CheckpointLine, ...], tuple[RestoreLine, ...]]:
    """Read what the export says of checkpoints; older exports have no such file, and unknown kinds are skipped."""
    if not path.exists():
        return (), ()
    known = {"checkpoint", "restore"}
    numbers = frozenset(number for number, line in lines_of(path, _KindLine) if line.kind in known)
    lines = [line for _, line in lines_of(path, CheckpointLine | RestoreLine, numbers)]
    checkpoints = [line for line in lines if isinstance(line, CheckpointLine)]
    restores = [line for line in lines if isinstance(line, RestoreLine)]
    return (
        tuple(sorted(checkpoints, key=lambda line: line.epoch)),
        tuple(sorted(restores, key=lambda line: line.number)),
    )


def lines_of(path: Path, kind: Any, only: frozenset[int] | None = None) -> list[tuple[int, Any]]:
    """Return the decoded lines of a file, each with its number; `only` these, if given.

    Raises: ReportError, with the file and the line.
    """
    decoder = msgspec.json.Decoder(kind)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {error.strerror or error}. Is this an export folder?") from error
    decoded: list[tuple[int, Any]] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip() or (only is not None and number not in only):
            continue
        try:
            decoded.append((number, decoder.decode(line)))
        except UNREADABLE as error:
            raise ReportError(f"{path}, line {number}: {error}") from error
    return decoded
