"""Shared spaces, as handlers see them (SH-1 to SH-3); `peer.host.replicas` knows how their entries travel."""

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from peer import errors
from peer.agents.state import Tracked
from peer.values import payload
from peer.values.brief import brief
from peer.values.key_text import encode_key
from peer.values.shared_keys import (
    checked_amount,
    checked_member,
    is_finite,
    is_member,
    keys_of,
    map_key,
    map_prefixes,
    total,
)
from protocol.agent.folds import Op, counter_amounts, decode_op, encode_op, map_winner, set_members, tag_of
from protocol.agent.versions import reads_of
from protocol.ids import StepId
from protocol.step import Entry, EntryDraft, Tolerated, space_key

_MILLIONTHS_MAX = (1 << 62) - 1
"""The log holds integers of 64 bits."""


class Spaces:
    """The spaces of one run."""

    def __init__(self, run: Tracked, joined: Sequence[str]) -> None:
        self._run = run
        self._joined = joined
        self.drafts: list[EntryDraft] = []

    def open(self, name: str) -> "Space":
        """Return a space.

        Raises: CallerError, if the agent's class does not name it in `spaces`.
        """
        if not isinstance(name, str) or name not in self._joined:
            raise errors.CallerError(
                f"this agent takes part in {', '.join(self._joined) or 'no space'}, not in {brief(name)}. Nothing"
                f" changed. Add it to the class: spaces = ({brief(name)},)"
            )
        return Space(self, name)

    def entries(self, key: str) -> list[Entry]:
        """Return the surviving entries of a key, noting whose they are."""
        entries = self._run.versions.entries(key)
        for read in reads_of(key, entries):
            self._run.reads[read.key, read.writer] = None
        return entries

    def observed(self, key: str) -> list[Entry]:
        """Return the surviving entries of a key, noting the key alone (SH-4)."""
        self._run.observed[key] = None
        return self._run.versions.entries(key)

    def tolerated(self, key: str, limit: Any) -> list[Entry]:
        """Return the surviving entries of a counter, noting what each writer has added, and the limit (RB-11)."""
        entries = self._run.versions.entries(key)
        parts: dict[StepId, int] = {}
        for entry in entries:
            for amount in counter_amounts([entry]):
                more = parts.get(entry.writer, 0) + _millionths(payload.decode(amount), math.ceil)
                parts[entry.writer] = min(more, _MILLIONTHS_MAX)
        most = min(_millionths(limit, math.floor), _MILLIONTHS_MAX - 1)
        self._run.tolerated[Tolerated(key, most, tuple(parts.items()))] = None
        return entries

    def note(self, key: str, writer: StepId | None) -> None:
        """Note a read of one writer's entry."""
        self._run.reads[key, writer] = None

    def peek(self, key: str) -> list[Entry]:
        """Return the surviving entries of a key; the caller notes what it takes from them."""
        return self._run.versions.entries(key)

    def keys(self, prefix: str) -> list[str]:
        """Return the shared keys that begin with `prefix`."""
        return [key for key in self._run.versions.shared_keys() if key.startswith(prefix)]

    def write(self, key: str, op: Op) -> None:
        """Add an entry to the run's step."""
        self._run.check_may("write to a space")
        self.drafts.append(EntryDraft(key, encode_op(op)))

    def lent(self, key: Any, data: bytes) -> Any:
        """Return the value that `data` stands for; one that is changed in place and not assigned is told of."""
        return self._lend(key, data, payload.decode(data))

    def given(self, key: Any, data: bytes, value: Any) -> None:
        """A handler has assigned a value; one that it changes in place after that is told of."""
        self._run.given(value)
        self._lend(key, data, value)

    def _lend(self, key: Any, data: bytes, value: Any) -> Any:
        return self._run.lend(f"the value of key {key!r} of a shared map", value, lambda: payload.encode(value) != data)

    def own(self, key: str) -> list[Op]:
        """Return what this run itself has written to a key so far."""
        return [decode_op(draft.op) for draft in self.drafts if draft.key == key]


def _millionths(amount: Any, rounded: Callable[[Fraction], int]) -> int:
    """Return an amount without its sign as a whole number; what is no finite number counts as beyond every limit."""
    if not isinstance(amount, int | float | Decimal) or not math.isfinite(amount):
        return _MILLIONTHS_MAX
    return min(rounded(abs(Fraction(amount)) * 1_000_000), _MILLIONTHS_MAX)


class Space:
    """One shared space: counters, maps and sets by key."""

    def __init__(self, spaces: Spaces, name: str) -> None:
        self._spaces = spaces
        self._name = name

    def counter(self, key: Any) -> "Counter":
        """Return the counter at `key`."""
        return Counter(self._spaces, space_key(self._name, encode_key(key)))

    def map(self, name: Any) -> "SharedMap":
        """Return the map called `name`; each of its keys is read and undone by itself."""
        return SharedMap(self._spaces, self._name, name)

    def set(self, name: Any) -> "SharedSet":
        """Return the set called `name`."""
        return SharedSet(self._spaces, space_key(self._name, encode_key(name)))


