"""Who a person is: an Ed25519 key of their own, and a grant of the cluster that says their name, roles and rights.

The cluster's authority vouches for people: hosts check a grant by its public key, and an act by the key that the grant
names. So nobody acts in another's name, and what somebody has said stands signed in the log.
"""

from pathlib import Path
from time import time

import msgspec
from msgspec import Struct

from peer import errors
from peer.keys import HostKeys, create_file, verify
from peer.trust import authority
from peer.trust.grant import Chain, Grant, grant
from peer.trust.rights import LOOK, RELEASE, RESTORE, ROLLBACK, SUBMIT, checked
from peer.trust.trust import Trust
from peer.values.fields import days_of
from peer.values.texts import NAME_CHARS_MAX, check_text
from protocol.errors import UNREADABLE

MAY = tuple(f"{verb}:*" for verb in (LOOK, SUBMIT, ROLLBACK, RELEASE, RESTORE))
"""What people may, if nothing else is said."""
_NOBODY = "Nobody was enrolled."
_ACT = b"ebbtide act\0"


class Act(Struct, frozen=True, array_like=True):
    """What a person says, as it is signed."""

    verb: str
    agent: str
    subject: str
    """The request or rollback that it is about."""
    step: str
    """The step that has requested it: said of one run, it is not said of another."""
    note: str
    value: bytes
    at_us: int


class _Proof(Struct, frozen=True, array_like=True):
    chain: Chain
    at_us: int
    signature: bytes


class Person:
    """Somebody who can sign.

    Args:
        keys: theirs.
        chain: what a cluster says of them.
    """

    def __init__(self, keys: HostKeys, chain: Chain) -> None:
        self.keys = keys
        self.chain = chain

    @property
    def certificate(self) -> Grant:
        """What is granted to them."""
        return self.chain[-1]

    @property
    def name(self) -> str:
        """Their name in the cluster."""
        return self.certificate.name

    @property
    def roles(self) -> tuple[str, ...]:
        """What they may answer for."""
        return self.certificate.roles

    @classmethod
    def load(cls, path: str | Path) -> "Person":
        """Read a person's key, and the certificate beside it (the same name, ending in `.cert`).

        Raises: ConfigInvalid, naming the file and the remedy.
        """
        key, beside = Path(path), Path(path).with_suffix(".cert")
        remedy = "Have one made by `ebbtide people add NAME --key FILE`."
        try:
            keys = HostKeys.load(key)
            chain = msgspec.msgpack.decode(beside.read_bytes(), type=Chain)
        except OSError as error:
            raise errors.ConfigInvalid(f"{error.filename}: {error.strerror}. Nothing was signed. {remedy}") from error
        except UNREADABLE as error:
            raise errors.ConfigInvalid(f"{beside} is no certificate. Nothing was signed. {remedy}") from error
        if not chain or chain[-1].public_key != keys.public_key:
            raise errors.ConfigInvalid(f"{beside} is of another key than {key}. Nothing was signed. {remedy}")
        return cls(keys, chain)

    @classmethod
    def enrol(
        cls, folder: str | Path, name: str, *roles: str, key: str | Path | None = None, days: float = 365.0,
        may: tuple[str, ...] = MAY,
    ) -> "Person":  # fmt: skip
        """Have a cluster vouch for a person: whoever holds its folder can. Done again it renews their certificate.

        Args:
            folder: the cluster's.
            name: the person's.
            roles: what they may answer for.
            key: the file of their key, which is made if it is not there (mode 0600), and is theirs alone. The
                certificate goes beside it, under the same name with `.cert`. None: `NAME.key` here.
            days: for how many days it counts; 0: for good.
            may: rights, as `ebbtide access` lists them.

        Raises: CallerError, for what is no name or time; ConfigInvalid, for what is no key, or no folder of a cluster;
            OSError.
        """
        shown = check_text("name", name, NAME_CHARS_MAX, _NOBODY)
        named = tuple(check_text("role", role, NAME_CHARS_MAX, _NOBODY) for role in roles)
        lasting = days_of("days", days)
        path = Path(f"{shown}.key" if key is None else key)
        if path.suffix == ".cert":
            raise errors.CallerError(f"{path}: the certificate goes there. {_NOBODY} Name the key otherwise.")
        root, rights = authority.load(Path(folder)), checked(may)
        keys = HostKeys.load_or_create(path)
        until_us = round((time() + lasting * 86_400) * 1e6) if lasting else 0
        chain = (grant(root, shown, keys.public_key, rights, roles=named, until_us=until_us),)
        beside = path.with_suffix(".cert")
        beside.unlink(missing_ok=True)
        create_file(beside, msgspec.msgpack.encode(chain))
        return cls(keys, chain)

    def proof(self, act: Act) -> bytes:
        """Return what shows that this person has said so."""
        return msgspec.msgpack.encode(_Proof(self.chain, act.at_us, self.keys.sign(_signed(self.certificate, act))))


def signer_of(trust: Trust, proof: bytes, act: Act) -> Grant:
    """Return the grant of whoever has signed an act; its time is taken from the proof.

    Raises: NotEntitled, if nobody has whom this cluster vouches for now.
    """
    try:
        found = msgspec.msgpack.decode(proof, type=_Proof)
    except UNREADABLE:
        raise errors.NotEntitled("that is no signature of a person. Nothing changed.") from None
    holds = trust.check(found.chain)
    signed = _signed(holds, msgspec.structs.replace(act, at_us=found.at_us))
    if not verify(holds.public_key, found.signature, signed):
        raise errors.NotEntitled(f"{holds.name} has not signed this. Nothing changed.")
    return holds


def signature_of(proof: bytes) -> tuple[str, tuple[str, ...], int]:
    """Return the name, the roles and the time that a proof in a log tells of."""
    found = msgspec.msgpack.decode(proof, type=_Proof)
    return found.chain[-1].name, found.chain[-1].roles, found.at_us


def _signed(certificate: Grant, act: Act) -> bytes:
    """Return what is signed: the grant as well, so that what is said in one cluster is not said in another."""
    return _ACT + msgspec.msgpack.encode(certificate) + msgspec.msgpack.encode(act)
