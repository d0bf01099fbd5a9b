"""Check the models of docs/model: `python -m tests.model.check small|large|NAME...`; `make model`, `make model-large`.

Prints a row for each configuration; ends with 1 if one is not as expected.
"""

import argparse
import re
import signal
import sys
import time
from typing import NamedTuple

from tests.model.tlc import MODELS, Unavailable, running

HOLDS = "holds"


class Configuration(NamedTuple):
    """What is checked, and what is to be found: `HOLDS`, or that an invariant fails."""

    name: str
    module: str
    expected: str
    is_large: bool = False


def _small(module: str, *names: str) -> list[Configuration]:
    return [Configuration(name, module, HOLDS) for name in names]


def _large(module: str, *names: str) -> list[Configuration]:
    return [Configuration(name, module, HOLDS, True) for name in names]


def _mutations(module: str, *names: str) -> list[Configuration]:
    return [Configuration(name, module, "fails") for name in names]


CONFIGURATIONS = [
    *_small("Rollback", "small", "ahead"),
    *_mutations("Rollback", "no-quarantine", "no-deferral", "no-balance", "no-final-reject", "tells-early"),
    *_mutations("Rollback", "ahead-guesses"),
    *_large("Rollback", "three", "overlap", "ahead-overlap"),
    *_small("Epochs", "epochs-small"),
    *_mutations("Epochs", "epochs-no-colour", "epochs-no-names", "epochs-not-placed"),
    *_mutations("Epochs", "epochs-no-losses", "epochs-outsiders", "epochs-unsettled"),
    *_large("Epochs", "epochs"),
    *_small("Restore", "restore", "restore-two", "restore-votes", "restore-no-pause"),
    *_mutations("Restore", "restore-no-refusal", "restore-no-era", "restore-not-given-back", "restore-majority"),
    *_mutations(
        "Restore", "restore-no-final-reject", "restore-many-at-once", "restore-passed-over", "restore-late-cut"
    ),
    *_large("Restore", "restore-large"),
    *_small("Horizon", "horizon", "horizon-crashes"),
    *_mutations("Horizon", "horizon-not-reported", "horizon-accepts-forgotten", "horizon-not-kept"),
    *_large("Horizon", "horizon-large"),
    *_small("Succession", "succession", "succession-ballots", "succession-grown-before"),
    *_mutations("Succession", "succession-one-view", "succession-two-behind", "succession-no-promise"),
    *_mutations("Succession", "succession-no-takeover", "succession-speaks-early", "succession-not-placed"),
    *_mutations("Succession", "succession-not-repeated", "succession-regroups", "succession-two-values"),
    *_large("Succession", "succession-large"),
    *_small("Sharing", "sharing", "sharing-two"),
    *_mutations("Sharing", "sharing-not-written-down", "sharing-passed-on", "sharing-admits-at-once"),
    *_mutations("Sharing", "sharing-not-withdrawn", "sharing-reads-credited"),
    *_large("Sharing", "sharing-large"),
    *_small("Groups", "groups"),
    *_mutations("Groups", "groups-not-everybody", "groups-not-kept", "groups-heard-early", "groups-no-after-ready"),
    *_mutations("Groups", "groups-logs-lost", "groups-go", "groups-stop"),
    *_large("Groups", "groups-large"),
    *_small("Overseers", "overseers", "overseers-two"),
    *_mutations("Overseers", "overseers-unsettled", "overseers-not-held", "overseers-last-word"),
    *_mutations("Overseers", "overseers-heard-early", "overseers-of-the-lineage", "overseers-gone-is-undone"),
    *_mutations("Overseers", "overseers-not-frozen", "overseers-not-asked", "overseers-not-asked-again"),
    *_mutations("Overseers", "overseers-no-final-reject", "overseers-go", "overseers-undo"),
    *_large("Overseers", "overseers-large"),
    *_small("Moves", "moves"),
    *_mutations("Moves", "moves-sent-early", "moves-taken-again", "moves-not-read", "moves-not-handed-on"),
    *_mutations("Moves", "moves-twice", "moves-inherited"),
    *_large("Moves", "moves-large"),
    *_small("Liars", "liars", "liars-rejects", "liars-clocks", "liars-keeper", "liars-anything", "liars-outside"),
    *_mutations("Liars", "liars-believed", "liars-not-counted", "liars-later", "liars-another-clock"),
    *_mutations("Liars", "liars-found-first", "liars-passed-on", "liars-of-others", "liars-unsigned", "liars-in-parts"),
    *_mutations("Liars", "liars-differs", "liars-stalls", "liars-says-more", "liars-ends", "liars-finds"),
    *_mutations("Liars", "liars-shown", "liars-suspected", "liars-orphan", "liars-withholds"),
    *_mutations("Liars", "liars-refuted", "liars-accused"),
    *_large("Liars", "liars-large"),
]


