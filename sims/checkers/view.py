"""What checkers look at: machines, logs and the world outside, whatever simulator they come from."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from protocol.action import Tell
from protocol.agent.machine import PeerMachine
from protocol.ids import AgentId, Lineage, ProposalId, StepId
from protocol.proposal import Proposal
from protocol.records import DecisionRecord, OutcomeRecord, Record, VoteRecord
from protocol.step import StepRecord
from sims.oracle import LoggedStep, cone, dependents


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant = invariant
        self.what = what


class Word(NamedTuple):
    """What somebody has said of a request."""

    agent: AgentId
    step: StepId
    """The step that had requested it when they looked."""
    request: Lineage
    verb: str
    by: str


@dataclass
class Said:
    """What people outside have said, and were told to count."""

    words: list[Word] = field(default_factory=list[Word])
    overseen: dict[AgentId, int] = field(default_factory=dict[AgentId, int])
    """Which agents have an overseer, and from how many steps on that one is asked."""
    lax: set[AgentId] = field(default_factory=set[AgentId])
    """Those whose overseer's silence is a yes: nobody outside says how many steps that is about."""
    agreed: dict[tuple[AgentId, ProposalId], int] = field(default_factory=dict[tuple[AgentId, ProposalId], int])
    """By agent and rollback, the largest part that its overseer has agreed to, in steps. Parts only grow."""

    def agree(self, agent: AgentId, proposal: ProposalId, steps: int) -> None:
        """An overseer says yes to a part of so many steps."""
        self.agreed[agent, proposal] = max(self.agreed.get((agent, proposal), 0), steps)


@dataclass(frozen=True)
class View:
    """A world at rest."""

    machines: Mapping[AgentId, PeerMachine]
    logs: Mapping[AgentId, Sequence[Record]]
    """Every durable record of each agent, less those that a disk has lost."""
    lost: Sequence[StepRecord] = ()
    """Steps that were durable, and that a disk has lost."""
    has_lost: bool = False
    """A disk has lost anything that nobody has a copy of: what it knew of its effects is damage, not a mistake."""
    notices: Sequence[tuple[AgentId, Tell]] = ()
    heard: Mapping[ProposalId, Sequence[AgentId]] = field(default_factory=dict)
    """By proposal, who has ever got a message of it."""
    standing: Mapping[str, bool] | None = None
    """By intent, whether its effect stands in the world outside; None: nobody knows."""
    doubled: Sequence[str] = ()
    """Intents that were called while their effect stood."""
    broken_promises: Sequence[str] = ()
    """What was acknowledged as safe from the loss of a disk, and is lost."""
    losses_said: Collection[AgentId] = ()
    """Whose losses people were told of."""
    is_replicated: bool = False
    """All that agents write is with other hosts before anything follows from it."""
    spaces: Mapping[AgentId, Sequence[str]] = field(default_factory=dict)
    """Which shared spaces each agent takes part in."""
    said: Said = field(default_factory=Said)
    """What people have said."""

    def of(self, kind: type) -> Iterator[tuple[AgentId, Record]]:
        """Yield the durable records of a kind, with their agents."""
        for agent, log in self.logs.items():
            for record in log:
                if isinstance(record, kind):
                    yield agent, record

    @cached_property
    def steps(self) -> list[StepRecord]:
        """The durable steps."""
        return [record for _, record in self.of(StepRecord) if isinstance(record, StepRecord)]

    @cached_property
    def logged(self) -> list[LoggedStep]:
        """All steps that ever were, as the oracle wants them."""
        return [logged(record) for record in (*self.steps, *self.lost)]

    @cached_property
    def after(self) -> dict[str, list[str]]:
        """Which steps depend on which, directly."""
        return dependents(self.logged)

    @cached_property
    def after_kept(self) -> dict[str, list[str]]:
        """The same, of the steps that no disk has lost."""
        return dependents([logged(record) for record in self.steps])

    @cached_property
    def retracted(self) -> set[str]:
        """The steps that their own agents hold retracted."""
        return {
            str(record.step)
            for record in self.steps
            if record.step.agent in self.machines and record.step in self.machines[record.step.agent].core.retraction
        }

    @cached_property
    def lost_names(self) -> set[str]:
        """The steps that a disk has lost."""
        return {str(record.step) for record in self.lost}

    @cached_property
    def decided(self) -> dict[ProposalId, list[tuple[AgentId, DecisionRecord]]]:
        """What each elector has decided of each proposal."""
        found: dict[ProposalId, list[tuple[AgentId, DecisionRecord]]] = {}
        for agent, machine in self.machines.items():
            for record in machine.rollback.decided.values():
                found.setdefault(record.proposal.id, []).append((agent, record))
        return found

    @cached_property
    def voters(self) -> dict[ProposalId, set[AgentId]]:
        """Who has durably voted: whoever has frozen anything has."""
        found: dict[ProposalId, set[AgentId]] = {}
        for agent, record in self.of(VoteRecord):
            if isinstance(record, VoteRecord):
                found.setdefault(record.proposal.id, set()).add(agent)
        return found

    @cached_property
    def outcomes(self) -> dict[ProposalId, OutcomeRecord]:
        """What proposers have written down as the end of their proposals."""
        return {record.proposal: record for _, record in self.of(OutcomeRecord) if isinstance(record, OutcomeRecord)}

    def cone_of(self, proposal: Proposal) -> set[str]:
        """Return the true cone of a proposal."""
        return cone([str(root) for root in proposal.roots], self.after)

    def reached_by(self, proposal: Proposal) -> tuple[set[AgentId], set[AgentId]]:
        """Return the true electors, at least and at most.

        A space may have got subscribers after the decision. Where the cone goes through a step that is lost, nobody may
        have known of what it sent: who got it finds out by the loss.
        """
        truth = self.cone_of(proposal)
        known = cone([str(root) for root in proposal.roots], self.after_kept) if self.lost else truth
        least = {root.agent for root in proposal.roots}
        most: set[AgentId] = set()
        for record in (*self.steps, *self.lost):
            if str(record.step) in truth:
                receivers = {output.receiver for output in record.outputs}
                most |= receivers
                if str(record.step) in known - self.lost_names:
                    # CL-7: what waited for a name may have been undone before it left.
                    least |= receivers - set(record.unplaced)
                machine = self.machines.get(record.step.agent)
                for entry in record.entries if machine is not None else ():
                    assert machine is not None
                    most.update(machine.core.subscribers.get(entry.key[6:].split("/", 1)[0], ()))
        return least, least | most

    def survives(self, record: StepRecord) -> bool:
        """Tell whether a step stands."""
        return str(record.step) not in self.retracted


def logged(record: StepRecord) -> LoggedStep:
    """Return a step as the oracle wants it."""
    return LoggedStep(
        step=str(record.step),
        producer=None if record.input.producer is None else str(record.input.producer),
        writers=tuple(str(read.writer) for read in record.reads if read.writer is not None),
    )


def need(holds: bool, invariant: str, what: object) -> None:
    """Raises: Broken, if an invariant does not hold."""
    if not holds:
        raise Broken(invariant, str(what))


def some(names: set[str]) -> str:
    """Return a few of many names, in order, for people."""
    shown = sorted(names)
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
