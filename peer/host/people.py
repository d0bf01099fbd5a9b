"""Checks what people say of requests: whether it is theirs to say, and whether they have said it (RQ-3)."""

from typing import Any

from peer import errors
from peer.agents.approval import PERSON_TOOL, names
from peer.agents.tool import decode_args
from peer.host.questions import Pause, Say, SetTier
from peer.people.person import Act, signer_of
from peer.ports import Clock
from peer.trust.grant import Grant
from peer.trust.rights import RELEASE, check_may
from peer.trust.trust import Trust
from peer.values import payload
from peer.values.brief import brief
from protocol.agent.requesting import RequestSeen

VERBS = ("release", "approve", "reject", "answer")
OPTIONS_SHOWN = 20
_SIGN = "Sign with the key of one of these: `--as FILE`, or as_=Person.load(file)."


def pause_act(agent: str, is_on: bool, note: str, at_us: int = 0) -> Act:
    """Return what is signed by whoever pauses an agent, or lets it go on."""
    return Act("pause" if is_on else "resume", agent, "", "", note, b"", at_us)


def tier_act(agent: str, tier: str, note: str, at_us: int = 0) -> Act:
    """Return what is signed by whoever sets an agent's tier."""
    return Act("tier", agent, tier, "", note, b"", at_us)


class People:
    """Who may say what, at one host.

    Args:
        trust: says who is vouched for.
        clock: tells whose turn it is.
    """

    def __init__(self, trust: Trust, clock: Clock) -> None:
        self._trust = trust
        self._clock = clock

    def heard(self, agent: str, said: Say, seen: RequestSeen | None) -> tuple[str, bytes]:
        """Return who says so, and the value that goes into the log.

        Args:
            agent: whose request.
            said: what somebody says.
            seen: the request, if it waits.

        Raises: NotEntitled, if it is another's to say; CallerError, for what is no word or no answer, or is said of a
            step that is undone meanwhile.
        """
        if said.verb not in VERBS:
            raise errors.CallerError(f"nobody says {said.verb!r} of a request. Nothing changed.")
        signer = self._signer(said.proof, Act(said.verb, agent, said.name, said.step, said.note, said.value, 0))
        by = said.by if signer is None else signer.name
        if seen is None:
            return by, b""
        if said.step and said.step != str(seen.step):
            raise errors.CallerError(
                f"{said.step}, which has requested {said.name}, is undone meanwhile, and {seen.step} has requested it"
                " again. Nothing changed. Look again."
            )
        self._check_turn(seen, said, signer)
        return by, self._value(said, seen, by)

    def paused(self, agent: str, said: Pause) -> str:
        """Return who pauses an agent, or lets it go on. Raises: NotEntitled, if it is not signed as it says."""
        signer = self._signer(said.proof, pause_act(agent, said.is_on, said.note))
        return said.by if signer is None else signer.name

    def tiered(self, agent: str, kind: Any, said: SetTier) -> str:
        """Return who sets the tier of an agent of this class.

        Raises: CallerError, if there is no such tier; NotEntitled, if it is another's to set, or not signed as it says.
        """
        signer = self._signer(said.proof, tier_act(agent, said.tier, said.note))
        if said.tier not in kind.tiers:
            known = f"these: {', '.join(kind.tiers)}" if kind.tiers else "none"
            raise errors.CallerError(f"the class of {agent} has no tier {said.tier!r}, but {known}. Nothing changed.")
        may = names(kind.tiers_by)
        if may and (signer is None or not signer.is_one_of(may)):
            raise errors.NotEntitled(
                f"the tier of {agent} is set by {' or '.join(may)}, and not by {_who(signer)}. Nothing changed. {_SIGN}"
            )
        return said.by if signer is None else signer.name

    def _signer(self, proof: bytes, act: Act) -> Grant | None:
        """Return who has signed an act, if anybody has. Raises: NotEntitled, also if it is not theirs to say."""
        if not proof:
            return None
        found = signer_of(self._trust, proof, act)
        check_may(found.name, found.may, RELEASE, act.agent)
        return found

    def _check_turn(self, seen: RequestSeen, said: Say, signer: Grant | None) -> None:
        stages = seen.hold.stages if seen.hold is not None else ()
        now_us = self._clock.now_us()
        due = tuple(name for name, after_us in stages if seen.since_us + after_us <= now_us)
        if not stages or (signer is not None and signer.is_one_of(due)):
            return
        raise errors.NotEntitled(
            f"{seen.name} of {seen.step.agent} asks {' or '.join(due)}, and not {_who(signer)}. Nothing changed."
            f" {_SIGN}"
        )

    def _value(self, said: Say, seen: RequestSeen, by: str) -> bytes:
        if said.verb == "reject":
            return payload.encode(f"{by or 'somebody'} has rejected it{said.note and f': {said.note}'}")
        if said.verb != "answer" or seen.tool != PERSON_TOOL.name:
            return b""
        answer = payload.decode(said.value)
        _, given = decode_args(seen.args)
        options = given.get("options")
        if options and not any(_is_same(answer, each) for each in options):
            known = ", ".join(map(brief, options[:OPTIONS_SHOWN])) + (", ..." if len(options) > OPTIONS_SHOWN else "")
            raise errors.CallerError(
                f"{brief(answer)} is none of the answers that {seen.step} knows: {known}. Nothing changed."
            )
        return payload.encode([answer, by, said.note])


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether an answer is an option: arrays have no truth as a whole, and NaN is like nothing."""
    try:
        if one == other:
            return True
    except (TypeError, ValueError):
        pass
    return payload.encode(one) == payload.encode(other)


def _who(signer: Grant | None) -> str:
    return f"{signer.name} ({', '.join(signer.roles) or 'no role'})" if signer else "whoever has not signed"
