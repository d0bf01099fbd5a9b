"""Facts held by one host, and what it lacks of another's (MB-1).

Source: Demers et al. 1987, rumour mongering repaired by anti-entropy; the cost of a repair follows the difference.
"""

from protocol.fact import Fact, fact_key, fact_version


class Gossip:
    """The facts of one host; of two versions of one fact the higher stands."""

    def __init__(self) -> None:
        self._facts: dict[str, Fact] = {}

    def learn(self, fact: Fact) -> bool:
        """Take in a fact; True if it is news."""
        key = fact_key(fact)
        known = self._facts.get(key)
        if known is not None and fact_version(known) >= fact_version(fact):
            return False
        self._facts[key] = fact
        return True

    def digest(self) -> dict[str, int]:
        """Return the version of every fact held."""
        return {key: fact_version(fact) for key, fact in self._facts.items()}

    def beyond(self, digest: dict[str, int]) -> list[Fact]:
        """Return the facts that whoever sent `digest` lacks."""
        return [fact for key, fact in self._facts.items() if digest.get(key, -1) < fact_version(fact)]

    def lacks(self, digest: dict[str, int]) -> bool:
        """Tell whether whoever sent `digest` has news."""
        return any(
            key not in self._facts or fact_version(self._facts[key]) < version for key, version in digest.items()
        )

    def facts(self) -> list[Fact]:
        """Return all facts held."""
        return list(self._facts.values())
