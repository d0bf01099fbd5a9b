"""A workflow derived from classes of agents, as far as their source tells: before anything has run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from peer.agents.agent import Agent
from peer.agents.approval import Approval, names
from peer.agents.keys import outside_space
from peer.agents.spec import AgentSpec
from peer.agents.suspecting import watchers_of
from peer.agents.tool import IRREVERSIBLE, PURE
from peer.errors import CallerError
from peer.workflows.graph import Graph
from peer.workflows.method import seen_in
from peer.workflows.seen import ANSWER, ROLLED_BACK, SAGA_FAILED, SAGAS, SENDER, WATCHED, Seen
from peer.workflows.workflow import ANYWHERE, TICK, Activity, Handling, Rule, Workflow, is_tick, result_of

OPEN = "!ask"
"""Where the runtime keeps an agent's open questions: who asks writes there, and each answer reads it."""
UNRUN = "derived from source: what is computed there is taken for as much as it may be, and what is noted is missing"

Kind = type[Agent] | tuple[type[Agent], Mapping[str, Any]] | AgentSpec


def workflow_of_classes(agents: "Mapping[str, Kind] | Sequence[AgentSpec]", name: str = "workflow") -> Workflow:
    """Return what the source of agents' classes tells of them.

    Args:
        agents: classes by the agents' names, or with options, as `ebbtide up` takes them; or specifications.
        name: what people call it.

    Raises: CallerError, naming what is no class of agents.
    """
    specs = [_spec(name, kind) for name, kind in agents.items()] if isinstance(agents, Mapping) else [*agents]
    for spec in specs:
        if not isinstance(spec, AgentSpec) or not (isinstance(spec.kind, type) and issubclass(spec.kind, Agent)):
            raise CallerError(f"{spec!r} is no agent. Name classes, as in {{'buyer': Buyer}}.")
    if not specs:
        raise CallerError("no agents: name at least one class, as in {'buyer': Buyer}.")
    return _Joined(specs, name).workflow()


def _spec(name: str, given: Kind) -> AgentSpec:
    match given:
        case AgentSpec():
            return given
        case (kind, options):
            return AgentSpec(name, kind, dict(options))
        case kind:
            return AgentSpec(name, kind)


