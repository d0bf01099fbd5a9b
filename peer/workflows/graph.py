"""What a rollback can reach: activities, which of them hang on which, and who falls with whom.

An activity may hang on another that has sent it its message, or has written a key that it reads (RB-2). Activities that
hang on each other fall together: the strongly connected components (Tarjan 1972). Who is only upstream is kept.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

import networkx as nx

from peer.workflows.workflow import ANYWHERE, Activity, Link, Workflow, is_tick, result_of

MESSAGE, RESULT, KEY, SUM = "message", "result", "key", "sum"
SPACE = "space:"
TRIED_MAX = 100
"""Edges for which a short way round is looked for."""


class Reach(NamedTuple):
    """What a wrong step of some activities can drag along, and what it can't."""

    of: tuple[Activity, ...]
    falls: tuple[Activity, ...]
    """These, and all that may hang on them."""
    keeps: tuple[Activity, ...]
    """All others."""

    @property
    def agents_that_fall(self) -> list[str]:
        """Agents of which something may be undone."""
        return sorted({each.agent for each in self.falls})

    @property
    def agents_that_keep_all(self) -> list[str]:
        """Agents of which nothing can be undone."""
        return sorted({each.agent for each in self.keeps} - {each.agent for each in self.falls})


class Loop(NamedTuple):
    """Activities that hang on each other."""

    members: tuple[Activity, ...]
    path: tuple[Activity, ...]
    """A shortest way round; the first is not repeated at the end."""
    messages: bool
    """It goes round by messages alone, so it may go on for ever; else keys close it."""

    def __str__(self) -> str:
        return " -> ".join(map(str, (*self.path, self.path[0])))


class Drag(NamedTuple):
    """Upstream that falls with what follows from it, since both share a key."""

    wrong: Activity
    """Where the step is wrong."""
    dragged: Activity
    """Upstream of it by messages, and undone with it."""
    key: str
    """What the one has written, and the other reads."""


