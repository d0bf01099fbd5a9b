"""How one agent's values become bytes of its log and come back: by what its class declares of them."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from peer import errors
from peer.ports import Blobs, blob_digest
from peer.store.outside.keeping import Keeping
from peer.threads import HOUSE, in_thread
from peer.values import forms, payload, versioning
from peer.values.declared import Bulky, Derived, Hidden, Schema, Secret, kind_of
from peer.values.forms import Form, Packed
from peer.values.key_text import decode_key, is_own
from peer.values.personal import using
from protocol.ids import StepId

BULKY_BYTES_MAX = 1 << 30
"""Of a bulky value, encoded: it is held in memory while it is read and written."""
CACHED_BYTES_MAX = 64 << 20
"""Of bulky values that are kept in memory so that reading them again is cheap."""
SECRETS_KEPT = 4
"""Values of one secret key in memory: those of runs that never became steps may be among them."""
_SALT_BYTES = 16
_VAULT_KEY = "secrets"
_SCRYPT: dict[str, Any] = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32}
"""Slow on purpose (some 50 ms), for the case that the vault is stolen with the log."""


class Values:
    """The codec of one agent's values."""

    def __init__(self, schema: Schema, keeping: Keeping, seed: Callable[[], int]) -> None:
        self._schema = schema
        self.has_derived = any(isinstance(kind, Derived) for kind in schema.keys.values())
        """Whether any key is built from others."""
        self._is_plain = schema.version == 1 and not schema.keys
        """Nothing is declared: values are stored as they are."""
        self._keeping = keeping
        self._seed = seed
        self._unplaced: dict[bytes, bytes] = {}
        """Bulky values of the run at hand, by hash."""
        self._cached: OrderedDict[bytes, bytes] = OrderedDict()
        self._secrets: dict[object, OrderedDict[bytes, bytes]] = {}
        """By key, and by salt and hash, the payloads of secrets."""

    def begin(self) -> None:
        """Forget bulky values that an earlier run has not come to place."""
        self._unplaced.clear()

    def derived(self, key: object) -> Derived | None:
        """Return how a key is built from others, or None if it is stored."""
        if not self.has_derived:
            return None
        kind = kind_of(key, self._schema.keys)
        return kind if isinstance(kind, Derived) else None

    def check_stored(self, key: object) -> None:
        """Check that a key can be written to.

        Raises: CallerError, if it is derived.
        """
        made = self.derived(key)
        if made is not None:
            raise errors.CallerError(
                f"key {key!r} is derived of {', '.join(made.of)}: it is built whenever it is read, so nothing can be"
                " written to it. Write to what it is derived of."
            )

    def encode(self, key: object, value: object) -> bytes:
        """Return a value's bytes for the log.

        Raises: CallerError, for a derived key; PayloadTooLarge, PayloadUnsupported.
        """
        if self._is_plain:
            return payload.encode(value)
        self.check_stored(key)
        form, version = Form.PLAIN, self._schema.version
        match kind_of(key, self._schema.keys):
            case Secret():
                form, body = Form.SECRET, self._hide(key, payload.encode(value))
            case Bulky():
                data = payload.encode(value, BULKY_BYTES_MAX)
                form, body = Form.BULKY, blob_digest(data)
                self._unplaced[body] = data
            case _:
                body = payload.encode(value)
        return forms.pack(Packed(version, form, body))

    def decode(self, key: object, data: bytes) -> Any:
        """Return the value that the log's bytes stand for, as the class has it now.

        Raises: VersionUnknown, MigrationFailed, SecretChanged, BlobLost, VaultFailed; PayloadInvalid.
        """
        if self._is_plain and not forms.is_packed(data):
            return payload.decode(data)
        kept = forms.unpack(data)
        self._check_version(key, kept)
        match kept.form:
            case Form.SECRET:
                return payload.decode(self._reveal(key, kept.body))
            case Form.BULKY:
                value = payload.decode(self._blob(kept.body), BULKY_BYTES_MAX)
            case Form.PLAIN:
                value = payload.decode(kept.body)
        return self._migrated(key, kept.version, value)

    def has_changed(self, key: object, data: bytes, value: object) -> bool:
        """Tell whether a value is no longer what the log's bytes stand for.

        Raises: PayloadTooLarge, PayloadUnsupported, if it could not be stored as it is now; as `decode`.
        """
        if self._is_plain and not forms.is_packed(data):
            now, before = payload.encode(value), data
        else:
            kept = forms.unpack(data)
            is_bulky = kept.form == Form.BULKY
            now = payload.encode(value, BULKY_BYTES_MAX if is_bulky else payload.PAYLOAD_BYTES_MAX)
            before = kept.body
            if is_bulky and blob_digest(now) == before:
                return False
        if now == before:
            return False
        # Of another version, secret, or written when equal values had other bytes.
        return now != payload.encode(self.decode(key, data), BULKY_BYTES_MAX)

    def decode_all(self, found: Iterable[tuple[str, bytes | None, StepId]]) -> dict[Any, Any]:
        """Return all values that are stored, by key, from what `Versions.read_all` yields. Raises: as `decode`."""
        keys = ((decode_key(text), data) for text, data, _ in found if data is not None and not is_own(text))
        with using(self._keeping.vault):
            return {key: self.decode(key, data) for key, data in keys if self.derived(key) is None}

    def shown(self, key: object, data: bytes) -> bytes:
        """Return what is told of a value outside, in the form that `look` reads: secrets stay hashes, blobs references.

        Raises: as `decode`.
        """
        kept = forms.unpack(data)
        self._check_version(key, kept)
        if kept.form == Form.SECRET or (kept.form == Form.BULKY and kept.version == self._schema.version):
            return forms.pack(kept._replace(version=1))
        if kept.version == self._schema.version:
            return kept.body
        with using(self._keeping.vault):
            return payload.encode(self.decode(key, data))

    async def fetch(self, data: bytes) -> None:
        """Bring a bulky value into memory, in a thread; others are there already."""
        kept = forms.unpack(data)
        if kept.form == Form.BULKY and kept.body not in self._unplaced and kept.body not in self._cached:
            self._remember(kept.body, await in_thread(HOUSE, self._keeping.blobs.get, kept.body))

    async def place(self, written: Iterable[bytes | None]) -> None:
        """Make the bulky values among those written durable where they belong: the step's record follows (ST-2).

        Raises: BlobLost, if that can't be done.
        """
        if not self._unplaced:
            return
        for data in written:
            kept = forms.unpack(data) if data is not None else None
            if kept is not None and kept.form == Form.BULKY and kept.body in self._unplaced:
                content = self._unplaced[kept.body]
                await in_thread(HOUSE, self._keeping.blobs.put, content)
                del self._unplaced[kept.body]
                self._remember(kept.body, content)

    # -- versions --------------------------------------------------------------------------------------------------

    def _check_version(self, key: object, kept: Packed) -> None:
        if kept.version > self._schema.version:
            what = f"The value of key {key!r} in the state of {self._schema.name}"
            raise versioning.unknown(what, kept.version, self._schema.version)

    def _migrated(self, key: Any, version: int, value: Any) -> Any:
        for step in range(version, self._schema.version):
            try:
                value = self._schema.migrations[step](key, value)
            except Exception as error:  # whatever a user's function raises
                what = f"of key {key!r} in the state of {self._schema.name} from version {step}"
                raise versioning.failed(what, error) from error
        return value

    # -- secrets ---------------------------------------------------------------------------------------------------

    def _hide(self, key: object, data: bytes) -> bytes:
        salt = b"".join(self._seed().to_bytes(8, "big") for _ in range(_SALT_BYTES // 8))
        body = salt + self._hash(data, salt)
        self._keep_secret(key, body, data)
        return body

    def _reveal(self, key: Any, body: bytes) -> bytes:
        data = self._secrets.get(key, {}).get(body)
        if data is not None:
            return data
        kind = kind_of(key, self._schema.keys)
        if not isinstance(kind, Secret):
            raise errors.SecretChanged(
                f"key {key!r} was written as a secret, and {self._schema.name} does not declare it as one any more, so"
                " nobody can load it. Nothing changed; the input waits. Declare it again."
            )
        try:
            data = payload.encode(kind.load(key))
        except Exception as error:  # whatever a user's function raises
            raise errors.SecretChanged(
                f"key {key!r} is a secret, and its load failed ({type(error).__name__}). Nothing changed; the input"
                " waits. See why it fails."
            ) from error
        if not hmac.compare_digest(self._hash(data, body[:_SALT_BYTES], make=False), body[_SALT_BYTES:]):
            raise errors.SecretChanged(
                f"key {key!r} is a secret, and what its load returns is not what was written: the secret has changed."
                " Nothing changed; the input waits. Let load return the earlier value, or undo the step that wrote it."
            )
        self._keep_secret(key, body, data)
        return data

    def _keep_secret(self, key: object, body: bytes, data: bytes) -> None:
        kept = self._secrets.setdefault(key, OrderedDict())
        kept[body] = data
        while len(kept) > SECRETS_KEPT:
            kept.popitem(last=False)

    def _hash(self, data: bytes, salt: bytes, make: bool = True) -> bytes:
        # The salt is mixed with a key that no log has: without the vault there is nothing to try words on.
        key = self._keeping.vault.key(_VAULT_KEY, make)
        if key is None:
            raise errors.VaultFailed("The vault's key of secrets was erased, so none can be checked. Nothing changed.")
        return hashlib.scrypt(data, salt=hashlib.blake2b(salt, key=key, digest_size=32).digest(), **_SCRYPT)

    # -- bulky values ----------------------------------------------------------------------------------------------

    def _blob(self, digest: bytes) -> bytes:
        data = self._unplaced.get(digest) or self._cached.get(digest)
        if data is None:
            data = self._keeping.blobs.get(digest)
            self._remember(digest, data)
        return data

    def _remember(self, digest: bytes, data: bytes) -> None:
        self._cached[digest] = data
        self._cached.move_to_end(digest)
        # The newest stays, however big: somebody is about to read it.
        while len(self._cached) > 1 and sum(map(len, self._cached.values())) > CACHED_BYTES_MAX:
            self._cached.popitem(last=False)


def look(data: bytes, blobs: Blobs | None) -> Any:
    """Return a value from what `Values.shown` tells of it, or the log; without blobs a bulky one is `Hidden`, too.

    Raises: BlobLost, PayloadInvalid.
    """
    kept = forms.unpack(data)
    match kept.form:
        case Form.SECRET:
            return Hidden(kept.body[_SALT_BYTES:].hex())
        case Form.BULKY:
            return Hidden(kept.body.hex()) if blobs is None else payload.decode(blobs.get(kept.body), BULKY_BYTES_MAX)
        case Form.PLAIN:
            return payload.decode(kept.body)
