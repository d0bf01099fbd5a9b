"""Whether a host is well, as it says itself: for probes, and for people who look for what is wrong."""

from msgspec import Struct

from protocol.ids import AgentId, HostId

MEASURE, HEALTH, ABOUT, DRAIN = "measure", "health", "about", "drain"
"""The questions to a host for its numbers, how it stands, what it runs on; and that it take no inputs any more."""


class Health(Struct, frozen=True):
    """How a host stands."""

    host: HostId
    now_us: int
    """The time by its clock."""
    agents: int
    """How many are up."""
    coming: tuple[AgentId, ...] = ()
    """Who lives there and is not up yet."""
    broken: dict[AgentId, str] = {}
    """Who can't start, and why."""
    stall: str = ""
    """Why nothing can be written for now."""
    draining: str = ""
    """Who has it drained, if it takes no inputs from outside."""
    failed: tuple[HostId, ...] = ()
    """Other hosts with agents that do not answer it."""
    knows: tuple[HostId, ...] = ()
    """The hosts with agents that it has heard of, itself among them."""
    process: int = 0
    stays: str = ""
    """Why it can't leave the others now, without its agents being gone; empty: it can."""

    def whys(self) -> list[str]:
        """Return why it is not ready; none if it is."""
        found = [f"{each} is coming up" for each in self.coming]
        found += [f"{agent} can't start: {why}" for agent, why in self.broken.items()]
        if self.stall:
            found.append(f"it waits: {self.stall}")
        if self.draining:
            found.append(f"it is drained by {self.draining}")
        found += [f"host {each} does not answer it" for each in self.failed]
        return found

    def in_short(self) -> list[str]:
        """Return the same for anybody: without names, or what errors say."""
        facts = (
            (len(self.coming), "agents are coming up"),
            (len(self.broken), "agents can't start"),
            (bool(self.stall), "nothing can be written"),
            (bool(self.draining), "it is drained"),
            (len(self.failed), "other hosts do not answer it"),
        )
        return [text if count is True else f"{count} {text}" for count, text in facts if count]
