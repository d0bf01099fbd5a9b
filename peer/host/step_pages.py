"""An agent's steps, a page at a time, as far as whoever asks wants them: they are looked through where they are.

A page is bounded in steps and bytes, and so is what is looked at for it: a log of a million steps holds up nobody.
"""

from collections.abc import Callable

from peer.agents.envelope import handled_by_name
from peer.host.questions import StepsAnswer, StepsAsk
from protocol.agent.looking import Looking
from protocol.step import StepRecord

STEPS_MAX = 500
"""Of a page."""
LOOKED_MAX = 5_000
"""Steps that are looked at for a page, wanted or not: some milliseconds."""
BYTES_MAX = 1 << 20
"""About how large a page gets, unless one step alone is larger."""
READ_BYTES_MAX = 4 << 20
"""Of messages that are read for a page, to tell their classes."""


def page_of(looking: Looking, ask: StepsAsk, kind_of: Callable[[str], str]) -> StepsAnswer:
    """Return the next page of the steps that are wanted.

    Args:
        looking: at whose.
        ask: which, and after which.
        kind_of: returns what undoing a tool means.
    """
    found: list[StepRecord] = []
    by: list[str] = []
    size = looked = read = 0
    last = None
    for record, undone_by in looking.steps_after(ask.after):
        if looked == LOOKED_MAX or len(found) == STEPS_MAX or (ask.handled and read > READ_BYTES_MAX):
            break
        if is_wanted(ask, record, undone_by):
            size += _size(record)
            if found and size > BYTES_MAX:
                break
            found.append(record)
            by.append(undone_by)
        last, looked, read = record.step, looked + 1, read + len(record.input.payload)
    else:
        last = None
    effects = looking.effects_in(found)
    named = {intent: (tool, kind_of(tool), state) for intent, (tool, state) in effects.items()}
    return StepsAnswer(tuple(found), tuple(by), named, last)


def is_wanted(ask: StepsAsk, record: StepRecord, undone_by: str) -> bool:
    """Tell whether a step is one of those that are wanted."""
    if ask.undone is not None and ask.undone != bool(undone_by):
        return False
    limit = ask.confidence_below
    if limit is not None and not (record.confidence is not None and record.confidence < limit):
        return False
    return not ask.handled or ask.handled == handled_by_name(record.input.payload)


def _size(record: StepRecord) -> int:
    """Return about how many bytes a step takes: payloads and values count, the rest is small."""
    edges = len(record.reads) + len(record.clock) + len(record.calls) + len(record.tolerated)
    return (
        500 + len(record.input.payload) + 60 * edges + 40 * len(record.input.clock)
        + sum(60 + len(write.value or b"") for write in record.writes)
        + sum(60 + len(entry.op) for entry in record.entries)
        + sum(100 + len(output.payload) for output in record.outputs)
    )  # fmt: skip
