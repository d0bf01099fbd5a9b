"""Restores as one host takes part in them: it votes once, durably, and decides alone from what it hears (CP-7)."""

from collections.abc import Iterable

from msgspec.structs import replace

from protocol.checkpoints.core import HostCore
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.messages import Agreed, CarryOut, EndRecord, Pause, VoteRecord
from protocol.checkpoints.restores import Call
from protocol.checkpoints.tally import Statement, Tally
from protocol.ids import HostId
from protocol.proposal import Restore


class Voting:
    """One host's votes on restores."""

    def __init__(self, core: HostCore) -> None:
        self._core = core
        self._asking: dict[str, int] = {}

    def wanted(self, request: int, name: str, epoch: int, inputs: str, reason: str, deadline_us: int) -> None:
        """Somebody here wants everything to go back to the cut of a committed epoch; once for each `name`."""
        core, calls, commit = self._core, self._core.calls, self._core.epochs.commit
        past = [restore for restore in calls.restores if restore.id == name]
        if past:
            core.reply(request, str(past[0].number))
        elif name in calls.open:
            self._asking[name] = request
        elif name in calls.ended:
            # Asked again where it has ended, after whoever was asked first is gone: nobody would vote on it once more.
            core.reply(request, "", self._came_to_nothing(epoch, calls.ended[name].rejects))
        else:
            base = 0 if commit is None else commit.epoch
            restore = Restore(calls.era + 1, epoch, name, base, inputs, reason, deadline_us)
            why = self._why_not(restore, commit)
            if why or commit is None:
                core.reply(request, "", f"{why}. Nothing changed.")
            else:
                self._asking[name] = request
                self._call(restore, commit)

    def _call(self, restore: Restore, commit: Commit) -> Call:
        """Vote on a restore, durably, before anybody hears of the vote."""
        core, calls = self._core, self._core.calls
        why = self._why_not(restore, core.epochs.commit)
        if restore.number != calls.era + 1:
            why = why or f"it would be restore {restore.number}, but {calls.era} have been carried out here"
        call = calls.open[restore.id] = Call(restore, commit)
        statement = Statement(core.host, joined=core.named(), top=core.epochs.colour, reject=why)
        core.append(VoteRecord(restore, statement, commit), is_fact=True)
        return call

    def _why_not(self, restore: Restore, commit: Commit | None) -> str:
        """Return why this host does not agree; empty if it does."""
        core = self._core
        why = core.calls.why_not(restore, commit, core.horizon, core.now_us)
        silent = [host for host in commit.next_view() if host in core.failed] if commit is not None else []
        if silent and not why:
            # All must vote, and all pause meanwhile: nobody shall wait for one that may never come back.
            return f"host {silent[0]} does not answer; try again when it is back, or succeeded and out of the view"
        return why

    def voted(self, record: VoteRecord) -> None:
        """The vote is durable."""
        call = self._core.calls.open.get(record.restore.id)
        if call is not None:
            if not record.statement.reject:
                self._core.actions.append(Pause(True))
            self.decide(call)

    def apply_vote(self, record: VoteRecord) -> None:
        """Take in a vote of this host, live or from the log."""
        calls, restore = self._core.calls, record.restore
        call = calls.open.get(restore.id)
        if call is None and restore.id not in calls.ended and restore.number > calls.era:
            call = calls.open[restore.id] = Call(restore, record.commit)
        if call is not None:
            if record.statement.host == self._core.host:
                call.own = record.statement
            call.count.add(record.statement)

    def apply_end(self, record: EndRecord) -> None:
        """Take in from the log that a restore came to nothing."""
        call = self._core.calls.open.get(record.id)
        if call is not None:
            self._core.calls.end(call)

    def tallied(self, sender: HostId, tally: Tally, restore: Restore) -> None:
        """Somebody has counted votes: vote, merge, and answer with what it lacks."""
        core, calls = self._core, self._core.calls
        if restore.number <= calls.era:
            self.send_eras(sender, restore.number - 1)
            return
        if restore.id in calls.ended:
            if not tally.rejects:
                core.send(sender, calls.ended[restore.id])
            return
        call = calls.open.get(restore.id)
        if call is None:
            commit = core.epochs.commits.get(restore.base)
            if commit is None:
                # Its view is not known here: ask for that, whatever is newer.
                core.send(sender, core.lacks(restore.base))
                return
            call = self._call(restore, commit)
        call.count.merge(tally)
        if call.own is not None:
            call.count.add(call.own)
        if call.count.exceeds(tally):
            core.send(sender, call.count.tally(restore))
        self.decide(call)

    def decide(self, call: Call) -> None:
        """Decide alone, if what is known says so."""
        core, name = self._core, call.restore.id
        verdict = core.calls.verdict(call)
        if verdict is None or name not in core.calls.open:
            return
        if verdict:
            self.agreed(replace(call.restore, top=call.count.top))
            return
        core.calls.end(call)
        core.append(EndRecord(name))
        core.actions.append(Pause(core.calls.is_paused()))
        rejects = tuple(call.count.rejects.items())
        core.tell("restore-rejected", name, _reasons(rejects))
        self._answer(name, "", self._came_to_nothing(call.restore.epoch, rejects))

    @staticmethod
    def _came_to_nothing(epoch: int, rejects: Iterable[tuple[HostId, str]]) -> str:
        return f"not everyone agreed to restore checkpoint {epoch}: {_reasons(rejects)}. Nothing changed."

    def agreed(self, restore: Restore) -> None:
        """A restore is agreed on: every agent here carries it out, in a record of its own log."""
        core = self._core
        ended = [call for call in core.calls.open.values() if call.restore.number == restore.number]
        if any(call.restore.id == restore.id for call in ended):
            # CP-7: an epoch cut after the vote may be committed with steps that this undoes: it is passed over too.
            restore = replace(restore, top=max(restore.top, core.epochs.colour))
        if not core.calls.agreed(restore):
            return
        core.actions.append(CarryOut(restore))
        core.actions.append(Pause(core.calls.is_paused()))
        for call in ended:
            if call.restore.id == restore.id:
                self._answer(restore.id, str(restore.number), "")
            else:
                self._answer(call.restore.id, "", f"restore {restore.number} came first: {restore.id}")

    def _answer(self, name: str, value: str, error: str) -> None:
        request = self._asking.pop(name, None)
        if request is not None:
            self._core.reply(request, value, error)

    def send_eras(self, host: HostId, era: int) -> None:
        """Tell a host of the restores after the first `era`."""
        calls = self._core.calls
        if era < calls.era:
            self._core.send(host, Agreed(tuple(calls.restores[era:])))


def _reasons(rejects: Iterable[tuple[HostId, str]]) -> str:
    return "; ".join(f"{host}: {text}" for host, text in sorted(rejects))
