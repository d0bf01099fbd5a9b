"""Who a person is: an Ed25519 key of their own, and a certificate of the cluster that says their name and roles.

Whoever holds the cluster's secret vouches for people: hosts check a certificate by that, and an act by the key that it
names. So nobody acts in another's name, and what somebody has said stands signed in the log.
"""

from pathlib import Path
from time import time

import msgspec
from msgspec import Struct

from peer import errors
from peer.keys import SECRET, HostKeys, admission_mac, admits, create_file, load_secret, verify
from peer.values.texts import NAME_CHARS_MAX, check_text
from protocol.errors import UNREADABLE

_NOBODY = "Nobody was enrolled."
_CONTEXT = b"ebbtide person\0"
_ACT = b"ebbtide act\0"


class Certificate(Struct, frozen=True, array_like=True):
    """A person's name and roles, vouched for by a cluster."""

    name: str
    roles: tuple[str, ...]
    public_key: bytes
    until_us: int
    """Until when it counts, in microseconds since 1970; 0: for good."""
    mac: bytes = b""

    def _body(self) -> bytes:
        return _CONTEXT + msgspec.msgpack.encode(msgspec.structs.replace(self, mac=b""))

    def vouched(self, secret: bytes) -> "Certificate":
        """Return it with the cluster's proof."""
        return msgspec.structs.replace(self, mac=admission_mac(secret, self._body()))

    def is_of(self, secret: bytes) -> bool:
        """Tell whether the cluster with this secret vouches for it."""
        return admits(secret, self._body(), self.mac)

    def is_one_of(self, names: tuple[str, ...]) -> bool:
        """Tell whether the person, or a role of theirs, is among these."""
        return self.name in names or any(role in names for role in self.roles)


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
    certificate: Certificate
    at_us: int
    signature: bytes


class Person:
    """Somebody who can sign.

    Args:
        keys: theirs.
        certificate: what a cluster says of them.
    """

    def __init__(self, keys: HostKeys, certificate: Certificate) -> None:
        self._keys = keys
        self.certificate = certificate

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
            certificate = msgspec.msgpack.decode(beside.read_bytes(), type=Certificate)
        except OSError as error:
            raise errors.ConfigInvalid(f"{error.filename}: {error.strerror}. Nothing was signed. {remedy}") from error
        except UNREADABLE as error:
            raise errors.ConfigInvalid(f"{beside} is no certificate. Nothing was signed. {remedy}") from error
        if certificate.public_key != keys.public_key:
            raise errors.ConfigInvalid(f"{beside} is of another key than {key}. Nothing was signed. {remedy}")
        return cls(keys, certificate)

    @classmethod
    def enrol(
        cls, folder: str | Path, name: str, *roles: str, key: str | Path | None = None, days: float = 365.0
    ) -> "Person":
        """Have a cluster vouch for a person: whoever holds its folder can. Done again it renews their certificate.

        Args:
            folder: the cluster's.
            name: the person's.
            roles: what they may answer for.
            key: the file of their key, which is made if it is not there (mode 0600), and is theirs alone. The
                certificate goes beside it, under the same name with `.cert`. None: `NAME.key` here.
            days: for how many days it counts; 0: for good.

        Raises: CallerError, for what is no name; ConfigInvalid, for what is no key, or no folder of a cluster; OSError.
        """
        shown = check_text("name", name, NAME_CHARS_MAX, _NOBODY)
        named = tuple(check_text("role", role, NAME_CHARS_MAX, _NOBODY) for role in roles)
        path = Path(f"{shown}.key" if key is None else key)
        if path.suffix == ".cert":
            raise errors.CallerError(f"{path}: the certificate goes there. {_NOBODY} Name the key otherwise.")
        secret, keys = load_secret(Path(folder) / SECRET), HostKeys.load_or_create(path)
        until_us = round((time() + days * 86_400) * 1e6) if days else 0
        certificate = Certificate(shown, named, keys.public_key, until_us).vouched(secret)
        beside = path.with_suffix(".cert")
        beside.unlink(missing_ok=True)
        create_file(beside, msgspec.msgpack.encode(certificate))
        return cls(keys, certificate)

    def proof(self, act: Act) -> bytes:
        """Return what shows that this person has said so."""
        return msgspec.msgpack.encode(
            _Proof(self.certificate, act.at_us, self._keys.sign(_signed(self.certificate, act)))
        )


def signer_of(secret: bytes, proof: bytes, act: Act, now_us: int) -> Certificate:
    """Return who has signed an act; its time is taken from the proof.

    Raises: NotEntitled, if nobody has whom this cluster vouches for now.
    """
    try:
        found = msgspec.msgpack.decode(proof, type=_Proof)
    except UNREADABLE:
        raise errors.NotEntitled("that is no signature of a person. Nothing changed.") from None
    certificate = found.certificate
    if not certificate.is_of(secret):
        raise errors.NotEntitled(
            f"this cluster does not vouch for {certificate.name}. Nothing changed. Whoever holds its folder can:"
            " `ebbtide people add`."
        )
    if certificate.until_us and certificate.until_us < now_us:
        raise errors.NotEntitled(
            f"the certificate of {certificate.name} has ended. Nothing changed. Renew it: `ebbtide people add`."
        )
    signed = _signed(certificate, msgspec.structs.replace(act, at_us=found.at_us))
    if not verify(certificate.public_key, found.signature, signed):
        raise errors.NotEntitled(f"{certificate.name} has not signed this. Nothing changed.")
    return certificate


def signature_of(proof: bytes) -> tuple[str, tuple[str, ...], int]:
    """Return the name, the roles and the time that a proof in a log tells of."""
    found = msgspec.msgpack.decode(proof, type=_Proof)
    return found.certificate.name, found.certificate.roles, found.at_us


def _signed(certificate: Certificate, act: Act) -> bytes:
    """Return what is signed: the certificate as well, so that what is said in one cluster is not said in another."""
    return _ACT + msgspec.msgpack.encode(certificate) + msgspec.msgpack.encode(act)
