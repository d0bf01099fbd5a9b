"""A step's clock covers everything that it depends on, directly (CL-1)."""

from protocol.clock import covers
from sims.checkers.view import View, need

INVARIANT = "a clock covers its causes"


def check(view: View) -> None:
    """Raises: Broken."""
    epochs = {record.step: record.epoch for record in (*view.steps, *view.lost)}
    for record in view.steps:
        for cause in (record.input.producer, *(read.writer for read in record.reads)):
            if cause is not None and not covers(record.clock, cause):
                # Only of settled steps may a clock say nothing (CP-5).
                is_settled = epochs.get(cause, -1) < record.floor
                need(is_settled, INVARIANT, f"{record.step}'s clock misses {cause}")
