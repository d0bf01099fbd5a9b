"""LangGraph: `python -m benchmarks.effects.langgraph_peer ORDER_FILE`, which kills may end and which goes on again.

A side effect has a node of its own; durability="sync", so its checkpoint is written before the next node. To go back is
time travel: the checkpoint before the wrong node is looked up and forked by `update_state`, and invoked with None.
"""

import operator
import sqlite3
from collections import deque
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from benchmarks.effects.chatter import Entry, Mind, Word, names_of, openings, read_entry, wrong_entry
from benchmarks.effects.ledger import Ledger
from benchmarks.effects.order import Order, my_order, tell_trial
from benchmarks.effects.orders import AFTER, BEFORE, BETWEEN, Traps, Trial, settle_all, tell

STEPS_MAX = 10_000


class Paying(TypedDict, total=False):
    """An order's state."""

    order: str
    amount: int
    memo: str
    run: int
    pays: bool
    payment: str


class Talking(TypedDict, total=False):
    """An agent's state; `outbox` is what its newest step has sent."""

    entries: Annotated[list[list[Any]], operator.add]
    word: list[Any]
    outbox: list[list[Any]]
    told: str


class Together(TypedDict, total=False):
    """The state of all agents in one graph."""

    entries: Annotated[list[list[Any]], operator.add]
    queue: list[list[Any]]
    told: str


