"""What happens to a world besides its inputs and faults: rollbacks, restores and moves, each with chance of its own."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from peer import errors
from peer.agents.proposing import rollback_draft
from protocol.ids import StepId
from sims.virtual.chance import stream
from sims.workload import Work
from sims.world import World


def propose(world: World, number: int, horizon: float, wait_s: float) -> None:
    """Roll back a step or two of those that are durable at some time; each rollback has its own stream of chance."""
    rng = stream(world.seed, f"rollback/{number}")
    at = rng.uniform(0.1, 0.95) * horizon

    async def proposed() -> None:
        steps = [record.step for record in world.steps()]
        if not steps:
            return
        roots: Sequence[StepId] = rng.sample(steps, min(len(steps), rng.choice((1, 1, 1, 2))))
        inputs = rng.choice(("discard", "retry", "amend"))
        amend: dict[StepId | str, Any] | None = {root: Work(0) for root in roots} if inputs == "amend" else None
        try:
            # As it is: what was undone before is named again, too, and all that follows has to hold.
            draft = rollback_draft(tuple(roots), inputs, "as the seed wants", None, amend or {})
            await world.engine.operator.propose(draft, 0, wait_s)
        except errors.CallerError:
            # Whoever has lost its disk may have lost the proposal with it.
            if not world.view().has_lost:
                raise

    world.engine.later(at, f"rollback {number}", proposed)


def restore(world: World, number: int, horizon: float, wait_s: float) -> None:
    """Go back to one of the committed checkpoints at some time; one that is refused by then is no mistake."""
    rng = stream(world.seed, f"restore/{number}")
    at = rng.uniform(0.3, 0.95) * horizon

    async def restored() -> None:
        answer = await world.engine.operator.epochs()
        epoch = rng.randint(min(answer.horizon, answer.committed), answer.committed)
        if epoch > 0:
            with suppress(errors.RestoreRefused):
                await world.engine.operator.restore_to(epoch, rng.choice(("discard", "retry")), wait_s)

    world.engine.later(at, f"restore {number}", restored)


def move(world: World, number: int, horizon: float, wait_s: float) -> None:
    """Move an agent to a host at some time; where it can't, it stays."""
    rng = stream(world.seed, f"move/{number}")
    at = rng.uniform(0.05, 0.95) * horizon

    async def moved() -> None:
        agent, box = rng.choice(world.agents), world.engine.box(rng.choice(world.hosts))
        with suppress(errors.CallerError, errors.AskTimeout, errors.NotUp):
            await world.engine.operator.move(agent, box.keys.host_id, timeout_s=wait_s)

    world.engine.later(at, f"move {number}", moved)
