"""Ebbtide's own part: `python -m benchmarks.effects.ours ORDER_FILE`, which kills may end and which goes on again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.effects.chatter import Entry, Mind, Word, names_of, openings, read_entry, wrong_entry
from benchmarks.effects.ledger import Ledger
from benchmarks.effects.order import Order, my_order, tell_trial
from benchmarks.effects.orders import AFTER, BEFORE, BETWEEN, Traps, Trial, run_of, tell
from ebbtide import Agent, AgentSpec, Call, Cluster, Context, Happened, NotHappened, handles, tool

HOSTS = 4
LOOK_S = 0.005


@dataclass
class World:
    """What handlers and tools of this process find: one process, one benchmark."""

    ledger: Ledger
    traps: Traps
    mind: Mind


WORLD: list[World] = []


def refund(call: Call) -> None:
    """Give a payment back; a second time does no harm."""
    WORLD[0].ledger.refund(idempotency_key=call.intent)


def was_paid(call: Call) -> Happened | NotHappened:
    """Ask the provider whether a call has paid."""
    payment = WORLD[0].ledger.lookup(call.intent)
    return NotHappened() if payment is None else Happened(payment)


@tool(undo=refund, check=was_paid)
def pay(order: str, amount: int, memo: str, *, intent: str) -> str:
    """Pay an order."""
    return WORLD[0].ledger.pay(order, amount, memo, idempotency_key=intent)


@tool(undo=refund, check=was_paid)
def pay_trapped(order: str, amount: int, memo: str, *, intent: str) -> str:
    """Pay an order; maybe the process is killed before this returns."""
    payment = WORLD[0].ledger.pay(order, amount, memo, idempotency_key=intent)
    WORLD[0].traps.hold(order, run_of(memo), BETWEEN)
    return payment


@dataclass
class Invoice:
    """Pay this; the words are what a language model would come up with, in its first run and in its second."""

    order: str
    amount: int
    memos: tuple[str, ...]
    is_withdrawn: bool


class Payer(Agent):
    """Pays one order."""

    @handles(Invoice)
    async def invoice(self, message: Invoice, ctx: Context) -> None:
        """Decide on the words, pay, note."""
        run = ctx.attempt
        words = message.memos[run - 1]
        payment = ""
        if run == 1 or not message.is_withdrawn:
            await self._maybe_killed(message.order, run, BEFORE)
            payment = await ctx.call(pay_trapped, message.order, message.amount, words, key="payment")
            await self._maybe_killed(message.order, run, AFTER)
        self.state["run"], self.state["step"], self.state["payment"] = run, str(ctx.step), payment

    async def _maybe_killed(self, order: str, run: int, point: str) -> None:
        if WORLD[0].traps.is_here(order, run, point):
            await asyncio.Event().wait()


class Talker(Agent):
    """Handles a message, maybe pays, and sends others on. Each step knows how many the agent has made before."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    @handles(Word)
    async def word(self, message: Word, ctx: Context) -> None:
        """Think, pay, send."""
        at = self.state.get("at", 0)
        thought = WORLD[0].mind.think(message, self._names, self.name)
        if thought.order:
            await ctx.call(pay, thought.order, thought.amount, thought.memo, key="payment")
        for receiver, word in thought.sends:
            ctx.send(receiver, word)
        entry = thought.entry(self.name, at, message)
        self.state["entry", message.id] = [str(ctx.step), *entry.__dict__.values()]
        self.state["at"] = at + 1


async def settle(cluster: Cluster, trial: Trial) -> None:
    """Bring an order to its end, from wherever a kill has left it."""
    message = Invoice(trial.order, trial.amount, trial.memos, trial.is_withdrawn)
    # With its key it is taken once, however often this process is started.
    await cluster.submit(trial.order, message, key=trial.order)
    state = await reached(cluster, trial.order, 1)
    if trial.is_wrong and state["run"] == 1:
        outcome = await cluster.rollback(state["step"], inputs="retry", evidence="say it better")
        if not outcome.committed:
            raise RuntimeError(f"{trial.order} was not rolled back: {outcome}")
        await reached(cluster, trial.order, 2)
    tell(ended=trial.order)


async def reached(cluster: Cluster, agent: str, run: int) -> dict[Any, Any]:
    """Return an agent's state once its order has been run so often."""
    while (state := await cluster.state(agent)).get("run", 0) < run:
        await asyncio.sleep(LOOK_S)
    return state


async def do_orders(order: Order) -> None:
    """Do experiment 1 or 2."""
    assert order.plan is not None
    batches = order.plan.batches
    names = [trial.order for batch in batches for trial in batch]
    async with Cluster("local", agents_per_actor=-(-len(names) // HOSTS), folder=Path(order.folder) / "run") as cluster:
        await cluster.spawn_all([AgentSpec(name, Payer) for name in names])
        for at, batch in enumerate(batches):
            if at >= order.first:
                await asyncio.gather(*(settle(cluster, trial) for trial in batch))
                await cluster.quiet(pause_s=0.01)
                tell(batch=at)


async def entries(cluster: Cluster, trial: int) -> tuple[list[Entry], dict[str, str]]:
    """Return what the states of a trial's agents hold; and which step each run was."""
    states = await asyncio.gather(*(cluster.state(name) for name in names_of(trial)))
    rows = [value for state in states for key, value in state.items() if isinstance(key, tuple)]
    found = [read_entry(row[1:]) for row in rows]
    return found, {entry.run: row[0] for entry, row in zip(found, rows, strict=True)}


async def do_batch(order: Order, trials: range, cluster: Cluster) -> None:
    """Do some trials of experiment 3, all at once."""
    specs = [AgentSpec(name, Talker, {"names": names_of(trial)}) for trial in trials for name in names_of(trial)]
    await cluster.spawn_all(specs)
    await asyncio.gather(
        *(cluster.submit(name, word) for trial in trials for name, word in openings(order.seed, trial))
    )
    await cluster.quiet(pause_s=0.01)
    before = {trial: await entries(cluster, trial) for trial in trials}
    roots = {trial: wrong_entry(order.seed, trial, before[trial][0]).run for trial in trials if trial in order.wrong}
    outcomes = await asyncio.gather(
        *(cluster.rollback(before[trial][1][run], inputs="retry") for trial, run in roots.items())
    )
    for outcome in outcomes:
        if not outcome.committed:
            raise RuntimeError(f"not rolled back: {outcome}")
    await cluster.quiet(pause_s=0.01)
    for trial in trials:
        after, _ = await entries(cluster, trial)
        tell_trial(trial, roots.get(trial), before[trial][0], after)


async def do_chatter(order: Order) -> None:
    """Do experiment 3: each batch in a cluster of its own, as agents' names are for good."""
    for at, trials in enumerate(order.batches()):
        packed = -(-len(trials) * len(names_of(0)) // HOSTS)
        async with Cluster("local", agents_per_actor=packed, folder=Path(order.folder) / f"run-{at}") as cluster:
            await do_batch(order, trials, cluster)


def main(order: Order) -> None:
    """Do what this process was started for."""
    traps = Traps(order.plan.faults if order.plan is not None else {})
    WORLD[:] = [World(Ledger(order.port), traps, Mind(order.seed))]
    asyncio.run(do_orders(order) if order.kind == "orders" else do_chatter(order))
    tell(about={"ebbtide": version("ebbtide")})


if __name__ == "__main__":
    main(my_order())