class LangGraph:
    """One database, and a thread of checkpoints for each order or agent."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._ledger = Ledger(order.port)
        self._traps = Traps(order.plan.faults if order.plan is not None else {})
        self._mind = Mind(order.seed)
        connection = sqlite3.connect(Path(order.folder) / "langgraph.db", check_same_thread=False)
        # In WAL mode, which the saver sets, this outlasts every kill of a process.
        connection.execute("PRAGMA synchronous=NORMAL")
        self._saver = SqliteSaver(connection)
        self._saver.setup()

    def _pay(self, order: str, amount: int, memo: str) -> str:
        return self._ledger.pay(order, amount, memo, order if self._order.is_guarded else None)

    # -- experiments 1 and 2 --------------------------------------------------------------------------------------

    def _paying(self) -> Any:
        def decide(state: Paying) -> dict[str, Any]:
            return {"run": 1, "pays": True}

        def pay(state: Paying) -> dict[str, Any]:
            order, run = state["order"], state["run"]
            self._traps.hold(order, run, BEFORE)
            payment = self._pay(order, state["amount"], state["memo"])
            self._traps.hold(order, run, BETWEEN)
            return {"payment": payment}

        def note(state: Paying) -> dict[str, Any]:
            if state["pays"]:
                self._traps.hold(state["order"], state["run"], AFTER)
            return {}

        graph = StateGraph(Paying)
        graph.add_node("decide", decide)
        graph.add_node("pay", pay)
        graph.add_node("note", note)
        graph.add_edge(START, "decide")
        graph.add_conditional_edges("decide", lambda state: "pay" if state["pays"] else "note", ["pay", "note"])
        graph.add_edge("pay", "note")
        graph.add_edge("note", END)
        return graph.compile(checkpointer=self._saver)

    def do_orders(self) -> None:
        """Do experiment 1 or 2."""
        assert self._order.plan is not None
        graph = self._paying()

        def settle(trial: Trial) -> None:
            config = {"configurable": {"thread_id": trial.order}}
            state = graph.get_state(config)
            if state.next:
                graph.invoke(None, config, durability="sync")
            elif not state.values:
                given = {"order": trial.order, "amount": trial.amount, "memo": trial.memos[0]}
                graph.invoke(given, config, durability="sync")
            if trial.is_wrong and graph.get_state(config).values["run"] == 1:
                before = next(each for each in graph.get_state_history(config) if each.next == ("pay",))
                better = {"run": 2, "memo": trial.memos[1], "pays": trial.pays(2)}
                graph.invoke(None, graph.update_state(before.config, better), durability="sync")

        settle_all(self._order.plan.batches, self._order.first, settle)

    # -- experiment 3 ---------------------------------------------------------------------------------------------

    def _handle(self, me: str, at: int, word: Word, names: tuple[str, ...]) -> tuple[list[Any], list[list[Any]]]:
        thought = self._mind.think(word, names, me)
        if thought.order:
            self._pay(thought.order, thought.amount, thought.memo)
        sent = [[receiver, [each.id, each.by, each.hops]] for receiver, each in thought.sends]
        return list(thought.entry(me, at, word).__dict__.values()), sent

    def _talking(self, names: tuple[str, ...]) -> Any:
        def handle(state: Talking, config: RunnableConfig) -> dict[str, Any]:
            me = config["configurable"]["thread_id"]
            entry, sent = self._handle(me, len(state.get("entries", [])), Word(*state["word"]), names)
            return {"entries": [entry], "outbox": sent}

        graph = StateGraph(Talking)
        graph.add_node("handle", handle)
        graph.add_edge(START, "handle")
        graph.add_edge("handle", END)
        return graph.compile(checkpointer=self._saver)

    def _talk(self, graph: Any, waiting: deque[list[Any]]) -> None:
        """Hand each message to the thread of its receiver, until there are none."""
        while waiting:
            name, word = waiting.popleft()
            config = {"configurable": {"thread_id": name}}
            state = graph.invoke({"word": word, "outbox": []}, config, durability="sync")
            waiting.extend(state["outbox"])

    def do_threads(self, trial: int) -> None:
        """Do a trial of experiment 3: an agent is a thread of its own."""
        names = names_of(trial)
        graph = self._talking(names)
        self._talk(graph, deque([name, [word.id, word.by, word.hops]] for name, word in self._openings(trial)))
        after = before = self._entries(graph, names)
        root = None
        if trial in self._order.wrong:
            wrong = wrong_entry(self._order.seed, trial, before)
            root = wrong.run
            history = graph.get_state_history({"configurable": {"thread_id": wrong.agent}})
            found = next(each for each in history if each.next == ("handle",) and each.values["word"][0] == wrong.word)
            fork = graph.update_state(found.config, {"told": "think again"}, as_node=START)
            state = graph.invoke(None, fork, durability="sync")
            self._talk(graph, deque(state["outbox"]))
            after = self._entries(graph, names)
        tell_trial(trial, root, before, after)

    def _openings(self, trial: int) -> list[tuple[str, Word]]:
        return openings(self._order.seed, trial)

    def _entries(self, graph: Any, names: tuple[str, ...]) -> list[Entry]:
        states = [graph.get_state({"configurable": {"thread_id": name}}).values for name in names]
        return [read_entry(row) for state in states for row in state.get("entries", [])]

    def do_together(self, trial: int) -> None:
        """Do a trial of experiment 3: all agents are in one graph and one state, which goes back as a whole."""
        names = names_of(trial)

        def turn(state: Together) -> dict[str, Any]:
            (me, word), *rest = state["queue"]
            at = sum(entry[0] == me for entry in state.get("entries", []))
            entry, sent = self._handle(me, at, Word(*word), names)
            return {"entries": [entry], "queue": rest + sent}

        def goes_on(state: Together) -> str:
            return "turn" if state["queue"] else END

        building = StateGraph(Together)
        building.add_node("turn", turn)
        building.add_edge(START, "turn")
        building.add_conditional_edges("turn", goes_on, ["turn", END])
        graph = building.compile(checkpointer=self._saver)
        config: Any = {"configurable": {"thread_id": f"t{trial}"}, "recursion_limit": STEPS_MAX}
        queue = [[name, [word.id, word.by, word.hops]] for name, word in self._openings(trial)]
        before = [read_entry(row) for row in graph.invoke({"queue": queue}, config, durability="sync")["entries"]]
        after, root = before, None
        if trial in self._order.wrong:
            root = wrong_entry(self._order.seed, trial, before)
            history = graph.get_state_history(config)
            found = next(each for each in history if each.next and each.values["queue"][0][1][0] == root.word)
            fork = graph.update_state(found.config, {"told": "think again"}, as_node=_last_node(found))
            again = {**fork, "recursion_limit": STEPS_MAX}
            after = [read_entry(row) for row in graph.invoke(None, again, durability="sync")["entries"]]
        tell_trial(trial, root and root.run, before, after)

    def do_chatter(self) -> None:
        """Do experiment 3."""
        for trial in range(self._order.trials):
            if "-one" in self._order.system:
                self.do_together(trial)
            else:
                self.do_threads(trial)


def _last_node(state: Any) -> str:
    return "turn" if state.values.get("entries") else START


def main(order: Order) -> None:
    """Do what this process was started for."""
    system = LangGraph(order)
    if order.kind == "orders":
        system.do_orders()
    else:
        system.do_chatter()
    tell(about={name: version(name) for name in ("langgraph", "langgraph-checkpoint-sqlite")})


if __name__ == "__main__":
    main(my_order())
