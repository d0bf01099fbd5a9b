"""What can be asked of a host's checkpoints."""

from protocol.checkpoints.looking import epochs, voted_on
from tests.rules.crowd import Crowd


def test_epochs_are_seen_with_their_view_and_what_is_under_way():
    crowd = Crowd("h0", "h1")
    crowd.checkpoint("h0")
    seen = epochs(crowd.machines["h0"])
    assert (seen.epoch, seen.committed, seen.view) == (1, 1, ("h0", "h1"))
    assert (seen.restores, seen.under_way) == ((), ())
    crowd.cuts_by_hand.add("h0")
    crowd.do("h0", crowd.machines["h0"].begin(1, crowd.now_us))
    assert epochs(crowd.machines["h0"]).under_way == ("epoch 2",)


def test_a_restore_is_named_while_it_is_voted_on_and_told_once_it_is_agreed_on():
    crowd = Crowd("h0", "h1")
    crowd.checkpoint("h0")
    crowd.do("h0", crowd.machines["h0"].restore(7, "r1", 1, "discard", "", 0, crowd.now_us))
    assert voted_on(crowd.machines["h0"]) == ("r1",)
    crowd.rounds()
    assert voted_on(crowd.machines["h0"]) == ()
    assert [restore.id for restore in epochs(crowd.machines["h0"]).restores] == ["r1"]
