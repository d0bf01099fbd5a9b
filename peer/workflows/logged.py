"""A workflow as the logs of a run tell it: what its agents have handled, sent, used, read and written, and how often.

The log names the producer of each message and the writer of each version that was read. So nothing is guessed, as
process mining has to from times alone (van der Aalst 2016). What no step has done is not here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from peer.agents import envelope
from peer.agents.oversight import OVERSEER
from peer.agents.tool import COMPENSABLE, IRREVERSIBLE, PURE
from peer.audit.trail import Step, Trail
from peer.errors import ConfigInvalid, EbbtideError
from peer.values.key_text import decode_key
from peer.workflows.graph import KEY, MESSAGE, RESULT, SPACE, SUM
from peer.workflows.workflow import KINDS, TICK, Activity, Handling, Link, Rule, Workflow, result_of
from protocol.ids import StepId
from protocol.step import EXTERNAL, StepRecord

WAYS_MAX = 32
"""Ways of one activity that are told apart; rarer ones are left out of the net, and their dependencies stay."""
UNSEEN = "what these logs have not seen is not here: paths that no step has gone, tools that no step has used"
UNREAD = "?"
"""The kind of a message that can't be read here: its key is erased, or it is damaged."""


def workflow_of(trail: Trail) -> Workflow:
    """Return the workflow that a trail tells of; undone steps count as well.

    Raises: ConfigInvalid, if no step is told.
    """
    if not trail.steps:
        raise ConfigInvalid(
            f"{trail.folder} tells of no step. Nothing was read. Name the folder of a run that has some."
        )
    return _Reader(trail).workflow()


def activity_of(record: StepRecord) -> Activity:
    """Return whose handling of what a step was."""
    return Activity(record.step.agent, kind_of(record.input.payload))


def kind_of(data: bytes) -> str:
    """Return the kind of a message: its class, or what it is for the runtime, as in `result of send_letter`."""
    try:
        tag, body = envelope.opened(data)
    except EbbtideError:
        return UNREAD
    if tag == envelope.REQUEST:
        return result_of(short(body[1]))
    if tag == envelope.EVERY:
        return f"{TICK}{body[0]}"
    name = envelope.handled_by_name(data)
    return name.lstrip(envelope.MARK) or UNREAD


def short(tool: str) -> str:
    """Return a tool's name without its module."""
    return tool.rpartition(":")[2]


def family(key: str) -> str:
    """Return what keys have in common that differ in a part: of a tuple its first element, of a map's its name."""
    if key.startswith(SPACE):
        space, _, inside = key.partition("/")
        if inside.startswith("{") and "}" in inside:
            size, _, rest = inside[1:].partition("}")
            inside = rest[: int(size)] if size.isdigit() else inside
        return f"{space}/{inside.split('/', 1)[0]}"
    try:
        found = decode_key(key)
    except EbbtideError:
        return key
    return str(found[0]) if isinstance(found, tuple) and found else str(found)


