"""What the runtime needs from the world, by name: each port has a real and, where tests need one, a simulated side.

Every implementation of a port passes the same tests in `tests/contract/`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from peer.damage import Damage, Finding
from protocol.action import Action, Tell
from protocol.agent.shelf import Shelf
from protocol.event import Event, Settled
from protocol.ids import AgentId, HostId

Done = Callable[[], None]
Cancel = Callable[[], None]


class Clock(Protocol):
    """Time, in microseconds since the Unix epoch."""

    def now_us(self) -> int:
        """Wall time at start plus monotonic time since: it never goes back."""
        ...

    def wake(self, at_us: int, call: Callable[[], None]) -> Cancel:
        """Call `call` once, at `at_us` or soon after; the returned function cancels it."""
        ...


class Randomness(Protocol):
    """Chance, handed in: a simulator's is the same for the same seed."""

    def seed(self) -> int:
        """Return 64 bits that nobody can foretell, for whoever needs chance of its own."""
        ...


class LogStore(Protocol):
    """The durable logs of a host's agents: append-only sequences of opaque records."""

    def append(self, agent: AgentId, records: Sequence[bytes], done: Done, anchor: bool = False) -> None:
        """Append in order, in one transaction with whatever else the host waits for; call `done` once durable.

        With `anchor` the records stand for everything of the agent's before them: reading may begin there.

        `done` is called on the host's event loop, never inside this call, and in the order of the appends.
        """
        ...

    def begin_at(
        self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done, *, lost: bool = False
    ) -> None:
        """Begin a log here that stood elsewhere up to record `first` - 1, whose hash is `prev`; `done` as in `append`.

        A log that is here already ends before that record. With `lost`, what followed these records is nowhere any
        more; that is as durable as they are, see `is_lost`.
        """
        ...

    def is_lost(self, agent: AgentId) -> bool:
        """Tell whether the end of a log was lost, and nothing was appended since."""
        ...

    def reads_from(self, agent: AgentId) -> tuple[int, bytes]:
        """Return the record from which on a log suffices, and the hash that it follows."""
        ...

    def prev_of(self, agent: AgentId, number: int) -> bytes:
        """Return the hash that a durable record follows. Raises: LogCorrupt."""
        ...

    def hash_of(self, agent: AgentId, number: int) -> bytes:
        """Return the hash of a durable record. Raises: LogCorrupt."""
        ...

    def read(self, agent: AgentId, first: int = 0) -> Iterator[bytes]:
        """Yield the agent's records, oldest first, from number `first` on.

        Without a number from the last anchor or an earlier place on.

        Raises: LogCorrupt, naming the file and the record, if a record's hash does not fit.
        """
        ...

    def length(self, agent: AgentId) -> int:
        """Return how many durable records the agent has, from the first on."""
        ...

    def agents(self) -> list[AgentId]:
        """Return the agents that have a log here, in order of name."""
        ...

    def head(self) -> tuple[int, bytes]:
        """Return number and digest of the last write: they stand for all that was ever written; (0, b"") for none."""
        ...

    def tidy(self) -> None:
        """An epoch is committed: a good time to sign what is written, and to put away what is not needed any more."""
        ...

    def mendable(self) -> "Mendable | None":
        """Return this store as one in which damage is found and mended; None if there can be none."""
        ...

    def close(self) -> None:
        """Write what is queued, then release the file."""
        ...


class Mendable(LogStore, Protocol):
    """A log store that tells which of its records are not as they were written, and takes others in their place."""

    @property
    def folder(self) -> Path:
        """Where it lies, for people."""
        ...

    @property
    def findings(self) -> Sequence[Finding]:
        """What was wrong with the log when it was opened."""
        ...

    @property
    def torn(self) -> int:
        """Bytes of a last write that a crash had cut short: they had never been acknowledged."""
        ...

    def damages(self, agent: AgentId) -> list[Damage]:
        """Return which records of an agent are not there as they were written."""
        ...

    def needed(self, agent: AgentId) -> list[Damage]:
        """Return the same, less what stands before the last anchor."""
        ...

    def begin_of(self, agent: AgentId) -> int:
        """Return the record from which on a log suffices; nothing is read."""
        ...

    def tail(self, agent: AgentId) -> tuple[int, bytes]:
        """Return number and hash of the agent's last durable record."""
        ...

    def mend(
        self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done, anchor: bool = False
    ) -> None:
        """Put copies in the place of damaged records, or after the last one if the log has lost its end.

        Args:
            agent: whose log.
            first: the number of the first of them.
            prev: the hash of the record before it.
            records: as they were written.
            done: called once they are durable.
            anchor: reading may begin with the first of them.
        """
        ...

    def begin_at(
        self, agent: AgentId, first: int, prev: bytes, records: Sequence[bytes], done: Done, anchor: bool = False, *,
        lost: bool = False,
    ) -> None:  # fmt: skip
        """As in `LogStore`; with `anchor`, reading may begin with the first of them."""
        ...

    def failure(self) -> Exception | None:
        """Return what has ended the writing, if anything has: then no `done` comes any more."""
        ...


