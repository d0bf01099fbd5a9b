"""Back to a checkpoint in the middle of the run: all that could be seen then is remembered, and must be so again.

What became of steps is judged by the export alone: where each agent's cut stands, and which of its steps stand.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer import Attached, Cluster
from sims.scenarios.payments import accounts
from sims.scenarios.payments.checks import Check, Entry, Log, standing


@dataclass(frozen=True)
class Moment:
    """All that can be seen of the bank at one moment, with nothing under way."""

    states: dict[str, dict[Any, Any]]
    """By agent, its whole state."""
    exposure: dict[str, dict[Any, int]]
    """By agent, what its replica says of the shared counters."""
    books: list[Entry]
    dead: dict[str, list[str]]
    """By agent, the inputs that it will not handle."""


@dataclass(frozen=True)
class Remembered:
    """A checkpoint, and what the bank was at its cut."""

    epoch: int
    moment: Moment
    inputs: dict[str, int]
    """By agent, how many inputs from outside it had been handed."""


async def look(cluster: Cluster | Attached, books: Path) -> Moment:
    """Return the bank as it stands; it must be quiet."""
    states, exposure, dead = {}, {}, {}
    for agent in cluster.agents:
        states[agent] = await cluster.state(agent)
        exposure[agent] = (await cluster.shared(agent)).counters("exposure")
        dead[agent] = [str(item) for item, _ in await cluster.dead_letters(agent)]
    return Moment(states, exposure, accounts.entries(books), dead)


async def checkpoint_now(cluster: Cluster | Attached, timeout_s: float) -> int:
    """Have a checkpoint made of the bank as it stands, while it is quiet; return its epoch.

    The next one to be committed may have been under way before: then some cut stands before the end of its log.
    """
    while True:
        epoch = await cluster.checkpoint(timeout_s)
        answers = await asyncio.gather(*(cluster.cuts(agent) for agent in cluster.agents))
        ends = [[cut[2:4] for cut in answer.cuts if cut.epoch == epoch] == [answer.last] for answer in answers]
        if all(ends):
            return epoch


async def go_back(cluster: Cluster, remembered: Remembered, kill: str | None, quiet_s: float) -> float:
    """Restore a checkpoint, and wait until nothing is under way; return the seconds until every agent was back.

    Args:
        cluster: the bank.
        remembered: which checkpoint.
        kill: the host of this agent is killed meanwhile.
        quiet_s: how long to wait.
    """
    going = asyncio.create_task(cluster.restore(remembered.epoch, reason="the demo goes back", timeout_s=quiet_s))
    if kill is not None:
        await cluster.kill(kill)
    restored = await going
    await cluster.quiet(quiet_s)
    return restored.seconds


def judge_restore(
    before: Log, after: Log, cuts: dict[str, dict[str, Any]], then: Remembered, now: Moment, inputs: dict[str, int]
) -> list[Check]:
    """Return every check of a restore.

    Args:
        before: the run up to the restore.
        after: the run with the restore.
        cuts: by agent, where its cut stands, from the export.
        then: what was remembered at the checkpoint.
        now: the bank after the restore.
        inputs: by agent, how many inputs from outside it had been handed before the restore.
    """
    agents, keys = len(then.moment.states), sum(map(len, then.moment.states.values()))
    return [
        _same("every agent's state is as it was", then.moment.states, now.states, f"{keys} keys of {agents} agents"),
        _same("the shared counters are as they were", then.moment.exposure, now.exposure, f"at {agents} agents"),
        _books(then.moment.books, now.books),
        _reversed(then.moment.books, now.books),
        _dead(then, now.dead, inputs),
        _undone(before, after, cuts),
    ]


def checkpoint_line(log: Log, epoch: int) -> dict[str, Any]:
    """Return what an export says of a checkpoint; a KeyError if it was never committed."""
    return {line["epoch"]: line for line in log.checkpoints if line["kind"] == "checkpoint"}[epoch]


def _check(name: str, wrong: Sequence[object], detail: str) -> Check:
    return Check(f"restored: {name}", not wrong, f"{len(wrong)} wrong: {list(wrong)[:3]}" if wrong else detail)


def _same(name: str, then: dict[str, dict[Any, Any]], now: dict[str, dict[Any, Any]], seen: str) -> Check:
    wrong = [
        f"{agent} {key}: {now[agent].get(key)}, not {then[agent].get(key)}"
        for agent in then
        for key in {**then[agent], **now[agent]}
        if (key in then[agent], then[agent].get(key)) != (key in now[agent], now[agent].get(key))
    ]
    return _check(name, wrong, seen)


def _books(then: Sequence[Entry], now: Sequence[Entry]) -> Check:
    was, is_ = standing(then), standing(now)
    wrong = sorted(intent for intent in {*was, *is_} if was.get(intent) != is_.get(intent))
    return _check("the books stand as they did", wrong, f"{len(was)} entries stand, {len(now) - len(then)} came since")


def _reversed(then: Sequence[Entry], now: Sequence[Entry]) -> Check:
    """Every entry made since is reversed by exactly one opposite entry, and none of before is touched."""
    before = {entry[0] for entry in then}
    since = [entry for entry in now if entry[0] not in before]
    opposite = Counter((of, payment, account, -cents) for _, payment, account, cents, of in since if of is not None)
    made = [(intent, payment, account, cents) for intent, payment, account, cents, of in since if of is None]
    wrong = [entry[0] for entry in made if opposite[entry] != 1]
    wrong += [str(entry[0]) for entry in opposite if entry not in set(made)]
    wrong += [entry[0] for entry in then if entry not in set(now)]
    return _check("nothing done twice: each undone entry reversed once", wrong, f"{len(made)} reversed once each")


def _dead(then: Remembered, dead: dict[str, list[str]], inputs: dict[str, int]) -> Check:
    wrong: list[str] = []
    count = 0
    for agent, letters in dead.items():
        new = Counter(letters) - Counter(then.moment.dead[agent])
        late = range(then.inputs.get(agent, 0) + 1, inputs.get(agent, 0) + 1)
        numbers = Counter(int(letter.rsplit("#", 1)[1]) for letter in new.elements())
        wrong += [f"{agent}: {number}" for number in {*late, *numbers} if numbers[number] != (number in late)]
        count += len(late)
    return _check("inputs taken on after the cut are dead letters", wrong, f"{count} inputs, and nothing else")


def _undone(before: Log, after: Log, cuts: dict[str, dict[str, Any]]) -> Check:
    """What ran after the cut does not stand, and what ran before it stands just as it did."""
    wrong: list[str] = []
    undone = 0
    for line in after.lines:
        agent, incarnation, seq = line["step"].rsplit("/", 2)
        last = cuts[agent]["last"] if agent in cuts else None
        inside = last is not None and (int(incarnation), int(seq)) <= tuple(map(int, last.rsplit("/", 2)[1:]))
        stood = line["step"] in before.by_step and line["step"] not in before.undone
        if (line["step"] not in after.undone) != (inside and stood):
            wrong.append(line["step"])
        undone += stood and not inside
    return _check("undone is exactly what ran after the cut", wrong, f"{undone} steps")
