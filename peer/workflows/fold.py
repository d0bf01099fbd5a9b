"""Agents that differ only by a number, taken for one: `ledger-1` to `ledger-8` become `ledger-*`."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from peer.workflows.workflow import Activity, Handling, Link, Rule, Workflow

_NUMBER = re.compile(r"\d+$")


def folded(workflow: Workflow) -> Workflow:
    """Return a workflow in which agents are one whose names differ only by the number at the end.

    What can reach one of them can reach them all then: a rollback may reach less than it says, and never more.
    """
    names = {agent: _NUMBER.sub("*", agent) for agent in _agents(workflow)}
    counts = Counter(names.values())

    def name(agent: str) -> str:
        # One alone keeps its name.
        found = names.get(agent, agent)
        return found if counts[found] > 1 else agent

    def activity(of: Activity) -> Activity:
        return Activity(name(of.agent), of.kind)

    handlings: Counter[Handling] = Counter()
    for each in workflow.handlings:
        sends = tuple(sorted((name(agent), kind) for agent, kind in each.sends))
        handlings[replace(each, agent=name(each.agent), sends=sends, count=0)] += each.count
    return replace(
        workflow,
        handlings=tuple(replace(each, count=count) for each, count in handlings.items()),
        rules=_rules(rule._replace(agent=name(rule.agent)) for rule in workflow.rules),
        attempts={name(agent): most for agent, most in workflow.attempts.items()},
        overseen=frozenset(map(name, workflow.overseen)),
        undoes=frozenset((name(by), name(of)) for by, of in workflow.undoes),
        links=frozenset(Link(activity(link.before), activity(link.after), *link[2:]) for link in workflow.links),
    )


def _rules(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Of rules for one tool of agents that are one, that counts which holds less often."""
    found: dict[tuple[str, str], Rule] = {}
    for rule in rules:
        known = found.get((rule.agent, rule.tool))
        found[rule.agent, rule.tool] = rule if known is None or not rule.always else known
    return tuple(found.values())


def _agents(workflow: Workflow) -> list[str]:
    sent = {agent for each in workflow.handlings for agent, _ in each.sends}
    return sorted({*workflow.agents, *sent})