class Shelves(Protocol):
    """Where the messages of a host's agents lie that wait far behind others, until they are sent or the host ends."""

    def of(self, agent: AgentId) -> Shelf:
        """Begin an agent's shelf anew: what an earlier life of it had there is asked for by nobody."""
        ...

    def end(self, agent: AgentId) -> None:
        """An agent is gone from here: nobody asks for what it had."""
        ...


@dataclass
class TransportCounts:
    """What a transport has seen; every drop is counted, none is silent."""

    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0
    refused: int = 0
    """Frames dropped because their signature, form, version or addressee was wrong."""
    dropped: int = 0
    """Frames not sent: no address known yet, or a full queue. Senders resend what matters."""
    withheld: int = 0
    """Frames that went without a part, or not at all: their receivers speak an older wire version (CL-8)."""
    cut: int = 0
    """Connections of others that were ended because there were too many."""


class Gate(Protocol):
    """Who may connect to a host, and what it shows where it is not known yet."""

    def hello(self) -> bytes:
        """Return what shows that this host belongs to the cluster."""
        ...

    def welcome(self, host: HostId, hello: bytes) -> bool:
        """Tell whether a host that shows this may come in."""
        ...

    def host_at(self, curve_key: bytes) -> HostId | None:
        """Return who may connect by a key of CURVE, 32 bytes; None: nobody who is known."""
        ...

    def may_come(self, host: HostId) -> bool:
        """Tell whether what a host sends is read now: who was let in may have been put out since."""
        ...

    def expect(self, public_key: bytes) -> None:
        """This host goes to see one with this key: what it answers is let in."""
        ...


class Transport(Protocol):
    """Signed frames between hosts, best effort: they may be lost, doubled or reordered, never altered."""

    address: str
    """Where others reach this host; known after `open`."""
    counts: TransportCounts

    async def open(self, received: Callable[[HostId, bytes], None]) -> None:
        """Start to receive: `received(sender, body)` is called on the event loop for every frame that verifies."""
        ...

    def connect(self, host: HostId, address: str) -> None:
        """Say where a host is reached; a later call with another address replaces the first."""
        ...

    def send(self, receiver: HostId, body: bytes) -> None:
        """Send one frame; never blocks. A host with no address, or a full queue, drops it and counts."""
        ...

    def introduce(self, address: str, body: bytes) -> None:
        """Send one frame to an address whose host is not known yet."""
        ...

    async def close(self) -> None:
        """Stop receiving and sending, and release the socket."""
        ...


def blob_digest(data: bytes) -> bytes:
    """Return the name of a blob: BLAKE2b of its content, 32 bytes."""
    return blake2b(data, digest_size=32).digest()


class Blobs(Protocol):
    """Bytes that are too big for a log, named by their hash. Calls block: those that may last are made in a thread."""

    address: str
    """Where they are kept, for people."""

    def put(self, data: bytes) -> bytes:
        """Keep bytes, and return their hash once they are durable; what is there already, and whole, counts as new.

        So a sweep of what nothing refers to leaves it alone until a record does.

        Raises: BlobLost, naming the address and the hash.
        """
        ...

    def get(self, digest: bytes) -> bytes:
        """Return the bytes of a hash, checked.

        Raises: BlobLost, naming the address and the hash, if they are missing or altered.
        """
        ...


class KeyVault(Protocol):
    """Keys of 32 bytes by name, shared by all hosts and never logged: who erases one erases what it has encrypted."""

    address: str
    """Where they are kept, for people."""

    def key(self, name: str, make: bool = True) -> bytes | None:
        """Return the key of a name, made when it is first asked for, by two processes at once the same; None if erased.

        Raises: VaultFailed, naming the address; without `make` also for a key that is not there, and was not erased.
        """
        ...

    def erase(self, name: str) -> None:
        """Destroy the key of a name, there or not, for good: none is made for that name again.

        Raises: VaultFailed, naming the address.
        """
        ...


class Observer(Protocol):
    """Looks on at a host and changes nothing: the simulator's judges do. Every call is made on the event loop.

    Source: trio's `Instrument`.
    """

    def came(self, agent: AgentId) -> None:
        """An agent has come up on a host that was up already."""
        ...

    def handled(self, agent: AgentId, event: Event, actions: Sequence[Action]) -> None:
        """An agent's machine has handled an event; what it says is about to be carried out."""
        ...

    def placed(self, log: AgentId, length: int) -> None:
        """The backups have so many records of a log, and what waited for that goes on now (CP-10)."""
        ...

    def settled(self, event: Settled) -> None:
        """An epoch is committed, as agents here are told that do not sleep (CP-13)."""
        ...

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """A line for whoever audits."""
        ...


class Unobserved:
    """Nobody looks on; implements `Observer`."""

    def came(self, agent: AgentId) -> None:
        """Nobody is told."""

    def handled(self, agent: AgentId, event: Event, actions: Sequence[Action]) -> None:
        """Nobody is told."""

    def placed(self, log: AgentId, length: int) -> None:
        """Nobody is told."""

    def settled(self, event: Settled) -> None:
        """Nobody is told."""

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """Nobody is told."""
