"""Asks agents, one or many, through one host: each host is asked once for all of its own."""

from collections.abc import Iterable
from typing import Any

from peer import errors
from peer.host import questions
from peer.host.host import Host
from peer.host.questions import Status
from peer.store.outside.keeping import Keeping
from protocol.ids import AgentId

ASK_S = 30.0
"""How long a question waits for an answer, unless the caller says else."""


class Inquirer:
    """Whoever asks agents.

    Args:
        keeping: where bulky values and keys are kept.
    """

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._host: Host | None = None
        self._over = ""
        """How it has ended, if it has."""

    @property
    def host(self) -> Host:
        """The host that asks. Raises: as `check_running`."""
        self.check_running()
        assert self._host is not None
        return self._host

    def check_running(self) -> None:
        """Check that there is somebody to ask.

        Raises: CallerError, before the cluster has begun, and once it has ended.
        """
        if self._over:
            raise errors.CallerError(
                f"the cluster has ended, {self._over}. Nothing was done. Ask inside the block, or start another Cluster"
                " on the same folder."
            )
        if self._host is None:
            raise errors.CallerError(
                "the cluster is not started. Nothing was done. Write 'async with Cluster(...) as cluster:', and ask"
                " inside that block."
            )

    async def status(self, agent: AgentId, timeout_s: float = ASK_S) -> Status:
        """Return an agent at a glance."""
        return questions.decode(await self.host.ask(agent, "status", timeout_s=timeout_s), Status)

    async def statuses(
        self, agents: Iterable[AgentId], timeout_s: float = ASK_S
    ) -> dict[AgentId, Status | errors.EbbtideError]:
        """Return many agents at a glance, each host asked once for all of its own; or why one does not answer."""
        return await self._each(agents, "status", Status, timeout_s=timeout_s)

    async def _each(
        self, agents: Iterable[AgentId], what: str, kind: Any, body: bytes = b"", timeout_s: float = ASK_S
    ) -> dict[AgentId, Any]:
        """Ask the same of many agents; by agent, its answer, or the error that there is instead."""
        found = await self.host.asking.each(agents, what, body, timeout_s)
        return {
            agent: each if isinstance(each, errors.EbbtideError) else questions.decode(each, kind)
            for agent, each in found.items()
        }

    async def all_of(
        self, agents: Iterable[AgentId], what: str, kind: Any, body: bytes = b"", timeout_s: float = ASK_S
    ) -> dict[AgentId, Any]:
        """Ask the same of many agents: a question of `peer.host.questions` that is answered at once.

        Args:
            agents: who is asked; each host once, for all of its own.
            what: the question.
            kind: of each answer.
            body: what belongs to the question, encoded.
            timeout_s: for how long.

        Raises: the first error that there is instead of an answer; CallerError, for what can't be asked so.
        """
        found = await self._each(agents, what, kind, body, timeout_s)
        for each in found.values():
            if isinstance(each, errors.EbbtideError):
                raise each
        return found

    async def _ask(self, agent: AgentId, what: str, kind: Any, body: bytes = b"") -> Any:
        return questions.decode(await self.host.ask(agent, what, body, timeout_s=ASK_S), kind)
