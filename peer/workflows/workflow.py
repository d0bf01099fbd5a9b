"""Workflows: which agents there are, what they handle, whom they write to, what they do to the world and share.

A workflow is declared, derived from classes of agents, or told by a log. It is a plain value; nothing runs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NamedTuple

from peer.agents.tool import COMPENSABLE, IDEMPOTENT, IRREVERSIBLE, PURE
from peer.errors import CallerError

KINDS = (PURE, IDEMPOTENT, COMPENSABLE, IRREVERSIBLE)
"""What undoing a tool's call means, from the least to the most."""
ANYWHERE = "*"
"""Stands for a key that is not known: it may be any of an agent's own, or any of a space."""

TICK = "every "
"""Begins the kinds of ticks: what the runtime has an agent do again and again, by the method's name."""


class Activity(NamedTuple):
    """One agent's handling of one kind of message: `cashier.Pay` in text."""

    agent: str
    kind: str

    def __str__(self) -> str:
        return f"{self.agent}.{self.kind}"


def result_of(tool: str) -> str:
    """Return the kind of message as which an agent gets what has come of a request."""
    return f"result of {tool}"


def is_tick(activity: Activity) -> bool:
    """Tell whether something comes by itself, again and again."""
    return activity.kind.startswith(TICK)


@dataclass(frozen=True)
class Handling:
    """One way in which an activity goes: what it sends, uses, reads and writes. One activity may go several ways.

    Args:
        agent: who handles it.
        kind: the class of the message, or what the runtime calls it.
        sends: to whom and which kind; what is sent twice stands twice.
        uses: tools that it calls inside the step, by name.
        requests: tools that are called when the step is over, by name: the only way to one that nobody can undo.
        reads: keys: an agent's own by name, shared ones as `space:NAME/KEY`, tools' as `space:!outside:SCOPE/*`.
        writes: the same.
        outside: it comes from outside: somebody hands it in, or it is a tick.
        count: how often a log has it; 0: it is declared.
    """

    agent: str
    kind: str
    sends: tuple[tuple[str, str], ...] = ()
    uses: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    outside: bool = False
    count: int = 0

    @property
    def activity(self) -> Activity:
        """Whose handling of what it is."""
        return Activity(self.agent, self.kind)


class Rule(NamedTuple):
    """Before a tool of an agent people are asked: an `Approval`."""

    agent: str
    tool: str
    to: tuple[str, ...] = ()
    """Who may say so; empty: anybody who may use the cluster."""
    always: bool = True
    """False: only in some cases, as its `when` says, or as a log has it."""


class Link(NamedTuple):
    """Why what one activity has done may drag another along."""

    before: Activity
    after: Activity
    how: str
    """`message`, `result` (of a request), `key`, or `sum` (of a tolerant read)."""
    via: str
    """The kind of message, or the key."""


