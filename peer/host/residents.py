"""The agents of one host: up, announced and not up yet, or broken."""

import logging
from collections.abc import Iterable

from peer import errors
from peer.agents.agent import Agent
from peer.agents.kinds import path_of
from peer.agents.spec import AgentSpec
from peer.agents.unstarted import kind_of
from peer.host.driver import Driver
from peer.host.transit import Passing
from peer.values import payload
from protocol.ids import AgentId

logger = logging.getLogger("ebbtide")


class Residents:
    """Who lives on a host."""

    def __init__(self) -> None:
        self.drivers: dict[AgentId, Driver] = {}
        """Those that are up."""
        self.coming: dict[AgentId, AgentSpec] = {}
        """Agents that are announced and not up yet, broken ones included: whoever asks is told here."""
        self.broken: dict[AgentId, str] = {}
        """Agents that can't start, and why."""
        self.causes: dict[AgentId, type[errors.EbbtideError]] = {}
        """What kind of error each of these is."""
        self.unlisted: dict[AgentId, None] = {}
        """Those that are up, and that no other host is to hear of yet."""
        self.passing: dict[AgentId, Passing] = {}
        """Those that are on their way from here, or to here."""
        self.shortened: dict[AgentId, None] = {}
        """Those that have moved, and whose log here has lost its end since, as whoever has started the host says."""
        self.draining = ""
        """Who has this host drained, if it takes no inputs from outside."""
        self.stirred: dict[AgentId, None] = {}
        """Those that have handled anything since this was emptied."""

    def expect(self, specs: Iterable[AgentSpec]) -> None:
        """These will be up soon."""
        self.coming.update((spec.name, spec) for spec in specs)

    def breaks(self, agent: AgentId, why: str, cause: type[errors.EbbtideError] = errors.LogCorrupt) -> None:
        """An agent does not start; whoever asks is told why."""
        # Whoever launches an agent whose class is to blame is told anyhow.
        level = logging.INFO if cause is errors.AgentBroken else logging.CRITICAL
        logger.log(level, "%s does not start: %s", agent, why)
        self.drivers.pop(agent, None)
        self.broken[agent] = why
        self.causes[agent] = cause

    def why_broken(self, agent: AgentId) -> errors.EbbtideError:
        """Return why an agent has not started."""
        return self.causes[agent](self.broken[agent])

    def release(self, agent: AgentId) -> None:
        """Forget an agent that never came up."""
        for known in (self.coming, self.broken, self.causes):
            known.pop(agent, None)

    def check_open(self, agent: AgentId) -> None:
        """Check that inputs from outside are taken here. Raises: HostDraining."""
        if self.draining:
            raise errors.HostDraining(
                f"the host of {agent!r} is drained by {self.draining}: it takes no inputs from outside. Nothing was"
                " taken on. Hand them in again once the agent has moved, or wait: on_full='wait'."
            )

    def is_up(self, agent: AgentId) -> bool:
        """Tell whether an agent is up here."""
        return agent in self.drivers

    def is_awaited(self, agent: AgentId) -> bool:
        """Tell whether an agent will be up here soon."""
        return agent in self.coming and agent not in self.broken

    def kinds(self) -> dict[AgentId, type[Agent]]:
        """Return the class of everybody who is to be announced."""
        listed = {name: driver for name, driver in self.drivers.items() if name not in self.unlisted}
        kinds = {name: kind_of(driver.agent) for name, driver in listed.items()}
        kinds.update((spec.name, spec.kind) for spec in self.coming.values())
        return kinds

    def let_go(self) -> int:
        """Return the oldest epoch that can be restored without undoing what is irreversible (RQ-2)."""
        return max((driver.machine.requesting.floor for driver in self.drivers.values()), default=0)

    def life_of(self, log: AgentId) -> int:
        """Return how many lives its agent has had before this one; 0 for a log that is nobody's here."""
        if log in self.passing:
            return self.passing[log].life
        driver = self.drivers.get(log)
        return 0 if driver is None else driver.machine.core.incarnation - 1

    def spec_of(self, log: AgentId) -> tuple[str, bytes]:
        """Return what it takes to bring an agent up: its class, as `module:qualname`, and its encoded options."""
        if log in self.passing:
            return self.passing[log].kind, self.passing[log].options
        driver = self.drivers.get(log)
        if driver is None:
            return "", b""
        return path_of(kind_of(driver.agent)), payload.encode(driver.options)
