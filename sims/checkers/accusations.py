"""Nobody is found to lie where nobody does, and nothing that is said of anybody is refuted (RB-15)."""

from protocol.records import VoteRecord
from sims.checkers.view import View, need

INVARIANT = "where all are honest nobody is found to lie"


def check(view: View) -> None:
    """Raises: Broken."""
    for agent, notice in view.notices:
        need(notice.notice != "vote-false", INVARIANT, f"{agent} says that {notice.subject} lies: {notice.detail}")
    for agent, record in view.of(VoteRecord):
        assert isinstance(record, VoteRecord)
        need(not record.vote.refutes, INVARIANT, f"{agent} refutes {record.vote.refutes} of {record.proposal.id}")
