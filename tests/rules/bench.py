"""A few machines side by side, cranked by hand: the network and the disks do nothing unless told to."""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from protocol.action import (
    Accuse,
    Action,
    Admit,
    Append,
    Consult,
    CutOff,
    Finish,
    Publish,
    Reply,
    Resume,
    RunStep,
    Seek,
    Send,
    Share,
    Tell,
    UseTool,
)  # fmt: skip
from protocol.agent.machine import PeerMachine
from protocol.event import (
    Appended,
    Consulted,
    Elapsed,
    Event,
    ProposeWanted,
    Received,
    Recovered,
    StepRan,
    Submitted,
    ToolUsed,
    ToolWanted,
)  # fmt: skip
from protocol.ids import StepId
from protocol.limits import Limits
from protocol.message import Message
from protocol.proposal import Amendment
from protocol.records import Record
from protocol.step import EntryDraft, OutputDraft, Read, RollbackDraft, StepDraft, Tolerated, Write

Mail = tuple[str, str, Message]

TO_ITSELF = "itself:"
"""Stands for whoever's draft it is."""


class Bench:
    """Machines by name; `writes` says whether a disk is fast (at once) or waits for `sync`."""

    def __init__(self, *names: str, limits: Limits | None = None, strange: Iterable[str] = ()) -> None:
        self.limits = limits or Limits()
        self.now_us = 1_000_000
        self.machines: dict[str, PeerMachine] = {}
        self.disks: dict[str, list[Record]] = {name: [] for name in names}
        self.slow: set[str] = set()
        self.strange = set(strange)
        """Names that nobody has heard of."""
        self.mail: list[Mail] = []
        self.sent: list[Mail] = []
        """All mail ever, delivered or not."""
        self.pending: dict[str, list[Append]] = {name: [] for name in names}
        self.runs: dict[str, RunStep] = {}
        self.tools: list[tuple[str, UseTool]] = []
        self.resumed: list[tuple[str, Resume]] = []
        self.told: list[tuple[str, Tell]] = []
        self.facts: list[Publish] = []
        self.shared: list[tuple[str, Share]] = []
        self.admitted: list[tuple[str, Admit]] = []
        self.consults: dict[str, Consult] = {}
        self.agrees: Callable[[str], bool] = lambda agent: True
        self.asks_by_hand = False
        self.finished: list[Finish] = []
        self.replies: list[Reply] = []
        self.sought: list[tuple[str, Seek]] = []
        self.cut: list[CutOff] = []
        self.accused: list[tuple[str, Accuse]] = []
        for name in names:
            self.start(name)

    # -- driving

    def start(self, name: str, lost: bool = False) -> None:
        """Begin a life from the disk; the first of all, or after `crash`."""
        self.machines[name] = PeerMachine(name, self.limits, lambda agent: agent not in self.strange)
        self.pending[name] = []
        self.runs.pop(name, None)
        self.feed(name, Recovered(tuple(self.disks[name]), lost))

    def crash(self, name: str) -> None:
        """Lose all but the disk, and what is under way to the agent, and begin again."""
        self.mail = [mail for mail in self.mail if mail[1] != name]
        self.start(name)

    def feed(self, name: str, event: Event) -> None:
        """Feed one event and take in the actions."""
        for action in self.machines[name].handle(event, self.now_us):
            self._take(name, action)
        self.machines[name].check()

    def _take(self, name: str, action: Action) -> None:
        match action:
            case Send():
                self.mail.append((name, action.receiver, action.message))
                self.sent.append((name, action.receiver, action.message))
            case Append():
                self.pending[name].append(action)
                if name not in self.slow:
                    self.sync(name)
            case RunStep():
                self.runs[name] = action
            case CutOff():
                self.cut.append(action)
            case UseTool():
                self.tools.append((name, action))
            case Resume():
                self.resumed.append((name, action))
            case Consult():
                self.consults[name] = action
                if not self.asks_by_hand:
                    self.answer(name)
            case Tell():
                self.told.append((name, action))
            case Accuse():
                self.accused.append((name, action))
            case Seek():
                self.sought.append((name, action))
            case Publish():
                self.facts.append(action)
            case Share():
                self.shared.append((name, action))
            case Admit():
                self.admitted.append((name, action))
            case Finish():
                self.finished.append(action)
            case Reply():
                self.replies.append(action)

    def sync(self, name: str) -> None:
        """Make durable what an agent has asked for."""
        while self.pending[name]:
            order = self.pending[name].pop(0)
            self.disks[name].extend(order.records)
            self.feed(name, Appended(order.ticket))

    def answer(self, name: str) -> None:
        """Answer what an elector was asked."""
        order = self.consults.pop(name)
        agrees = self.agrees(name)
        self.feed(name, Consulted(order.proposal.id, agrees, "" if agrees else "no"))

    def deliver(self, wanted: Callable[[Mail], bool] = lambda mail: True) -> int:
        """Deliver mail that is wanted, until none is left; return how much."""
        count = 0
        while True:
            at = next((at for at, mail in enumerate(self.mail) if wanted(mail)), None)
            if at is None:
                return count
            sender, receiver, message = self.mail.pop(at)
            self.feed(receiver, Received(sender, message))
            count += 1

    def drop(self, wanted: Callable[[Mail], bool] = lambda mail: True) -> list[Mail]:
        """Lose mail."""
        lost = [mail for mail in self.mail if wanted(mail)]
        self.mail = [mail for mail in self.mail if not wanted(mail)]
        return lost

    def elapse(self, by_us: int = 10_000_000) -> None:
        """Let time pass for everybody."""
        self.now_us += by_us
        for name in list(self.machines):
            self.feed(name, Elapsed())

    # -- scripts

    def submit(self, name: str, *payloads: bytes) -> None:
        """Hand in inputs from outside."""
        number = self.machines[name].core.inbox.next_number("ext:test")
        self.feed(name, Submitted(0, "test", number, payloads))

    def ran(self, name: str, **draft: object) -> StepId:
        """Let the running handler return; return the step that it would be."""
        run = self.runs.pop(name)
        made = make_draft(**draft)
        outputs = tuple(out._replace(receiver=name) if out.receiver == TO_ITSELF else out for out in made.outputs)
        self.feed(name, StepRan(run.run, replace(made, outputs=outputs)))
        return run.step

    def step(self, name: str, **draft: object) -> StepId:
        """Hand in an input and let its handler return."""
        self.submit(name, b"x")
        return self.ran(name, **draft)

    def call(
        self, name: str, args: bytes, key: str | None = None, checks: bool = True, call: int = 0
    ) -> UseTool | None:
        """Let the running handler call a tool; return what is to be done, if anything."""
        before = len(self.tools)
        self.feed(name, ToolWanted(self.runs[name].run, "post", "compensable", args, key, checks, call))
        return self.tools[-1][1] if len(self.tools) > before else None

    def used(self, name: str, order: UseTool, answer: str = "done", result: bytes = b"r") -> None:
        """Let a tool answer."""
        self.feed(name, ToolUsed(order.intent, order.verb, answer, result))

    def propose(
        self, name: str, *roots: StepId, inputs: str = "discard", amend: bytes = b"", deadline_us: int = 0
    ) -> None:
        """Have an agent propose a rollback."""
        amendments = tuple(Amendment(root, amend) for root in roots) if inputs == "amend" else ()
        self.feed(name, ProposeWanted(0, roots, inputs, "test", b"evidence", amendments, deadline_us))

    def undone(self, step: StepId) -> bool:
        """Tell whether a step's own agent holds it retracted."""
        return step in self.machines[step.agent].core.retraction

    def value(self, name: str, key: str) -> bytes | None:
        """Return a key's surviving value."""
        return self.machines[name].core.versions.read(key)[0]


