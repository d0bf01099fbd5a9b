"""Inputs from outside: durable before they are answered, each taken on once (ST-10)."""

from protocol.action import INPUT_DIFFERS, MAILBOX_FULL, OUT_OF_ORDER, Reply
from protocol.agent.core import Core
from protocol.agent.stepping import Stepping
from protocol.event import Submitted
from protocol.ids import AgentId
from protocol.records import AcceptedRecord
from protocol.step import EXTERNAL, Input


class Intake:
    """What one agent takes on from outside."""

    def __init__(self, core: Core, stepping: Stepping) -> None:
        self._core = core
        self._stepping = stepping

    def submitted(self, event: Submitted) -> None:
        """Inputs from outside: durable before they are answered, each once (ST-10)."""
        core, colours = self._core, self._core.colours
        source = EXTERNAL + event.source
        expected = core.inbox.next_number(source)
        if event.first > expected:
            text = f"input {event.first} of {source} came before {expected}; hand them in in order"
            core.actions.append(Reply(event.request, "", text, OUT_OF_ORDER))
            return
        other = self._other(source, event.first, event.payloads[: expected - event.first])
        if other is not None:
            text = f"{source}#{other} was taken on with other content than is handed in now. Nothing was taken on."
            core.actions.append(Reply(event.request, "", text, INPUT_DIFFERS))
            return
        fresh = event.payloads[expected - event.first :]
        waiting, most = core.line.count(), core.limits.mailbox_max
        if fresh and waiting and waiting + len(fresh) > most:
            # ST-13: memory is bounded; whoever hands in decides whether to wait.
            text = f"{waiting} inputs wait at {core.agent}, and {most} may. Nothing more was taken on."
            core.actions.append(Reply(event.request, "", text, MAILBOX_FULL))
            return
        inputs = tuple(
            Input(
                source, 0, number, payload, f"{source}#{number}",
                place=core.inbox.new_place(), epoch=colours.epoch, era=colours.era,
            )
            for number, payload in enumerate(fresh, expected)
        )  # fmt: skip
        record = AcceptedRecord(inputs)
        self.apply_accepted(record)
        core.append((record,), lambda: core.actions.append(Reply(event.request, str(len(fresh)))))

    def _other(self, source: AgentId, first: int, payloads: tuple[bytes, ...]) -> int | None:
        """Return the first number that was taken on with other content, as far as that is known; None if none was."""
        if not payloads:
            return None
        core, waiting = self._core, [*self._stepping.waiting(), *self._core.dead_letters.inputs()]
        # One that was given back may have been amended.
        taken = {item.lineage: item.payload for item in waiting if item.attempt == 1}
        for number, payload in enumerate(payloads, first):
            lineage = f"{source}#{number}"
            runs = [core.cone.record(step).input for step in core.runs_of.get(lineage, ())[:1]]
            was = runs[0].payload if runs and runs[0].attempt == 1 else taken.get(lineage, payload)
            if was != payload:
                return number
        return None

    def apply_accepted(self, record: AcceptedRecord) -> None:
        """Take in external inputs, live or from the log."""
        for item in record.inputs:
            self._core.inbox.arrive(item.sender, 0, item.number, item)
            self._core.inbox.see_place(item.place)
            self._core.line.put(item)
