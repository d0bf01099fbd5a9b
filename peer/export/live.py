"""Write a run down for the outside, in the format of docs/export.md: steps, proposals, checkpoints.

This asks a running cluster; `peer.audit` makes the same files from hosts' folders.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from peer.cluster.member import Member
from peer.export.lines import ProposalLines, checkpoint_lines, step_line, write_export
from protocol.ids import AgentId


async def export(cluster: Member, folder: Path, agents: Iterable[AgentId] | None = None) -> None:
    """Ask every agent for its steps, ballots and cuts, and write them to a folder.

    Args:
        cluster: who asks.
        folder: made if missing; the three files are replaced.
        agents: whose steps; all that this peer looks at if left out.
    """
    names = list(cluster.agents if agents is None else agents)
    lines: list[dict[str, Any]] = []
    for name in names:
        async for page in cluster.steps(name).pages():
            pairs = zip(page.records, page.retracted_by, strict=True)
            lines.extend(step_line(record, by, page.effects) for record, by in pairs)
    proposals = await _proposals(cluster, names)
    checkpoints = checkpoint_lines({name: await cluster.cuts(name) for name in names})
    write_export(folder, lines, proposals, checkpoints)


async def _proposals(cluster: Member, agents: Iterable[AgentId]) -> list[dict[str, Any]]:
    """Return every proposal that any of the agents knows, put together from what each of them knows."""
    known = ProposalLines()
    hosts: set[str] = set()
    for agent in agents:
        ballots = await cluster.ballots(agent)
        for proposal, vote in ballots.votes:
            known.voted(agent, proposal, vote.accepts, vote.why)
        for pid, decision, at_us, names, _ in ballots.decided:
            known.decided(pid, decision, at_us, names)
        host = (await cluster.status(agent)).host
        if host not in hosts:
            hosts.add(host)
            for pid, (count, size) in (await cluster.costs(agent)).rollbacks.items():
                known.cost(pid, count, size)
    return known.lines()
