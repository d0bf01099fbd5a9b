"""Personal data: stored and sent encrypted under a key of whom it is about, so that destroying the key erases it.

Logs, copies, blobs and messages hold ciphertext alone, chained and hashed as it is: erasing changes no byte of them.
What is encrypted comes out alike each time, so that a step that runs again claims what it had sent and done before.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from peer.errors import CallerError, PayloadUnsupported, VaultFailed
from peer.ports import KeyVault

SUBJECT_CHARS_MAX = 256

_NONCE_BYTES = 12

T = TypeVar("T")

_VAULT: ContextVar[KeyVault | None] = ContextVar("vault", default=None)
"""Whose keys encrypt and decrypt in this task: values are encoded in many places that know nothing of vaults."""


@dataclass(frozen=True)
class Erased:
    """What is read in place of personal data whose key was destroyed."""

    subject: str

    def __str__(self) -> str:
        return "(erased)"


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    subject: str
    nonce: bytes
    """Empty, as the rest is: there was no key any more when it was to be encrypted."""
    data: bytes


class Personal(Generic[T]):
    """A value about somebody: `value` in memory, encrypted wherever it is stored or sent."""

    __slots__ = ("_decode", "_opened", "_sealed", "_vault", "subject")

    def __init__(self, value: T | Erased, subject: str) -> None:
        """Say whom a value is about.

        Args:
            value: anything that can be stored; None and the like tell nobody anything, and are encrypted all the same.
            subject: a name that says nothing by itself, such as `customer-17`: it stays readable.

        Raises: CallerError, for a subject that is no str of 1 to 256 characters.
        """
        _check_subject(subject)
        self.subject = subject
        self._opened: tuple[Any] | None = (value,)
        self._sealed: _Sealed | None = None
        self._vault: KeyVault | None = None
        self._decode: Callable[[bytes], Any] = bytes

    @property
    def value(self) -> T | Erased:
        """The value; of what was stored or sent, `Erased(subject)` from the moment on that its key is destroyed.

        Raises: VaultFailed, if the vault can't be read, or never had the key; CallerError, where there is no vault.
        """
        if self._opened is not None:
            return self._opened[0]
        assert self._sealed is not None
        return _open(self._sealed, self._vault or _VAULT.get(), self._decode)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Personal) or self.subject != other.subject:
            return False
        if self._sealed is not None and other._sealed is not None:
            return self._sealed == other._sealed
        return self.value == other.value

    def __hash__(self) -> int:
        return hash(self.subject)

    def __repr__(self) -> str:
        # Reprs get into logs of processes, which no key protects.
        return f"Personal(subject={self.subject!r})"


@contextmanager
def using(vault: KeyVault) -> Iterator[None]:
    """Let the keys of a vault serve what is encoded and decoded meanwhile, and in tasks that are begun meanwhile."""
    token = _VAULT.set(vault)
    try:
        yield
    finally:
        _VAULT.reset(token)


def key_name(subject: str) -> str:
    """Return the name of a subject's key in the vault.

    Raises: CallerError, as `Personal`.
    """
    _check_subject(subject)
    return f"subject:{subject}"


def seal(value: "Personal[Any] | Erased", encode: Callable[[object], bytes]) -> bytes:
    """Return the encrypted form of personal data.

    Args:
        value: what is already encrypted is passed on as it is.
        encode: makes a payload of what is inside.

    Raises: PayloadUnsupported, where there is no vault; VaultFailed.
    """
    if isinstance(value, Erased):
        return msgspec.msgpack.encode(_Sealed(value.subject, b"", b""))
    return msgspec.msgpack.encode(value._sealed or _closed(value, encode))


def _closed(value: Personal[Any], encode: Callable[[object], bytes]) -> _Sealed:
    vault, subject, inside = _VAULT.get(), value.subject, value.value
    if vault is None:
        raise PayloadUnsupported(
            f"{value!r} can't be encrypted here: there is no vault. Nothing was sent or stored. Make and send personal"
            " data in a handler, or by a Cluster."
        )
    key = None if isinstance(inside, Erased) else vault.key(key_name(subject))
    if key is None:
        # Whoever was erased stays erased: what a handler had still in its hands goes no further.
        return _Sealed(subject, b"", b"")
    data = encode(inside)
    # The nonce follows from what is encrypted: equal values become equal bytes, and no nonce serves two of them.
    nonce = blake2b(data, key=_part(key, b"nonce"), digest_size=_NONCE_BYTES).digest()
    return _Sealed(subject, nonce, AESGCM(_part(key, b"cipher")).encrypt(nonce, data, subject.encode()))


def unseal(data: bytes, decode: Callable[[bytes], Any]) -> Personal[Any]:
    """Return personal data from its encrypted form, which is decrypted whenever its value is asked for.

    Args:
        data: what `seal` has made.
        decode: makes a value of the payload inside.

    Raises: ValueError, for other bytes.
    """
    sealed = msgspec.msgpack.decode(data, type=_Sealed)
    if not 0 < len(sealed.subject) <= SUBJECT_CHARS_MAX or len(sealed.nonce) not in (0, _NONCE_BYTES):
        raise ValueError("personal data of nobody")
    found: Personal[Any] = Personal(None, sealed.subject)
    found._sealed, found._opened, found._vault, found._decode = sealed, None, _VAULT.get(), decode
    return found


def _open(sealed: _Sealed, vault: KeyVault | None, decode: Callable[[bytes], Any]) -> Any:
    if not sealed.nonce:
        return Erased(sealed.subject)
    if vault is None:
        raise CallerError(
            f"the value of Personal(subject={sealed.subject!r}) can't be read here: there is no vault. Read it in a"
            " handler, or by a Cluster."
        )
    key = vault.key(key_name(sealed.subject), make=False)
    if key is None:
        return Erased(sealed.subject)
    try:
        data = AESGCM(_part(key, b"cipher")).decrypt(sealed.nonce, sealed.data, sealed.subject.encode())
    except InvalidTag:
        raise VaultFailed(
            f"The key of {sealed.subject!r} in the vault at {vault.address} does not fit what was encrypted: it is of"
            " another vault, or what was encrypted was altered. Nothing changed; the input waits. Start with the right"
            " vault."
        ) from None
    return decode(data)


def _part(key: bytes, use: bytes) -> bytes:
    return blake2b(key=key, person=use, digest_size=32).digest()


def _check_subject(subject: object) -> None:
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARS_MAX:
        raise CallerError(f"subject {subject!r}: it is a str of 1 to {SUBJECT_CHARS_MAX} characters. Nothing changed.")
