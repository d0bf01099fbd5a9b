"""What comes of a suspicion: the choice that is expected to cost least (docs/guide/detectors.md).

Confirming first is worth what it costs where undoing is dear and it is not sure that anything is wrong: the value of
information. Source: Howard, Information Value Theory, IEEE Trans. SSC 2(1), 1966.
"""

from typing import Protocol

from msgspec import Struct

from peer.errors import ConfigInvalid
from peer.watching.case import (
    COMPENSATE,
    CONFIRM,
    ESCALATE,
    IGNORE,
    REVISE,
    UNDO,
    VERBS,
    Case,
    Foresight,
    Ruling,
)


class Policy(Protocol):
    """Decides what comes of a suspicion; a value, without a memory of its own."""

    def rule(self, case: Case) -> Ruling:
        """Return what is to be done. It is called in a handler: whatever it raises fails that."""
        ...


class Costs(Struct, frozen=True):
    """What things cost, in whatever unit its owner counts in: money, tokens, seconds."""

    step: float = 1.0
    """To undo one step, and run it again."""
    effect: float = 5.0
    """To undo one call of a tool."""
    agent: float = 0.5
    """To have one agent vote, and stand still meanwhile."""
    harm: float = 100.0
    """Of a wrong step that stays."""
    spread: float = 5.0
    """Of what a wrong step does while another agent looks again."""
    check: float = 2.0
    """To have another agent look again."""
    person: float = 50.0
    """To have a person look."""
    spread_person: float = 25.0
    """Of what a wrong step does while a person looks."""

    def undo(self, foresight: Foresight) -> float:
        """Return what undoing a cone costs."""
        return self.step * foresight.steps + self.effect * foresight.effects + self.agent * foresight.agents


class LeastCost(Struct, frozen=True):
    """Chooses what is expected to cost least.

    With the chance `p` that a step is wrong, leaving it costs `p` times the harm; undoing it what that costs, in vain
    with `1 - p`; confirming first costs the check, and `p` times what spreads meanwhile. A cone that holds what nobody
    can undo is not undone: its other effects are countered, or a person is asked.

    Args:
        costs: of what may be done.
        hold_from: from which chance on the suspect's requests are kept back until it is decided.

    What is still wrong when it has been revised is not run once more: its input becomes a dead letter.
    """

    costs: Costs = Costs()
    hold_from: float = 0.5

    def rule(self, case: Case) -> Ruling:
        """Return the cheapest choice, and what each would cost."""
        costs, p, seen = self.costs, case.chance, case.foresight
        undo = costs.undo(seen)
        expected = {IGNORE: p * costs.harm}
        verb = UNDO if case.revised else REVISE
        if seen.final:
            expected[COMPENSATE] = (1 - p) * costs.effect * seen.effects + p * costs.step * seen.steps
        else:
            expected[verb] = (1 - p) * undo
        if case.can_confirm:
            expected[CONFIRM] = costs.check + p * costs.spread
        if case.can_ask:
            expected[ESCALATE] = costs.person + p * costs.spread_person
        chosen = min(expected, key=lambda each: expected[each])
        return Ruling(chosen, chosen != IGNORE and p >= self.hold_from, self._why(case, expected))

    def _why(self, case: Case, expected: dict[str, float]) -> str:
        seen = case.foresight
        would = f"undoing takes back {seen.steps} steps of {seen.agents} agents and {seen.effects} effects"
        if seen.final:
            would += f", and can't take back {seen.final}"
        if seen.epoch:
            would += f"; going back to checkpoint {seen.epoch} would take back {seen.restored} of theirs, and others'"
        told = ", ".join(f"{verb} {cost:.3g}" for verb, cost in sorted(expected.items(), key=lambda pair: pair[1]))
        return f"wrong with chance {case.chance:.2g}; {would}; expected costs: {told}"


class Always(Struct, frozen=True):
    """Always the same: what benchmarks and tests compare with, or an operator who wants no surprises.

    Args:
        verb: one of `VERBS`.
        holds: the suspect's requests are kept back meanwhile.

    What is odd again when it has been revised is right, only odd: it is left.
    """

    verb: str = REVISE
    holds: bool = False

    def __post_init__(self) -> None:
        """Check the verb. Raises: ConfigInvalid."""
        if self.verb not in VERBS:
            raise ConfigInvalid(f"Always({self.verb!r}): it is one of {', '.join(VERBS)}.")

    def rule(self, case: Case) -> Ruling:
        """Return it."""
        if self.verb == REVISE and case.revised:
            return Ruling(IGNORE, False, "it was revised, and is odd again")
        return Ruling(self.verb, self.holds, f"always {self.verb}")


class ConfirmFirst(Struct, frozen=True):
    """Has another agent look again, or else a person, before anything is undone."""

    holds: bool = True

    def rule(self, case: Case) -> Ruling:
        """Return whom to ask; where nobody can be asked, nothing is done."""
        verb = CONFIRM if case.can_confirm else ESCALATE if case.can_ask else IGNORE
        return Ruling(verb, self.holds and verb != IGNORE, "always confirmed first")
