"""The main job: settle real payments, let a scorer go wrong, have its consequences undone, and prove the result."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from peer import AgentSpec, Cluster
from peer.export import export
from sims.scenarios.payments import accounts
from sims.scenarios.payments.agents import AuditDue, Auditor, Compliance, Intake, Ledger, RiskScorer, Team
from sims.scenarios.payments.checks import Check, Log, judge, serial_order
from sims.scenarios.payments.data import Payment, load
from sims.scenarios.payments.fault import Fault, draw
from sims.scenarios.payments.serial import World, collect, play

ROUNDS = 8
"""How often the auditor looks while payments flow."""
LAST_ROUNDS = 10
"""How often it looks again at the end, until it finds nothing; each look undoes all that it finds."""
QUIET_S = 120.0

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


@dataclass
class Report:
    """What came of it."""

    options: Options
    fault: tuple[int, Fault] | None
    summary: dict[str, object] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    largest: str | None = None
    """The proposal that undid most."""

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return all(check.passed for check in self.checks)


async def run(options: Options, folder: Path, progress: Progress) -> Report:
    """Run the job, export it to `folder`, and check it.

    Raises: ValueError, if the options can't be met.
    """
    payments = load(options.payments, options.seed)
    team = Team.of(options.agents)
    fault = draw(options.fault, options.seed, payments, team.risk)
    report = Report(options, fault)
    with tempfile.TemporaryDirectory(prefix="ebbtide-bank-") as place:
        books = Path(place) / "books.db"
        accounts.open_books(str(books)).close()
        progress("starting agents", 0, 1)
        async with Cluster(options.backend, options.agents_per_actor) as cluster:
            await cluster.spawn_all(_specs(team, books, fault))
            began = time.monotonic()
            await _work(cluster, payments, options, progress)
            seconds = time.monotonic() - began
            progress("collecting logs", 0, 1)
            await export(cluster, folder)
            seen, replicas, dead = await _look(cluster)
            frames = [await cluster.costs(agent) for agent in cluster.agents]
        seen.balances = accounts.balances(books)
        entries = accounts.entries(books)
        log = Log(folder)
        progress("running the oracle", 0, 1)
        order = serial_order(log, payments)
        truth = await asyncio.to_thread(play, order, team, Path(place) / "oracle.db")
    report.checks = judge(log, payments, seen, truth, replicas, entries, dead)
    report.checks.append(_noticed(log, fault))
    by = [line["retracted_by"] for line in log.lines if line["retracted_by"] is not None]
    report.largest = max(dict.fromkeys(by), key=by.count, default=None)
    hosts = -(-options.agents // options.agents_per_actor)
    messages = sum(sum(cost.messages.values()) for cost in frames[:: options.agents_per_actor])
    report.summary = _summary(options, payments, log, hosts, messages, seconds, fault, entries)
    return report


def _specs(team: Team, books: Path, fault: tuple[int, Fault] | None) -> list[AgentSpec]:
    parts = [team.risk, team.compliance, team.ledgers]
    specs = [AgentSpec("intake", Intake, {"team": parts}), AgentSpec("auditor", Auditor)]
    for number in range(1, team.risk + 1):
        options: dict[str, object] = {"team": parts}
        if fault is not None and fault[0] == number:
            options["fault"] = {"kind": fault[1].kind, "first": fault[1].first, "last": fault[1].last}
        specs.append(AgentSpec(f"risk-{number}", RiskScorer, options))
    specs += [AgentSpec(f"compliance-{n}", Compliance, {"team": parts}) for n in range(1, team.compliance + 1)]
    specs += [AgentSpec(f"ledger-{n}", Ledger, {"books": str(books)}) for n in range(1, team.ledgers + 1)]
    return specs


async def _work(cluster: Cluster, payments: list[Payment], options: Options, progress: Progress) -> None:
    """Hand in the payments with audits in between, let it settle, and audit until nothing is found."""
    rng = Random(f"kills/{options.seed}")
    batch = max(1, len(payments) // 40)
    batches = [payments[at : at + batch] for at in range(0, len(payments), batch)]
    kills = sorted(rng.randrange(len(batches)) for _ in range(options.kills))
    audits = 0
    for index, some in enumerate(batches):
        await cluster.submit("intake", *some)
        while kills and kills[0] <= index:
            kills.pop(0)
            await cluster.kill(rng.choice(cluster.agents))
        # Payments come in as fast as they are settled, so that what is wrong has time to spread.
        await _settled(cluster, max(0, some[-1].number - 4 * batch), progress, len(payments))
        if some[-1].number * ROUNDS // len(payments) > audits:
            audits += 1
            await cluster.submit("auditor", AuditDue(audits))
    for number in range(LAST_ROUNDS):
        await cluster.quiet(QUIET_S)
        progress("settling payments", len(payments), len(payments))
        if not (await cluster.state("auditor")).get("wrong"):
            return
        await cluster.submit("auditor", AuditDue(ROUNDS + 1 + number))


async def _settled(cluster: Cluster, count: int, progress: Progress, total: int) -> None:
    """Wait until about `count` payments have come to the auditor."""
    for _ in range(int(QUIET_S / 0.02)):
        steps = (await cluster.status("auditor", timeout_s=QUIET_S)).steps
        progress("settling payments", min(steps, total), total)
        if steps >= count:
            return
        await asyncio.sleep(0.02)


async def _look(cluster: Cluster) -> tuple[World, dict[str, dict[int, int]], int]:
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
        "fault": "none" if fault is None else f"{fault[1].kind}: risk-{fault[0]}, {fault[1].first} to {fault[1].last}",
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
        "seconds": f"{seconds:.1f} ({len(payments) / seconds:.0f} payments a second)",
    }
    if options.kills:
        summary["hosts killed"] = options.kills
    return summary
