"""A PettingZoo environment in which going back is an action.

Run it with `.venv/bin/python examples/pettingzoo_restore.py`.

In each round every agent sees a noisy reading of a hidden bit, and lays a brick of one colour or the other; its
neighbour lays another on the strength of it. A round later it learns whether it was right. Then it may lay the next, or
take its last decision back, or all since the last checkpoint: what its neighbour built on them goes too, nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ebbtide import Agent, Context, handles
from protocol.ids import StepId
from sims.embedding import Delivery, Proposed
from sims.extras import missing
from sims.ports import Reversible, act
from sims.world import World

try:
    import numpy as np
    from gymnasium.spaces import Box, Discrete
    from pettingzoo import ParallelEnv
except ModuleNotFoundError as error:
    raise missing(error, __name__) from None

LAY_0, LAY_1, RESTORE_LAST, RESTORE_CHECKPOINT = range(4)
"""The actions: lay a brick of a colour, take the last decision back, or all since the last committed checkpoint."""
TICK = 0.1
"""Virtual seconds of a round: what is decided in it is done at its end."""
CHECKPOINT_EVERY = 4 * TICK
RIGHT, WRONG, FEE = 1.0, -2.0, -0.1
"""What a standing brick is worth to whoever laid it, and what a restore costs."""
CLEAR = 0.75
"""How often a reading is right."""


@dataclass
class Lay:
    """Lay a brick, and tell the neighbour."""

    round: int
    colour: int


@dataclass
class Laid:
    """A neighbour has laid one: do the same."""

    round: int
    colour: int


@dataclass(frozen=True)
class Choice:
    """A decision of an agent, and the input that it became."""

    round: int
    colour: int
    made: Delivery


class Builder(Agent):
    """The peer of an agent of the environment."""

    def __init__(self, neighbour: str) -> None:
        self.neighbour = neighbour

    @handles(Lay)
    async def lay(self, message: Lay, ctx: Context) -> None:
        await ctx.call(act, "lay", self.name, message.round, message.colour)
        ctx.send(self.neighbour, Laid(message.round, message.colour))

    @handles(Laid)
    async def follow(self, message: Laid, ctx: Context) -> None:
        await ctx.call(act, "lay", self.name, message.round, message.colour)


class RestoreEnv(ParallelEnv[str, Any, Any]):
    """Agents that lay bricks, and may go back.

    Observation: the reading of this round (0 or 1), whether the last decision was right (1), wrong (-1), or there was
    none that stands (0), and how many own bricks stand. Reward: by how much the worth of one's own bricks has changed.
    """

    metadata: dict[str, Any] = {"name": "restore_v0", "render_modes": []}  # noqa: RUF012  # the base class has it so

    def __init__(self, builders: int = 4, rounds: int = 24) -> None:
        self.possible_agents = [f"b{number}" for number in range(builders)]
        self.agents: list[str] = []
        self.rounds = rounds
        self.render_mode = None
        self._observations = {name: Box(-1, 4 * rounds, (3,), np.int32) for name in self.possible_agents}
        self._actions = {name: Discrete(4) for name in self.possible_agents}
        self._rng = np.random.default_rng()
        self.world: World | None = None

    def observation_space(self, agent: str) -> Box:
        """Return what an agent sees."""
        return self._observations[agent]

    def action_space(self, agent: str) -> Discrete:
        """Return what an agent can do."""
        return self._actions[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        """Begin anew: the seed decides everything, the peers' network and disks included."""
        self.close()
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.round = 0
        self.truth = self._rng.integers(0, 2, self.rounds + 1)
        self.wall: list[tuple[str, int, int]] = []
        self.decided: dict[str, list[Choice]] = {name: [] for name in self.agents}
        self.asked: list[Proposed] = []
        self._worth = dict.fromkeys(self.agents, 0.0)
        world = self.world = World(
            int(self._rng.integers(1 << 30)), hosts=2, checking="end", checkpoint_every=CHECKPOINT_EVERY
        )
        world.attach("lay", Reversible(self._lay, undo=self._take))
        for at, name in enumerate(self.agents):
            world.spawn(name, Builder, neighbour=self.agents[(at + 1) % len(self.agents)])
        return {name: self._seen(name) for name in self.agents}, {name: {} for name in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[dict, dict, dict, dict, dict]:
        """Let all act at once, and the peers do what follows."""
        assert self.world is not None, "reset comes first"
        fees = dict.fromkeys(self.agents, 0.0)
        for name in self.agents:
            action = int(actions[name])
            if action in (LAY_0, LAY_1):
                made = self.world.deliver(name, Lay(self.round, action))
                self.decided[name].append(Choice(self.round, action, made))
            elif self._restore(name, only_last=action == RESTORE_LAST):
                fees[name] = FEE
        self.round += 1
        self.world.run_until(self.round * TICK)
        worth = {name: self._worth_of(name) for name in self.agents}
        rewards = {name: worth[name] - self._worth[name] + fees[name] for name in self.agents}
        self._worth = worth
        seen = {name: self._seen(name) for name in self.agents}
        is_over = dict.fromkeys(self.agents, self.round == self.rounds)
        ended, infos = dict.fromkeys(self.agents, False), {name: {"worth": worth[name]} for name in self.agents}
        if self.round == self.rounds:
            self.agents = []
        return seen, rewards, ended, is_over, infos

    def close(self) -> None:
        """End the peers' world."""
        if self.world is not None:
            self.world.close()
            self.world = None

    def _restore(self, name: str, only_last: bool) -> bool:
        """Have an agent's decisions rolled back, and their cone; False if it has none to take back."""
        assert self.world is not None
        core = self.world.machine(name).core
        steps = [step for choice in self.decided[name] for step in self._standing(choice)]
        since = steps[-1:] if only_last else [s for s in steps if core.cone.record(s).epoch >= core.committed]
        if since:
            self.asked.append(self.world.propose(*since, inputs="discard", reason=f"{name} goes back"))
        return bool(since)

    # -- the wall: what the peers do, and what it is worth ---------------------------------------------------------

    def _lay(self, who: str, round_: int, colour: int) -> bool:
        self.wall.append((who, round_, colour))
        return True

    def _take(self, was_laid: bool, who: str, round_: int, colour: int) -> None:
        self.wall.remove((who, round_, colour))

    def _worth_of(self, name: str) -> float:
        return sum(RIGHT if colour == self.truth[at] else WRONG for who, at, colour in self.wall if who == name)

    def _seen(self, name: str) -> Any:
        truth = self.truth[self.round]
        reading = truth if self._rng.random() < CLEAR else 1 - truth
        last = self.decided[name][-1:]
        told = [1 if choice.colour == self.truth[choice.round] else -1 for choice in last if self._standing(choice)]
        return np.array([reading, *(told or [0]), sum(who == name for who, _, _ in self.wall)], np.int32)

    def _standing(self, choice: Choice) -> list[StepId]:
        return [] if self.world is None else self.world.steps_of(choice.made)


def careless(seen: Any) -> int:
    """Lay what the reading says, whatever comes of it."""
    return LAY_1 if seen[0] else LAY_0


def careful(seen: Any) -> int:
    """The same, but take back what has turned out to be wrong."""
    return RESTORE_LAST if seen[1] < 0 else careless(seen)


def play(env: RestoreEnv, policy: Callable[[Any], int], seed: int) -> float:
    """Play one episode; return the mean reward of an agent."""
    total = 0.0
    seen, _ = env.reset(seed=seed)
    while env.agents:
        seen, rewards, _, _, _ = env.step({name: policy(seen[name]) for name in env.agents})
        total += sum(rewards.values())
    return total / len(env.possible_agents)


def main(episodes: int = 5) -> dict[str, float]:
    env = RestoreEnv()
    means: dict[str, float] = {}
    for policy in (careless, careful):
        means[policy.__name__] = sum(play(env, policy, seed) for seed in range(episodes)) / episodes
        done = [asked.outcome for asked in env.asked if asked.outcome is not None]
        undone = sum(len(outcome.undone) for outcome in done)
        print(f"{policy.__name__:>9}: mean reward {means[policy.__name__]:6.2f};", end=" ")
        print(f"in the last episode {len(done)} restores undid {undone} steps")
    env.close()
    return means


if __name__ == "__main__":
    main()
