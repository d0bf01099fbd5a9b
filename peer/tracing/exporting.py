"""Hands a run's spans to whoever takes them: once, or as they come."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peer.audit.follow import Follower
from peer.audit.gaps import Gap
from peer.errors import BackendFailed
from peer.tracing.spans import Spans

BATCH = 512
"""Spans handed over at a time."""
LOOKS = 25
"""For so many looks a step waits for that of its cause: logs of different hosts are read one after the other."""


class Traces:
    """The traces of a run, as far as its logs have them by now.

    Args:
        folder: a host's, or that of all hosts.
        exporter: an OpenTelemetry `SpanExporter`; None: spans are returned alone.
        service: the name of the service, as backends of traces list it.
        from_start: export what is there already, too.

    Raises: ConfigInvalid, if there is no such folder, or the SDK is not installed.
    """

    def __init__(
        self, folder: Path, exporter: Any = None, *, service: str = "ebbtide", from_start: bool = True
    ) -> None:
        self._spans = Spans(service)
        self._exporter = exporter
        self._follower = Follower(folder, True)
        self._idle = 0
        if not from_start:
            # Read all the same: later steps belong to traces that have begun.
            self._new()

    @property
    def gaps(self) -> Sequence[Gap]:
        """What is not told, though it was written: records that can't be read."""
        return self._follower.gaps

    def notes(self) -> list[str]:
        """Return what whoever reads this should know, once."""
        found, self._follower.notes = self._follower.notes, []
        return found

    def look(self, is_last: bool = False) -> list[Any]:
        """Export what has happened since the last look, and return it.

        Args:
            is_last: nothing comes after this: no step waits for its cause any more.

        Raises: BackendFailed, if the exporter does not take it; then nobody knows how much it has.
        """
        found = self._new()
        self._idle = 0 if found else self._idle + 1
        if is_last or self._idle >= LOOKS:
            found += self._spans.rest()
        if self._exporter is not None:
            self._hand_over(self._exporter, found)
        return found

    def _hand_over(self, exporter: Any, found: list[Any]) -> None:
        for at in range(0, len(found), BATCH):
            taken = exporter.export(found[at : at + BATCH])
            if taken.name != "SUCCESS":
                raise BackendFailed(
                    f"{type(exporter).__name__} has not taken {len(found) - at} of {len(found)} spans. The logs"
                    " have them still. See that it is reached, and export them again: they have the same ids."
                )

    def _new(self) -> list[Any]:
        return [span for happening in self._follower.look() for span in self._spans.take(happening)]


def spans_of(folder: str | Path, *, service: str = "ebbtide") -> list[Any]:
    """Return what the logs in a folder tell as OpenTelemetry's `ReadableSpan`s, causes before what hangs on them.

    Raises: ConfigInvalid, if there is no such folder, or the SDK is not installed.
    """
    return Traces(Path(folder), service=service).look(is_last=True)


def export_traces(folder: str | Path, exporter: Any, *, service: str = "ebbtide") -> int:
    """Hand what the logs in a folder tell to an OpenTelemetry `SpanExporter`; return how many spans that were.

    Raises: ConfigInvalid, as `spans_of`; BackendFailed, if it does not take them.
    """
    return len(Traces(Path(folder), exporter, service=service).look(is_last=True))
