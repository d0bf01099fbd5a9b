"""The main job: settle real payments, let a scorer go wrong, have its consequences undone, and prove the result."""

import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from peer import Attached, CallerError, Cluster
from peer.backends.packing import counting
from peer.export import export
from sims.scenarios.payments import accounts, detached
from sims.scenarios.payments.checks import Check, Log, judge, serial_order
from sims.scenarios.payments.data import Payment
from sims.scenarios.payments.fault import Fault
from sims.scenarios.payments.guard import GUARD, judge_guard, told
from sims.scenarios.payments.job import QUIET_S, Job
from sims.scenarios.payments.plan import Options, Plan, Progress, hosts_of
from sims.scenarios.payments.restore import Remembered, checkpoint_line, go_back, judge_restore, look
from sims.scenarios.payments.savings import balances_of, judge_moves, sagas_of
from sims.scenarios.payments.serial import World, collect, play
from sims.scenarios.payments.treasury import Treasury, judge_sent
from sims.scenarios.payments.what_if import judge_branch

SUCCESSOR_S = 3.0
"""How long a host must have failed before a backup goes on with its agents: longer than a restart takes here."""
CHECKPOINTS_KEPT = 1_000_000
"""More than a run makes: nothing is folded, for the proof needs every step."""


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


async def run(options: Options, folder: Path, progress: Progress) -> Report:
    """Run the job, export it to `folder`, and check it.

    With a restore, the run up to that is exported to `before-restore` in there, too: the usual proof is of that.

    Raises: ValueError, if the options can't be met.
    """
    with tempfile.TemporaryDirectory(prefix="ebbtide-bank-") as temporary:
        is_kept = options.detached and options.logs is not None
        place = detached.place_in(options.logs) if is_kept and options.logs is not None else Path(temporary)
        progress("starting agents", 0, options.agents)
        ours = detached.launch_options(options.logs) if is_kept and options.logs is not None else {}
        plan = Plan(options, place, folder, progress)
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
            specs, what = plan.specs(), "starting agents"
            await cluster.spawn_all(specs, counting(lambda up, of: progress(what, up, of), len(specs)))
            return await _worked(cluster, plan)


async def resume(options: Options, folder: Path, progress: Progress) -> Report:
    """Go on with a detached run whose launcher has ended, as `run` would have; its hosts go on after that.

    Raises: BackendFailed, if its hosts do not run; CallerError, if not all of its agents had come up.
    """
    assert options.logs is not None
    progress("attaching", 0, 1)
    plan = Plan(options, detached.place_in(options.logs), folder, progress)
    async with Cluster.attach(options.logs) as cluster:
        missing = [spec.name for spec in plan.specs() if spec.name not in cluster.agents]
        if missing:
            raise CallerError(
                f"the run in {options.logs} had not begun: {', '.join(missing)} had not come up. Nothing was done. End"
                f" it with 'ebbtide down {options.logs}', and run it anew in another folder."
            )
        return await _worked(cluster, plan)


async def _worked(cluster: Cluster | Attached, plan: Plan) -> Report:
    """Do the work with agents that are up, export it, and check it."""
    options, payments, fault, books = plan.options, plan.payments, plan.fault, plan.books
    report = Report(options, fault)
    began = time.monotonic()
    job = Job(cluster, plan)
    remembered = await job.work()
    treasury = Treasury(cluster, books, plan.place, plan.progress)
    if options.sends_out:
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
    sagas = await sagas_of(cluster)
    guard = await cluster.state(GUARD) if options.watched else None
    restored: list[Check] = []
    if remembered is not None:
        assert isinstance(cluster, Cluster)
        restored = await _go_back(cluster, job, remembered, log, plan.folder, report)
    plan.progress("running the oracle", 0, 1)
    order = serial_order(log)
    with tempfile.TemporaryDirectory(prefix="ebbtide-oracle-") as place:
        truth = await asyncio.to_thread(play, payments, order, plan.team, Path(place) / "oracle.db")
    truth.balances |= balances_of(plan.moves)
    report.checks = [*judge(log, payments, seen, truth, replicas, entries, dead), _noticed(log, fault), *restored]
    if options.sends_out:
        report.checks.append(judge_sent(accounts.transfers(books), payments, truth, log))
    if guard is not None:
        report.checks.append(judge_guard(log, guard))
        report.summary["detectors"] = told(guard)
    if options.moves:
        report.checks.append(judge_moves(plan.moves, sagas, log, entries))
    if job.tried is not None:
        report.checks.append(judge_branch(job.tried, payments))
    audited = {proposal["id"] for proposal in log.audited}
    by = [line["retracted_by"] for line in log.lines if line["retracted_by"] in audited]
    report.largest = max(dict.fromkeys(by), key=by.count, default=None)
    hosts = hosts_of(options.agents, options.agents_per_actor)
    messages = sum(sum(cost.messages.values()) for cost in costs)
    report.summary = _summary(options, payments, log, hosts, messages, seconds, fault, entries) | report.summary
    if options.sends_out:
        report.summary["sent out"] = treasury.told()
    if job.tried is not None:
        report.summary["in a branch"] = job.tried.told()
    if isinstance(cluster, Attached):
        report.summary["resumed"] = f"{job.repeated} of {len(payments)} payments had been handed in before"
    return report


