"""A few host machines side by side, cranked by hand."""

import random
from collections.abc import Callable, Iterable

from protocol.fact import HostFact
from protocol.hosts.machine import HostMachine, Knock, Tell
from protocol.limits import HostLimits
from protocol.wire import Frame, decode_frame, encode_frame

SECOND = 1_000_000
LIMITS = HostLimits()


class Hosts:
    """Host machines side by side; what they say arrives at once, or not at all."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self.now_us = SECOND
        self.machines: dict[str, HostMachine] = {}
        self.said: list[tuple[str, Tell | Knock]] = []
        self.done: list[tuple[str, object]] = []
        self.dead: dict[str, None] = {}
        self.loses: Callable[[str, str, object], bool] = lambda sender, receiver, action: False
        for n in range(count):
            self.start(f"h{n}", seed + n)

    def start(self, host: str, seed: int = 1, agents: tuple[str, ...] | None = None) -> None:
        self.dead.pop(host, None)
        self.machines[host] = HostMachine(host, random.Random(seed), ("at-h0",))
        own = HostFact(host, self.now_us, f"at-{host}", (f"agent-{host}",) if agents is None else agents)
        self.carry(host, self.machines[host].publish(own, self.now_us))

    def carry(self, host: str, actions: Iterable[object]) -> None:
        todo = [(host, action) for action in actions]
        while todo:
            sender, action = todo.pop(0)
            if not isinstance(action, Tell | Knock):
                self.done.append((sender, action))
                continue
            self.said.append((sender, action))
            receiver = action.host if isinstance(action, Tell) else action.address.removeprefix("at-")
            if receiver in self.dead or receiver not in self.machines or self.loses(sender, receiver, action):
                continue
            probes = action.probes if isinstance(action, Tell) else ()
            frame = decode_frame(encode_frame(Frame(facts=action.facts, compare=action.compare, probes=probes)))
            more = self.machines[receiver].received(sender, frame.facts, frame.compare, frame.probes, self.now_us)
            todo += [(receiver, other) for other in more]

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        end_us = self.now_us + int(seconds * SECOND)
        while not until():
            host = min((h for h in self.machines if h not in self.dead), key=lambda h: self.machines[h].deadline_us)
            if self.machines[host].deadline_us > end_us:
                self.now_us = end_us
                return
            self.now_us = max(self.now_us, self.machines[host].deadline_us)
            self.carry(host, self.machines[host].elapsed(self.now_us))

    def alive(self) -> list[HostMachine]:
        return [machine for host, machine in self.machines.items() if host not in self.dead]

    def agree(self) -> bool:
        views = [tuple((h, m.standing(h)) for h in self.machines if h != m.host) for m in self.alive()]
        full = {h: s for view in views for h, s in view}
        return all(dict(view).get(h) == full[h] for view in views for h, _ in view)
