"""A token to join: a key of its own, and a chain by which whoever has it may vouch for others. It is a secret."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from msgspec import Struct

from peer import errors
from peer.keys import HostKeys
from peer.trust.grant import Chain, grant

_PREFIX = "ebbtide-token-"


class _Written(Struct, frozen=True, array_like=True):
    seed: bytes
    chain: Chain
    roots: tuple[bytes, ...]
    addresses: tuple[str, ...]


class Token(Struct, frozen=True):
    """As many may join by it as it is for, as long as it counts.

    Whoever joins makes its own key, and signs its grant with the token's: so nobody has to be asked, and whoever is
    asked to let it in can check that. The token itself goes no further.
    """

    keys: HostKeys
    chain: Chain
    roots: tuple[bytes, ...]
    """Public keys of the authority of the cluster."""
    addresses: tuple[str, ...] = ()
    """Where its hosts are, or were when it was made."""

    @classmethod
    def made(
        cls, authority: HostKeys, name: str, may: tuple[str, ...], *, uses: int = 0, until_us: int = 0,
        addresses: tuple[str, ...] = (),
    ) -> "Token":  # fmt: skip
        """Make one. Raises: CallerError, for a name or a right that is none."""
        keys = HostKeys.generate()
        chain = (grant(authority, name, keys.public_key, may, until_us=until_us, uses=uses),)
        return cls(keys, chain, (authority.public_key,), addresses)

    def text(self) -> str:
        """Return it as people copy it: one word."""
        written = _Written(self.keys.private_bytes(), self.chain, self.roots, self.addresses)
        return _PREFIX + urlsafe_b64encode(msgspec.msgpack.encode(written)).decode().rstrip("=")

    @classmethod
    def of(cls, text: str) -> "Token":
        """Return the token of a text. Raises: NotEntitled, for what is none."""
        text = text.strip()
        try:
            if not text.startswith(_PREFIX):
                raise ValueError
            raw = urlsafe_b64decode(text.removeprefix(_PREFIX) + "==")
            written = msgspec.msgpack.decode(raw, type=_Written)
            keys = HostKeys.of_bytes(written.seed)
        except (ValueError, msgspec.MsgspecError):
            raise errors.NotEntitled(
                f"{text[:24]!r}... is no token. Nothing was started. Have one made: `ebbtide access token`."
            ) from None
        if not written.chain or written.chain[-1].public_key != keys.public_key:
            raise errors.NotEntitled(f"{text[:24]!r}... is a token of another key. Nothing was started.")
        return cls(keys, written.chain, written.roots, written.addresses)
