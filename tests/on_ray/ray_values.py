"""Agents whose values are not simply in the log, in processes of their own."""

from dataclasses import dataclass
from typing import Any, ClassVar

from peer import Agent, Context, Personal, bulky, handles, secret


@dataclass
class Sign:
    name: Personal[str]


@dataclass
class Greet:
    name: Personal[str]


class Desk(Agent):
    keys: ClassVar[dict[str, Any]] = {"photo": bulky(), "token": secret(load=lambda key: "hunter2")}

    @handles(Sign)
    def sign(self, message: Sign, ctx: Context) -> None:
        self.state["photo"] = Personal(str(message.name.value) * 100_000, message.name.subject)
        self.state["token"] = "hunter2"
        ctx.send("post", Greet(message.name))

    @handles(str)
    def look(self, message: str, ctx: Context) -> None:
        self.state["seen"] = [str(self.state["photo"].value)[:3], self.state["token"]]


class Post(Agent):
    @handles(Greet)
    def greet(self, message: Greet, ctx: Context) -> None:
        self.state["dear"] = Personal(f"dear {message.name.value}", message.name.subject)
