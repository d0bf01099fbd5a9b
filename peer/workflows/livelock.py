"""Livelocks in a log: agents that undo each other's steps, again and again, so that none of them gets anywhere.

A lineage that is run again is bounded: after so many attempts its input is a dead letter (RB-9). Source of the word:
Ashcroft 1975, Proving assertions about parallel programs, JCSS 10(1); a cycle of processes that undo each other's work
is what bounds on rollbacks are for in Strom and Yemini 1985.
"""

from collections import Counter
from typing import Any, NamedTuple

import networkx as nx

from peer.audit.trail import Trail
from peer.workflows.logged import kind_of
from protocol.ids import AgentId, Lineage

TIMES_MIN = 2
"""Rollbacks in each direction that make a loop: one each may be a mistake that both have seen."""
LINEAGES_SHOWN = 8
"""Lineages that are named of one loop."""


class Undone(NamedTuple):
    """One input whose steps were undone by others' proposals."""

    agent: AgentId
    by: tuple[AgentId, ...]
    """Who has proposed that."""
    lineage: Lineage
    kind: str
    """What it is: the kind of message."""
    times: int
    """How many rollbacks had a run of it as a root, and were agreed to."""
    is_dead: bool
    """The bound on attempts has ended it: it is a dead letter."""


class LiveLoop(NamedTuple):
    """Agents each of which undoes steps of the next."""

    agents: tuple[AgentId, ...]
    """In the order in which each undoes the next; the last undoes the first."""
    times: int
    """Rollbacks among them that were agreed to."""
    refused: int
    """Rollbacks among them that were proposed, and were not."""
    lineages: int
    """Inputs whose runs were undone."""
    undone: tuple[Undone, ...]
    """Those that were undone most often."""
    ended: str
    """What has ended it: `attempts`, `refused`; or `nothing`: it may go on."""

    def told(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return self._asdict() | {"agents": list(self.agents), "undone": [each._asdict() for each in self.undone]}


def loops_in(trail: Trail, times_min: int = TIMES_MIN) -> list[LiveLoop]:
    """Return the loops of agents that undo each other, the most often first.

    Args:
        trail: of the run.
        times_min: how often each must have undone the next at least.
    """
    agreed, refused = _counted(trail)
    graph: nx.DiGraph[AgentId] = nx.DiGraph()
    graph.add_edges_from(pair for pair, count in agreed.items() if count >= times_min)
    found = [
        _loop(trail, graph.subgraph(part), agreed, refused)
        for part in nx.strongly_connected_components(graph)
        if len(part) > 1
    ]
    return sorted(found, key=lambda loop: (-loop.times, loop.agents))


def _counted(trail: Trail) -> tuple[Counter[tuple[AgentId, AgentId]], Counter[tuple[AgentId, AgentId]]]:
    agreed: Counter[tuple[AgentId, AgentId]] = Counter()
    refused: Counter[tuple[AgentId, AgentId]] = Counter()
    for rollback in trail.rollbacks.values():
        into = {"commit": agreed, "abort": refused}.get(rollback.decision)
        for agent in {root.agent for root in rollback.proposal.roots} - {rollback.proposal.proposer}:
            if into is not None:
                into[rollback.proposal.proposer, agent] += 1
    return agreed, refused


def _loop(
    trail: Trail, graph: "nx.DiGraph[AgentId]", agreed: Counter[tuple[AgentId, AgentId]],
    refused: Counter[tuple[AgentId, AgentId]],
) -> LiveLoop:  # fmt: skip
    first = min(graph)
    ways = [nx.shortest_path(graph, after, first) for after in sorted(graph.successors(first))]
    agents = (first, *min(ways, key=len)[:-1])
    inputs = _inputs(trail, graph)
    dead = [each for each in inputs if each.is_dead]
    times = sum(agreed[pair] for pair in graph.edges)
    said_no = sum(refused[pair] for pair in graph.edges)
    ended = "attempts" if dead else "refused" if said_no else "nothing"
    return LiveLoop(agents, times, said_no, len(inputs), tuple(inputs[:LINEAGES_SHOWN]), ended)


def _inputs(trail: Trail, graph: "nx.DiGraph[AgentId]") -> list[Undone]:
    """Return the inputs that were undone within a loop, the most often first."""
    times: Counter[tuple[AgentId, Lineage]] = Counter()
    by: dict[tuple[AgentId, Lineage], set[AgentId]] = {}
    kinds: dict[tuple[AgentId, Lineage], str] = {}
    for rollback in trail.rollbacks.values():
        if rollback.decision != "commit":
            continue
        for root in rollback.proposal.roots:
            step = trail.steps.get(root)
            if step is None or not graph.has_edge(rollback.proposal.proposer, root.agent):
                continue
            name = (root.agent, step.record.input.lineage)
            times[name] += 1
            by.setdefault(name, set()).add(rollback.proposal.proposer)
            kinds[name] = kind_of(step.record.input.payload)
    found = [
        Undone(name[0], tuple(sorted(by[name])), name[1], kinds[name], count, _is_dead(trail, *name))
        for name, count in times.items()
    ]  # fmt: skip
    return sorted(found, key=lambda each: (-each.times, each.agent, each.lineage))


def _is_dead(trail: Trail, agent: AgentId, lineage: Lineage) -> bool:
    return "not run again" in trail.letters.get((agent, lineage), "")
