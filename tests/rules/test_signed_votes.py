"""Whose a vote is shows its signature (TR-10); two of one version that differ prove that their host lies (TR-5)."""

from typing import Any

from msgspec.structs import replace

from peer.host.vouching import Vouching
from peer.trust.badge import Badge
from peer.trust.lies import cast_of, contradiction_of, lie_of
from peer.trust.rights import OF_HOSTS
from protocol.agent.books import Books
from protocol.event import Received
from protocol.ids import StepId
from protocol.message import Ballot, Data, Done, Propose
from protocol.proposal import ConeStep, Credit, Debit, Proposal, Vote
from protocol.records import VoteRecord
from tests.rules.bench import Bench, of
from tests.rules.test_disputes import PROPOSAL, X, votes
from tests.rules.test_loss import lose_last_step
from tests.rules.test_trust import ONE, ROOT, THREE, TWO
from tests.rules.test_trust import proposal as signed_proposal

YES = Vote("a", 1, True, "", (), (), incarnation=1)
NO = replace(YES, accepts=False, why="no")


def cast(badge: Badge, proposal: Proposal, vote: Vote) -> Ballot:
    """Return a vote as the host of its voter sends it."""
    alone = Vouching(badge, None, {}, lambda agent: 1)  # type: ignore[arg-type]
    found = alone.vouch(Ballot(proposal, (vote.sealed(None),)), lambda agent: True)
    assert isinstance(found, Ballot)
    return found


class Orders:
    """Notes who is proven to lie, and by what."""

    def __init__(self) -> None:
        self.proofs: list[tuple[str, bytes, str]] = []

    def lied(self, host: str, proof: bytes, why: str) -> None:
        self.proofs.append((host, proof, why))

    def refused(self) -> None:
        pass


def heard(*ballots: Ballot, is_mixed: bool = False, homes: dict[str, str] | None = None) -> tuple[Orders, list[int]]:
    """Have a third host hear ballots; return what it has proof of, and how many votes of each it has taken."""
    badge, orders = Badge.issued(ROOT, THREE, OF_HOSTS), Orders()
    for keys in (ONE, TWO):
        badge.trust.admit(Badge.issued(ROOT, keys, OF_HOSTS).chain)
    stranger: Any = orders
    vouching = Vouching(badge, stranger, homes or {}, lambda agent: 2, lambda: is_mixed)
    taken: list[int] = []
    for ballot in ballots:
        left = vouching.checked(TWO.host_id, ballot)
        assert isinstance(left, Ballot)
        taken.append(len(left.votes))
    return orders, taken


def test_tr5_two_votes_of_one_version_are_proof_and_whoever_hears_both_tells_it() -> None:
    one, two = (Badge.issued(ROOT, keys, OF_HOSTS) for keys in (ONE, TWO))
    proposal = signed_proposal(one, "p")
    yes, no = cast(one, proposal, YES), cast(one, proposal, NO)
    orders, taken = heard(yes, no, yes, no)
    (host, proof, why), *_ = orders.proofs
    assert (host, why) == (ONE.host_id, "it has signed two votes of a as version 1")
    assert contradiction_of(proof) == ONE.host_id, "whoever is told can see it for itself"
    assert taken == [1, 0, 1, 0]
    for other in (
        yes,  # the same once more
        cast(one, proposal, replace(NO, version=2)),
        cast(one, proposal, replace(NO, incarnation=2)),  # a loss: it counts anew
        cast(one, signed_proposal(one, "q"), NO),
        cast(one, signed_proposal(one, "p", "b"), NO),  # another proposal under the same name
        cast(two, proposal, NO),  # where the agent has gone since
        cast(one, proposal, replace(NO, voter="b")),
    ):
        orders, taken = heard(yes, other)
        assert (orders.proofs, taken) == ([], [1, 1])


def test_tr5_a_vote_that_was_altered_proves_nothing_of_its_voter() -> None:
    one = Badge.issued(ROOT, ONE, OF_HOSTS)
    proposal = signed_proposal(one, "p")
    (yes,), (no,) = (cast(one, proposal, vote).votes for vote in (YES, NO))
    assert contradiction_of(lie_of(cast_of(proposal, yes), cast_of(proposal, no))) == ONE.host_id
    for forged in (replace(no, proof=yes.proof), replace(no, proof=b""), replace(no, whole=b"x"), yes):
        assert contradiction_of(lie_of(cast_of(proposal, yes), cast_of(proposal, forged))) is None


