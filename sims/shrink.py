"""A failing plan, made smaller as long as it still fails: what is left is what matters."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from sims.plan import Plan


def shrunk(plan: Plan, fails: Callable[[Plan], bool], tries: int = 400) -> Plan:
    """Return a plan that fails, and that no single step makes smaller.

    Args:
        plan: one that fails.
        fails: plays a plan.
        tries: plans played at most.
    """
    left = tries
    smaller = True
    while smaller and left > 0:
        smaller = False
        for candidate in _simpler(plan):
            left -= 1
            if fails(candidate):
                plan, smaller = candidate, True
                break
            if left <= 0:
                break
    return plan


def _simpler(plan: Plan) -> Iterator[Plan]:
    for name in ("loss", "double", "shared", "calls", "rejects"):
        if getattr(plan, name):
            yield replace(plan, **{name: 0.0})
    for name, least in (
        ("crashes", 0), ("losses", 0), ("proposals", 0), ("agents", 2), ("inputs", 1), ("depth", 0),
        ("fan_out", 1), ("keys", 1),
    ):  # fmt: skip
        value = getattr(plan, name)
        for smaller in sorted({least, (value + least) // 2, value - 1}):
            if least <= smaller < value:
                yield replace(plan, **{name: smaller})
    if plan.delay_us > 1000:
        yield replace(plan, delay_us=1000)
