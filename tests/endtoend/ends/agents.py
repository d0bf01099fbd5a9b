"""Agents for programs that are ended: in a module of their own, so that Ray's processes can import them."""

from ebbtide import Agent, Context, handles


class Keeper(Agent):
    @handles(int)
    async def keep(self, message: int, ctx: Context) -> None:
        self.state.setdefault("seen", []).append(message)
