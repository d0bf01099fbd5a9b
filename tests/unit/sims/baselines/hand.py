"""Processes of a rollback protocol, cranked by hand; and an application that is scripted."""

from collections import deque
from collections.abc import Sequence

from sims.baselines.application import Application, Arrival, Item, Load, Task
from sims.baselines.process import (
    CallOff,
    Durable,
    Elapsed,
    Event,
    FoundWrong,
    Frame,
    Outcome,
    Pause,
    Process,
    Ran,
    Received,
    Resume,
    RunStep,
    Send,
    Setting,
    Started,
    Submitted,
    Undo,
    Write,
)
from sims.topology import Graph


class Hand:
    """Does what processes say, when the test wants it."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self.processes = processes
        self.sent: list[tuple[int, int, Frame]] = []
        self.channels: dict[tuple[int, int], deque[Frame]] = {}
        self.writes: deque[tuple[int, int]] = deque()
        self.running: dict[int, RunStep] = {}
        self.undone: dict[int, list[int]] = {}
        self.stopped: dict[int, None] = {}
        self.ever_stopped: dict[int, None] = {}
        self.numbers = 0
        self.now_us = 0
        for agent in range(len(processes)):
            self.feed(agent, Started())

    def feed(self, agent: int, event: Event) -> None:
        """Let a process handle an event."""
        for effect in self.processes[agent].handle(event, self.now_us):
            match effect:
                case Send():
                    self.sent.append((agent, effect.receiver, effect.frame))
                    self.channels.setdefault((agent, effect.receiver), deque()).append(effect.frame)
                case Write():
                    self.writes.append((agent, effect.ticket))
                case RunStep():
                    assert agent not in self.running
                    self.running[agent] = effect
                case CallOff():
                    del self.running[agent]
                case Undo():
                    self.undone.setdefault(agent, []).extend(effect.steps)
                case Pause():
                    self.stopped[agent] = self.ever_stopped[agent] = None
                case Resume():
                    del self.stopped[agent]

    def work(self, agent: int, *receivers: int) -> int:
        """Give an idle agent an input from outside, and let its step end; return the step."""
        self.numbers += 1
        self.feed(agent, Submitted(Item(f"i{self.numbers}", 9, 0, b"")))
        return self.finish(agent, *receivers)

    def finish(self, agent: int, *receivers: int) -> int:
        """Let what an agent runs end, having written key `k` and sent these messages; return the step."""
        order = self.running.pop(agent)
        self.numbers += 1
        step = order.replays or self.numbers
        sends = tuple((receiver, Item(f"m{step}.{at}", 9, step, b"")) for at, receiver in enumerate(receivers))
        self.feed(agent, Ran(order.run, Outcome(step, (), (("k", step),), sends)))
        return step

    def wrong(self, agent: int, step: int) -> None:
        """A step is found out to be wrong."""
        self.feed(agent, FoundWrong(step))

    def timer(self, agent: int, name: str = "checkpoint") -> None:
        """An agent's timer comes, long after the last one."""
        self.now_us += 1_000_000
        self.feed(agent, Elapsed(name))

    def deliver(self, sender: int, receiver: int) -> None:
        """Deliver the oldest frame of a channel."""
        self.feed(receiver, Received(sender, self.channels[sender, receiver].popleft()))

    def write(self) -> None:
        """Let everything that is being written be durable."""
        while self.writes:
            agent, ticket = self.writes.popleft()
            self.feed(agent, Durable(ticket))

    def settle(self) -> None:
        """Deliver and write until nothing is under way; steps do not end by themselves."""
        while self.writes or any(self.channels.values()):
            self.write()
            for sender, receiver in list(self.channels):
                if self.channels[sender, receiver]:
                    self.deliver(sender, receiver)

    def count(self, kind: str) -> int:
        """Return how many frames of a kind were sent."""
        return sum(1 for _, _, frame in self.sent if frame.kind == kind)


def setting(graph: Graph) -> Setting:
    """Return where processes are that are cranked by hand."""
    return Setting(graph, 0, 1_000)


def full(count: int) -> Graph:
    """Return a graph in which all write to all."""
    return {one: tuple(other for other in range(count) if other != one) for one in range(count)}


class Scripted(Application):
    """Does what a test says: by lineage, whom a step writes to; the wrong step and its corrected run do the same.

    Args:
        graph: who may write to whom.
        arrivals: when, to whom, which lineage; the first with `wrong` as its lineage is the wrong step.
        sends: by lineage, the receivers; each message's lineage is that of its sender with `.` or `!` and its place.
        wrong: the lineage of the wrong step.
    """

    def __init__(
        self, graph: Graph, arrivals: list[tuple[int, int, str]], sends: dict[str, tuple[int, ...]], wrong: str
    ) -> None:
        super().__init__(Load(agents=len(graph)), graph)
        self.given = [Arrival(at_us, agent, Item(lineage, 9, 0, b"")) for at_us, agent, lineage in arrivals]
        self.sends = sends
        self.wrong = wrong

    def task(self, agent: int, item: Item, wrong: bool) -> Task:
        mark = "!" if wrong else "."
        receivers = self.sends.get(item.lineage.replace("!", "."), ())
        sends = tuple((receiver, f"{item.lineage}{mark}{at}") for at, receiver in enumerate(receivers))
        return Task((), ("k",), sends, 5_000)

    def arrivals(self) -> list[Arrival]:
        return self.given

    def wrong_lineage(self, arrivals: list[Arrival]) -> str:
        return self.wrong
