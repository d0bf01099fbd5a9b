"""The newest steps of an agent that still stand, as a watcher keeps them, and the watches that have seen these."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from peer.detectors.port import Detector, Watch
from peer.detectors.seen import Finding, Seen
from peer.values import payload
from protocol.ids import StepId

KEPT = 256
"""Steps of each agent that a watcher shows its detectors again, when they begin anew."""
_TYPES = {Seen.__name__: Seen}


class Windows:
    """By agent, the watches of one watcher; memory that a restart clears.

    What they have seen lies in the watcher's state: a head, how many steps and which was the last, and a slot for each
    of the newest. If the head is another than the watches have come to, a rollback or a restart has been in between:
    then they begin anew, with what is in the slots.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._memoryless = [(each, each.begin()) for each in detectors if getattr(each, "memoryless", False)]
        self._detectors = [each for each in detectors if not getattr(each, "memoryless", False)]
        self._known: dict[str, tuple[list[Any], list[Watch], deque[StepId]]] = {}

    def see(self, state: Any, seen: Seen) -> list[tuple[Detector, Finding]]:
        """Take in a step; return what the detectors say of it.

        Args:
            state: the watcher's, as its handler has it.
            seen: the step.
        """
        found = [(each, finding) for each, watch in self._memoryless if (finding := watch.see(seen)) is not None]
        if not self._detectors:
            return found  # no step of the watcher need hang on the one before
        agent = seen.agent
        head: list[Any] = state.get(("head", agent), [0, ""])
        known = self._known.get(agent)
        if known is None or known[0] != head:
            known = head, *self._again(state, agent, head[0])
        _, watches, steps = known
        steps.append(seen.step)
        found += [
            (detector, finding)
            for detector, watch in zip(self._detectors, watches, strict=True)
            if (finding := watch.see(seen)) is not None
        ]
        count = head[0]
        state["seen", agent, count % KEPT] = payload.encode_message(seen)
        after = [count + 1, str(seen.step)]
        state["head", agent] = after
        self._known[agent] = after, watches, steps
        return found

    def since(self, step: StepId) -> tuple[StepId, ...]:
        """Return an agent's steps from one on, as far as they are known."""
        _, _, steps = self._known[step.agent]
        return tuple(each for each in steps if each >= step)

    def _again(self, state: Any, agent: str, count: int) -> tuple[list[Watch], deque[StepId]]:
        watches = [detector.begin() for detector in self._detectors]
        steps: deque[StepId] = deque(maxlen=KEPT)
        for number in range(max(0, count - KEPT), count):
            # The head hangs on every step before it, so these reads need not.
            data = state.observe(("seen", agent, number % KEPT))
            seen = None if data is None else payload.decode_message(data, _TYPES)
            if isinstance(seen, Seen):
                steps.append(seen.step)
                for watch in watches:
                    watch.see(seen)
        return watches, steps
