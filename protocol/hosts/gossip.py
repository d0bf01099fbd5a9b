"""Facts held by one host: which are news to pass on (MB-1), and where another's differ (MB-3).

Rumours reach nearly all hosts in about log N rounds; the repair finds what they have missed. It compares sums of
hashes, as a tree of sixteen branches, and goes down only where they differ: its bytes follow the difference.

Source: Demers et al. 1987 (rumour mongering repaired by anti-entropy); Merkle 1987 and Meyer 2023 (range-based set
reconciliation); Bellare and Micciancio 1997 (sums of hashes).
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b

from protocol.fact import Fact, fact_key, fact_version, fact_weight
from protocol.hosts.messages import Compare
from protocol.limits import HostLimits

LEAF_MAX = 16
"""Where so few facts are under a prefix they are listed: as many bytes as one more level of sums."""
DESCENTS_MAX = 64
"""Differing prefixes that one answer goes into; the rest is found by later comparisons."""
_WORD = (1 << 64) - 1
_PLACE_END = "g"
"""Sorts after every hexadecimal digit."""


class Gossip:
    """The facts of one host; of two versions of one fact the higher stands."""

    def __init__(self, limits: HostLimits) -> None:
        self._limits = limits
        self._facts: dict[str, Fact] = {}
        self._prints: dict[str, int] = {}
        """By place, the hash of the fact there; no tuple of both, since each of N hosts would keep N of them."""
        self._places: list[str] = []
        self._sum = 0
        self._rumours: dict[str, tuple[Fact, int]] = {}

    def learn(self, fact: Fact) -> bool:
        """Take in a fact; True if it is news."""
        place, print_ = _named(fact_key(fact), fact_version(fact))
        known = self._facts.get(place)
        if known is None:
            insort(self._places, place)
        elif fact_version(known) >= fact_version(fact):
            return False
        else:
            self._sum -= self._prints[place]
        self._facts[place] = fact
        self._prints[place] = print_
        self._sum = (self._sum + print_) & _WORD
        return True

    def facts(self) -> list[Fact]:
        """Return all facts held."""
        return list(self._facts.values())

    def get(self, key: str) -> Fact | None:
        """Return the fact of a name, or None."""
        return self._facts.get(_placed(key))

    # -- rumours

    def spread(self, fact: Fact, hosts: int) -> None:
        """Pass a fact on, log2 `hosts` times; it takes the place of an earlier version."""
        key = fact_key(fact)
        self._rumours.pop(key, None)
        self._rumours[key] = (fact, self._limits.rumour_factor * max(hosts.bit_length(), 1))
        if len(self._rumours) > self._limits.rumours_max:
            del self._rumours[next(iter(self._rumours))]

    def has_rumours(self) -> bool:
        """Tell whether there is news to pass on."""
        return bool(self._rumours)

    def rumours(self, copies: int) -> tuple[Fact, ...]:
        """Return news for one frame, newest first, and count it as sent `copies` times."""
        chosen: list[Fact] = []
        weight = 0
        for key in list(reversed(self._rumours)):
            fact, left = self._rumours[key]
            weight += fact_weight(fact)
            if chosen and weight > self._limits.weight_max:
                break
            chosen.append(fact)
            if left > copies:
                self._rumours[key] = (fact, left - copies)
            else:
                del self._rumours[key]
        return tuple(chosen)

    # -- repair

    def opening(self) -> Compare:
        """Begin a comparison: one sum, whatever is held."""
        return Compare(sums=(("", self._sum),))

    def introduction(self) -> Compare:
        """Begin one as somebody new, who may as well say at once how little is held."""
        sums: list[tuple[str, int]] = []
        lists: list[tuple[str, tuple[tuple[str, int], ...]]] = []
        self._describe("", sums, lists)
        return self.opening() if sums else Compare(lists=tuple(lists))

    def answer(self, compare: Compare) -> Compare | None:
        """Go on with a comparison where it differs; None if there is nothing to say."""
        sums: list[tuple[str, int]] = []
        lists: list[tuple[str, tuple[tuple[str, int], ...]]] = []
        facts: dict[str, Fact] = {}
        wants: dict[str, None] = {}
        descents = 0
        for prefix, theirs in compare.sums:
            if descents < DESCENTS_MAX and self._sum_of(prefix) != theirs:
                descents += 1
                self._describe(prefix, sums, lists)
        for prefix, items in compare.lists[:DESCENTS_MAX]:
            held = dict(items)
            for place in self._under(prefix):
                if held.get(place) != self._prints[place]:
                    facts[place] = self._facts[place]
            # Of two versions nobody knows from its hash which is the newer: each sends its own.
            wants.update((place, None) for place, print_ in items if self._prints.get(place) != print_)
        for place in compare.wants:
            if place in self._facts:
                facts[place] = self._facts[place]
        if not (sums or lists or wants or facts):
            return None
        return Compare(tuple(sums), tuple(lists), tuple(wants), tuple(facts.values()))

    def _describe(
        self, prefix: str, sums: list[tuple[str, int]], lists: list[tuple[str, tuple[tuple[str, int], ...]]]
    ) -> None:
        places = self._under(prefix)
        if len(places) <= LEAF_MAX:
            lists.append((prefix, tuple((place, self._prints[place]) for place in places)))
            return
        below = [0] * 16
        for place in places:
            below[int(place[len(prefix)], 16)] += self._prints[place]
        sums.extend((f"{prefix}{digit:x}", total & _WORD) for digit, total in enumerate(below))

    def _sum_of(self, prefix: str) -> int:
        if not prefix:
            return self._sum
        return sum(self._prints[place] for place in self._under(prefix)) & _WORD

    def _under(self, prefix: str) -> list[str]:
        first = bisect_left(self._places, prefix)
        return self._places[first : bisect_left(self._places, prefix + _PLACE_END, first)]


def shared_out(facts: Iterable[Fact], weight_max: int) -> Iterator[tuple[Fact, ...]]:
    """Share facts out over frames of about `weight_max` names."""
    some: list[Fact] = []
    weight = 0
    for fact in facts:
        weight += fact_weight(fact)
        if some and weight > weight_max:
            yield tuple(some)
            some, weight = [], fact_weight(fact)
        some.append(fact)
    if some:
        yield tuple(some)


@lru_cache(maxsize=1 << 16)
def _named(key: str, version: tuple[int, str]) -> tuple[str, int]:
    """Return a fact's place and hash. Kept, since many hosts of one process hear the same facts."""
    text = f"{key}@{version[0]}@{version[1]}"
    return _placed(key), int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


@lru_cache(maxsize=1 << 16)
def _placed(key: str) -> str:
    return blake2b(key.encode(), digest_size=12).hexdigest()