def make_draft(
    reads: tuple[Read, ...] = (),
    writes: dict[str, bytes | None] | None = None,
    sends: tuple[tuple[str, bytes], ...] = (),
    keyed: tuple[tuple[str, bytes, str], ...] = (),
    entries: tuple[EntryDraft, ...] = (),
    rollbacks: tuple[RollbackDraft, ...] = (),
    error: str | None = None,
    observed: tuple[str, ...] = (),
    tolerated: tuple[Tolerated, ...] = (),
    waits: bool = False,
    read_only: bool = False,
    timers: tuple[tuple[bytes, int, str | None], ...] = (),
    cancels: tuple[str, ...] = (),
) -> StepDraft:
    """Make a handler's draft; timers are messages to whoever sets them, each with its wait and its key."""
    outputs = [OutputDraft(receiver, payload) for receiver, payload in sends]
    outputs += [OutputDraft(receiver, payload, key) for receiver, payload, key in keyed]
    outputs += [OutputDraft(TO_ITSELF, payload, key, after_us) for payload, after_us, key in timers]
    return StepDraft(
        reads=reads,
        writes=tuple(Write(key, value) for key, value in (writes or {}).items()),
        entries=entries,
        outputs=tuple(outputs),
        rollbacks=rollbacks,
        error=error,
        observed=observed,
        tolerated=tolerated,
        waits=waits,
        read_only=read_only,
        cancels=cancels,
    )


def of(kind: type) -> Callable[[Mail], bool]:
    """Return a filter for mail of one kind of message."""
    return lambda mail: isinstance(mail[2], kind)
