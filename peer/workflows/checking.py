"""The point of no return: up to where a workflow can be taken back, what ends that, and who should be asked before.

As long as no irreversible tool was called, everything that an input from outside has set off can be undone. Once one
was, its agent rejects every rollback that holds the step which asked for it (RQ-2): so nothing upstream of that step
can be undone any more, and it is what is told here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from peer.errors import CallerError
from peer.workflows.coverability import covered
from peer.workflows.graph import Graph
from peer.workflows.markings import MARKINGS_MAX, reached
from peer.workflows.net import Net
from peer.workflows.netting import Letting, is_gone, lettings, net_of, sources
from peer.workflows.workflow import Activity, Rule, Workflow

CASES_MAX = 100
"""Inputs from outside whose markings are looked at; of what is found only `unbounded` hangs on it."""
MARKED_MAX = 200
"""Markings of one input that are told one by one, the nearest first."""
LISTED_MAX = 4
"""Activities or agents named in one sentence."""


class Point(NamedTuple):
    """A transition that nobody can take back."""

    transition: str
    agent: str
    tool: str
    binds: tuple[Activity, ...]
    """What can't be undone any more once it has happened: all on which the step hangs that has asked for it."""
    rule: Rule | None
    """By which people are asked before; None: nobody is."""
    question: str
    """What should be asked of them."""
    remedy: str
    """The rule to add, as it is written in the agent's class; empty if there is one that always holds."""


class Marked(NamedTuple):
    """A marking that an input can lead to."""

    tokens: dict[str, float]
    """By place, where there are any."""
    is_compensable: bool


class Case(NamedTuple):
    """One input from outside, and the markings that it can lead to."""

    source: Activity
    markings: int
    compensable: int
    """Markings at which all of it can still be undone."""
    firsts: tuple[tuple[str, ...], ...]
    """Shortest ways from the input to where that ends, as transitions by name: one for each that ends it."""
    is_whole: bool
    """False: it stopped at the bound, and there are more markings."""
    marked: tuple[Marked, ...] = ()
    """The nearest of them: see `MARKED_MAX`."""


class Finding(NamedTuple):
    """Something about a workflow that people should know."""

    name: str
    """`no approval`, `some approvals`, `unhandled`; `loop`, `undoing`, `unbounded`, `shared key`."""
    is_problem: bool
    """False: a warning."""
    text: str
    remedy: str


@dataclass(frozen=True)
class Check:
    """What a check has found."""

    workflow: Workflow
    points: tuple[Point, ...]
    cases: tuple[Case, ...]
    findings: tuple[Finding, ...]
    left_out: int = 0
    """Inputs from outside that were not looked at: see `CASES_MAX`."""

    @property
    def problems(self) -> list[Finding]:
        """Return what should not be."""
        return [each for each in self.findings if each.is_problem]

    @property
    def warnings(self) -> list[Finding]:
        """Return what may be meant so."""
        return [each for each in self.findings if not each.is_problem]

    def told(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "name": self.workflow.name,
            "is_ok": not self.problems,
            "points": [
                point._asdict()
                | {"binds": [*map(str, point.binds)], "rule": None if point.rule is None else point.rule._asdict()}
                for point in self.points
            ],
            "cases": [
                case._asdict() | {"source": str(case.source), "marked": [each._asdict() for each in case.marked]}
                for case in self.cases
            ],
            "left_out": self.left_out,
            "findings": [each._asdict() for each in self.findings],
            "notes": list(self.workflow.notes),
        }


def check(workflow: Workflow, markings_max: int = MARKINGS_MAX) -> Check:
    """Look for points of no return, and for what lets rollbacks reach further than it seems, or go on for ever.

    Args:
        workflow: which.
        markings_max: how many markings are looked at for each input from outside.

    Raises: CallerError, for a bound below 1.
    """
    if markings_max < 1:
        raise CallerError(f"markings_max={markings_max}: at least 1. Nothing was checked.")
    graph = Graph(workflow)
    points = tuple(_point(graph, letting) for letting in lettings(workflow))
    begins = sources(workflow)
    nets = [(source, net_of(workflow, {str(source): 1}, whole=False)) for source in begins[:CASES_MAX]]
    cases = tuple(_case(source, net, markings_max) for source, net in nets)
    findings = (
        *_unapproved(points), *_unhandled(workflow), *_loops(graph), *_undoing(workflow),
        *_unbounded(nets, markings_max), *_drags(graph),
    )  # fmt: skip
    return Check(workflow, points, cases, findings, len(begins) - len(cases))


def is_compensable(net: Net, marking: tuple[int, ...]) -> bool:
    """Tell whether all that has led to a marking can still be undone."""
    return not any(tokens and is_gone(place) for place, tokens in zip(net.places, marking, strict=True))


