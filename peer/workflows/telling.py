"""What a check has found, and which agents undo each other, as people read it on a terminal."""

from collections.abc import Iterator

from peer.workflows.checking import Case, Check, Point
from peer.workflows.drawing import listed
from peer.workflows.livelock import LiveLoop

ENDED = {
    "attempts": "the bound on attempts has ended it: what was run too often is a dead letter",
    "refused": "it has come to refusals",
    "nothing": "nothing in the log has ended it: each input was below the bound on attempts",
}


def check_lines(check: Check, each_marking: bool = False) -> Iterator[str]:
    """Yield what a check has found, a line each; with every marking that it tells of, if that is wanted."""
    for case in check.cases:
        yield from _case(case)
        for marked in case.marked if each_marking else ():
            tokens = ", ".join(place if n == 1 else f"{n:g} {place}" for place, n in marked.tokens.items())
            yield f"  {'can be compensated' if marked.is_compensable else 'too late':<18}  {tokens or 'all is handled'}"
    if check.left_out:
        yield f"{check.left_out} more inputs from outside were not looked at: --fold takes numbered agents for one"
    for point in check.points:
        yield from _point(point)
    if not check.points:
        yield "no point of no return: nothing that it does can't be undone"
    for finding in check.findings:
        yield f"{'problem' if finding.is_problem else 'warning'}: {finding.text}"
        yield f"  remedy: {finding.remedy}"
    for note in check.workflow.notes:
        yield f"note: {note}"


def _case(case: Case) -> Iterator[str]:
    more = "" if case.is_whole else " looked at, and there are more"
    yield f"{case.source} from outside: {case.markings} markings{more}, {case.compensable} can be compensated"
    for way in case.firsts:
        yield f"  ends with: {' -> '.join(way)}"


def _point(point: Point) -> Iterator[str]:
    yield f"point of no return: {point.transition}"
    yield f"  from then on can't be undone: {listed([*map(str, point.binds)])}"
    if point.rule is not None:
        who = ", ".join(point.rule.to) or "anybody"
        yield f"  asked before: {who}{'' if point.rule.always else ', in some cases'}"
    yield f"  to be asked: {point.question}"


def loop_lines(loops: list[LiveLoop]) -> Iterator[str]:
    """Yield which agents undo each other, how often, and what has ended it."""
    for loop in loops:
        round_ = " -> ".join((*loop.agents, loop.agents[0]))
        yield f"{round_} undo each other: {loop.times} rollbacks, {loop.refused} refused, of {loop.lineages} inputs"
        for each in loop.undone:
            end = ", now a dead letter" if each.is_dead else ""
            yield f"  {each.agent}: {each.kind} {each.lineage} undone {each.times} times by {listed([*each.by])}{end}"
        if loop.lineages > len(loop.undone):
            yield f"  and {loop.lineages - len(loop.undone)} inputs more"
        yield f"  {ENDED[loop.ended]}"
        if loop.ended == "nothing":
            yield '  remedy: overseers = (Overseer(to="...", when=Repeated(4)),) in the class of each of them'
    if not loops:
        yield "no agents undo each other again and again"
