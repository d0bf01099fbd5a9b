"""The systems, and how one does its trials: in a process of its own, which is killed where the plan says, and goes on.

A kill is a SIGKILL from here. It comes when each trial of the batch has either ended or is held at its fault's point:
so it strikes what it is to strike, and all of a batch's faults at once.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.effects.accounting import judge_chatter, judge_orders
from benchmarks.effects.chatter import Entry, openings
from benchmarks.effects.ledger import ROOT, Provider
from benchmarks.effects.order import Order, write_order
from benchmarks.effects.orders import AFTER, BETWEEN, Plan

SILENT_S = 180.0
"""A process that says nothing for so long has hung: that is told, and nothing is counted."""
Told = Callable[[], None]


@dataclass(frozen=True)
class Contender:
    """One system in one setting."""

    name: str
    says: str
    """For tables."""
    module: str
    kinds: tuple[str, ...] = ("orders", "chatter")
    """What it takes part in: where agents talk, peers have the guard that their users can write; the best case."""

    @property
    def is_peer(self) -> bool:
        """Whether it is somebody else's."""
        return self.name != "ebbtide"


CONTENDERS = (
    Contender("ebbtide", "Ebbtide", "ours"),
    Contender("langgraph", "LangGraph", "langgraph_peer", ("orders",)),
    Contender("langgraph-key", "LangGraph + key", "langgraph_peer"),
    Contender("langgraph-one-key", "LangGraph, one graph, + key", "langgraph_peer", ("chatter",)),
    Contender("dbos", "DBOS", "dbos_peer", ("orders",)),
    Contender("dbos-key", "DBOS + key", "dbos_peer"),
)
ALL = {contender.name: contender for contender in CONTENDERS}


