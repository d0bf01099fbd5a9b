"""Restores as one host takes part in them: it votes once, durably, and decides alone from what it hears (CP-7)."""

from collections.abc import Iterable

from msgspec.structs import replace

from protocol.checkpoints.core import HostCore
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.messages import Agreed, CarryOut, EndRecord, Lacks, Pause, RestoreVoteRecord
from protocol.checkpoints.restores import Motion
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
        core, restores, commit = self._core, self._core.restores, self._core.epochs.commit
        past = [restore for restore in restores.agreed if restore.id == name]
        if past:
            core.reply(request, str(past[0].number))
        elif name in restores.open:
            self._asking[name] = request
        elif name in restores.ended:
            # Asked again where it has ended, after whoever was asked first is gone: nobody would vote on it once more.
            core.reply(request, "", self._came_to_nothing(epoch, restores.ended[name].rejects))
        else:
            base = 0 if commit is None else commit.epoch
            restore = Restore(restores.era + 1, epoch, name, base, inputs, reason, deadline_us)
            why = self._why_not(restore, commit)
            if why or commit is None:
                core.reply(request, "", f"{why}. Nothing changed.")
            else:
                self._asking[name] = request
                self._move(restore, commit)

    def _move(self, restore: Restore, commit: Commit) -> Motion:
        """Vote on a restore, durably, before anybody hears of the vote."""
        core, restores = self._core, self._core.restores
        why = self._why_not(restore, core.epochs.commit)
        if restore.number != restores.era + 1:
            why = why or f"it would be restore {restore.number}, but {restores.era} have been carried out here"
        motion = restores.open[restore.id] = Motion(restore, commit)
        if not why:
            # RQ-2: between this look and the vote nothing may be let go that the restore would undo.
            core.actions.append(Pause(True))
        statement = Statement(core.host, joined=core.named(), top=core.epochs.colour, reject=why)
        core.append(RestoreVoteRecord(restore, statement, commit), is_fact=True)
        return motion

    def _why_not(self, restore: Restore, commit: Commit | None) -> str:
        """Return why this host does not agree; empty if it does."""
        core = self._core
        why = core.restores.why_not(restore, commit, core.horizon, core.now_us)
        if not why and restore.epoch < core.let_go():
            why = (
                f"what is irreversible was let go after checkpoint {restore.epoch}, and can't be undone; the oldest"
                f" that can be restored here is {core.let_go()}"
            )
        if not why and (moving := core.moves.pending()):
            # RQ-2: nobody votes for an agent that is on its way.
            return f"agent {moving[0].agent} moves to host {moving[0].to}; try again when it is there"
        silent = [host for host in commit.next_view() if host in core.failed] if commit is not None else []
        if silent and not why:
            # All must vote, and all pause meanwhile: nobody shall wait for one that may never come back.
            return f"host {silent[0]} does not answer; try again when it is back, or succeeded and out of the view"
        return why

    def voted(self, record: RestoreVoteRecord) -> None:
        """The vote is durable."""
        motion = self._core.restores.open.get(record.restore.id)
        if motion is not None:
            if not record.statement.reject:
                self._core.actions.append(Pause(True))
            self.decide(motion)

    def apply_vote(self, record: RestoreVoteRecord) -> None:
        """Take in a vote of this host, live or from the log."""
        restores, restore = self._core.restores, record.restore
        motion = restores.open.get(restore.id)
        if motion is None and restore.id not in restores.ended and restore.number > restores.era:
            motion = restores.open[restore.id] = Motion(restore, record.commit)
        if motion is not None:
            if record.statement.host == self._core.host:
                motion.own = record.statement
            motion.count.add(record.statement)

    def apply_end(self, record: EndRecord) -> None:
        """Take in from the log that a restore came to nothing."""
        motion = self._core.restores.open.get(record.id)
        if motion is not None:
            motion.count.rejects.update(record.rejects)
            self._core.restores.end(motion)

    def tallied(self, sender: HostId, tally: Tally, restore: Restore) -> None:
        """Somebody has counted votes: vote, merge, and answer with what it lacks."""
        core, restores = self._core, self._core.restores
        if restore.number <= restores.era:
            self.send_eras(sender, restore.number - 1)
            return
        if restore.id in restores.ended:
            if not tally.rejects:
                core.send(sender, restores.ended[restore.id])
            return
        motion = restores.open.get(restore.id)
        if motion is None:
            commit = core.epochs.commits.get(restore.base)
            if commit is None:
                # Its view is not known here: ask for that, whatever is newer.
                core.send(sender, core.lacks(restore.base))
                return
            motion = self._move(restore, commit)
        motion.count.merge(tally)
        if motion.own is not None:
            motion.count.add(motion.own)
        if motion.count.exceeds(tally):
            core.send(sender, motion.count.tally(restore))
        self.decide(motion)

    def decide(self, motion: Motion) -> None:
        """Decide alone, if what is known says so."""
        core, name = self._core, motion.restore.id
        verdict = core.restores.verdict(motion)
        if verdict is None or name not in core.restores.open:
            return
        if verdict:
            self.agreed(replace(motion.restore, top=motion.count.top))
            return
        core.restores.end(motion)
        rejects = tuple(motion.count.rejects.items())
        core.append(EndRecord(name, rejects))
        core.actions.append(Pause(core.restores.is_paused()))
        core.tell("restore-rejected", name, _reasons(rejects))
        self._answer(name, "", self._came_to_nothing(motion.restore.epoch, rejects))

    @staticmethod
    def _came_to_nothing(epoch: int, rejects: Iterable[tuple[HostId, str]]) -> str:
        return f"not everyone agreed to restore checkpoint {epoch}: {_reasons(rejects)}. Nothing changed."

    def agreed(self, restore: Restore) -> None:
        """A restore is agreed on: every agent here carries it out, in a record of its own log."""
        core = self._core
        ended = [motion for motion in core.restores.open.values() if motion.restore.number == restore.number]
        if any(motion.restore.id == restore.id for motion in ended):
            # CP-7: an epoch cut after the vote may be committed with steps that this undoes: it is passed over too.
            restore = replace(restore, top=max(restore.top, core.epochs.colour))
        if not core.restores.agree(restore):
            return
        core.actions.append(CarryOut(restore))
        core.actions.append(Pause(core.restores.is_paused()))
        for motion in ended:
            if motion.restore.id == restore.id:
                self._answer(restore.id, str(restore.number), "")
            else:
                self._answer(motion.restore.id, "", f"restore {restore.number} came first: {restore.id}")

    def _answer(self, name: str, value: str, error: str) -> None:
        request = self._asking.pop(name, None)
        if request is not None:
            self._core.reply(request, value, error)

    def lacks(self, sender: HostId, message: Lacks) -> None:
        """Tell a host what it lacks of commits and restores."""
        core = self._core
        if message.committed < core.epochs.committed:
            core.send_commit(sender)
        known = [motion.commit for motion in core.restores.open.values()] + list(core.epochs.commits.values())
        for commit in [commit for commit in known if commit.epoch == message.base][:1]:
            core.send(sender, commit)
        self.send_eras(sender, message.era)

    def send_eras(self, host: HostId, era: int) -> None:
        """Tell a host of the restores after the first `era`."""
        restores = self._core.restores
        if era < restores.era:
            self._core.send(host, Agreed(tuple(restores.agreed[era:])))


def _reasons(rejects: Iterable[tuple[HostId, str]]) -> str:
    return "; ".join(f"{host}: {text}" for host, text in sorted(rejects))
