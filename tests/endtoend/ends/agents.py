"""Agents for programs that are ended: in a module of their own, so that Ray's processes can import them."""

import logging
import os
import signal
import sys
from pathlib import Path

from ebbtide import Agent, Context, handles, tool


class Keeper(Agent):
    @handles(int)
    async def keep(self, message: int, ctx: Context) -> None:
        self.state.setdefault("seen", []).append(message)


@tool(kind="idempotent")
def act(number: int) -> None:
    print("acting on", number)


class Talker(Agent):
    tries = 1

    @handles(int)
    async def talk(self, message: int, ctx: Context) -> None:
        print("hello", end=" ")
        print(message)
        print("oh", message, file=sys.stderr)
        logging.getLogger("talker").info("logged %s", message)
        await ctx.call(act, message)
        if message == 13:
            raise ValueError("unlucky")

    @handles(str)
    def die_once(self, message: str, ctx: Context) -> None:
        print("dying")
        try:
            Path(message).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
