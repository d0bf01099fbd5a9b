"""What hosts have promised to keep: what was acknowledged while others have copies is never lost (CP-10)."""

from collections.abc import Callable

from peer.host.host import Host
from protocol.action import Tell
from protocol.ids import AgentId


class Promises:
    """By agent, how much of its log has been acknowledged while others keep copies."""

    def __init__(self) -> None:
        self._told: dict[AgentId, int] = {}
        self.broken: list[str] = []
        """What was acknowledged, and is lost."""
        self.said: dict[AgentId, None] = {}
        """Whose loss people were told of."""

    def watch(self, host: Host) -> None:
        """See what a host writes, when it goes on, and what it says of losses, in one life of it."""
        checkpoints, noticed = host.checkpoints, host.noticed
        copies, wrote, place = checkpoints.copies, checkpoints.wrote, checkpoints.place
        last: list[AgentId] = []

        def wrote_too(log: AgentId, records: list[bytes], anchor: bool = False) -> None:
            last[:] = [log]
            wrote(log, records, anchor)

        def noticed_too(agent: AgentId, notice: Tell) -> None:
            if notice.notice == "loss":
                self.said[agent] = None
            noticed(agent, notice)

        def placed(done: Callable[[], None]) -> None:
            # Whoever places something has written it a moment ago.
            log = last[0]
            length = copies.length(log)

            def told() -> None:
                # Who is in no view yet has no buddies: then nothing is promised.
                if copies.buddies():
                    self._told[log] = max(length, self._told.get(log, 0))
                done()

            place(told)

        checkpoints.wrote = wrote_too  # type: ignore[method-assign]
        checkpoints.place = placed  # type: ignore[method-assign]
        host.noticed = noticed_too  # type: ignore[method-assign]

    def shortened(self, log: AgentId, length: int) -> None:
        """A log goes on from so many records: the rest went with a disk."""
        told = self._told.get(log, 0)
        if told > length:
            self.broken.append(f"{log} had acknowledged {told} records, and {length} are left")
            self._told[log] = length
