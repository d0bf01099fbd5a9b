"""What runs on the head: hands in transfers, and asks the cluster. `python driver.py WHAT FOLDER ...`, a line of JSON.

load FOLDER WORLD ROW AGENT...     hand in transfers until the file `stop` is there; each acknowledged one is a line
                                   of acks.jsonl
settle FOLDER                      two checkpoints: from then on all have backups
undo FOLDER WORLD TELLER KEY AMOUNT    roll back the step that handled a transfer; tell its cone before and after
states FOLDER                      wait until nothing is under way; tell the agents' states
join FOLDER WORLD                  launch the cluster, touch `up`; launch one more agent once `join` is there
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from teller_app import Transfer, agents, late, options

from ebbtide import AgentSpec, Cluster, EbbtideError

PAUSE_S = 0.2
"""Between two transfers of a teller: the load is offered, and is no measure of what could be done."""
GIVE_UP_S = 150.0
QUIET_S = 90.0
AMOUNTS = 97


def say(told: Any) -> None:
    print(json.dumps(told), flush=True)


async def load(folder: str, world: str, row: str, *names: str) -> None:
    """Hand in transfers of each teller, one after the other; each until it is acknowledged."""
    place = Path(world).parent
    with (place / "acks.jsonl").open("a") as acks:
        async with Cluster.attach(folder) as cluster:
            say({"loading": list(names)})
            await asyncio.gather(*(_teller(cluster, place, world, row, name, acks) for name in names))


async def _teller(cluster: Any, place: Path, world: str, row: str, name: str, acks: TextIO) -> None:
    if name in late:
        while name not in cluster.agents:
            if (place / "stop").exists():
                return
            await asyncio.sleep(PAUSE_S)
    number = 0
    while not (place / "stop").exists():
        number += 1
        transfer = Transfer(f"{row}.{name}.{number}", number % AMOUNTS + 1, world)
        told = {"key": transfer.key, "teller": name, "amount": transfer.amount, "began": time.time()}
        told["why"] = await _handed(cluster, name, transfer)
        told["acked"] = 0.0 if told["why"] else time.time()
        acks.write(f"{json.dumps(told)}\n")
        acks.flush()
        await asyncio.sleep(PAUSE_S)


async def _handed(cluster: Any, name: str, transfer: Transfer) -> str:
    """Hand a transfer in until it is acknowledged; return why it was not, if so."""
    end = time.monotonic() + GIVE_UP_S
    while True:
        try:
            await cluster.submit(name, transfer, key=transfer.key)
            return ""
        except EbbtideError as error:
            if time.monotonic() > end:
                return f"{type(error).__name__}: {error}"
            await asyncio.sleep(PAUSE_S)


async def settle(folder: str) -> None:
    async with Cluster.attach(folder) as cluster:
        say({"checkpoints": [await cluster.checkpoint(), await cluster.checkpoint()]})


async def undo(folder: str, world: str, teller: str, key: str, amount: str) -> None:
    async with Cluster.attach(folder) as cluster:
        epoch = await cluster.checkpoint(timeout_s=QUIET_S)
        receipt = await cluster.submit(teller, Transfer(key, int(amount), world), key=key)
        [step] = await receipt.done(QUIET_S)
        plan = await cluster.preview(step)
        outcome = await cluster.rollback(step, inputs="discard", reason="a wrong transfer", timeout_s=QUIET_S)
        say({
            "epoch": epoch, "repeated": receipt.repeated, "committed": outcome.committed, "seconds": outcome.seconds,
            "planned": sorted(map(str, plan.steps)), "undone": sorted(map(str, outcome.undone)),
            "rejects": [list(each) for each in outcome.rejects],
        })  # fmt: skip


async def states(folder: str) -> None:
    async with Cluster.attach(folder) as cluster:
        await cluster.quiet(timeout_s=QUIET_S)
        found = {name: await cluster.state(name) for name in cluster.agents}
        say({name: [[*key, value] for key, value in state.items()] for name, state in found.items()})


async def join(folder: str, world: str) -> None:
    place = Path(world).parent
    found_at: Any = {"env_vars": {"PYTHONPATH": str(Path(__file__).resolve().parent)}}
    async with Cluster("ray", address="auto", folder=folder, detached=True, runtime_env=found_at, **options) as cluster:
        await cluster.spawn_all([AgentSpec(name, kind) for name, kind in agents.items()])
        (place / "up").touch()
        while not (place / "join").exists():
            await asyncio.sleep(PAUSE_S)
        await cluster.spawn_all([AgentSpec(name, kind) for name, kind in late.items()])
        await cluster.detach()
    say({"joined": list(late)})


if __name__ == "__main__":
    verbs = {"load": load, "settle": settle, "undo": undo, "states": states, "join": join}
    asyncio.run(verbs[sys.argv[1]](*sys.argv[2:]))
