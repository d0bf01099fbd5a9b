"""DBOS on SQLite: `python -m benchmarks.effects.dbos_peer ORDER_FILE`, which kills may end and which goes on again.

A side effect is a step. Workflows that were under way are recovered by `DBOS.launch`. To go back is `fork_workflow`
from the step that was wrong: the fork has the recorded results of the steps before it, and runs the rest anew.
"""

import os
import sqlite3
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID
from sqlalchemy import Engine, event

from benchmarks.effects.chatter import Entry, Mind, Word, names_of, openings, read_entry, wrong_entry
from benchmarks.effects.ledger import Ledger
from benchmarks.effects.order import Order, my_order, tell_trial
from benchmarks.effects.orders import AFTER, BEFORE, BETWEEN, Traps, Trial, run_of, settle_all, tell

AGAIN = "-again"
STOP = "stop"
WAIT_S = 600.0
LOOK_S = 0.02


class World:
    """What workflows and steps of this process find: one process, one benchmark."""

    def __init__(self, order: Order) -> None:
        self.ledger = Ledger(order.port)
        self.is_guarded = order.is_guarded
        self.traps = Traps(order.plan.faults if order.plan is not None else {})
        self.mind = Mind(order.seed)
        self.trials = {trial.order: trial for batch in (order.plan.batches if order.plan else ()) for trial in batch}
        self.addresses: dict[str, str] = {}
        """The workflow of each agent, as it now is."""
        self._open: dict[int, int] = {}
        """By trial, messages on their way. Only to know when to look."""
        self._moved: set[str] = set()
        self._changed = threading.Condition()

    def pay(self, order: str, amount: int, memo: str) -> str:
        """Pay, with the guard if the user has written it."""
        return self.ledger.pay(order, amount, memo, order if self.is_guarded else None)

    def moved(self, trial: int, what: str, messages: int) -> None:
        """So many more messages are on their way; told once for each `what`, though a fork runs through it again."""
        with self._changed:
            if what in self._moved:
                return
            self._moved.add(what)
            self._open[trial] = self._open.get(trial, 0) + messages
            self._changed.notify_all()

    def until_quiet(self, trial: int) -> None:
        """Return once none is."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open.get(trial), WAIT_S):
                raise RuntimeError(f"trial {trial}: {self._open[trial]} messages were not handled in {WAIT_S} s")


WORLD: list[World] = []


# -- experiments 1 and 2 ------------------------------------------------------------------------------------------


@DBOS.step()
def decide(order: str, run: int) -> str:
    """Find words for a payment; none, if it is not to be made after all."""
    trial = WORLD[0].trials[order]
    return trial.memos[run - 1] if trial.pays(run) else ""


@DBOS.step()
def pay(order: str, amount: int, memo: str) -> str:
    """Pay an order; maybe the process is killed before this returns."""
    WORLD[0].traps.hold(order, run_of(memo), BEFORE)
    payment = WORLD[0].pay(order, amount, memo)
    WORLD[0].traps.hold(order, run_of(memo), BETWEEN)
    return payment


@DBOS.step()
def note(order: str, memo: str, payment: str) -> str:
    """Note what was paid."""
    if memo:
        WORLD[0].traps.hold(order, run_of(memo), AFTER)
    return payment


@DBOS.workflow()
def handle_order(order: str, amount: int) -> str:
    """Decide, pay, note."""
    run = 2 if (DBOS.workflow_id or "").endswith(AGAIN) else 1
    memo = decide(order, run)
    payment = pay(order, amount, memo) if memo else ""
    return note(order, memo, payment)


def settle(trial: Trial) -> None:
    """Bring an order to its end, from wherever a kill has left it."""
    if DBOS.get_workflow_status(trial.order) is None:
        with SetWorkflowID(trial.order):
            DBOS.start_workflow(handle_order, trial.order, trial.amount)
    DBOS.retrieve_workflow(trial.order).get_result(polling_interval_sec=LOOK_S)
    if trial.is_wrong:
        again = trial.order + AGAIN
        if DBOS.get_workflow_status(again) is None:
            first = _steps(trial.order, "decide")[0]["function_id"]
            with SetWorkflowID(again):
                DBOS.fork_workflow(trial.order, first)
        DBOS.retrieve_workflow(again).get_result(polling_interval_sec=LOOK_S)


def _steps(workflow: str, name: str) -> list[dict[str, Any]]:
    return [step for step in DBOS.list_workflow_steps(workflow) if step["function_name"].endswith(name)]


# -- experiment 3 -------------------------------------------------------------------------------------------------


@DBOS.step()
def think(me: str, at: int, word: list[Any]) -> dict[str, Any]:
    """Think about a message: what an agent remembers are the results of this step."""
    trial = int(me[1:].partition("-")[0])
    thought = WORLD[0].mind.think(Word(*word), names_of(trial), me)
    sends = [[WORLD[0].addresses[name], [each.id, each.by, each.hops]] for name, each in thought.sends]
    entry = list(thought.entry(me, at, Word(*word)).__dict__.values())
    return {
        "entry": entry, "sends": sends, "order": thought.order, "amount": thought.amount, "memo": thought.memo,
        "trial": trial,
    }  # fmt: skip


@DBOS.step()
def pay_freely(order: str, amount: int, memo: str) -> str:
    """Pay."""
    return WORLD[0].pay(order, amount, memo)


@DBOS.workflow()
def talk(me: str) -> int:
    """Handle messages until told to stop; return how many."""
    at = 0
    while (word := DBOS.recv(timeout_seconds=WAIT_S)) not in (STOP, None):
        thought = think(me, at, word)
        if thought["order"]:
            pay_freely(thought["order"], thought["amount"], thought["memo"])
        for workflow, sent in thought["sends"]:
            # Before it leaves: it may be handled before this goes on.
            WORLD[0].moved(thought["trial"], f"sent {sent[0]}", 1)
            DBOS.send(workflow, sent)
        at += 1
        WORLD[0].moved(thought["trial"], f"handled {thought['entry'][4]}", -1)
    return at


def memories(trial: int) -> list[Entry]:
    """Return what the agents of a trial remember."""
    found = [_steps(WORLD[0].addresses[name], "think") for name in names_of(trial)]
    rows = [step["output"]["entry"] for steps in found for step in steps]
    return [read_entry(row) for row in rows]


def talk_all(order: Order, trial: int) -> None:
    """Do a trial of experiment 3."""
    world, names = WORLD[0], names_of(trial)
    for name in names:
        world.addresses[name] = name
        with SetWorkflowID(name):
            DBOS.start_workflow(talk, name)
    opened = openings(order.seed, trial)
    world.moved(trial, f"opening {trial}", len(opened))
    for name, word in opened:
        DBOS.send(name, [word.id, word.by, word.hops])
    world.until_quiet(trial)
    after = before = memories(trial)
    root = None
    if trial in order.wrong:
        root = wrong_entry(order.seed, trial, before)
        step = next(each for each in _steps(root.agent, "think") if each["output"]["entry"][4] == root.run)
        # The old workflow ends, and others find the fork.
        DBOS.send(root.agent, STOP)
        world.addresses[root.agent] = root.agent + AGAIN
        world.moved(trial, f"again {trial}", 1)
        with SetWorkflowID(root.agent + AGAIN):
            DBOS.fork_workflow(root.agent, step["function_id"])
        world.until_quiet(trial)
        after = memories(trial)
    tell_trial(trial, root and root.run, before, after)
    for name in names:
        DBOS.send(world.addresses[name], STOP)


def do_chatter(order: Order) -> None:
    """Do experiment 3, some trials at once."""
    for trials in order.batches():
        # A trial that fails is not there to be counted, and that is told by whoever counts.
        threads = [threading.Thread(target=talk_all, args=(order, trial)) for trial in trials]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def launch(folder: Path) -> None:
    """Open DBOS on its own database, in the mode that costs it least and outlasts every kill of a process."""
    event.listen(Engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=NORMAL"))
    file = folder / "dbos.db"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    DBOS(
        config={
            "name": "effects", "system_database_url": f"sqlite:///{file}", "run_admin_server": False,
            "log_level": "ERROR",
        }
    )  # fmt: skip
    DBOS.launch()


def main(order: Order) -> None:
    """Do what this process was started for."""
    WORLD[:] = [World(order)]
    launch(Path(order.folder))
    if order.kind == "orders":
        assert order.plan is not None
        settle_all(order.plan.batches, order.first, settle)
    else:
        do_chatter(order)
    tell(about={"dbos": version("dbos")})
    # Workflows that wait are left as they are: there is nothing to be told any more.
    os._exit(0)


if __name__ == "__main__":
    main(my_order())
