"""Answers what is asked of the agents here (`peer.host.questions`). Nothing here decides anything."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from peer import errors
from peer.agents.past import check_past
from peer.host.checkpoints import Checkpoints
from peer.host.driver import Driver
from peer.host.questions import (
    Ballots,
    Costs,
    CutsAnswer,
    EpochsAnswer,
    Notice,
    Part,
    PartAnswer,
    Propose,
    RestoreTo,
    Status,
    StepsAnswer,
    Submit,
    decode,
    encode,
)
from peer.host.residents import Residents
from peer.values.key_text import decode_key
from protocol.event import ProposeWanted, Submitted
from protocol.ids import HOST, AgentId, HostId, ProposalId, StepId
from protocol.step import STEP_INDEX_ENTRIES, Entry

STEPS_A_PAGE = 500
"""Steps in one answer of an export: a page stays far below the largest frame."""

Answered = Callable[[bytes, str], None]
"""Takes the body of an answer, and the name of the error that it is; empty for none."""


class Desk(Protocol):
    """Where answers come from that are not at hand."""

    def later(self, answered: Answered) -> int:
        """Return the number under which a machine will reply."""
        ...

    def when_finished(self, agent: AgentId, pid: ProposalId, answered: Answered) -> None:
        """Answer when a proposal of an agent here is over, or now if it is. Raises: CallerError."""
        ...


class Answers:
    """What one host answers.

    Args:
        host_id: the host.
        residents: its agents.
        checkpoints: its checkpoints.
        notices: its lines for whoever audits, as they stand.
        costs: returns what it has sent.
    """

    def __init__(
        self, host_id: HostId, residents: Residents, checkpoints: Checkpoints, notices: Iterable[Notice],
        costs: Callable[[], Costs],
    ) -> None:  # fmt: skip
        self._host_id = host_id
        self._residents = residents
        self._checkpoints = checkpoints
        self._notices = notices
        self._costs = costs
        self._now: dict[str, Callable[[Driver, bytes], Any]] = {
            "part": self._part,
            "status": self._status,
            "state": self._state,
            "entries": self._entries,
            "steps": self._steps,
            "ballots": self._ballots,
            "dead": self._dead,
            "notices": self._noticed,
            "costs": self._sent,
            "epochs": self._epochs,
            "cuts": self._cuts,
            "suffix": self._suffix,
        }
        """By question, what is answered at once."""
        self._later: dict[str, Callable[[Desk, Driver, bytes, Answered], None]] = {
            "submit": self._submit,
            "propose": self._propose,
            "outcome": self._outcome,
            "checkpoint": self._checkpoint,
            "restore": self._restore,
            "leave": self._leave,
        }
        """By question, what is answered when something has happened."""

    def answer(self, desk: Desk, agent: AgentId, what: str, body: bytes, answered: Answered) -> None:
        """Answer a question about an agent of this host, now or later.

        Raises: EbbtideError, which is told to whoever asked.
        """
        if agent in self._residents.broken:
            raise errors.LogCorrupt(self._residents.broken[agent])
        driver = self._residents.drivers.get(agent)
        if driver is None:
            raise errors.AgentUnknown(f"no agent {agent!r} on this host. Nothing changed.")
        if what in self._now:
            answered(encode(self._now[what](driver, body)), "")
        elif what in self._later:
            self._later[what](desk, driver, body, answered)
        else:
            raise errors.CallerError(f"nobody can answer {what!r}. Nothing changed.")

    # -- later -----------------------------------------------------------------------------------------------------

    def _submit(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        asked: Submit = decode(body, Submit)
        driver.feed(Submitted(desk.later(answered), asked.source, asked.first, asked.payloads))

    def _propose(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        asked: Propose = decode(body, Propose)
        request = desk.later(answered)
        driver.feed(
            ProposeWanted(
                request, asked.roots, asked.inputs, asked.reason, asked.evidence, asked.amendments, asked.deadline_us
            )
        )

    def _outcome(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        desk.when_finished(driver.agent.name, decode(body, str), answered)

    def _checkpoint(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        self._checkpoints.begin(_told(answered))

    def _restore(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        self._checkpoints.restore(decode(body, RestoreTo), _told(answered))

    def _leave(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        self._checkpoints.hand_over(lambda: answered(b"", ""))

    # -- at once ---------------------------------------------------------------------------------------------------

    def _part(self, driver: Driver, body: bytes) -> PartAnswer:
        asked: Part = decode(body, Part)
        core = driver.machine.core
        roots = tuple(root for root in asked.roots if root.agent == core.agent)
        part = core.cone.part(roots, asked.credits, core.counts_as_gone)
        return PartAnswer(
            unknown=tuple(root for root in roots if root not in core.cone),
            cone=tuple(core.cone.sends(step, core.subscribers, STEP_INDEX_ENTRIES) for step in part),
            effects=tuple(
                call for step in part if step not in core.retraction for call in core.cone.record(step).calls
            ),
            retracted=tuple(step for step in part if step in core.retraction),
        )

    def _status(self, driver: Driver, body: bytes) -> Status:
        machine, core = driver.machine, driver.machine.core
        return Status(
            agent=core.agent,
            host=self._host_id,
            incarnation=core.incarnation,
            steps=len(core.cone) + core.cone.forgotten,
            undone=core.undone,
            under_way=(*machine.under_way(), *self._checkpoints.machine.calls.open),
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

    def _state(self, driver: Driver, body: bytes) -> dict[str, bytes]:
        """Return what is told of an agent's state outside, at a step or now; derived keys are not stored."""
        at = decode(body, StepId) if body else None
        if at is not None:
            check_past(driver.machine.core, at)
        values, found = driver.values, driver.machine.core.versions.read_all(at)
        keys = {text: (decode_key(text), data) for text, data, _ in found if data is not None}
        return {text: values.shown(key, data) for text, (key, data) in keys.items() if values.derived(key) is None}

    def _entries(self, driver: Driver, body: bytes) -> list[Entry]:
        versions = driver.machine.core.versions
        return [entry for key in versions.shared_keys() for entry in versions.entries(key)]

    def _steps(self, driver: Driver, body: bytes) -> StepsAnswer:
        core, offset = driver.machine.core, decode(body, int)
        page = core.cone.records()[offset : offset + STEPS_A_PAGE]
        effects: dict[str, tuple[str, str, str]] = {}
        for record in page:
            for intent in record.calls:
                effect = core.intents.get(intent)
                if effect is not None:
                    effects[intent] = (effect.tool, driver.runner.kind_of(effect.tool), effect.state)
        return StepsAnswer(tuple(page), tuple(core.retracted_by.get(record.step, "") for record in page), effects)

    def _ballots(self, driver: Driver, body: bytes) -> Ballots:
        machine = driver.machine
        decided = tuple(
            (pid, record.decision, record.decided_us, record.electors, record.rejects)
            for pid, record in machine.rollback.decided.items()
        )
        return Ballots(tuple(machine.rollback.votes()), decided, tuple(machine.proposer.outcomes.values()))

    def _dead(self, driver: Driver, body: bytes) -> Any:
        return driver.machine.core.dead

    def _noticed(self, driver: Driver, body: bytes) -> list[Notice]:
        return [notice for notice in self._notices if notice.agent in (driver.agent.name, HOST)]

    def _sent(self, driver: Driver, body: bytes) -> Costs:
        return self._costs()

    def _epochs(self, driver: Driver, body: bytes) -> EpochsAnswer:
        machine = self._checkpoints.machine
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

    def _cuts(self, driver: Driver, body: bytes) -> CutsAnswer:
        core = driver.machine.core
        restores = tuple(zip(core.restores, core.restored_us, strict=True))
        last, heard = (core.incarnation, core.seq), driver.machine.cutting.committed_us
        return CutsAnswer(last, tuple(core.cuts), core.committed, heard, restores)

    def _suffix(self, driver: Driver, body: bytes) -> tuple[StepId, ...]:
        """Return an agent's surviving steps after one that it has."""
        after: StepId = decode(body, StepId)
        core = driver.machine.core
        if after not in core.cone:
            raise errors.StepUnknown(
                f"no step {after} in the log of {core.agent}, which begins with epoch {core.horizon}. Nothing changed."
            )
        steps = [record.step for record in core.cone.records() if record.step not in core.retraction]
        return tuple(step for step in steps if step[1:] > after[1:])


def _told(answered: Answered) -> Callable[[str, str], None]:
    """Return what takes a value or an error of the checkpoints."""
    return lambda value, error: answered((error or value).encode(), "RestoreRefused" if error else "")
