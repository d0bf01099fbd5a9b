"""`ebbtide evaluate`: what was good about a run's rollbacks, and which policy does best in worlds."""

import logging
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from msgspec import to_builtins
from rich.console import Console

from peer.audit import views
from peer.audit.console import PARTIAL, Json, console, errors, print_json, progress
from peer.audit.reader import read_trail
from peer.errors import CallerError
from peer.evaluation import Linear, Utility, evaluated, read_truth
from peer.evaluation.people import MINUTES
from peer.evaluation.telling import page as print_page
from peer.evaluation.utility import worth
from sims.detection.naming import attribute_of
from sims.evaluation.comparing import Comparison, compare, name_of
from sims.evaluation.contenders import STANDARD, Checking, contender_of
from sims.evaluation.settings import Payments, Setting
from sims.evaluation.telling import check_page, conditions, table, write_page

QUICK = "threshold"
"""The only kind of fault that `--quick` puts in, unless another one is named."""


def evaluate(
    run: Annotated[
        Path | None, typer.Argument(metavar="RUN", help="A host's folder, or the folder of all hosts.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The steps that were wrong, one a line, as risk-1/1/17.")
    ] = None,
    utility: Annotated[
        str, typer.Option(metavar="FILE.py:NAME", help="A function of the measures that says what a run was worth.")
    ] = "",
    minutes: Annotated[
        float, typer.Option(help="A person's, for a question, or to go back to a checkpoint.", min=0)
    ] = MINUTES,
    scenario: Annotated[
        str, typer.Option(metavar="NAME", help="Play worlds instead: payments, or one of yours, FILE.py:NAME.")
    ] = "",
    policies: Annotated[
        str, typer.Option(metavar="A,B,...", help=f"Of {', '.join(STANDARD)}, or FILE.py:NAME. [default: all]")
    ] = "",
    seeds: Annotated[int, typer.Option(help="Runs of each policy with each fault.", min=1, max=1000)] = 5,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind of fault.")] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the tables into this page, between its marks.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Two seeds and one kind of fault: under a minute.")] = False,
    json_: Json = False,
) -> None:
    """Reckon what the rollbacks of a run were good for, or compare policies in worlds.

    Of a run: uptime, times to detect, to decide and to recover, work kept, damage to the world outside, innocent work
    undone, minutes of people, and a utility of your own. What hangs on which steps were wrong is unknown without
    `--truth`.

    With `--scenario`, agents with faults in them are watched by each policy over the same seeds.

    Examples: `ebbtide evaluate run --truth wrong.txt`, `ebbtide evaluate --scenario payments --quick`
    """
    if (run is None) == (not scenario):
        raise CallerError("name a run's folder, or --scenario NAME: one of them. Nothing was reckoned.")
    value = _utility(utility)
    if run is not None:
        given = {"--policies": policies, "--kind": kind, "--page": page, "--quick": quick}
        _check_none(given, "are about worlds: they go with --scenario, and not with a run's folder")
        _run(run, truth, value, minutes, json_)
        return
    _check_none({"--truth": truth}, "is for a run's folder: of worlds the truth is known")
    setting, kinds = _setting(scenario), kind or ([QUICK] if quick and scenario == "payments" else [])
    contenders = [contender_of(name.strip()) for name in (policies or ",".join(STANDARD)).split(",")]
    if page is not None:
        check_page(page)
    # What handlers do not survive, and hosts that end with their worlds, is no news here.
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    count = min(seeds, 2) if quick else seeds
    with progress("playing") as told:
        found = compare(setting, contenders, range(1, count + 1), kinds, value, Checking(), minutes, told=told)
    said = conditions(found, Checking(), minutes)
    if page is not None:
        options = f" --policies {policies}" if policies else ""
        options += "".join(f" --kind {each}" for each in kinds)
        write_page(found, page, f"ebbtide evaluate --scenario {scenario} --seeds {count}{options}", said)
    _print(found, said, json_)


def _check_none(given: dict[str, Any], why: str) -> None:
    named = [name for name, value in given.items() if value]
    if named:
        raise CallerError(f"{', '.join(named)}: {why}. Nothing was reckoned.")


def _utility(name: str) -> Utility:
    if not name:
        return Linear()
    found = attribute_of(name)
    made: Any = found() if isinstance(found, type) else found
    if not callable(made):
        raise CallerError(f"{name} is {made!r}, which can't be called. A utility is a function of the measures.")
    return cast(Utility, made)


def _setting(name: str) -> Setting:
    if name == "payments":
        return Payments()
    if ":" not in name:
        raise CallerError(f"there is no scenario {name!r}: it is payments, or FILE.py:NAME, or module:NAME.")
    found = attribute_of(name)
    made: Any = found() if isinstance(found, type) else found
    lacks = [each for each in ("name", "features", "faults", "stage") if not hasattr(made, each)]
    if lacks:
        raise CallerError(f"{name} can't be staged: it lacks {', '.join(lacks)}. See sims/evaluation/settings.py.")
    return made


def _run(folder: Path, truth: Path | None, utility: Utility, minutes: float, json_: bool) -> None:
    with progress("reading logs") as told:
        trail = read_trail(folder, told)
    views.noted(trail.notes, trail.gaps, errors())
    wrong = None if truth is None else read_truth(truth, trail)
    found = evaluated(trail, wrong, minutes)
    value, name = worth(utility, found), name_of(utility)
    if json_:
        print_json({"run": str(folder), "measures": to_builtins(found), "utility": {"name": name, "value": value}})
    else:
        print_page(found, value, name, console())
    if trail.gaps:
        raise typer.Exit(PARTIAL)


def _print(found: Comparison, said: str, json_: bool) -> None:
    if not json_:
        Console(soft_wrap=True).print(f"{said}\n\n{table(found)}", markup=False, highlight=False)
        return
    for run in found.runs:
        head = {"scenario": found.setting, "kind": run.kind, "policy": run.contender, "seed": run.seed}
        print_json(head | {"measures": to_builtins(run.measures), "utility": run.worth})
