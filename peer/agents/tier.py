"""How far an agent is trusted: what it must ask for, announce, or leave, by the tier that people have set (ST-15)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from peer import errors
from peer.agents.approval import Approval, names
from peer.agents.tool import Tool
from peer.values.fields import NAME_CHARS_MAX, text

Tools = tuple[Tool[..., Any], ...]


@dataclass(frozen=True)
class Tier:
    """What an agent does not do by itself while it has this tier; the rest it does alone.

    A class has them as `tiers = {"new": Tier(...), "trusted": Tier()}`: the first is the one that an agent begins with.
    People set another by `cluster.set_tier`, as long as it runs. The class's `approvals` hold in every tier.

    Args:
        asks: whom to ask before which tools, as in `approvals`.
        announces: tools of which people are told, by the notice `announced`, when they are called or requested.
        refuses: tools that it may not use at all: NotInTier is raised where it tries to.

    Raises: DeclarationRefused, naming what it can't be.
    """

    asks: tuple[Approval, ...] = ()
    announces: Tools = ()
    refuses: Tools = ()

    def __post_init__(self) -> None:
        """Check what was given."""
        _check("asks", self.asks, Approval, "Approval(...)")
        _check("announces", self.announces, Tool, "tools")
        _check("refuses", self.refuses, Tool, "tools")


def _check(name: str, value: Any, kind: type, what: str) -> None:
    if not isinstance(value, tuple) or not all(isinstance(each, kind) for each in value):
        raise errors.DeclarationRefused(f"Tier({name}={value!r}): a tuple of {what}.")


def check_tiers(what: str, tiers: Any, by: Any) -> None:
    """Check a class's tiers, and who may set them.

    Raises: DeclarationRefused, naming what they can't be.
    """
    if not isinstance(tiers, Mapping) or not all(isinstance(tier, Tier) for tier in tiers.values()):
        raise errors.DeclarationRefused(f"{what}: tiers = {tiers!r}: by name, a Tier(...) each.")
    try:
        for name in tiers:
            text("a tier", name, NAME_CHARS_MAX, is_empty_ok=False)
        names(by)
    except errors.CallerError as error:
        raise errors.DeclarationRefused(f"{what}: tiers, tiers_by: {error}") from error


def strictest(tiers: Iterable[Tier], by: str | tuple[str, ...]) -> Tier:
    """Return what holds where nobody knows any more what an agent's tier means.

    All that any tier asks for, announces and refuses; and before whatever nobody can undo, those who set tiers are
    asked.
    """
    known = list(tiers)
    return Tier(
        (*(rule for tier in known for rule in tier.asks), Approval(by)),
        tuple(tool for tier in known for tool in tier.announces),
        tuple(tool for tier in known for tool in tier.refuses),
    )
