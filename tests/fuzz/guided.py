"""One target under atheris, in a process of its own: `python -m tests.fuzz.guided TARGET OUT [libFuzzer's options]`.

What is found is written to OUT, one file for each place at which it was raised, and the run goes on.
"""

import sys
import traceback
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from random import Random
from types import FunctionType

import atheris  # pyright: ignore[reportMissingImports]  # in an environment of its own: make fuzz

from tests.fuzz.shapes import Unshaped
from tests.fuzz.targets import TARGETS

REACHED = {
    "wire": ("protocol.wire",),
    "store": ("peer.store", "peer.chain"),
    "values": ("peer.values",),
    "records": ("protocol.wire", "peer.store.heads"),
    "questions": ("peer.host.questions",),
    "spaces": ("peer.host.replicas",),
    "people": ("peer.people", "peer.serving.door", "peer.keys"),
    "http": ("peer.serving.bodies", "peer.agents.past", "peer.agents.suspecting", "peer.values"),
    "pieces": ("peer.host.pieces",),
    "frame": ("peer.transport.frame", "peer.keys"),
}
"""By target, the modules whose coverage guides it; that of all others is guided by all that is ours."""

ROOT = Path(__file__).parents[2]
SHAPED = 0.85
"""Share of the mutations that keep the input's form."""


def place_of(error: BaseException) -> str:
    """Return what tells one finding from another: the error's class, and where in our code it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(str(ROOT)) and ".venv" not in frame.filename]
    last = (ours or frames)[-1]
    text = str(error)[:60] if isinstance(error, AssertionError) and "tests/fuzz" in last.filename else ""
    return f"{type(error).__name__} {Path(last.filename).name}:{last.lineno} {text}".strip()


def functions_of(reached: tuple[str, ...]) -> Iterator[FunctionType]:
    """Yield the functions and methods of modules, and of those below them."""
    for name, module in sorted(sys.modules.items()):
        if not any(f"{name}.".startswith(f"{each}.") for each in reached):
            continue
        for thing in vars(module).values():
            for part in vars(thing).values() if isinstance(thing, type) else (thing,):
                found = getattr(part, "fget", None) or getattr(part, "__func__", part)
                if isinstance(found, FunctionType) and found.__module__ == name:
                    yield found


class Guided:
    """One run.

    Args:
        name: the target's.
        out: where findings go.
    """

    def __init__(self, name: str, out: Path) -> None:
        self._target = TARGETS[name]
        self._name = name
        self._out = out
        self._seen: set[str] = set()

    def run(self, data: bytes) -> None:
        """Run the target on an input; keep what is found."""
        try:
            self._target.run(data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            place = place_of(error)
            if place in self._seen:
                return
            self._seen.add(place)
            file = self._out / f"{self._name}-{blake2b(place.encode(), digest_size=6).hexdigest()}"
            file.write_bytes(data)
            file.with_name(f"{file.name}.txt").write_text("".join(traceback.format_exception(error)), "utf-8")
            print(f"FOUND {place}\t{file}", flush=True)

    def change(self, data: bytes, size_max: int, seed: int) -> bytes:
        """Return another input: of the same form, mostly."""
        rng = Random(seed)
        if rng.random() < SHAPED:
            try:
                found = self._target.change(data, rng)
                if len(found) <= size_max:
                    return found
            except Unshaped:
                pass
        return atheris.Mutate(data, size_max)


def main() -> None:
    """Fuzz the target that the command line names."""
    name, out, *options = sys.argv[1:]
    guided = Guided(name, Path(out))
    for function in functions_of(REACHED.get(name, ("protocol", "peer"))):
        atheris.instrument_func(function)
    atheris.Setup(
        [f"{sys.executable} -m tests.fuzz.guided {name} {out}", *options], guided.run, custom_mutator=guided.change
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
