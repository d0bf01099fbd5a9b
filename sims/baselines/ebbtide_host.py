"""The checkpoints of one Ebbtide host with one agent: the unchanged machine of `protocol/`, and what it asks for.

Source: docs/protocol.md, CP-1 to CP-6. There are neither restores nor deaths here, so only epochs remain.
"""

from collections.abc import Callable

from protocol.action import CutReady
from protocol.checkpoints.agents import Standing
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import (
    AppendHost,
    CheckpointAction,
    CheckpointMessage,
    CommitRecord,
    MakeCut,
    SendHost,
    Settle,
)
from protocol.event import Event as MachineEvent
from protocol.event import Settled
from protocol.ids import AgentId, HostId
from protocol.limits import CheckpointLimits
from protocol.wire import Frame as WireFrame
from protocol.wire import encode_frame, encode_host_record
from sims.baselines.process import Effect, Frame, Send, SetTimer, Setting, Write
from sims.virtual.chance import stream

GOSSIP_US = 10_000
"""How often a host tells another what it knows of an open epoch: some ten times what a frame takes here."""


class Mail:
    """What one host sends another: its colour, and a message of checkpoints."""

    def __init__(self, epoch: int, message: CheckpointMessage) -> None:
        self.epoch = epoch
        self.message = message


class EbbtideHost:
    """One host's checkpoint machine.

    Args:
        number: of the agent that lives there.
        setting: as for any process.
        start_us: the machine's time when the rig's is 0.
        feed: lets the agent's machine handle an event; returns what is to be done.
    """

    def __init__(
        self, number: int, setting: Setting, start_us: int, feed: Callable[[MachineEvent, int], list[Effect]]
    ) -> None:
        self.name: HostId = _host(number)
        self.agent: AgentId = f"a{number}"
        limits = CheckpointLimits(interval_us=setting.checkpoint_us, gossip_us=GOSSIP_US)
        self.machine = CheckpointMachine(self.name, stream(setting.seed, f"host/{number}"), limits)
        self.hosts = tuple(sorted(_host(agent) for agent in setting.graph))
        self.start_us = start_us
        self.timer_us: int | None = None
        self._feed = feed

    @property
    def epoch(self) -> int:
        """The colour of this host."""
        return self.machine.epochs.colour

    def started(self, now_us: int) -> list[Effect]:
        """Begin as a member of a view that holds everybody."""
        first = CommitRecord(Commit(0, self.hosts))
        actions = self.machine.start([first], {self.agent: Standing(0)}, False, self.start_us + now_us)
        self.machine.others(tuple(host for host in self.hosts if host != self.name))
        return self._do(actions, now_us)

    def stamped(self, sender: int, epoch: int, now_us: int) -> list[Effect]:
        """See a frame's colour before anything in it is handled."""
        actions = self.machine.stamped(_host(sender), epoch, 0, self.start_us + now_us)
        assert self.machine.takes(_host(sender), 0), "everybody is in the view"
        return self._do(actions, now_us)

    def received(self, sender: int, message: CheckpointMessage, now_us: int) -> list[Effect]:
        """Take in what another host says."""
        return self._do(self.machine.received(_host(sender), message, self.start_us + now_us), now_us)

    def durable(self, ticket: int, now_us: int) -> list[Effect]:
        """A record of the host is on its disk."""
        return self._do(self.machine.appended(ticket, self.start_us + now_us), now_us)

    def elapsed(self, now_us: int) -> list[Effect]:
        """The timer has come."""
        self.timer_us = None
        return self._do(self.machine.elapsed(self.start_us + now_us), now_us)

    def cut_ready(self, ready: CutReady, now_us: int) -> list[Effect]:
        """The agent's cut is durable."""
        # Nobody dies here, so nobody asks what the agent has folded.
        turns = self.machine.agent_cut(self.agent, ready, 0, self.start_us + now_us)
        return [effect for actions in turns for effect in self._do(actions, now_us)]

    def _do(self, actions: list[CheckpointAction], now_us: int) -> list[Effect]:
        effects: list[Effect] = []
        for action in actions:
            match action:
                case MakeCut() | Settle():
                    effects.extend(self._feed(action.event, now_us))
                case AppendHost():
                    # The agent's tickets are above 0.
                    effects.append(Write(-action.ticket, len(encode_host_record(action.record))))
                case SendHost():
                    size = len(encode_frame(WireFrame(checkpoints=(action.message,), epoch=self.epoch)))
                    receiver = int(action.host[1:])
                    effects.append(Send(receiver, Frame("checkpoint", Mail(self.epoch, action.message), size)))
                case _:
                    raise AssertionError(f"there are no restores or deaths here: {action}")
        deadline_us = self.machine.deadline_us
        if deadline_us is not None and (self.timer_us is None or deadline_us < self.timer_us):
            self.timer_us = max(deadline_us, self.start_us + now_us + 1)
            effects.append(SetTimer("checkpoint", self.timer_us - self.start_us - now_us, periodic=True))
        return effects


class StillHost:
    """A host that makes no checkpoints, and is in the view from the beginning: it has nothing to say to others.

    Args:
        feed: as of `EbbtideHost`.
    """

    epoch = 0

    def __init__(self, feed: Callable[[MachineEvent, int], list[Effect]]) -> None:
        self._feed = feed

    def started(self, now_us: int) -> list[Effect]:
        """Tell the agent what every host in the view tells its agents first."""
        return self._feed(Settled(0, (), 0), now_us)

    def stamped(self, sender: int, epoch: int, now_us: int) -> list[Effect]:
        """See a frame's colour, which is always the same."""
        assert epoch == self.epoch, "nobody makes checkpoints here"
        return []

    def received(self, sender: int, message: CheckpointMessage, now_us: int) -> list[Effect]:
        """Nobody says anything about checkpoints. Raises: AssertionError."""
        raise AssertionError(f"nobody makes checkpoints here: {message}")

    def durable(self, ticket: int, now_us: int) -> list[Effect]:
        """It has written nothing. Raises: AssertionError."""
        raise AssertionError(f"this host has written nothing: {ticket}")

    def elapsed(self, now_us: int) -> list[Effect]:
        """It has set no timer. Raises: AssertionError."""
        raise AssertionError("this host has set no timer")

    def cut_ready(self, ready: CutReady, now_us: int) -> list[Effect]:
        """No agent is asked for a cut. Raises: AssertionError."""
        raise AssertionError(f"nobody makes checkpoints here: {ready}")


def _host(number: int) -> HostId:
    return f"h{number}"
