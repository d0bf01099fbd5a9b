"""The formats that a trail can be written in, by name."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from peer.audit.events import write_events
from peer.audit.extras import needed
from peer.audit.gaps import Gap, gaps_beside, opened
from peer.audit.logs import own_logs
from peer.audit.ocel import write_ocel
from peer.audit.premises import Premises
from peer.audit.provenance import write_provenance
from peer.audit.reader import trail_of
from peer.audit.tables import COLUMNS, write_csv, write_parquet
from peer.audit.telling import export_checkpoints, export_proposals, export_steps
from peer.errors import ConfigInvalid
from peer.export.lines import write_export

Progress = Callable[[int, int], None]


class Format(NamedTuple):
    """A format of exports."""

    what: str
    files: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Packages of the extra."""


FORMATS = {
    "jsonl": Format(
        "the three files of docs/export.md, which the report page reads",
        ("steps.jsonl", "proposals.jsonl", "checkpoints.jsonl"),
    ),
    "parquet": Format("flat tables, for data frames", tuple(f"{name}.parquet" for name in COLUMNS), ("pyarrow",)),
    "csv": Format("the same tables as text", tuple(f"{name}.csv" for name in COLUMNS)),
    "ocel": Format("OCEL 2.0, for process mining", ("ocel.json",)),
    "cloudevents": Format("CloudEvents 1.0, an event a line", ("events.jsonl",), ("cloudevents.core.v1.event",)),
    "prov": Format("W3C PROV, as PROV-JSON", ("prov.json",), ("prov.model",)),
}


class Written(NamedTuple):
    """What was written, and what is to be known of it."""

    files: list[Path]
    notes: list[str]
    gaps: list[Gap]
    """What is not told there, though it was once written."""


def write(name: str, folder: Path, out: Path, reads: Progress, writes: Progress) -> Written:
    """Write what the logs in a folder tell to another folder.

    Args:
        name: one of `FORMATS`.
        folder: a host's, or that of all hosts.
        out: made if missing; the format's files in it are replaced.
        reads: told of the progress of reading.
        writes: told of the progress of what follows.

    Raises: ConfigInvalid, if there is no log, if nothing can be written there, or if the extra is not installed.
    """
    (hosts, unopened), premises = opened(folder), Premises(folder)
    for module in FORMATS[name].needs:
        needed(module, f"format {name}")
    _check_writable(out)
    files = [out / file for file in FORMATS[name].files]
    if name == "cloudevents":
        gaps = [*unopened, *write_events(hosts, files[0], reads), *gaps_beside(hosts, premises)]
        return Written(files, [own.note for own in own_logs(hosts) if own.note], gaps)
    trail = trail_of(folder, hosts, reads, premises)
    if name == "jsonl":
        write_export(out, export_steps(trail), export_proposals(trail), export_checkpoints(trail))
    elif name == "parquet":
        write_parquet(trail, out, writes)
    elif name == "csv":
        write_csv(trail, out, writes)
    elif name == "ocel":
        write_ocel(trail, files[0])
    else:
        write_provenance(trail, files[0], writes)
    return Written(files, trail.notes, [*unopened, *trail.gaps])


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ConfigInvalid(
            f"nothing can be written to {str(out)!r} ({error.strerror}). Nothing was written; give another folder."
        ) from error
