"""Ebbtide itself: the unchanged machine of `protocol/`, with messages as long as the real codec makes them.

Source: docs/protocol.md. Each agent has a host of its own, with checkpoints by epochs. Nothing leaves before it is
durable, and every message is acknowledged: what the other protocols leave to their channels is counted here. The agent
whose step was wrong proposes.
"""

from typing import NamedTuple

from msgspec import msgpack

from protocol.action import Action, Append, Consult, CutReady, Publish, Reply, Share
from protocol.action import RunStep as MachineRunStep
from protocol.action import Send as MachineSend
from protocol.agent.machine import PeerMachine
from protocol.event import Appended, Consulted, ProposeWanted, Recovered, StepRan
from protocol.event import Elapsed as MachineElapsed
from protocol.event import Event as MachineEvent
from protocol.event import Received as MachineReceived
from protocol.event import Submitted as MachineSubmitted
from protocol.ids import AgentId, StepId
from protocol.message import Ack, Data, Message
from protocol.records import DecisionRecord, Record
from protocol.step import OutputDraft, Read, StepDraft, StepRecord, Write
from protocol.wire import Envelope, encode_frame, encode_record
from protocol.wire import Frame as WireFrame
from sims.baselines.application import Item, content_bytes
from sims.baselines.ebbtide_host import EbbtideHost, Mail, StillHost
from sims.baselines.process import (
    CallOff,
    Durable,
    Effect,
    Elapsed,
    Event,
    FoundWrong,
    Frame,
    Kind,
    Outcome,
    Process,
    Ran,
    Received,
    RunStep,
    Send,
    SetTimer,
    Setting,
    Started,
    Submitted,
    Undo,
)
from sims.baselines.process import Write as WriteEffect

_items = msgpack.Decoder(Item)
START_US = 1_000_000
"""The machine's time when the rig's is 0: it takes 0 for "never"."""


class Body(NamedTuple):
    """What a frame carries: its sender's colour, and a message to the agent."""

    epoch: int
    message: Message


