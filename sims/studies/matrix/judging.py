"""Judges a world of the fault matrix by what was done outside and by what its agents' users see: their state."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from sims.checkers import Broken
from sims.studies.matrix.flows import Expected
from sims.studies.matrix.ledger import Ledger
from sims.world import World


class Verdict(Struct, frozen=True):
    """What has become of one run."""

    struck: int = 0
    """How often what was to happen has happened."""
    twice: int = 0
    """Orders of which two effects stood at any time."""
    lost: int = 0
    """Orders that stand, and whose effect does not, or is another."""
    uncompensated: int = 0
    """Orders that are undone, and whose effect stands."""
    left: int = 0
    """Of these in doubt, which a person is to settle; not counted as uncompensated."""
    orphans: int = 0
    """What stands elsewhere because of an effect that does not."""
    doubts: int = 0
    """Orders of which their agent was told that nobody knows."""
    stuck: int = 0
    """1: it has not come to its end within the virtual limit."""
    broken: int = 0
    """1: an invariant of the simulator does not hold besides, or our own code has raised."""
    why: str = ""


COUNTS = ("twice", "lost", "uncompensated", "left", "orphans", "doubts", "stuck", "broken")


def judge(world: World, ledger: Ledger, expected: Expected, struck: int) -> Verdict:
    """Compare what stands with what must; what people were told is in doubt may stand or not, but once."""
    state = world.state("desk")
    doubtful = {key[1] for key in state if key[0] == "doubt"}
    paid, paid_twice = ledger.standing("pay", "refund")
    posted, posted_twice = ledger.standing("post", "")
    shipped, shipped_twice = ledger.standing("ship", "unship")
    lost = _lost(paid, expected.paid, doubtful) | _lost(posted, expected.posted, doubtful)
    extra = _extra(paid, expected.paid) | _extra(posted, expected.posted)
    lost |= _lost(shipped, expected.shipped, set()) | _unnoted(state, {**expected.paid, **expected.posted}, doubtful)
    orphans = _extra(shipped, expected.shipped)
    if "book" in world.agents:
        book = world.state("book")
        noted = {key[1]: [value] for key, value in book.items() if key[0] == "done"}
        orphans |= _extra(noted, expected.shipped)
        lost |= _unnoted(book, expected.shipped, set())
    answers = len(state.get("answers", []))
    return Verdict(
        struck=struck, twice=len(paid_twice | posted_twice | shipped_twice) + max(0, answers - expected.answers),
        lost=len(lost) + max(0, expected.answers - answers), uncompensated=len(extra - ledger.doubted),
        left=len(extra & ledger.doubted), orphans=len(orphans), doubts=len(ledger.doubted),
    )  # fmt: skip


def _lost(stands: dict[int, list[int]], expected: dict[int, int], doubtful: set[int]) -> set[int]:
    return {order for order, amount in expected.items() if amount not in stands.get(order, [])} - doubtful


def _extra(stands: dict[int, list[int]], expected: dict[int, int]) -> set[int]:
    return {order for order, amounts in stands.items() if any(amount != expected.get(order) for amount in amounts)}


def _unnoted(state: dict[Any, Any], expected: dict[int, int], doubtful: set[int]) -> set[int]:
    return {order for order, amount in expected.items() if state.get(("done", order)) != amount} - doubtful


def broken(world: World) -> str:
    """Return which invariant of the simulator does not hold, if one does not."""
    try:
        world.check()
    except Broken as error:
        return str(error)
    return ""
