"""What a run of the bank is: its options, its agents, its payments, and what goes wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from peer import AgentSpec
from sims.scenarios.payments.agents import Auditor, Compliance, Intake, Ledger, RiskScorer, Team
from sims.scenarios.payments.data import load
from sims.scenarios.payments.fault import Fault, draw
from sims.scenarios.payments.guard import GUARD, AskedAuditor, Guard, WatchedScorer
from sims.scenarios.payments.savings import draw_moves

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
    branch: bool = False
    """In the middle, try another decision in a branch; not where the run may be resumed, or goes back."""

    watched: bool = False
    """Detectors look at the scorers, and audits only send out, but for the last one."""

    @property
    def sends_out(self) -> bool:
        """Whether money leaves the bank: checkpoints let it go, and nobody goes back to before that."""
        return self.checkpoint_every_s > 0 and not self.restore

    @property
    def moves(self) -> bool:
        """Whether money moves between savings; what goes back would have to tell whose is back, too."""
        return not self.restore

    @property
    def tries(self) -> bool:
        """Whether another decision is tried in a branch."""
        return self.branch and not self.restore and not self.detached and not self.watched


def hosts_of(agents: int, agents_per_actor: int) -> int:
    """Return how many hosts agents take."""
    return -(-agents // agents_per_actor)


class Plan:
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
        self.moves = draw_moves(self.payments, options.seed, self.team) if options.moves else []

    def specs(self) -> list[AgentSpec]:
        """Return the agents."""
        return _specs(self.team, self.books, self.fault, self.options)


def _specs(team: Team, books: Path, fault: tuple[int, Fault] | None, run: Options) -> list[AgentSpec]:
    parts = [team.risk, team.compliance, team.ledgers]
    scorer, audits = (WatchedScorer, AskedAuditor) if run.watched else (RiskScorer, Auditor)
    auditor = {"team": parts} if run.sends_out else {}
    specs = [AgentSpec("intake", Intake, {"team": parts}), AgentSpec("auditor", audits, auditor)]
    if run.watched:
        specs.append(AgentSpec(GUARD, Guard, {}))
    for number in range(1, team.risk + 1):
        options: dict[str, object] = {"team": parts}
        if fault is not None and fault[0] == number:
            options["fault"] = {"kind": fault[1].kind, "first": fault[1].first, "last": fault[1].last}
        specs.append(AgentSpec(f"risk-{number}", scorer, options))
    specs += [AgentSpec(f"compliance-{n}", Compliance, {"team": parts}) for n in range(1, team.compliance + 1)]
    specs += [AgentSpec(f"ledger-{n}", Ledger, {"books": str(books)}) for n in range(1, team.ledgers + 1)]
    return specs
