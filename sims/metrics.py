"""What a world has done and cost, as a table: a row for each host, agent and proposal."""

from __future__ import annotations

from typing import Any, Protocol

import pandas

from protocol.ids import ProposalId, StepId
from protocol.records import VoteRecord
from protocol.step import StepRecord
from sims.checkers.view import View
from sims.engine.engine import Engine

COLUMNS = (
    "kind", "name", "host", "lives", "messages", "bytes", "dropped", "refused", "steps", "undone", "dead_letters",
    "events", "latency_ms", "decision", "electors", "clock_entries",
)  # fmt: skip
"""`latency_ms` is virtual: of an agent, the median from a step's beginning to its being durable; of a proposal, from
the proposal to the last participant's decision. `messages` of a host are frames. Empty: does not apply."""


class Measured(Protocol):
    """A world, as far as it is measured."""

    @property
    def engine(self) -> Engine:
        """What moves it."""
        ...

    def retracted_by(self) -> dict[StepId, str]:
        """Return the undone steps, each with what undid it first."""
        ...

    def view(self) -> View:
        """Return the world as checkers see it."""
        ...


def metrics(world: Measured) -> pandas.DataFrame:
    """Return the table, with `COLUMNS`."""
    rows = [*_hosts(world), *_agents(world), *_proposals(world)]
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def rollback_costs(world: Measured) -> dict[ProposalId, tuple[int, int]]:
    """Return, by proposal, how many messages between agents it has taken so far, and their bytes."""
    sent: dict[ProposalId, tuple[int, int]] = {}
    for box in world.engine.boxes.values():
        for name, (count, size) in box.host.costs().rollbacks.items() if box.host is not None else ():
            before = sent.get(name, (0, 0))
            sent[name] = (before[0] + count, before[1] + size)
    return sent


def _hosts(world: Measured) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for box in world.engine.boxes.values():
        frames, size, dropped, refused = box.counts()
        rows.append(
            {"kind": "host", "name": box.name, "host": box.name, "lives": box.lives, "messages": frames, "bytes": size,
             "dropped": dropped, "refused": refused}
        )  # fmt: skip
    return rows


def _agents(world: Measured) -> list[dict[str, Any]]:
    trace, undone = world.engine.trace, world.retracted_by()
    drivers = world.engine.drivers()
    rows: list[dict[str, Any]] = []
    for agent, host in world.engine.homes.items():
        steps = [record for record in trace.logs.get(agent, ()) if isinstance(record, StepRecord)]
        waits = sorted(trace.durable_us[r.step] - trace.began_us[r.step] for r in steps if r.step in trace.began_us)
        tally = trace.tallies.get(agent)
        driver = drivers.get(agent)
        rows.append(
            {"kind": "agent", "name": agent, "host": host,
             "messages": tally.messages if tally else 0, "events": tally.events if tally else 0,
             "steps": len(steps), "undone": sum(record.step in undone for record in steps),
             "dead_letters": len(driver.machine.core.dead) if driver else None,
             "latency_ms": waits[len(waits) // 2] / 1000 if waits else None,
             "clock_entries": max((len(record.clock) for record in steps), default=0)}
        )  # fmt: skip
    return rows


def _proposals(world: Measured) -> list[dict[str, Any]]:
    view = world.view()
    sent = rollback_costs(world)
    proposals = {r.proposal.id: r.proposal for _, r in view.of(VoteRecord) if isinstance(r, VoteRecord)}
    rows: list[dict[str, Any]] = []
    for name in sorted(proposals, key=lambda name: (proposals[name].began_us, name)):
        decided = view.decided.get(name, [])
        outcome = view.outcomes.get(name)
        count, size = sent.get(name, (0, 0))
        rows.append(
            {"kind": "proposal", "name": name, "messages": count, "bytes": size,
             "undone": sum(len(record.retracted) for _, record in decided),
             "latency_ms": (outcome.decided_us - outcome.began_us) / 1000 if outcome else None,
             "decision": decided[0][1].decision if decided else "undecided",
             "electors": len(view.voters.get(name, ()))}
        )  # fmt: skip
    return rows
