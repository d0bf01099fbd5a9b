"""What every process around an agent has to do anyhow: a line of inputs, one step at a time, and the agent's state."""

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from sims.baselines.application import Item
from sims.baselines.process import CallOff, Effect, Outcome, RunStep


class Job(NamedTuple):
    """An input in line."""

    item: Item
    sender: int = -1
    """-1: the world outside."""
    tag: Any = None
    """What the protocol has to know of the message."""


class Worker:
    """One agent's line and state; the protocol decides when it stands still and what it goes back to."""

    def __init__(self) -> None:
        self.state: dict[str, int] = {}
        self.line: deque[Job] = deque()
        self.job: Job | None = None
        """What runs."""
        self.stopped = False
        self._runs = 0

    def start(self) -> list[Effect]:
        """Begin the next step, if there is one and nothing speaks against it."""
        if self.stopped or self.job is not None or not self.line:
            return []
        self.job = self.line.popleft()
        self._runs += 1
        return [RunStep(self._runs, self.job.item)]

    def repeat(self, job: Job, step: int) -> list[Effect]:
        """Run a step again exactly as it was."""
        self.job = job
        self._runs += 1
        return [RunStep(self._runs, job.item, step)]

    def ended(self, outcome: Outcome) -> Job:
        """Take in what a step has done; return what it handled."""
        assert self.job is not None, "nothing runs"
        job, self.job = self.job, None
        self.state.update(outcome.writes)
        return job

    def call_off(self) -> list[Effect]:
        """Stop what runs, and put its input back to where it was."""
        if self.job is None:
            return []
        self.line.appendleft(self.job)
        self.job = None
        return [CallOff()]

    def pending(self) -> tuple[Job, ...]:
        """Return what is not handled, in order, with what runs now before all else."""
        return (*(() if self.job is None else (self.job,)), *self.line)

    def fill(self, jobs: Iterable[Job]) -> None:
        """Let these be the line."""
        self.line = deque(jobs)
