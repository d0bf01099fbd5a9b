"""Three tills, each on a host of its own, and copies of all logs: one of the hosts can leave."""

from peer import Agent, Context, handles


class Till(Agent):
    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message


agents = {"left": Till, "middle": Till, "right": Till}
options = {"durability": "replicated(1)"}
