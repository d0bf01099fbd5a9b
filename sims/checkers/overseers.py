"""No agent votes for undoing, or undoes, more of its steps than its overseer has agreed to, or against a no (RB-13)."""

from collections.abc import Mapping, Sequence

from protocol.agent.machine import PeerMachine
from protocol.ids import AgentId, ProposalId, StepId
from protocol.records import DecisionRecord, Record, VoteRecord
from sims.checkers.view import Said, View, need

INVARIANT = "nothing is undone that an overseer has not agreed to"
OVERSEER = "overseer"


def check(view: View) -> None:
    """Raises: Broken."""
    check_logs(view.logs, view.machines, view.said)


def check_logs(
    logs: Mapping[AgentId, Sequence[Record]], machines: Mapping[AgentId, PeerMachine], said: Said
) -> None:  # fmt: skip
    """Judge what agents have voted and decided by what their overseers have said.

    Raises: Broken.
    """
    for agent, machine in machines.items():
        if agent in said.overseen:
            _check(agent, machine, logs[agent], said)


def _check(agent: AgentId, machine: PeerMachine, log: Sequence[Record], said: Said) -> None:
    parts: dict[ProposalId, list[StepId]] = {}
    silent: set[ProposalId] = set()
    for record in log:
        match record:
            case VoteRecord() if record.vote.accepts:
                name = record.proposal.id
                words = [each for each in record.findings if each.name == OVERSEER]
                noes = [each.text for each in words if not each.holds]
                need(not noes, INVARIANT, f"{agent} accepts {name}, and it is {noes}")
                if words and agent in said.lax:
                    silent.add(name)
                part = parts.setdefault(name, [])
                part.extend(listed.step for listed in record.vote.cone)
                # What stands in the end stood then. What does not may have been undone before by another rollback.
                count = sum(step not in machine.core.retraction for step in part)
            case DecisionRecord(decision="commit"):
                name, count = record.proposal.id, len(record.retracted)
            case _:
                continue
        agreed = said.agreed.get((agent, name), 0)
        is_agreed = count < said.overseen[agent] or count <= agreed or name in silent
        need(is_agreed, INVARIANT, f"{name} is to undo {count} steps of {agent}, of {agreed} agreed to")