class Counter:
    """A sum that several agents add to."""

    def __init__(self, spaces: Spaces, key: str) -> None:
        self._spaces, self._key = spaces, key

    def add(self, amount: Any) -> None:
        """Add an amount (int, float or Decimal); negative ones subtract.

        Raises: CallerError, for what is no finite number.
        """
        self._spaces.write(self._key, Op("add", payload.encode(checked_amount(amount))))

    @property
    def value(self) -> Any:
        """The sum; reading it depends on everyone who has added to it."""
        return self._sum(self._spaces.entries(self._key))

    def value_within(self, tolerance: Any) -> Any:
        """Return the sum, and stand by it while no more than `tolerance` of it is undone (RB-11).

        Args:
            tolerance: of the amounts that were added or subtracted, without their signs, in the counter's own unit;
                counted in millionths, rounded towards less tolerance. What a loss takes is not tolerated.

        Raises: CallerError, if the tolerance is negative or no number.
        """
        if not is_finite(tolerance) or tolerance < 0:
            raise errors.CallerError(f"a tolerance is a number from 0 on, not {brief(tolerance)}. Nothing was read.")
        return self._sum(self._spaces.tolerated(self._key, tolerance))

    def observe(self) -> Any:
        """Return the sum without depending on anybody: what it shows may be undone later, and this step stays."""
        return self._sum(self._spaces.observed(self._key))

    def _sum(self, entries: list[Entry]) -> Any:
        own = [op.value for op in self._spaces.own(self._key) if op.verb == "add"]
        return total(payload.decode(value) for value in (*counter_amounts(entries), *own))


class SharedMap:
    """A map whose keys are last-writer-wins registers."""

    def __init__(self, spaces: Spaces, space: str, name: Any) -> None:
        self._spaces, self._space, self._name = spaces, space, name
        encode_key(name)

    def __setitem__(self, key: Any, value: Any) -> None:
        data = payload.encode(value)
        self._spaces.write(map_key(self._space, self._name, key)[0], Op("put", data))
        self._spaces.given(key, data, value)

    def __delitem__(self, key: Any) -> None:
        self._spaces.write(map_key(self._space, self._name, key)[0], Op("del"))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the last writer's value, or the default; depends on that writer alone."""
        return self._get(key, default)

    def observe(self, key: Any, default: Any = None) -> Any:
        """Return the last writer's value, or the default, without depending on that writer."""
        return self._get(key, default, observes=True)

    def _get(self, key: Any, default: Any, observes: bool = False) -> Any:
        at, before = map_key(self._space, self._name, key)
        own = self._spaces.own(at)
        if own:
            return self._spaces.lent(key, own[-1].value) if own[-1].verb == "put" else default
        winner = self._winner(at, observes)
        if winner is None and before is not None:
            winner = self._winner(before, observes)
        if winner is None:
            return default
        op = decode_op(winner.op)
        return self._spaces.lent(key, op.value) if op.verb == "put" else default

    def _winner(self, at: str, observes: bool) -> Entry | None:
        if observes:
            return map_winner(self._spaces.observed(at))
        winner = map_winner(self._spaces.peek(at))
        self._spaces.note(at, None if winner is None else winner.writer)
        return winner

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Yield the keys that have a value, with it; depends on the last writer of each."""
        missing = object()
        texts = [text for prefix in map_prefixes(self._space, self._name) for text in self._spaces.keys(prefix)]
        own = [draft.key for draft in self._spaces.drafts]
        for key in keys_of(self._space, self._name, (*texts, *own)):
            value = self._get(key, missing)
            if value is not missing:
                yield key, value


class SharedSet:
    """A set in which an addition wins over a removal that did not see it."""

    def __init__(self, spaces: Spaces, key: str) -> None:
        self._spaces, self._key = spaces, key

    def add(self, member: Any) -> None:
        """Add a member.

        Raises: CallerError, for what has no hash.
        """
        self._spaces.write(self._key, Op("sadd", checked_member(member)))

    def discard(self, member: Any) -> None:
        """Remove a member, as far as its additions have been seen here."""
        seen = set_members(self._spaces.entries(self._key)).get(payload.encode(member), [])
        self._spaces.write(self._key, Op("srem", payload.encode(member), tuple(tag_of(entry) for entry in seen)))

    def members(self) -> set[Any]:
        """Return the members; depends on everyone who has added or removed one."""
        return self._members(self._spaces.entries(self._key))

    def observe(self) -> set[Any]:
        """Return the members without depending on anybody."""
        return self._members(self._spaces.observed(self._key))

    def _members(self, entries: list[Entry]) -> set[Any]:
        members = dict.fromkeys(set_members(entries))
        for op in self._spaces.own(self._key):
            if op.verb == "sadd":
                members[op.value] = None
            elif op.verb == "srem":
                members.pop(op.value, None)
        return {value for member in members if is_member(value := payload.decode(member))}

    def __contains__(self, member: object) -> bool:
        return member in self.members()
