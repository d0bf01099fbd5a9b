"""The main job: settle real payments, let a scorer go wrong, have its consequences undone, and prove the result."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from peer import AgentSpec, Attached, CallerError, Cluster
from peer.export import export
from sims.scenarios.payments import accounts, detached
from sims.scenarios.payments.agents import AuditDue, Auditor, Compliance, Intake, Ledger, RiskScorer, Team
from sims.scenarios.payments.checks import Check, Log, judge, serial_order
from sims.scenarios.payments.data import Payment, load
from sims.scenarios.payments.fault import Fault, draw
from sims.scenarios.payments.restore import Remembered, checkpoint_line, checkpoint_now, go_back, judge_restore, look
from sims.scenarios.payments.serial import World, collect, play
from sims.scenarios.payments.treasury import Treasury, judge_sent

ROUNDS = 8
"""How often the auditor looks while payments flow."""
LAST_ROUNDS = 10
"""How often it looks again at the end, until it finds nothing; each look undoes all that it finds."""
QUIET_S = 120.0
SUCCESSOR_S = 3.0
"""How long a host must have failed before a backup goes on with its agents: longer than a restart takes here."""
PAYMENTS = "payments"
"""Under which payments are handed in that may be handed in again, by a program that goes on with the run."""
CHECKPOINTS_KEPT = 1_000_000
"""More than a run makes: nothing is folded, for the proof needs every step."""

Progress = Callable[[str, float, float], None]
"""Told what is going on, how far it is, and of how much."""


@dataclass(frozen=True)
class Options:
    """What to run."""

    payments: int = 2000
    agents: int = 12
    seed: int = 4
    fault: str = "lax"
    backend: str = "ray"
    agents_per_actor: int = 1
    kills: int = 0
    """How many times a host chosen at random is killed while payments flow."""
    checkpoint_every_s: float = 1.0
    """How long after a checkpoint the next begins; 0: none."""
    restore: bool = False
    """In the end, go back to a checkpoint in the middle of the run."""
    durability: str = "local"
    """`local` or `replicated(k)`."""
    lost_disks: int = 0
    """How many hosts lose their folder and their process while payments flow; under `replicated` alone."""
    logs: Path | None = None
    """Where hosts keep their logs; None: nowhere beyond the run."""
    detached: bool = False
    """The hosts outlive this program: if it is killed, `resume` goes on. On Ray, with `logs`, without bad luck."""

    @property
    def sends_out(self) -> bool:
        """Whether money leaves the bank: checkpoints let it go, and nobody goes back to before that."""
        return self.checkpoint_every_s > 0 and not self.restore


@dataclass
class Report:
    """What came of it."""

    options: Options
    fault: tuple[int, Fault] | None
    summary: dict[str, object] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    largest: str | None = None
    """The proposal that undid most."""
    before: Path | None = None
    """Where the run up to its restore is exported, if there was one."""

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return all(check.passed for check in self.checks)


def hosts_of(agents: int, agents_per_actor: int) -> int:
    """Return how many hosts agents take."""
    return -(-agents // agents_per_actor)


async def run(options: Options, folder: Path, progress: Progress) -> Report:
    """Run the job, export it to `folder`, and check it.

    With a restore, the run up to that is exported to `before-restore` in there, too: the usual proof is of that.

    Raises: ValueError, if the options can't be met.
    """
    with tempfile.TemporaryDirectory(prefix="ebbtide-bank-") as temporary:
        is_kept = options.detached and options.logs is not None
        place = detached.place_in(options.logs) if is_kept and options.logs is not None else Path(temporary)
        progress("starting agents", 0, 1)
        ours = detached.launch_options(options.logs) if is_kept and options.logs is not None else {}
        plan = _Plan(options, place, folder, progress)
        accounts.open_books(str(plan.books)).close()
        async with Cluster(
            options.backend,
            options.agents_per_actor,
            options.logs,
            checkpoint_every_s=options.checkpoint_every_s,
            checkpoints_kept=CHECKPOINTS_KEPT,
            durability=options.durability,
            successor_s=SUCCESSOR_S,
            **ours,
        ) as cluster:
            await cluster.spawn_all(plan.specs())
            return await _worked(cluster, plan)


async def resume(options: Options, folder: Path, progress: Progress) -> Report:
    """Go on with a detached run whose launcher has ended, as `run` would have; its hosts go on after that.

    Raises: BackendFailed, if its hosts do not run; CallerError, if not all of its agents had come up.
    """
    assert options.logs is not None
    progress("attaching", 0, 1)
    plan = _Plan(options, detached.place_in(options.logs), folder, progress)
    async with Cluster.attach(options.logs) as cluster:
        missing = [spec.name for spec in plan.specs() if spec.name not in cluster.agents]
        if missing:
            raise CallerError(
                f"the run in {options.logs} had not begun: {', '.join(missing)} had not come up. Nothing was done. End"
                f" it with 'ebbtide down {options.logs}', and run it anew in another folder."
            )
        return await _worked(cluster, plan)


class _Plan:
    """What is to be run, and where."""

    def __init__(self, options: Options, place: Path, folder: Path, progress: Progress) -> None:
        self.options = options
        self.place = place
        self.folder = folder
        self.progress = progress
        self.payments = load(options.payments, options.seed)
        self.team = Team.of(options.agents)
        self.fault = draw(options.fault, options.seed, self.payments, self.team.risk)
        self.books = place / "books.db"

    def specs(self) -> list[AgentSpec]:
        """Return the agents."""
        return _specs(self.team, self.books, self.fault, self.options.sends_out)


async def _worked(cluster: Cluster | Attached, plan: _Plan) -> Report:
    """Do the work with agents that are up, export it, and check it."""
    options, payments, fault, books = plan.options, plan.payments, plan.fault, plan.books
    report = Report(options, fault)
    began = time.monotonic()
    job = _Job(cluster, options, payments, books, plan.progress)
    remembered = await job.work()
    treasury = Treasury(cluster, books, plan.place, plan.progress)
    if options.sends_out:
        await job.audit()
        await treasury.finish(QUIET_S)
    seconds = time.monotonic() - began
    plan.progress("collecting logs", 0, 1)
    report.before = plan.folder / "before-restore" if options.restore else None
    await export(cluster, report.before or plan.folder)
    log = Log(report.before or plan.folder)
    seen, replicas, dead = await _look(cluster)
    seen.balances = accounts.balances(books)
    entries = accounts.entries(books)
    one_of = {cluster.host.homes[agent]: agent for agent in cluster.agents}
    costs = [await cluster.costs(agent) for agent in one_of.values()]
    restored: list[Check] = []
    if remembered is not None:
        assert isinstance(cluster, Cluster)
        restored = await _go_back(cluster, job, remembered, log, plan.folder, report)
    plan.progress("running the oracle", 0, 1)
    order = serial_order(log, payments)
    with tempfile.TemporaryDirectory(prefix="ebbtide-oracle-") as place:
        truth = await asyncio.to_thread(play, order, plan.team, Path(place) / "oracle.db")
    report.checks = [*judge(log, payments, seen, truth, replicas, entries, dead), _noticed(log, fault), *restored]
    if options.sends_out:
        report.checks.append(judge_sent(accounts.transfers(books), payments, truth, log))
    by = [line["retracted_by"] for line in log.lines if line["retracted_by"] is not None]
    report.largest = max(dict.fromkeys(by), key=by.count, default=None)
    hosts = hosts_of(options.agents, options.agents_per_actor)
    messages = sum(sum(cost.messages.values()) for cost in costs)
    report.summary = _summary(options, payments, log, hosts, messages, seconds, fault, entries) | report.summary
    if options.sends_out:
        report.summary["sent out"] = treasury.told()
    if isinstance(cluster, Attached):
        report.summary["resumed"] = f"{job.repeated} of {len(payments)} payments had been handed in before"
    return report


async def _go_back(
    cluster: Cluster, job: "_Job", remembered: Remembered, log: Log, folder: Path, report: Report
) -> list[Check]:
    """Go back to the remembered checkpoint, export the run once more, and return the checks of it."""
    job.progress("going back", 0, 1)
    kill = job.rng.choice(cluster.agents) if job.options.kills else None
    seconds = await go_back(cluster, remembered, kill, QUIET_S)
    await export(cluster, folder)
    after = Log(folder)
    cuts = checkpoint_line(after, remembered.epoch)["cuts"]
    undone = len(after.undone) - len(log.undone)
    report.summary["restored"] = f"checkpoint {remembered.epoch} in {1000 * seconds:.0f} ms, {undone} steps undone" + (
        "" if kill is None else f"; the host of {kill} killed meanwhile"
    )
    return judge_restore(log, after, cuts, remembered, await look(cluster, job.books), job.inputs)


def _specs(team: Team, books: Path, fault: tuple[int, Fault] | None, sends_out: bool) -> list[AgentSpec]:
    parts = [team.risk, team.compliance, team.ledgers]
    auditor = {"team": parts} if sends_out else {}
    specs = [AgentSpec("intake", Intake, {"team": parts}), AgentSpec("auditor", Auditor, auditor)]
    for number in range(1, team.risk + 1):
        options: dict[str, object] = {"team": parts}
        if fault is not None and fault[0] == number:
            options["fault"] = {"kind": fault[1].kind, "first": fault[1].first, "last": fault[1].last}
        specs.append(AgentSpec(f"risk-{number}", RiskScorer, options))
    specs += [AgentSpec(f"compliance-{n}", Compliance, {"team": parts}) for n in range(1, team.compliance + 1)]
    specs += [AgentSpec(f"ledger-{n}", Ledger, {"books": str(books)}) for n in range(1, team.ledgers + 1)]
    return specs


class _Job:
    """Hands in the payments with audits in between, and notes what was handed in."""

    def __init__(
        self, cluster: Cluster | Attached, options: Options, payments: list[Payment], books: Path, progress: Progress
    ) -> None:
        self.cluster = cluster
        self.options = options
        self.payments = payments
        self.books = books
        self.progress = progress
        self.rng = Random(f"kills/{options.seed}")
        self.inputs = {"intake": 0, "auditor": 0}
        """By agent, how many inputs it has been handed."""
        self.repeated = 0
        """How many payments another program had handed in before."""
        self.moved: list[str] = []
        """Agents that have lost the disk of their host, and live elsewhere."""

    async def work(self) -> Remembered | None:
        """Hand everything in, let it settle, and audit until nothing is found; return what is to be gone back to."""
        payments, cluster, rng = self.payments, self.cluster, self.rng
        batch = max(1, len(payments) // 40)
        batches = [payments[at : at + batch] for at in range(0, len(payments), batch)]
        kills = sorted(rng.randrange(len(batches)) for _ in range(self.options.kills))
        # One at a time, and each after the one before has been succeeded: a copy is lost with a disk, too.
        losses = [round((n + 1) * len(batches) / (self.options.lost_disks + 1)) for n in range(self.options.lost_disks)]
        remembered = None
        rounds = 0
        for index, some in enumerate(batches):
            if self.options.restore and index == len(batches) // 2:
                remembered = await self.remember()
            await (self.hand_in_once(some[-1].number) if self.options.detached else self.hand_in("intake", *some))
            while kills and kills[0] <= index:
                kills.pop(0)
                assert isinstance(cluster, Cluster)
                await cluster.kill(rng.choice(cluster.agents))
            if losses and losses[0] <= index:
                losses.pop(0)
                await self.lose_disk()
            # Payments come in as fast as they are settled, so that what is wrong has time to spread.
            await _settled(cluster, max(0, some[-1].number - 4 * batch), self.progress, len(payments))
            if some[-1].number * ROUNDS // len(payments) > rounds:
                rounds += 1
                await self.audit()
        await self.settle()
        return remembered

    async def lose_disk(self) -> None:
        """Delete a host's folder and kill it; go on once its agents are back elsewhere."""
        agent = self.rng.choice([name for name in self.cluster.agents if name not in self.moved])
        self.progress(f"{agent} loses its disk", 0, 1)
        assert isinstance(self.cluster, Cluster)
        await self.cluster.kill(agent, with_disk=True)
        await self.cluster.status(agent, timeout_s=QUIET_S)
        self.moved.append(agent)
        # New backups are chosen by the next views: until then another loss could take the last copy.
        for _ in range(2):
            await self.cluster.checkpoint(timeout_s=QUIET_S)

    async def hand_in(self, agent: str, *messages: object) -> None:
        """Hand inputs to an agent."""
        await self.cluster.submit(agent, *messages)
        self.inputs[agent] += len(messages)

    async def hand_in_once(self, count: int) -> None:
        """Hand in so many payments, as far as that was not done: under a name, so that none is taken twice."""
        receipt = await self.cluster.submit("intake", *self.payments[:count], key=PAYMENTS)
        self.repeated += max(0, receipt.repeated - self.inputs["intake"])
        self.inputs["intake"] = count

    async def audit(self) -> None:
        """Have the auditor look."""
        await self.hand_in("auditor", AuditDue(self.inputs["auditor"] + 1))

    async def settle(self) -> None:
        """Wait until nothing is under way, and audit until nothing is found."""
        for _ in range(LAST_ROUNDS):
            await self.cluster.quiet(QUIET_S)
            done = self.inputs["intake"]
            self.progress("settling payments", done, len(self.payments))
            if not (await self.cluster.state("auditor")).get("wrong"):
                return
            await self.audit()

    async def remember(self) -> Remembered:
        """Have a checkpoint made while nothing is under way and nothing known to be wrong, and note how things are."""
        await self.settle()
        epoch = await checkpoint_now(self.cluster, QUIET_S)
        return Remembered(epoch, await look(self.cluster, self.books), dict(self.inputs))


