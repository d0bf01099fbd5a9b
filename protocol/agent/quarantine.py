"""What undecided proposals freeze: own cone steps, and messages and entries known to come from cone steps (RB-6).

Quarantine is what makes a commit stable: without it the model check fails at once. It is lifted by decisions only.
"""

from collections.abc import Iterable, Mapping

from protocol.ids import MessageId, ProposalId, StepId
from protocol.step import Entry


class Quarantine:
    """Own steps and others' messages that wait for a decision, counted by proposal."""

    def __init__(self) -> None:
        self._parts: dict[ProposalId, tuple[dict[StepId, None], dict[MessageId, int]]] = {}
        self._steps: dict[StepId, int] = {}
        self._messages: dict[MessageId, int] = {}

    def freeze(
        self, proposal: ProposalId, steps: Iterable[StepId], messages: Mapping[MessageId, int]
    ) -> tuple[list[StepId], list[MessageId]]:
        """Freeze a part, which may have grown; return the steps and messages that this proposal adds."""
        own, others = self._parts.setdefault(proposal, ({}, {}))
        new_steps = [step for step in steps if step not in own]
        new_messages = [message for message in messages if message not in others]
        for step in new_steps:
            own[step] = None
            self._steps[step] = self._steps.get(step, 0) + 1
        for message in new_messages:
            others[message] = messages[message]
            self._messages[message] = self._messages.get(message, 0) + 1
            # The producer's shared entries are frozen with it.
            self._steps[message.producer] = self._steps.get(message.producer, 0) + 1
        return new_steps, new_messages

    def lift(self, proposal: ProposalId) -> tuple[list[StepId], dict[MessageId, int]]:
        """Lift what a proposal froze; return its steps, and its messages with their numbers."""
        own, others = self._parts.pop(proposal, ({}, {}))
        for step in own:
            self._drop(step)
        for message in others:
            self._drop(message.producer)
            if self._messages[message] == 1:
                del self._messages[message]
            else:
                self._messages[message] -= 1
        return list(own), others

    def freezes(self, writer: StepId) -> bool:
        """Tell whether a version of `writer` may not be read for now."""
        return writer in self._steps

    def defers(self, message: MessageId) -> bool:
        """Tell whether a message may not be handled for now."""
        return message in self._messages

    def freezes_space(self, entries_of: Mapping[StepId, tuple[Entry, ...]], space: str) -> bool:
        """Tell whether an own step with entries in `space` is frozen: no newcomer is admitted meanwhile."""
        return any(entry.space == space for step in self._steps for entry in entries_of.get(step, ()))

    def __len__(self) -> int:
        return len(self._parts)

    def _drop(self, step: StepId) -> None:
        if self._steps[step] == 1:
            del self._steps[step]
        else:
            self._steps[step] -= 1