def _point(graph: Graph, letting: Letting) -> Point:
    binds = tuple(sorted({each for by in letting.asked_by for each in graph.upstream(by)}))
    agents = sorted({each.agent for each in binds})
    question = (
        f"May {letting.agent} call {letting.tool}? Nobody can undo it, and from then on steps of {_listed(agents)}"
        " that led to it can't be undone either."
    )
    rule = graph.workflow.rule_for(letting.agent, letting.tool)
    remedy = ""
    if rule is None or not rule.always:
        asks = f"May {letting.agent} call {letting.tool}? Nobody can undo it."
        remedy = f'approvals = (Approval(to="...", tool={letting.tool}, question="{asks}"),)'
    return Point(letting.name, letting.agent, letting.tool, binds, rule, question, remedy)


def _case(source: Activity, net: Net, markings_max: int) -> Case:
    found = reached(net, markings_max)
    firsts: dict[str, tuple[str, ...]] = {}
    compensable = 0
    for marking, way in found.ways.items():
        if is_compensable(net, marking):
            compensable += 1
        elif way is not None and is_compensable(net, way.before):
            firsts.setdefault(way.by.name, tuple(found.path(marking)))
    nearest = tuple(Marked(net.shown(each), is_compensable(net, each)) for each in [*found.ways][:MARKED_MAX])
    return Case(source, len(found.ways), compensable, tuple(firsts.values()), found.is_whole, nearest)


# -- what people should know -------------------------------------------------------------------------------------------


def _unapproved(points: tuple[Point, ...]) -> Iterator[Finding]:
    for point in points:
        if point.rule is None:
            text = f"{point.agent} calls {point.tool}, which nobody can undo, and nobody is asked before"
            yield Finding("no approval", True, text, f"in the class of {point.agent}: {point.remedy}")
        elif not point.rule.always:
            text = f"{point.agent} calls {point.tool}, which nobody can undo, and people are asked in some cases only"
            yield Finding("some approvals", False, text, f"if each is to be asked, without `when`: {point.remedy}")


def _unhandled(workflow: Workflow) -> Iterator[Finding]:
    for by, to in workflow.unhandled:
        # A log may end before a message was handled or a timer was due, or keep it as a dead letter.
        is_declared = not any(each.count for each in workflow.handlings)
        if not is_declared and by.agent == to.agent:
            continue
        text = f"{by} sends {to.kind} to {to.agent}, and nobody handles it there"
        yield Finding("unhandled", is_declared, text, f"give {to.agent} a handler of {to.kind}, or do not send it")


def _loops(graph: Graph) -> Iterator[Finding]:
    workflow = graph.workflow
    for loop in graph.loops:
        agents = sorted({each.agent for each in loop.members})
        if len(agents) == 1 or any(agent in workflow.attempts for agent in agents):
            continue
        is_logged = any(each.count for each in workflow.handlings)
        says = "no log tells whether any" if is_logged else "none"
        text = f"{loop} goes round, and {says} of {_listed(agents)} says how often one input is run again"
        yield Finding(
            "loop", False, text,
            f"attempts = N in the class of {agents[0]}; without it an input may be run as often as Limits.attempts_max",
        )  # fmt: skip


def _undoing(workflow: Workflow) -> Iterator[Finding]:
    for by, of in sorted(workflow.undoes):
        if (of, by) in workflow.undoes and by <= of and not {by, of} <= workflow.overseen:
            text = f"{by} and {of} undo each other's steps: attempts bound that for each input, and not over new inputs"
            remedy = f'overseers = (Overseer(to="...", when=Repeated(4)),) in the classes of {by} and {of}'
            yield Finding("undoing", False, text, remedy)


def _unbounded(nets: list[tuple[Activity, Net]], nodes_max: int) -> Iterator[Finding]:
    seen: set[str] = set()
    for source, net in nets:
        found = covered(net, nodes_max)
        grows = [place for place in found.unbounded if not is_gone(place) and place not in seen]
        if grows:
            seen.update(grows)
            text = f"one {source} may leave ever more waiting: {_listed(grows)}"
            yield Finding("unbounded", False, text, "see that what is sent round comes to an end, or is slower than it")


def _drags(graph: Graph) -> Iterator[Finding]:
    for drag in graph.drags:
        text = f"a wrong step of {drag.wrong} undoes {drag.dragged}, which is upstream of it: it has read {drag.key}"
        remedy = f"read {drag.key} with observe() or value_within(), or split the key"
        yield Finding("shared key", False, text, remedy)


def _listed(names: list[str]) -> str:
    more = len(names) - LISTED_MAX
    return ", ".join(names[:LISTED_MAX]) + (f" and {more} more" if more > 0 else "")
