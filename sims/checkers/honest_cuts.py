"""What holds of checkpoints and restores for honest agents among liars that say what is true of their own cuts.

A cut that liars have a part in is consistent among honest agents, and a restore takes each of those back to its place
in it. What a liar's agents did before or after it is theirs.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from protocol.agent.machine import PeerMachine
from protocol.ids import AgentId, StepId
from protocol.proposal import Restore
from protocol.records import CutRecord, DecisionRecord, ForcedRecord, Record, RestoredRecord
from protocol.step import StepRecord
from sims.checkers.view import need, some

CUTS = "no step of an honest agent inside a cut depends on one of another outside it"
ALIKE = "honest agents carry the same restores out, which were asked for by whom may"
BACK = "a restore takes honest agents back to its cut, and nothing else"
HANGS = "no surviving step of an honest agent depends on one that a restore has undone"


class Asked(NamedTuple):
    """A restore that was asked for by who may."""

    epoch: int
    inputs: str


def check(
    logs: Mapping[AgentId, Sequence[Record]], machines: Mapping[AgentId, PeerMachine], asked: Mapping[str, Asked]
) -> None:
    """Judge the logs of honest agents, at any time.

    Args:
        logs: of honest agents alone.
        machines: those of them that are up.
        asked: by id, the restores that were asked for.

    Raises: Broken.
    """
    _cuts(logs)
    _alike(logs, machines, asked)
    gone = {step for agent, log in logs.items() for step in _back(agent, log)}
    for record in _steps(logs):
        machine = machines.get(record.step.agent)
        if machine is not None and record.step not in machine.core.retraction:
            left = gone.intersection(_causes(record))
            need(not left, HANGS, f"{record.step} depends on {some({str(step) for step in left})}")


def _cuts(logs: Mapping[AgentId, Sequence[Record]]) -> None:
    ran = {record.step: (record.era, record.epoch) for record in _steps(logs)}
    for record in _steps(logs):
        for cause in _causes(record):
            era, epoch = ran.get(cause, (0, 0))
            fits = era <= record.era and epoch <= record.epoch
            need(fits, CUTS, f"{record.step} of epoch {record.epoch} depends on {cause} of epoch {epoch}")


def _alike(
    logs: Mapping[AgentId, Sequence[Record]], machines: Mapping[AgentId, PeerMachine], asked: Mapping[str, Asked]
) -> None:
    found: dict[int, tuple[AgentId, Restore]] = {}
    for agent, log in logs.items():
        for record in log:
            if isinstance(record, RestoredRecord):
                restore = record.restore
                was = asked.get(restore.id)
                fits = was is not None and (restore.epoch, restore.inputs) == was
                need(fits, ALIKE, f"{agent} has carried {restore} out, which nobody has asked for")
                first, other = found.setdefault(restore.number, (agent, restore))
                need(other.id == restore.id, ALIKE, f"restore {restore.number}: {first} {other.id}, {agent} {restore}")
    for agent, machine in machines.items():
        if agent in logs:
            era = machine.core.colours.era
            need(era == len(found), ALIKE, f"{agent} has carried {era} of {len(found)} restores out")


def _back(agent: AgentId, log: Sequence[Record]) -> set[StepId]:
    """Return what restores have undone of an agent. Raises: Broken, if it is not what stands after the cut."""
    gone: set[StepId] = set()
    undone: set[StepId] = set()
    for at, record in enumerate(log):
        if isinstance(record, RestoredRecord):
            epoch = record.restore.epoch
            # CP-13: who slept through a cut has its place where it made the next one, or where its log ends.
            cuts = [n for n, cut in enumerate(log[:at]) if isinstance(cut, CutRecord) and cut.epoch >= epoch]
            after = {each.step for each in log[cuts[0] : at] if isinstance(each, StepRecord)} if cuts else set()
            wanted, has = after - undone, {*record.retracted}
            need(has == wanted, BACK, f"{agent}, restore to {epoch}: {some({str(step) for step in has ^ wanted})}")
            gone |= has
        if isinstance(record, DecisionRecord | ForcedRecord | RestoredRecord):
            undone.update(record.retracted)
    return gone


def _steps(logs: Mapping[AgentId, Sequence[Record]]) -> list[StepRecord]:
    return [record for log in logs.values() for record in log if isinstance(record, StepRecord)]


def _causes(record: StepRecord) -> list[StepId]:
    causes = [record.input.producer, *(read.writer for read in record.reads)]
    return [cause for cause in causes if cause is not None and cause != record.step]
