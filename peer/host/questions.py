"""What anybody in a cluster can ask of an agent's host: questions, answers, and how a host finds them.

Nothing here decides anything. A question is asked again until it is answered, so every handler may be asked twice.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from peer import errors
from peer.agents.past import check_past
from peer.values.key_text import decode_key
from protocol.event import ProposeWanted, Submitted
from protocol.ids import AgentId, MessageId, ProposalId, StepId
from protocol.proposal import Amendment, ConeStep, Proposal, Restore, Vote
from protocol.records import Cut, OutcomeRecord
from protocol.step import STEP_INDEX_ENTRIES, Entry, Input, StepRecord
from protocol.wire import Answer

if TYPE_CHECKING:
    from peer.host.driver import Driver
    from peer.host.host import Host

STEPS_A_PAGE = 500
"""Steps in one answer of an export: a page stays far below the largest frame."""


class Submit(Struct, frozen=True, array_like=True):
    """Inputs from outside, numbered by their source."""

    source: str
    first: int
    payloads: tuple[bytes, ...]


class Propose(Struct, frozen=True, array_like=True):
    """A rollback that somebody wants."""

    roots: tuple[StepId, ...]
    inputs: str
    reason: str
    evidence: bytes
    amendments: tuple[Amendment, ...]
    deadline_us: int


class Part(Struct, frozen=True, array_like=True):
    """Which of the agent's steps hang on these roots and messages?"""

    roots: tuple[StepId, ...]
    credits: tuple[MessageId, ...]


class PartAnswer(Struct, frozen=True, array_like=True):
    """The agent's part of a cone, with what it sent, and the effects that stand."""

    unknown: tuple[StepId, ...]
    cone: tuple[ConeStep, ...]
    effects: tuple[str, ...]
    retracted: tuple[StepId, ...]


class Status(Struct, frozen=True):
    """One agent at a glance; counts are since its first life, except messages (since this one)."""

    agent: AgentId
    host: str
    incarnation: int
    steps: int
    undone: int
    under_way: tuple[str, ...]
    dead_letters: int
    clock_entries: int
    """Entries of the last step's clock."""
    epoch: int
    """The colour: how many cuts it has made."""
    committed: int
    """The newest committed epoch that settles its steps; 0 before any."""
    era: int
    """How many restores it has carried out."""
    steps_kept: int
    """Steps in memory: those behind the horizon are compacted."""
    activity: int
    """Grows with everything that happens here."""
    serves: dict[str, tuple[int, int]]
    """By space: the life of this agent's document, and how many entries it has had."""
    has: dict[str, dict[AgentId, tuple[int, int]]]
    """By space and author: the same, as far as it has arrived here."""


class StepsAnswer(Struct, frozen=True, array_like=True):
    """A page of an agent's steps, who undid them, and the state of their effects."""

    records: tuple[StepRecord, ...]
    retracted_by: tuple[str, ...]
    effects: dict[str, tuple[str, str, str]]
    """By intent: tool, kind, state."""


class Ballots(Struct, frozen=True, array_like=True):
    """What an agent knows of rollbacks: as participant, and as proposer."""

    votes: tuple[tuple[Proposal, Vote], ...]
    decided: tuple[tuple[ProposalId, str, int, tuple[AgentId, ...], tuple[tuple[AgentId, str], ...]], ...]
    outcomes: tuple[OutcomeRecord, ...]


HOST: AgentId = "host:"
"""Stands for the host itself where an agent's name does: no agent can have it."""


class Notice(Struct, frozen=True, array_like=True):
    """A line of the audit log."""

    time_us: int
    agent: AgentId
    notice: str
    subject: str
    detail: str


class RestoreTo(Struct, frozen=True, array_like=True):
    """Everything shall go back to the cut of an epoch; asked again under the same id, it is done once."""

    id: str
    epoch: int
    inputs: str
    reason: str
    deadline_us: int


class EpochsAnswer(Struct, frozen=True, array_like=True):
    """What a host knows of checkpoints and restores."""

    epoch: int
    """The newest checkpoint that it has begun: the number of its last cut."""
    committed: int
    """The newest checkpoint that every host has made."""
    horizon: int
    """The oldest one that can still be restored; steps before it are compacted."""
    view: tuple[str, ...]
    """The hosts that took part in the committed one."""
    restores: tuple[Restore, ...]
    cost_us: int
    """How long the last cut of this host took to be durable."""
    under_way: tuple[str, ...]


