"""One discrete-event world that runs any protocol on the same work: a heap of (time, number, what), and a seed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from msgspec import Struct

from sims.baselines.application import Application, Item
from sims.baselines.process import (
    KINDS,
    CallOff,
    Durable,
    Effect,
    Elapsed,
    Event,
    FoundWrong,
    Frame,
    Kind,
    Outcome,
    Pause,
    Process,
    Ran,
    Received,
    Resume,
    RunStep,
    Send,
    SetTimer,
    Setting,
    Started,
    Submitted,
    Undo,
    Write,
)
from sims.baselines.truth import Step, Truth
from sims.virtual.chance import AnySpread, Uniform, stream


class Terms(Struct, frozen=True):
    """What everything but the application takes."""

    delay: AnySpread = Uniform(200, 1_000)
    """Of a frame on its way."""
    disk: AnySpread = Uniform(300, 1_000)
    """Of a write."""
    handling_us: int = 50
    """What a process is busy with each frame that it receives: the next one waits. Steps run beside it."""
    orchestrator_us: int = 200
    """The same for a process that is no agent's: it makes each report durable, as SQLite does 4,800 times a second."""
    checkpoint_us: int = 200_000
    """How far apart the checkpoints of an agent are."""
    limit_us: int = 60_000_000
    """A run that takes longer goes round in circles."""


@dataclass
class Seat:
    """One process, and what the rig knows of it."""

    process: Process
    busy_until_us: int = 0
    written_until_us: int = 0
    run: RunStep | None = None
    step: Step | None = None
    began_us: int = 0
    runs: int = 0
    """How many runs were begun here: one that was called off must not end."""
    round: int = 0
    """Length of the longest chain of rollback frames that led here."""
    held_since_us: int = -1
    stopped_since_us: int = -1
    held_us: int = 0
    stopped_us: int = 0
    stops: int = 0


@dataclass
class Traffic:
    """What was sent, by kind."""

    frames: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    sizes: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    piggybacked: int = 0
    """Bytes that messages of the application carried for the protocol."""
    written: int = 0
    """Bytes made durable."""


@dataclass
class _Mail:
    """A frame that has come, and waits its turn."""

    sender: int
    frame: Frame
    round: int


@dataclass
class _Turn:
    """It is a frame's turn."""

    mail: _Mail


@dataclass
class _End:
    """A run ends, if it is still the one under way."""

    run: int