class Graph:
    """A workflow's activities and their dependencies.

    Args:
        workflow: of whom.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.links = sorted({*workflow.links, *_links(workflow)})
        self._graph = self._graph_of(self.links)

    def _graph_of(self, links: Iterable[Link]) -> "nx.DiGraph[Activity]":
        graph: nx.DiGraph[Activity] = nx.DiGraph()
        graph.add_nodes_from(self.workflow.activities)
        known = {*self.workflow.activities}
        graph.add_edges_from(
            (link.before, link.after) for link in links if link.before in known and link.after in known
        )
        return graph

    def reach(self, *what: str) -> Reach:
        """Return what a wrong step of some agents or kinds can drag along: see `Workflow.named`.

        Raises: CallerError, naming what there is.
        """
        roots = sorted({each for name in what for each in self.workflow.named(name)})
        return self.reach_of(roots)

    def reach_of(self, roots: Iterable[Activity]) -> Reach:
        """Return what a wrong step of some activities can drag along."""
        of = tuple(roots)
        found = 0
        for root in of:
            found |= self._reached[root]
        falls = tuple(each for number, each in enumerate(self.workflow.activities) if found >> number & 1)
        keeps = tuple(each for number, each in enumerate(self.workflow.activities) if not found >> number & 1)
        return Reach(of, falls, keeps)

    @cached_property
    def _reached(self) -> dict[Activity, int]:
        """By activity, all that may hang on it, as the bits of their numbers: from the last downstream back."""
        return _bits(self._graph, self.workflow.activities)

    def upstream(self, activity: Activity) -> list[Activity]:
        """Return the activities whose wrong steps can drag this one along, itself included."""
        return sorted({activity, *nx.ancestors(self._graph, activity)})

    @cached_property
    def components(self) -> list[tuple[Activity, ...]]:
        """Activities that fall together, upstream first."""
        found: nx.DiGraph[int] = nx.condensation(self._graph)
        names = {node: tuple(sorted(found.nodes[node]["members"])) for node in found}
        return [names[node] for node in nx.lexicographical_topological_sort(found, key=lambda node: names[node])]

    @cached_property
    def loops(self) -> list[Loop]:
        """Feedback: activities of several agents that hang on each other, and those that write to themselves."""
        by_message = self._graph_of(link for link in self.links if link.how in (MESSAGE, RESULT))
        return [loop for members in self.components for loop in self._loops_in(members, by_message)]

    def _loops_in(self, members: tuple[Activity, ...], by_message: "nx.DiGraph[Activity]") -> Iterator[Loop]:
        sent = by_message.subgraph(members)
        cycles = [sorted(part) for part in nx.strongly_connected_components(sent) if _is_cycle(sent, part)]
        for part in sorted(cycles):
            yield Loop(tuple(part), _shortest(sent.subgraph(part)), True)
        if not cycles and len({each.agent for each in members}) > 1:
            yield Loop(members, _across(self._graph.subgraph(members)), False)

    @cached_property
    def drags(self) -> list[Drag]:
        """Upstream that a shared key drags along: without the key it would be kept."""
        messages = self._graph_of(link for link in self.links if link.how in (MESSAGE, RESULT))
        reached = _bits(messages, self.workflow.activities)
        numbers = {activity: number for number, activity in enumerate(self.workflow.activities)}
        found: dict[tuple[str, str, str], Drag] = {}
        for link in self.links:
            if link.how not in (KEY, SUM) or link.before.agent == link.after.agent or not _both(messages, link):
                continue
            above, below = 1 << numbers[link.after], 1 << numbers[link.before]
            if reached[link.after] & below and not reached[link.before] & above:
                drag = Drag(link.before, link.after, link.via)
                found.setdefault((drag.wrong.agent, drag.dragged.agent, drag.key), drag)
        return list(found.values())


def _bits(graph: "nx.DiGraph[Activity]", activities: list[Activity]) -> dict[Activity, int]:
    """Return what can be reached from each activity, itself included, as the bits of their numbers."""
    numbers = {activity: number for number, activity in enumerate(activities)}
    parts: nx.DiGraph[int] = nx.condensation(graph)
    by_part: dict[int, int] = {}
    for part in reversed([*nx.topological_sort(parts)]):
        bits = sum(1 << numbers[each] for each in parts.nodes[part]["members"])
        for after in parts.successors(part):
            bits |= by_part[after]
        by_part[part] = bits
    return {activity: by_part[part] for activity, part in parts.graph["mapping"].items()}


def _both(graph: "nx.DiGraph[Activity]", link: Link) -> bool:
    return link.before in graph and link.after in graph


def _is_cycle(graph: "nx.DiGraph[Activity]", part: set[Activity]) -> bool:
    # A tick that sets the next one goes round by intent.
    return len(part) > 1 or any(graph.has_edge(each, each) and not is_tick(each) for each in part)


def _shortest(graph: "nx.DiGraph[Activity]") -> tuple[Activity, ...]:
    """Return a shortest way round from the first activity by name."""
    first = min(graph)
    if graph.has_edge(first, first):
        return (first,)
    ways = [nx.shortest_path(graph, after, first) for after in sorted(graph.successors(first))]
    return (first, *min(ways, key=len)[:-1])


def _across(graph: "nx.DiGraph[Activity]") -> tuple[Activity, ...]:
    """Return a shortest way round by more than one agent, from the first activity by name."""
    edges = sorted((one, other) for one, other in graph.edges if one.agent != other.agent)
    # There and back is the shortest that there can be.
    back = next(((one, other) for one, other in edges if graph.has_edge(other, one)), None)
    way = back or min((nx.shortest_path(graph, other, one) for one, other in edges[:TRIED_MAX]), key=len)
    first = way.index(min(way))
    return (*way[first:], *way[:first])


def _links(workflow: Workflow) -> Iterator[Link]:
    """Yield what hangs on what by the handlings alone."""
    activities = {*workflow.activities}
    for each in workflow.handlings:
        for to in each.sends:
            if Activity(*to) in activities:
                yield Link(each.activity, Activity(*to), MESSAGE, to[1])
        for tool in each.requests:
            if (answer := Activity(each.agent, result_of(tool))) in activities:
                yield Link(each.activity, answer, RESULT, tool)
    yield from _shared(workflow)


def _shared(workflow: Workflow) -> Iterator[Link]:
    """Yield who reads what others write."""
    writers: dict[str, set[tuple[str, Activity]]] = {}
    for each in workflow.handlings:
        for key in each.writes:
            writers.setdefault(_scope(each.agent, key), set()).add((key, each.activity))
    for each in workflow.handlings:
        for key in each.reads:
            for written, writer in writers.get(_scope(each.agent, key), ()):
                if _meets(written, key):
                    yield Link(writer, each.activity, KEY, written if _is_any(key) else key)


def _scope(agent: str, key: str) -> str:
    """Return within what a key is told apart from others: an agent's state, or a space."""
    return key.split("/", 1)[0] if key.startswith(SPACE) else f"of {agent}"


def _meets(one: str, other: str) -> bool:
    """Tell whether two keys of one scope may be the same."""
    return one == other or _is_any(one) or _is_any(other)


def _is_any(key: str) -> bool:
    return key == ANYWHERE or key.endswith(f"/{ANYWHERE}")
