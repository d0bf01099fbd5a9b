"""What a grant lets its holder do: words of the form `verb:agents`.

The agents are one name, names that begin alike (`orders-*`), or all (`*`). So whether one right is within another is
seen at once, and a chain of grants can be checked by anybody, offline.
"""

from collections.abc import Iterable

from peer import errors

HOST = "host"
"""Be a member on which these agents may live."""
LOOK = "look"
SUBMIT = "submit"
"""Hand in inputs, call them off, redrive dead letters."""
ROLLBACK = "rollback"
"""Propose that steps of these agents be undone."""
RELEASE = "release"
"""Say of requests, effects, pauses and tiers what people say of them."""
RESTORE = "restore"
"""Begin checkpoints, and go back to one."""
EVICT = "evict"
"""Move agents and have hosts leave; revoke grants, where it is for all agents."""

VERBS = (HOST, LOOK, SUBMIT, ROLLBACK, RELEASE, RESTORE, EVICT)
ALL = tuple(f"{verb}:*" for verb in VERBS)
"""What the authority of a cluster may."""
OF_HOSTS = tuple(f"{verb}:*" for verb in (HOST, LOOK, ROLLBACK))
"""What a host that runs agents may: they roll back, and look at, each other."""
RIGHTS_MAX = 64
CHARS_MAX = 256


def checked(rights: Iterable[str]) -> tuple[str, ...]:
    """Return rights as a grant holds them.

    Raises: CallerError, for one that is none.
    """
    found = tuple(dict.fromkeys(rights))
    for right in found:
        verb, colon, agents = right.partition(":")
        if verb not in VERBS or not colon or not agents or len(right) > CHARS_MAX or "*" in agents[:-1]:
            raise errors.CallerError(
                f"{right!r} is no right. Nothing was granted. Write VERB:AGENTS, as 'submit:orders-*': a verb of"
                f" {', '.join(VERBS)}, and a name, the beginning of names with * at its end, or * for all."
            )
    if len(found) > RIGHTS_MAX:
        raise errors.CallerError(f"{len(found)} rights; a grant has {RIGHTS_MAX} at most. Nothing was granted.")
    return found


def allows(rights: Iterable[str], verb: str, agent: str) -> bool:
    """Tell whether one of these rights lets its holder do this to an agent; `*` asks for all agents."""
    return any(is_within(f"{verb}:{agent}", right) for right in rights)


def check_may(name: str, rights: tuple[str, ...], verb: str, agent: str) -> None:
    """Check that somebody who has these rights may do this to an agent; `*` stands for all agents.

    Raises: NotEntitled, naming what they may.
    """
    if not allows(rights, verb, agent):
        whom = "all agents" if agent == "*" else agent
        raise errors.NotEntitled(
            f"{name} may not {verb}: {whom}. May: {', '.join(rights) or 'nothing'}. Nothing changed. Whoever holds the"
            " folder of the cluster can grant more: see `ebbtide access --help`."
        )


def is_narrower(rights: Iterable[str], of: Iterable[str]) -> bool:
    """Tell whether each of these rights is within one of the others."""
    wider = tuple(of)
    return all(any(is_within(right, one) for one in wider) for right in rights)


def is_within(right: str, other: str) -> bool:
    """Tell whether a right is no more than another."""
    verb, _, agents = right.partition(":")
    other_verb, _, other_agents = other.partition(":")
    if verb != other_verb:
        return False
    return agents == other_agents or (other_agents.endswith("*") and agents.startswith(other_agents[:-1]))
