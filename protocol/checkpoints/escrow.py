"""How many hosts keep shares of the secret by which a host's copies are sealed, and how many of these open it (TR-11).

Fewer than could be lost with their disks are to open nothing, and yet what is left after such losses is to suffice:
where there are too few hosts for both, that nothing is lost comes first.
"""


def trustees_max(replicas: int) -> int:
    """Return how many hosts are to keep shares."""
    return 2 * replicas + 1


def threshold(trustees: int, replicas: int) -> int:
    """Return how many shares are to make the secret.

    Args:
        trustees: how many hosts there are to keep shares.
        replicas: how many hosts may be lost, whose secret it is among them.
    """
    return max(1, min(replicas + 1, trustees - (replicas - 1)))


def needed(trustees: int, replicas: int) -> int:
    """Return how many trustees must have theirs before anything counts that only the copies would tell."""
    return min(trustees, threshold(trustees, replicas) + replicas - 1)