async def _settled(cluster: Cluster | Attached, count: int, progress: Progress, total: int) -> None:
    """Wait until about `count` payments have come to the auditor."""
    for _ in range(int(QUIET_S / 0.02)):
        steps = (await cluster.status("auditor", timeout_s=QUIET_S)).steps
        progress("settling payments", min(steps, total), total)
        if steps >= count:
            return
        await asyncio.sleep(0.02)


async def _look(cluster: Cluster | Attached) -> tuple[World, dict[str, dict[int, int]], int]:
    """Return the agents' states, what each replica says of exposure, and the number of dead letters."""
    states = {agent: await cluster.state(agent) for agent in cluster.agents}
    replicas: dict[str, dict[int, int]] = {}
    for agent in cluster.agents:
        if agent.startswith(("compliance-", "ledger-", "auditor")):
            seen = (await cluster.shared(agent)).counters("exposure")
            replicas[agent] = {customer: cents for customer, cents in seen.items() if cents}
    dead = sum([len(await cluster.dead_letters(agent)) for agent in cluster.agents])
    return collect(states, replicas["auditor"]), replicas, dead


def _noticed(log: Log, fault: tuple[int, Fault] | None) -> Check:
    """Every root is a step of the faulty scorer, and where it did harm it was noticed."""
    roots = {root for proposal in log.proposals if proposal["decision"] == "commit" for root in proposal["roots"]}
    if fault is None:
        return Check("nothing wrong, nothing undone", not roots, f"{len(roots)} roots")
    strays = sorted(root for root in roots if not root.startswith(f"risk-{fault[0]}/"))
    detail = f"{len(roots)} wrong steps of risk-{fault[0]}" if not strays else f"not of risk-{fault[0]}: {strays[:3]}"
    return Check("only the faulty scorer's steps are roots", not strays, detail)


