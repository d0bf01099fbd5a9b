"""Who writes to whom: named graphs of any size, each the same for the same seed."""

from collections.abc import Callable

import networkx as nx

Graph = dict[int, tuple[int, ...]]
"""By agent, from 0 on, the agents that it writes to."""


def _both_ways(graph: "nx.Graph") -> Graph:
    return {int(node): tuple(sorted(int(other) for other in graph.neighbors(node))) for node in sorted(graph.nodes)}


def _one_way(graph: "nx.DiGraph") -> Graph:
    return {int(node): tuple(sorted(int(other) for other in graph.successors(node))) for node in sorted(graph.nodes)}


def _ring(count: int, seed: int) -> Graph:
    return _both_ways(nx.cycle_graph(count))


def _star(count: int, seed: int) -> Graph:
    return _both_ways(nx.star_graph(count - 1))


def regular(count: int, degree: int, seed: int = 0) -> Graph:
    """Return a random graph in which everybody writes to `degree` others, or to one fewer if that can't be."""
    degree = min(degree, count - 1)
    if degree * count % 2:
        degree -= 1
    return _both_ways(nx.random_regular_graph(degree, count, seed=seed))


def _random_regular(count: int, seed: int) -> Graph:
    return regular(count, 4, seed)


def _small_world(count: int, seed: int) -> Graph:
    """A ring with shortcuts. Source: Newman and Watts 1999, whose shortcuts, unlike rewiring, never part it."""
    return _both_ways(nx.newman_watts_strogatz_graph(count, min(4, count - 1), 0.1, seed=seed))


def _scale_free(count: int, seed: int) -> Graph:
    return _both_ways(nx.barabasi_albert_graph(count, min(2, count - 1), seed=seed))


def _pipeline(count: int, seed: int) -> Graph:
    return _one_way(nx.path_graph(count, create_using=nx.DiGraph))


def _dag(count: int, seed: int) -> Graph:
    """Edges from lower to higher numbers only, about three from each."""
    graph = nx.gnp_random_graph(count, min(1.0, 6 / count), seed=seed)
    directed = nx.DiGraph()
    directed.add_nodes_from(range(count))
    directed.add_edges_from((min(edge), max(edge)) for edge in graph.edges)
    directed.add_edges_from((node, node + 1) for node in range(count - 1))
    return _one_way(directed)


def _cycles(count: int, seed: int) -> Graph:
    """Rings of five one after the other, each writing on to the next ring's first."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(count))
    for first in range(0, count, 5):
        ring = list(range(first, min(first + 5, count)))
        graph.add_edges_from(zip(ring, [*ring[1:], ring[0]], strict=True))
        graph.add_edge(ring[-1], (first + 5) if first + 5 < count else 0)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    return _one_way(graph)


def _all_to_all(count: int, seed: int) -> Graph:
    return _both_ways(nx.complete_graph(count))


def _client_server(count: int, seed: int) -> Graph:
    """A tenth are servers; each client writes to one of them, and servers write back and to each other."""
    servers = max(1, count // 10)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(count))
    for client in range(servers, count):
        graph.add_edge(client, client % servers)
        graph.add_edge(client % servers, client)
    graph.add_edges_from((one, other) for one in range(servers) for other in range(servers) if one != other)
    return _one_way(graph)


TOPOLOGIES: dict[str, Callable[[int, int], Graph]] = {
    "ring": _ring,
    "star": _star,
    "random-regular": _random_regular,
    "small-world": _small_world,
    "scale-free": _scale_free,
    "pipeline": _pipeline,
    "dag": _dag,
    "cycles": _cycles,
    "all-to-all": _all_to_all,
    "client-server": _client_server,
}


def topology_of(what: str | Graph, count: int, seed: int = 0) -> Graph:
    """Return a graph by name.

    Args:
        what: one of `TOPOLOGIES`, or a graph, which is taken as it is.
        count: how many agents, at least 2.

    Raises: ValueError, naming the ones there are.
    """
    if not isinstance(what, str):
        return what
    if what not in TOPOLOGIES:
        raise ValueError(f"no topology {what!r}; there are: {', '.join(TOPOLOGIES)}")
    if count < 2:
        return dict.fromkeys(range(count), ())
    return TOPOLOGIES[what](count, seed)
