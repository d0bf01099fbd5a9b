"""What it costs N hosts to know: how fast news spreads, what a comparison costs, how soon a failed host is found.

The machines are those of a real host, the network is simulated, and a seed decides all. Sizes are of frames' bodies: a
frame's header, with key and signature, adds 105 (`HEADER_BYTES` of `peer/transport/frame.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from protocol.fact import Began, fact_key
from protocol.hosts.gossip import Gossip
from protocol.hosts.machine import Failed
from protocol.ids import HostId
from protocol.limits import HostLimits
from protocol.wire import Frame, encode_frame
from sims.spread.host_world import HostWorld, Network

SPREADS = 10
"""Facts spread one after the other, for a median."""
DEATHS = 3
IDLE_S = 30.0
LOSSY_S = 60.0
SPREAD_S_MAX = 60.0
DETECT_S_MAX = 300.0
STAGES = ("meet", "idle", "spread", "compare", "lossy", "detect")
Stage = Literal["meet", "idle", "spread", "compare", "lossy", "detect"]


@dataclass(frozen=True)
class Row:
    """What was measured among so many hosts. Seconds are virtual; bytes are of frames' bodies."""

    hosts: int
    seed: int
    loss_percent: int
    idle_frames_per_host_s: float
    idle_bytes_per_host_s: float
    spread_s_median: float
    """From a fact's publication until every host has it."""
    spread_s_max: float
    spread_copies_per_host: float
    """How often a host sends a new fact."""
    spread_bytes_per_host: float
    lossy_spread_s_median: float
    """The same while frames are lost."""
    lossy_spread_s_max: float
    same_bytes: int
    """What it takes two hosts to find that they hold the same."""
    one_differs_frames: int
    one_differs_bytes: int
    """What it takes two hosts to find and mend that one lacks one fact."""
    detect_s_first: float
    """From a host's death until the first host, and then the last, knows that it has failed; medians."""
    detect_s_all: float
    lossy_doubts_refuted: int
    """How often a host was doubted, and refuted it, while frames were lost for a minute."""
    lossy_false_alarms: int
    """How many hosts were declared failed meanwhile, although they ran."""


def measure(
    hosts: int, seed: int, loss_percent: int = 5, limits: HostLimits | None = None,
    entered: Callable[[Stage], None] = lambda stage: None,
) -> Row:  # fmt: skip
    """Measure a world of `hosts` machines; `entered` is told each stage as it begins."""
    entered("meet")
    world = HostWorld(seed, Network(), limits)
    names = [f"{number:016x}" for number in range(hosts)]
    world.acquaint(names)
    world.run(5)
    entered("idle")
    frames, size = world.sent.frames, world.sent.bytes
    world.run(IDLE_S)
    idle_frames = (world.sent.frames - frames) / hosts / IDLE_S
    idle_bytes = (world.sent.bytes - size) / hosts / IDLE_S
    entered("spread")
    spreads = list(_spreads(world, names, "quiet"))
    entered("compare")
    same, one_frames, one = _comparisons(world.machines[names[0]].gossip, world.machines[names[-1]].gossip)
    entered("lossy")
    world.network.loss_percent = loss_percent
    incarnations = sum(machine.membership.incarnation for machine in world.machines.values())
    alarms = len(world.turned)
    world.run(LOSSY_S)
    refuted = sum(machine.membership.incarnation for machine in world.machines.values()) - incarnations
    lossy = list(_spreads(world, names, "lossy"))
    wrong = {action.host for _, _, action in world.turned[alarms:] if isinstance(action, Failed)}
    entered("detect")
    world.network.loss_percent = 0
    detections = [_detect(world, names[death + 1]) for death in range(min(DEATHS, hosts - 2))]
    return Row(
        hosts=hosts, seed=seed, loss_percent=loss_percent,
        idle_frames_per_host_s=idle_frames, idle_bytes_per_host_s=idle_bytes,
        spread_s_median=_median([seconds for seconds, _, _ in spreads]),
        spread_s_max=max(seconds for seconds, _, _ in spreads),
        spread_copies_per_host=_median([copies / hosts for _, copies, _ in spreads]),
        spread_bytes_per_host=_median([size / hosts for _, _, size in spreads]),
        lossy_spread_s_median=_median([seconds for seconds, _, _ in lossy]),
        lossy_spread_s_max=max(seconds for seconds, _, _ in lossy),
        same_bytes=same, one_differs_frames=one_frames, one_differs_bytes=one,
        detect_s_first=_median([first for first, _ in detections]),
        detect_s_all=_median([last for _, last in detections]),
        lossy_doubts_refuted=refuted, lossy_false_alarms=len(wrong),
    )  # fmt: skip


def spreads(hosts: int, seed: int) -> list[tuple[float, int, int]]:
    """Spread facts one by one among hosts that are at rest otherwise.

    Returns: for each the virtual seconds until all had it, the copies sent in all, and their bytes.
    """
    world = HostWorld(seed, Network())
    names = [f"{number:016x}" for number in range(hosts)]
    world.acquaint(names)
    world.run(1)
    return list(_spreads(world, names, "quiet"))


def _spreads(world: HostWorld, names: list[HostId], about: str) -> Iterator[tuple[float, int, int]]:
    """Spread facts one by one; yield the seconds until all have it, and the copies sent and their bytes in all."""
    for number in range(SPREADS):
        fact = Began(f"{about}-{number}", 2, ())
        without = dict.fromkeys(names)
        copies = size = 0

        def heard(host: HostId, fact: Began = fact, without: dict[HostId, None] = without) -> None:
            if host in without and world.machines[host].gossip.get(fact_key(fact)) is not None:
                del without[host]

        def sending(frame: Frame, _: int, fact: Began = fact) -> None:
            nonlocal copies, size
            if fact in frame.facts:
                copies += 1
                size += len(encode_frame(Frame(facts=(fact,))))

        world.heard, world.sending = heard, sending
        began_us = world.now_us
        origin = names[number % len(names)]
        world.publish(origin, fact)
        heard(origin)
        world.run(SPREAD_S_MAX, until=lambda without=without: not without)
        seconds = (world.now_us - began_us) / 1e6
        world.run(3)
        world.heard, world.sending = lambda host: None, lambda frame, size: None
        yield seconds, copies, size


def _comparisons(one: Gossip, other: Gossip) -> tuple[int, int, int]:
    _, same = _compare(one, other)
    one.learn(Began("differs", 2, ()))
    frames, size = _compare(one, other)
    return same, frames, size


def _compare(one: Gossip, other: Gossip) -> tuple[int, int]:
    compare, here, there = one.opening(), other, one
    frames = size = 0
    while compare is not None:
        frames += 1
        size += len(encode_frame(Frame(compare=compare)))
        for fact in compare.facts:
            here.learn(fact)
        compare = here.answer(compare)
        here, there = there, here
    return frames, size


def _detect(world: HostWorld, victim: HostId) -> tuple[float, float]:
    world.run(10)
    world.kill(victim)
    began_us, seen = world.now_us, len(world.turned)

    def told() -> list[int]:
        return [at for at, _, action in world.turned[seen:] if action == Failed(victim)]

    world.run(DETECT_S_MAX, until=lambda: len(world.turned) - seen >= len(world.machines) == len(told()))
    times = told()
    return (min(times) - began_us) / 1e6, (max(times) - began_us) / 1e6


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
