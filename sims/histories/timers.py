"""Timers of a history: what scripts set and cancel, and what must hold of them at the end (TI-1, TI-2)."""

from collections.abc import Callable, Iterable
from random import Random

from protocol.ids import AgentId, MessageId, StepId
from protocol.records import DeadRecord, DecisionRecord, Record
from protocol.step import Input, OutputDraft, StepRecord, timers_of
from sims.histories.plan import MS, Plan

KEYS = (None, "t0", "t0", "t1")
"""Few, so that timers take each other's place and are cancelled."""


def drawn(plan: Plan, agent: AgentId, item: Input, mood: int, depth: int) -> tuple[list[OutputDraft], tuple[str, ...]]:
    """Return the timers that a script sets, and the keys under which it cancels some."""
    rng = Random(f"{plan.seed}/{item.lineage}/{mood}/timers")
    outputs: list[OutputDraft] = []
    cancels = tuple(key for key in ("t0", "t1") if rng.random() < plan.timed / 4)
    if depth > 0:
        while rng.random() < plan.timed and len(outputs) < 3:
            key = rng.choice(KEYS)
            if key is None or all(out.key != key for out in outputs):
                after_us = rng.choice((0, MS, 20 * MS, 100 * MS, 400 * MS))
                outputs.append(OutputDraft(agent, b"%d" % (depth // 2), key, after_us))
    return outputs, cancels


def cancelled(records: Iterable[StepRecord], survives: Callable[[StepId], bool]) -> set[MessageId]:
    """Return the timers that surviving steps have called off."""
    return {message for record in records if survives(record.step) for message in record.cancelled}


def early(records: Iterable[StepRecord]) -> list[str]:
    """Return the steps, undone or not, that have handled a timer before it was due."""
    # A request is due as soon as it is answered.
    due = {
        MessageId(r.step, index): due_us
        for r in records
        for index, due_us in timers_of(r)
        if index not in dict(r.requests)
    }
    return [
        f"{record.step} at {record.time_us}"
        for record in records
        if record.input.message is not None and record.time_us < due.get(record.input.message, 0)
    ]


def not_replaced(log: Iterable[Record], survives: Callable[[StepId], bool]) -> list[str]:
    """Return, of one agent's log, timers that stand beside a later one of their key."""
    records = [record for record in log if isinstance(record, StepRecord | DeadRecord | DecisionRecord)]
    off = cancelled([record for record in records if isinstance(record, StepRecord)], survives)
    under: dict[str, list[MessageId]] = {}
    found: list[str] = []
    handled: set[MessageId] = set()
    for record in records:
        if isinstance(record, DecisionRecord):
            # What waited to run again is discarded, or comes again, as it says.
            handled.update(item.message for item in record.taken if item.message is not None)
            continue
        if record.input.message is not None:
            handled.add(record.input.message)
        if isinstance(record, DeadRecord) or not survives(record.step):
            continue
        for index, _ in timers_of(record):
            key, message = record.outputs[index].key, MessageId(record.step, index)
            if key is not None:
                found += [f"{old} beside {message}" for old in under.get(key, ()) if old not in handled | off]
                under[key] = [message]
    return found
