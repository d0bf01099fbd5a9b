"""Answers what is asked of the agents here (`peer.host.questions`). Nothing here decides anything."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from peer import errors
from peer.agents.kinds import path_of
from peer.agents.making import Making
from peer.agents.oversight import looks_like_rollback
from peer.agents.saga import is_kept, kept_of, name_of
from peer.agents.tool import COMPENSABLE, IDEMPOTENT, IRREVERSIBLE
from peer.agents.unstarted import kind_of
from peer.host import past_cuts
from peer.host.arrivals import Arrivals
from peer.host.births import QUESTION as MAKE
from peer.host.births import Births
from peer.host.checkpoints import Checkpoints
from peer.host.custody import Custody
from peer.host.departures import Departures
from peer.host.driver import Driver
from peer.host.people import People
from peer.host.questions import (
    Ballots,
    CallAnswer,
    CallOff,
    Costs,
    CutsAnswer,
    EffectAnswer,
    EffectAsk,
    EpochsAnswer,
    HeldAnswer,
    LetterAnswer,
    LetterAsk,
    Notice,
    Part,
    PartAnswer,
    Pause,
    Profile,
    Propose,
    RequestAnswer,
    RestoreTo,
    SagaAnswer,
    Say,
    SetTier,
    Status,
    StepsAnswer,
    StepsAsk,
    Submit,
    TiersAnswer,
    Withhold,
    decode,
    encode,
)
from peer.host.residents import Residents
from peer.host.step_pages import page_of
from peer.host.strangers import nearest
from peer.host.transit import MOVE, ROOM, TAKE, Room, Take
from peer.values import payload
from protocol.agent.requesting import RequestSeen
from protocol.checkpoints.looking import epochs, voted_on
from protocol.event import (
    CallOffAsked,
    EffectAsked,
    HoldAsked,
    LetterAsked,
    PauseAsked,
    ProposeWanted,
    ReleaseAsked,
    Submitted,
    TierAsked,
)
from protocol.ids import HOST, AgentId, HostId, ProposalId, StepId
from protocol.step import Entry

TOOLS = (IDEMPOTENT, COMPENSABLE, IRREVERSIBLE)
"""Kinds of requests that a tool is called for."""

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
        homes: by agent, where it lives, as far as is known.
        costs: returns what it has sent.
        births: brings up agents that handlers make.
        people: checks who says what.
        custody: lets the host leave.
        departures, arrivals: move agents.
    """

    def __init__(
        self, host_id: HostId, residents: Residents, checkpoints: Checkpoints, notices: Iterable[Notice],
        homes: Mapping[AgentId, HostId], costs: Callable[[], Costs], births: Births,
        people: People, custody: Custody, departures: Departures, arrivals: Arrivals,
    ) -> None:  # fmt: skip
        self._host_id = host_id
        self._residents = residents
        self._checkpoints = checkpoints
        self._notices = notices
        self._homes = homes
        self._costs = costs
        self._births = births
        self._people = people
        self._custody, self._departures, self._arrivals = custody, departures, arrivals
        self._now: dict[str, Callable[[Driver, bytes], Any]] = {
            "part": self._part,
            "status": self._status,
            "profile": self._profile,
            "state": past_cuts.state,
            "state at cut": past_cuts.state_at_cut,
            "steps between cuts": past_cuts.steps_between,
            "entries": self._entries,
            "steps": self._steps,
            "ballots": self._ballots,
            "dead": self._dead,
            "notices": self._noticed,
            "costs": self._sent,
            "epochs": self._epochs,
            "cuts": self._cuts,
            "suffix": self._suffix,
            "held": self._held,
            "inputs": self._inputs,
            "effects": self._effects,
            "requests": self._requests,
            "sagas": self._sagas,
            "tiers": self._tiers,
            "undone since": self._undone_since,
        }
        """By question, what is answered at once."""
        self._later: dict[str, Callable[[Desk, Driver, bytes, Answered], None]] = {
            "submit": self._submit,
            "propose": self._propose,
            "outcome": self._outcome,
            "checkpoint": self._checkpoint,
            "restore": self._restore,
            "leave": self._leave,
            MOVE: self._move,
            "effect": self._effect,
            "letter": self._letter,
            "say": self._say,
            "pause": self._pause,
            "hold": self._hold,
            "tier": self._tier,
            "call off": self._call_off,
        }
        """By question, what is answered when something has happened."""

    def answer(self, desk: Desk, agent: AgentId, what: str, body: bytes, answered: Answered) -> None:
        """Answer a question about an agent of this host, now or later.

        Raises: EbbtideError, which is told to whoever asked.
        """
        if what == MAKE:
            self._births.begin(agent, Making(*decode(body, tuple[str, bytes, str])), answered)
            return
        if what == TAKE:
            self._arrivals.take(agent, decode(body, Take), answered)
        elif what == ROOM:
            self._arrivals.room(agent, decode(body, Room))
            answered(b"", "")
        elif what in self._now:
            answered(self.at_once(agent, what, body), "")
        elif what in self._later:
            self._later[what](desk, self._driver(agent), body, answered)
        else:
            raise errors.CallerError(f"nobody can answer {what!r}. Nothing changed.")

    def is_at_once(self, what: str) -> bool:
        """Tell whether a question is answered at once."""
        return what in self._now

    def at_once(self, agent: AgentId, what: str, body: bytes) -> bytes:
        """Return the answer to a question that is answered at once. Raises: EbbtideError, for whoever asked."""
        return encode(self._now[what](self._driver(agent), body))

    def _driver(self, agent: AgentId) -> Driver:
        if agent in self._residents.broken:
            raise self._residents.why_broken(agent)
        driver = self._residents.drivers.get(agent)
        is_elsewhere = self._custody.moves.is_away(agent) or self._homes.get(agent, self._host_id) != self._host_id
        if driver is None and (not self._checkpoints.is_open or is_elsewhere):
            raise errors.NotUp(f"agent {agent!r} has moved, or comes")  # whoever asks hears of it, and asks again
        if driver is None:
            raise errors.AgentUnknown(f"no agent {agent!r} on this host. Nothing changed.")
        return driver

    # -- later -----------------------------------------------------------------------------------------------------

    def _submit(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        self._residents.check_open(driver.agent.name)
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
        self._custody.leave(lambda: answered(b"", ""))

    def _move(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        self._departures.wanted(driver, decode(body, str), answered)

    def _effect(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        asked: EffectAsk = decode(body, EffectAsk)
        request = desk.later(answered)
        driver.runner.pardon(asked.intent)
        driver.feed(EffectAsked(request, asked.intent, asked.verb, asked.happened, asked.note, asked.by))

    def _letter(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        asked: LetterAsk = decode(body, LetterAsk)
        driver.feed(LetterAsked(desk.later(answered), asked.lineage, asked.verb))

    def _call_off(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        asked: CallOff = decode(body, CallOff)
        driver.feed(CallOffAsked(desk.later(answered), asked.name, asked.why, asked.by))

    def _pause(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        said: Pause = decode(body, Pause)
        by = self._people.paused(driver.agent.name, said)
        driver.feed(PauseAsked(desk.later(answered), said.is_on, said.note, by, said.proof))

    def _hold(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        said: Withhold = decode(body, Withhold)
        if said.is_on is None:
            answered(b"held" if said.by in driver.machine.core.held else b"", "")
        else:
            driver.feed(HoldAsked(desk.later(answered), said.by, said.is_on, said.note))

    def _tier(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        said: SetTier = decode(body, SetTier)
        by = self._people.tiered(driver.agent.name, kind_of(driver.agent), said)
        driver.feed(TierAsked(desk.later(answered), said.tier, said.note, by, said.proof))

    def _say(self, desk: Desk, driver: Driver, body: bytes, answered: Answered) -> None:
        said: Say = decode(body, Say)
        seen = next((each for each in _waiting(driver) if each.name == said.name), None)
        by, value = self._people.heard(driver.agent.name, said, seen)
        if looks_like_rollback(said.name):
            told = driver.oversight.say(said.name, said.verb, by, said.note, said.proof, said.value)
            answered(told.encode(), "")
            return
        driver.feed(ReleaseAsked(desk.later(answered), said.name, said.note, by, said.verb, value, said.proof))

    # -- at once ---------------------------------------------------------------------------------------------------

    def _part(self, driver: Driver, body: bytes) -> PartAnswer:
        asked: Part = decode(body, Part)
        part = driver.machine.looking.part(asked.roots, asked.credits)
        calls = driver.machine.looking.calls_of(part.effects)
        kind_of_tool, undoing_of = driver.runner.kind_of, driver.runner.undoing_of
        return PartAnswer(
            *part, tuple(CallAnswer(*each, kind_of_tool(each.tool), undoing_of(each.tool)) for each in calls)
        )  # fmt: skip

    def _status(self, driver: Driver, body: bytes) -> Status:
        seen = driver.machine.looking.status(*self._checkpoints.machine.core.missed_by(driver.agent.name))
        also = (*self._births.under_way(driver.agent.name), *voted_on(self._checkpoints.machine))
        return Status(
            agent=driver.agent.name,
            host=self._host_id,
            activity=driver.activity,
            serves={space: driver.replicas.serves(space) for space in driver.agent.spaces},
            has=driver.replicas.has(),
            is_made=driver.origin.is_made,
            absence=driver.attendance.absence,
            tier=driver.licence.tier,
            **{**seen._asdict(), "under_way": (*seen.under_way, *also)},
        )

    def _profile(self, driver: Driver, body: bytes) -> Profile:
        kind = type(driver.agent)
        return Profile(path_of(kind), tuple(sorted(kind.message_types)), payload.encoded_if_plain(driver.options))

    def _entries(self, driver: Driver, body: bytes) -> list[Entry]:
        return driver.machine.looking.entries()

    def _steps(self, driver: Driver, body: bytes) -> StepsAnswer:
        return page_of(driver.machine.looking, decode(body, StepsAsk), driver.runner.kind_of)

    def _ballots(self, driver: Driver, body: bytes) -> Ballots:
        return Ballots(*driver.machine.looking.ballots())

    def _dead(self, driver: Driver, body: bytes) -> list[LetterAnswer]:
        looking = driver.machine.looking
        waiting = [
            LetterAnswer(
                item, f"no agent {name!r} has been heard of. {nearest(name, self._homes)} It is sent if there is one.",
                item.time_us, name,
            )
            for name, item in looking.undeliverable()
        ]  # fmt: skip
        return [*(LetterAnswer(*letter) for letter in looking.dead_letters()), *waiting]

    def _noticed(self, driver: Driver, body: bytes) -> list[Notice]:
        return [notice for notice in self._notices if notice.agent in (driver.agent.name, HOST)]

    def _sent(self, driver: Driver, body: bytes) -> Costs:
        return self._costs()

    def _epochs(self, driver: Driver, body: bytes) -> EpochsAnswer:
        return EpochsAnswer(*epochs(self._checkpoints.machine))

    def _cuts(self, driver: Driver, body: bytes) -> CutsAnswer:
        return CutsAnswer(*driver.machine.looking.cuts(*self._checkpoints.machine.core.missed_by(driver.agent.name)))

    def _suffix(self, driver: Driver, body: bytes) -> tuple[StepId, ...]:
        """Return an agent's surviving steps after one that it has."""
        after: StepId = decode(body, StepId)
        looking = driver.machine.looking
        found = looking.suffix(after)
        if found is None:
            raise errors.StepUnknown(
                f"no step {after} in the log of {driver.agent.name}, which begins with checkpoint {looking.horizon()}."
                " Nothing changed."
            )
        return found

    def _held(self, driver: Driver, body: bytes) -> list[HeldAnswer]:
        looking = driver.machine.looking
        return [HeldAnswer(*looking.held(step)) for step in decode(body, list[StepId])]

    def _inputs(self, driver: Driver, body: bytes) -> list[HeldAnswer]:
        looking = driver.machine.looking
        return [HeldAnswer(*looking.input(lineage)) for lineage in decode(body, list[str])]

    def _effects(self, driver: Driver, body: bytes) -> list[EffectAnswer]:
        return [EffectAnswer(*seen) for seen in driver.machine.looking.effects(decode(body, bool))]

    def _requests(self, driver: Driver, body: bytes) -> list[RequestAnswer]:
        undoing_of = driver.runner.undoing_of
        return [RequestAnswer(*seen, undoing_of(seen.tool) if seen.kind in TOOLS else "") for seen in _waiting(driver)]

    def _sagas(self, driver: Driver, body: bytes) -> list[SagaAnswer]:
        state = driver.machine.looking.state(None)
        kept = {name_of(key): kept_of(data) for key, data in state.items() if is_kept(key)}
        return [
            SagaAnswer(
                name, each.status, each.root, each.parent, each.why, each.by,
                tuple((str(check), bool(holds), str(said)) for check, holds, said in each.evidence),
            )
            for name, each in kept.items()
        ]  # fmt: skip

    def _tiers(self, driver: Driver, body: bytes) -> TiersAnswer:
        declared, last = tuple(kind_of(driver.agent).tiers), driver.machine.tiering.last
        by, note, at_us = ("", "", 0) if last is None else (last.by, last.note, last.time_us)
        return TiersAnswer(declared, driver.licence.tier, by, note, at_us)

    def _undone_since(self, driver: Driver, body: bytes) -> tuple[StepId, ...]:
        return driver.machine.looking.undone_since(decode(body, int))


def _waiting(driver: Driver) -> list[RequestSeen]:
    """Return what is requested and waits, and the rollbacks that wait for people."""
    return [*driver.machine.requesting.waiting(), *driver.oversight.waiting()]


def _told(answered: Answered) -> Callable[[str, str], None]:
    """Return what takes a value or an error of the checkpoints."""
    return lambda value, error: answered((error or value).encode(), "RestoreRefused" if error else "")
