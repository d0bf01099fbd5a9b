"""A suspicion as a policy sees it, and what the policy has come to."""

from msgspec import Struct

from peer.detectors.suspicion import Suspicion

IGNORE, CONFIRM, ESCALATE, UNDO, REVISE, COMPENSATE = "ignore", "confirm", "escalate", "undo", "revise", "compensate"
VERBS = (IGNORE, CONFIRM, ESCALATE, UNDO, REVISE, COMPENSATE)
"""What can come of a suspicion: nothing; another agent looks again; a person does; the steps are undone and their
inputs are dead letters; they are undone and run again; what they did to the world is countered and they stand. Nobody
goes back to a checkpoint for a suspicion: that would undo the innocent, and is for people (`cluster.restore`)."""


class Foresight(Struct, frozen=True):
    """What undoing the steps would cost, as far as things stand."""

    steps: int = 0
    """Their cone, themselves included."""
    agents: int = 0
    """Who would have a vote."""
    effects: int = 0
    """Calls of tools that would have to be undone."""
    final: int = 0
    """Calls that nobody can undo: whoever has made one refuses to go back behind it."""
    epoch: int = 0
    """The newest checkpoint from before the steps; 0: none is kept."""
    restored: int = 0
    """How many steps going back to it would undo, at the agents of the cone alone: the others lose theirs besides."""


class Case(Struct, frozen=True):
    """A suspicion that is to be decided."""

    suspicion: Suspicion
    chance: float
    """That the steps are wrong, by what came of such scores before: from 0 to 1."""
    limit: float
    """From which score on a suspicion of this detector counts, at the moment."""
    foresight: Foresight
    revised: bool = False
    """It was undone for a suspicion and run again before, with the evidence."""
    can_confirm: bool = False
    """There is an agent that looks again."""
    can_ask: bool = False
    """There are people to be asked."""


class Ruling(Struct, frozen=True):
    """What a policy has come to."""

    verb: str
    """One of `VERBS`."""
    holds: bool = False
    """Nothing that the suspected agent requests is let go until it is decided."""
    why: str = ""
    """For people: what each choice was expected to cost."""