@dataclass
class Worker:
    """One process at work."""

    process: subprocess.Popen[str]
    errors: Path
    was_hung: bool = field(default=False)

    def said(self) -> Iterator[dict[str, Any]]:
        """Return what it tells, line by line, until it ends.

        Raises: RuntimeError, if it ended otherwise than in order or by `kill`, with what it said last.
        """
        assert self.process.stdout is not None
        watch = self._watch()
        for line in self.process.stdout:
            watch.cancel()
            if line.startswith("{"):
                yield json.loads(line)
            watch = self._watch()
        watch.cancel()
        if self.process.wait() != 0:
            last = self.errors.read_text(encoding="utf-8", errors="replace")[-3000:]
            why = f"said nothing for {SILENT_S:.0f} s" if self.was_hung else "failed"
            raise RuntimeError(f"{' '.join(map(str, self.process.args))} {why}:\n{last}")  # type: ignore[arg-type]

    def _watch(self) -> threading.Timer:
        timer = threading.Timer(SILENT_S, self._hung)
        timer.daemon = True
        timer.start()
        return timer

    def _hung(self) -> None:
        self.was_hung = True
        self.process.kill()

    def kill(self) -> None:
        """SIGKILL it, and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Bench:
    """Runs cells: one system, one experiment, one rate.

    Args:
        peers: the Python of the peers' environment; None: peers are left out.
        folder: where systems and ledgers write.
    """

    def __init__(self, peers: Path | None, folder: Path) -> None:
        self._peers = peers
        self._folder = folder
        self._cells = 0
        self.versions: dict[str, str] = {}
        """Of all systems that were run."""

    def contenders(self, kind: str) -> list[Contender]:
        """Return the systems that can be run here, for one kind of work."""
        return [each for each in CONTENDERS if kind in each.kinds and (self._peers is not None or not each.is_peer)]

    def orders(self, contender: Contender, plan: Plan, seed: str, told: Told) -> dict[str, Any]:
        """Run experiment 1 or 2 for one system; `told` is called for each trial that has ended.

        Raises: RuntimeError, if it fails otherwise than it is to.
        """
        folder, provider = self._cell(contender)
        order = Order(contender.name, str(folder), provider.port, "orders", seed, plan=plan)
        struck: list[str] = []
        kills = 0
        try:
            while True:
                batch, held = self._until_killed(order, told)
                if batch is None:
                    break
                kills += 1
                struck += held
                faults = {name: fault for name, fault in plan.faults.items() if name not in struck}
                order = replace(order, first=batch, plan=Plan(plan.batches, faults))
            trials = [trial for batch in plan.batches for trial in batch]
            found = judge_orders(trials, provider.entries())
        finally:
            provider.close()
        points = [plan.faults[name].point for name in struck]
        return {
            **found,
            "trials": len(trials),
            "kills": kills,
            "struck": len(struck),
            "struck_between": points.count(BETWEEN),
            "struck_after": points.count(AFTER),
            "gone_back": sum(trial.is_wrong for trial in trials),
            "withdrawn": sum(trial.is_withdrawn for trial in trials),
        }

    def _until_killed(self, order: Order, told: Told) -> tuple[int | None, list[str]]:
        """Run a process until it is to be killed, or has done all; return the batch it was in, and who was struck."""
        assert order.plan is not None
        at, ended, held = order.first, set[str](), dict[str, None]()
        worker = self._start(order)
        for said in worker.said():
            if "batch" in said:
                at = said["batch"] + 1
                for _ in order.plan.batches[said["batch"]]:
                    told()
                ended.clear()
            elif "ended" in said:
                ended.add(said["ended"])
            elif "stalled" in said:
                held[said["stalled"]] = None
            elif "about" in said:
                self.versions.update(said["about"])
            if held and len(ended) + len(held) == len(order.plan.batches[at]):
                worker.kill()
                return at, list(held)
        return None, []

    def chatter(
        self, contender: Contender, seed: str, trials: int, wrong: list[int], batch: int, told: Told
    ) -> dict[str, Any]:
        """Run experiment 3 for one system.

        Raises: RuntimeError, if it fails.
        """
        folder, provider = self._cell(contender)
        order = Order(
            contender.name, str(folder), provider.port, "chatter", seed, trials=trials, wrong=tuple(wrong), batch=batch
        )
        found: list[dict[str, Any]] = []
        try:
            for said in self._start(order).said():
                if "trial" in said:
                    found.append(said)
                    told()
                elif "about" in said:
                    self.versions.update(said["about"])
            ledger = provider.entries()
        finally:
            provider.close()
        if sorted(each["trial"] for each in found) != list(range(trials)):
            raise RuntimeError(f"{contender.name} has told of {len(found)} of {trials} trials")
        counts = [_judged(seed, said, ledger) for said in found]
        total = {name: sum(each[name] for each in counts) for name in counts[0]}
        return {**total, "trials": trials, "rolled_back": len(wrong), "trials_with_orphans": _with_orphans(counts)}

    def _cell(self, contender: Contender) -> tuple[Path, Provider]:
        self._cells += 1
        folder = self._folder / f"{self._cells}-{contender.name}"
        folder.mkdir(parents=True)
        return folder, Provider(folder / "ledger.jsonl")

    def _start(self, order: Order) -> Worker:
        contender = ALL[order.system]
        if contender.is_peer:
            assert self._peers is not None
        python = str(self._peers) if contender.is_peer else sys.executable
        file, errors = Path(order.folder) / "order.json", Path(order.folder) / "errors.txt"
        write_order(order, file)
        with errors.open("a") as into:
            process = subprocess.Popen(
                [python, "-m", f"benchmarks.effects.{contender.module}", str(file)], cwd=ROOT, env=_environment(),
                stdout=subprocess.PIPE, stderr=into, text=True,
            )  # fmt: skip
        return Worker(process, errors)


def _environment() -> dict[str, str]:
    # DBOS goes on with workflows of its own version only; nobody is told anything outside.
    return {**os.environ, "DBOS__APPVERSION": "effects", "LANGSMITH_TRACING": "false"}


def _judged(seed: str, said: dict[str, Any], ledger: list[dict[str, Any]]) -> dict[str, int]:
    before, after = (
        [Entry(**{**entry, "sent": tuple(entry["sent"])}) for entry in said[when]] for when in ("before", "after")
    )
    opened = [word.id for _, word in openings(seed, said["trial"])]
    mine = [entry for entry in ledger if entry["order"].startswith(f"pay-t{said['trial']}-")]
    return judge_chatter(opened, before, after, said["root"], mine)


def _with_orphans(counts: list[dict[str, int]]) -> int:
    return sum(1 for each in counts if each["orphan_messages"] or each["orphan_payments"])
