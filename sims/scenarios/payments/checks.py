"""The proof at the end of a run: from the export, the books and the agents' states, against two oracles.

Nothing here imports the protocol: the cone is a graph search over the export's lines (`sims.oracle`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sims.oracle import LoggedStep, cone, dependents, orphans
from sims.scenarios.payments.data import Payment
from sims.scenarios.payments.serial import Order, World

HANDLE_PAYMENTS = ("risk-", "compliance-")
"""Whose order makes a difference to what a payment comes to."""
Entry = tuple[str, int, str, int, str | None]
"""Of the books: the call's name, the payment, the account, cents, and what it reverses."""


@dataclass(frozen=True)
class Check:
    """One thing that must hold, whether it does, and what was seen."""

    name: str
    passed: bool
    detail: str


class Log:
    """An export, read back."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[dict[str, Any]] = _lines(folder / "steps.jsonl")
        self.proposals: list[dict[str, Any]] = _lines(folder / "proposals.jsonl")
        self.checkpoints: list[dict[str, Any]] = _lines(folder / "checkpoints.jsonl", needed=False)
        self.by_step = {line["step"]: line for line in self.lines}
        self.logged = [
            LoggedStep(
                line["step"],
                line["input"]["producer"],
                tuple(read["writer"] for read in line["reads"] if read["writer"] is not None),
            )
            for line in self.lines
        ]
        self.undone = {line["step"] for line in self.lines if line["retracted_by"] is not None}
        committed = [proposal for proposal in self.proposals if proposal["decision"] == "commit"]
        roots = [root for proposal in committed for root in proposal["roots"]]
        self.audited = [each for each in committed if not each["roots"][0].startswith("ledger-")]
        """The rollbacks that audits have asked for."""
        self.called_off = [each for each in committed if each["roots"][0].startswith("ledger-")]
        """Those of transfers that were called off: ledgers begin them, and nobody else goes back to that."""
        self.cone = cone(roots, dependents(self.logged))

    def surviving(self) -> list[dict[str, Any]]:
        """Return the steps that stand, in the order of their times."""
        return [line for line in self.lines if line["step"] not in self.undone]

    def undone_by_audits(self) -> list[str]:
        """Return the steps that rollbacks of audits have undone."""
        ids = {proposal["id"] for proposal in self.audited}
        return [line["step"] for line in self.lines if line["retracted_by"] in ids]

    def source(self, line: dict[str, Any]) -> str:
        """Return the id of the input from outside that a step goes back to."""
        while line["input"]["producer"] is not None:
            line = self.by_step[line["input"]["producer"]]
        return line["input"]["id"]


def serial_order(log: Log) -> Order:
    """Return the place of each surviving step that handles a payment, in the order of their times."""
    order: Order = {}
    for at, line in enumerate(log.surviving()):
        if line["step"].startswith(HANDLE_PAYMENTS):
            order[line["step"].split("/")[0], int(log.source(line).rsplit("#", 1)[1])] = at
    return order


def judge(
    log: Log, payments: Sequence[Payment], run: World, truth: World, replicas: dict[str, dict[int, int]],
    books: Sequence[Entry], dead: int,
) -> list[Check]:  # fmt: skip
    """Return every check of a run."""
    return [
        _equal("accounts equal the oracle's", run.balances, truth.balances),
        _equal("the ledgers' own balances equal the books", run.ledgers, run.balances),
        _replicas(replicas, truth.exposure),
        _equal("holds equal the oracle's", run.holds, truth.holds),
        _equal("payments ended as the oracle's", run.ends, truth.ends),
        _cone(log),
        _effects(log, books),
        _orphans(log),
        _lost(log, payments, dead),
        _untouched(log),
        _clocks(log),
    ]


def _equal(name: str, seen: dict[Any, Any], wanted: dict[Any, Any]) -> Check:
    keys = sorted(key for key in {*seen, *wanted} if seen.get(key) != wanted.get(key))
    if keys:
        key = keys[0]
        return Check(name, False, f"{len(keys)} differ; {key}: {seen.get(key)}, not {wanted.get(key)}")
    return Check(name, True, f"{len(wanted)} equal")


def _replicas(replicas: dict[str, dict[int, int]], wanted: dict[int, int]) -> Check:
    name = "exposure equals the oracle's, at every replica"
    for agent, seen in replicas.items():
        check = _equal(name, seen, wanted)
        if not check.passed:
            return Check(name, False, f"{agent}: {check.detail}")
    return Check(name, True, f"{len(wanted)} customers at {len(replicas)} replicas")


def _cone(log: Log) -> Check:
    more, less = sorted(log.undone - log.cone), sorted(log.cone - log.undone)
    if more or less:
        return Check("undone is exactly the true cone", False, f"too much: {more[:3]}, too little: {less[:3]}")
    return Check("undone is exactly the true cone", True, f"{len(log.cone)} steps")


def standing(books: Sequence[Entry]) -> dict[str, tuple[int, str, int]]:
    """Return the entries that are not reversed, by intent: number, account and cents of each."""
    gone = {entry[4] for entry in books}
    return {
        intent: (number, account, cents)
        for intent, number, account, cents, of in books
        if of is None and intent not in gone
    }


def _effects(log: Log, books: Sequence[Entry]) -> Check:
    claimed: dict[str, int] = {}
    for line in log.surviving():
        for call in line["calls"]:
            if not call["tool"].endswith("post_entry"):
                continue  # what was sent out is judged by itself
            claimed[call["intent"]] = claimed.get(call["intent"], 0) + 1
    reversed_once = {reverses for _, _, _, _, reverses in books if reverses is not None}
    stand = standing(books)
    per_payment: dict[int, int] = {}
    for payment, _, _ in stand.values():
        per_payment[payment] = per_payment.get(payment, 0) + 1
    doubles = [payment for payment, count in per_payment.items() if count > 1]
    doubles += [intent for intent, count in claimed.items() if count > 1]
    astray = sorted(stand.keys() ^ claimed.keys())
    name = "duplicate effects: 0, stray effects: 0"
    if doubles or astray:
        return Check(name, False, f"twice: {doubles[:3]}; without a step, or missing: {astray[:3]}")
    return Check(name, True, f"{len(stand)} entries stand, {len(reversed_once)} reversed once each")


def _orphans(log: Log) -> Check:
    left = orphans(log.logged, log.undone)
    return Check("orphans: 0", not left, f"{left[:3]}" if left else "no surviving step depends on an undone one")


def _lost(log: Log, payments: Sequence[Payment], dead: int) -> Check:
    ends: dict[str, int] = {}
    for line in log.surviving():
        producer = line["input"]["producer"]
        # What a guard asks, and the auditor's own timers, end no payment.
        ends_one = producer is not None and not producer.startswith(("guard/", "auditor/"))
        if line["step"].startswith("auditor/") and ends_one:
            source = log.source(line)
            ends[source] = ends.get(source, 0) + 1
    numbers = {int(source.rsplit("#", 1)[1]) for source in ends}
    lost = sorted({payment.number for payment in payments} - numbers)
    doubled = sorted(source for source, count in ends.items() if count > 1)
    name = "lost inputs: 0, doubled inputs: 0"
    if lost or doubled or dead:
        return Check(name, False, f"lost: {lost[:3]}; doubled: {doubled[:3]}; dead letters: {dead}")
    return Check(name, True, f"{len(numbers)} payments, each ended once")


def _untouched(log: Log) -> Check:
    touched = {log.source(line) for line in log.lines if line["step"] in log.cone}
    runs: dict[tuple[str, str], int] = {}
    for line in log.lines:
        source = log.source(line)
        if source not in touched:
            name = (line["step"].split("/")[0], line["input"]["lineage"])
            runs[name] = runs.get(name, 0) + 1
    again = [name for name, count in runs.items() if count > 1]
    detail = f"{again[:3]} ran again" if again else f"{len(runs)} steps of payments outside the cone ran once each"
    return Check("what the fault did not touch was never undone or repeated", not again, detail)


def _clocks(log: Log) -> Check:
    blind = [
        line["step"]
        for line in log.lines
        for cause in (line["input"]["producer"], *(read["writer"] for read in line["reads"]))
        # A clock is silent of epochs that were committed when its step ran: its floor.
        if cause is not None
        and log.by_step[cause].get("epoch", 0) >= line.get("floor", 0)
        and not _covers(line["clock"], cause)
    ]
    detail = f"blind: {blind[:3]}" if blind else f"{len(log.lines)} clocks cover what their steps depend on, or say so"
    return Check("vector clocks are sound", not blind, detail)


def _covers(clock: dict[str, list[int]], step: str) -> bool:
    agent, incarnation, seq = step.rsplit("/", 2)
    return agent in clock and tuple(clock[agent]) >= (int(incarnation), int(seq))


def _lines(file: Path, needed: bool = True) -> list[dict[str, Any]]:
    if not needed and not file.exists():
        return []
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
