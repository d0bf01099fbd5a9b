"""`ebbtide detect`: detectors that are trained on a run, look at another, and are tried on faults."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from msgspec import to_builtins
from rich.table import Table

from peer.audit.console import WRONG, Folder, Json, console, errors, print_json, progress
from peer.detectors.calibration import Calibration
from peer.detectors.files import load, save
from sims.detection.evaluating import evaluate
from sims.detection.logged import scored, steps_of
from sims.detection.naming import scenario_of, untrained
from sims.detection.reliability import plot as draw
from sims.detection.reliability import reliability_of
from sims.detection.telling import table, write_page

group = typer.Typer(
    name="detect", no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_short=True,
    add_completion=False, context_settings={"help_option_names": ["--help", "-h"]},
    help="""Who notices that a step was wrong: train detectors on a normal run, look at another, try them on faults.

    ebbtide detect train run --kind ewma --feature score --out ewma.det
    ebbtide detect score run ewma.det
    ebbtide detect evaluate --quick
""",
)  # fmt: skip
"""`ebbtide detect` with its subcommands."""

Features = Annotated[
    list[str] | None,
    typer.Option("--feature", metavar="NAME", help="What steps report: a score's name, confidence, attempt, sent, ..."),
]
Agents = Annotated[list[str] | None, typer.Option("--agent", metavar="AGENT", help="Only steps of this one.")]
Handled = Annotated[str, typer.Option(metavar="CLASS", help="Only steps that handled such a message.")]


@group.command()
def train(
    folder: Folder,
    kind: Annotated[str, typer.Option(help="ewma, cusum, shewhart, adwin, page-hinkley, IForest, ECOD, ..., vae.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to keep it.")],
    feature: Features = None,
    agent: Agents = None,
    handled: Handled = "",
    json_: Json = False,
) -> None:
    """Train a detector on the steps of a normal run that stand, and keep it in a file.

    The file says by a hash what it was trained on; its version is in every suspicion that it raises.

    Example: `ebbtide detect train run --kind cusum --feature score --agent risk-1 --out cusum.det`
    """
    detector = untrained(kind, feature or [])
    steps = steps_of(folder, agent or (), handled)
    trained = detector.train([seen for seen, _ in steps])
    version = save(trained, out)
    if json_:
        print_json({"detector": trained.name, "version": version, "steps": len(steps), "file": str(out)})
    else:
        console().print(f"{trained.name} was trained on {len(steps)} steps: {out}, version {version}", highlight=False)


@group.command()
def score(
    folder: Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A detector that `ebbtide detect train` has kept.")],
    limit: Annotated[float, typer.Option(help="From which score on, in units of its own limit.")] = 1.0,
    agent: Agents = None,
    handled: Handled = "",
    undone: Annotated[bool, typer.Option("--undone", help="Look at steps that were undone, too.")] = False,
    json_: Json = False,
) -> None:
    """Have a detector look at a finished run, and show what it calls wrong. Exits with 1 if that is anything.

    Example: `ebbtide detect score run cusum.det --agent risk-1`
    """
    found = scored(load(file), steps_of(folder, agent or (), handled, undone), limit)
    for step, finding, by in found if json_ else ():
        print_json(
            {"step": str(step.step), "score": finding.score, "since": finding.since and str(finding.since)}
            | {"evidence": finding.evidence, "undone_by": by or None}
        )
    if not json_:
        shown = Table("step", "score", "since", "evidence", "undone by")
        for step, finding, by in found:
            evidence = ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                                 for name, value in finding.evidence.items())  # fmt: skip
            shown.add_row(str(step.step), f"{finding.score:.2f}", str(finding.since or ""), evidence, by)
        console().print(shown if found else "it calls no step wrong")
    raise typer.Exit(WRONG if found else 0)


@group.command()
def reliability(
    folder: Folder,
    agent: Agents = None,
    handled: Handled = "",
    feature: Annotated[str, typer.Option(metavar="NAME", help="Where it is reported.")] = "confidence",
    bins: Annotated[int, typer.Option(help="Of equal width.", min=1, max=1000)] = 10,
    picture: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it: a file that ends in .svg, .png or .pdf.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fit a calibration to it, and keep that in a file.")
    ] = None,
    method: Annotated[str, typer.Option(help="isotonic, from 50 steps on; or platt, from 20.")] = "isotonic",
    json_: Json = False,
) -> None:
    """Show how far the confidence that agents report can be believed, by what became of their steps.

    A step that stands was right; the root of a committed rollback was wrong, unless that was overturned. Intervals are
    Wilson's, of 95 %.

    Example: `ebbtide detect reliability run --agent risk-1 --out risk.cal --plot risk.svg`
    """
    found = reliability_of(folder, agent or (), handled, feature, bins)
    if found.gaps:
        errors().print(f"note: the logs have {found.gaps} gaps; what stood there is not counted.", highlight=False)
    fitted = Calibration.fit(found.pairs, method) if out is not None else None
    if picture is not None:
        draw(found, picture)
    version = save(fitted, out) if fitted is not None and out is not None else None
    if json_:
        right = sum(was_right for _, was_right in found.pairs)
        print_json({"feature": feature, "steps": len(found.pairs), "right": right, "left_out": found.left_out}
                   | {"silent": found.silent, "error": found.error, "version": version}
                   | {"bins": to_builtins(found.bins), "gaps": found.gaps})  # fmt: skip
        return
    shown = Table(feature, "steps", "mean", "right", "95 % interval")
    for one in found.bins:
        shown.add_row(f"{one.low:g} to {one.high:g}", str(one.count), f"{one.confidence:.3f}", f"{one.right:.3f}",
                      f"{one.least:.3f} to {one.most:.3f}")  # fmt: skip
    console().print(shown)
    console().print(
        f"expected calibration error {found.error:.3f} over {len(found.pairs)} steps; {found.left_out} undone with"
        f" others left out, {found.silent} report no {feature}", highlight=False,
    )  # fmt: skip
    if version is not None:
        console().print(f"a calibration ({method}) is in {out}, version {version}", highlight=False)


@group.command(name="evaluate")
def evaluate_(
    scenario: Annotated[
        str, typer.Option(metavar="NAME", help="payments, or one of your own: FILE.py:NAME, module:NAME.")
    ] = "payments",
    seeds: Annotated[int, typer.Option(help="Runs with each fault.", min=1)] = 5,
    train_seeds: Annotated[int, typer.Option(help="Normal runs to train on; others than these.", min=1)] = 3,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind of fault.")] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the table and a plot into this page, between its marks.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="One run with each fault: a minute.")] = False,
    json_: Json = False,
) -> None:
    """Put faults into agents of a world, and see which detectors notice them: how surely, how soon, at what price.

    Detectors are trained on normal runs of other seeds. What one calls wrong is undone and run again, as it would be.

    Example: `ebbtide detect evaluate --scenario examples/detect_supply_chain.py:SupplyChain --quick`
    """
    tried, trained = (1, 2) if quick else (seeds, train_seeds)
    with progress("playing") as bar:
        found = evaluate(
            scenario_of(scenario), range(1001, 1001 + trained), range(1, 1 + tried), kind or (),
            lambda _, done, of: bar(done, of),
        )  # fmt: skip
    if json_:
        for row in found.curves:
            print_json(asdict(row))
        return
    if page is not None:
        options = "" if scenario == "payments" else f" --scenario {scenario}"
        write_page(found, page, f"ebbtide detect evaluate{options} --seeds {tried} --train-seeds {trained}")
    console().print(table(found), markup=False, highlight=False)
