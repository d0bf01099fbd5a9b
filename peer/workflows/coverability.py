"""Which places of a Petri net may hold ever more tokens: the tree of Karp and Miller, within a bound.

Where a marking is more than one on the way to it, that way can be gone again and again, so what has grown is put
to `MANY`. Source: Karp and Miller 1969, Parallel program schemata, JCSS 3(2); Murata 1989, section V.A. A marking that
stands anywhere in the tree is not looked at again. No place is missed by that: of what is found each marking has its
successors, or more than those, so a walk of any length is covered by one of finitely many, which holds as much at
each place; so who grows without end there has `MANY`.
"""

from dataclasses import dataclass
from math import inf

from peer.workflows.net import Net

NODES_MAX = 10_000
"""Unless told otherwise: the tree can be larger than any power of the net's size."""

MANY = inf
"""More tokens than any number."""

Covering = tuple[float, ...]
"""A marking, or with `MANY` a bound of endlessly many."""


@dataclass(frozen=True)
class Covered:
    """What covers all markings that a net can reach."""

    net: Net
    nodes: tuple[Covering, ...]
    """Markings, nearest first: every one that can be reached is at most one of these, place by place."""
    is_whole: bool
    """False: it stopped at its bound, and there may be more unbounded places."""

    @property
    def unbounded(self) -> list[str]:
        """Return the places that may hold ever more tokens; more may be so if it is not whole."""
        return [place for at, place in enumerate(self.net.places) if any(node[at] == MANY for node in self.nodes)]

    def bound(self, place: str) -> float:
        """Return how many tokens a place holds at most, of what was looked at; `MANY`: there is no bound."""
        at = self.net.places.index(place)
        return max(node[at] for node in self.nodes)

    def covers(self, **tokens: int) -> bool:
        """Tell whether a marking can be reached that holds at least so many tokens, by place."""
        wanted = self.net.marking_of(tokens)
        return any(all(has >= wants for has, wants in zip(node, wanted, strict=True)) for node in self.nodes)


def covered(net: Net, nodes_max: int = NODES_MAX) -> Covered:
    """Return what covers all that a net can reach: at most so many nodes, and then its `is_whole` is False."""
    first: Covering = tuple(map(float, net.initial))
    parents: dict[Covering, Covering | None] = {first: None}
    todo = [first]
    for node in todo:
        for number in net.enabled_at(node):
            found = _pumped(net.after(node, number), node, parents)
            if found in parents:
                continue
            if len(parents) >= nodes_max:
                return Covered(net, tuple(parents), False)
            parents[found] = node
            todo.append(found)
    return Covered(net, tuple(parents), True)


def _pumped(found: Covering, parent: Covering, parents: dict[Covering, Covering | None]) -> Covering:
    """Put to `MANY` what has grown since a marking on the way that is nowhere more."""
    at: Covering | None = parent
    while at is not None:
        if at != found and all(was <= has for was, has in zip(at, found, strict=True)):
            found = tuple(MANY if has > was else has for was, has in zip(at, found, strict=True))
        at = parents[at]
    return found
