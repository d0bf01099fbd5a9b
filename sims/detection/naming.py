"""Detectors and scenarios by what people call them on the command line."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peer.detectors import (
    Adwin,
    Cusum,
    Ewma,
    HalfSpaceTrees,
    Outliers,
    PageHinkley,
    Shewhart,
    Vae,
)
from peer.detectors.outliers import KINDS
from peer.errors import CallerError
from sims.detection.scenarios import Payments, Scenario

TRAINED: dict[str, Callable[[Sequence[str]], Any]] = {
    "shewhart": lambda features: Shewhart(features[0]),
    "ewma": lambda features: Ewma(features[0]),
    "cusum": lambda features: Cusum(features[0]),
    "adwin": lambda features: Adwin(features[0]),
    "page-hinkley": lambda features: PageHinkley(features[0]),
    "half-space-trees": HalfSpaceTrees,
    "vae": Vae,
}
"""What can be trained, by name; and every kind of `Outliers` by its own."""


def untrained(kind: str, features: Sequence[str]) -> Any:
    """Return a detector that is to be trained.

    Raises: CallerError, for a kind that there is not, or without features.
    """
    if not features:
        raise CallerError("a detector looks at features that steps report: name one or more, --feature amount.")
    if kind in TRAINED:
        return TRAINED[kind](features)
    known = {name.lower(): name for name in KINDS}
    if kind.lower() in known:
        return Outliers(known[kind.lower()], features)
    raise CallerError(f"there is no detector {kind!r} to be trained, but: {', '.join((*TRAINED, *known.values()))}.")


def scenario_of(name: str) -> Scenario:
    """Return a scenario: `payments`, or `FILE.py:NAME` or `module:NAME` of one\'s own.

    Raises: CallerError, naming what is not there, or what it lacks.
    """
    if name == "payments":
        return Payments()
    if ":" not in name:
        raise CallerError(f"there is no scenario {name!r}: it is payments, or FILE.py:NAME, or module:NAME.")
    found = attribute_of(name)
    made: Any = found() if inspect.isclass(found) else found
    lacks = [each for each in ("name", "features", "faults", "play") if not hasattr(made, each)]
    if lacks:
        raise CallerError(f"{name} is no scenario: it lacks {', '.join(lacks)}. See sims/detection/scenarios.py.")
    return made


def attribute_of(name: str) -> Any:
    """Return what `FILE.py:NAME` or `module:NAME` names.

    Raises: CallerError, naming what is not there.
    """
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise CallerError(f"{name!r} names nothing in a file: write FILE.py:NAME, or module:NAME.")
    found = getattr(_module(place), attribute, None)
    if found is None:
        raise CallerError(f"{place} has no {attribute!r}.")
    return found


def _module(place: str) -> Any:
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except ImportError as error:
            raise CallerError(f"no module {place!r}: {error}.") from error
    path = Path(place)
    if not path.is_file():
        raise CallerError(f"no file {place}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module
