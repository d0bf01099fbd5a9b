"""A central orchestrator that is told every step: it knows the whole graph, and commands exactly the cone.

Source: no paper, but what most agent frameworks have: one place that sees everything. Agents keep versions, so a step
is undone without stopping anybody. Each step costs a report, and all reports meet in one process, which takes a time
for each.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sims.baselines.application import Item
from sims.baselines.process import (
    CallOff,
    Durable,
    Effect,
    Elapsed,
    Event,
    FoundWrong,
    Process,
    Ran,
    Received,
    Send,
    Setting,
    Started,
    Submitted,
    Undo,
    Write,
    frame,
)
from sims.baselines.worker import Job, Worker


class Name(NamedTuple):
    """A step: its agent and its place among that agent's steps."""

    agent: int
    seq: int


class Message(NamedTuple):
    """A message of the application: the `at`th of a step."""

    producer: Name
    at: int
    item: Item


class Report(NamedTuple):
    """To the orchestrator: a step has ended; what it hangs on, and whom it wrote to."""

    seq: int
    producer: Name | None
    writers: tuple[int, ...]
    """Steps of the same agent."""
    receivers: tuple[int, ...]


class WrongFound(NamedTuple):
    seq: int


class Command(NamedTuple):
    """Undo these of your steps, and refuse these messages."""

    steps: tuple[int, ...]
    refused: tuple[tuple[Name, int], ...]


class Carried(NamedTuple):
    """Done: nothing will come to hang on what the command named."""


class Release(NamedTuple):
    """The whole cone is undone: handle again what was given back."""


class Agent:
    """One agent: keeps versions, and does as it is told."""

    def __init__(self, number: int, setting: Setting) -> None:
        self.number = number
        self.orchestrator = setting.agents
        self.worker = Worker()
        self.versions: dict[str, list[int]] = {}
        """By key, the places of the own steps that wrote it, oldest first."""
        self.steps: list[tuple[int, Job]] = []
        """Own steps: the rig's numbers, and what they handled."""
        self.places: dict[int, int] = {}
        """By the rig's number, an own step's place."""
        self.undone: set[int] = set()
        self.refused: set[tuple[Name, int]] = set()
        self.given_back: list[tuple[int, Job]] = []
        """Inputs of undone steps, by their places: they wait until the whole cone is undone."""

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        """Take in one event."""
        match event:
            case Submitted():
                self.worker.line.append(Job(event.item))
                return self.worker.start()
            case Received():
                return self._received(event.sender, event.frame.body)
            case Ran():
                return self._ran(event)
            case FoundWrong():
                return [Send(self.orchestrator, frame("rollback", WrongFound(self.places[event.step])))]
            case Started() | Durable() | Elapsed():
                return []

    def value(self, key: str) -> int | None:
        """Return the current value of a key: the last version that is not undone."""
        for place in reversed(self.versions.get(key, ())):
            if place not in self.undone:
                return self.steps[place][0]
        return None

    def waiting(self) -> int:
        """Return how many inputs wait, those that were given back included."""
        return len(self.worker.line) + len(self.given_back)

    def _received(self, sender: int, body: object) -> list[Effect]:
        match body:
            case Message():
                if (body.producer, body.at) not in self.refused:
                    self.worker.line.append(Job(body.item, sender, (body.producer, body.at)))
                return self.worker.start()
            case Command():
                return self._commanded(body)
            case Release():
                self.worker.fill((*(job for _, job in sorted(self.given_back)), *self.worker.line))
                self.given_back = []
                return self.worker.start()
        raise AssertionError(f"no message of this protocol: {body}")

    def _ran(self, event: Ran) -> list[Effect]:
        outcome, worker = event.outcome, self.worker
        writers = tuple(self.places[writer] for _, writer in outcome.reads if writer)
        if any(writer in self.undone for writer in writers):
            # What it read was undone meanwhile: it never was.
            assert worker.job is not None
            worker.line.appendleft(worker.job)
            worker.job = None
            return [CallOff(), *worker.start()]
        job = worker.ended(outcome)
        place = len(self.steps)
        self.steps.append((outcome.step, job))
        self.places[outcome.step] = place
        for key, _ in outcome.writes:
            self.versions.setdefault(key, []).append(place)
        sends = [
            Send(receiver, frame("application", Message(Name(self.number, place), at, item), item))
            for at, (receiver, item) in enumerate(outcome.sends)
        ]
        producer = None if job.tag is None else job.tag[0]
        report = Report(place, producer, writers, tuple(receiver for receiver, _ in outcome.sends))
        return [Send(self.orchestrator, frame("report", report)), *sends, *worker.start()]

    def _commanded(self, command: Command) -> list[Effect]:
        self.refused.update(command.refused)
        self.undone.update(command.steps)
        effects: list[Effect] = []
        if self.worker.job is not None and self.worker.job.tag in self.refused:
            effects.extend(self.worker.call_off())
        self.given_back.extend((place, self.steps[place][1]) for place in command.steps)
        self.given_back = [(place, job) for place, job in self.given_back if job.tag not in self.refused]
        self.worker.fill(job for job in self.worker.line if job.tag not in self.refused)
        if command.steps:
            effects.append(Undo(tuple(self.steps[place][0] for place in command.steps)))
        return [*effects, Send(self.orchestrator, frame("rollback", Carried())), *self.worker.start()]


