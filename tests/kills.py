"""Kills a host at every write of a workload, and has it come back: `python -m tests.kills FOLDER [STEP [FIRST]]`.

Each run is a process of its own, forked from this one, which SIGKILLs itself before, in or after its n-th write. Then
the same agents come back from the folder: everything that was acknowledged has happened, each input and each effect
once, and nothing has happened that does not follow from the inputs.
"""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

from peer import Agent, AgentSpec, Call, Cluster, Context, Happened, NotHappened, handles, tool
from peer.store.files import Files
from peer.store.segments import SegmentStore

INPUTS = 9


class Deadly(Files):
    """Kills the process at its n-th change of a file: before it, in the middle of it, or after it."""

    count = 0
    last = 0
    half = False

    def _step(self) -> bool:
        Deadly.count += 1
        return Deadly.count == Deadly.last

    def write(self, handle: int, data: bytes, at: int) -> None:
        """Write, or a part of it."""
        if self._step():
            if self.half:
                super().write(handle, data[: len(data) // 2], at)
            os.kill(os.getpid(), signal.SIGKILL)
        super().write(handle, data, at)

    def sync(self, handle: int) -> None:
        """Sync, or not."""
        if self._step():
            os.kill(os.getpid(), signal.SIGKILL)
        super().sync(handle)

    def create(self, path: Path) -> int:
        """Create, or not."""
        if self._step():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().create(path)

    def replace(self, source: Path, target: Path) -> None:
        """Give a name, or not."""
        if self._step():
            os.kill(os.getpid(), signal.SIGKILL)
        super().replace(source, target)


def unpay(call: Call) -> None:
    """Undo `pay`: the books are lines in a file, which outlives us as a bank would."""
    with Path(os.environ["BOOKS"]).open("a") as books:
        books.write(f"-{call.intent}\n")


def paid(call: Call) -> object:
    """Look into the books."""
    lines = Path(os.environ["BOOKS"]).read_text().splitlines() if Path(os.environ["BOOKS"]).exists() else []
    balance = lines.count(f"+{call.intent}") - lines.count(f"-{call.intent}")
    return Happened(None) if balance > 0 else NotHappened()


@tool(undo=unpay, check=paid)
def pay(amount: int, *, intent: str) -> None:
    """Pay."""
    with Path(os.environ["BOOKS"]).open("a") as books:
        books.write(f"+{intent}\n")


class Front(Agent):
    """Takes orders."""

    @handles(int)
    async def order(self, amount: int, ctx: Context) -> None:
        """Count, and pass on."""
        self.state["sum"] = self.state.get("sum", 0) + amount
        ctx.send("back", amount)


class Back(Agent):
    """Pays them."""

    @handles(int)
    async def settle(self, amount: int, ctx: Context) -> None:
        """Pay."""
        await ctx.call(pay, amount)
        self.state["paid"] = self.state.get("paid", 0) + amount


SPECS = [AgentSpec("front", Front), AgentSpec("back", Back)]


async def work(folder: Path, out: int) -> None:
    """Hand in inputs one after the other, a checkpoint and a rollback in between; say what is acknowledged."""
    async with Cluster("local", folder=folder, agents_per_actor=2) as cluster:
        await cluster.spawn_all(SPECS)
        for number in range(INPUTS):
            await cluster.submit("front", 1 << number)
            os.write(out, f"in {number}\n".encode())
            if number == 4:
                await cluster.checkpoint()
            if number == 7:
                await cluster.quiet()
                outcome = await cluster.rollback("front/1/2", inputs="discard", reason="one is taken back")
                os.write(out, f"back {outcome.committed}\n".encode())
        await cluster.quiet()
        os.write(out, b"end\n")


async def look(folder: Path) -> tuple[int, int, list[str]]:
    """Bring the agents back, and return what they have summed up and paid, and their dead letters."""
    async with Cluster("local", folder=folder, agents_per_actor=2) as cluster:
        await cluster.spawn_all(SPECS)
        await cluster.quiet(pause_s=0.01)
        front, back = await cluster.state("front"), await cluster.state("back")
        dead = [why for _, why in await cluster.dead_letters("front")]
        return front.get("sum", 0), back.get("paid", 0), dead


def run(folder: Path, last: int, half: bool) -> tuple[list[str], bool]:
    """Run the workload in a process that ends at a write; return what it acknowledged, and whether it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        Deadly.last, Deadly.half = last, half
        SegmentStore.__init__.__kwdefaults__["files"] = Deadly()
        code = 1
        try:
            asyncio.run(work(folder, writer))
            os.write(writer, f"writes {Deadly.count}\n".encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as lines:
        said = lines.read().splitlines()
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"the workload failed when it was to be killed at write {last}")
    return said, os.WIFSIGNALED(status)


def judge(folder: Path, said: list[str], books: Path, what: str) -> None:
    """Bring the host back and compare with what was acknowledged."""
    total, settled, dead = asyncio.run(look(folder))
    taken = max([int(line.split()[1]) for line in said if line.startswith("in ")], default=-1) + 1
    undone = 2 if "back True" in said else 0
    # One more input, and the rollback, may have become durable without anybody having been told.
    wanted = {(1 << count) - 1 - gone for count in (taken, taken + 1) for gone in (undone, 2) if count > 1 or not gone}
    if total not in wanted or settled != total:
        raise SystemExit(f"{what}: acknowledged {said}; found {total}, settled {settled}, dead letters {dead}")
    lines = books.read_text().splitlines() if books.exists() else []
    balances = [lines.count(line) - lines.count("-" + line[1:]) for line in set(lines) if line.startswith("+")]
    standing = sum(balance == 1 for balance in balances)
    if standing != total.bit_count() or any(balance not in (0, 1) for balance in balances):
        raise SystemExit(f"{what}: {standing} payments stand for {total.bit_count()} inputs: {lines}")


def main(folder: Path, step: int = 1, first: int = 1) -> None:
    """Kill at every `step`-th write, from the `first` on."""
    os.environ["BOOKS"] = str(folder / "books")
    kills = 0
    for half in (False, True):
        last = first
        while True:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            said, was_killed = run(folder / "run", last, half)
            judge(folder / "run", said, folder / "books", f"killed {'in' if half else 'before'} write {last}")
            if not was_killed:
                break
            kills += 1
            last += step
    print(f"{kills} kills, each survived")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
