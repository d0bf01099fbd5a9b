"""Write a run down for the outside, in the format of docs/export.md: steps, proposals, checkpoints.

This asks a running cluster; `peer.audit` makes the same files from hosts' folders.
"""

from collections.abc import Iterable
from pathlib import Path

from peer.cluster.member import Member
from peer.export.lines import Line, ProposalLines, checkpoint_lines, step_line, write_export
from peer.host.questions import Ballots, Costs, CutsAnswer, StepsAnswer, StepsAsk, encode
from protocol.ids import AgentId

TOGETHER = 500
"""Agents that are asked at once."""


async def export(cluster: Member, folder: Path, agents: Iterable[AgentId] | None = None) -> None:
    """Ask every agent for its steps, ballots and cuts, and write them to a folder.

    Args:
        cluster: who asks.
        folder: made if missing; the three files are replaced.
        agents: whose steps; all that this peer looks at if left out.
    """
    names = list(cluster.agents if agents is None else agents)
    lines: list[Line] = []
    known = ProposalLines()
    cuts: dict[AgentId, CutsAnswer] = {}
    for some in (names[at : at + TOGETHER] for at in range(0, len(names), TOGETHER)):
        lines += await _steps(cluster, some)
        await _proposals(cluster, some, known)
        cuts |= await cluster.all_of(some, "cuts", CutsAnswer)
    one_of = {cluster.host.homes[name]: name for name in names}
    for costs in (await cluster.all_of(one_of.values(), "costs", Costs)).values():
        for pid, (count, size) in costs.rollbacks.items():
            known.cost(pid, count, size)
    write_export(folder, lines, known.lines(), checkpoint_lines(cuts))


async def _steps(cluster: Member, agents: list[AgentId]) -> list[Line]:
    """Return the lines of agents' steps: of all the first page at once, and whatever follows one after the other."""
    found: list[Line] = []
    first = await cluster.all_of(agents, "steps", StepsAnswer, encode(StepsAsk()))
    for name, page in first.items():
        pages = [page] if page.next is None else await cluster.steps(name)
        for each in pages:
            pairs = zip(each.records, each.retracted_by, strict=True)
            found += [step_line(record, by, each.effects) for record, by in pairs]
    return found


async def _proposals(cluster: Member, agents: list[AgentId], known: ProposalLines) -> None:
    """Take in what agents know of proposals."""
    for agent, ballots in (await cluster.all_of(agents, "ballots", Ballots)).items():
        for proposal, vote in ballots.votes:
            known.voted(agent, proposal, vote.accepts, vote.why)
        for pid, decision, at_us, names, _ in ballots.decided:
            known.decided(pid, decision, at_us, names)