class CutsAnswer(Struct, frozen=True, array_like=True):
    """An agent's cuts that the horizon has not passed, and the restores that it has carried out, each with its time."""

    last: tuple[int, int]
    """Incarnation and seq of its last step, now."""
    cuts: tuple[Cut, ...]
    committed: int
    """The newest committed epoch that settles its steps; 0 before any."""
    committed_us: dict[int, int]
    """By epoch, when its commit was heard of here; those of earlier lives are not remembered."""
    restores: tuple[tuple[Restore, int], ...]


class Costs(Struct, frozen=True, array_like=True):
    """What a host has sent for each rollback in this life, and in all."""

    rollbacks: dict[ProposalId, tuple[int, int]]
    messages: dict[str, int]
    frames: int
    frame_bytes: int
    refused: int


_encode = msgspec.msgpack.encode
_KINDS: dict[str, Any] = {
    "submit": Submit,
    "propose": Propose,
    "part": Part,
    "steps": int,
    "outcome": str,
    "restore": RestoreTo,
    "suffix": StepId,
}

Answered = Callable[[bytes, str], None]


def encode(value: Any) -> bytes:
    """Encode a question or an answer."""
    return _encode(value)


def decode(data: bytes, kind: Any) -> Any:
    """Decode a question or an answer.

    Raises: PayloadInvalid.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise errors.PayloadInvalid(f"not a {kind}: {error}") from error


def answer(host: "Host", agent: AgentId, what: str, body: bytes, answered: Answered) -> None:
    """Answer a question about an agent of this host; some answers come later.

    Raises: EbbtideError, which is told to whoever asked.
    """
    driver = host.drivers.get(agent)
    if agent in host.broken:
        raise errors.LogCorrupt(host.broken[agent])
    if driver is None:
        raise errors.AgentUnknown(f"no agent {agent!r} on this host. Nothing changed.")
    machine, core = driver.machine, driver.machine.core
    asked: Any = decode(body, _KINDS[what]) if what in _KINDS else None
    match what:
        case "submit":
            driver.feed(Submitted(host.asking.later(answered), asked.source, asked.first, asked.payloads))
        case "propose":
            event = ProposeWanted(
                host.asking.later(answered),
                asked.roots,
                asked.inputs,
                asked.reason,
                asked.evidence,
                asked.amendments,
                asked.deadline_us,
            )
            driver.feed(event)
        case "outcome":
            host.asking.when_finished(agent, asked, answered)
        case "part":
            answered(_encode(_part(host, agent, asked)), "")
        case "status":
            answered(_encode(_status(host, agent)), "")
        case "state":
            at = decode(body, StepId) if body else None
            if at is not None:
                check_past(core, at)
            answered(_encode(_state(driver, at)), "")
        case "entries":
            entries: list[Entry] = [e for key in core.versions.shared_keys() for e in core.versions.entries(key)]
            answered(_encode(entries), "")
        case "steps":
            answered(_encode(_steps(host, agent, asked)), "")
        case "ballots":
            decided = tuple(
                (pid, record.decision, record.decided_us, record.electors, record.rejects)
                for pid, record in machine.rollback.decided.items()
            )
            outcomes = tuple(machine.proposer.outcomes.values())
            answered(_encode(Ballots(tuple(machine.rollback.votes()), decided, outcomes)), "")
        case "dead":
            dead: list[tuple[Input, str]] = core.dead
            answered(_encode(dead), "")
        case "notices":
            told = [notice for notice in host.notices if notice.agent in (agent, HOST)]
            answered(_encode(told), "")
        case "costs":
            answered(_encode(host.costs()), "")
        case "checkpoint":
            host.checkpoints.begin(lambda value, error: answered((error or value).encode(), _kind(error)))
        case "restore":
            host.checkpoints.restore(
                asked,
                lambda value, error: answered((error or value).encode(), _kind(error)),
            )
        case "epochs":
            answered(_encode(_epochs(host)), "")
        case "cuts":
            restores = tuple(zip(core.restores, core.restored_us, strict=True))
            last, heard = (core.incarnation, core.seq), machine.cutting.committed_us
            answered(_encode(CutsAnswer(last, tuple(core.cuts), core.committed, heard, restores)), "")
        case "leave":
            host.checkpoints.hand_over(lambda: answered(b"", ""))
        case "suffix":
            answered(_encode(_suffix(host, agent, asked)), "")
        case _:
            raise errors.CallerError(f"nobody can answer {what!r}. Nothing changed.")


def _state(driver: "Driver", at: StepId | None) -> dict[str, bytes]:
    """Return what is told of an agent's state outside, at a step or now; derived keys are not stored."""
    values, found = driver.values, driver.machine.core.versions.read_all(at)
    keys = {text: (decode_key(text), data) for text, data, _ in found if data is not None}
    return {text: values.shown(key, data) for text, (key, data) in keys.items() if values.derived(key) is None}


