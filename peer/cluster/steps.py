"""An agent's steps as people look at them: gone through one by one, while they come in pages."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from peer.agents import envelope
from peer.agents.envelope import handled_by_name
from peer.errors import CallerError
from peer.host.questions import StepsAnswer, StepsAsk
from peer.ports import KeyVault
from peer.values.brief import brief
from peer.values.codec import look
from peer.values.fields import number, text
from peer.values.key_text import decode_key, is_own
from peer.values.personal import using
from protocol.ids import AgentId, StepId
from protocol.step import StepRecord

AskPage = Callable[[StepsAsk], Awaitable[StepsAnswer]]


class StepRead(NamedTuple):
    """What a step has read, and hangs on."""

    key: Any
    """A key of the agent's state; of a shared space a text, `space:NAME/KEY`."""
    writer: StepId | None
    """Which step had written it; None: nobody had."""


class StepCall(NamedTuple):
    """A tool that a step has called."""

    tool: str
    intent: str
    kind: str
    """`compensable` or `idempotent`; `unknown`, where the agent's class has no such tool any more."""
    state: str
    """What has become of it: see `Effect`; `unknown`, once that is compacted."""


class StepSent(NamedTuple):
    """A message that a step has sent, or a timer that it has set for its own agent."""

    to: AgentId
    message: Any


@dataclass(frozen=True)
class Step:
    """One step, and what has become of it."""

    id: StepId
    message: Any
    """What it handled, asked or answered; where its class is not known here, a dict of its fields. None for a time."""
    handled: str
    """The name of the message's class, as in `int`; `Answer` for an answer or none in time; `!every` for a time."""
    sender: AgentId
    """Who sent it; `ext:SOURCE` if it came from outside."""
    attempt: int
    """1 at first, and one more each time that its input was given back."""
    reads: tuple[StepRead, ...]
    observed: tuple[Any, ...]
    """Keys that it read without hanging on whoever wrote them."""
    writes: dict[Any, Any]
    """By key, what it wrote into its agent's state; None for a key that it has deleted. Secrets and bulky values are
    `Hidden`: `Cluster.state(at=)` has the latter."""
    shares: tuple[str, ...]
    """Keys of shared spaces that it has written, as `space:NAME/KEY`."""
    calls: tuple[StepCall, ...]
    sent: tuple[StepSent, ...]
    model: str
    """Which model made it, if it said so."""
    confidence: float | None
    scores: dict[str, float]
    sent_at: datetime | None
    """When its message was sent, UTC, or taken on from outside; None if the log does not say."""
    at: datetime
    """When it ran, UTC."""
    epoch: int
    """How many cuts its agent had made before: it is inside checkpoint `epoch + 1`, and those after it."""
    undone_by: str
    """The proposal that undid it, `restore/NUMBER`, or `loss/AGENT/INCARNATION`; empty, if it stands."""


class Steps:
    """Steps of one agent: `async for step in steps` goes through them, `await steps` is the list of their pages.

    Args:
        ask: asks for a page.
        wanted: which of them.
        types: classes of messages that are known here, by name.
        vault: has the keys of personal data.
    """

    def __init__(self, ask: AskPage, wanted: StepsAsk, types: Mapping[str, type], vault: KeyVault) -> None:
        self._ask = ask
        self._wanted = wanted
        self._types = types
        self._vault = vault

    def __await__(self) -> Generator[Any, None, list[StepsAnswer]]:
        return self._all().__await__()

    async def _all(self) -> list[StepsAnswer]:
        return [page async for page in self.pages()]

    async def pages(self) -> AsyncIterator[StepsAnswer]:
        """Give the pages that are not empty, as they stand in the log; each is asked for when it is wanted."""
        ask = self._wanted
        while True:
            page = await self._ask(ask)
            if page.records:
                yield page
            if page.next is None:
                return
            ask = msgspec.structs.replace(ask, after=page.next)

    async def __aiter__(self) -> AsyncIterator[Step]:
        async for page in self.pages():
            for record, by in zip(page.records, page.retracted_by, strict=True):
                with using(self._vault):
                    step = shown(record, by, page.effects, self._types)
                yield step


def asked_for(handled: type | str | None, undone: bool | None, confidence_below: float | None) -> StepsAsk:
    """Return which steps somebody wants.

    Raises: CallerError, naming what is no filter.
    """
    if not isinstance(handled, type | str | None):
        raise CallerError(f"handled={brief(handled)}: name a message's class, or give it. Nothing was asked.")
    if not isinstance(undone, bool | None):
        raise CallerError(f"undone={brief(undone)}: it is True, False or None. Nothing was asked.")
    below = None if confidence_below is None else number("confidence_below", confidence_below)
    name = handled.__name__ if isinstance(handled, type) else text("handled", handled or "")
    return StepsAsk(None, name, undone, below)


def shown(
    record: StepRecord, by: str, effects: Mapping[str, tuple[str, str, str]], types: Mapping[str, type]
) -> Step:  # fmt: skip
    """Return a step as people look at it."""
    item = record.input
    return Step(
        id=record.step,
        message=envelope.content(item.payload, types),
        handled=handled_by_name(item.payload),
        sender=item.sender,
        attempt=item.attempt,
        reads=tuple(StepRead(_key(read.key), read.writer) for read in record.reads if not is_own(read.key)),
        observed=tuple(_key(key) for key in record.observed),
        writes={
            _key(key): None if data is None else look(data, None) for key, data in record.writes if not is_own(key)
        },
        shares=tuple(dict.fromkeys(entry.key for entry in record.entries)),
        calls=tuple(_call(intent, effects) for intent in record.calls),
        sent=tuple(StepSent(output.receiver, envelope.content(output.payload, types)) for output in record.outputs),
        model=record.model,
        confidence=record.confidence,
        scores=dict(record.scores),
        sent_at=_moment(item.time_us) if item.time_us else None,
        at=_moment(record.time_us),
        epoch=record.epoch,
        undone_by=by,
    )


def _key(text: str) -> Any:
    return text if text.startswith("space:") else decode_key(text)


def _call(intent: str, effects: Mapping[str, tuple[str, str, str]]) -> StepCall:
    tool, kind, state = effects.get(intent, ("unknown", "unknown", "unknown"))
    return StepCall(tool, intent, kind, state)


def _moment(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us / 1e6, UTC)
