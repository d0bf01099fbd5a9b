"""The faults, in the order in which they are played: what each does while transfers are under way."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.cluster.lan import Machine
from tests.cluster.reliability.field import RECOVER_S, Failed, Run

CUT_S, DEAF_S, LONG_CUT_S = 20.0, 40.0, 60.0
BAD_WIRE_S = 20.0
LOSS = 0.05
FAR_MS = 50.0
"""At each machine: twice as long from one to another."""
JOIN_S = 300.0
SKEW_S = 60


def killed(run: Run) -> None:
    """Kill a ledger's process."""
    host = run.host_of("ledger-0")
    run.strike(host.agents)
    run.signal(host, "KILL")


def hung(seconds: float) -> Callable[[Run], None]:
    """Return what has a teller's process hang for so long."""

    def play(run: Run) -> None:
        host = run.host_of("teller-2")
        run.strike(host.agents)
        run.signal(host, "STOP")
        time.sleep(seconds)
        run.signal(host, "CONT")

    return play


def _cut(run: Run, how: Callable[[Machine], None], seconds: float = CUT_S) -> None:
    machine = run.crowded()
    hit = run.on(machine)
    run.strike(hit)
    how(machine)
    time.sleep(seconds)
    run.lan.wire.heal()


def unheard(run: Run) -> None:
    """Lose what a machine says."""
    _cut(run, lambda machine: run.lan.wire.cut(machine, None))


def deaf(run: Run) -> None:
    """Lose what is said to a machine."""
    _cut(run, lambda machine: run.lan.wire.cut(None, machine), DEAF_S)


def isolated(run: Run) -> None:
    """Cut a machine off, for so long that Ray takes it for dead, too.

    On a cluster of its own: hosts that an earlier row has had succeeded have no vote any more, and without the two that
    are cut off here there would be no majority.
    """
    _cut(run, run.lan.wire.isolate, LONG_CUT_S)
    run.is_ending = True


def lost(run: Run) -> None:
    """Lose a machine with its disk."""
    machine = run.lan.machines[2]
    run.strike(run.on(machine))
    run.is_ending = True
    machine.kill(with_disk=True)


def lossy(run: Run) -> None:
    """Lose a share of all frames."""
    run.strike(run.names)
    run.lan.wire.lose(LOSS)
    time.sleep(BAD_WIRE_S)
    run.lan.wire.heal()


def far(run: Run) -> None:
    """Have all frames take longer."""
    run.strike(run.names)
    for machine in run.lan.machines:
        run.lan.wire.delay(machine, FAR_MS)
    time.sleep(BAD_WIRE_S)
    run.lan.wire.heal()


def rolling(run: Run) -> None:
    """Have each host start again, one after the other."""
    for host in run.hosts():
        run.strike(host.agents)
        run.signal(host, "KILL")
        run.await_served(run.strikes[-1])


def third(run: Run) -> None:
    """Kill two of the six hosts at once, on two machines where that can be."""
    hosts = [run.host_of(agent) for agent in ("teller-0", "ledger-1")]
    run.strike(frozenset(agent for host in hosts for agent in host.agents))
    for host in hosts:
        run.signal(host, "KILL")


def headless(run: Run) -> None:
    """End the head's store of who is where; agents checkpoint and roll back, then all is brought up again."""
    run.strike(run.names)
    run.field.head.exec("pkill", "-KILL", "gcs_server")
    run.await_served(run.strikes[-1])
    run.undo()  # a checkpoint, too
    run.note = "without the head a checkpoint was committed and a transfer undone"
    run.end_load()


def up_again(run: Run) -> None:
    """Start Ray again on all machines, and the cluster on it, from its logs."""
    began = time.monotonic()
    for machine in run.lan.machines:
        run.field.stop_ray(machine)
    run.field.up()
    ray_s = time.monotonic() - began
    run.up()
    run.note += f"; starting Ray again took {ray_s:.0f} s, `ebbtide up` {time.monotonic() - began - ray_s:.0f} s"


