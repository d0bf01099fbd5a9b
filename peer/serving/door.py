"""Who may come in: whoever has signed what they say, is vouched for by the cluster, and says it for the first time.

A key never comes here. What is signed names all that is said and when: it counts for five minutes, and what changes
something counts once. That it was heard is on disk before it is done, so a restart forgets nothing.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import blake2b

import msgspec

from peer import errors
from peer.agents.past import as_step
from peer.people.person import Act, signature_of, signer_of
from peer.serving.kept import Kept
from peer.trust.grant import Grant
from peer.trust.rights import LOOK, RELEASE, ROLLBACK, check_may
from peer.trust.trust import Trust
from protocol.errors import UNREADABLE

SCHEME = "Ebbtide"
"""In the header `Authorization`: this, a space, and the proof in base64 for URLs."""
FRESH_US = 300_000_000
"""How far the time of what is signed may be off: clocks differ, and networks wait."""
HEARD_MAX = 100_000
"""Of what people have said within that time."""

_RIGHTS: dict[str, str] = {
    "rollback": ROLLBACK, "suspect": ROLLBACK, "overturn": ROLLBACK, "look": LOOK, "preview": LOOK,
}  # fmt: skip
"""By what is said, which right it takes; anything else takes that to release."""


class Refused(Exception):  # it ends in an answer, and nowhere else
    """Something that is not done, as it is answered.

    Args:
        status: of HTTP.
        text: why, and what to do.
        error: the name of the class of the error.
    """

    def __init__(self, status: int, text: str, error: str = "CallerError") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.error = error


def header_of(proof: bytes) -> str:
    """Return a proof as the header `Authorization` has it."""
    return f"{SCHEME} {urlsafe_b64encode(proof).decode()}"


def look_act(what: str, query: str) -> Act:
    """Return what is signed by whoever looks."""
    return Act("look", "", f"{what}?{query}" if query else what, "", "", b"", 0)


class Door:
    """Lets people in.

    Args:
        trust: says who is vouched for.
        now_us: the time.
        heard: what was said within the time for which that counts.
    """

    def __init__(self, trust: Trust, now_us: Callable[[], int], heard: Kept) -> None:
        self._trust = trust
        self._now_us = now_us
        self._heard = heard

    def who(self, header: str, act: Act) -> tuple[Grant, bytes]:
        """Return who has signed this, and what shows it. Raises: Refused."""
        scheme, _, given = header.partition(" ")
        if scheme.lower() != SCHEME.lower() or not given.strip():
            raise Refused(401, f"This is not signed. Nothing was done. {_SIGN}", "NotEntitled")
        try:
            proof = urlsafe_b64decode(given.strip())
            signer, at_us = signer_of(self._trust, proof, act), signature_of(proof)[2]
        except errors.NotEntitled as error:
            raise Refused(401, str(error), "NotEntitled") from error
        except (ValueError, *UNREADABLE) as error:
            raise Refused(401, f"That is no signature of a person. Nothing was done. {_SIGN}", "NotEntitled") from error
        off_us = abs(self._now_us() - at_us)
        if off_us > FRESH_US:
            raise Refused(
                401, f"What {signer.name} has signed is {off_us // 1_000_000} s off the time here, and counts for"
                f" {FRESH_US // 1_000_000} s. Nothing was done. Sign it anew; if it was just signed, set the clock.",
                "NotEntitled",
            )  # fmt: skip
        self._check_may(signer, act)
        return signer, proof

    def _check_may(self, signer: Grant, act: Act) -> None:
        verb = _RIGHTS.get(act.verb, RELEASE)
        agents = [as_step(step).agent for step in act.subject.split(" ")] if verb != RELEASE and act.agent else []
        try:
            for agent in dict.fromkeys((act.agent or "*", *agents)):
                check_may(signer.name, signer.may, verb, agent)
        except errors.NotEntitled as error:
            raise Refused(403, str(error), "NotEntitled") from error

    async def once(self, header: str, act: Act) -> tuple[Grant, bytes]:
        """Return who has signed what changes something, for the first time. Raises: Refused; OSError."""
        signer, proof = self.who(header, act)
        at_us = signature_of(proof)[2]
        self._heard.tidy(self._now_us())
        said = blake2b(digest_size=20)
        said.update(signer.public_key)
        said.update(msgspec.msgpack.encode(msgspec.structs.replace(act, at_us=at_us)))
        if said.hexdigest() in self._heard:
            raise Refused(409, "This was said before, word for word. Nothing changed. Look, and sign it anew.")
        if len(self._heard) >= HEARD_MAX:
            raise Refused(503, f"More than {HEARD_MAX:,} words in {FRESH_US // 1_000_000} s. Nothing was done. Wait.")
        await self._heard.add(said.hexdigest(), at_us + FRESH_US + 1_000_000)
        return signer, proof


_SIGN = f"Send 'Authorization: {SCHEME} PROOF': see 'Over HTTP' in the guide, or use `ebbtide ... --url`."