def test_tr5_two_votes_put_nobody_out_while_hosts_of_the_older_release_are_there() -> None:
    one = Badge.issued(ROOT, ONE, OF_HOSTS)
    proposal = signed_proposal(one, "p")
    orders, taken = heard(cast(one, proposal, YES), cast(one, proposal, NO), is_mixed=True)
    assert (orders.proofs, taken) == ([], [1, 1])


def test_tr5_an_agent_that_has_lost_its_vote_votes_anew_in_another_incarnation() -> None:
    bench = Bench("a", "z")
    first = bench.step("a")
    bench.step("a")
    bench.propose("z", first)
    bench.deliver(of(Propose))
    (before,) = [record.vote for record in bench.disks["a"] if isinstance(record, VoteRecord)]
    lose_last_step(bench, "a")
    bench.elapse()
    bench.deliver()
    (again,) = [record.vote for record in bench.disks["a"] if isinstance(record, VoteRecord)]
    assert (before.incarnation, again.incarnation) == (1, 2)
    assert {before.version, again.version} == {1}
    assert isinstance(before.cone[0], ConeStep)
    assert before.cone[0].step == StepId("a", 1, 1)


def test_tr10_nobody_votes_in_anothers_name() -> None:
    homes = {"a": ONE.host_id, "b": TWO.host_id}
    one, two, badge = (Badge.issued(ROOT, keys, OF_HOSTS) for keys in (ONE, TWO, THREE))
    for other in (one, two):
        badge.trust.admit(other.chain)
    charged: list[str] = []
    uncharged: list[int] = []

    class Orders:
        def charge(self, host: str, what: str) -> None:
            charged.append(host)

        def refused(self) -> None:
            uncharged.append(1)

    vouching = Vouching(badge, Orders(), homes, lambda agent: 1)  # type: ignore[arg-type]
    good = signed_proposal(one, "p")
    bare = Ballot(good, (Vote("a", 1, True, "", (), ()).sealed(None),))
    signed, forged = (
        Vouching(mine, None, {}, lambda agent: 1).vouch(bare, lambda agent: agent == "a")  # type: ignore[arg-type]
        for mine in (one, two)
    )
    assert isinstance(signed, Ballot)
    assert isinstance(forged, Ballot)
    assert vouching.checked(TWO.host_id, signed) is signed, "also passed on by another"
    assert vouching.checked(TWO.host_id, signed) is signed
    (vote,) = signed.votes
    for other in (bare.votes[0], replace(vote, version=2), replace(vote, whole=b"other"), replace(vote, whole=b"")):
        assert vouching.checked(TWO.host_id, replace(signed, votes=(other, vote))) == signed
    assert charged == 4 * [TWO.host_id]
    assert not uncharged
    assert vouching.checked(TWO.host_id, forged) == replace(signed, votes=())
    assert (len(charged), uncharged) == (4, [1]), "where an agent lives another may know better"
    assert vouching.checked(TWO.host_id, Done("p", "commit", (), (), (), (), 1)) == Done(
        "p", "commit", (), (), (), (), 1
    )


def test_tr10_a_vote_that_is_not_all_that_its_voter_has_signed_is_not_taken() -> None:
    one = Vote("v", 1, True, "", (ConeStep(X, ()),), ()).sealed(None)
    two = Vote("v", 2, True, "", (ConeStep(StepId("v", 1, 2), ()),), (), since=1).sealed(one)
    for altered in (
        replace(one, cone=()), replace(one, accepts=False), replace(one, credits=(Credit(StepId("k", 1, 1), 0, 1),)),
    ):  # fmt: skip
        books = Books(PROPOSAL)
        assert not books.take(altered)
        assert not books.votes
        assert books.take(one)
    assert not books.take(replace(two, cone=()))
    assert books.take(two)
    assert books.votes["v"].fits()
    assert books.votes["v"].whole == two.whole


def test_tr10_a_part_of_a_vote_that_never_came_counts_only_from_its_voter() -> None:
    # What was signed is the whole, so nobody can tell of a part alone whether it is of that.
    for sender in ("v", "m"):
        bench = Bench("k", "m", "r", "v")
        under_way = bench.step("m", sends=(("r", b"x"),))
        ((_, _, data),) = bench.drop(of(Data))
        second = Vote("m", 2, True, "", (), ()).sealed(None)
        part = replace(second, cone=(ConeStep(under_way, (Debit(0, "r", 1),)),), since=1)
        bench.feed("r", Received(sender, Ballot(PROPOSAL, (part,))))
        assert [len(vote.credits) for vote in votes(bench, "r")] == ([] if sender == "v" else [1])
        bench.feed("r", Received("m", data))
        assert ("r" in bench.runs) == (sender == "v"), "a message that is in no cone is handled"
