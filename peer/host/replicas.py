"""How the entries of shared spaces travel: as pycrdt documents, own ones and those of others (SH-1 to SH-3).

Every write is an entry in a slot of its own, `key / writer / index`, which nobody else ever writes; a document is a
map of slots. An author serves its own slots only, by Yjs updates: the difference to what a subscriber's state vector
says it has.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from pycrdt import Doc, Map

from peer.host.update_form import SLOTS, check_update
from peer.system import SystemRandomness
from protocol.agent.folds import decode_op
from protocol.errors import UNREADABLE
from protocol.ids import AgentId, StepId
from protocol.message import Shared, Sync
from protocol.step import Entry

_CLIENT_ID_MAX = (1 << 53) - 1
"""Yjs names documents by integers that a JavaScript number holds."""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


class Replicas:
    """One agent's documents: its own slots by space, and what it has of others'."""

    def __init__(self, agent: AgentId, seed: Callable[[], int] | None = None) -> None:
        self._agent = agent
        self._seed = seed or SystemRandomness().seed
        self._own: dict[str, Doc[Any]] = {}
        self._others: dict[str, Doc[Any]] = {}
        self._observed: dict[str, tuple[Any, Any]] = {}
        self._arrived: list[tuple[str, str, bytes]] = []
        self._served: dict[str, int] = {}
        self._had: dict[tuple[str, AgentId, int], int] = {}
        self._latest: dict[str, dict[AgentId, tuple[int, int]]] = {}
        self._vectors: dict[tuple[str, AgentId], bytes] = {}
        self._asks: dict[tuple[str, AgentId], int] = {}
        self.refused = 0
        """Entries dropped because they were not their sender's, or not entries at all."""

    def write(self, entries: Sequence[Entry]) -> list[Shared]:
        """Put own entries into their slots; return an update per space for its subscribers."""
        updates: list[Shared] = []
        for space in dict.fromkeys(entry.space for entry in entries):
            doc = self._own_doc(space)
            before, follows = doc.get_state(), self._served.get(space, 0)
            slots = doc.get(SLOTS, type=Map)
            with doc.transaction():
                for entry in entries:
                    if entry.space == space:
                        slots[f"{entry.key}\x1f{entry.writer}\x1f{entry.index}"] = _encoder.encode(entry)
                        self._served[space] = self._served.get(space, 0) + 1
            updates.append(Shared(space, doc.get_update(before), follows, self._served[space], doc.client_id))
        return updates

    def withdraw(self, steps: Sequence[StepId]) -> None:
        """Take the slots of undone steps out."""
        names = {str(step) for step in steps}
        for doc in self._own.values():
            slots = doc.get(SLOTS, type=Map)
            with doc.transaction():
                for slot in [slot for slot in sorted(slots.keys()) if slot.split("\x1f")[1] in names]:
                    del slots[slot]

    def asked(self, subscriber: AgentId, message: Sync) -> None:
        """Note what a subscriber has."""
        self._vectors[message.space, subscriber] = message.vector
        self._asks[message.space, subscriber] = message.ask

    def answer(self, subscriber: AgentId, space: str) -> Shared | None:
        """Return what a subscriber lacks of the own slots, or None if its vector is unreadable."""
        doc = self._own_doc(space)
        vector = self._vectors.get((space, subscriber), b"\x00")
        try:
            update = doc.get_update(vector)
        except BaseException as error:  # noqa: BLE001  # only what `_refuse` knows stays here
            self._refuse(error)
            return None
        ask = self._asks.get((space, subscriber), 0)
        return Shared(space, update, 0, self._served.get(space, 0), doc.client_id, ask)

    def serves(self, space: str) -> tuple[int, int]:
        """Return the own document's life, and how many slots it has ever had: what a subscriber must come to."""
        return self._own_doc(space).client_id, self._served.get(space, 0)

    def has(self) -> dict[str, dict[AgentId, tuple[int, int]]]:
        """Return, by space and author, the life and the slots that have arrived."""
        return self._latest

    def vector(self, space: str) -> Sync:
        """Return what this agent has of a space, to ask an author for the rest."""
        return Sync(space, self._doc(space).get_state())

    def merge(self, author: AgentId, message: Shared) -> tuple[list[Entry], bool]:
        """Take in an author's update.

        Returns: the entries that are new, and whether an update before this one is missing.
        """
        had = self._had.get((message.space, author, message.life), 0)
        if message.follows > had:
            return [], True
        try:
            check_update(message.update)
            self._doc(message.space).apply_update(message.update)
        except BaseException as error:  # noqa: BLE001  # only what `_refuse` knows stays here
            self._refuse(error, message.space)
            return [], False
        self._had[message.space, author, message.life] = max(had, message.total)
        self._latest.setdefault(message.space, {})[author] = (message.life, max(had, message.total))
        # A document tells its changes in no order that a second run would repeat.
        arrived = sorted(self._arrived)
        self._arrived.clear()
        entries: list[Entry] = []
        for _, slot, data in arrived:
            entry = self._checked(author, slot, data)
            if entry is not None:
                entries.append(entry)
        return entries, False

    def _refuse(self, error: BaseException, space: str = "") -> None:
        """Count what could not be read, and raise anything else; `space`: of which document nobody knows the state now.

        For some bytes the library panics: that is no Exception, and would end the host's process.
        """
        is_panic = type(error).__name__ == "PanicException"
        if not is_panic and not isinstance(error, ValueError | RuntimeError):
            raise error
        self.refused += 1
        self._arrived.clear()
        if is_panic and space:
            # Its members are asked for all of it again.
            self._observed.pop(space, None)
            self._others.pop(space, None)
            self._had = {name: had for name, had in self._had.items() if name[0] != space}

    def _checked(self, author: AgentId, slot: str, data: bytes) -> Entry | None:
        try:
            entry = _decoder.decode(data)
            decode_op(entry.op)
        except UNREADABLE:
            self.refused += 1
            return None
        if entry.writer.agent != author or slot != f"{entry.key}\x1f{entry.writer}\x1f{entry.index}":
            self.refused += 1
            return None
        return entry

    def _new(self) -> Doc[Any]:
        return Doc(client_id=self._seed() & _CLIENT_ID_MAX)

    def _own_doc(self, space: str) -> Doc[Any]:
        doc = self._own.get(space)
        if doc is None:
            doc = self._own[space] = self._new()
            doc.get(SLOTS, type=Map)
        return doc

    def _doc(self, space: str) -> Doc[Any]:
        doc = self._others.get(space)
        if doc is None:
            doc = self._others[space] = self._new()
            slots = doc.get(SLOTS, type=Map)
            # Not `self`: what a document calls keeps it, and nothing would ever collect the two.
            arrived = self._arrived

            def changed(event: Any) -> None:
                for slot, change in event.keys.items():
                    if change["action"] != "delete":
                        arrived.append((space, slot, change["newValue"]))

            # Both are kept: what is observed by nobody else goes with its last reference.
            self._observed[space] = (slots, slots.observe(changed))
        return doc
