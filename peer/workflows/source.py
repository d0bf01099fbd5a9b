"""Where a workflow is found: a run's folder, a Python file that declares one or names agents, or JSON."""

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from peer.agents.failures import one_line, told
from peer.audit.gaps import Gap
from peer.audit.reader import read_trail
from peer.errors import CallerError, ConfigInvalid
from peer.workflows.classes import workflow_of_classes
from peer.workflows.logged import workflow_of
from peer.workflows.workflow import Workflow

REMEDY = (
    "Name a run's folder, a Python file with 'workflow = Workflow(...)' or 'agents = {\"buyer\": Buyer}', or a file"
    " that 'ebbtide workflow graph --json' has printed."
)


class Found(NamedTuple):
    """A workflow, and what could not be read of it."""

    workflow: Workflow
    gaps: list[Gap]


def workflow_at(path: Path, progress: Callable[[int, int], None] | None = None) -> Found:
    """Return the workflow that a folder or a file tells of.

    Raises: ConfigInvalid, naming the path; CallerError, naming what it says.
    """
    if path.is_dir():
        trail = read_trail(path, progress)
        return Found(workflow_of(trail), trail.gaps)
    if not path.is_file():
        raise ConfigInvalid(f"there is no {str(path)!r}. Nothing was read. {REMEDY}")
    if path.suffix == ".json":
        return Found(_of_json(path), [])
    if path.suffix == ".py":
        return Found(_of_module(path), [])
    raise ConfigInvalid(f"{path} is neither a folder nor Python nor JSON. Nothing was read. {REMEDY}")


def _of_json(path: Path) -> Workflow:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigInvalid(f"{path} is no JSON ({error}). Nothing was read. {REMEDY}") from error
    try:
        return Workflow.of_told(given)
    except CallerError as error:
        raise CallerError(f"{path}: {error}") from error


def _of_module(path: Path) -> Workflow:
    names = vars(_module(path))
    given = names.get("workflow")
    if isinstance(given, Workflow):
        return given
    agents: Any = names.get("agents")
    if isinstance(agents, Mapping | list | tuple):
        return workflow_of_classes(agents, path.stem)
    raise ConfigInvalid(f"{path} has neither a Workflow called 'workflow' nor 'agents'. Nothing was read. {REMEDY}")


def _module(path: Path) -> Any:
    # By a name of its own: neither another file of that name nor a library is in its way.
    name = f"{path.stem}@{blake2b(str(path.resolve()).encode(), digest_size=8).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Annotations are looked up by a class's module, and what the file imports lies beside it.
    sys.modules[name] = module
    before = list(sys.path)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigInvalid(f"{path} raised {one_line(told(error))}. Nothing was read. Mend that first.") from error
    finally:
        # What lies beside it may be called like a library, which others in this process, and their children, want.
        sys.path[:] = before
    return module
