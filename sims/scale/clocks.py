"""What vector clocks cost: entries in each message, against agents, whom they write to, and how long an epoch is."""

from dataclasses import dataclass

from msgspec import structs

from protocol.message import Data
from protocol.step import StepRecord
from protocol.wire import encode_message
from sims.topology import Graph, regular
from sims.workload import Poisson, Workload
from sims.world import World

AGENTS_PER_HOST = 20
AGENTS, DEGREE, EPOCH_S = 200, 4, 0.5
"""What stays the same while another is varied."""
EPOCHS = 6
"""Epochs that a world runs; the first third is left out, in which clocks only grow."""
INPUTS_PER_AGENT_S = 2.0


@dataclass(frozen=True)
class ClockRow:
    """Clocks of the messages between agents."""

    varied: str
    agents: int
    degree: int
    epoch_s: float
    messages: int
    entries_mean: float
    entries_max: int
    clock_bytes_mean: float
    """What a clock adds to a message."""


def clocks(varied: str, agents: int, degree: int, epoch_s: float, seed: int = 1) -> ClockRow:
    """Measure one world, in which every agent writes to `degree` others and gets its share of inputs."""
    hosts = max(2, agents // AGENTS_PER_HOST)
    graph: Graph = regular(agents, degree, seed)
    end_s = epoch_s * EPOCHS
    work = Workload(
        inputs=int(INPUTS_PER_AGENT_S * agents * end_s), arrivals=Poisson(INPUTS_PER_AGENT_S * agents), shared=0.0,
        failing=0.0, calls=0.0,
    )  # fmt: skip
    with World(seed, hosts, 1, checking="end", checkpoint_every=epoch_s, checkpoints_kept=1) as world:
        world.populate(work, graph)
        world.run(until=end_s)
        durable_us, begin_us = world.engine.trace.durable_us, end_s * 1e6 / 3
        sent = [record for record in world.steps() if record.outputs and durable_us[record.step] >= begin_us]
        entries = [len(record.clock) for record in sent for _ in record.outputs]
        sizes = [_clock_bytes(record) for record in sent for _ in record.outputs]
    count = max(1, len(entries))
    return ClockRow(
        varied, agents, degree, epoch_s, len(entries), sum(entries) / count, max(entries, default=0),
        sum(sizes) / count,
    )  # fmt: skip


def _clock_bytes(record: StepRecord) -> int:
    with_clock = structs.replace(record.input, clock=record.clock)
    without = structs.replace(record.input, clock=())
    return len(encode_message(Data(with_clock))) - len(encode_message(Data(without)))
