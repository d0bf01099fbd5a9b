"""Prospectors on a Mesa grid, one fooled by false gold, and the way back.

Run it with `.venv/bin/python examples/mesa_grid.py`.

Mesa owns the grid, the agents' places and time; each Mesa agent owns an Ebbtide peer that decides. Who finds ore claims
the cell and tells a friend, who claims beside it, and tells the next. When the assay finds a claim to be worthless, the
step that made it is rolled back, and the grid follows: what was claimed because of it is free again, nothing else.
"""

from dataclasses import dataclass

from ebbtide import Agent, Context, handles
from sims.embedding import Proposed
from sims.extras import missing
from sims.ports import Reversible, act, sense
from sims.world import World

try:
    from mesa import DataCollector, Model
    from mesa.discrete_space import Cell, CellAgent, OrthogonalMooreGrid
except ModuleNotFoundError as error:
    raise missing(error, __name__) from None

SIZE = 16
RICH, POOR = 5, 3
DAYS = 8
TICK = 0.2
"""Virtual seconds of the peers' world in one step of the model."""
LODES = ((3, 3), (12, 4), (4, 12), (8, 8))
FALSE_GOLD = (14, 14)
"""Glitters in one survey, and is worth nothing."""
FOOLED, FOOLED_AT, ASSAY_AT = "p3", 3, 5
"""Whose instrument errs, in which step of the model; and when the assayer comes."""


@dataclass
class Survey:
    """Look around, once for each step of the model."""

    day: int


@dataclass
class Rumour:
    """There is ore at x, y; tell so many more."""

    x: int
    y: int
    hops: int


class Prospector(Agent):
    """The peer: it decides. Where it stands is part of its state, so what it sees from there depends on how it came."""

    def __init__(self, start: tuple[int, int], friend: str) -> None:
        self.start = list(start)
        self.friend = friend

    @handles(Survey)
    async def survey(self, message: Survey, ctx: Context) -> None:
        at = self.state.get("at", self.start)
        x, y, ore = await ctx.call(sense, "survey", self.name, *at, message.day)
        await self.go(x, y, ctx)
        if ore >= RICH and await ctx.call(act, "claim", self.name, x, y):
            ctx.send(self.friend, Rumour(x, y, hops=1))

    @handles(Rumour)
    async def heard(self, message: Rumour, ctx: Context) -> None:
        x, y = await ctx.call(sense, "beside", message.x, message.y)
        await self.go(x, y, ctx)
        if await ctx.call(act, "claim", self.name, x, y) and message.hops:
            ctx.send(self.friend, Rumour(x, y, message.hops - 1))

    async def go(self, x: int, y: int, ctx: Context) -> None:
        _ = self.state.get("at", self.start)  # whoever walks on depends on the walk before
        await ctx.call(act, "walk", self.name, x, y)
        self.state["at"] = [x, y]


class Figure(CellAgent):
    """The Mesa agent: a place on the grid, and a peer."""

    def __init__(self, model: "GoldRush", cell: Cell, peer: str) -> None:
        super().__init__(model)
        self.cell = cell
        self.place = cell.coordinate
        self.world = model.world
        self.peer = peer

    def step(self) -> None:
        """Have the peer look around, now."""
        self.world.deliver(self.peer, Survey(self.model.steps))


