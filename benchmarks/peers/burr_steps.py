"""Burr with its SQLite persister: an application of one action that leads to itself.

One application is one agent. Its persister is synchronous and has one connection, so many take turns, step by step:
threads would only wait for each other.
"""

import base64
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from burr.core import Application, ApplicationBuilder, State, action
from burr.core.persistence import SQLitePersister
from harness import ITEM_BYTES, VALUE_BYTES, Task, main, pragmas, truncate_wal


def text(count: int) -> str:
    """Return so many random characters: Burr writes JSON, which has no bytes."""
    return base64.b85encode(os.urandom(count * 4 // 5)).decode()


@action(reads=["items"], writes=["items"])
def add_item(state: State) -> State:
    """Add one item."""
    return state.append(items=text(ITEM_BYTES))


@action(reads=["value", "at"], writes=["value", "at"])
def change_value(state: State) -> State:
    """Change some characters of the large value."""
    value, step = state["value"], state["at"]
    at = step * 7919 * ITEM_BYTES % (len(value) - ITEM_BYTES)
    return state.update(value=value[:at] + text(ITEM_BYTES) + value[at + ITEM_BYTES :], at=step + 1)


class Burr:
    """One database."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._large = task.value == "large"
        self._file = folder / "burr.db"
        self._persister = SQLitePersister.from_values(str(self._file))
        if task.system.endswith("-wal"):
            self._persister.connection.execute("PRAGMA journal_mode=WAL")
        self._persister.connection.execute("PRAGMA synchronous=FULL")
        self._persister.initialize()
        self._applications: dict[str, Application] = {}
        for name in task.names:
            self._application(name)

    def run(self, agents: list[str], steps: int, until: float) -> int:
        """See `harness.System`."""
        applications = [self._application(name) for name in agents]
        done = 0
        for _ in range(steps):
            for application in applications:
                if time.monotonic() >= until:
                    return done
                application.step()
                done += 1
        return done

    def _application(self, name: str) -> Application:
        if name not in self._applications:
            self._applications[name] = (
                ApplicationBuilder()
                .with_actions(step=change_value if self._large else add_item)
                .with_transitions(("step", "step"))
                .with_identifiers(app_id=name)
                .with_state_persister(self._persister)
                .with_entrypoint("step")
                .with_state(**({"value": text(VALUE_BYTES), "at": 0} if self._large else {"items": []}))
                .build()
            )
        return self._applications[name]

    def settle(self) -> None:
        """See `harness.System`."""
        truncate_wal(self._file)

    def about(self) -> dict[str, Any]:
        """See `harness.System`."""
        return {"versions": {"apache-burr": version("apache-burr")}, **pragmas(self._persister.connection)}

    def close(self) -> None:
        """See `harness.System`."""
        self._persister.connection.close()


if __name__ == "__main__":
    main(Burr)
