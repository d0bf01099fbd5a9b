"""The agents of the hosts that are told anything; alone here, since tools are looked for in all that a module holds."""

from typing import Any, ClassVar

from peer.agents.agent import Agent, handles
from peer.agents.context import Context
from peer.agents.request import Result
from peer.agents.tier import Tier
from peer.agents.tool import Call, Tool, tool


def undo_entry(call: Call) -> None:
    """Take nothing back."""


@tool(undo=undo_entry)
def enter(amount: int) -> None:
    """Do nothing."""


@tool(kind="irreversible")
def wire(amount: int) -> None:
    """Do nothing either."""


TOOLS: dict[str, Tool[..., Any]] = {"enter": enter, "wire": wire}


class Teller(Agent):
    """Sends to whoever is named, writes, shares, calls and requests."""

    spaces = ("board",)
    tiers: ClassVar = {"new": Tier(announces=(enter,)), "trusted": Tier()}

    @classmethod
    def tools(cls) -> dict[str, Tool[..., Any]]:
        """Return what would be looked for anew for each of thousands of hosts."""
        return TOOLS

    @handles(str)
    async def told(self, message: str, ctx: Context) -> None:
        """Send on what is left of a message such as `b>m>7`."""
        self.state["told"] = int(self.state.get("told", 0)) + 1
        name, _, rest = message.partition(">")
        if rest:
            ctx.send(name, rest)

    @handles(int)
    async def paid(self, message: int, ctx: Context) -> None:
        """Call a tool, share something and request another."""
        await ctx.call(enter, message)
        ctx.space("board").map("paid")[self.name] = message
        ctx.request(wire, message, then=self.wired)
        ctx.after(0.5, "late", key="reminder")

    async def wired(self, result: Result, ctx: Context) -> None:
        """Note what has come of it."""
        self.state["wired"] = result.error
