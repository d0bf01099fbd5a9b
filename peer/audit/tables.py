"""A trail as flat tables for data frames: steps, reads, writes, sends, calls, proposals, votes; as Parquet or CSV."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from peer.audit.extras import needed
from peer.audit.telling import export_proposals, told, votes_of
from peer.audit.trail import Trail

COLUMNS: dict[str, dict[str, str]] = {
    "steps": {
        "step": "string", "agent": "string", "incarnation": "Int64", "seq": "Int64", "time": "time", "epoch": "Int64",
        "era": "Int64", "input": "string", "input_type": "string", "input_hash": "string", "input_size": "Int64",
        "producer": "string", "lineage": "string", "attempt": "Int64", "model": "string", "confidence": "Float64",
        "undone_by": "string", "undone_kind": "string", "undone_time": "time", "undone_reason": "string",
    },
    "reads": {
        "step": "string", "key": "string", "writer": "string", "how": "string", "amount": "Int64", "limit": "Int64",
    },
    "writes": {"step": "string", "key": "string", "size": "Int64", "hash": "string"},
    "sends": {
        "step": "string", "id": "string", "to": "string", "type": "string", "size": "Int64", "hash": "string",
        "due": "time",
    },
    "calls": {
        "step": "string", "intent": "string", "tool": "string", "effect": "string", "state": "string",
        "claimed_by": "string",
    },
    "scores": {"step": "string", "name": "string", "value": "Float64"},
    "proposals": {
        "id": "string", "mode": "string", "reason": "string", "decision": "string", "proposer": "string",
        "roots": "Int64", "electors": "Int64", "began": "time", "decided": "time",
    },
    "votes": {
        "proposal": "string", "voter": "string", "accepts": "boolean", "why": "string", "steps": "Int64",
        "credits": "Int64",
    },
}  # fmt: skip
"""Each table's columns and their types; `time` is a moment in UTC, to the microsecond."""


def rows_of(trail: Trail, progress: Callable[[int, int], None] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every table, by its name."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in COLUMNS}
    for count, step in enumerate(trail.steps.values(), 1):
        line = told(trail, step)
        _add_step(line, rows)
        for name in ("writes", "sends", "calls"):
            rows[name] += [{"step": line["step"], **row} for row in line[name]]
        rows["reads"] += [{"step": line["step"], "how": "read", **read} for read in line["reads"]]
        rows["reads"] += [{"step": line["step"], "how": "observed", "key": key} for key in line["observed"]]
        for sums in line["tolerated"]:
            head = {"step": line["step"], "how": "tolerated", "key": sums["key"], "limit": sums["limit"]}
            rows["reads"] += [head | part for part in sums["parts"]]
        rows["scores"] += [{"step": line["step"], "name": name, "value": v} for name, v in line["scores"].items()]
        if progress is not None and count % 500 == 0:
            progress(count, len(trail.steps))
    for line in export_proposals(trail):
        rollback = trail.rollbacks[line["id"]]
        counts = {"roots": len(line["roots"]), "electors": len(line["electors"])}
        rows["proposals"].append(line | counts | {"proposer": rollback.proposal.proposer})
        for vote in votes_of(rollback):
            del vote["findings"]
            rows["votes"].append({"proposal": line["id"], **vote})
    return rows


def _add_step(line: dict[str, Any], rows: dict[str, list[dict[str, Any]]]) -> None:
    agent, incarnation, seq = line["step"].rsplit("/", 2)
    item, undone = line["input"], line["undone"] or {}
    rows["steps"].append(
        {
            **{name: line[name] for name in ("step", "time", "epoch", "era", "model", "confidence")},
            "agent": agent,
            "incarnation": int(incarnation),
            "seq": int(seq),
            "input": item["id"],
            **{f"input_{name}": item[name] for name in ("type", "hash", "size")},
            **{name: item[name] for name in ("producer", "lineage", "attempt")},
            **{f"undone_{name}": undone.get(name) for name in ("by", "kind", "time", "reason")},
        }
    )


def frames_of(trail: Trail, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Return every table as a pandas data frame, by its name."""
    import pandas

    frames: dict[str, Any] = {}
    for name, rows in rows_of(trail, progress).items():
        columns: dict[str, Any] = {}
        for column, kind in COLUMNS[name].items():
            values = [row.get(column) for row in rows]
            if kind == "time":
                columns[column] = pandas.to_datetime(pandas.Series(values, dtype="Int64"), unit="us", utc=True)
            else:
                columns[column] = pandas.Series(values, dtype=kind)
        frames[name] = pandas.DataFrame(columns)
    return frames


def write_csv(trail: Trail, folder: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Write a table a file to a folder; times are RFC 3339."""
    for name, frame in frames_of(trail, progress).items():
        for column, kind in COLUMNS[name].items():
            if kind == "time":
                frame[column] = frame[column].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        frame.to_csv(folder / f"{name}.csv", index=False)


def write_parquet(trail: Trail, folder: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Write a table a file to a folder.

    Raises: ConfigInvalid, where pyarrow is not installed.
    """
    needed("pyarrow", "Parquet")
    for name, frame in frames_of(trail, progress).items():
        frame.to_parquet(folder / f"{name}.parquet", index=False, engine="pyarrow")
