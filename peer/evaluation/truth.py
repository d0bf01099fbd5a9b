"""Which steps were wrong, as somebody knows it: a file of their names, one a line."""

from pathlib import Path

from peer.audit.trail import Trail
from peer.errors import CallerError, EbbtideError
from protocol.ids import StepId


def read_truth(file: Path, trail: Trail) -> frozenset[StepId]:
    """Return the steps that a file names: one a line; what follows a `#`, and empty lines, say nothing.

    Raises: CallerError, if it can't be read, or names what is no step of the trail: with the line and the remedy.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(
            f"the truth can't be read from {str(file)!r}: {error}. Nothing was reckoned. Give a file of step names,"
            " one a line, as risk-1/1/17."
        ) from error
    found: set[StepId] = set()
    for number, line in enumerate(lines, 1):
        name = line.partition("#")[0].strip()
        if name:
            try:
                found.add(trail.step(name).id)
            except EbbtideError as error:
                raise CallerError(f"{file}, line {number}: {error}") from error
    return frozenset(found)
