"""A few hosts' checkpoint machines side by side, cranked by hand: no agents, and disks as fast as the test wants."""

from collections.abc import Callable
from random import Random

from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import (
    AppendHost,
    CheckpointAction,
    CheckpointMessage,
    CheckpointRecord,
    MakeCut,
    ReplyHost,
    SendHost,
    Settle,
)
from protocol.limits import CheckpointLimits

HostMail = tuple[str, str, CheckpointMessage]


class Crowd:
    """Checkpoint machines by name; the first founds the cluster, and all know each other."""

    def __init__(self, *names: str, limits: CheckpointLimits | None = None) -> None:
        self.now_us = 1_000_000
        self.limits = limits or CheckpointLimits()
        self.names = names
        self.machines: dict[str, CheckpointMachine] = {}
        self.logs: dict[str, list[CheckpointRecord]] = {name: [] for name in names}
        self.slow: set[str] = set()
        self.pending: dict[str, list[AppendHost]] = {name: [] for name in names}
        self.mail: list[HostMail] = []
        self.done: dict[str, list[CheckpointAction]] = {name: [] for name in names}
        """Everything that each machine has ever asked for."""
        self.cuts_by_hand: set[str] = set()
        for name in names:
            self.start(name)

    def start(self, name: str) -> None:
        """Begin a life from the log."""
        machine = self.machines[name] = CheckpointMachine(name, Random(name), self.limits)
        machine.others(tuple(other for other in self.names if other != name))
        self.pending[name] = []
        self.do(name, machine.start(self.logs[name], {}, name == self.names[0], self.now_us))

    def do(self, name: str, actions: list[CheckpointAction]) -> None:
        """Take in what a machine says."""
        self.done[name].extend(actions)
        for action in actions:
            match action:
                case SendHost():
                    self.mail.append((name, action.host, action.message))
                case AppendHost():
                    self.pending[name].append(action)
                    if name not in self.slow:
                        self.sync(name)
                case MakeCut():
                    if name not in self.cuts_by_hand:
                        self.do(name, self.machines[name].cut_done(action.epoch, action.epoch, (), self.now_us))
                case _:
                    pass

    def sync(self, name: str) -> None:
        """Make durable what a host has asked for."""
        while self.pending[name]:
            order = self.pending[name].pop(0)
            self.logs[name].append(order.record)
            self.do(name, self.machines[name].appended(order.ticket, self.now_us))

    def stamped(self, receiver: str, sender: str) -> None:
        """Show a host the stamp of another's frame."""
        seen = self.machines[sender]
        self.do(receiver, self.machines[receiver].stamped(sender, seen.epochs.colour, seen.restores.era, self.now_us))

    def deliver(self, wanted: Callable[[HostMail], bool] = lambda mail: True) -> None:
        """Deliver mail that is wanted, with its stamp, until none is left."""
        while True:
            at = next((at for at, mail in enumerate(self.mail) if wanted(mail)), None)
            if at is None:
                return
            sender, receiver, message = self.mail.pop(at)
            self.stamped(receiver, sender)
            self.do(receiver, self.machines[receiver].received(sender, message, self.now_us))

    def rounds(self, count: int = 30, without: tuple[str, ...] = ()) -> None:
        """Let time pass and mail arrive, a few times over; some hosts are away."""
        for _ in range(count):
            self.now_us += self.limits.gossip_us
            for name, machine in self.machines.items():
                if name not in without:
                    self.do(name, machine.elapsed(self.now_us))
            self.mail = [mail for mail in self.mail if mail[0] not in without and mail[1] not in without]
            self.deliver()

    def checkpoint(self, name: str) -> None:
        """Have a host begin an epoch, and let all hear of it."""
        self.do(name, self.machines[name].begin(1, self.now_us))
        self.rounds()

    def of(self, name: str, kind: type) -> list[CheckpointAction]:
        """Return what a machine has asked for, of one kind."""
        return [action for action in self.done[name] if isinstance(action, kind)]

    def replies(self, name: str) -> list[tuple[str, str]]:
        """Return what a host has answered."""
        return [(action.value, action.error) for action in self.done[name] if isinstance(action, ReplyHost)]

    def settled(self, name: str) -> list[int]:
        """Return the epochs by which a host has settled."""
        return [action.epoch for action in self.done[name] if isinstance(action, Settle)]
