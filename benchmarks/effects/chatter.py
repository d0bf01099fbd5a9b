"""The work of experiment 3: agents that talk to each other, and pay now and then.

Standard library only: peers import this as well. What is thought stands for a language model: it depends on the
message and on how often that message was thought about, so a second run says and does something else.
"""

import random
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

AGENTS = 20
OPENINGS = 6
"""Messages from outside, at the start of each trial."""
HOPS = 2
"""How often an opening is passed on, and what comes of it."""
PAYS = 0.3
"""The share of steps that pay."""
OUTSIDE = "outside"


@dataclass(frozen=True)
class Word:
    """A message."""

    id: str
    by: str
    """The run that has sent it: the name of one execution of one step, never used again."""
    hops: int


@dataclass(frozen=True)
class Entry:
    """What an agent's state keeps of one step."""

    agent: str
    at: int
    """How many steps the agent had before."""
    word: str
    by: str
    run: str
    order: str
    """What this step has paid; empty if nothing."""
    sent: tuple[str, ...]
    """The messages."""


@dataclass(frozen=True)
class Thought:
    """What a step is to do."""

    run: str
    order: str
    amount: int
    memo: str
    sends: tuple[tuple[str, Word], ...]
    """By receiver."""

    def entry(self, agent: str, at: int, word: Word) -> Entry:
        """Return what the step's agent keeps of it."""
        return Entry(agent, at, word.id, word.by, self.run, self.order, tuple(sent.id for _, sent in self.sends))


class Mind:
    """Thinks for all agents of a process, and counts how often about each message."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._often: Counter[str] = Counter()
        self._lock = threading.Lock()

    def think(self, word: Word, names: tuple[str, ...], me: str) -> Thought:
        """Think about a message, once more if it was thought about before."""
        with self._lock:
            often = self._often[word.id]
            self._often[word.id] += 1
        rng = random.Random(f"{self._seed}/{word.id}/{often}")
        run = f"{word.id}#{often}"
        pays = rng.random() < PAYS
        amount = len(word.id) % 90 + 1
        words = f"as {me} sees it for the {often + 1}. time: {rng.randrange(1000)}"
        others = [name for name in names if name != me]
        receivers = [rng.choice(others) for _ in range(rng.choice((1, 1, 2)))] if word.hops else []
        sends = tuple(
            (receiver, Word(f"{run}.{number}", run, word.hops - 1)) for number, receiver in enumerate(receivers)
        )
        return Thought(run, f"pay-{word.id}" if pays else "", amount, words, sends)


def names_of(trial: int) -> tuple[str, ...]:
    """Return the agents of a trial."""
    return tuple(f"t{trial}-a{number}" for number in range(AGENTS))


def openings(seed: str, trial: int) -> list[tuple[str, Word]]:
    """Return the messages from outside, by receiver."""
    rng = random.Random(f"{seed}/openings/{trial}")
    names = names_of(trial)
    return [(rng.choice(names), Word(f"t{trial}-{number}", OUTSIDE, HOPS)) for number in range(OPENINGS)]


def wrong_trials(seed: str, trials: int, rate: float) -> list[int]:
    """Return the trials in which a step is found wrong."""
    return sorted(random.Random(f"{seed}/{rate}/wrong").sample(range(trials), round(rate * trials)))


def wrong_entry(seed: str, trial: int, entries: list[Entry]) -> Entry:
    """Return the step that is found wrong: one of an agent that has made others since, if there is such an agent."""
    rng = random.Random(f"{seed}/wrong/{trial}")
    last = Counter(entry.agent for entry in entries)
    early = [entry for entry in entries if entry.at < last[entry.agent] - 1]
    return rng.choice(sorted(early or entries, key=lambda entry: entry.run))


def as_told(entries: list[Entry]) -> list[dict[str, Any]]:
    """Return entries for a line of JSON."""
    return [asdict(entry) for entry in entries]


def read_entry(row: list[Any]) -> Entry:
    """Read what an agent keeps as a list of values."""
    agent, at, word, by, run, order, sent = row
    return Entry(agent, at, word, by, run, order, tuple(sent))
