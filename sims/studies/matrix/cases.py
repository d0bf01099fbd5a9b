"""The rows of the fault matrix: where something is killed, what is killed there, and what may be in doubt for it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from sims.studies.matrix.ledger import CRASH, HANG, RAISE, REFUSE, Strike
from sims.studies.matrix.people import DIES, ONCE, TWICE

ASKED, DURABLE = "asked", "durable"
HOST, TOOL, PERSON = "the agent's host", "the tool", "the person's tool"


class Case(Struct, frozen=True):
    """One row.

    Args:
        killed: what is.
        point: where, for people.
        flow: what the agents do: a name of `flows.FLOWS`.
        writes: records of the desk's at which its host ends: kind, which, before (`asked`) or after (`durable`) it.
        strikes: what happens to its tools.
        has_check: whether the tool can tell if a call took effect.
        how: people's tools say their words.
        first, last: which of the records or calls it is: a seed draws.
    """

    killed: str
    point: str
    flow: str
    writes: tuple[tuple[str, str], ...] = ()
    strikes: tuple[Strike, ...] = ()
    has_check: bool = True
    how: str = ONCE
    first: int = 1
    last: int = 1
    may_doubt: bool = False
    """Nobody can know: the tool has no check, or that does not answer."""

    @property
    def name(self) -> str:
        """What the row is called."""
        return f"{self.flow}: {self.killed}: {self.point}: {'check' if self.has_check else 'no check'}"


def cases() -> list[Case]:
    """Return every row, in the order of the page."""
    return [*_calls(True), *_calls(False), *_tools(True), *_tools(False), *_requests(), *_people(), *_overseers()]


def _both(point: str) -> Iterator[tuple[str, str]]:
    yield f"before {point} is durable", ASKED
    yield f"after {point} is durable", DURABLE


def _host(
    flow: str, record: str, point: str, has_check: bool, doubts: bool = False, first: int = 1, last: int = 1
) -> Iterator[Case]:
    """Yield a kill before and after a record is durable."""
    for says, when in _both(point):
        yield Case(
            HOST, says, flow, writes=((record, when),), has_check=has_check, first=first, last=last,
            may_doubt=doubts and not has_check,
        )  # fmt: skip


def _crash(flow: str, verb: str, point: str, has_check: bool, doubts: bool = False, last: int = 1) -> Iterator[Case]:
    """Yield a kill inside a call or an undo, before and after it has taken effect."""
    for when in ("before", "after"):
        yield Case(
            HOST, f"in {point}, {when} it takes effect", flow, strikes=(Strike(verb, when, CRASH),),
            has_check=has_check, last=last, may_doubt=doubts and not has_check,
        )  # fmt: skip


def _calls(check: bool) -> Iterator[Case]:
    """Yield kills of the host of an agent that pays inside its steps."""
    yield from _host("calls", "intent", "the intent", check, doubts=True, last=4)
    yield from _crash("calls", "pay", "the call", check, doubts=True, last=4)
    yield from _host("calls", "result", "the result", check, doubts=True, last=4)
    yield from _host("calls", "step", "the step", check, last=4)
    if check:
        strikes = (Strike("pay", "after", CRASH), Strike("check", "before", CRASH))
        yield Case(HOST, "in the call, and again in the check after it", "calls", strikes=strikes, last=4)
    yield from _host("calls", "vote", "the vote", check, last=2)
    yield from _host("calls", "decision", "the commit", check, last=2)
    yield from _host("calls", "undoing", "the intent to undo", check, last=2)
    yield from _crash("calls", "refund", "the undo", check, last=2)
    yield from _host("calls", "undone", "the undo's result", check, doubts=True, last=2)


def _tools(check: bool) -> Iterator[Case]:
    """Yield deaths of the process of a tool: it raises, or never answers."""
    for verb, point, last in (("pay", "the call", 4), ("refund", "the undo", 2)):
        for how, says in ((RAISE, "raises"), (HANG, "hangs")):
            for when in ("before", "after"):
                yield Case(
                    TOOL, f"{point} {says} {when} it takes effect", "calls", strikes=(Strike(verb, when, how),),
                    has_check=check, last=last, may_doubt=verb == "pay" and not check,
                )  # fmt: skip
    yield Case(
        TOOL, "the call says that nothing has happened", "calls", strikes=(Strike("pay", "before", REFUSE),),
        has_check=check, last=4,
    )  # fmt: skip
    if check:
        for how, says in ((RAISE, "raises"), (HANG, "hangs"), (REFUSE, "does not know")):
            strikes = (Strike("pay", "after", CRASH), Strike("check", "before", how))
            yield Case(
                TOOL, f"the check after a kill in the call {says}", "calls", strikes=strikes, last=4, may_doubt=True
            )


def _requests() -> Iterator[Case]:
    """Yield kills around letters, which nobody can undo."""
    for check in (True, False):
        yield from _host("requests", "word", "the release by a person", check, doubts=True)
        yield from _host("requests", "cut", "the checkpoint's cut", check)
        yield from _host("requests", "intent", "the intent, once settled", check, doubts=True)
        yield from _crash("requests", "post", "the call", check, doubts=True, last=2)
        yield from _host("requests", "result", "the result", check, doubts=True, last=2)
        yield from _host("requests", "step", "the answer's step", check, first=4, last=5)
        for how, says in ((RAISE, "raises"), (HANG, "hangs")):
            for when in ("before", "after"):
                yield Case(
                    TOOL, f"the call {says} {when} it takes effect", "requests",
                    strikes=(Strike("post", when, how),), has_check=check, last=2, may_doubt=not check,
                )  # fmt: skip
    strikes = (Strike("post", "after", CRASH), Strike("check", "before", CRASH))
    yield Case(HOST, "in the call, and again in the check after it", "requests", strikes=strikes, last=2)
    yield from _of_tools("requests", "the release")


def _people() -> Iterator[Case]:
    """Yield kills around people's words on payments."""
    for number, word in enumerate(("the approval", "the rejection", "a second approval", "the answer"), 1):
        yield from _host("approvals", "word", word, True, first=number, last=number)
    yield from _host("approvals", "intent", "the intent after an approval", True, last=2)
    yield from _crash("approvals", "pay", "the approved call", True, last=2)
    yield from _host("approvals", "undoing", "the intent to undo an approved call", True)
    yield from _of_tools("approvals", "each word")
    yield from _of_tools("late_words", "each word, two of them late or of an undone step,")
    yield from _host("late_words", "word", "the word, or the default of one that is late,", True, last=2)


def _overseers() -> Iterator[Case]:
    """Yield kills around an overseer's word, which stands in the vote."""
    yield Case(HOST, "while the overseer is asked", "crash_while_asked", strikes=())
    yield from _host("overseen", "vote", "the vote with the overseer's word", True, last=2)
    yield from _host("overseen", "decision", "the decision after the overseer's word", True, last=2)
    yield from _of_tools("overseen", "the overseer's word")
    yield from _of_tools("late_overseer", "the overseer's word, after its deadline,")


def _of_tools(flow: str, word: str) -> Iterator[Case]:
    if flow.startswith("late"):
        yield Case(PERSON, f"{word} said once", flow)
    yield Case(PERSON, f"{word} sent, and its process dies", flow, how=DIES)
    yield Case(PERSON, f"{word} said twice at once", flow, how=TWICE)
