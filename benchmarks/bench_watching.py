"""What it costs to be watched: the same agents with a watcher and without one, in one run.

    python -m benchmarks.bench_watching [--seconds 10]

Two agents on one host throw sixteen balls to each other. Each step reports a number. With a watcher each step tells it
that, and the watcher's detectors look: a bound alone, which keeps nothing, and a chart besides, which keeps a window.
Counted are the throwing agents' steps.
"""

import argparse
import asyncio
import json
import time
from dataclasses import dataclass

from ebbtide import Agent, Cluster, Context, handles
from peer.detectors import Bounds, Cusum
from peer.watching import Watcher

BALLS = 16
WARM_S = 1.0
OTHER = {"ann": "bob", "bob": "ann"}


@dataclass
class Ball:
    number: int


class Player(Agent):
    @handles(Ball)
    async def throw(self, message: Ball, ctx: Context) -> None:
        ctx.report(number=message.number)
        ctx.send(OTHER[ctx.agent], message)


class Bounded(Player):
    watched_by = "bound"


class Charted(Player):
    watched_by = "chart"


class Bound(Watcher):
    detectors = (Bounds("number", -1000.0, 1000.0),)


class Chart(Watcher):
    detectors = (Bounds("number", -1000.0, 1000.0), Cusum("number", mean=8.0, sd=1000.0))


CASES: dict[str, tuple[type[Agent], type[Watcher] | None]] = {
    "not watched": (Player, None),
    "by a bound": (Bounded, Bound),
    "by a bound and a chart": (Charted, Chart),
}


async def steps_per_s(kind: type[Agent], watcher: type[Watcher] | None, seconds: float) -> float:
    """Return how many steps a second the two players make together."""
    async with Cluster(backend="local", agents_per_actor=3) as cluster:
        for name in OTHER:
            await cluster.spawn(name, kind)
        if watcher is not None:
            await cluster.spawn(watcher.__name__.lower(), watcher)
        await cluster.submit("ann", *(Ball(number) for number in range(BALLS)))
        await asyncio.sleep(WARM_S)
        before, began = await _steps(cluster), time.monotonic()
        await asyncio.sleep(seconds)
        return (await _steps(cluster) - before) / (time.monotonic() - began)


async def _steps(cluster: Cluster) -> int:
    return sum([(await cluster.status(name)).steps for name in OTHER])


def main() -> None:
    """Print a row a case, and the share of what is made without a watcher."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    found = {name: asyncio.run(steps_per_s(*case, seconds)) for name, case in CASES.items()}
    floor = found["not watched"]
    for name, per_s in found.items():
        print(json.dumps({"case": name, "steps_per_s": round(per_s), "share": round(per_s / floor, 2)}))


if __name__ == "__main__":
    main()
