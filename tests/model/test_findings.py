"""What the models have found in the code, on host machines cranked by hand. See docs/model/README.md."""

from random import Random

from protocol.checkpoints.agents import Standing
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import (
    Accept,
    AppendHost,
    CheckpointMessage,
    CommitRecord,
    Prepare,
    Promise,
    SendHost,
)
from protocol.checkpoints.tally import Tally
from protocol.limits import CheckpointLimits

NOW_US = 1_000_000


class Cranked:
    """One host's machine, whose disk and backups are fast."""

    def __init__(self, host: str, *commits: Commit) -> None:
        self.machine = CheckpointMachine(host, Random(1), CheckpointLimits(replicas=3))
        self.sent: list[CheckpointMessage] = []
        records = [CommitRecord(commit) for commit in commits]
        self.do(self.machine.start(records, {"a1": Standing(commits[-1].epoch)}, False, NOW_US))

    def do(self, actions: object) -> None:
        """Carry out what is asked for."""
        assert isinstance(actions, list)
        for action in actions:
            if isinstance(action, AppendHost):
                self.do(self.machine.appended(action.ticket, NOW_US))
            elif isinstance(action, SendHost):
                self.sent.append(action.message)

    def hear(self, sender: str, message: CheckpointMessage) -> None:
        """Take in what another host says."""
        self.do(self.machine.received(sender, message, NOW_US))


def test_a_restore_passes_over_an_epoch_that_was_cut_after_the_vote_on_it() -> None:
    view = ("a", "b")
    host = Cranked("a", Commit(0, view), Commit(1, view))
    host.machine.others(("b",))
    host.do(host.machine.restore(1, "a/r1", 1, "discard", "", 0, NOW_US))
    vote = next(message for message in host.sent if isinstance(message, Tally) and message.restore is not None)
    host.do(host.machine.stamped("b", 2, 0, NOW_US))  # its steps after cut 1 are inside cut 2
    host.hear("b", Tally(1, b"\x03", top=1, restore=vote.restore))
    assert [restore.top for restore in host.machine.restores.agreed] == [2]
    host.hear("b", Commit(2, view))
    host.do(host.machine.restore(2, "a/r2", 2, "discard", "", 0, NOW_US))
    assert len(host.machine.restores.agreed) == 1
    assert not host.machine.restores.open


def test_a_newcomer_that_hears_of_an_old_restore_bans_nothing_for_it() -> None:
    view = ("a", "b")
    host = Cranked("a", Commit(0, view), Commit(1, view))
    host.machine.others(("b",))
    host.do(host.machine.restore(1, "a/r1", 1, "discard", "", 0, NOW_US))
    vote = next(message for message in host.sent if isinstance(message, Tally) and message.restore is not None)
    host.hear("b", Tally(1, b"\x03", top=1, restore=vote.restore))
    agreed = host.machine.restores.agreed[0]
    late = Cranked("c", Commit(4, ("a", "b", "c")))
    late.do(late.machine.voting.agreed(agreed) or [])
    assert late.machine.restores.agreed == [agreed]


def test_a_ballot_proposes_one_value_also_when_a_commit_is_heard_of_meanwhile() -> None:
    view = ("a", "b", "c", "d")
    host = Cranked("b", Commit(0, view), Commit(1, view))
    host.machine.others(("a", "c"))
    host.machine.has_copy("d")
    host.do(host.machine.failed("d", NOW_US))
    host.do(host.machine.elapsed(NOW_US + 1_000_000_000))
    ballot = next(message.ballot for message in host.sent if isinstance(message, Prepare))
    for sender in ("a", "c"):
        host.hear(sender, Promise("d", ballot, (0, ""), ""))
    assert [message.by for message in host.sent if isinstance(message, Accept)] == ["b"] * 2
    host.hear("a", Commit(2, (*view, "e", "f", "g")))
    host.hear("e", Promise("d", ballot, (1, "a"), "c"))
    assert {message.by for message in host.sent if isinstance(message, Accept)} == {"b"}
