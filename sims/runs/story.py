"""The steps of a world that matter to a failure, for people: those that it names, and what they hang on."""

import re
from collections.abc import Iterator

from protocol.ids import StepId
from protocol.step import StepRecord
from sims.world import World

_STEP = re.compile(r"[\w.\-]+/\d+/\d+")
LINES_MAX = 40


def story(world: World, failure: str) -> Iterator[str]:
    """Yield lines: the steps that a failure names with their causes and consequences, among crashes and decisions."""
    trace, undone = world.engine.trace, world.retracted_by()
    records = {str(record.step): record for record in (*trace.steps(), *trace.lost)}
    named = [name for name in dict.fromkeys(_STEP.findall(failure)) if name in records]
    chosen = dict.fromkeys(named)
    for record in records.values():
        causes = {str(cause) for cause in _causes(record)}
        if causes & set(named):
            chosen[str(record.step)] = None
        if str(record.step) in named:
            chosen.update(dict.fromkeys(cause for cause in causes if cause in records))
    if not chosen:
        chosen = dict.fromkeys(list(records)[-10:])
    lines = [(trace.durable_us[records[name].step], _line(records[name], undone)) for name in chosen]
    lines += [(item.at_us, f"{item.host or 'all'}: {item.what} {item.detail}") for item in trace.happenings]
    lines += [
        (at_us, f"{agent}: {record.decision} {record.proposal.id} ({len(record.retracted)} undone here)")
        for at_us, agent, record in trace.decided_us
    ]
    lines.sort()
    for at_us, line in lines[:LINES_MAX]:
        yield f"{at_us / 1000:10.2f} ms  {line}"
    if len(lines) > LINES_MAX:
        yield f"... and {len(lines) - LINES_MAX} more"


def _causes(record: StepRecord) -> list[StepId]:
    causes = (record.input.producer, *(read.writer for read in record.reads))
    return [cause for cause in causes if cause is not None]


def _line(record: StepRecord, undone: dict[StepId, str]) -> str:
    reads = ", ".join(f"{read.key}@{read.writer}" for read in record.reads)
    sends = ", ".join(output.receiver for output in record.outputs)
    parts = [f"{record.step} handled {record.input} (attempt {record.input.attempt})"]
    parts += [f"read {reads}"] if reads else []
    parts += [f"wrote {', '.join(write.key for write in record.writes)}"] if record.writes else []
    parts += [f"sent to {sends}"] if sends else []
    parts += [f"called {', '.join(record.calls)}"] if record.calls else []
    parts += [f"undone by {undone[record.step]}"] if record.step in undone else []
    return "; ".join(parts)
