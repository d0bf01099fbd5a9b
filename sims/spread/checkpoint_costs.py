"""What a coordinated checkpoint costs N hosts: frames, bytes, and rounds until all know of the commit (CP-2).

The machines are those of a real host; disks take no time, agents none, so what is left is the gossip of counts. A seed
decides who talks to whom. Sizes are of frames' bodies, as in `sims.spread.dissemination`.
"""

import heapq
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import (
    AppendHost,
    CheckpointAction,
    CheckpointMessage,
    CommitRecord,
    MakeCut,
    SendHost,
)
from protocol.checkpoints.tally import Tally
from protocol.ids import HostId
from protocol.limits import CheckpointLimits
from protocol.wire import Frame, encode_frame

EPOCHS = 3
"""Checkpoints one after the other, for a median."""
DELAY_US = (500, 5_000)
"""How long a frame takes."""


@dataclass(frozen=True)
class CheckpointRow:
    """What a checkpoint was measured to cost among so many hosts: medians over some of them. Seconds are virtual."""

    hosts: int
    seed: int
    cut_s: float
    """From the beginning until the last host has made its cut."""
    committed_s_first: float
    """Until the first host, and then the last, knows that the epoch is committed."""
    committed_s_all: float
    rounds: float
    """The same, in waits of the gossip."""
    frames_per_host: float
    """Frames that a host sends until all is quiet again: of all kinds, and of those a count or a commit."""
    tallies_per_host: float
    commits_per_host: float
    bytes_per_host: float
    tally_bytes: float
    """Mean size of a frame with a count."""
    commit_bytes: float
    """Mean size of a frame with a commit, which names the view."""


@dataclass
class _Sent:
    frames: int = 0
    bytes: int = 0


class _Crowd:
    """Checkpoint machines on a network with delays; all are members of the first view."""

    def __init__(self, hosts: int, seed: int) -> None:
        self.now_us = 0
        self.limits = CheckpointLimits()
        self.rng = Random(seed)
        self.names = sorted(blake2b(f"{seed}/{at}".encode(), digest_size=16).hexdigest() for at in range(hosts))
        self.machines: dict[HostId, CheckpointMachine] = {}
        self.sent: dict[type, _Sent] = {}
        self.cut: dict[HostId, int] = {}
        self.committed: dict[HostId, int] = {}
        """By host, when it made its last cut, and learnt of its last commit."""
        self._heap: list[tuple[int, int, HostId, tuple[HostId, int, CheckpointMessage] | None]] = []
        self._count = 0
        self._timers: dict[HostId, int] = {}
        self._empty = len(encode_frame(Frame()))
        self._sizes: dict[int, tuple[CheckpointMessage, int]] = {}
        view = Commit(0, tuple(self.names))
        for name in self.names:
            machine = self.machines[name] = CheckpointMachine(name, Random(self.rng.getrandbits(64)), self.limits)
            machine.others(tuple(other for other in self.names if other != name))
            self.do(name, machine.start([CommitRecord(view)], {}, False, 0))

    def do(self, name: HostId, actions: list[CheckpointAction]) -> None:
        """Carry out what a machine says."""
        machine = self.machines[name]
        for action in actions:
            match action:
                case SendHost():
                    self._send(name, action.host, action.message)
                case AppendHost():
                    if isinstance(action.record, CommitRecord):
                        self.committed[name] = self.now_us
                    self.do(name, machine.appended(action.ticket, self.now_us))
                case MakeCut():
                    self.cut[name] = self.now_us
                    self.do(name, machine.cut_done(action.epoch, action.epoch, (), self.now_us))
                case _:
                    pass
        due_us = machine.deadline_us
        if due_us is not None and (name not in self._timers or due_us < self._timers[name]):
            self._timers[name] = max(due_us, self.now_us)
            self._push(self._timers[name], name, None)

    def run(self) -> None:
        """Go on until nothing is left to do."""
        while self._heap:
            self.now_us, _, name, mail = heapq.heappop(self._heap)
            machine = self.machines[name]
            if mail is not None:
                sender, epoch, message = mail
                self.do(name, machine.stamped(sender, epoch, 0, self.now_us))
                self.do(name, machine.received(sender, message, self.now_us))
            elif self._timers.get(name) == self.now_us:
                del self._timers[name]
                self.do(name, machine.elapsed(self.now_us))

    def _send(self, sender: HostId, receiver: HostId, message: CheckpointMessage) -> None:
        kept = self._sizes.get(id(message))
        if kept is None or kept[0] is not message:
            # A commit is one value, sent many times over, and long.
            kept = (message, len(encode_frame(Frame(checkpoints=(message,), epoch=1))))
            if isinstance(message, Commit):
                self._sizes[id(message)] = kept
        sent = self.sent.setdefault(type(message), _Sent())
        sent.frames += 1
        sent.bytes += kept[1]
        epoch = self.machines[sender].epochs.colour
        self._push(self.now_us + self.rng.randint(*DELAY_US), receiver, (sender, epoch, message))

    def _push(self, at_us: int, name: HostId, mail: tuple[HostId, int, CheckpointMessage] | None) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at_us, self._count, name, mail))


def measure_checkpoints(hosts: int, seed: int) -> CheckpointRow:
    """Measure checkpoints of `hosts` hosts that are all members of the view, with nobody dead and no frame lost."""
    crowd = _Crowd(hosts, seed)
    rows = [_checkpoint(crowd, seed, epoch) for epoch in range(1, EPOCHS + 1)]
    return CheckpointRow(hosts, seed, *(sorted(column)[len(rows) // 2] for column in zip(*rows, strict=True)))


def _checkpoint(crowd: _Crowd, seed: int, epoch: int) -> tuple[float, ...]:
    hosts = len(crowd.names)
    crowd.sent.clear()
    # Between two checkpoints the hosts fall out of step.
    crowd.now_us += 1_000_000
    began_us = crowd.now_us
    first = crowd.names[crowd.rng.randrange(hosts)]
    crowd.do(first, crowd.machines[first].begin(epoch, began_us))
    crowd.run()
    assert all(machine.epochs.committed == epoch for machine in crowd.machines.values()), "not committed everywhere"
    cut = max(crowd.cut.values()) - began_us
    times = [time_us - began_us for time_us in crowd.committed.values()]
    tallies, commits = crowd.sent.get(Tally, _Sent()), crowd.sent.get(Commit, _Sent())
    return (
        cut / 1e6, min(times) / 1e6, max(times) / 1e6, max(times) / crowd.limits.gossip_us,
        sum(sent.frames for sent in crowd.sent.values()) / hosts, tallies.frames / hosts, commits.frames / hosts,
        sum(sent.bytes for sent in crowd.sent.values()) / hosts,
        tallies.bytes / max(1, tallies.frames), commits.bytes / max(1, commits.frames),
    )  # fmt: skip
