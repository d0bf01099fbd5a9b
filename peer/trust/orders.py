"""What is said to all hosts about grants, and no rollback takes back: revocations, rotations, proofs of lies.

Each is a fact that gossip spreads and every host keeps in its log; whoever hears of one can check it alone.
"""

from contextlib import suppress
from hashlib import blake2b

import msgspec
from msgspec import Struct

from peer.keys import HostKeys, verify
from peer.trust.grant import Chain
from protocol.errors import UNREADABLE, WireInvalid
from protocol.fact import Edict

REVOKE = "revoke"
"""The grant, the key or the host named `subject` is worth nothing any more; nor is what was granted by it."""
TRUST = "trust"
"""The public key in `value` is one of the cluster's authority from now on, beside the one that signs."""
RETIRE = "retire"
"""The authority's key in `value` is one no more."""
REGRANT = "regrant"
"""The host `subject` has another chain: the one in `value`."""
LIED = "lied"
"""The host `subject` has signed both statements in `value`, which contradict each other."""
USED = "used"
"""The key `value` has come by the grant `subject`, which counts its uses. A host says so to itself alone."""

LOG = "orders:"
"""The log in which a host keeps them; no agent can have its name."""
NOTE_CHARS_MAX = 1_000
ORDER_BYTES_MAX = 64 << 10
_CONTEXT = b"ebbtide order\0"


class Order(Struct, frozen=True, array_like=True):
    """One of them."""

    kind: str
    subject: str
    note: str
    """Why, for people."""
    at_us: int
    value: bytes = b""
    by: bytes = b""
    """The public key of whoever says so."""
    chain: Chain = ()
    """By which its holder may; empty: it is the authority's own."""
    signature: bytes = b""

    def body(self) -> bytes:
        """Return what is signed."""
        return _CONTEXT + msgspec.msgpack.encode(msgspec.structs.replace(self, signature=b""))

    @property
    def is_signed(self) -> bool:
        """Tell whether it is said by whom it names."""
        return verify(self.by, self.signature, self.body())


_orders = msgspec.msgpack.Decoder(Order)


def signed(
    keys: HostKeys, kind: str, subject: str, note: str, at_us: int, *, value: bytes = b"", chain: Chain = ()
) -> Order:
    """Return an order of whoever has these keys, by this chain; without one it is the authority's."""
    unsigned = Order(kind, subject, note[:NOTE_CHARS_MAX], at_us, value, keys.public_key, chain)
    return msgspec.structs.replace(unsigned, signature=keys.sign(unsigned.body()))


def edict_of(order: Order) -> Edict:
    """Return an order as gossip carries it. Its name follows from what it says, so nobody can say another under it."""
    return edict_of_body(msgspec.msgpack.encode(order))


def edict_of_body(body: bytes) -> Edict:
    """Return an edict by its body."""
    named = body
    with suppress(WireInvalid):
        order = decode_order(body)
        # All proofs against one host go by one name: one is enough, and there can be any number of them.
        named = b"lied\0" + order.subject.encode() if order.kind == LIED else body
    return Edict(blake2b(named, digest_size=16).hexdigest(), body)


def decode_order(body: bytes) -> Order:
    """Return what the body of an edict says. Raises: WireInvalid."""
    try:
        return _orders.decode(body)
    except UNREADABLE as error:
        raise WireInvalid(f"it is no order about grants ({error})") from error


def order_of(edict: Edict) -> Order | None:
    """Return what an edict says; None for what is none, or goes by another name than it should."""
    if len(edict.body) > ORDER_BYTES_MAX or edict_of_body(edict.body) != edict:
        return None
    try:
        return decode_order(edict.body)
    except WireInvalid:
        return None
