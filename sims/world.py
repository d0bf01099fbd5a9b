"""A cluster in virtual time: the same agents, hosts, protocol and bytes as on Ray, in one process, under one seed.

    world = World(seed=7, hosts=4, faults=[Partition(("host-1",), at=0.2, heal=0.5)])
    world.spawn("buyer", Buyer)
    world.submit("buyer", Order("tea", 4), at=0.1)
    world.settle()
    outcome = world.rollback("buyer/1/1", inputs="retry")

Nothing waits and nothing is left to chance: the same seed gives the same trace, everywhere. All that is asked of the
agents goes over the simulated network, as `peer.Cluster` does it; what is looked at is read from the machines.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peer import errors
from peer.agents.agent import Agent
from peer.agents.past import as_step
from peer.agents.proposing import rollback_draft
from peer.agents.resources import Opens, check_opens, key_of, name_of
from peer.agents.spec import AgentSpec
from peer.cluster.outcome import Outcome, Plan
from peer.config import replicas_of
from peer.export import export
from peer.values.shared_view import SharedView
from protocol.agent.machine import PeerMachine
from protocol.ids import AgentId, ProposalId, StepId
from protocol.limits import CheckpointLimits, HostLimits, Limits
from protocol.policy import PolicyMaker
from protocol.records import OutcomeRecord
from protocol.step import StepRecord
from sims.checkers import Broken, Watches, check_all
from sims.checkers.view import View
from sims.embedding import Delivery, Proposed, deliver, run_until, steps_of, view_of
from sims.engine.chrome import write_chrome
from sims.engine.engine import Engine
from sims.faults import Fault, Partition
from sims.given import check_fault, check_kind, check_roots, check_workload, check_world
from sims.ports import Actuator, Sensor, attach
from sims.topology import Graph, topology_of
from sims.virtual.chance import AnySpread

if TYPE_CHECKING:
    import pandas

    from sims.workload import Workload

SETTLE_S = 900.0
"""Virtual seconds within which a world must come to rest."""
LOOK_S = 0.05
"""How often a world that comes to rest is looked at."""
REST_LOOKS = 2


class World:
    """Hosts and agents in virtual time.

    Args:
        seed: decides everything that chance decides.
        hosts: how many machines there are at first: `host-1`, `host-2`, ...
        agents_per_host: how many agents `populate` puts on each.
        topology: whom agents of `populate` write to: a name of `sims.topology.TOPOLOGIES`, or a graph.
        faults: what goes wrong, and when: one, or several; more by `fail`.
        delay: how long frames take; 0.1 to 0.4 ms if left out, as `sync` and `thread`.
        sync: how long a write takes until it is durable.
        thread: how long what is meant for a thread takes until it is done, and again until that is known.
        limits: bounds and waiting times of the peers.
        checkpoint_every: virtual seconds between coordinated checkpoints; 0: only when `checkpoint` is called.
        checkpoint_policy: says how often instead, and may learn: `peer.policies`.
        checkpoints_kept: how many committed checkpoints can be restored to; older steps are compacted.
        replicas: how many other hosts copy a host's logs; with any, one that is dead for good is succeeded.
        buddies: the old name of `replicas`.
        replicated: every record is with them before anything follows from it, not facts alone.
        successor: virtual seconds that a host must have failed before that.
        host_limits: waiting times among hosts: how soon a failed one is found.
        checking: invariants are judged after `each` event and by `check`; or by `check` alone (`end`).
    """

    def __init__(
        self, seed: int = 0, hosts: int = 3, agents_per_host: int = 3, topology: str | Graph = "ring",
        faults: Fault | Sequence[Fault] = (), *, delay: AnySpread | None = None, sync: AnySpread | None = None,
        thread: AnySpread | None = None, limits: Limits | None = None, checkpoint_every: float = 0.0,
        checkpoints_kept: int = 4, checking: str = "each", replicas: int = 0, successor: float = 30.0,
        host_limits: HostLimits | None = None, checkpoint_policy: PolicyMaker | None = None, replicated: bool = False,
        buddies: int | None = None,
    ) -> None:  # fmt: skip
        self.replicas, self.is_replicated = replicas_of(replicas, buddies), replicated
        numbers = {
            "hosts": hosts, "agents_per_host": agents_per_host, "checkpoint_every": checkpoint_every,
            "checkpoints_kept": checkpoints_kept, "replicas": self.replicas, "successor": successor,
        }  # fmt: skip
        check_world(numbers, topology, checkpoint_policy, checking)
        self.seed = seed
        self.agents_per_host, self.topology = agents_per_host, topology
        checkpoints = CheckpointLimits(
            interval_us=int(checkpoint_every * 1e6), epochs_kept=checkpoints_kept, replicas=self.replicas,
            successor_us=int(successor * 1e6), policy=checkpoint_policy, is_replicated=replicated,
        )  # fmt: skip
        watches = Watches() if checking == "each" else None
        self.engine = Engine(seed, delay, sync, thread, limits, checkpoints, watches, host_limits)
        self._is_closed = False
        for number in range(1, hosts + 1):
            self.add_host(f"host-{number}")
        self.fail(*(faults if isinstance(faults, Sequence) else [faults]))

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def now(self) -> float:
        """Virtual seconds since the world began."""
        return self.engine.loop.time()

    @property
    def agents(self) -> list[AgentId]:
        """The agents, in the order in which they came."""
        return list(self.engine.homes)

    @property
    def hosts(self) -> list[str]:
        """The machines, in the order in which they came."""
        return list(self.engine.boxes)

    # -- building --------------------------------------------------------------------------------------------------

    def add_host(self, name: str) -> None:
        """Add a machine, with no agents yet."""
        self.engine.add_host(name)

    def spawn(self, name: AgentId, kind: type[Agent], *, host: str | None = None, **options: Any) -> AgentId:
        """Add an agent, on the named host or on the one with the fewest agents.

        Args:
            options: passed to the agent's class.

        Raises: CallerError.
        """
        if name in self.engine.homes:
            raise errors.CallerError(f"there is an agent {name!r} already. Nothing changed.")
        check_kind(name, kind)
        boxes = self.engine.boxes
        box = self.engine.box(host) if host else min(boxes.values(), key=lambda box: len(box.specs))
        self.engine.add(box, AgentSpec(name, kind, options))
        return name

    def populate(self, workload: "Workload | None" = None, topology: str | Graph | None = None) -> list[AgentId]:
        """Fill the hosts with `WorkAgent`s that write to each other along a topology, and schedule a workload.

        Returns: their names.
        """
        from sims.workload import Workload, populate

        count, workload = len(self.hosts) * self.agents_per_host, workload or Workload()
        check_workload(workload, count)
        return populate(self, workload, topology_of(topology or self.topology, count, self.seed))

    def fail(self, *faults: Fault) -> None:
        """Add faults to the schedule; their times are since the world began."""
        for fault in faults:
            check_fault(fault)
            self.engine.weather.add(fault)

    # -- time ------------------------------------------------------------------------------------------------------

    def run(self, until: "float | Callable[[World], bool]") -> float:
        """Let virtual time pass up to `until`, or until it is true of the world; return the time.

        Raises: Broken, if an invariant is; whatever our own code has raised meanwhile; NothingToDo, TimeStands.
        """
        if callable(until):
            self.engine.run_to(None, lambda: until(self))
        else:
            self.engine.run_to(round(until * 1e6))
        return self.now

    def settle(self, limit: float = SETTLE_S) -> float:
        """Let everything that is under way come to its end; return the time.

        Raises: Broken, naming what is still under way after `limit` virtual seconds.
        """
        end, rest, last = self.now + limit, 0, -1
        while rest < REST_LOOKS:
            self.run(until=self.now + LOOK_S)
            busy = self.engine.under_way()
            moved = self.engine.progress()
            rest = rest + 1 if not busy and moved == last else 0
            last = moved
            if self.now > end:
                raise Broken("everything ends", f"still under way after {limit:g} s: {busy or 'something moves'}")
        return self.now

    # -- driven from outside (sims.embedding) ----------------------------------------------------------------------

    def run_until(self, time: float) -> None:
        """Run exactly up to a virtual time in seconds, what is due then included, for a simulator that owns time.

        Raises: CallerError, if it is gone; else as `run`.
        """
        run_until(self.engine, time)

    def next_event(self) -> float | None:
        """Return when something is next due, in virtual seconds; hosts that probe each other count."""
        next_us = self.engine.loop.next_us()
        return None if next_us is None else next_us / 1e6

    def busy(self) -> dict[str, list[str]]:
        """Return what is under way, by agent and host: empty at rest. No time passes."""
        return self.engine.under_way()

    def deliver(self, agent: AgentId, message: Any) -> Delivery:
        """Hand an input to an agent at this very instant, past the network; no time passes.

        It is taken once; while the agent's host is down it waits. Returns what `steps_of` finds its step by.
        """
        return deliver(self.engine, agent, message)

    def steps_of(self, what: AgentId | Delivery | str) -> list[StepId]:
        """Return the durable steps that stand, oldest first: an agent's, a delivery's, or that of an act's intent."""
        return steps_of(self.engine, what)

    def attach(self, name: str, port: Sensor | Actuator) -> None:
        """Let agents sense or act in another simulation by this name: see `sims.ports`."""
        attach(self.engine.outside, name, port)

    def stand_in(self, opens: Opens, instead: Opens) -> None:
        """Have hosts open something else in place of a tool's resource, from their next opening of it on.

        Raises: DeclarationRefused, if `instead` is not what `opens` is: a function of no arguments that returns a
            context manager. It is called anew in each life of each host.
        """
        check_opens(f"the stand-in of {name_of(opens)}", instead)
        self.engine.stand_ins[key_of(opens)] = instead

    # -- what the world is asked -----------------------------------------------------------------------------------

    def submit(self, agent: AgentId, *messages: Any, at: float | None = None) -> None:
        """Hand inputs to an agent from outside, now or at a time; each is taken once, in order."""
        if agent not in self.engine.homes:
            raise errors.CallerError(f"no agent {agent!r} was spawned in this world. Nothing was submitted.")
        operator = self.engine.operator
        operator.encoded(messages)
        self.engine.later(at, f"submit to {agent}", lambda: operator.hand_in(agent, messages))

    def cancel(self, agent: AgentId, *inputs: Delivery | str, why: str = "", by: str = "operator") -> None:
        """Call inputs off that wait or run, as `Cluster.cancel` does, and run until that is durable, or refused."""
        names = [given.input if isinstance(given, Delivery) else given for given in inputs]
        self.engine.wait(self.engine.operator.cancel(agent, *names, why=why, by=by))

    def rollback(
        self, *steps: StepId | str, inputs: str = "retry", reason: str = "", evidence: Any = None,
        amend: Mapping[StepId | str, Any] | None = None, timeout: float = 300.0,
    ) -> Outcome:  # fmt: skip
        """Roll steps back as `Cluster.rollback` does, and run until the outcome is known.

        Args:
            timeout: virtual seconds.
        """
        check_roots(map(as_step, steps), self.engine.homes)
        return self.engine.wait(
            self.engine.operator.rollback(
                *steps, inputs=inputs, reason=reason, evidence=evidence, amend=amend, timeout_s=timeout
            )
        )

    def propose(
        self, *steps: StepId | str, at: float | None = None, inputs: str = "retry", reason: str = "",
        evidence: Any = None, amend: Mapping[StepId | str, Any] | None = None,
    ) -> Proposed:  # fmt: skip
        """Have steps rolled back, now or at a time, without waiting: `outcomes` and what is returned will have it."""
        # Who asks wrongly is told now, not when it runs; an agent may come until then.
        roots = rollback_draft(steps, inputs, reason, evidence, amend or {}).roots
        check_roots(roots if at is None else (), self.engine.homes)
        proposed = Proposed()

        async def asked() -> None:
            proposed.outcome = await self.engine.operator.rollback(
                *steps, inputs=inputs, reason=reason, evidence=evidence, amend=amend, timeout_s=SETTLE_S
            )

        self.engine.later(at, f"rollback of {steps[0]}", asked)
        return proposed

    def checkpoint(self, timeout: float = 300.0) -> int:
        """Make a coordinated checkpoint, and run until it is committed; return its epoch."""
        return self.engine.wait(self.engine.operator.checkpoint(timeout_s=timeout))

    def restore(self, epoch: int, inputs: str = "discard", timeout: float = 300.0) -> int:
        """Take every agent back to a committed checkpoint; return the restore's number."""
        return self.engine.wait(self.engine.operator.restore_to(epoch, inputs, timeout))

    def preview(self, *steps: StepId | str) -> Plan:
        """Return what a rollback would undo."""
        return self.engine.wait(self.engine.operator.preview(*steps))

    def outcomes(self) -> dict[ProposalId, OutcomeRecord]:
        """Return the outcomes that proposers have written down."""
        return self.view().outcomes

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def crash(self, host: str, restart_after: float | None = 0.1, *, disk: str = "kept", keep: float = 0.5) -> None:
        """End a host's process now; it starts again after a while, or by `restart` alone if None.

        Args:
            disk: `kept`; `torn`: a prefix of what was being written survives; `lost`: the end of each log is gone.
            keep: with a lost disk, which share of each log is left.
        """
        if disk not in ("kept", "torn", "lost"):
            raise errors.CallerError(f"disk={disk!r}: it is kept, torn or lost. Nothing was crashed.")
        self.engine.begin()
        self.engine.crash(host, restart_after, disk, keep)

    def restart(self, host: str) -> None:
        """Start a host again from its disk, if it is down."""
        self.engine.restart(host)

    def partition(self, *hosts: str, others: Sequence[str] = (), one_way: bool = False) -> None:
        """Part hosts from the rest, or from `others`, from now until `heal`."""
        self.fail(Partition(hosts, tuple(others), self.now, None, one_way))

    def heal(self) -> None:
        """End every partition now."""
        self.engine.weather.heal()

    # -- looking ---------------------------------------------------------------------------------------------------

    def machine(self, agent: AgentId) -> PeerMachine:
        """Return an agent's machine.

        Raises: CallerError, if its host is down.
        """
        return self.engine.driver(agent).machine

    def state(self, agent: AgentId) -> dict[Any, Any]:
        """Return an agent's surviving state; no time passes."""
        driver = self.engine.driver(agent)
        return driver.values.decode_all(driver.machine.core.versions.read_all())

    def shared(self, agent: AgentId) -> SharedView:
        """Return what an agent sees of its shared spaces; no time passes."""
        versions, vault = self.machine(agent).core.versions, self.engine.operator.host.keeping.vault
        return SharedView([entry for key in versions.shared_keys() for entry in versions.entries(key)], vault)

    def steps(self, agent: AgentId | None = None) -> list[StepRecord]:
        """Return the durable steps, undone ones too, of one agent or of all."""
        return [record for record in self.engine.trace.steps() if agent in (None, record.step.agent)]

    def retracted_by(self) -> dict[StepId, str]:
        """Return the undone steps, each with the proposal, loss or restore that undid it first."""
        return self.engine.trace.retracted_by()

    def metrics(self) -> "pandas.DataFrame":
        """Return what hosts, agents and proposals have done and cost: see `sims.metrics`."""
        from sims.metrics import metrics

        return metrics(self)

    def trace_hash(self) -> str:
        """Return a hash of all that has happened: equal for equal seeds, everywhere."""
        return self.engine.trace.hash()

    def bites(self) -> list[tuple[Fault, int]]:
        """Return the faults, each with how often it has happened so far."""
        weather = self.engine.weather
        return list(zip(weather.faults, weather.bites, strict=True))

    def view(self) -> View:
        """Return the world as checkers see it."""
        return view_of(self.engine, has_copies=self.replicas > 0, is_replicated=self.is_replicated)

    def check(self) -> None:
        """Judge the world, which must be at rest (`settle`).

        Raises: Broken, naming the invariant and the steps.
        """
        check_all(self.view())

    # -- for other tools -------------------------------------------------------------------------------------------

    def export(self, folder: str | Path) -> None:
        """Write the run down in the format of docs/export.md; the agents are asked, so a little time passes."""
        self.engine.wait(export(self.engine.operator, Path(folder), self.agents))

    def export_shiviz(self, path: str | Path) -> None:
        """Write a log for ShiViz: see `sims.engine.trace.SHIVIZ_PATTERN`."""
        self.engine.trace.write_shiviz(Path(path), self.retracted_by())

    def export_chrome(self, path: str | Path) -> None:
        """Write Chrome's trace events, for chrome://tracing and Perfetto."""
        write_chrome(self.engine.trace, Path(path), self.engine.homes, self.retracted_by())

    def close(self) -> None:
        """End the world: nothing happens in it any more."""
        if not self._is_closed:
            self._is_closed = True
            self.engine.close()
