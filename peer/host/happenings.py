"""What happens in a cluster, as whoever watches is told: small values, however much a step has carried."""

from datetime import UTC, datetime

from msgspec import Struct

from protocol.ids import AgentId, HostId, ProposalId, StepId

KINDS = ("steps", "rollbacks", "dead_letters", "effects", "hosts", "checkpoints", "notices")
"""What can be watched. That something was missed is told in any case."""
ROOTS_MAX = 20
"""Of a rollback's roots, agents and rejections that are named: all of them are counted."""


class Happening(Struct, frozen=True, tag=True, array_like=True):
    """Something that has happened in a cluster."""

    at: datetime
    """When, UTC, by the clock of the host where it did."""


class StepMade(Happening, frozen=True, array_like=True):
    """A step is durable. Kind: `steps`."""

    step: StepId
    handled: str
    """The name of the class of the message that it handled, as in `Order`, `int` or `Answer`."""
    sender: AgentId
    """Who sent that; `ext:SOURCE` if it came from outside."""
    model: str
    confidence: float | None
    sent: int
    """How many messages it has sent."""
    calls: int
    """How many calls of tools it stands behind."""

    @property
    def agent(self) -> AgentId:
        """Whose step it is."""
        return self.step.agent


class RollbackProposed(Happening, frozen=True, array_like=True):
    """A rollback is proposed; nothing is decided yet. Kind: `rollbacks`."""

    proposal: ProposalId
    agent: AgentId
    """Who proposes: for an operator, the owner of the first root."""
    roots: tuple[StepId, ...]
    """The wrong steps, at most 20 of them."""
    roots_count: int
    inputs: str
    """What is to become of their inputs: `retry`, `discard` or `amend`."""
    reason: str


class RollbackDecided(Happening, frozen=True, array_like=True):
    """A rollback is over: every participant has carried out what was decided. Kind: `rollbacks`."""

    proposal: ProposalId
    agent: AgentId
    """Who has proposed."""
    committed: bool
    roots: tuple[StepId, ...]
    """As in `RollbackProposed`."""
    roots_count: int
    undone: int
    """How many steps were undone: the size of the cone, less what was undone before; 0 if it was not agreed to."""
    agents: int
    """How many had a vote."""
    rejects: tuple[tuple[AgentId, str], ...]
    """Who did not agree, and why; at most 20 of them."""
    seconds: float
    """From the proposal to the last participant's decision."""


class DeadLettered(Happening, frozen=True, array_like=True):
    """An input will not be handled: it is a dead letter. Kind: `dead_letters`."""

    agent: AgentId
    name: str
    """As `DeadLetter.name`."""
    handled: str
    """As in `StepMade`, of what will not be handled."""
    reason: str


class EffectChanged(Happening, frozen=True, array_like=True):
    """A tool's call has come to a state, or an undo of it has failed. Kind: `effects`."""

    agent: AgentId
    intent: str
    tool: str
    """Its name; `unknown`, if that is compacted."""
    state: str
    """`done`, `undoing` (it is pending), `undone`, `doubt` or `kept`: see `Effect`."""
    why: str = ""
    """What its undo has raised; or what whoever has settled it says."""


class CheckpointMade(Happening, frozen=True, array_like=True):
    """A checkpoint of all agents is committed. Kind: `checkpoints`."""

    epoch: int
    oldest: int
    """The oldest one that can be restored now; steps before it are compacted."""


class RestoreMade(Happening, frozen=True, array_like=True):
    """All agents go back to a checkpoint. Kind: `checkpoints`."""

    number: int
    """How many restores there have been with this one."""
    epoch: int
    reason: str


class Noticed(Happening, frozen=True, array_like=True):
    """A line for whoever audits. Kind: `notices`."""

    agent: AgentId
    """`host:` for a host's own."""
    notice: str
    subject: str
    detail: str


class HostChanged(Happening, frozen=True, array_like=True):
    """A host has come or gone, as whoever watches sees it. Kind: `hosts`."""

    host: HostId
    how: str
    """`joined`, `failed` (it does not answer), `left` (it has said goodbye), `back`, or `restarted`."""
    agents: tuple[AgentId, ...]
    """Who lives there, as far as is known; at most 20 of them."""


class Missed(Happening, frozen=True, array_like=True):
    """Something has happened at a host that whoever watches was not told. Of any kind, whatever is watched."""

    host: HostId
    count: int | None
    """How much; None: nobody knows, maybe nothing."""
    why: str


Told = (
    StepMade
    | RollbackProposed
    | RollbackDecided
    | DeadLettered
    | EffectChanged
    | CheckpointMade
    | RestoreMade
    | Noticed
)
"""What hosts tell; the rest is found out by whoever watches."""

KIND_OF: dict[type[Happening], str] = {
    StepMade: "steps",
    RollbackProposed: "rollbacks",
    RollbackDecided: "rollbacks",
    DeadLettered: "dead_letters",
    EffectChanged: "effects",
    CheckpointMade: "checkpoints",
    RestoreMade: "checkpoints",
    Noticed: "notices",
    HostChanged: "hosts",
}


class WatchAsk(Struct, frozen=True, array_like=True):
    """What somebody wants to be told from now on: asked anew for each batch, and until it comes."""

    watch: str
    """Its name, which nobody else has."""
    kinds: tuple[str, ...]
    agents: tuple[AgentId, ...]
    """Of whom; empty: of all."""
    life: str = ""
    """Of the host, as it has said; empty at first."""
    after: int = 0
    """The number of the last batch that has come."""


class WatchAnswer(Struct, frozen=True, array_like=True):
    """A batch of what has happened at a host."""

    life: str
    """Another one than before: what happened meanwhile is not known here. See `host_life`."""
    number: int
    missed: int
    """How much there was, before these, that was not kept until it was asked for."""
    happenings: tuple[Told, ...]


def host_life(life: str) -> str:
    """Return which life of its host a watch is of: what stands before the dot."""
    return life.partition(".")[0]


def moment(time_us: int) -> datetime:
    """Return a time of a clock."""
    return datetime.fromtimestamp(time_us / 1e6, UTC)