def _part(host: "Host", agent: AgentId, asked: Part) -> PartAnswer:
    core = host.drivers[agent].machine.core
    roots = tuple(root for root in asked.roots if root.agent == agent)
    part = core.cone.part(roots, asked.credits, core.counts_as_gone)
    return PartAnswer(
        unknown=tuple(root for root in roots if root not in core.cone),
        cone=tuple(core.cone.sends(step, core.subscribers, STEP_INDEX_ENTRIES) for step in part),
        effects=tuple(call for step in part if step not in core.retraction for call in core.cone.record(step).calls),
        retracted=tuple(step for step in part if step in core.retraction),
    )


def _status(host: "Host", agent: AgentId) -> Status:
    driver = host.drivers[agent]
    machine, core = driver.machine, driver.machine.core
    return Status(
        agent=agent,
        host=host.host_id,
        incarnation=core.incarnation,
        steps=len(core.cone) + core.cone.forgotten,
        undone=core.undone,
        under_way=(*machine.under_way(), *host.checkpoints.machine.calls.open),
        dead_letters=len(core.dead),
        clock_entries=len(core.cone.last_clock()),
        epoch=core.epoch,
        committed=core.committed,
        era=core.era,
        steps_kept=len(core.cone),
        activity=driver.activity,
        serves={space: driver.replicas.serves(space) for space in driver.agent.spaces},
        has=driver.replicas.has(),
    )


def unwrap(answer: Answer) -> bytes:
    """Return an answer's body.

    Raises: the error that the host has told.
    """
    if not answer.error:
        return answer.body
    kind: Callable[[str], Exception] = getattr(errors, answer.error, errors.EbbtideError)
    raise kind(answer.body.decode())


def _kind(error: str) -> str:
    return "RestoreRefused" if error else ""


def _epochs(host: "Host") -> EpochsAnswer:
    machine = host.checkpoints.machine
    commit = machine.epochs.commit
    return EpochsAnswer(
        epoch=machine.epochs.colour,
        committed=machine.epochs.committed,
        horizon=machine.core.horizon,
        view=() if commit is None else commit.view,
        restores=tuple(machine.calls.restores),
        cost_us=machine.checkpointing.cost_us,
        under_way=tuple(machine.under_way()),
    )


def _suffix(host: "Host", agent: AgentId, after: StepId) -> tuple[StepId, ...]:
    """Return an agent's surviving steps after one that it has."""
    core = host.drivers[agent].machine.core
    if after not in core.cone:
        raise errors.StepUnknown(
            f"no step {after} in the log of {agent}, which begins with checkpoint {core.horizon}. Nothing changed."
        )
    steps = [record.step for record in core.cone.records() if record.step not in core.retraction]
    return tuple(step for step in steps if step[1:] > after[1:])


def _steps(host: "Host", agent: AgentId, offset: int) -> StepsAnswer:
    driver = host.drivers[agent]
    core = driver.machine.core
    page = core.cone.records()[offset : offset + STEPS_A_PAGE]
    effects: dict[str, tuple[str, str, str]] = {}
    for record in page:
        for intent in record.calls:
            effect = core.intents.get(intent)
            if effect is not None:
                effects[intent] = (effect.tool, driver.runner.kind_of(effect.tool), effect.state)
    return StepsAnswer(tuple(page), tuple(core.retracted_by.get(record.step, "") for record in page), effects)
