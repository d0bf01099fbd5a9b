"""Plays one run of the fault matrix: a row under a seed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from peer.errors import EbbtideError
from sims.checkers import Broken
from sims.faults import Duplicate, Fault, KillAtWrite, Loss
from sims.studies.matrix.cases import PERSON, Case
from sims.studies.matrix.flows import FLOWS, STRUCK_HOST, Setting
from sims.studies.matrix.judging import Verdict, broken, judge
from sims.studies.matrix.ledger import NAME, Ledger
from sims.virtual.chance import stream
from sims.virtual.loop import NothingToDo, TimeStands
from sims.world import World

HOSTS = 2
BAD_NETWORK_S = 3.0
ENDS = "everything ends"
"""The invariant that a world breaks which does not come to rest."""


def play(case: Case, seed: int) -> Verdict:
    """Play a row under a seed, and judge it.

    The seed decides all that chance decides, how long the host is down, which of the records or calls is struck,
    and whether the network is bad besides.
    """
    rng = stream(seed, f"matrix/{case.name}")
    after_s, nth = round(rng.uniform(0.01, 0.5), 4), rng.randint(case.first, case.last)
    faults: list[Fault] = [KillAtWrite("desk", kind, nth, point, after_s) for kind, point in case.writes]
    if rng.random() < 0.5:
        faults += [Loss(0.1, until=BAD_NETWORK_S), Duplicate(0.1, until=BAD_NETWORK_S)]
    with World(seed, HOSTS, faults=faults, checking="end") as world:
        crashes: list[str] = []

        def crash() -> None:
            crashes.append(STRUCK_HOST)
            world.engine.loop.call_soon(world.crash, STRUCK_HOST, after_s)

        strikes = tuple(replace(s, nth=nth if s.verb != "check" else 1) for s in case.strikes)
        ledger = Ledger(strikes, crash)
        world.engine.outside.ports[NAME] = ledger
        setting = Setting(world, ledger, case.has_check, case.how, crash)
        try:
            return _judged(case, setting, crashes)
        except Broken as error:
            is_stuck = int(error.invariant == ENDS)
            return Verdict(_struck(case, setting, crashes), stuck=is_stuck, broken=1 - is_stuck, why=str(error))
        except (EbbtideError, NothingToDo, TimeStands) as error:
            # What is awaited in vain, or can't even be found: the run has not come to its end.
            return Verdict(_struck(case, setting, crashes), stuck=1, why=f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001  # whatever our own code raises, the row shows it
            return Verdict(_struck(case, setting, crashes), broken=1, why=f"{type(error).__name__}: {error}")


def _judged(case: Case, setting: Setting, crashes: list[str]) -> Verdict:
    world = setting.world
    expected = FLOWS[case.flow](setting)
    verdict = judge(world, setting.ledger, expected, _struck(case, setting, crashes))
    why = broken(world)
    if why:
        verdict = Verdict(**{**_fields(verdict), "broken": 1, "why": why})
    return verdict


def _fields(verdict: Verdict) -> dict[str, object]:
    return {name: getattr(verdict, name) for name in verdict.__struct_fields__}


def _struck(case: Case, setting: Setting, crashes: list[str]) -> int:
    """Return whether all that was to happen in a row has happened."""
    if case.killed == PERSON:
        return 1
    bites = [count for fault, count in setting.world.bites() if isinstance(fault, KillAtWrite)]
    if case.writes:
        return int(all(bites))
    return int(setting.ledger.struck >= len(case.strikes) and (bool(case.strikes) or bool(crashes)))


def runs(rows: list[Case], seeds: int, jobs: int) -> Iterator[tuple[int, int, Verdict]]:
    """Play each row under each seed, over processes; yield the row's number, the seed and the verdict as they end."""
    todo = [(number, case, seed) for number, case in enumerate(rows) for seed in range(seeds)]
    if jobs == 1:
        yield from map(_quietly, todo)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        yield from pool.map(_quietly, todo, chunksize=5)


def _quietly(job: tuple[int, Case, int]) -> tuple[int, int, Verdict]:
    number, case, seed = job
    logger = logging.getLogger("ebbtide")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        return number, seed, play(case, seed)
    finally:
        logger.setLevel(level)
