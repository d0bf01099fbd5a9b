"""Dead letters that somebody wants handled after all, or does not want to see any more (ST-11)."""

from msgspec.structs import replace

from protocol.action import Reply
from protocol.agent.core import Core
from protocol.event import LetterAsked
from protocol.records import RedrivenRecord
from protocol.step import Input


class Redriving:
    """What becomes of one agent's dead letters."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def asked(self, event: LetterAsked) -> None:
        """Somebody wants a letter handled again, or dropped."""
        core = self._core
        letter = core.dead_letters.find(event.lineage)
        why = ""
        if letter is None:
            why = f"{core.agent} has no dead letter {event.lineage!r}"
        elif event.verb == "redrive" and core.is_undone(letter.input):
            why = f"the step that sent {letter.input} is undone: there is nothing to handle"
        if letter is None or why:
            core.actions.append(Reply(event.request, "", f"{why}. Nothing changed."))
            return
        again = self._again(letter.input) if event.verb == "redrive" else None
        record = RedrivenRecord(event.lineage, again)
        self.apply(record)
        name = "" if again is None else again.lineage
        core.append((record,), lambda: core.actions.append(Reply(event.request, name)))

    def _again(self, item: Input) -> Input:
        # What was told of the old lineage's end stays true; its producer is the same, so it is undone with that.
        core = self._core
        lineage = f"{item.lineage}/again"
        return replace(item, lineage=lineage, place=core.inbox.new_place(), attempt=1, evidence=b"")

    def apply(self, record: RedrivenRecord) -> None:
        """Take in what has become of a letter, live or from the log."""
        core = self._core
        core.dead_letters.remove(record.lineage)
        if record.input is not None:
            core.inbox.see_place(record.input.place)
            core.line.put(record.input)