class _Reader:
    """Takes a trail's steps together."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._activities = {step.id: activity_of(step.record) for step in trail.steps.values()}
        self._tools: dict[str, str] = {}
        self._unkind: set[str] = set()
        self._lost = 0

    def workflow(self) -> Workflow:
        ways: Counter[Handling] = Counter()
        reads: dict[Activity, set[str]] = {}
        writes: dict[Activity, set[str]] = {}
        links: set[Link] = set()
        for step in self._trail.steps.values():
            activity = self._activities[step.id]
            ways[self._way(step)] += 1
            reads.setdefault(activity, set()).update(family(read.key) for read in step.record.reads)
            reads[activity].update(family(sums.key) for sums in step.record.tolerated)
            writes.setdefault(activity, set()).update(family(key) for key in _written(step.record))
            links.update(self._links(step))
        kept, left = _kept(ways)
        handlings = [
            replace(way, reads=tuple(sorted(reads[way.activity])), writes=tuple(sorted(writes[way.activity])), count=n)
            for way, n in kept
        ]
        rules = self._rules()
        return Workflow(
            tuple(handlings), dict(sorted(self._tools.items())), tuple(rules), {}, self._overseen(), self._undoes(),
            frozenset(links), tuple(self._notes(left)), str(self._trail.folder),
        )  # fmt: skip

    def _way(self, step: Step) -> Handling:
        record = step.record
        asked = dict(record.requests)
        sends = Counter(
            (output.receiver, kind_of(output.payload)) for at, output in enumerate(record.outputs) if at not in asked
        )
        for request in asked.values():
            self._know(short(request.tool), request.kind)
        uses = [effect.tool for intent in record.calls if (effect := self._trail.effects.get(intent)) is not None]
        kinds = {short(effect.tool): effect.kind for effect in map(self._trail.effects.get, record.calls) if effect}
        for tool, kind in kinds.items():
            self._know(tool, kind)
        called = sorted({short(tool) for tool in uses if self._tools[short(tool)] != IRREVERSIBLE})
        kind = self._activities[step.id].kind
        return Handling(
            record.step.agent, kind, tuple(sorted(sends.elements())),
            tuple(tool for tool in called if result_of(tool) != kind),
            tuple(sorted(short(request.tool) for request in asked.values())),
            outside=record.input.sender.startswith(EXTERNAL) or record.input.producer is None,
        )  # fmt: skip

    def _know(self, tool: str, kind: str) -> None:
        if kind not in KINDS:
            # A question to a person does nothing to the world; logs of the first release do not tell kinds.
            is_person = kind == "person"
            self._unkind.update(() if is_person else (tool,))
            kind = PURE if is_person else self._tools.get(tool, COMPENSABLE)
        self._tools[tool] = kind

    def _links(self, step: Step) -> Iterator[Link]:
        record, after = step.record, self._activities[step.id]
        producer = record.input.producer
        if producer is not None and (before := self._known(producer)) is not None:
            of = after.kind.removeprefix(result_of(""))
            yield Link(before, after, MESSAGE if of == after.kind else RESULT, of)
        for read in record.reads:
            if read.writer is not None and read.writer != step.id and (before := self._known(read.writer)) is not None:
                yield Link(before, after, KEY, family(read.key))
        for sums in record.tolerated:
            for writer, _ in sums.parts:
                if writer != step.id and (before := self._known(writer)) is not None:
                    yield Link(before, after, SUM, family(sums.key))

    def _known(self, step: StepId) -> Activity | None:
        found = self._activities.get(step)
        self._lost += found is None
        return found

    def _rules(self) -> list[Rule]:
        held: dict[tuple[str, str], list[tuple[str, ...] | None]] = {}
        for step in self._trail.steps.values():
            for _, request in step.record.requests:
                to = None if request.hold is None else tuple(name for name, _ in request.hold.stages)
                if request.kind in KINDS:
                    held.setdefault((step.id.agent, short(request.tool)), []).append(to)
        return [
            Rule(agent, tool, next(to for to in asked if to is not None), None not in asked)
            for (agent, tool), asked in sorted(held.items())
            if any(to is not None for to in asked)
        ]

    def _overseen(self) -> frozenset[str]:
        return frozenset(
            agent
            for rollback in self._trail.rollbacks.values()
            for agent, findings in rollback.findings.items()
            if any(each.name == OVERSEER for each in findings)
        )

    def _undoes(self) -> frozenset[tuple[str, str]]:
        # What a person proposes is proposed by the root's own agent.
        proposals = [rollback.proposal for rollback in self._trail.rollbacks.values()]
        pairs = {(each.proposer, root.agent) for each in proposals for root in each.roots}
        return frozenset(pair for pair in pairs if pair[0] != pair[1])

    def _notes(self, left: Mapping[Activity, int]) -> Iterator[str]:
        yield UNSEEN
        for activity, count in left.items():
            yield f"of {activity} the {count} rarest of its ways are left out of the net; what hangs on them is not"
        if self._unkind:
            yield f"the log does not tell the kind of {', '.join(sorted(self._unkind))}: taken for {COMPENSABLE}"
        if self._lost:
            yield f"{self._lost} dependencies are on steps that are compacted or not in these logs: they are not here"
        yield from map(str, self._trail.gaps)


def _written(record: StepRecord) -> list[str]:
    return [*(write.key for write in record.writes), *(entry.key for entry in record.entries)]


def _kept(ways: Counter[Handling]) -> tuple[list[tuple[Handling, int]], dict[Activity, int]]:
    """Return the commonest ways of each activity, in the order of their names, and how many are left out."""
    by_activity: dict[Activity, list[tuple[Handling, int]]] = {}
    for way, count in ways.most_common():
        by_activity.setdefault(way.activity, []).append((way, count))
    kept: list[tuple[Handling, int]] = []
    left: dict[Activity, int] = {}
    for activity in sorted(by_activity):
        found = by_activity[activity]
        kept += _with_outside(found[:WAYS_MAX], found)
        if len(found) > WAYS_MAX:
            left[activity] = len(found) - WAYS_MAX
    return kept, left


def _with_outside(
    kept: list[tuple[Handling, int]], all_of: Iterable[tuple[Handling, int]]
) -> list[tuple[Handling, int]]:
    """An activity comes from outside if any of its steps did: then all its ways may begin there."""
    is_outside = any(way.outside for way, _ in all_of)
    merged: Counter[Handling] = Counter()
    for way, count in kept:
        merged[replace(way, outside=is_outside)] += count
    return [*merged.items()]
