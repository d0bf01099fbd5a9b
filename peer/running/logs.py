"""`ebbtide logs`: what the hosts and agents of a cluster print and log, whether it runs or not."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from pathlib import Path
from typing import Annotated, Any

import typer

from peer.audit.console import SHOWN, Last, print_json
from peer.audit.telling import iso
from peer.backends.kept_lines import HostLines, files_in
from peer.errors import CallerError, ConfigInvalid
from peer.running.console import HERE, Folder, Json, said
from peer.trust import authority

LOOK_S = 0.2
"""From one look at the files to the next, when they are followed."""

Line = dict[str, Any]


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on telling, until interrupted.")] = False,
    agent: Annotated[
        list[str] | None, typer.Option(metavar="AGENT", help="Only lines of this agent's code; may be said again.")
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="Only what was logged with this level or a higher one: INFO, WARNING, ...")
    ] = None,
    last: Last = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Show what the hosts and agents of a cluster print and log, in the order of time; it need not run.

    Lines are kept in the folder `output` of the cluster's folder: those of clusters on Ray, and of `ebbtide up`.

    Examples: `ebbtide logs --agent buyer`, `ebbtide logs --follow --level WARNING`
    """
    if not (folder / authority.FILE).exists():
        raise ConfigInvalid(f"{str(folder)!r} is no folder of a cluster that was ever started. Nothing is shown.")
    is_wanted = _wanted(agent or [], level)
    known: dict[Path, HostLines] = {}
    for line in _last(merge(*_new(folder, known, is_wanted), key=_time), last, json_):
        _show(line, json_)
    sys.stdout.flush()
    while follow:
        time.sleep(LOOK_S)
        for line in sorted((line for lines in _new(folder, known, is_wanted) for line in lines), key=_time):
            _show(line, json_)
        sys.stdout.flush()


def _wanted(agents: list[str], level: str | None) -> Callable[[Line], bool]:
    """Return what tells whether a line is wanted.

    Raises: CallerError, for what is no level.
    """
    levels = logging.getLevelNamesMapping()
    if level is not None and level.upper() not in levels:
        raise CallerError(f"--level {level!r} is none of {', '.join(levels)}. Nothing is shown.")
    least = 0 if level is None else levels[level.upper()]

    def is_wanted(line: Line) -> bool:
        if agents and line.get("agent") not in agents:
            return False
        return level is None or (line.get("stream") == "log" and levels.get(str(line.get("level")), least) >= least)

    return is_wanted


def _new(folder: Path, known: dict[Path, HostLines], is_wanted: Callable[[Line], bool]) -> list[Iterator[Line]]:
    """Return the lines of each host that are new, and wanted."""
    for file in files_in(folder):
        known.setdefault(file, HostLines(file))
    return [filter(is_wanted, lines.read()) for lines in known.values()]


def _last(lines: Iterable[Line], last: int | None, json_: bool) -> Iterable[Line]:
    count = last if last is not None else 0 if json_ else SHOWN
    return deque(lines, maxlen=count) if count else lines


def _time(line: Line) -> int:
    return int(line.get("time", 0))


def _show(line: Line, json_: bool) -> None:
    if json_:
        print_json(line)
        return
    whose = line.get("intent") or line.get("step") or line.get("agent") or ""
    level = f"{line.get('level')} {line.get('logger')}:" if line.get("stream") == "log" else ""
    said(" ".join(filter(None, [iso(_time(line)), str(line.get("host", "")), whose, level, str(line["text"])])))
