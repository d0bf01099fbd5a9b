"""One run: a contender against a fault in a world, and what its measures are."""

from collections.abc import Sequence
from typing import Any

from peer.agents.suspecting import seen_in_log
from peer.audit.reader import trail_of_records
from peer.audit.trail import Trail
from peer.detectors import Seen
from peer.errors import CallerError, EbbtideError
from peer.evaluation import Measures, evaluated
from sims.detection.injection import Injection
from sims.evaluation.contenders import CHECKER, GUARD, Alarms, Checking, Contender, checker, watcher
from sims.evaluation.settings import Setting, Staged
from sims.world import World

HOSTS = 2
CHECKPOINT_S = 2.0
"""Virtual seconds between checkpoints: at each, what is settled by it leaves for good."""
REACTION_S = 1.0
"""How long the operator takes from an alarm to the restore, in virtual seconds."""
RESTORES_MAX = 5
"""So often the operator goes back; whatever comes then stays."""
QUIET_S = 3.0
"""After the last input, so that the last checkpoints let go what waits for them."""
NORMAL = Injection("none")


def normal_steps(setting: Setting, seed: int) -> list[Seen]:
    """Return the steps of a run in which nothing goes wrong, as detectors see them."""
    with _world(seed) as world:
        staged = setting.stage(world, seed, NORMAL, "")
        _to_the_end(world, staged)
        return [seen_in_log(record) for agent in staged.looked_at for record in world.steps(agent)]


def played(
    setting: Setting, seed: int, fault: Injection, contender: Contender, detectors: Sequence[Any],
    checking: Checking, minutes: float,
) -> Measures:  # fmt: skip
    """Play a run, and return its measures.

    Args:
        setting: the agents, and their inputs.
        seed: of the world and the inputs.
        fault: that is put in.
        contender: who watches.
        detectors: with which, trained.
        checking: how another agent looks again.
        minutes: a person's, for a question or a restore.

    Raises: CallerError, if the setting has struck no step: then there is nothing to be compared.
    """
    with _world(seed) as world:
        alarms = Alarms()
        policy = alarms if contender.restores else contender.policy
        staged = setting.stage(world, seed, fault, GUARD if policy else "")
        if policy is not None:
            world.spawn(GUARD, watcher(policy, detectors))
            world.spawn(CHECKER, checker(staged.struck, checking, seed))
        if contender.restores:
            _operate(world, staged, alarms)
        _to_the_end(world, staged)
        trail = trail_of(world)
        wrong = [step for step in dict.fromkeys(staged.struck) if step in trail.steps]
        if not wrong:
            raise CallerError(f"{setting.name}: the fault {fault} has struck no step with seed {seed}. Make it larger.")
        return evaluated(trail, wrong, minutes)


def _world(seed: int) -> World:
    return World(seed, hosts=HOSTS, checkpoint_every=CHECKPOINT_S, checking="end")


def _to_the_end(world: World, staged: Staged) -> None:
    world.run(until=max(world.now, staged.until_s))
    world.settle()
    world.run(until=world.now + QUIET_S)
    world.settle()


def trail_of(world: World) -> Trail:
    """Return the trail of a world's run so far."""
    committed = max(world.machine(agent).core.committed for agent in world.agents)
    return trail_of_records(world.engine.trace.logs, committed)


def _operate(world: World, staged: Staged, alarms: Alarms) -> None:
    """Go back to the last checkpoint at each first alarm since the last time, until all inputs are handed in."""
    for _ in range(RESTORES_MAX):
        alarms.raised = 0
        world.run(until=lambda world: alarms.raised > 0 or world.now >= staged.until_s)
        if not alarms.raised:
            return
        world.run(until=world.now + REACTION_S)
        epoch = max(world.machine(agent).core.committed for agent in world.agents)
        if epoch:
            try:
                world.restore(epoch, inputs="retry")
            except EbbtideError:
                # Money has left meanwhile that was requested after that cut: whoever has let it go does not go back.
                continue
