"""A world inside somebody else's simulation: time is given from outside, and inputs come from there.

The other simulator owns time. It lets the world run up to its own present (`run_until`), hands inputs to agents at that
very instant (`deliver`), and has steps rolled back without letting time run away (`World.propose`). What agents see and
do on the other side goes through ports (`sims.ports`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from peer.errors import CallerError
from peer.host.questions import Submit
from protocol.event import Submitted
from protocol.ids import AgentId, Lineage, StepId
from protocol.step import EXTERNAL, StepRecord
from sims.checkers.view import View

if TYPE_CHECKING:
    from peer.cluster.outcome import Outcome
    from peer.host.host import Host
    from sims.engine.engine import Engine

AGAIN_S = 0.5
"""Virtual seconds after which an input that is not durable yet goes the long way: its host has crashed meanwhile."""


@dataclass(frozen=True)
class Delivery:
    """An input that was handed to an agent from outside: `World.steps_of` finds the step that handles it."""

    agent: AgentId
    input: Lineage
    """What the input stands for, however often it is run again."""


@dataclass
class Proposed:
    """A rollback that was asked for from outside."""

    outcome: Outcome | None = None
    """What became of it; None: it is under way."""


def run_until(engine: Engine, time: float) -> None:
    """Run exactly up to a virtual time, what is due then included.

    Raises: CallerError, if that is no time, or gone.
    """
    if not isfinite(time):
        raise CallerError(f"run_until({time}): that is no time. Nothing happened. Give virtual seconds.")
    at_us, now_us = round(time * 1e6), engine.loop.now_us
    if at_us < now_us:
        raise CallerError(
            f"run_until({time:g}): the world is at {now_us / 1e6:g} s already, and time does not go back. Nothing"
            " happened. Give a time that is not before World.now."
        )
    engine.run_to(at_us)


def deliver(engine: Engine, agent: AgentId, message: Any) -> Delivery:
    """Hand an input to an agent now, past the network; see `World.deliver`.

    Raises: CallerError, if there is no such agent; PayloadInvalid.
    """
    if agent not in engine.homes:
        raise CallerError(f"no agent {agent!r} was spawned in this world. Nothing was delivered.")
    inputs = Submit(engine.operator.new_source(), 1, engine.operator.encoded((message,)))

    async def give() -> None:
        box = engine.boxes[engine.homes[agent]]
        if box.host is not None and box.is_up() and await _is_durable(box.host, agent, inputs):
            return
        # Its host is down, or was before the input was written: it is taken once, when there is somebody to take it.
        await engine.operator.hand_on(agent, inputs)

    engine.begin()
    engine.later(None, f"deliver to {agent}", give)
    if not engine.loop.is_running():
        # What is due at this instant, hosts that come up included, and no further.
        engine.run_to(engine.loop.now_us)
    return Delivery(agent, f"{EXTERNAL}{inputs.source}#1")


async def _is_durable(host: Host, agent: AgentId, inputs: Submit) -> bool:
    driver = host.drivers.get(agent)
    if driver is None:
        return False
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answered(body: bytes, error: str) -> None:
        assert not error, f"a source's first input is always taken: {body!r}"
        if not done.done():
            done.set_result(None)

    driver.feed(Submitted(host.asking.later(answered), inputs.source, inputs.first, inputs.payloads))
    await asyncio.wait((done,), timeout=AGAIN_S)
    return done.done()


def steps_of(engine: Engine, what: AgentId | Delivery | str) -> list[StepId]:
    """Return the durable steps that stand, oldest first; see `World.steps_of`.

    Raises: CallerError, if there is no such agent.
    """
    agent = what.agent if isinstance(what, Delivery) else what.split("/", 1)[0]
    if agent not in engine.homes:
        raise CallerError(f"no agent {agent!r} was spawned in this world.")
    driver = engine.drivers().get(agent)
    if driver is None:
        undone = engine.trace.retracted_by()
        records = [r for r in engine.trace.logs.get(agent, ()) if isinstance(r, StepRecord)]
        return [record.step for record in records if record.step not in undone and _is_of(record, what)]
    # The machine knows what stands; to find that in the logs, all of them would have to be read.
    core = driver.machine.core
    if isinstance(what, Delivery):
        found = [core.live_run(what.input)]
    elif what != agent:
        effect = core.intents.get(what)
        found = [None if effect is None else effect.claimed_by]
    else:
        found = [record.step for record in core.cone.records()]
    standing = [step for step in found if step is not None and step not in core.retraction]
    return [step for step in standing if step in engine.trace.durable_us]


def _is_of(record: StepRecord, what: AgentId | Delivery | str) -> bool:
    if isinstance(what, Delivery):
        return record.input.lineage == what.input
    return "/" not in what or what in record.calls


def view_of(engine: Engine, *, has_copies: bool, is_replicated: bool) -> View:
    """Return a world as checkers see it.

    Args:
        engine: of the world.
        has_copies: hosts keep copies of each other's logs.
        is_replicated: every record is with them before anything follows from it.
    """
    trace, outside, promises = engine.trace, engine.outside, engine.promises
    drivers = engine.drivers()
    return View(
        machines={name: driver.machine for name, driver in drivers.items()},
        logs=trace.logs,
        lost=tuple(trace.lost),
        has_lost=trace.lost_records > 0 and not has_copies,
        notices=trace.notices,
        broken_promises=promises.broken,
        losses_said=promises.said,
        is_replicated=is_replicated,
        heard={name: tuple(agents) for name, agents in trace.heard.items()},
        standing={intent: seen.stands for intent, seen in outside.posted.items()},
        doubled=tuple(outside.doubled),
        said=engine.said,
        spaces={name: driver.agent.spaces for name, driver in drivers.items()},
    )
