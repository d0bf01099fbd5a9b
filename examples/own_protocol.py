"""A rollback protocol of your own beside the others: run it with `.venv/bin/python examples/own_protocol.py`.

The simplest there is: whoever was wrong tells all, and all begin again from their first input. The rig judges it as it
judges the others, and counts what it costs.
"""

from sims.baselines.compare import Summary, cases, run_all, summaries
from sims.baselines.process import (
    Effect,
    Event,
    FoundWrong,
    Process,
    Ran,
    Received,
    Send,
    Setting,
    Submitted,
    Undo,
    frame,
)
from sims.baselines.protocols import PROTOCOLS, Protocol
from sims.baselines.worker import Job, Worker


class FromScratch:
    """Whoever was wrong tells all, and all begin again from their first input."""

    def __init__(self, number: int, setting: Setting) -> None:
        self.number, self.agents = number, setting.agents
        self.worker, self.era = Worker(), 0
        self.inputs: list[Job] = []  # of the world outside: they are never handed in again
        self.steps: list[int] = []

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        effects: list[Effect] = []
        match event:
            case Submitted(item):
                self.inputs.append(Job(item))
                self.worker.line.append(Job(item))
            case Received(sender, received):
                era, item = received.body
                if era > self.era:
                    effects += self.begin_again(era)
                if item is not None and era == self.era:  # what an earlier era had sent is sent anew
                    self.worker.line.append(Job(item, sender))
            case Ran(_, outcome):
                self.worker.ended(outcome)
                self.steps.append(outcome.step)
                for receiver, item in outcome.sends:
                    effects.append(Send(receiver, frame("application", (self.era, item), item)))
            case FoundWrong():
                effects += self.begin_again(self.era + 1)
                others = (other for other in range(self.agents) if other != self.number)
                effects += [Send(other, frame("rollback", (self.era, None))) for other in others]
            case _:  # Started, Durable, Elapsed: nothing is written here, and no timer set
                pass
        return effects + self.worker.start()

    def begin_again(self, era: int) -> list[Effect]:
        effects = [*self.worker.call_off(), Undo(tuple(self.steps))]
        self.era, self.steps = era, []
        self.worker.state.clear()
        self.worker.fill(self.inputs)
        return effects

    def value(self, key: str) -> int | None:
        return self.worker.state.get(key)

    def waiting(self) -> int:
        return len(self.worker.line)


def processes(setting: Setting) -> list[Process]:
    return [FromScratch(number, setting) for number in range(setting.agents)]


def main() -> list[Summary]:
    """Compare it with Ebbtide, on ten agents, with three seeds."""
    PROTOCOLS["from-scratch"] = Protocol(processes, exact=False, title="all begin again")
    wanted = cases(["from-scratch", "ebbtide"], ["small-world"], [10], range(3), found_after_us=100_000)
    found = summaries(list(run_all(wanted, jobs=1)))
    for one in found:
        figures = ("efficiency", "innocent", "rollback_messages")
        print(f"{one.protocol:>12}:", *(f"{name} {one.of(name).median:.3g}" for name in figures))
    return found


if __name__ == "__main__":
    main()
