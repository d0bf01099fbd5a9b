"""Shared entries seen from outside a handler: the same folds, without tracking."""

from collections.abc import Sequence
from typing import Any

from peer.ports import KeyVault
from peer.values import payload
from peer.values.key_text import decode_key, encode_key
from peer.values.personal import using
from peer.values.shared_keys import is_member, map_key, total
from protocol.agent.folds import counter_amounts, decode_op, map_winner, set_members
from protocol.step import Entry, space_key


class SharedView:
    """The surviving shared entries of one replica."""

    def __init__(self, entries: Sequence[Entry], vault: KeyVault) -> None:
        self._vault = vault
        self._by_key: dict[str, list[Entry]] = {}
        for entry in entries:
            self._by_key.setdefault(entry.key, []).append(entry)

    def counter(self, space: str, key: Any) -> Any:
        """Return a counter's sum."""
        entries = self._by_key.get(space_key(space, encode_key(key)), [])
        return total(self._decoded(amount) for amount in counter_amounts(entries))

    def counters(self, space: str) -> dict[Any, Any]:
        """Return every counter of a space that anybody has added to."""
        prefix = space_key(space, "")
        texts = [
            key[len(prefix) :]
            for key, entries in self._by_key.items()
            if key.startswith(prefix) and counter_amounts(entries)
        ]
        return {key: self.counter(space, key) for key in map(decode_key, texts)}

    def value(self, space: str, name: Any, key: Any, default: Any = None) -> Any:
        """Return what a shared map holds at `key`."""
        at, before = map_key(space, name, key)
        winner = map_winner(self._by_key.get(at, [])) or map_winner(self._by_key.get(before or "", []))
        op = None if winner is None else decode_op(winner.op)
        return self._decoded(op.value) if op is not None and op.verb == "put" else default

    def members(self, space: str, name: Any) -> set[Any]:
        """Return a shared set's members."""
        found = set_members(self._by_key.get(space_key(space, encode_key(name)), []))
        return {value for member in found if is_member(value := self._decoded(member))}

    def _decoded(self, data: bytes) -> Any:
        with using(self._vault):
            return payload.decode(data)
