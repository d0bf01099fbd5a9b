"""What fails, made smaller as long as it still fails: what is left is what matters."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from msgspec.structs import replace as with_

from sims.histories.plan import Plan
from sims.runs.scenario import Scenario
from sims.workload import Periodic

T = TypeVar("T")


def shrink(value: T, simpler: Callable[[T], Iterator[T]], fails: Callable[[T], bool], tries: int = 400) -> T:
    """Return a value that fails, and that no single step makes smaller.

    Args:
        value: one that fails.
        simpler: yields what a value could become, the boldest first.
        fails: plays a value.
        tries: values played at most.
    """
    left = tries
    smaller = True
    while smaller and left > 0:
        smaller = False
        for candidate in simpler(value):
            left -= 1
            if fails(candidate):
                value, smaller = candidate, True
                break
            if left <= 0:
                break
    return value


def shrunk(plan: Plan, fails: Callable[[Plan], bool], tries: int = 400) -> Plan:
    """Return the smallest plan of a history that still fails."""
    return shrink(plan, _simpler, fails, tries)


def shrunk_scenario(scenario: Scenario, fails: Callable[[Scenario], bool], tries: int = 300) -> Scenario:
    """Return the smallest scenario of a world that still fails."""
    return shrink(scenario, _simpler_scenarios, fails, tries)


def _simpler(plan: Plan) -> Iterator[Plan]:
    for name in ("loss", "double", "shared", "calls", "rejects", "strange", "timed", "requests", "overseen"):
        if getattr(plan, name):
            yield replace(plan, **{name: 0.0})
    for name, least in (
        ("crashes", 0), ("losses", 0), ("proposals", 0), ("agents", 2), ("inputs", 1), ("depth", 0),
        ("fan_out", 1), ("keys", 1), ("words", 0), ("checkpoints", 0), ("restores", 0), ("deaths", 0),
    ):  # fmt: skip
        value = getattr(plan, name)
        for smaller in sorted({least, (value + least) // 2, value - 1}):
            if least <= smaller < value:
                yield replace(plan, **{name: smaller})
    if plan.delay_us > 1000:
        yield replace(plan, delay_us=1000)


def _simpler_scenarios(scenario: Scenario) -> Iterator[Scenario]:
    faults, work = scenario.faults, scenario.workload
    if len(faults) > 1:
        half = len(faults) // 2
        yield with_(scenario, faults=faults[:half])
        yield with_(scenario, faults=faults[half:])
    for at in range(len(faults)):
        yield with_(scenario, faults=(*faults[:at], *faults[at + 1 :]))
    for name, least in (("hosts", 1), ("agents_per_host", 1), ("rollbacks", 0), ("restores", 0)):
        value = getattr(scenario, name)
        for fewer in sorted({least, (value + least) // 2, value - 1}):
            if least <= fewer < value:
                yield with_(scenario, **{name: fewer})
    if scenario.checkpoint_every:
        yield with_(scenario, checkpoint_every=0.0, restores=0)
    for name, least in (("inputs", 1), ("depth", 0), ("fan_out", 1), ("keys", 1), ("shared_keys", 1), ("payload", 0)):
        value = getattr(work, name)
        for fewer in sorted({least, (value + least) // 2, value - 1}):
            if least <= fewer < value:
                yield with_(scenario, workload=with_(work, **{name: fewer}))
    for name in ("shared", "calls", "failing", "rejects", "thinking_us"):
        if getattr(work, name):
            yield with_(scenario, workload=with_(work, **{name: 0}))
    if not isinstance(work.arrivals, Periodic):
        yield with_(scenario, workload=with_(work, arrivals=Periodic(0.5 / work.inputs)))
