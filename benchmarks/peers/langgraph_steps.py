"""LangGraph: a graph of one node that leads to itself, with the SQLite saver and durability="sync".

One thread id is one agent. Many run as coroutines on the asynchronous saver, which has one connection and one lock.
"""

import asyncio
import operator
import sqlite3
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypedDict

import aiosqlite
from harness import VALUE_BYTES, Task, changed, main, new_item, pragmas, truncate_wal
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph


def extended(items: list[bytes], writes: Sequence[list[bytes]]) -> list[bytes]:
    """Reduce: all items, in order."""
    return [*items, *(item for write in writes for item in write)]


def newest(value: list[bytes], writes: Sequence[list[bytes]]) -> list[bytes]:
    """Reduce: the last write stands for everything."""
    return writes[-1] if writes else value


def graph_of(task: Task, until: list[float]) -> StateGraph:
    """Return the graph; `until` holds the time after which no step begins."""
    is_large = task.value == "large"
    reducer: Any = None if is_large else operator.add
    if task.system == "langgraph-delta":
        often = {"snapshot_frequency": task.every} if task.every else {}
        reducer = DeltaChannel(newest if is_large else extended, list, **often)

    class Growing(TypedDict):
        items: Annotated[list, reducer] if reducer is not None else list
        left: int
        at: int

    def step(state: Growing) -> dict[str, Any]:
        items = [changed(state["items"][0], state["at"])] if is_large else [new_item()]
        return {"items": items, "left": state["left"] - 1, "at": state["at"] + 1}

    def goes_on(state: Growing) -> str:
        return "step" if state["left"] > 0 and time.monotonic() < until[0] else END

    graph = StateGraph(Growing)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", goes_on, ["step", END])
    return graph


class LangGraph:
    """One database."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._until = [0.0]
        self._large = task.value == "large"
        self._file = folder / "langgraph.db"
        self._graph = graph_of(task, self._until)
        self._connection = sqlite3.connect(self._file, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous=FULL")
        saver = SqliteSaver(self._connection)
        saver.setup()
        self._compiled = self._graph.compile(checkpointer=saver)
        self._known: dict[str, int] = {}
        self._wrote = pragmas(self._connection)

    def run(self, agents: list[str], steps: int, until: float) -> int:
        """See `harness.System`."""
        self._until[0] = until
        if len(agents) > 1:
            return asyncio.run(self._run_together(agents, steps))
        found = self._compiled.invoke(*self._order(agents[0], steps), durability="sync")
        return self._count(agents[0], found)

    async def _run_together(self, agents: list[str], steps: int) -> int:
        async with aiosqlite.connect(self._file) as connection:
            await connection.execute("PRAGMA synchronous=FULL")
            saver = AsyncSqliteSaver(connection)
            await saver.setup()
            compiled = self._graph.compile(checkpointer=saver)
            found = await asyncio.gather(
                *(compiled.ainvoke(*self._order(name, steps), durability="sync") for name in agents)
            )
        return sum(self._count(name, each) for name, each in zip(agents, found, strict=True))

    def _order(self, name: str, steps: int) -> tuple[dict[str, Any], Any]:
        state: dict[str, Any] = {"left": steps}
        if name not in self._known:
            self._known[name] = 0
            state.update(items=[bytes(VALUE_BYTES)] if self._large else [], at=0)
        return state, {"configurable": {"thread_id": name}, "recursion_limit": steps + 10}

    def _count(self, name: str, state: dict[str, Any]) -> int:
        before, self._known[name] = self._known[name], state["at"]
        return state["at"] - before

    def settle(self) -> None:
        """See `harness.System`."""
        truncate_wal(self._file)

    def about(self) -> dict[str, Any]:
        """See `harness.System`."""
        names = ("langgraph", "langgraph-checkpoint", "langgraph-checkpoint-sqlite")
        return {"versions": {name: version(name) for name in names}, "durability": "sync", **self._wrote}

    def close(self) -> None:
        """See `harness.System`."""
        self._connection.close()


if __name__ == "__main__":
    main(LangGraph)
