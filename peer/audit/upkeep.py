"""The subcommands of `ebbtide log` that change something: archives, blobs, keys."""

import dataclasses
import os
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from peer.audit.console import Folder, Json, console, print_json, progress
from peer.audit.logs import hosts_in, is_hosts
from peer.audit.sweeping import Swept
from peer.audit.sweeping import sweep as swept
from peer.errors import ConfigInvalid
from peer.store.compacting import ArchiveTerm
from peer.store.offline import compact as compacted
from peer.store.outside.keyring import KEY_FILE, cipher_of, make_secret, read_secret, rotate

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def compact(
    folder: Folder,
    archive: Annotated[
        str, typer.Option(help="Where to, as fsspec takes it: `s3://bucket/audit`. [default: FOLDER]")
    ] = "",
    keep_days: Annotated[int, typer.Option(help="Drop from the archive what is older; 0: nothing.", min=0)] = 0,
    keep_mb: Annotated[int, typer.Option(help="Keep no more of each host than so many MB; 0: all.", min=0)] = 0,
) -> None:
    """Move to the archive what no agent needs to start again, and drop from there what is not to be kept.

    Only while no host runs there: running hosts do it by themselves. What is archived is still read by the other
    commands.

    Examples: `ebbtide log compact run`, `ebbtide log compact run --keep-days 400`
    """
    table = Table("folder", "bytes before", "bytes after", "archived", "dropped")
    with progress("compacting") as done_of:
        hosts = [logs.folder for logs in hosts_in(folder)]
        for count, place in enumerate(hosts, 1):
            done = compacted(
                place,
                cipher_of(place, os.environ.get(KEY_FILE, "")),
                archive,
                ArchiveTerm(keep_days * 86_400, keep_mb << 20),
            )
            sizes = f"{done.before_bytes:,}", f"{done.after_bytes:,}"
            table.add_row(escape(str(place)), *sizes, str(done.archived_segments), str(done.dropped_segments))
            done_of(count, len(hosts))
    console().print(table)


def new_key(file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make.")]) -> None:
    """Make a key for encryption at rest, for `Storage(key_file=...)` and `--key-file`.

    Example: `ebbtide log new-key ebbtide.key`
    """
    make_secret(file)
    console().print(f"{file}: keep a copy elsewhere; without it nobody reads the logs", highlight=False, markup=False)


def rotate_key(
    folder: Folder, new: Annotated[Path, typer.Argument(metavar="NEW", help="The file with the new key.")]
) -> None:
    """Have logs opened by another key from now on, and what is written from now on encrypted by a new data key.

    Only while no host runs there. The log itself is not written again: its data keys are.

    Example: `ebbtide log --key-file old.key rotate-key run new.key`
    """
    old = os.environ.get(KEY_FILE, "")
    if not old:
        raise ConfigInvalid("the key that the logs have now is needed: --key-file OLD. Nothing was changed.")
    for logs in hosts_in(folder):
        number = rotate(logs.folder, read_secret(Path(old)), read_secret(new))
        console().print(f"{logs.folder}: opens with {new}; new data key {number}", highlight=False, markup=False)


def sweep(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER", help="Hosts' folders, or folders of hosts': all that there are."),
    ],
    blobs: Annotated[
        str, typer.Option(help="Where the blobs are, as `Cluster(blobs=...)` has it. [default: FOLDER/blobs]")
    ] = "",
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Only blobs that were put longer ago go: `90m`, `36h`, `7d`.")
    ] = "1d",
    remove: Annotated[bool, typer.Option("--remove", help="Remove them; else they are only counted.")] = False,
    gone: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A host whose log is gone for good, by folder or id; may be repeated."),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Go on where no record refers to any blob that is there.")
    ] = False,
    json_: Json = False,
) -> None:
    """Count the blobs (values of `bulky()` keys) that no record refers to any more, and remove them with --remove.

    Read are the logs of all hosts, their archives and the copies that they keep for others; a blob stays as long as any
    record there refers to it. Hosts may be running. Nothing is removed if a log can't be read whole, or if the log of a
    host that the others know is not among those read. Below one hour, --older-than needs all hosts stopped.

    Examples: `ebbtide log sweep run`, `ebbtide log sweep run --older-than 7d --remove`,
    `ebbtide log sweep here there --blobs s3://bucket/blobs --remove`
    """
    seconds = _seconds(older_than)
    if not blobs and (len(folders) > 1 or is_hosts(folders[0])):
        raise ConfigInvalid(
            "Where the blobs are is only known of the folder of all hosts: FOLDER/blobs. Nothing was read. Give that"
            " folder alone, or name the address: --blobs."
        )
    address = blobs or str(folders[0] / "blobs")
    with progress("reading logs") as read:
        found = swept(
            folders, address, seconds, removes=remove, gone=gone or (), even_all=all_, progress=read
        )  # fmt: skip
    if json_:
        print_json({"blobs_at": address, "is_dry_run": not remove} | dataclasses.asdict(found))
        return
    _print_swept(found, address, older_than, remove)


def _print_swept(found: Swept, address: str, older_than: str, removed: bool) -> None:
    table = Table(f"blobs at {escape(address)}", "count", "bytes")
    rows = [("a record refers to them", found.used), (f"none does, put within {older_than}", found.fresh)]
    rows += [("none does, removed", found.removed)] if removed else []
    rows += [("none does, and none was removed", found.loose)] if not removed else []
    for what, count in rows:
        table.add_row(what, f"{count.blobs:,}", f"{count.bytes:,}")
    out = console()
    out.print(table)
    out.print(f"{found.records:,} records of {found.hosts} hosts were read", highlight=False)
    left = found.loose.blobs - found.removed.blobs
    if removed and left:
        out.print(f"{left:,} were put again meanwhile, and stay", highlight=False)
    if found.missing:
        out.print(f"[yellow]note:[/] {found.missing:,} blobs that records refer to are not there", highlight=False)
    if found.others:
        out.print(f"{found.others:,} files there are no blobs, and are left alone", highlight=False)
    if not removed and found.loose.blobs:
        out.print("--remove removes what no record refers to")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if found is None:
        raise typer.BadParameter(
            f"{text!r} is no time. Write a number and a unit (s, m, h or d), as in 36h.", param_hint="--older-than"
        )
    return float(found[1]) * _UNITS[found[2]]
