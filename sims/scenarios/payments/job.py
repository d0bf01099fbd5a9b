"""The work of a run: payments are handed in, with audits in between, until all is settled and nothing wrong is left."""

import asyncio
from random import Random

from peer import Attached, Cluster, Receipt
from sims.scenarios.payments.agents import AuditDue, saga_name
from sims.scenarios.payments.data import Payment
from sims.scenarios.payments.guard import GUARD
from sims.scenarios.payments.plan import Plan, Progress
from sims.scenarios.payments.restore import Remembered, checkpoint_now, look
from sims.scenarios.payments.what_if import Tried, try_another

ROUNDS = 8
"""How often the auditor looks while payments flow."""
CLOSES_AT = ROUNDS // 2
"""The round before which the books are closed, as in the end: nothing is under way, and what is right is sent out."""
LAST_ROUNDS = 10
"""How often it looks again at the end, until it finds nothing; each look undoes all that it finds."""
QUIET_S = 120.0
PAYMENTS = "payments"
"""Under which payments are handed in that may be handed in again, by a program that goes on with the run."""


class Job:
    """Hands in the payments with audits in between, and notes what was handed in."""

    def __init__(self, cluster: Cluster | Attached, plan: Plan) -> None:
        self.cluster = cluster
        self.options = plan.options
        self.payments = plan.payments
        self.books = plan.books
        self.progress = plan.progress
        self.moves = list(plan.moves)
        self.team = plan.team
        self.tried: Tried | None = None
        """What came of the branch."""
        self._unaudited: list[tuple[list[Payment], Receipt]] = []
        """Payments that no audit has followed, as they were handed in."""
        self.rng = Random(f"kills/{self.options.seed}")
        self.inputs = {"intake": 0, "auditor": 0}
        """By agent, how many inputs it has been handed."""
        self.repeated = 0
        """How many payments another program had handed in before."""
        self.moved: list[str] = []
        """Agents that have lost the disk of their host, and live elsewhere."""

    async def work(self) -> Remembered | None:
        """Hand everything in, let it settle, and audit until nothing is found; return what is to be gone back to."""
        payments, cluster, rng = self.payments, self.cluster, self.rng
        batch = max(1, len(payments) // 40)
        batches = [payments[at : at + batch] for at in range(0, len(payments), batch)]
        kills = sorted(rng.randrange(len(batches)) for _ in range(self.options.kills))
        # One at a time, and each after the one before has been succeeded: a copy is lost with a disk, too.
        losses = [round((n + 1) * len(batches) / (self.options.lost_disks + 1)) for n in range(self.options.lost_disks)]
        remembered = None
        rounds = 0
        for index, some in enumerate(batches):
            if self.options.restore and index == len(batches) // 2:
                remembered = await self.remember()
            await (self.hand_in_once(some[-1].number) if self.options.detached else self.hand_in_payments(some))
            while kills and kills[0] <= index:
                kills.pop(0)
                assert isinstance(cluster, Cluster)
                await cluster.kill(rng.choice(cluster.agents))
            if losses and losses[0] <= index:
                losses.pop(0)
                await self.lose_disk()
            # Payments come in as fast as they are settled, so that what is wrong has time to spread.
            await _settled(cluster, max(0, some[-1].number - 4 * batch), self.progress, len(payments))
            if self.options.tries and self.tried is None and 2 * index >= len(batches):
                await self.try_another()
            if some[-1].number * ROUNDS // len(payments) > rounds:
                rounds += 1
                await self.move(1)
                if self.options.sends_out and rounds == CLOSES_AT:
                    await self.close_books()
                else:
                    await self.audit()
        await self.move(len(self.moves))
        await self.settle()
        if self.options.sends_out:
            await self.close_books()
        return remembered

    async def lose_disk(self) -> None:
        """Delete a host's folder and kill it; go on once its agents are back elsewhere."""
        agent = self.rng.choice([name for name in self.cluster.agents if name not in self.moved])
        self.progress(f"{agent} loses its disk", 0, 1)
        assert isinstance(self.cluster, Cluster)
        await self.cluster.kill(agent, with_disk=True)
        await self.cluster.status(agent, timeout_s=QUIET_S)
        self.moved.append(agent)
        # New backups are chosen by the next views: until then another loss could take the last copy.
        for _ in range(2):
            await self.cluster.checkpoint(timeout_s=QUIET_S)

    async def hand_in(self, agent: str, *messages: object) -> Receipt:
        """Hand inputs to an agent."""
        self.inputs[agent] += len(messages)
        return await self.cluster.submit(agent, *messages)

    async def hand_in_payments(self, payments: list[Payment]) -> None:
        """Hand payments in."""
        self._unaudited.append((payments, await self.hand_in("intake", *payments)))

    async def hand_in_once(self, count: int) -> None:
        """Hand in so many payments, as far as that was not done: under a name, so that none is taken twice."""
        receipt = await self.cluster.submit("intake", *self.payments[:count], key=PAYMENTS)
        self.repeated += max(0, receipt.repeated - self.inputs["intake"])
        self.inputs["intake"] = count

    async def move(self, count: int) -> None:
        """Have so many transfers between savings begun; under a name, so that none is begun twice."""
        for _ in range(min(count, len(self.moves))):
            move = self.moves.pop(0)
            await self.cluster.submit(self.team.ledger_of(move.payer), move, key=saga_name(move.number))

    async def try_another(self) -> None:
        """Try another decision in a branch, of a payment that no audit has followed: nothing of it has left."""
        self.progress("trying another decision", 0, 1)
        await self.cluster.quiet(QUIET_S)
        handled = [
            each
            for payments, receipt in self._unaudited
            for each in zip(payments, await receipt.done(QUIET_S), strict=True)
        ]
        self.tried = await try_another(self.cluster, handled, self.books)

    async def audit(self, is_last: bool = False, is_complete: bool = False) -> Receipt:
        """Have the auditor look."""
        self._unaudited.clear()
        return await self.hand_in("auditor", AuditDue(self.inputs["auditor"] + 1, is_last, is_complete))

    async def close_books(self) -> None:
        """Wait until all has ended that was handed in, and have what is right sent out, before anything else comes."""
        await self._rest()
        audit = await self.audit(is_complete=True)
        await audit.done(QUIET_S)

    async def settle(self) -> None:
        """Wait until nothing is under way, and audit until nothing is found."""
        for _ in range(LAST_ROUNDS):
            await self._rest()
            done = self.inputs["intake"]
            self.progress("settling payments", done, len(self.payments))
            if not (await self.cluster.state("auditor")).get("wrong"):
                return
            await self.audit(is_last=True)

    async def _rest(self) -> None:
        """Wait until nothing is under way, and the guard, if there is one, has decided what it doubts.

        The auditor answers in its own time, and what is undone may be doubted again when it has run again.
        """
        until = asyncio.get_running_loop().time() + QUIET_S
        while True:
            await self.cluster.quiet(QUIET_S)
            state = await self.cluster.state(GUARD) if self.options.watched else {}
            if not any(key[0] in ("doubt", "later") for key in state) or asyncio.get_running_loop().time() > until:
                return
            await asyncio.sleep(0.1)

    async def remember(self) -> Remembered:
        """Have a checkpoint made while nothing is under way and nothing known to be wrong, and note how things are."""
        await self.settle()
        epoch = await checkpoint_now(self.cluster, QUIET_S)
        return Remembered(epoch, await look(self.cluster, self.books), dict(self.inputs))


async def _settled(cluster: Cluster | Attached, count: int, progress: Progress, total: int) -> None:
    """Wait until about `count` payments have come to the auditor."""
    for _ in range(int(QUIET_S / 0.02)):
        steps = (await cluster.status("auditor", timeout_s=QUIET_S)).steps
        progress("settling payments", min(steps, total), total)
        if steps >= count:
            return
        await asyncio.sleep(0.02)