class GoldRush(Model):
    """The grid, what is in the ground, and who has claimed what."""

    def __init__(self, seed: int = 1, prospectors: int = 9) -> None:
        super().__init__(seed=seed)
        self.grid = OrthogonalMooreGrid((SIZE, SIZE), random=self.random)
        self.ore: dict[tuple[int, ...], int] = {
            (x, y): max(0, 8 - 2 * min(max(abs(x - a), abs(y - b)) for a, b in LODES))
            for x in range(SIZE)
            for y in range(SIZE)
        }
        self.claims: dict[tuple[int, ...], str] = {}
        self.world = World(seed=seed, hosts=2, checking="end")
        self.figures: dict[str, Figure] = {}
        starts = self.random.sample([at for at in self.ore if at != FALSE_GOLD], prospectors)
        for number, start in enumerate(starts):
            name = self.world.spawn(f"p{number}", Prospector, start=start, friend=f"p{(number + 1) % prospectors}")
            self.figures[name] = Figure(self, self.grid[start], name)
        self.world.attach("survey", self.survey)
        self.world.attach("beside", self.beside)
        self.claiming = Reversible(self.claim, undo=self.give_up)
        self.world.attach("claim", self.claiming)
        self.world.attach("walk", Reversible(self.walk, undo=self.walk_back))
        self.datacollector = DataCollector(
            model_reporters={"claims": lambda model: len(model.claims), "worthless": lambda model: model.worthless()},
        )
        self.datacollector.collect(self)

    def step(self) -> None:
        """One day: everybody looks around, and the peers have a tick of their time."""
        self.agents.do("step")
        self.world.run_until(self.steps * TICK)
        self.datacollector.collect(self)

    # -- what the peers see and do: ports of the world -------------------------------------------------------------

    def survey(self, who: str, x: int, y: int, day: int) -> list[int]:
        """Return the best free cell within three of x, y, as it seems to who looks."""
        if (who, day) == (FOOLED, FOOLED_AT):
            return [*FALSE_GOLD, 9]
        near = self.grid[x, y].get_neighborhood(radius=3, include_center=True)
        free = [cell.coordinate for cell in near if cell.coordinate not in self.claims] or [(x, y)]
        best = max(sorted(free), key=lambda at: self.ore[at])
        return [*best, self.ore[best]]

    def beside(self, x: int, y: int) -> list[int]:
        """Return the best free cell next to x, y, or x, y itself."""
        free = [cell.coordinate for cell in self.grid[x, y].neighborhood if cell.coordinate not in self.claims]
        return list(max(sorted(free), key=lambda at: self.ore[at], default=(x, y)))

    def claim(self, who: str, x: int, y: int) -> bool:
        """Give a cell to who asks first."""
        if (x, y) in self.claims:
            return False
        self.claims[x, y] = who
        return True

    def give_up(self, was_given: bool, who: str, x: int, y: int) -> None:
        """The cell is free again."""
        if was_given:
            del self.claims[x, y]

    def walk(self, who: str, x: int, y: int) -> list[int]:
        """Move a figure; return where it was."""
        was = self.figures[who].place
        self._place(who, (x, y))
        return list(was)

    def walk_back(self, was: list[int], who: str, x: int, y: int) -> None:
        """Move it back."""
        self._place(who, tuple(was))

    def _place(self, who: str, place: tuple[int, ...]) -> None:
        self.figures[who].cell, self.figures[who].place = self.grid[place], place

    # -- looking ---------------------------------------------------------------------------------------------------

    def worthless(self) -> int:
        """Count claims with nothing in the ground."""
        return sum(self.ore[at] < POOR for at in self.claims)

    def assay(self) -> Proposed | None:
        """Have the first worthless claim undone, and all that came of it; it is done in the steps to come."""
        for intent, claim in self.claiming.standing.items():
            _, x, y = claim.args
            if claim.result and self.ore[x, y] < POOR:
                step = self.world.steps_of(intent)
                return self.world.propose(*step, inputs="discard", reason=f"nothing but glitter at {x}, {y}")
        return None


def main(seed: int = 1) -> GoldRush:
    model = GoldRush(seed)
    asked: Proposed | None = None
    before: dict[tuple[int, ...], str] = {}
    for day in range(1, DAYS + 1):
        if day == ASSAY_AT:
            before = dict(model.claims)
            asked = model.assay()
        model.step()
    model.world.settle()
    assert asked is not None
    assert asked.outcome is not None
    print(model.datacollector.get_model_vars_dataframe().to_string(index_names=False))
    print("undone:", *asked.outcome.undone)
    print("free again:", *(at for at in before if model.claims.get(at) != before[at]))
    model.world.check()
    model.world.close()
    return model


if __name__ == "__main__":
    main()
