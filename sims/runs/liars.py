"""Worlds with liars: some hosts are byzantine, the others are judged (TR-1 to TR-9, RB-15)."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from peer import errors
from peer.agents.proposing import rollback_draft
from peer.host import questions
from peer.host.host import Host
from peer.trust.grant import grant
from protocol.ids import AgentId, HostId, StepId
from sims.checkers import Broken, honest_cuts
from sims.checkers.honest import ACCUSED, EFFECTS, NAMED, RIGHTS, SENT, Honest, agents_of
from sims.checkers.honest import NAMES as OWN_NAMES
from sims.checkers.honest_cuts import Asked
from sims.engine.habits import HABITS, NAMES, habit
from sims.engine.liars import Gossip, Liar, LyingTransport, Tap
from sims.faults import Death
from sims.topology import Graph, topology_of
from sims.virtual.chance import stream
from sims.workload import Work, Workload
from sims.workload import populate as populate_with
from sims.world import World

LOOK_S = 0.25
LEAST_S = 1.5
"""Virtual seconds that pass at least after the last input: late lies are told in them."""
LIMIT_S = 20.0
TRIES = 5
"""Of one restore."""
NAMES_SHARE = 0.35
"""Of liars, that name others in their votes besides."""
STANDS = "honest hosts stand, and nobody but its own host moves an agent"
CHARGED = "nothing of an honest host is refused as a lie"
GOES_ON = "checkpoints go on among liars that say what is true of theirs"
OUT = "who is proven to lie is out everywhere, and no honest host is"


class LiarsWorld(World):
    """A world some of whose hosts lie: it never comes to rest, and is judged as far as it has to."""

    liars: "Liars"

    def submit(self, agent: AgentId, *messages: Any, at: float | None = None) -> None:
        """Hand inputs to an agent; what a liar's host answers is no matter."""
        if agent not in self.liars.agents:
            super().submit(agent, *messages, at=at)
            return

        async def hand_in() -> None:
            with suppress(errors.EbbtideError):
                await self.engine.operator.hand_in(agent, messages)

        self.engine.later(at, f"submit to {agent}", hand_in)

    def settle(self, limit: float = 60.0) -> float:
        """Let what is to end come to its end; return the time. Raises: Broken."""
        self.liars.settle(limit)
        return self.now

    def check(self) -> None:
        """Judge the world. Raises: Broken."""
        self.liars.check()