def without_one(run: Run) -> None:
    """Have a machine be away, and its Ray with it."""
    machine = run.lan.machines[2]
    if machine.first:
        run.field.stop_ray(machine)
        machine.kill(with_disk=True)


def newcomer(run: Run) -> None:
    """Give a machine power that was lost; Ray starts there, and a teller more is launched."""
    machine = run.lan.machines[2]
    run.strike(frozenset({"teller-3"}))
    began = time.monotonic()
    run.lan.boot(machine)
    run.field.start_ray(machine)
    run.field.await_machines(len(run.lan.machines), JOIN_S)
    run.note = f"Ray had the machine after {time.monotonic() - began:.0f} s"
    (run.place / "join").touch()
    run.await_served(run.strikes[-1], RECOVER_S)
    at = run.host_of("teller-3").machine
    if at is not machine:
        run.amiss.append(f"the new agent was put on {at.name}, and not on the machine that has joined")


def clocked(run: Run) -> None:
    """Have all hosts get their time by a library that can be told another. Raises: Failed."""
    if not list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")):
        raise Failed("needs libfaketime: apt-get install faketime")
    for machine in run.lan.machines:
        _set_ahead(machine, 0)
    run.app = "skewed_app.py"


def skewed(run: Run) -> None:
    """Set one machine's hosts' clocks ahead, and back."""
    machine = run.crowded()
    hit = run.on(machine)
    run.strike(hit)
    _set_ahead(machine, SKEW_S)
    time.sleep(BAD_WIRE_S)
    host = run.host_of(min(hit)).name
    look = f"tr '\\0' '\\n' < /proc/$(cat {run.folder}/{host}/lock)/environ | grep -c FAKETIME_TIMESTAMP_FILE"
    if machine.exec("sh", "-c", look, code=None).stdout.strip() != "1":
        raise Failed("the host's process has not taken the library")
    _set_ahead(machine, 0)
    run.is_ending = True


def _set_ahead(machine: Machine, seconds: float) -> None:
    machine.exec("sh", "-c", f"echo +{seconds}s > /srv/ahead.new && mv /srv/ahead.new /srv/ahead")


class Row(NamedTuple):
    """One fault."""

    title: str
    play: Callable[[Run], None]
    is_fresh: bool = False
    """It begins with a cluster of its own."""
    is_joining: bool = False
    """The cluster is launched on the machines that are there, by who launches one more agent later."""
    before: Callable[[Run], None] | None = None
    """Done before the cluster is brought up."""
    afterwards: Callable[[Run], None] | None = None
    """Done once the load has ended, before it is judged."""


ROWS: dict[str, Row] = {
    "killed": Row("a ledger's process killed (SIGKILL)", killed),
    "hung-1": Row("a teller's process hung for 1 s (SIGSTOP)", hung(1)),
    "hung-20": Row("the same for 20 s", hung(20)),
    "unheard": Row("a machine cut off for 20 s: what it says is lost", unheard),
    "deaf": Row("a machine cut off for 40 s: what is said to it is lost", deaf),
    "lossy": Row("5 % of all frames lost, for 20 s", lossy),
    "far": Row("100 ms from each machine to each other, for 20 s", far),
    "rolling": Row("all hosts started again, one after the other", rolling),
    "third": Row("two of six hosts killed at once", third),
    "lost": Row("a machine lost with its disk", lost, is_fresh=True),
    "head": Row("Ray's head lost, and started again", headless, is_fresh=True, afterwards=up_again),
    "join": Row(
        "a machine joins under load, and an agent on it", newcomer, is_fresh=True, is_joining=True, before=without_one
    ),
    "hung-60": Row("a teller's process hung for 60 s (SIGSTOP)", hung(60)),
    "isolated": Row("a machine cut off for 60 s, in both directions", isolated, is_fresh=True),
    "skew": Row("clocks of a machine's hosts a minute ahead for 20 s, and back", skewed, is_fresh=True, before=clocked),
}
TITLES = {name: row.title for name, row in ROWS.items()}
