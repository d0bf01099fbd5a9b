"""Which committed epochs a host keeps: by count, by age, and by the bytes that its agents wrote in them (CP-6)."""

from protocol.limits import CheckpointLimits

EPOCHS_MAX = 100_000
"""Epochs of which times and sizes are remembered."""


class Retention:
    """The epochs that can be gone back to from here, as far as this host has a say."""

    def __init__(self, limits: CheckpointLimits) -> None:
        self._limits = limits
        self._committed_us: dict[int, int] = {}
        self._bytes: dict[int, int] = {}

    def grown(self, colour: int, size: int) -> None:
        """Agents here have written so many bytes after the cut of epoch `colour`."""
        self._bytes[colour] = self._bytes.get(colour, 0) + size

    def horizon(self, epoch: int, now_us: int) -> int:
        """Return the oldest epoch to keep, now that `epoch` is known to be committed.

        At least `epochs_kept` are, and all that are younger than `kept_us`; but no more than what `kept_bytes` were
        written in, down to the newest one. Of epochs before this life only the count is known.
        """
        limits = self._limits
        self._committed_us.setdefault(epoch, now_us)
        oldest = epoch - limits.epochs_kept + 1
        if limits.kept_us:
            young = [known for known, at_us in self._committed_us.items() if now_us - at_us < limits.kept_us]
            oldest = min([oldest, *young])
        if limits.kept_bytes:
            size, fits = 0, epoch
            for known in range(epoch, oldest - 1, -1):
                size += self._bytes.get(known, 0)
                if size > limits.kept_bytes:
                    break
                fits = known
            oldest = max(oldest, fits)
        for past in [known for known in self._committed_us if known < oldest]:
            del self._committed_us[past]
        for past in [known for known in self._bytes if known < oldest]:
            del self._bytes[past]
        while len(self._committed_us) > EPOCHS_MAX:
            del self._committed_us[next(iter(self._committed_us))]
        return oldest
