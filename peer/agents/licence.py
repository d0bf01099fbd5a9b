"""What one agent may do by itself, now: by the rules of its class, and of the tier that people have set (ST-15).

The protocol knows a tier's name alone. What it means is looked up here each time, so a redeployed class counts at once.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from peer import errors
from peer.agents.approval import Approval, Wanted, hold_for
from peer.agents.tier import Tier, strictest
from peer.agents.tool import IDEMPOTENT, IRREVERSIBLE, Tool
from peer.values.brief import Brief
from protocol.action import Tell
from protocol.agent.machine import PeerMachine
from protocol.step import Hold

_BRIEF = Brief()
_BRIEF.maxstring = _BRIEF.maxother = 60
NOTHING = Tier()


class Licence:
    """One agent's.

    Args:
        agent: its name.
        kind: its class, with `approvals`, `tiers` and `tiers_by`.
        machine: knows which tier people have set last, and on which requests other agents count.
        tell: takes what people should know, in the loop's thread.
    """

    def __init__(self, agent: str, kind: Any, machine: PeerMachine, tell: Callable[[Tell], None]) -> None:
        self._agent = agent
        self._kind = kind
        self._machine = machine
        self._tell = tell
        self.loop: asyncio.AbstractEventLoop | None = None
        """In which handlers run; plain ones announce from threads."""

    @property
    def tier(self) -> str:
        """The tier that holds, by name; empty, if there is none."""
        return self._machine.tiering.tier or next(iter(self._kind.tiers), "")

    @property
    def rules(self) -> Tier:
        """What it means."""
        name = self.tier
        if not name:
            return NOTHING
        return self._kind.tiers.get(name) or strictest(self._kind.tiers.values(), self._kind.tiers_by)

    def look(self) -> None:
        """Tell people if the class knows nothing of the tier that holds: it may have been redeployed."""
        name = self.tier
        if name and name not in self._kind.tiers:
            self._tell(
                Tell(
                    "tier-unknown", name,
                    f"{self._kind.__qualname__} declares no such tier: {self._agent} is held to all that any of its"
                    " tiers asks for, announces or refuses, and people are asked before whatever nobody can undo."
                    f" Set another: {' or '.join(self._kind.tiers) or 'none is declared'}.",
                )
            )  # fmt: skip

    def called(self, step: str, wanted: Wanted, tool: Tool[..., Any]) -> None:
        """A handler is about to call a tool.

        Raises: NotInTier; CallerError, if a person is to be asked before; whatever a rule's `when` raises.
        """
        rules = self._let(wanted)
        if self._hold(rules, wanted, tool, None) is not None and tool.kind != IRREVERSIBLE:
            raise errors.CallerError(
                f"a person is asked before {tool.name} is called, as the class's approvals or its tier say, and no step"
                " waits for that. Nothing happened. Request it: ctx.request(tool, ..., then=method)."
            )
        self._announce(rules, step, wanted)

    def requested(self, step: str, wanted: Wanted, tool: Tool[..., Any], given: Approval | None) -> Hold | None:
        """A handler is about to request a tool; return whom that waits for.

        Raises: NotInTier; CallerError, for what is no rule; whatever a rule's `when` raises.
        """
        rules = self._let(wanted)
        hold = self._hold(rules, wanted, tool, given)
        self._announce(rules, step, wanted)
        return hold

    def why_not(self, tool: Tool[..., Any], intent: str) -> str:
        """Return why a tool that was requested before is not called now; empty if it may be.

        An idempotent one without a check may be called again after a crash, and nobody knows whether this is the first
        time: that it did not happen can't be said of it. And of a group's requests all go, or none.
        """
        if tool.kind == IDEMPOTENT and tool.check is None:
            return ""
        why = self._refusal(self.rules, tool.name)
        return "" if why and self._machine.requesting.goes_with_others(intent) else why

    def _let(self, wanted: Wanted) -> Tier:
        rules = self.rules
        if why := self._refusal(rules, wanted.tool):
            raise errors.NotInTier(
                f"{why} Nothing happened. People can set another tier: cluster.set_tier, or `ebbtide tier`."
            )
        return rules

    def _refusal(self, rules: Tier, name: str) -> str:
        if all(each.name != name for each in rules.refuses):
            return ""
        return f"{self._agent} may not use {name} in tier {self.tier!r}."

    def _hold(self, rules: Tier, wanted: Wanted, tool: Tool[..., Any], given: Approval | None) -> Hold | None:
        if given is not None and (held := hold_for(rules.asks, wanted, tool, None)) is not None:
            return held  # people have set the tier: what a handler brings along does not count in its place
        return hold_for((*self._kind.approvals, *rules.asks), wanted, tool, given)

    def _announce(self, rules: Tier, step: str, wanted: Wanted) -> None:
        if all(each.name != wanted.tool for each in rules.announces):
            return
        args = [_BRIEF.repr(each) for each in wanted.args]
        args += [f"{name}={_BRIEF.repr(each)}" for name, each in wanted.kwargs.items()]
        notice = Tell("announced", wanted.tool, f"{step}: {wanted.tool}({', '.join(args)})")
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._tell, notice)
