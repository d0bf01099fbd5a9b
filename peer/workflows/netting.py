"""A workflow as a Petri net: kinds of messages at their receivers are places, an agent's handling of one a transition.

A tool that was requested goes its own way: it is asked for, a person may have to agree, and then it is called. What
nobody can undo leaves a token on a place of its own (`GONE`), which nothing takes away: a marking can be compensated
as long as there is none. Source of the form: van der Aalst 1998, The application of Petri nets to workflow management,
Journal of Circuits, Systems and Computers 8(1).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from peer.agents.tool import IRREVERSIBLE
from peer.errors import CallerError
from peer.workflows.net import Net, Transition
from peer.workflows.workflow import Activity, Handling, Workflow, heaviest, is_tick, result_of

HELD = "held"
"""Begins places of tools that wait for a person."""
ASKED = "asked"
"""Begins places of tools that wait to be called."""
PERSON = "person"
"""What logs call a question to a person."""
GONE = "gone"
"""Begins places of what can't be undone any more."""


class Letting(NamedTuple):
    """The transition by which a requested tool is called."""

    name: str
    agent: str
    tool: str
    asked_by: tuple[Activity, ...]
    """The activities that request it."""


def letting_name(agent: str, tool: str) -> str:
    """Return the name of the transition by which a requested tool is called, or a question to a person answered."""
    return f"a person answers {agent}" if tool == PERSON else f"call {tool} for {agent}"


def place_of(what: str, agent: str, tool: str) -> str:
    """Return the place where a requested tool stands: `what` is HELD, ASKED or GONE."""
    return f"{what} {tool} of {agent}"


def is_gone(place: str) -> bool:
    """Tell whether a token on a place is an effect that nobody can undo."""
    return place.startswith(f"{GONE} ")


def lettings(workflow: Workflow, kinds: Iterable[str] = (IRREVERSIBLE,)) -> list[Letting]:
    """Return the transitions by which requested tools of some kinds are called, in the order of their names."""
    wanted, found = {*kinds}, dict[tuple[str, str], set[Activity]]()
    for each in workflow.handlings:
        for tool in each.requests:
            if workflow.tools[tool] in wanted:
                found.setdefault((each.agent, tool), set()).add(each.activity)
    return [Letting(letting_name(*pair), *pair, tuple(sorted(by))) for pair, by in sorted(found.items())]


def net_of(workflow: Workflow, inputs: Mapping[str, int] | None = None, *, whole: bool = True) -> Net:
    """Return a workflow as a net.

    Args:
        workflow: which.
        inputs: what has come from outside, as counts by `agent.kind`; left out: one of each that comes from there.
        whole: False: without places to which no token can come, and transitions that can't happen.

    Raises: CallerError, for an input that is none of its activities.
    """
    transitions: list[Transition] = []
    for activity in workflow.activities:
        ways = workflow.ways(activity)
        for number, way in enumerate(ways, 1):
            name = str(activity) if len(ways) == 1 else f"{activity} ({number})"
            transitions.append(_handled(workflow, way, name))
    for letting in lettings(workflow, set(workflow.tools.values())):
        transitions += _let(workflow, letting)
    marking = _marking(workflow, inputs)
    if not whole:
        return Net(_reachable(transitions, marking), marking)
    places = dict.fromkeys(str(activity) for activity in workflow.activities)
    places |= dict.fromkeys(place for each in transitions for place in (*each.takes, *each.puts))
    return Net(transitions, marking, places)


def _reachable(transitions: list[Transition], marking: Mapping[str, int]) -> list[Transition]:
    """Return the transitions that can happen: each takes one token, so all from whose place a token can come."""
    by_place: dict[str, list[Transition]] = {}
    for each in transitions:
        for place in each.takes:
            by_place.setdefault(place, []).append(each)
    todo, seen, found = [*marking], {*marking}, set[str]()
    while todo:
        for each in by_place.get(todo.pop(), ()):
            found.add(each.name)
            todo += [place for place in each.puts if place not in seen]
            seen.update(each.puts)
    return [each for each in transitions if each.name in found]


def _handled(workflow: Workflow, way: Handling, name: str) -> Transition:
    # A tick sets the next one: that is as if it came from outside, and one of them is looked at.
    sends = [to for to in way.sends if not (is_tick(way.activity) and Activity(*to) == way.activity)]
    puts = Counter(str(Activity(*to)) for to in sends)
    for tool in way.requests:
        puts[place_of(HELD if _is_held(workflow, way.agent, tool) else ASKED, way.agent, tool)] += 1
    effect = heaviest(workflow.tools[tool] for tool in way.uses)
    return Transition(name, {str(way.activity): 1}, dict(puts), effect)


def _is_held(workflow: Workflow, agent: str, tool: str) -> bool:
    rule = workflow.rule_for(agent, tool)
    return rule is not None and rule.always


def _let(workflow: Workflow, letting: Letting) -> list[Transition]:
    agent, tool, kind = letting.agent, letting.tool, workflow.tools[letting.tool]
    held, asked = place_of(HELD, agent, tool), place_of(ASKED, agent, tool)
    answer = Activity(agent, result_of(tool))
    answered = {str(answer): 1} if answer in workflow.activities else {}
    gone = {place_of(GONE, agent, tool): 1} if kind == IRREVERSIBLE else {}
    found = [Transition(letting.name, {asked: 1}, {**gone, **answered}, kind)]
    if _is_held(workflow, agent, tool):
        found.append(Transition(f"approve {tool} for {agent}", {held: 1}, {asked: 1}))
        found.append(Transition(f"reject {tool} for {agent}", {held: 1}, answered))
    return found


def _marking(workflow: Workflow, inputs: Mapping[str, int] | None) -> dict[str, int]:
    outside = {str(each.activity): 1 for each in workflow.handlings if each.outside}
    known = {*map(str, workflow.activities)}
    for name in inputs or {}:
        if name not in known:
            raise CallerError(f"{name!r} is no input of {workflow.name}: {', '.join(sorted(known))}. No net was made.")
    return dict(outside if inputs is None else inputs)


def sources(workflow: Workflow) -> list[Activity]:
    """Return the activities whose messages come from outside; where none is said to, those that nobody writes to."""
    told = sorted({each.activity for each in workflow.handlings if each.outside})
    sent = {Activity(*to) for each in workflow.handlings for to in each.sends}
    sent |= {Activity(each.agent, result_of(tool)) for each in workflow.handlings for tool in each.requests}
    return told or [each for each in workflow.activities if each not in sent]
