"""Agents for tests in other processes: tills that tell a bank of what they take."""

from peer import Agent, Context, handles


class Till(Agent):
    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message
        if self.name != "bank":
            ctx.send("bank", message)