class Liars:
    """The liars of one world.

    Args:
        world: not begun.
        count: how many of its hosts lie; the last ones.
        habits: how; empty: as the seed wants.
        wide: they may propose rollbacks of others' steps.
        cuts: there are checkpoints, of which liars say what is true.
    """

    def __init__(
        self, world: LiarsWorld, count: int, habits: Sequence[str] = (), wide: bool = False, cuts: bool = False
    ) -> None:
        self.world = world
        self.cuts = cuts
        self.restores: dict[str, Asked] = {}
        """By id, those that were asked for."""
        self.moving: dict[AgentId, None] = {}
        """Agents that somebody may have moved."""
        world.liars = self
        self.wide = wide
        engine = world.engine
        self.names = tuple(world.hosts[len(world.hosts) - count :])
        per_host, hosts = world.agents_per_host, world.hosts
        homes = {f"a{n}": hosts[n % len(hosts)] for n in range(len(hosts) * per_host)}
        self.agents = agents_of(homes.items(), self.names)
        ids = {name: box.keys.host_id for name, box in engine.boxes.items()}
        self.gossip = Gossip({agent: ids[host] for agent, host in homes.items()}, [ids[name] for name in self.names])
        self.liars: dict[str, Liar] = {}
        rng = stream(world.seed, "liars")
        for name in self.names:
            box = engine.box(name)
            own = [agent for agent, host in homes.items() if host == name]
            box.may = (*(f"host:{agent}" for agent in own), "look:*", *_rollbacks(own, wide))
            chain = (grant(engine.operator.authority, box.keys.host_id, box.keys.public_key, box.may),)
            chosen = habits or rng.sample(HABITS, rng.randint(1, 4))
            if not habits and stream(world.seed, f"names/{name}").random() < NAMES_SHARE:
                chosen = (*chosen, NAMES)
            ways = [habit(each, rng) for each in chosen]
            chance = stream(world.seed, f"liar/{name}")
            liar = self.liars[name] = Liar(box.keys, chain, self.gossip, ways, chance, cuts)
            box.through = lambda inner, liar=liar: LyingTransport(inner, liar)
        engine.exempt.update(dict.fromkeys(self.agents))
        engine.network.watched_by(Tap(self.gossip, engine.trace))

    def populate(self, workload: Workload, topology: str, contact: float) -> None:
        """Fill the world with agents: honest ones write to each other, and some of them to liars."""
        count = len(self.world.hosts) * self.world.agents_per_host
        populate_with(self.world, workload, self._graph(count, topology, contact))

    def _graph(self, count: int, topology: str, contact: float) -> Graph:
        rng = stream(self.world.seed, "contacts")
        honest = [n for n in range(count) if f"a{n}" not in self.agents]
        lying = [n for n in range(count) if f"a{n}" in self.agents]
        among = topology_of(topology, len(honest), self.world.seed)
        graph = {honest[at]: [honest[to] for to in targets] for at, targets in among.items()}
        for number in honest:
            if rng.random() < contact:
                graph[number].append(rng.choice(lying))
        for number in lying:
            graph[number] = rng.sample(honest, min(2, len(honest)))
        return {number: tuple(graph[number]) for number in range(count)}

    def propose(self, number: int, horizon: float, wait_s: float) -> None:
        """Have steps of honest agents rolled back at some time, by one of them."""
        world, rng = self.world, stream(self.world.seed, f"rollback/{number}")

        async def propose() -> None:
            steps = [record.step for record in world.steps() if record.step.agent not in self.agents]
            if not steps:
                return
            roots: list[StepId] = rng.sample(steps, min(len(steps), rng.choice((1, 1, 1, 2))))
            inputs = rng.choice(("discard", "retry", "amend"))
            amend: dict[StepId | str, Any] = {root: Work(0) for root in roots} if inputs == "amend" else {}
            draft = rollback_draft(tuple(roots), inputs, "as the seed wants", None, amend)
            with suppress(errors.RollbackTimeout):  # a liar that takes part need not vote
                await world.engine.operator.propose(draft, 0, wait_s)

        world.engine.later(rng.uniform(0.1, 0.95) * horizon, f"rollback {number}", propose)

    def restore(self, number: int, horizon: float, wait_s: float) -> None:
        """Have everything go back to one of the committed checkpoints at some time, by a question to an honest host."""
        world, rng = self.world, stream(self.world.seed, f"restore/{number}")
        if not self.gossip.honest_agents:
            return  # a world that was shrunk so far
        agent = rng.choice(self.gossip.honest_agents)

        async def restore(at: int) -> bool:
            host = world.engine.box(world.engine.homes[agent]).host
            machine = None if host is None else host.checkpoints.machine
            if machine is None or machine.epochs.committed < 1:
                return False
            last = machine.epochs.committed
            epoch = rng.randint(max(1, min(machine.core.horizon, last)), last)
            name, asked = f"restore-{number}-{at}", Asked(epoch, rng.choice(("discard", "retry")))
            self.restores[name] = asked
            body = questions.encode(questions.RestoreTo(name, *asked, "", 0))
            with suppress(errors.RestoreRefused, errors.AskTimeout):
                await world.engine.operator.host.ask(agent, "restore", body, timeout_s=wait_s)
                return True
            return False

        async def restores() -> None:
            # Refused where somebody was said to have failed a moment ago, or the horizon has moved on.
            for at in range(TRIES):
                if await restore(at):
                    return
                await asyncio.sleep(rng.uniform(0.01, 0.1))

        world.engine.later(rng.uniform(0.3, 0.95) * horizon, f"restore {number}", restores)

    def move(self, number: int, horizon: float, wait_s: float) -> None:
        """Have an honest agent move to another honest host at some time; where it can't, it stays."""
        world, rng = self.world, stream(self.world.seed, f"move/{number}")

        async def move() -> None:
            agent = rng.choice(self.gossip.honest_agents)
            box = world.engine.box(rng.choice([name for name in world.hosts if name not in self.names]))
            self.moving[agent] = None
            with suppress(errors.CallerError, errors.AskTimeout, errors.NotUp):
                await world.engine.operator.move(agent, box.keys.host_id, timeout_s=wait_s)

        world.engine.later(rng.uniform(0.05, 0.95) * horizon, f"move {number}", move)

    def die(self, horizon: float) -> None:
        """Have an honest host end for good at some time, if honest backups have all that it has."""
        world, rng = self.world, stream(self.world.seed, "death")

        async def die() -> None:
            honest = [box for name, box in world.engine.boxes.items() if name not in self.names and box.host]
            machines = [box.host.checkpoints.machine for box in honest if box.host]
            machine = max(machines, key=lambda machine: machine.epochs.committed)
            for box in rng.sample(honest, len(honest)):
                backups = machine.succession.backups(box.keys.host_id)
                if backups and not {*backups} & {*self.gossip.liars}:
                    world.fail(Death(box.name, world.now))
                    return

        world.engine.later(rng.uniform(0.3, 0.95) * horizon, "death", die)

    # -- judging -------------------------------------------------------------------------------------------------------

    def settle(self, limit: float) -> None:
        """Let time pass until all that is to end has ended, and judge it. Raises: Broken."""
        world, committed = self.world, self._committed()
        end = world.now + min(limit, LIMIT_S)
        world.run(until=world.now + LEAST_S)
        moved, rest = -1, 0
        while True:
            wrong = self.wrong()
            now = self._progress()
            rest = rest + 1 if wrong is None and now == moved else 0
            moved = now
            goes_on = not self.cuts or self._committed() > committed or self.is_blocked()
            if rest >= 2 and goes_on:
                return
            if rest >= 2 and world.now > end:
                raise Broken(GOES_ON, f"there is none after {committed}")
            if wrong is not None and (world.now > end or wrong.invariant in FINAL):
                raise wrong
            if world.now > end and rest < 2:
                raise Broken("everything ends", f"something moves after {limit:g} s")
            world.run(until=world.now + LOOK_S)

    def wrong(self) -> Broken | None:
        """Return what does not hold now."""
        try:
            self.check()
        except Broken as error:
            return error
        return None

    def check(self) -> None:
        """Raises: Broken."""
        self._stand()
        self._out()
        self._charged()
        view, paused, lost = self.world.view(), frozenset[AgentId](), self._lost()
        if self.is_blocked():
            paused = frozenset(name for name, machine in view.machines.items() if machine.core.colours.is_paused)
        honest = Honest(view, frozenset((*self.agents, *lost)), self.cuts, self.wide, paused, self._is_stuck())
        honest.check()
        if self.cuts:
            honest_cuts.check(honest.logs, honest.view.machines, self.restores)

    def _lost(self) -> list[AgentId]:
        """Return honest agents of a dead host that nobody can succeed: what they have sent comes no more."""
        engine, up = self.world.engine, self.world.engine.drivers()
        # Where each lives now: it may have moved there.
        homes = {agent: engine.homes.get(agent, "") for agent in self.gossip.homes}
        dead = [agent for agent, name in homes.items() if agent not in up and name and engine.boxes[name].is_dead]
        return dead if self.is_blocked() else []

    def is_blocked(self) -> bool:
        """Tell whether a liar is out, as any honest host knows, and nobody succeeds it: it says nothing more of cuts.

        Who is out before it is in a view has no backups (CP-8).
        """
        return bool(self._put_out()) and (not self.world.replicas or self._committed() < 1 or self._is_stuck())

    def _is_stuck(self) -> bool:
        """Tell whether facts wait for a liar that is out, and nobody can succeed it.

        That is so where those who are left are no majority, as when one of four is out and another dead, and where the
        dead host was who kept copies of the liar's logs.
        """
        boxes, hosts, out = self.world.engine.boxes, self._honest(), self._put_out()
        if not out or not self.world.replicas or self._committed() < 1:
            return False
        left = sum(name not in self.names and not box.is_dead for name, box in boxes.items())
        return 2 * left <= len(boxes) or not all(any(_may_succeed(host, liar) for host in hosts) for liar in out)

    def _put_out(self) -> list[HostId]:
        """Return the liars that are out, as any honest host knows."""
        return [liar for liar in self.gossip.liars if any(host.badge.trust.why_out(liar) for host in self._honest())]

    def _honest(self) -> list[Host]:
        """Return the honest hosts that are up."""
        return [box.host for name, box in self.world.engine.boxes.items() if name not in self.names and box.host]

    def _committed(self) -> int:
        """Return the newest checkpoint that every honest host knows to be committed."""
        boxes = [box for name, box in self.world.engine.boxes.items() if name not in self.names and not box.is_dead]
        return min(-1 if box.host is None else box.host.checkpoints.machine.epochs.committed for box in boxes)

    def _progress(self) -> int:
        cores = [d.machine.core for name, d in self.world.engine.drivers().items() if name not in self.agents]
        return sum(core.seq + core.undone for core in cores)

    def _stand(self) -> None:
        engine = self.world.engine
        homes = {agent: host for agent, host in self.gossip.homes.items() if agent not in self.agents}
        ids = {box.keys.host_id: name for name, box in engine.boxes.items()}
        lost = self._lost()
        if self._is_stuck():  # who moves waits for the host that it moves to
            lost += [agent for agent in self.moving if agent not in engine.drivers()]
        for agent, host in homes.items():
            lives = [name for name, box in engine.boxes.items() if box.host is not None and agent in box.host.drivers]
            may = agent in self.moving or engine.boxes[ids[host]].is_dead
            home = engine.homes.get(agent, "")
            if agent in lost:
                continue
            if lives != [home] or home in self.names or (home != ids[host] and not may):
                raise Broken(STANDS, f"{agent} of {ids[host]} lives on {lives}")
        for name, box in engine.boxes.items():
            if name in self.names or box.is_dead:
                continue
            if box.host is None or not box.is_up():
                raise Broken(STANDS, f"{name} is down")
            for agent, host in box.host.homes.items():
                if agent in homes and ids.get(host) != engine.homes[agent]:
                    raise Broken(STANDS, f"{name} takes {agent} for one of {ids.get(host)}")

    def _out(self) -> None:
        engine = self.world.engine
        hosts = {name: box.host for name, box in engine.boxes.items() if name not in self.names and box.host}
        trusts = {
            **{name: host.badge.trust for name, host in hosts.items()},
            "operator": engine.operator.host.badge.trust,
        }
        ids = {box.keys.host_id: name for name, box in engine.boxes.items()}
        ids[engine.operator.host.host_id] = "operator"
        for name, trust in trusts.items():
            for host, other in ids.items():
                if other not in self.names and trust.why_out(host):
                    raise Broken(OUT, f"{other} is out at {name}: {trust.why_out(host)}")
        for liar in self.gossip.liars:
            out = [name for name, trust in trusts.items() if trust.why_out(liar)]
            if out and len(out) < len(trusts):
                raise Broken(OUT, f"{ids[liar]} is out at {out}, and at no other")
            if not out and self._has_equivocated(liar):
                raise Broken(OUT, f"{ids[liar]} has announced different things, and is out nowhere")

    def _charged(self) -> None:
        for name, box in self.world.engine.boxes.items():
            for host in {} if name in self.names or box.host is None else box.host.orders.charges:
                if host in self.gossip.honest_hosts:
                    whys = [notice.detail for notice in box.host.notices if notice.subject == host] if box.host else []
                    raise Broken(CHARGED, f"{name} has refused of {host}, which does not lie: {whys}")

    def _has_equivocated(self, liar: str) -> bool:
        """Tell whether it has told honest hosts different things, each to several, in one version that still stands."""
        spoken = self.gossip.spoken.get(liar, {})
        last = spoken.get(max(spoken, default=0), {})
        told = [what for host, what in last.items() if host in self.gossip.honest_hosts]
        return len(set(told)) > 1


def _may_succeed(host: Host, dead: str) -> bool:
    """Tell whether a host is a backup that has copies of another one's logs, or knows who has succeeded it."""
    succession = host.checkpoints.machine.succession
    is_backup = dead in succession.copies and host.host_id in succession.backups(dead)
    return is_backup or dead in succession.successors


FINAL = frozenset((SENT, CHARGED, EFFECTS, RIGHTS, OWN_NAMES, NAMED, ACCUSED))
"""What can't come right any more."""


def _rollbacks(own: Sequence[AgentId], wide: bool) -> tuple[str, ...]:
    return ("rollback:*",) if wide else tuple(f"rollback:{agent}" for agent in own)
