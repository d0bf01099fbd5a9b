"""The inputs that fuzzing has kept, and some random ones, through each target (tests/fuzz, `make fuzz`)."""

from collections.abc import Iterator
from random import Random
from time import monotonic

import pytest

from tests.fuzz.corpus import ROOT, kept, replay, replay_line
from tests.fuzz.shapes import Unshaped
from tests.fuzz.targets import TARGETS

RANDOM_S = 3.0
"""How long each target is given random inputs, at most."""
RANDOM_MAX = 300
CORPUS_BYTES_MAX = 256 << 10


def _replayed(name: str, data: bytes, which: str) -> None:
    try:
        replay(name, data)
    except Exception as error:
        error.add_note(which)
        raise


def _changed(name: str, rng: Random) -> Iterator[bytes]:
    seeds = [*TARGETS[name].seeds(), *(file.read_bytes() for file in sorted(kept(name).iterdir()))]
    while True:
        data = rng.choice(seeds)
        for _ in range(rng.randint(1, 3)):
            try:
                data = TARGETS[name].change(data, rng)
            except Unshaped:
                raw = bytearray(data or b"\0")
                raw[rng.randrange(len(raw))] = rng.randrange(256)
                data = bytes(raw[: rng.randint(0, len(raw))] if rng.random() < 0.2 else raw)
        yield data


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_that_were_found_and_kept_are_refused_or_taken_in(name: str) -> None:
    for file in sorted(kept(name).iterdir()):
        _replayed(name, file.read_bytes(), replay_line(name, file))


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_random_changes_of_them_are_refused_or_taken_in(name: str) -> None:
    for at, data in enumerate(TARGETS[name].seeds()):
        _replayed(name, data, f"seed {at} of {name}")
    rng, until = Random(1), monotonic() + RANDOM_S
    for at, data in zip(range(RANDOM_MAX), _changed(name, rng), strict=False):
        if monotonic() > until:
            return
        _replayed(name, data, f"random input {at} of {name}, {len(data)} bytes: {data[:200].hex()}")


def test_the_corpus_stays_small() -> None:
    files = [file for name in TARGETS for file in kept(name).iterdir()]
    assert sum(file.stat().st_size for file in files) < CORPUS_BYTES_MAX
    assert {folder.name for folder in (ROOT / "tests" / "fuzz" / "corpus").iterdir()} == {*TARGETS}