class Orchestrator:
    """The one that knows everything."""

    def __init__(self) -> None:
        self.after: dict[Name, list[Name]] = {}
        """Step -> the steps that hang on it directly."""
        self.sent: dict[Name, tuple[int, ...]] = {}
        self.cone: dict[Name, None] = {}
        """Steps that were commanded to be undone."""
        self.owed = 0
        """Commands that are not carried out yet."""
        self.concerned: dict[int, None] = {}
        self.reports = 0

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        """Take in one event."""
        if not isinstance(event, Received):
            return []
        body = event.frame.body
        match body:
            case Report():
                self.reports += 1
                write = Write(self.reports, event.frame.size)
                return [write, *self._reported(Name(event.sender, body.seq), body)]
            case WrongFound():
                return self._command([Name(event.sender, body.seq)])
            case Carried():
                self.owed -= 1
                return self._release() if self.owed == 0 else []
        raise AssertionError(f"no message of this protocol: {body}")

    def value(self, key: str) -> int | None:
        """It has no state of the application's."""
        return None

    def waiting(self) -> int:
        """It handles no inputs."""
        return 0

    def _reported(self, step: Name, report: Report) -> list[Effect]:
        self.sent[step] = report.receivers
        causes = [Name(step.agent, writer) for writer in report.writers]
        if report.producer is not None:
            causes.append(report.producer)
        for cause in causes:
            self.after.setdefault(cause, []).append(step)
        # It ran before its agent heard of the command.
        return self._command([step]) if any(cause in self.cone for cause in causes) else []

    def _command(self, roots: Iterable[Name]) -> list[Effect]:
        steps: dict[int, list[int]] = {}
        refused: dict[int, list[tuple[Name, int]]] = {}
        todo = [root for root in roots if root not in self.cone]
        self.cone.update(dict.fromkeys(todo))
        while todo:
            step = todo.pop()
            steps.setdefault(step.agent, []).append(step.seq)
            for at, receiver in enumerate(self.sent[step]):
                refused.setdefault(receiver, []).append((step, at))
            fresh = [after for after in self.after.get(step, ()) if after not in self.cone]
            self.cone.update(dict.fromkeys(fresh))
            todo.extend(fresh)
        agents = sorted({*steps, *refused})
        self.owed += len(agents)
        self.concerned.update(dict.fromkeys(agents))
        return [
            Send(agent, frame("rollback", Command(tuple(steps.get(agent, ())), tuple(refused.get(agent, ())))))
            for agent in agents
        ]

    def _release(self) -> list[Effect]:
        agents, self.concerned = list(self.concerned), {}
        return [Send(agent, frame("rollback", Release())) for agent in agents]


def process(number: int, setting: Setting) -> Process:
    """Return one of the protocol's processes: an agent's, or the orchestrator, which is the last."""
    return Orchestrator() if number == setting.agents else Agent(number, setting)


def processes(setting: Setting) -> list[Process]:
    """Return the protocol's processes: the agents', and the orchestrator's last."""
    return [process(number, setting) for number in (*setting.graph, setting.agents)]
