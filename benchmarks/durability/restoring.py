"""How long it takes to see an agent as it was, and to bring agents up from their logs.

`python -m benchmarks.durability.restoring '{"kind": "restore", "system": "ebbtide-queued", "marks": [10, 1000]}'`
"""

import inspect
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.durability.ebbtide import Ebbtide
from benchmarks.peers.harness import Task
from ebbtide import Cluster

CAN_LOOK_BACK = "at" in inspect.signature(Cluster.state).parameters
"""Whether `Cluster.state` tells of an earlier step; if not, bringing an agent up from its log stands for it."""


async def look_back(cluster: Cluster, agent: str, back: int) -> float | None:
    """Return the seconds that it takes to read the state of so many steps ago; None where that can't be asked."""
    if not CAN_LOOK_BACK:
        return None
    last = (await cluster.status(agent)).steps
    where: dict[str, Any] = {"at": f"{agent}/1/{max(1, last - back)}"}
    began = time.perf_counter()
    await cluster.state(agent, **where)
    return time.perf_counter() - began


async def come_back(cluster: Cluster, agents: list[str]) -> float:
    """Kill the agents' host; return the seconds until it has brought all of them up again, from their logs."""
    before = {name: (await cluster.status(name)).steps for name in agents}
    began = time.perf_counter()
    # It returns when they are up. Asking would take longer: the first question to a host that is new waits for its key.
    await cluster.kill(agents[0])
    seconds = time.perf_counter() - began
    for name in agents:
        assert (await cluster.status(name)).steps == before[name], f"{name} has lost steps"
    return seconds


def restore_task(task: Task, folder: Path) -> dict[str, Any]:
    """At each mark, measure with so many steps after the last base: none is made, so that is the log's beginning."""
    rows: list[dict[str, Any]] = []
    system = Ebbtide(task, folder)
    try:
        made, done, until = 0, 0, time.monotonic() + task.cap_s
        for mark in task.marks:
            made += system.run(task.names, mark - done, until)
            done = made // task.agents
            back_s = system.do(come_back(system.cluster, task.names))
            rows.append({"mark": mark, "steps": made, "look_s": None, "back_s": back_s, "per_s": made / back_s})
            if done < mark:
                break
        for row in rows:
            # All in the same history, the longest; the agents have just come back.
            row["look_s"] = system.do(look_back(system.cluster, task.names[0], row["mark"]))
        return {"rows": rows, "about": system.about()}
    finally:
        system.close()


def main() -> None:
    """Do the task of the command line, and print what came of it as the last line."""
    task = Task(**json.loads(sys.argv[1]))
    folder = Path(task.folder or tempfile.mkdtemp(prefix="durability-"))
    try:
        print(json.dumps(restore_task(task, folder)), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
