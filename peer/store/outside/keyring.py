"""Encryption at rest: data keys of one folder, themselves encrypted by a key that the host is given.

Changing the given key encrypts the data keys anew, not the log; and from then on a new data key is used. Source:
NIST SP 800-57 (key wrapping), NIST SP 800-38D (AES-GCM).
"""

import os
import secrets
import time
from hashlib import blake2b
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from peer.errors import ConfigInvalid
from peer.store.files import Files

FILE = "keyring.json"
KEY_FILE = "EBBTIDE_KEY_FILE"
"""The environment variable that names the key file, for whoever reads logs."""
KEY_BYTES = 32
NONCE_BYTES = 12
ID_BYTES = 4
SECRET_BYTES_MIN = 16


class _Wrapped(msgspec.Struct, frozen=True):
    id: int
    nonce: bytes
    key: bytes
    """Encrypted."""
    made_s: int


class Keyring:
    """Encrypts and decrypts for one folder; implements `codec.Cipher`.

    Frames carry 16 bytes of authentication and 16 of nonce and key's number. Names of agents, sizes and times of
    writing stay readable.
    """

    def __init__(self, keys: dict[int, bytes]) -> None:
        self._ciphers = {number: AESGCM(key) for number, key in keys.items()}
        self._current = max(keys)

    @classmethod
    def open(cls, folder: Path, secret: bytes) -> "Keyring":
        """Open a folder's keyring, or make one.

        Raises: ConfigInvalid, if the secret is not the one that it was made with, or too short.
        """
        master = _master(secret)
        file = folder / FILE
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _write(file, master, {1: secrets.token_bytes(KEY_BYTES)})
        return cls(_read(file, master))

    def encrypt(self, data: bytes) -> bytes:
        """Return the data encrypted by the newest data key."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        number = self._current.to_bytes(ID_BYTES, "big")
        return number + nonce + self._ciphers[self._current].encrypt(nonce, data, number)

    def decrypt(self, data: bytes) -> bytes:
        """Return the data.

        Raises: ValueError, if it is not what `encrypt` made; ConfigInvalid, if its key is not in the keyring.
        """
        number, nonce = data[:ID_BYTES], data[ID_BYTES : ID_BYTES + NONCE_BYTES]
        cipher = self._ciphers.get(int.from_bytes(number, "big"))
        if cipher is None:
            raise ConfigInvalid(
                f"Data key {int.from_bytes(number, 'big')}, which a part of the log is encrypted by, is not in {FILE}."
                " Nothing was changed. Restore the file from a backup."
            )
        try:
            return cipher.decrypt(nonce, data[ID_BYTES + NONCE_BYTES :], number)
        except InvalidTag as error:
            raise ValueError("it does not decrypt: it is not as it was written") from error


def rotate(folder: Path, old: bytes, new: bytes) -> int:
    """Have a folder's keyring opened by another secret, and what is written from now on by another data key.

    The host must not be running, or goes on with the data key that it has until it is started again.

    Returns: the number of the new data key.

    Raises: ConfigInvalid, if the old secret is not the right one, the new one is too short, or there is no keyring.
    """
    file = folder / FILE
    if not file.exists():
        raise ConfigInvalid(f"{folder} has no {FILE}: its log is not encrypted. Nothing was changed.")
    keys = _read(file, _master(old))
    number = max(keys) + 1
    _write(file, _master(new), {**keys, number: secrets.token_bytes(KEY_BYTES)})
    return number


def read_secret(file: Path) -> bytes:
    """Return the secret in a key file.

    Raises: ConfigInvalid, if it can't be read, or is too short.
    """
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise ConfigInvalid(
            f"The key file {file} can't be read: {error}. Nothing was changed. Make one by 'ebbtide log new-key FILE'."
        ) from error
    _master(secret)
    return secret


def cipher_of(folder: Path, key_file: str) -> Keyring | None:
    """Return what encrypts the log in a folder; None: nothing does.

    Raises: ConfigInvalid, for a key file that can't be used, and for an encrypted log without one.
    """
    if key_file:
        return Keyring.open(folder, read_secret(Path(key_file)))
    if (folder / FILE).exists():
        raise ConfigInvalid(
            f"The log in {folder} is encrypted, and no key was given. Nothing was changed. Give the file with its key:"
            f" Storage(key_file=...); to audits, --key-file or {KEY_FILE}."
        )
    return None


def make_secret(file: Path) -> None:
    """Make a key file, for its owner only.

    Raises: ConfigInvalid, if there is a file of that name.
    """
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigInvalid(
            f"The key file {file} can't be made: {error}. Nothing was changed. Choose a name that is free, in a folder"
            " that is there."
        ) from error
    with os.fdopen(handle, "wb") as out:
        out.write(secrets.token_hex(KEY_BYTES).encode() + b"\n")


def _master(secret: bytes) -> bytes:
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigInvalid(
            f"The key has {len(secret)} bytes; it takes {SECRET_BYTES_MIN} at least. Nothing was changed."
            " Make one by 'ebbtide log new-key FILE'."
        )
    return blake2b(secret, digest_size=KEY_BYTES, person=b"ebbtide-at-rest").digest()


def _read(file: Path, master: bytes) -> dict[int, bytes]:
    try:
        wrapped = msgspec.json.decode(file.read_bytes(), type=list[_Wrapped])
        return {each.id: AESGCM(master).decrypt(each.nonce, each.key, _about(each.id)) for each in wrapped}
    except InvalidTag as error:
        raise ConfigInvalid(
            f"{file} does not open with the key that was given. Nothing was changed. Give the key that the log was"
            " written with, or restore the file from a backup if it is damaged."
        ) from error
    except ValueError as error:
        raise ConfigInvalid(
            f"{file} is no keyring ({error}). Nothing was changed. Restore it from a backup."
        ) from error


def _write(file: Path, master: bytes, keys: dict[int, bytes]) -> None:
    wrapped: list[_Wrapped] = []
    for number, key in keys.items():
        nonce = secrets.token_bytes(NONCE_BYTES)
        wrapped.append(_Wrapped(number, nonce, AESGCM(master).encrypt(nonce, key, _about(number)), int(time.time())))
    Files().put(file, msgspec.json.encode(wrapped))


def _about(number: int) -> bytes:
    return b"ebbtide data key %d" % number
