"""A step's clock covers everything that it depends on, directly (CL-1)."""

from protocol.clock import covers
from sims.checkers.view import View, need

INVARIANT = "a clock covers its causes"


def check(view: View) -> None:
    """Raises: Broken."""
    for record in view.steps:
        for cause in (record.input.producer, *(read.writer for read in record.reads)):
            need(cause is None or covers(record.clock, cause), INVARIANT, f"{record.step}'s clock misses {cause}")
