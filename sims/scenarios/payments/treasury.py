"""Money that leaves the bank: the treasurer who agrees to what is much, and the proof that only what is right left."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from peer import Attached, Cluster, Person
from sims.scenarios.payments import accounts
from sims.scenarios.payments.agents import TREASURER
from sims.scenarios.payments.checks import Check, Log
from sims.scenarios.payments.data import Payment
from sims.scenarios.payments.serial import World

PAUSE_S = 0.05


class Treasury:
    """The treasurer of one run.

    Args:
        cluster: the bank.
        books: what was sent out stands there.
        place: for the treasurer's key.
        progress: told what is going on.
    """

    def __init__(
        self, cluster: Cluster | Attached, books: Path, place: Path, progress: Callable[[str, float, float], None]
    ) -> None:
        self._cluster = cluster
        self._books = books
        self._key = place / f"{TREASURER}.key"
        self._progress = progress
        self._approved = 0

    async def finish(self, limit_s: float) -> None:
        """Agree to all that waits for the treasurer, and have a checkpoint let go what waits for one.

        Raises: TimeoutError, if something waits still.
        """
        cluster = self._cluster
        treasurer = Person.enrol(cluster.folder, "tess", TREASURER, key=self._key)
        await cluster.quiet(limit_s)
        async with asyncio.timeout(limit_s):
            while waiting := await cluster.requests():
                for request in waiting:
                    if request.waits_for_people:
                        await request.approve("it was audited", as_=treasurer)
                        self._approved += 1
                self._progress("sending money out", len(accounts.transfers(self._books)), 1)
                await cluster.checkpoint(timeout_s=limit_s)
                await asyncio.sleep(PAUSE_S)
        await cluster.quiet(limit_s)

    def told(self) -> str:
        """Return what there is to say of it."""
        sent = accounts.transfers(self._books)
        return f"{len(sent)} payments, let go by checkpoints; {self._approved} of them agreed to by the treasurer"


def judge_sent(sent: Sequence[tuple[int, int]], payments: Sequence[Payment], truth: World, log: Log) -> Check:
    """Check that what has left is what the oracle has settled, each payment once."""
    wanted = [(each.number, each.cents) for each in payments if truth.ends.get(each.number) == "settled"]
    name = "sent out is exactly what is settled, each payment once"
    more, less = sorted(set(sent) - set(wanted)), sorted(set(wanted) - set(sent))
    if more or less or len(sent) != len(set(sent)):
        return Check(name, False, f"too much: {more[:3]}, too little: {less[:3]}, {len(sent)} transfers")
    wrong = {
        log.source(line) for line in log.lines if line["step"] in log.undone and line["step"].startswith("ledger-")
    }
    never = f"; of {len(wrong)} payments that were posted and undone nothing had left" if wrong else ""
    return Check(name, True, f"{len(sent)} payments{never}")
