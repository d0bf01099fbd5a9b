"""A crowd of agents at steady work in one process: events a second, bytes an agent, checkpoints and rollbacks."""

import gc
import time
from dataclasses import dataclass
from random import Random
from statistics import median_high

from protocol.ids import AgentId, StepId
from sims.metrics import rollback_costs
from sims.scale.memory import rss_bytes
from sims.virtual.chance import stream
from sims.workload import Poisson, Workload
from sims.world import World

AGENTS_PER_HOST = 100
HOSTS_MAX = 100
"""More agents are packed onto these: each host knows where every agent lives."""
INPUTS_PER_AGENT_S = 0.2
"""Inputs from outside, by agent and virtual second; about four steps follow from each."""
CHECKPOINT_S = 1.0
"""Virtual seconds between checkpoints."""
ROLLBACKS = 5
WARM_S = 0.5
"""Virtual seconds for hosts to meet, before the work begins."""


@dataclass(frozen=True)
class CrowdRow:
    """What a crowd did and cost. Seconds are the machine's own, but where they are called virtual."""

    agents: int
    hosts: int
    virtual_s: float
    setup_s: float
    """Until all agents are up and their hosts know each other."""
    run_s: float
    steps: int
    peer_events: int
    """Events that the agents' machines handled."""
    frames: int
    """Frames that arrived; each is an event of two more machines of its host."""
    events_per_s: float
    """Events of agents' machines and frames, by second of the run."""
    idle_bytes_per_agent: float
    """Resident memory once all agents are up, less what the process had before."""
    bytes_per_agent: float
    """The same at the end."""
    rss_bytes: int
    checkpoints: int
    rollbacks: int
    undone_max: int
    """Steps of the largest cone."""
    rollback_virtual_ms_median: float
    """From a proposal to the last elector's decision."""
    rollback_messages_median: float
    settle_virtual_s: float
    """Until everything under way had ended."""


def crowd(agents: int, virtual_s: float = 5.0, seed: int = 1) -> CrowdRow:
    """Let a crowd work, with checkpoints and rollbacks all the time.

    Args:
        agents: how many, in hosts of `AGENTS_PER_HOST`, or of more where that takes more than `HOSTS_MAX` hosts.
        virtual_s: how long inputs come.
    """
    hosts = min(HOSTS_MAX, max(2, -(-agents // AGENTS_PER_HOST)))
    per_host = -(-agents // hosts)
    before, began_s = rss_bytes(), time.perf_counter()
    rate = INPUTS_PER_AGENT_S * agents
    work = Workload(
        inputs=int(rate * virtual_s), arrivals=Poisson(rate), shared=0.0, failing=0.0, calls=0.0, begin=WARM_S
    )
    world = World(
        seed, hosts, per_host, "random-regular", checking="end", checkpoint_every=CHECKPOINT_S, checkpoints_kept=2
    )
    with world:
        names = world.populate(work)
        world.run(until=WARM_S)
        gc.collect()
        idle, set_up_s = rss_bytes() - before, time.perf_counter()
        events, frames = world.engine.trace.events, world.engine.trace.frames.get("arrived", 0)
        undone, latencies, messages = _work(world, names, virtual_s, seed)
        at = world.now
        settled = world.settle() - at
        done_s = time.perf_counter()
        peer_events = world.engine.trace.events - events
        frames = world.engine.trace.frames.get("arrived", 0) - frames
        rss = rss_bytes()
        return CrowdRow(
            agents=len(names), hosts=hosts, virtual_s=virtual_s, setup_s=set_up_s - began_s, run_s=done_s - set_up_s,
            steps=sum(driver.machine.core.seq for driver in world.engine.drivers().values()),
            peer_events=peer_events, frames=frames, events_per_s=(peer_events + frames) / (done_s - set_up_s),
            idle_bytes_per_agent=idle / len(names), bytes_per_agent=(rss - before) / len(names), rss_bytes=rss,
            checkpoints=_committed(world), rollbacks=len(undone), undone_max=max(undone),
            rollback_virtual_ms_median=median_high(latencies), rollback_messages_median=float(median_high(messages)),
            settle_virtual_s=settled,
        )  # fmt: skip


def _work(world: World, names: list[AgentId], virtual_s: float, seed: int) -> tuple[list[int], list[float], list[int]]:
    """Run, and roll a step back now and then; return how many steps each undid, its latency in ms, its messages."""
    rng = stream(seed, "scale/rollbacks")
    undone: list[int] = []
    latencies: list[float] = []
    messages: list[int] = []
    for number in range(1, ROLLBACKS + 1):
        world.run(until=max(world.now, WARM_S + virtual_s * number / ROLLBACKS))
        outcome = world.rollback(_some_step(world, names, rng))
        undone.append(len(outcome.undone))
        latencies.append(outcome.seconds * 1000)
        messages.append(rollback_costs(world).get(outcome.proposal, (0, 0))[0])
    return undone, latencies, messages


def _some_step(world: World, names: list[AgentId], rng: Random) -> StepId:
    """Return the last step of an agent that has taken one and has passed something on since the last commit."""
    while True:
        core = world.machine(rng.choice(names)).core
        for seq in range(core.seq, max(0, core.seq - 3), -1):
            step = StepId(core.agent, core.incarnation, seq)
            if step in core.cone and core.cone.record(step).outputs:
                return step


def _committed(world: World) -> int:
    hosts = [box.host for box in world.engine.boxes.values() if box.host is not None]
    return min(host.checkpoints.machine.epochs.committed for host in hosts)