class Found(NamedTuple):
    """What a run of the checker said."""

    verdict: str
    """`holds`, `fails`, or what went wrong."""
    invariant: str
    generated: int
    distinct: int
    seconds: float


def check(configuration: Configuration, workers: int, limit_s: float) -> Found:
    """Run TLC on one configuration."""
    began, verdict, invariant, generated, distinct, last = time.monotonic(), "", "", 0, 0, ""
    with running(configuration.module, configuration.name, "-workers", str(workers)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            counts = re.search(r"([\d,]+) states generated.*?, ([\d,]+) distinct states found", line)
            if counts:
                generated, distinct = (int(text.replace(",", "")) for text in counts.groups())
                _progress(f"{configuration.name}: {distinct:,} states, {time.monotonic() - began:.0f} s")
            failed = re.search(r"Invariant (\w+) is violated", line)
            if failed:
                verdict, invariant = "fails", failed[1]
            elif "No error has been found" in line:
                verdict = HOLDS
            elif line.startswith(("Error:", "***")) and not verdict:
                last = line.strip()
            if time.monotonic() - began > limit_s:
                last = f"not finished after {limit_s:.0f} s"
                break
    _progress("")
    return Found(verdict or last or "no verdict", invariant, generated, distinct, time.monotonic() - began)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<78}\r", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Check what is named; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", help="small, large, all, or names of configurations in docs/model")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit-s", type=float, default=3600.0, help="for each configuration, in seconds")
    options = parser.parse_args()
    known = {configuration.name: configuration for configuration in CONFIGURATIONS}
    groups = {
        "small": [configuration for configuration in CONFIGURATIONS if not configuration.is_large],
        "large": [configuration for configuration in CONFIGURATIONS if configuration.is_large],
        "all": CONFIGURATIONS,
    }
    unknown = [name for name in options.names if name not in groups and name not in known]
    if unknown:
        parser.error(f"no configuration {unknown[0]} in {MODELS}; there are {', '.join(known)}")
    wanted = [one for name in options.names for one in (groups[name] if name in groups else [known[name]])]
    print(f"{'configuration':<26}{'expected':<10}{'found':<28}{'generated':>12}{'distinct':>12}{'seconds':>9}")
    # So that the checker ends too, when this is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wrong = 0
    for configuration in dict.fromkeys(wanted):
        try:
            found = check(configuration, options.workers, options.limit_s)
        except Unavailable as problem:
            print(f"The models were not checked: {problem}", file=sys.stderr)
            return 2
        text = f"{found.verdict}: {found.invariant}" if found.invariant else found.verdict
        is_wrong = found.verdict != configuration.expected
        wrong += is_wrong
        row = f"{configuration.name:<26}{configuration.expected:<10}{text:<28}"
        row += f"{found.generated:>12,}{found.distinct:>12,}{found.seconds:>9.0f}"
        print(row + ("  NOT AS EXPECTED" if is_wrong else ""), flush=True)
    print(f"{len(dict.fromkeys(wanted))} configurations, {wrong} not as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