class _Joined:
    """Brings what is seen of each agent's methods together: who sends to whom."""

    def __init__(self, specs: list[AgentSpec], name: str) -> None:
        self._name = name
        self._specs = {spec.name: spec for spec in specs}
        self._seen: dict[Activity, Seen] = {}
        self._tools: dict[str, str] = {}
        self._notes: list[str] = [UNRUN]
        self._sends: dict[Activity, set[Activity]] = {}
        self._outside: set[Activity] = set()
        for spec in specs:
            self._look(spec)

    def _look(self, spec: AgentSpec) -> None:
        kind = spec.kind
        for handled, method in kind.handlers.items():
            self._see(spec, handled.__name__, method)
        for method in kind.everies:
            self._see(spec, f"{TICK}{method}", method)
        todo = [activity for activity in self._seen if activity.agent == spec.name]
        done: set[tuple[str, str]] = set()
        for activity in todo:
            seen = self._seen[activity]
            later = [*((result_of(tool), then) for tool, then in seen.requests), *((ANSWER, t) for *_, t in seen.asks)]
            later += [(SAGA_FAILED, failed) for failed in seen.sagas] + [(ROLLED_BACK, then) for then in seen.ended]
            for answer, then in later:
                if then and (answer, then) not in done:
                    # Several methods may handle answers: what any of them does is done there.
                    done.add((answer, then))
                    self._see(spec, answer, then)
                    todo.append(Activity(spec.name, answer))

    def _see(self, spec: AgentSpec, kind: str, method: str) -> None:
        seen = seen_in(spec.kind, method, {"name": spec.name, **spec.options})
        if seen.asks:
            seen.writes.add(OPEN)
        for own in [OPEN] if kind == ANSWER else [SAGAS] if kind == SAGA_FAILED else []:
            seen.reads.add(own)
            seen.writes.add(own)
        for tool, found in seen.tools.items():
            self._tools[tool] = found.kind
            # SH-5: what a tool touches outside is read and written by whoever calls it.
            seen.reads.update(f"space:{outside_space(scope)}/{ANYWHERE}" for scope in found.reads)
            seen.writes.update(f"space:{outside_space(scope)}/{ANYWHERE}" for scope in found.writes)
        if any(tool == "person" for tool, _ in seen.requests):
            self._tools["person"] = PURE
        self._notes += [note for note in seen.unknown if note not in self._notes]
        activity = Activity(spec.name, kind)
        known = self._seen.get(activity)
        self._seen[activity] = seen if known is None else known.joined(seen)

    def workflow(self) -> Workflow:
        for activity in self._seen:
            self._sends[activity] = set()
        for activity, seen in self._seen.items():
            self._sent(activity, seen)
        for activity, seen in self._seen.items():
            if seen.replies or any(to == SENDER for to, _ in seen.sends):
                self._replied(activity, seen)
        sent = {to for receivers in self._sends.values() for to in receivers}
        handlings = [self._handling(activity, seen, sent) for activity, seen in sorted(self._seen.items())]
        agents = self._specs.items()
        found = Workflow(
            tuple(handlings), dict(sorted(self._tools.items())), tuple(self._rules()),
            {name: spec.kind.attempts for name, spec in agents if spec.kind.attempts is not None},
            frozenset(name for name, spec in agents if spec.kind.overseers), notes=tuple(self._notes), name=self._name,
        )  # fmt: skip
        return replace(found, undoes=self._undoes(Graph(found)))

    def _sent(self, activity: Activity, seen: Seen) -> None:
        for receiver, kind in [*seen.sends, *((to, kind) for to, kind, _ in seen.asks)]:
            if receiver == SENDER or (receiver, kind) == (None, None):
                continue
            found = self._meant(receiver, kind)
            if not found:
                shown = "somebody" if receiver is None else receiver.replace("\\", "")
                self._notes.append(f"{activity} sends {kind or 'something'} to {shown}, and none of these handles that")
            if receiver is None or kind is None:
                self._notes.append(
                    f"{activity} sends {kind or 'what'} to {receiver or 'whom'}: taken for all that fits"
                )
            self._sends[activity].update(found)
        for kind in seen.to_self:
            later = {Activity(activity.agent, ANSWER)} if kind == ANSWER else set[Activity]()
            self._sends[activity].update(later or self._meant(re.escape(activity.agent), kind))
        for watcher in watchers_of(self._specs[activity.agent].kind):
            self._sends[activity].update(self._meant(re.escape(watcher), WATCHED))
        if is_tick(activity):
            self._sends[activity].add(activity)

    def _meant(self, receiver: str | None, kind: str | None) -> set[Activity]:
        """Return who may be meant by a pattern of names and a kind of message; None fits all."""
        agents = [name for name in self._specs if receiver is None or re.fullmatch(receiver, name)]
        return {found for agent in agents for found in self._handled(agent, kind)}

    def _handled(self, agent: str, kind: str | None) -> list[Activity]:
        of = self._specs[agent].kind
        if kind is None:
            return [Activity(agent, each.__name__) for each in of.handlers]
        if kind in of.message_types:
            return [Activity(agent, kind)]
        # A handler of a base takes its subclasses, too.
        return [
            Activity(agent, each.__name__)
            for each in of.handlers
            if kind in {sub.__name__ for sub in _subclasses(each)}
        ]

    def _replied(self, activity: Activity, seen: Seen) -> None:
        """What goes to whoever has sent the message at hand: an answer to who has asked, or any kind to who sends."""
        for other, sees in self._seen.items():
            asked = {found for to, kind, _ in sees.asks for found in self._meant(to, kind)}
            if seen.replies and activity in asked:
                self._sends[activity].add(Activity(other.agent, ANSWER))
            for to, kind in seen.sends:
                if to == SENDER and activity in self._sends[other]:
                    self._sends[activity].update(self._handled(other.agent, kind))

    def _handling(self, activity: Activity, seen: Seen, sent: set[Activity]) -> Handling:
        is_later = activity.kind in (ANSWER, SAGA_FAILED) or activity.kind.startswith(result_of(""))
        sends = sorted(to for to in self._sends[activity] if to in self._seen)
        return Handling(
            *activity, tuple((to.agent, to.kind) for to in sends), tuple(sorted(seen.uses)),
            tuple(sorted({tool for tool, _ in seen.requests})), tuple(sorted(seen.reads)), tuple(sorted(seen.writes)),
            outside=is_tick(activity) or (activity not in sent and not is_later),
        )  # fmt: skip

    def _rules(self) -> list[Rule]:
        found: list[Rule] = []
        for name, spec in self._specs.items():
            wanted = {
                tool for activity, seen in self._seen.items() if activity.agent == name for tool, _ in seen.requests
            }
            given = {tool for activity, seen in self._seen.items() if activity.agent == name for tool in seen.approved}
            for tool in sorted(wanted - {"person"}):
                found += self._rule(spec, tool)
                if tool in given:
                    found.append(Rule(name, tool, (), True))
        return found

    def _rule(self, spec: AgentSpec, tool: str) -> list[Rule]:
        """Return by which rule of a class people are asked before a tool; in all cases, if there is one for all."""
        rules = [rule for rule in spec.kind.approvals if self._concerns(rule, tool)]
        tiers = [*spec.kind.tiers.values()]
        asks = [[rule for rule in tier.asks if self._concerns(rule, tool)] for tier in tiers]
        refused = [any(each.name.rpartition(":")[2] == tool for each in tier.refuses) for tier in tiers]
        always = next((rule for rule in rules if rule.when is None), None)
        if always is not None:
            return [Rule(spec.name, tool, names(always.to), True)]
        # ST-15: people may set any tier, so each has to ask, or not to let it use the tool at all.
        in_each = bool(tiers) and all(
            refuses or any(rule.when is None for rule in asked) for asked, refuses in zip(asks, refused, strict=True)
        )
        some = [*rules, *(rule for asked in asks for rule in asked)]
        return [Rule(spec.name, tool, names(rule.to), in_each) for rule in some[:1]]

    def _concerns(self, rule: Approval, tool: str) -> bool:
        if rule.tool is None:
            return self._tools[tool] == IRREVERSIBLE
        return rule.tool.name.rpartition(":")[2] == tool

    def _undoes(self, graph: Graph) -> frozenset[tuple[str, str]]:
        """Whose steps it names can't be told: it has heard of those that it hangs on, or shares a space with them."""
        proposing = [activity for activity, seen in self._seen.items() if seen.proposes]
        heard = {(of.agent, by.agent) for by in proposing for of in graph.upstream(by)}
        shared = {(of, by) for of, by in self._sharing() if by in {activity.agent for activity in proposing}}
        return frozenset((by, of) for of, by in heard | shared if by != of)

    def _sharing(self) -> set[tuple[str, str]]:
        """Return whose writes who may have seen, by a space that both take part in."""
        return {
            (of, by)
            for of, one in self._specs.items()
            for by, other in self._specs.items()
            if {*one.kind.spaces} & {*other.kind.spaces}
        }


def _subclasses(kind: type) -> set[type]:
    if kind is object:
        return set()
    return {kind}.union(*map(_subclasses, type.__subclasses__(kind)))
