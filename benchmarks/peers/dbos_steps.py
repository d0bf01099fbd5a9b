"""DBOS on SQLite: one workflow that calls one durable step after the other.

One workflow is one agent; many run on DBOS's own threads. What is kept is each step's result: the state is what the
workflow makes of them when it is run again.
"""

import os
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dbos import DBOS
from harness import VALUE_BYTES, Task, changed, main, new_item, pragmas, truncate_wal

LARGE: dict[str, bytes] = {}
"""The large value by agent: a workflow's own memory."""


@DBOS.step()
def add_item(left: int) -> bytes:
    """Make one item."""
    return new_item()


@DBOS.step()
def change_value(name: str, at: int) -> bytes:
    """Return the large value, changed."""
    return changed(LARGE[name], at)


@DBOS.workflow()
def loop(name: str, steps: int, until: float, is_large: bool) -> int:
    """Make steps; return how many."""
    items: list[bytes] = []
    done = 0
    while done < steps and time.monotonic() < until:
        if is_large:
            LARGE[name] = change_value(name, done)
        else:
            items.append(add_item(steps - done))
        done += 1
    return done


class Dbos:
    """One system database."""

    def __init__(self, task: Task, folder: Path) -> None:
        self._large = task.value == "large"
        self._file = folder / "dbos.db"
        if task.system.endswith("-wal"):
            # DBOS leaves the mode as it finds it.
            connection = sqlite3.connect(self._file)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.close()
        url = f"sqlite:///{self._file}"
        DBOS(config={"name": "durability", "system_database_url": url, "run_admin_server": False, "log_level": "ERROR"})
        DBOS.launch()

    def run(self, agents: list[str], steps: int, until: float) -> int:
        """See `harness.System`."""
        for name in agents:
            LARGE.setdefault(name, bytes(VALUE_BYTES) if self._large else b"")
        if len(agents) == 1:
            return loop(agents[0], steps, until, self._large)
        handles = [DBOS.start_workflow(loop, name, steps, until, self._large) for name in agents]
        return sum(handle.get_result() for handle in handles)

    def settle(self) -> None:
        """See `harness.System`."""
        truncate_wal(self._file)

    def about(self) -> dict[str, Any]:
        """See `harness.System`."""
        from dbos._dbos import _get_dbos_instance

        # The connections of DBOS itself, not ones like them.
        connection = _get_dbos_instance()._sys_db.engine.raw_connection()
        try:
            wrote = pragmas(connection.driver_connection)
        finally:
            connection.close()
        return {"versions": {"dbos": version("dbos")}, **wrote}

    def close(self) -> None:
        """See `harness.System`."""
        DBOS.destroy()


if __name__ == "__main__":
    os.environ.setdefault("DBOS__APPVERSION", "durability")
    main(Dbos)