class Ebbtide:
    """One agent's machine, and its host's."""

    def __init__(self, number: int, setting: Setting) -> None:
        self.number = number
        self.name: AgentId = f"a{number}"
        self.machine = PeerMachine(self.name)
        makes = setting.checkpoint_us > 0
        self.host = EbbtideHost(number, setting, START_US, self._feed) if makes else StillHost(self._feed)
        self.inputs = 0
        self.timer_us: int | None = None
        self.steps: dict[int, StepId] = {}
        """Own steps by their numbers in the rig."""
        self.numbers: dict[StepId, int] = {}

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        """Let the machine handle an event."""
        match event:
            case Started():
                return [*self._feed(Recovered(()), now_us), *self.host.started(now_us)]
            case Submitted():
                self.inputs += 1
                return self._feed(MachineSubmitted(0, "world", self.inputs, (msgpack.encode(event.item),)), now_us)
            case Received():
                return self._received(event.sender, event.frame.body, now_us)
            case Ran():
                return self._ran(event.run, event.outcome, now_us)
            case Durable():
                if event.ticket < 0:
                    return self.host.durable(-event.ticket, now_us)
                return self._feed(Appended(event.ticket), now_us)
            case Elapsed():
                if event.timer == "checkpoint":
                    return self.host.elapsed(now_us)
                self.timer_us = None
                return self._feed(MachineElapsed(), now_us)
            case FoundWrong():
                return self._feed(ProposeWanted(1, (self.steps[event.step],), "retry", "wrong"), now_us)

    def value(self, key: str) -> int | None:
        """Return the current value of a key."""
        value, _ = self.machine.core.versions.read(key)
        return None if value is None else int(value)

    def waiting(self) -> int:
        """Return how many inputs wait, those that are deferred included."""
        return self.machine.stepping.backlog() - (self.machine.stepping.running is not None)

    def _received(self, sender: int, body: Body | Mail, now_us: int) -> list[Effect]:
        effects = self.host.stamped(sender, body.epoch, now_us)
        if isinstance(body, Mail):
            return [*effects, *self.host.received(sender, body.message, now_us)]
        return [*effects, *self._feed(MachineReceived(f"a{sender}", body.message), now_us)]

    def _ran(self, run: int, outcome: Outcome, now_us: int) -> list[Effect]:
        draft = StepDraft(
            reads=tuple(Read(key, self.steps.get(writer)) for key, writer in outcome.reads),
            writes=tuple(Write(key, b"%d" % value) for key, value in outcome.writes),
            outputs=tuple(
                OutputDraft(f"a{receiver}", msgpack.encode(item), key=str(at))
                for at, (receiver, item) in enumerate(outcome.sends)
            ),
        )
        running = self.machine.stepping.running
        assert running is not None
        assert running[0] == run, "the machine runs something else"
        step = running[1]
        self.steps[outcome.step], self.numbers[step] = step, outcome.step
        effects = self._feed(StepRan(run, draft), now_us)
        if step in self.machine.core.cone:
            return effects
        # Something that it read no longer stands, or may not: the machine has not taken it.
        del self.steps[outcome.step], self.numbers[step]
        return [CallOff(), *effects]

    def _feed(self, event: MachineEvent, now_us: int) -> list[Effect]:
        """Feed the machine, and what it says to its own agent too."""
        effects: list[Effect] = []
        events = [event]
        while events:
            for action in self.machine.handle(events.pop(0), START_US + now_us):
                answer, done = self._do(action, now_us)
                events.extend(answer)
                effects.extend(done)
        deadline_us = self.machine.deadline_us
        if deadline_us is not None and (self.timer_us is None or deadline_us < self.timer_us):
            self.timer_us = max(deadline_us, START_US + now_us + 1)
            effects.append(SetTimer("deadline", self.timer_us - START_US - now_us))
        return effects

    def _do(self, action: Action, now_us: int) -> tuple[list[MachineEvent], list[Effect]]:
        match action:
            case MachineSend():
                if action.receiver == self.name:
                    return [MachineReceived(self.name, action.message)], []
                return [], [Send(int(action.receiver[1:]), self._frame(action.receiver, action.message))]
            case MachineRunStep():
                return [], [RunStep(action.run, _items.decode(action.input.payload))]
            case Append():
                size = sum(len(encode_record(record)) for record in action.records)
                return [], [*self._undone(action.records), WriteEffect(action.ticket, size)]
            case Consult():
                return [Consulted(action.proposal.id, True)], []
            case CutReady():
                return [], self.host.cut_ready(action, now_us)
            case Reply():
                assert not action.error, action.error
            case Publish() | Share():
                raise AssertionError(f"nothing here is shared or lost: {action}")
        return [], []

    def _frame(self, receiver: AgentId, message: Message) -> Frame:
        """Return a frame with one message, as long as the real codec makes it."""
        body = Body(self.host.epoch, message)
        size = len(encode_frame(WireFrame((Envelope(self.name, receiver, message),), epoch=body.epoch)))
        if isinstance(message, Data):
            return Frame("application", body, size, content_bytes(_items.decode(message.input.payload)))
        kind: Kind = "acknowledgment" if isinstance(message, Ack) else "rollback"
        return Frame(kind, body, size)

    def _undone(self, records: tuple[Record, ...]) -> list[Effect]:
        undone: list[Effect] = []
        for record in records:
            if isinstance(record, DecisionRecord):
                assert record.decision == "commit", f"{self.name} has not agreed: {record.rejects}"
                undone.append(Undo(tuple(self.numbers[step] for step in record.retracted)))
            elif isinstance(record, StepRecord):
                assert record.step in self.numbers
        return undone


def processes(setting: Setting) -> list[Process]:
    """Return the protocol's processes."""
    return [Ebbtide(number, setting) for number in setting.graph]
