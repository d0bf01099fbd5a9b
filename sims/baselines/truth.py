"""What really happened, as the rig saw it, and what must be true of it in the end, whatever the protocol.

A step depends on the producer of its input and on the writers of what it read. That is found from marks in messages
and values that no protocol reads or can get wrong unnoticed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sims import oracle
from sims.baselines.application import Arrival, Item


@dataclass
class Step:
    """One run of an input by an agent."""

    number: int
    agent: int
    item: Item
    wrong: bool
    reads: tuple[tuple[str, int], ...]
    """Keys, and the steps that had written them; 0: nobody had."""
    writes: tuple[str, ...]
    sends: tuple[tuple[int, str], ...]
    began_us: int
    run_us: int
    ended_us: int = -1
    """-1: it runs, or was called off."""
    undone_us: int = -1
    called_off_us: int = -1

    @property
    def stands(self) -> bool:
        """Tell whether it has ended and is not undone."""
        return self.ended_us >= 0 and self.undone_us < 0


class Truth:
    """Every step of one run of the rig."""

    def __init__(self) -> None:
        self.steps: dict[int, Step] = {}
        self.root = 0
        """The wrong step, once it has ended."""

    def cone(self) -> set[int]:
        """Return the wrong step and all that ever came to depend on it, by graph search."""
        if not self.root:
            return set()
        logged = [
            oracle.LoggedStep(
                str(step.number),
                str(step.item.producer) if step.item.producer else None,
                tuple(str(writer) for _, writer in step.reads if writer),
            )
            for step in self.steps.values()
        ]
        return {int(name) for name in oracle.cone([str(self.root)], oracle.dependents(logged))}

    def undone(self) -> set[int]:
        """Return the steps that were undone."""
        return {step.number for step in self.steps.values() if step.undone_us >= 0}

    def standing(self) -> list[Step]:
        """Return the steps that stand, in the order in which they ended."""
        return sorted((step for step in self.steps.values() if step.stands), key=lambda step: step.ended_us)

    def judge(self, arrivals: list[Arrival], value: Callable[[int, str], int | None]) -> None:
        """Check the end of a run; `value` tells an agent's final value of a key.

        Raises: AssertionError, saying what is wrong.
        """
        self._check_orphans()
        self._check_inputs(arrivals)
        self._check_states(value)

    def _check_orphans(self) -> None:
        """Nothing that stands depends on what was undone, and the wrong step is undone: so its whole cone is."""
        for step in self.standing():
            for cause in (step.item.producer, *(writer for _, writer in step.reads)):
                assert not cause or self.steps[cause].stands, f"step {step.number} stands on {cause}, which does not"
        assert self.root, "the wrong step has not run"
        assert self.steps[self.root].undone_us >= 0, f"the wrong step {self.root} was not undone"
        assert not any(step.wrong for step in self.standing()), "a wrong step stands"

    def _check_inputs(self, arrivals: list[Arrival]) -> None:
        """Every input from outside, and every message of a step that stands, is handled by one step that stands."""
        wanted = [(0, arrival.agent, arrival.item.lineage) for arrival in arrivals]
        for step in self.standing():
            wanted.extend((step.number, receiver, lineage) for receiver, lineage in step.sends)
        handled = [(step.item.producer, step.agent, step.item.lineage) for step in self.standing()]
        missing = sorted(set(wanted) - set(handled))
        assert not missing, f"lost, as (producer, agent, lineage): {missing[:5]} and {max(0, len(missing) - 5)} more"
        assert len(handled) == len(set(handled)), "an input was handled twice"
        assert len(handled) == len(wanted), "something was handled that nobody sent"

    def _check_states(self, value: Callable[[int, str], int | None]) -> None:
        """State is the fold of the steps that stand, and each has read what those before it had left."""
        folds: dict[int, dict[str, int]] = {}
        for step in self.standing():
            fold = folds.setdefault(step.agent, {})
            for key, writer in step.reads:
                assert fold.get(key, 0) == writer, f"step {step.number} read {key} of {writer}, not {fold.get(key, 0)}"
            fold.update(dict.fromkeys(step.writes, step.number))
        for agent, fold in folds.items():
            for key, writer in fold.items():
                found = value(agent, key)
                assert found == writer, f"agent {agent} ends with {key} of {found}, not of {writer}"
