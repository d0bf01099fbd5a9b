"""Money between savings accounts: each transfer is a saga over two ledgers, which stands in both accounts or in none.

Some can't be carried out: where an account is closed, or the payer would owe too much. They are called off, and what
was posted is reversed.
"""

from collections.abc import Sequence
from random import Random

from peer import Attached, Cluster
from peer.cluster.sagas import SagaSeen
from sims.scenarios.payments.agents import OVERDRAFT_CENTS, Move, Team, legs_of, saga_name
from sims.scenarios.payments.checks import Check, Entry, Log, standing
from sims.scenarios.payments.data import Payment

MOVES = 8
"""At most; each of two customers who have no other."""
CLOSED, TOO_MUCH = 3, 0
"""Of four transfers one goes to an account that is closed, and one is of more than the payer may owe."""


def draw_moves(payments: Sequence[Payment], seed: int, team: Team) -> list[Move]:
    """Return the transfers of a run, chosen by its seed."""
    customers = sorted({payment.customer for payment in payments})
    rng = Random(f"savings/{seed}")
    rng.shuffle(customers)
    moves: list[Move] = []
    for number in range(1, min(MOVES, len(customers) // 2) + 1):
        payer, payee = customers[2 * number - 2], customers[2 * number - 1]
        cents = rng.randrange(100, OVERDRAFT_CENTS)
        if number % 4 == TOO_MUCH:
            cents += OVERDRAFT_CENTS
        moves.append(Move(number, payer, payee, cents, team.ledger_of(payee), number % 4 == CLOSED))
    return moves


def is_good(move: Move) -> bool:
    """Tell whether a transfer can be carried out."""
    return not move.is_closed and move.cents <= OVERDRAFT_CENTS


def balances_of(moves: Sequence[Move]) -> dict[str, int]:
    """Return what the savings accounts should come to, by account, in cents."""
    return {account: cents for move in moves if is_good(move) for _, account, cents in legs_of(move)}


async def sagas_of(cluster: Cluster | Attached) -> list[SagaSeen]:
    """Return what has become of the transfers."""
    return [saga for agent in cluster.agents if agent.startswith("ledger-") for saga in await cluster.sagas(agent)]


def judge_moves(moves: Sequence[Move], sagas: Sequence[SagaSeen], log: Log, books: Sequence[Entry]) -> Check:
    """Check that each transfer stands in both accounts or in none, as it should, and that sagas say so."""
    status = {saga.name: saga.status for saga in sagas}
    posted = sorted(leg for leg in standing(books).values() if leg[0] < 0)
    wanted = sorted(leg for move in moves if is_good(move) for leg in legs_of(move))
    wrong = [
        saga_name(move.number)
        for move in moves
        if status.get(saga_name(move.number)) != ("committed" if is_good(move) else "failed")
    ]
    name = "transfers between savings stand in both accounts, or in none"
    if posted != wanted or wrong:
        return Check(name, False, f"posted {sorted(set(posted) ^ set(wanted))[:3]} against that; sagas: {wrong[:3]}")
    failed = sum(not is_good(move) for move in moves)
    return Check(
        name, True, f"{len(moves) - failed} carried out, {failed} called off, by {len(log.called_off)} rollbacks"
    )
