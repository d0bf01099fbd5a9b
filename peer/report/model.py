"""An export folder, read and checked, and turned into the compact model that the page and the picture draw.

The format is `docs/export.md`; `lines.py` reads and checks it. This module decides what a step *is* in the picture
(survived, undone, run again, taken back by a restore) and in which order agents are listed; how it looks is left to
`page.py` and `svg.py`.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from peer.report.lines import (
    CHECKPOINTS_FILE,
    PROPOSALS_FILE,
    STEPS_FILE,
    CheckpointLine,
    ProposalLine,
    ReportError,
    RestoreLine,
    StepLine,
    checkpoints_of,
    lines_of,
)

SURVIVED, UNDONE, AGAIN, RESTORED = 0, 1, 2, 3
"""What became of a step. AGAIN: it survived and stands where an undone step of its agent stood. RESTORED: it stood
until a restore took everything back to a checkpoint."""


@dataclass(frozen=True)
class Run:
    """A whole export, in the order of (time, step); steps are named by their index from here on."""

    steps: tuple[StepLine, ...]
    proposals: tuple[ProposalLine, ...]
    index: dict[str, int] = field(repr=False)
    places: tuple[tuple[str, int, int], ...] = field(repr=False)
    """Of each step: agent, incarnation, seq."""
    checkpoints: tuple[CheckpointLine, ...] = ()
    restores: tuple[RestoreLine, ...] = ()

    @cached_property
    def began(self) -> int:
        """The first moment of the run, in microseconds since the Unix epoch."""
        times = [step.time for step in self.steps] + [proposal.began for proposal in self.proposals]
        return min(times, default=0)

    @cached_property
    def producers(self) -> tuple[int, ...]:
        """Of each step: the step that sent its input, or -1 (from outside, or from before the export)."""
        return tuple(self.index.get(step.input.producer or "", -1) for step in self.steps)

    @cached_property
    def roots(self) -> frozenset[int]:
        """The undone steps that a proposal names as roots."""
        named = {self.index.get(root, -1) for proposal in self.proposals for root in proposal.roots}
        return frozenset(i for i in named if i >= 0 and self.kinds[i] == UNDONE)

    @cached_property
    def took_back(self) -> frozenset[str]:
        """What steps that a restore has undone name as what undid them."""
        return frozenset(f"restore/{restore.number}" for restore in self.restores)

    @cached_property
    def replacements(self) -> dict[int, int]:
        """Undone step -> the step of the same agent that handled the same lineage later, and stands, or stood until a
        restore."""
        turns: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, step in enumerate(self.steps):
            turns[self.places[i][0], step.input.lineage].append(i)
        replaced: dict[int, int] = {}
        for attempts in turns.values():
            attempts.sort(key=lambda i: self.places[i])
            successor = -1
            for i in reversed(attempts):
                by = self.steps[i].retracted_by
                if by is not None and successor >= 0:
                    replaced[i] = successor
                if by is None or by in self.took_back:
                    successor = i
        return replaced

    @cached_property
    def kinds(self) -> tuple[int, ...]:
        """Of each step: SURVIVED, UNDONE, AGAIN or RESTORED."""
        successors = frozenset(self.replacements.values())
        return tuple(
            (AGAIN if i in successors else SURVIVED) if step.retracted_by is None
            else RESTORED if step.retracted_by in self.took_back
            else UNDONE
            for i, step in enumerate(self.steps)
        )  # fmt: skip

    @cached_property
    def agents(self) -> tuple[str, ...]:
        """Every agent heard of, families together, in the order in which work flows through them.

        A family is a name without its number (`risk-2` is of `risk`); families are sorted by the mean number
        of messages between an input from outside and their steps. Agents without a step come last.
        """
        depths: dict[int, int] = {}
        for i in range(len(self.steps)):
            trail, at = [], i
            while at >= 0 and at not in depths:
                trail.append(at)
                depths[at] = 0  # also ends the walk if a broken export has a cycle
                at = self.producers[at]
            base = depths[at] if at >= 0 and at not in trail else -1
            for above, step in enumerate(reversed(trail), 1):
                depths[step] = base + above
        totals: dict[str, tuple[int, int]] = {}
        for i, depth in depths.items():
            count, total = totals.get(_family(self.places[i][0]), (0, 0))
            totals[_family(self.places[i][0])] = count + 1, total + depth
        names = {place[0] for place in self.places}
        names.update(send.to for step in self.steps for send in step.sends)
        names.update(agent for checkpoint in self.checkpoints for agent in checkpoint.cuts)
        names.update(elector for proposal in self.proposals for elector in proposal.electors)

        def rank(name: str) -> tuple[float, str, list[tuple[int, str]]]:
            count, total = totals.get(_family(name), (0, 0))
            return total / count if count else float("inf"), _family(name), _natural(name)

        return tuple(sorted(names, key=rank))

    def story(self) -> str:
        """Say in a plain sentence or two what happened."""
        return " ".join([self.story_of_rollbacks(), *map(self._story_of, self.restores)])

    def _story_of(self, restore: RestoreLine) -> str:
        taken = [i for i, step in enumerate(self.steps) if step.retracted_by == f"restore/{restore.number}"]
        at = f"{_count(len(taken), 'step')} at {_count(len({self.places[i][0] for i in taken}), 'agent')}"
        return f"A restore then took everything back to checkpoint {restore.epoch}: {at} no longer stand."

    def story_of_rollbacks(self) -> str:
        """Say what happened before any restore."""
        undone = [i for i, kind in enumerate(self.kinds) if kind == UNDONE]
        agents = {place[0] for place in self.places}
        whole = f"{_count(len(self.steps), 'step')} at {_count(len(agents), 'agent')}"
        if not undone:
            tried = sum(proposal.decision != "commit" for proposal in self.proposals)
            because = f" ({_count(tried, 'rollback')} proposed, none committed)" if tried else ""
            return f"{whole}; nothing was rolled back{because}."
        where = sorted({self.places[i][0] for i in self.roots}, key=_natural)
        cause = f"{_count(len(self.roots), 'wrong step')} at {_listed(where)}" if where else "Lost steps"
        touched = {self.places[i][0] for i in undone}
        again = len({self.replacements[i] for i in undone if i in self.replacements})
        rest = len(self.steps) - len(undone)
        stand = "stood" if self.restores else "stand"
        return (
            f"{cause} and what followed from {'it' if len(self.roots) == 1 else 'them'} were undone: "
            f"{_count(len(undone), 'step')} at {len(touched)} of {_count(len(agents), 'agent')}. "
            f"{_count(again, 'step')} took their place, and the other {_count(rest - again, 'step')} {stand}."
        )

    def drawing(self) -> dict[str, Any]:
        """Return the model that the page embeds: columns of numbers, and each text once.

        Times are microseconds since `began`. A reference to a step is its index; one to a step that is not in
        the export stays a text. `reads` holds per key its number and then its writers, ascending, each as the
        difference to the one before: a counter that sums a thousand writers stays small.
        """
        texts: dict[str, int] = {}
        rows = {name: row for row, name in enumerate(self.agents)}

        def text(value: str) -> int:
            return texts.setdefault(value, len(texts))

        def own(message: str, step: str | None) -> int | str:
            head, _, tail = message.rpartition("#")
            return int(tail) if head == step and re.fullmatch(r"0|[1-9]\d{0,8}", tail) else message

        def reads(step: StepLine) -> list[list[int | str]]:
            known: dict[int, set[int]] = defaultdict(set)
            strange: dict[int, list[str]] = defaultdict(list)
            for read in step.reads:
                writers = known[text(read.key)]
                if read.writer in self.index:
                    writers.add(self.index[read.writer])
                elif read.writer is not None:
                    strange[text(read.key)].append(read.writer)
            return [
                [key, *(b - a for a, b in pairwise([0, *sorted(writers)])), *strange[key]]
                for key, writers in known.items()
            ]

        steps = self.steps
        columns = {
            "agent": [rows[place[0]] for place in self.places],
            "incarnation": [place[1] for place in self.places],
            "seq": [place[2] for place in self.places],
            "time": [step.time - self.began for step in steps],
            "kind": list(self.kinds),
            "producer": list(self.producers),
            "input": [own(step.input.id, step.input.producer) for step in steps],
            "lineage": [text(step.input.lineage) for step in steps],
            "reads": [reads(step) for step in steps],
            "writes": [[text(write.key) for write in step.writes] for step in steps],
            "sends": [[[own(send.id, step.step), rows[send.to]] for send in step.sends] for step in steps],
            "calls": [
                [[text(call.tool), call.intent, text(call.effect), text(call.state)] for call in step.calls]
                for step in steps
            ],
            "retracted": [-1 if s.retracted_by is None else text(s.retracted_by) for s in steps],
        }
        proposals = [
            msgspec.structs.asdict(proposal)
            | {
                "roots": [self.index.get(root, root) for root in proposal.roots],
                "rejects": [[reject.voter, reject.why] for reject in proposal.rejects],
                "began": proposal.began - self.began,
                "decided": None if proposal.decided is None else proposal.decided - self.began,
            }
            for proposal in self.proposals
        ]
        return {
            "began": self.began,
            "agents": list(self.agents),
            "families": [_family(name) for name in self.agents],
            "steps": columns,
            "roots": sorted(self.roots),
            "replaced": [[old, new] for old, new in sorted(self.replacements.items())],
            "proposals": proposals,
            "texts": list(texts),
            "checkpoints": [
                {"epoch": line.epoch, "cuts": sorted([rows[a], cut.time - self.began] for a, cut in line.cuts.items())}
                for line in self.checkpoints
            ],
            "restores": [
                msgspec.structs.asdict(line) | {"decided": line.decided - self.began, "done": line.done - self.began}
                for line in self.restores
            ],
        }


def read_export(export: Path) -> Run:
    """Read and check an export folder.

    Raises: ReportError, with the file and the line, where something is missing or not as the format says.
    """
    index: dict[str, int] = {}
    found: list[tuple[int, tuple[str, int, int], StepLine]] = []
    path = export / STEPS_FILE
    for number, step in lines_of(path, StepLine):
        if step.step in index:
            raise ReportError(
                f"{path}, line {number}: step {step.step} is there twice (first in line {index[step.step]})"
            )
        index[step.step] = number
        found.append((step.time, _place(step.step, path, number), step))
    found.sort(key=lambda entry: entry[:2])
    proposals = [proposal for _, proposal in lines_of(export / PROPOSALS_FILE, ProposalLine)]
    checkpoints, restores = checkpoints_of(export / CHECKPOINTS_FILE)
    return Run(
        steps=tuple(step for _, _, step in found),
        proposals=tuple(sorted(proposals, key=lambda proposal: (proposal.began, proposal.id))),
        index={step.step: i for i, (_, _, step) in enumerate(found)},
        places=tuple(place for _, place, _ in found),
        checkpoints=checkpoints,
        restores=restores,
    )


def _place(step: str, path: Path, number: int) -> tuple[str, int, int]:
    parts = re.fullmatch(r"(.+)/(\d{1,15})/(\d{1,15})", step, re.ASCII | re.DOTALL)
    if parts is None:
        raise ReportError(f"{path}, line {number}: {step!r} is no step id (agent/incarnation/seq)")
    return parts[1], int(parts[2]), int(parts[3])


def _family(agent: str) -> str:
    return re.sub(r"[-_.]?\d+$", "", agent) or agent


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _listed(names: list[str]) -> str:
    if len(names) > 4:
        return f"{len(names)} agents"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
