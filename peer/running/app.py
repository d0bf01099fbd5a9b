"""The file that `ebbtide up` is given: which agents there are, and what is done once they are up.

agents = {"buyer": Buyer, "seller": (Seller, {"price": 3})}
options = {"checkpoint_every_s": 5.0}        # as Cluster takes them

async def main(cluster): ...
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from peer.agents.agent import Agent
from peer.agents.failures import one_line, told, where
from peer.agents.spec import AgentSpec
from peer.cluster.cluster import Cluster
from peer.errors import CallerError, ConfigInvalid

_FORM = 'agents = {"buyer": Buyer, "seller": (Seller, {"price": 3})}'


class App(NamedTuple):
    """What a file says."""

    file: Path
    agents: list[AgentSpec]
    options: dict[str, Any]
    main: Callable[[Cluster], Awaitable[object]] | None
    has_other_main: bool = False
    """It has a `main` that is no coroutine function, so it is not run: many files have one for themselves."""


def read_app(file: Path) -> App:
    """Import a file, and return what it says.

    Raises: ConfigInvalid, naming the file, and its line where it raises.
    """
    module = module_of(file)
    main = getattr(module, "main", None)
    found = getattr(module, "agents", None)
    if found is None and not inspect.iscoroutinefunction(main):
        raise ConfigInvalid(
            f"{file} names no agents, and has no 'async def main(cluster)'. Nothing was started. Write {_FORM}."
        )
    if inspect.iscoroutinefunction(main):
        _check_main(file, main)
    options = getattr(module, "options", {})
    if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
        raise ConfigInvalid(
            f"{file}: options is {options!r}, and no dict of what Cluster takes. Nothing was started."
            " Write options = {'checkpoint_every_s': 5.0}."
        )
    is_ours = inspect.iscoroutinefunction(main)
    return App(file, _specs(file, found), dict(options), main if is_ours else None, callable(main) and not is_ours)


def _check_main(file: Path, main: Callable[..., Awaitable[object]]) -> None:
    try:
        inspect.signature(main).bind(None)
    except TypeError as error:
        raise ConfigInvalid(
            f"{file}: main{inspect.signature(main)} can't be given the cluster ({error}). Nothing was started. Write"
            " 'async def main(cluster)', or give it another name if it is for something else."
        ) from None


def find_classes(file: Path) -> None:
    """Let classes be found that are defined beside a file, as they are where it was started."""
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)


def module_of(file: Path) -> ModuleType:
    """Import a file by its name. Raises: ConfigInvalid, naming it, and its line where it raises."""
    if not file.is_file() or file.suffix != ".py" or not file.stem.isidentifier():
        why = "is no file" if not file.is_file() else "is not called as a Python module is, like shop.py"
        raise ConfigInvalid(f"{file} {why}. Nothing was started. Name a Python file that names agents.")
    find_classes(file)
    # By its name, not as a script: so that hosts find its classes again in processes of their own.
    spec = importlib.util.find_spec(file.stem)
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != file.resolve():
        raise ConfigInvalid(
            f"{file} is called like another module, {spec and spec.origin}. Nothing was started. Give it another name."
        )
    try:
        return importlib.import_module(file.stem)
    except (Exception, SystemExit) as error:
        # Of a syntax error the text has the place, and the traceback that of the import.
        place = "" if isinstance(error, SyntaxError) else where(error, file.stem)
        raise ConfigInvalid(
            f"{file} raised {one_line(told(error))}{place and f', at {place}'}. Nothing was started."
        ) from error


def _specs(file: Path, found: object) -> list[AgentSpec]:
    if isinstance(found, Mapping):
        return [_spec(file, name, value) for name, value in found.items()]
    if found is None:
        return []
    if isinstance(found, Iterable) and not isinstance(found, str):
        specs = list(found)
        if all(isinstance(spec, AgentSpec) for spec in specs):
            return specs
    raise ConfigInvalid(f"{file}: agents is {found!r}. Nothing was started. Write {_FORM}, or a list of AgentSpec.")


def _spec(file: Path, name: object, value: object) -> AgentSpec:
    match value:
        case AgentSpec():
            if value.name != name:
                raise CallerError(f"{file}: agent {name!r} is {value.name!r} in its AgentSpec. Nothing was started.")
            return value
        case (kind, {**options}) if isinstance(name, str) and _is_agents(kind):
            return AgentSpec(name, kind, options)
        case kind if isinstance(name, str) and _is_agents(kind):
            return AgentSpec(name, kind)  # type: ignore[reportArgumentType]
    raise ConfigInvalid(
        f"{file}: agent {name!r} is {value!r}: no class of agents, nor one with options. Nothing was started."
        f" Write {_FORM}."
    )


def _is_agents(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Agent)