def _summary(
    options: Options, payments: list[Payment], log: Log, hosts: int, messages: int, seconds: float,
    fault: tuple[int, Fault] | None, books: list[tuple[str, int, str, int, str | None]],
) -> dict[str, object]:  # fmt: skip
    committed = [proposal for proposal in log.proposals if proposal["decision"] == "commit"]
    latencies = sorted((proposal["decided"] - proposal["began"]) / 1000 for proposal in committed)
    touched = {step.split("/")[0] for step in log.cone}
    kept = len(log.lines) - len(log.undone)
    summary: dict[str, object] = {
        "backend": f"{options.backend}, {hosts} hosts, {options.agents} agents",
        "payments": f"{len(payments)} ({sum(1 for p in payments if p.cents <= 0)} with amount 0)",
        "fault": "none" if fault is None else _told(fault[0], fault[1], bool(committed)),
        "steps": len(log.lines),
        "rollbacks": f"{len(committed)} committed, {len(log.proposals) - len(committed)} not",
        "wrong steps (roots)": sum(len(proposal["roots"]) for proposal in committed),
        "cone (steps undone)": len(log.undone),
        "agents touched": f"{len(touched)} of {options.agents}",
        "messages": messages,
        "rollback messages": sum(proposal["messages"] for proposal in log.proposals),
        "rollback bytes": sum(proposal["bytes"] for proposal in log.proposals),
        "rollback latency": f"{latencies[len(latencies) // 2]:.0f} ms median, {latencies[-1]:.0f} ms most"
        if latencies
        else "-",
        "entries reversed": sum(1 for entry in books if entry[4] is not None),
        "work kept": f"{100 * kept / max(1, len(log.lines)):.1f} % of all steps stand",
        "checkpoints": _checkpoints(log),
        "seconds": f"{seconds:.1f} ({len(payments) / seconds:.0f} payments a second)",
    }
    if options.kills:
        summary["hosts killed"] = options.kills
    return summary


def _told(scorer: int, fault: Fault, has_hit: bool) -> str:
    return f"{fault.kind}: risk-{scorer}, {fault.first} to {fault.last}{'' if has_hit else '; it hit nothing'}"


def _checkpoints(log: Log) -> str:
    """Say how many were committed while the work went on, and how long that took."""
    lines = [line for line in log.checkpoints if line["kind"] == "checkpoint"]
    took = sorted((line["committed"] - line["begun"]) / 1000 for line in lines if line["committed"] is not None)
    if not took:
        return f"{len(lines)} committed"
    return f"{len(lines)} committed; first cut to commit {took[len(took) // 2]:.0f} ms median, {took[-1]:.0f} ms most"