@dataclass(frozen=True)
class Workflow:
    """Agents, and what passes between them.

    Args:
        handlings: ways in which activities go.
        tools: what undoing each means, by name: `pure`, `idempotent`, `compensable` or `irreversible`.
        rules: before which tools people are asked.
        attempts: by agent, how often it has one input run at most, where it says so.
        overseen: agents that ask people before they agree to a rollback.
        undoes: who proposes to undo whose steps: pairs of agents.
        links: dependencies that a log has, besides those that follow from the handlings.
        notes: what is not known of it.
        name: what people call it.

    Raises: CallerError, naming the handling and the value that can't be.
    """

    handlings: tuple[Handling, ...]
    tools: Mapping[str, str] = field(default_factory=dict[str, str])
    rules: tuple[Rule, ...] = ()
    attempts: Mapping[str, int] = field(default_factory=dict[str, int])
    overseen: frozenset[str] = frozenset()
    undoes: frozenset[tuple[str, str]] = frozenset()
    links: frozenset[Link] = frozenset()
    notes: tuple[str, ...] = ()
    name: str = "workflow"

    def __post_init__(self) -> None:
        """Check what was given."""
        object.__setattr__(self, "handlings", tuple(self.handlings))
        object.__setattr__(self, "rules", tuple(self.rules))
        if not self.handlings:
            raise CallerError("a workflow without handlings: nothing to look at. Name at least one Handling(...).")
        for tool, kind in self.tools.items():
            if kind not in KINDS:
                raise CallerError(f"tool {tool!r} is {kind!r}, which is none of {', '.join(KINDS)}.")
        for each in self.handlings:
            self._check(each)
        for rule in self.rules:
            if rule.agent not in self.agents:
                raise CallerError(f"a rule is of {rule.agent!r}, and no such agent handles anything.")
            if rule.tool not in self.tools:
                raise CallerError(f"a rule is about tool {rule.tool!r}, which is none of its tools. Add it to `tools`.")

    def _check(self, each: Handling) -> None:
        if not isinstance(each, Handling):
            raise CallerError(f"{each!r} is no Handling(agent, kind, ...).")
        for pair in each.sends:
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise CallerError(f"{each.activity} sends {pair!r}: whom and which kind, as in ('cashier', 'Pay').")
        for tool in (*each.uses, *each.requests):
            if tool not in self.tools:
                raise CallerError(f"{each.activity} uses {tool!r}, of which no kind is given. Add it to `tools`.")
        for tool in each.uses:
            if self.tools[tool] == IRREVERSIBLE:
                raise CallerError(
                    f"{each.activity} calls {tool!r} inside a step, and nobody can undo it. Move it to `requests`."
                )

    @cached_property
    def agents(self) -> list[str]:
        """The agents that handle anything, in the order of their names."""
        return sorted({each.agent for each in self.handlings})

    @cached_property
    def activities(self) -> list[Activity]:
        """The activities, in the order of their names."""
        return sorted(self._ways)

    @cached_property
    def _ways(self) -> dict[Activity, list[Handling]]:
        found: dict[Activity, list[Handling]] = {}
        for each in self.handlings:
            found.setdefault(each.activity, []).append(each)
        return found

    def ways(self, activity: Activity) -> list[Handling]:
        """Return the ways in which an activity goes."""
        return self._ways.get(activity, [])

    @property
    def unhandled(self) -> list[tuple[Activity, Activity]]:
        """Return what is sent and handled by nobody: who sends it, and to whom."""
        known = {*self.activities}
        sent = {(each.activity, Activity(*to)) for each in self.handlings for to in each.sends}
        return sorted(pair for pair in sent if pair[1] not in known)

    def named(self, text: str) -> list[Activity]:
        """Return the activities that a text means: those of an agent, one as `agent.kind`, or all of a kind.

        Raises: CallerError, naming what there is.
        """
        found = [each for each in self.activities if text in (each.agent, str(each), each.kind)]
        if found:
            return found
        names = [*self.agents, *map(str, self.activities)]
        near = get_close_matches(text, names, 1)
        said = f"Did you mean {near[0]!r}?" if near else f"Name one of {', '.join(names[:20])}."
        raise CallerError(f"{self.name} has no agent or kind {text!r}. {said}")

    def rule_for(self, agent: str, tool: str) -> Rule | None:
        """Return by which rule people are asked before an agent's tool is called; one that always holds first."""
        found = [rule for rule in self.rules if (rule.agent, rule.tool) == (agent, tool)]
        return min(found, key=lambda rule: not rule.always, default=None)

    def told(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "name": self.name,
            "tools": dict(self.tools),
            "handlings": [_told(each) for each in self.handlings],
            "rules": [rule._asdict() | {"to": list(rule.to)} for rule in self.rules],
            "attempts": dict(self.attempts),
            "overseen": sorted(self.overseen),
            "undoes": [list(pair) for pair in sorted(self.undoes)],
            "links": [[str(x) if isinstance(x, str) else list(x) for x in link] for link in sorted(self.links)],
            "notes": list(self.notes),
        }

    @classmethod
    def of_told(cls, given: Any) -> "Workflow":
        """Return a workflow from plain values, as `told` gives them.

        Raises: CallerError, naming what is missing or can't be.
        """
        if not isinstance(given, Mapping) or "handlings" not in given:
            raise CallerError(
                "no workflow: wanted an object with 'handlings' and 'tools', as 'graph --json' prints it."
            )
        try:
            return cls(
                tuple(_handling(each) for each in given["handlings"]),
                dict(given.get("tools", {})),
                tuple(Rule(**{**each, "to": tuple(each.get("to", ()))}) for each in given.get("rules", ())),
                dict(given.get("attempts", {})),
                frozenset(given.get("overseen", ())),
                frozenset((by, of) for by, of in given.get("undoes", ())),
                frozenset(Link(Activity(*a), Activity(*b), how, via) for a, b, how, via in given.get("links", ())),
                tuple(given.get("notes", ())),
                str(given.get("name", "workflow")),
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise CallerError(f"no workflow: {error}. See what 'ebbtide workflow graph --json' prints.") from error


def _told(each: Handling) -> dict[str, Any]:
    lists = {name: list(getattr(each, name)) for name in ("uses", "requests", "reads", "writes")}
    sends = [list(pair) for pair in each.sends]
    return {
        "agent": each.agent,
        "kind": each.kind,
        "sends": sends,
        **lists,
        "outside": each.outside,
        "count": each.count,
    }


def _handling(given: Mapping[str, Any]) -> Handling:
    named: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    named["sends"] = tuple(tuple(pair) for pair in given.get("sends", ()))
    return Handling(**named)


def heaviest(kinds: Iterable[str]) -> str:
    """Return which of some tools' kinds is hardest to undo; empty: there is none."""
    found = [*kinds]
    return max(found, key=KINDS.index) if found else ""