async def _go_back(
    cluster: Cluster, job: "Job", remembered: Remembered, log: Log, folder: Path, report: Report
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


async def _look(cluster: Cluster | Attached) -> tuple[World, dict[str, dict[int, int]], int]:
    """Return the agents' states, what each replica says of exposure, and the number of dead letters."""
    states = await cluster.states(cluster.agents)
    replicas: dict[str, dict[int, int]] = {}
    for agent in cluster.agents:
        if agent.startswith(("compliance-", "ledger-", "auditor")):
            seen = (await cluster.shared(agent)).counters("exposure")
            replicas[agent] = {customer: cents for customer, cents in seen.items() if cents}
    return collect(states, replicas["auditor"]), replicas, len(await cluster.dead_letters())


def _noticed(log: Log, fault: tuple[int, Fault] | None) -> Check:
    """Every root is a step of the faulty scorer, and where it did harm it was noticed."""
    roots = {root for proposal in log.audited for root in proposal["roots"]}
    if fault is None:
        return Check("nothing wrong, nothing undone", not roots, f"{len(roots)} roots")
    strays = sorted(root for root in roots if not root.startswith(f"risk-{fault[0]}/"))
    detail = f"{len(roots)} wrong steps of risk-{fault[0]}" if not strays else f"not of risk-{fault[0]}: {strays[:3]}"
    return Check("only the faulty scorer's steps are roots", not strays, detail)


def _summary(
    options: Options, payments: list[Payment], log: Log, hosts: int, messages: int, seconds: float,
    fault: tuple[int, Fault] | None, books: list[tuple[str, int, str, int, str | None]],
) -> dict[str, object]:  # fmt: skip
    committed, undone = log.audited, log.undone_by_audits()
    latencies = sorted((proposal["decided"] - proposal["began"]) / 1000 for proposal in committed)
    touched = {step.split("/")[0] for step in undone}
    kept = len(log.lines) - len(log.undone)
    summary: dict[str, object] = {
        "backend": f"{options.backend}, {hosts} hosts, {options.agents} agents",
        "payments": f"{len(payments)} ({sum(1 for p in payments if p.cents <= 0)} with amount 0)",
        "fault": "none" if fault is None else _told(fault[0], fault[1], bool(committed)),
        "steps": len(log.lines),
        "rollbacks": _rollbacks(log),
        "wrong steps (roots)": sum(len(proposal["roots"]) for proposal in committed),
        "cone (steps undone)": len(undone),
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


def _rollbacks(log: Log) -> str:
    """Say how many were committed, and how many of those were of transfers that were called off."""
    committed = len(log.audited) + len(log.called_off)
    others = f", {len(log.called_off)} of them of transfers that were called off" if log.called_off else ""
    return f"{committed} committed{others}; {len(log.proposals) - committed} not"


def _checkpoints(log: Log) -> str:
    """Say how many were committed while the work went on, and how long that took."""
    lines = [line for line in log.checkpoints if line["kind"] == "checkpoint"]
    took = sorted((line["committed"] - line["begun"]) / 1000 for line in lines if line["committed"] is not None)
    if not took:
        return f"{len(lines)} committed"
    return f"{len(lines)} committed; first cut to commit {took[len(took) // 2]:.0f} ms median, {took[-1]:.0f} ms most"
