"""Who a host is: an Ed25519 key pair whose public half names the host."""

import os
import secrets
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from peer.errors import ConfigInvalid
from protocol.ids import HostId

PUBLIC_KEY_BYTES = 32
PRIVATE_KEY_BYTES = 32
SIGNATURE_BYTES = 64
HOST_ID_BYTES = 8

KEYS_CACHED = 4096
"""Public keys kept parsed: a host hears the same few again and again, and parsing costs as much as a hash."""


class HostKeys:
    """A host's key pair; the private half never leaves it but for its own file."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key: bytes = private.public_key().public_bytes_raw()
        self.host_id: HostId = host_id_of(self.public_key)

    @classmethod
    def generate(cls, node: str = "") -> "HostKeys":
        """Make a new pair.

        Args:
            node: what stands for the machine that the host runs on: hosts on one node have ids that begin with the same
                byte, so that whoever knows an id knows who is not to keep its copies. Empty: any id.
        """
        wanted = blake2b(node.encode(), digest_size=1, person=b"ebbtide-node").hexdigest()
        while True:
            # Some 256 tries of 30 microseconds: an id that follows from the key can be wished for, not given.
            keys = cls(Ed25519PrivateKey.generate())
            if not node or keys.host_id.startswith(wanted):
                return keys

    @classmethod
    def from_seed(cls, seed: bytes) -> "HostKeys":
        """Return the pair that belongs to a seed: for simulated hosts, which are the same in every run."""
        return cls(Ed25519PrivateKey.from_private_bytes(blake2b(seed, digest_size=PRIVATE_KEY_BYTES).digest()))

    @classmethod
    def of_bytes(cls, raw: bytes) -> "HostKeys":
        """Return the pair of a private key. Raises: ValueError, for what is none."""
        return cls(Ed25519PrivateKey.from_private_bytes(raw))

    def private_bytes(self) -> bytes:
        """Return the private key, 32 bytes: for what is made of it on this machine, and nobody else."""
        return self._private.private_bytes_raw()

    @classmethod
    def load(cls, path: Path) -> "HostKeys":
        """Read the private key from a file.

        Raises: ConfigInvalid, if the file is no key or others may read it; OSError.
        """
        _check_private(path)
        raw = path.read_bytes()
        if len(raw) != PRIVATE_KEY_BYTES:
            raise ConfigInvalid(
                f"The key file {path} has {len(raw)} bytes, not the {PRIVATE_KEY_BYTES} of an Ed25519 private key."
                " Nothing changed. Restore it, or delete it to become somebody new."
            )
        return cls(Ed25519PrivateKey.from_private_bytes(raw))

    def save(self, path: Path) -> None:
        """Write the private key to a file that is not there yet: whole or not at all, for its owner only."""
        create_file(path, self._private.private_bytes_raw())

    @classmethod
    def load_or_create(cls, path: Path) -> "HostKeys":
        """Read the private key from a file, or make one and write it there.

        Of several processes that do so at once, one writes and all read the same key.

        Raises: ConfigInvalid, as `load`.
        """
        if not path.exists():
            cls.generate().save(path)
        return cls.load(path)

    def sign(self, data: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._private.sign(data)


def host_id_of(public_key: bytes) -> HostId:
    """Return the id that belongs to a public key: the first 8 bytes of its BLAKE2b, in hex."""
    return blake2b(public_key).digest()[:HOST_ID_BYTES].hex()


def verify(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Tell whether the owner of the public key has signed this; False for what is no key or no signature."""
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        _parsed(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=KEYS_CACHED)
def _parsed(public_key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_key)


def _check_private(path: Path) -> None:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigInvalid(
            f"The key file {path} has mode {mode:04o}, so others may use the key. Nothing changed."
            f" Run 'chmod 600 {path}', or delete it to become somebody new."
        )


def create_file(path: Path, raw: bytes) -> None:
    """Write a file that is not there yet, whole or not at all, for its owner only; one that is there stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
        # A link, not a rename: of two processes that create at once, the second must not replace the first's key.
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