class Rig:
    """One run of one protocol."""

    def __init__(
        self, application: Application, processes: Callable[[Setting], list[Process]], terms: Terms | None = None
    ) -> None:
        self.application = application
        self.terms = terms or Terms()
        self.load = application.load
        self.truth = Truth()
        self.traffic = Traffic()
        self.now_us = 0
        self.found_us = -1
        """When the wrong step was found out."""
        self.rounds = 0
        self.replayed_us = 0
        self.watch: Callable[[int, int, Frame], None] | None = None
        """Told sender, receiver and frame of all that is sent."""
        setting = Setting(application.graph, self.load.seed, self.terms.checkpoint_us)
        self.seats = [Seat(process) for process in processes(setting)]
        self.arrivals = application.arrivals()
        self._wrong = application.wrong_lineage(self.arrivals)
        self._heap: list[tuple[int, int, int, Any]] = []
        self._number = 0
        self._delays = stream(self.load.seed, "delays")
        self._disks = stream(self.load.seed, "disks")
        self._channels: dict[tuple[int, int], int] = {}
        """By sender and receiver, when the last frame gets there."""

    def run(self) -> "Rig":
        """Play to the end, and judge it.

        Raises: AssertionError, saying what a protocol has done wrong.
        """
        for arrival in self.arrivals:
            self._at(arrival.at_us, arrival.agent, Submitted(arrival.item))
        for place in range(len(self.seats)):
            self._feed(place, Started())
        while self._heap:
            self.now_us, _, place, what = heappop(self._heap)
            self._happen(place, what)
            assert self.now_us < self.terms.limit_us, "this run does not come to an end"
        self.truth.judge(self.arrivals, lambda agent, key: self.seats[agent].process.value(key))
        assert not any(seat.stopped_since_us >= 0 for seat in self.seats), "an agent is still paused"
        return self

    # -- time ------------------------------------------------------------------------------------------------------

    def _at(self, at_us: int, place: int, what: Any) -> None:
        self._number += 1
        heappush(self._heap, (at_us, self._number, place, what))

    def _happen(self, place: int, what: Any) -> None:
        seat = self.seats[place]
        match what:
            case _Mail():
                is_agent = place < self.load.agents
                handling_us = self.terms.handling_us if is_agent else self.terms.orchestrator_us
                seat.busy_until_us = max(seat.busy_until_us, self.now_us) + handling_us
                self._at(seat.busy_until_us, place, _Turn(what))
            case _Turn():
                mail = what.mail
                if mail.frame.kind == "rollback":
                    seat.round = max(seat.round, mail.round)
                self._feed(place, Received(mail.sender, mail.frame))
            case _End():
                if what.run == seat.runs and seat.run is not None:
                    self._ended(place, seat, seat.run)
            case FoundWrong():
                self.found_us = self.now_us
                self._feed(place, what)
            case _:
                self._feed(place, what)

    def _feed(self, place: int, event: Event) -> None:
        seat = self.seats[place]
        for effect in seat.process.handle(event, self.now_us):
            self._do(place, seat, effect)
        held = seat.run is None and seat.process.waiting() > 0
        if held and seat.held_since_us < 0:
            seat.held_since_us = self.now_us
        elif not held and seat.held_since_us >= 0:
            seat.held_us += self.now_us - seat.held_since_us
            seat.held_since_us = -1

    # -- effects ---------------------------------------------------------------------------------------------------

    def _do(self, place: int, seat: Seat, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(place, effect.receiver, effect.frame, seat.round + 1)
            case RunStep():
                self._begin(place, seat, effect)
            case Write():
                self.traffic.written += effect.size
                seat.written_until_us = max(seat.written_until_us, self.now_us) + self.terms.disk.draw(self._disks)
                self._at(seat.written_until_us, place, Durable(effect.ticket))
            case SetTimer():
                if not effect.periodic or self.now_us + effect.after_us < self.load.horizon_us:
                    self._at(self.now_us + effect.after_us, place, Elapsed(effect.timer))
            case CallOff():
                self._call_off(seat)
            case Undo():
                for number in effect.steps:
                    step = self.truth.steps[number]
                    is_own = step.agent == place and step.stands
                    assert is_own, f"{place} undoes {number}, which is not its to undo"
                    step.undone_us = self.now_us
                self.rounds = max(self.rounds, seat.round)
            case Pause():
                if seat.stopped_since_us < 0:
                    seat.stopped_since_us = self.now_us
                    seat.stops += 1
            case Resume():
                seat.stopped_us += self.now_us - seat.stopped_since_us
                seat.stopped_since_us = -1
                self.rounds = max(self.rounds, seat.round)

    def _send(self, sender: int, receiver: int, frame: Frame, round: int) -> None:
        assert sender != receiver, "a process does not write to itself"
        if self.watch is not None:
            self.watch(sender, receiver, frame)
        self.traffic.frames[frame.kind] += 1
        self.traffic.sizes[frame.kind] += frame.size
        if frame.kind == "application":
            self.traffic.piggybacked += frame.size - frame.content
        there_us = self.now_us + self.terms.delay.draw(self._delays)
        there_us = max(there_us, self._channels.get((sender, receiver), 0))
        self._channels[sender, receiver] = there_us
        self._at(there_us, receiver, _Mail(sender, frame, round))

    # -- steps -----------------------------------------------------------------------------------------------------

    def _begin(self, place: int, seat: Seat, order: RunStep) -> None:
        assert seat.run is None, f"{place} runs two steps at once"
        if order.replays:
            step = self.truth.steps[order.replays]
            assert step.ended_us >= 0, f"{place} replays {step.number}, which never ran"
            assert step.reads == self._reads(seat, tuple(key for key, _ in step.reads)), "a replay reads something else"
        else:
            step = self._new_step(place, seat, order.item)
        seat.run, seat.step, seat.began_us = order, step, self.now_us
        seat.runs += 1
        self._at(self.now_us + step.run_us, place, _End(seat.runs))

    def _call_off(self, seat: Seat) -> None:
        assert seat.step is not None, "there is no run to call off"
        if seat.run is not None and seat.run.replays:
            self.replayed_us += self.now_us - seat.began_us
        else:
            # It may just have ended, and is not taken.
            seat.step.ended_us = -1
            seat.step.called_off_us = self.now_us
        seat.run = seat.step = None

    def _new_step(self, place: int, seat: Seat, item: Item) -> Step:
        wrong = item.lineage == self._wrong and not self.truth.root
        task = self.application.task(place, item, wrong)
        number = len(self.truth.steps) + 1
        reads = self._reads(seat, task.reads)
        step = Step(number, place, item, wrong, reads, task.writes, task.sends, self.now_us, task.run_us)
        self.truth.steps[number] = step
        return step

    def _reads(self, seat: Seat, keys: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
        return tuple((key, seat.process.value(key) or 0) for key in keys)

    def _ended(self, place: int, seat: Seat, order: RunStep) -> None:
        step = seat.step
        assert step is not None
        if order.replays:
            self.replayed_us += step.run_us
        else:
            step.ended_us = self.now_us
        if step.wrong and not self.truth.root:
            self.truth.root = step.number
            self._at(self.now_us + self.load.found_after_us, place, FoundWrong(step.number))
        item = step.item
        sends = tuple(
            (receiver, self.application.message(item, lineage, step.number)) for receiver, lineage in step.sends
        )
        outcome = Outcome(step.number, step.reads, tuple((key, step.number) for key in step.writes), sends)
        seat.run = None
        self._feed(place, Ran(order.run, outcome))
        if seat.run is None:
            seat.step = None
