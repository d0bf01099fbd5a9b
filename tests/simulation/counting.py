"""An agent of worlds that adds up what it is given, and gives half of it on."""

from peer import Agent, Context, handles


class Counting(Agent):
    def __init__(self, to=None):
        self.to = to

    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message
        if self.to is not None:
            ctx.send(self.to, message // 2)
