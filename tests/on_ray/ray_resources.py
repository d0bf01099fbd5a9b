"""An agent of a Ray cluster whose tool needs something open: each opening and closing stands in a file."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from peer import Agent, Context, handles, tool


def enter(book: Path, what: str) -> None:
    with book.open("a", encoding="utf-8") as file:
        file.write(f"{what} {os.getpid()}\n")


@asynccontextmanager
async def open_book() -> AsyncIterator[Path]:
    book = Path(os.environ["EBBTIDE_TEST_BOOK"])
    enter(book, "opened")
    yield book
    enter(book, "closed")


@tool(kind="idempotent", resources={"book": open_book})
def note(text: str, *, book: Path) -> str:
    return f"{text} in {book.name}"


class Writer(Agent):
    def __init__(self, book: str) -> None:
        os.environ["EBBTIDE_TEST_BOOK"] = book

    @handles(str)
    async def write(self, text: str, ctx: Context) -> None:
        self.state[text] = await ctx.call(note, text)
