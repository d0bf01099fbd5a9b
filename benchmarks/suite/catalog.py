"""The benchmarks there are, in the order in which they are run."""

from difflib import get_close_matches

from benchmarks.suite import checkpoints, clocks, density, faults, messages, price, rollback
from benchmarks.suite.form import Benchmark
from peer.errors import CallerError

BENCHMARKS: dict[str, Benchmark] = {
    each.BENCHMARK.name: each.BENCHMARK for each in (rollback, checkpoints, clocks, messages, faults, density, price)
}


def find(name: str) -> Benchmark:
    """Return a benchmark.

    Raises: CallerError, with the nearest name.
    """
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    near = get_close_matches(name, BENCHMARKS, 1, 0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(BENCHMARKS)}."
    raise CallerError(f"no benchmark {name!r}. Nothing was run. {hint}")
