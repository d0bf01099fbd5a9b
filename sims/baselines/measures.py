"""What one run of one protocol has cost, and the figure of merit: docs/baselines.md defines each."""

from msgspec import Struct

from sims.baselines.process import KINDS, Kind
from sims.baselines.rig import Rig

MESSAGE_US = 50.0
"""What a message of the protocol costs its sender and receiver together, in microseconds of an agent."""

BYTE_US = 0.01
"""What a byte costs that the protocol adds: about 800 Mbit a second."""


class Measured(Struct, frozen=True):
    """One run. Times are in seconds; those of several agents are added up."""

    protocol: str
    topology: str
    agents: int
    seed: int
    found_after_s: float
    steps: int
    """Steps that stand in the end: the same for every protocol under the same load."""
    cone: int
    """The wrong step and all that depends on it."""
    cone_agents: int
    undone: int
    undone_agents: int
    innocent: int
    """Steps undone that do not depend on the wrong one."""
    lost_s: float
    """Run time of innocent work that had to be repeated: steps undone, runs broken off, replays."""
    vain_s: float
    """Run time of work that hangs on the wrong step and was begun after it was found out: a quick protocol has less."""
    held_agents: int
    held_s: float
    """Time in which an agent had inputs waiting, and the protocol let it handle none."""
    stopped_agents: int
    stopped_s: float
    """Time in which agents were told to begin nothing, whether or not anything waited."""
    rounds: int
    """Messages in the longest chain of cause and effect from the request to the last undo or resume."""
    undone_after_s: float
    """From the request until the last step was undone."""
    redone_after_s: float
    """From the request until all work that was undone and is wanted was done again."""
    rollback_messages: int
    rollback_bytes: int
    checkpoint_messages: int
    checkpoint_bytes: int
    report_messages: int
    report_bytes: int
    acknowledgments: int
    acknowledgment_bytes: int
    application_messages: int
    metadata_bytes: float
    """Bytes of the protocol on each message of the application."""
    written_bytes: int
    useful_s: float
    """Run time of the steps that stand."""
    efficiency: float
    """The figure of merit: useful time over useful, lost, vain and held time and the time that messages cost."""


def measured(rig: Rig, protocol: str) -> Measured:
    """Return what a run that has ended has cost."""
    steps, traffic = rig.truth.steps, rig.traffic
    reached = rig.truth.cone()
    cone = {number for number in reached if steps[number].ended_us >= 0}
    undone = rig.truth.undone()
    innocent = undone - cone
    lost_us = rig.replayed_us + sum(steps[number].run_us for number in innocent)
    vain_us = sum(steps[number].run_us for number in cone if steps[number].began_us >= rig.found_us)
    for step in steps.values():
        if step.called_off_us >= 0 and step.number not in reached:
            lost_us += step.called_off_us - step.began_us
        elif step.called_off_us >= 0 and step.began_us >= rig.found_us:
            vain_us += step.called_off_us - step.began_us
    held_us = sum(seat.held_us for seat in rig.seats)
    useful_us = sum(step.run_us for step in rig.truth.standing())
    own: list[Kind] = [kind for kind in KINDS if kind != "application"]
    frames = sum(traffic.frames[kind] for kind in own)
    sizes = sum(traffic.sizes[kind] for kind in own) + traffic.piggybacked
    messages_us = frames * MESSAGE_US + sizes * BYTE_US
    work = {(steps[number].agent, steps[number].item.lineage) for number in undone}
    again_us = [step.ended_us for step in rig.truth.standing() if (step.agent, step.item.lineage) in work]
    return Measured(
        protocol=protocol,
        topology=rig.load.topology,
        agents=rig.load.agents,
        seed=rig.load.seed,
        found_after_s=rig.load.found_after_us / 1e6,
        steps=len(rig.truth.standing()),
        cone=len(cone),
        cone_agents=len({steps[number].agent for number in cone}),
        undone=len(undone),
        undone_agents=len({steps[number].agent for number in undone}),
        innocent=len(innocent),
        lost_s=lost_us / 1e6,
        vain_s=vain_us / 1e6,
        held_agents=sum(1 for seat in rig.seats if seat.held_us),
        held_s=held_us / 1e6,
        stopped_agents=sum(1 for seat in rig.seats if seat.stops),
        stopped_s=sum(seat.stopped_us for seat in rig.seats) / 1e6,
        rounds=rig.rounds,
        undone_after_s=(max(steps[number].undone_us for number in undone) - rig.found_us) / 1e6,
        redone_after_s=(max(again_us) - rig.found_us) / 1e6,
        rollback_messages=traffic.frames["rollback"],
        rollback_bytes=traffic.sizes["rollback"],
        checkpoint_messages=traffic.frames["checkpoint"],
        checkpoint_bytes=traffic.sizes["checkpoint"],
        report_messages=traffic.frames["report"],
        report_bytes=traffic.sizes["report"],
        acknowledgments=traffic.frames["acknowledgment"],
        acknowledgment_bytes=traffic.sizes["acknowledgment"],
        application_messages=traffic.frames["application"],
        metadata_bytes=traffic.piggybacked / max(1, traffic.frames["application"]),
        written_bytes=traffic.written,
        useful_s=useful_us / 1e6,
        efficiency=useful_us / (useful_us + lost_us + vain_us + held_us + messages_us),
    )
