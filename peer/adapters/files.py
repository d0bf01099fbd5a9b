"""Tools that write, delete and move files, and make folders: each at once, kept in a trash, and put back on undo.

What an undo would overwrite is looked at first: what somebody has changed since is left alone, and told.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Unpack

from peer.adapters.options import ChangedSince, Options, keyed
from peer.adapters.trash import (
    DONE,
    NEW,
    OLD,
    PLAN,
    TAKEN,
    UNDOING,
    UNDONE,
    Slip,
    Trash,
    digest_of,
    keep,
    move,
    stamp_of,
    write_synced,
)
from peer.agents.tool import Call, Happened, NotHappened, Tool, Unknown, tool
from peer.errors import ConfigInvalid


class Folder:
    """A folder whose files tools change: a resource, as `partial(Folder, "shop")`.

    Args:
        root: the folder, which is there. Paths that tools are given are below it, with `/` between names.
        trash: where old content is kept, on the same file system; `.trash` in the root if left out. What lies there for
            a call may be removed by hand once no rollback can reach the call any more: an undo then finds nothing.

    One program at a time should change a file: what somebody else writes in the moment of a call may be lost.
    """

    def __init__(self, root: str | Path, *, trash: str | Path | None = None) -> None:
        self.root = Path(root).absolute()
        self._trash_path = self.root / ".trash" if trash is None else Path(trash).absolute()
        self.trash: Trash

    def __enter__(self) -> "Folder":
        """Make the trash. Raises: ConfigInvalid, naming the folder; OSError."""
        if not self.root.is_dir():
            raise ConfigInvalid(f"{self.root} is no folder. Nothing was changed. Make it first.")
        self.trash = Trash(self._trash_path, self.root)
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between calls."""

    def path(self, name: str) -> Path:
        """Return the path of a file below the root.

        Raises: NotHappened, if it is the root, not below it, or in the trash.
        """
        path = Path(os.path.normpath(self.root / name))
        # Where its folder really is: a link may lead out.
        real = path.parent.resolve() / path.name
        root, trash = self.root.resolve(), self._trash_path.resolve()
        if root not in real.parents or real == trash or trash in real.parents:
            raise NotHappened(f"path {name!r} is not below {self.root}, or is its trash. Nothing was changed")
        return path


class _Verb(Protocol):
    """One way to change files; paths are those of the call's arguments."""

    def plan(self, slip: Slip, paths: list[Path], content: Any) -> dict[str, Any]:
        """Look, keep what is needed, and return what is to be done. Raises: NotHappened, if it can't."""
        ...

    def is_done(self, slip: Slip, plan: dict[str, Any], paths: list[Path]) -> bool | None:
        """Tell whether the change was made; None, if nobody can tell. Asked where nothing notes that it was."""
        ...

    def do(self, slip: Slip, paths: list[Path]) -> None:
        """Make the change, by one rename."""
        ...

    def undo(self, slip: Slip, plan: dict[str, Any], paths: list[Path]) -> None:
        """Reverse it, by one rename, unless that was done. Raises: ChangedSince."""
        ...


class _Write:
    def plan(self, slip: Slip, paths: list[Path], content: Any) -> dict[str, Any]:
        data = content.encode() if isinstance(content, str) else content
        if not isinstance(data, bytes):
            raise NotHappened(f"content is of type {type(content).__name__}: give a str or bytes. Nothing was changed")
        path, new = paths[0], slip.at(NEW)
        if path.is_symlink() or path.is_dir():
            raise NotHappened(f"{path} is a folder or a link, and is not written over")
        is_there = path.exists()
        slip.clear(OLD, NEW)
        write_synced(new, data)
        if is_there:
            keep(path, slip.at(OLD))
            new.chmod(path.stat().st_mode & 0o7777)
        return {"was_there": is_there, "digest": digest_of(new)}

    def is_done(self, slip: Slip, plan: dict[str, Any], paths: list[Path]) -> bool | None:
        return not slip.has(NEW)

    def do(self, slip: Slip, paths: list[Path]) -> None:
        move(slip.at(NEW), paths[0])

    def undo(self, slip: Slip, plan: dict[str, Any], paths: list[Path]) -> None:
        path = paths[0]
        if not slip.has(OLD) if plan["was_there"] else slip.has(TAKEN):
            return
        if not path.is_file() or path.is_symlink() or digest_of(path) != plan["digest"]:
            raise _changed(path, slip)
        if plan["was_there"]:
            move(slip.at(OLD), path)
        else:
            move(path, slip.at(TAKEN))


class _Delete:
    def plan(self, slip: Slip, paths: list[Path], content: Any) -> dict[str, Any]:
        if not os.path.lexists(paths[0]):
            raise NotHappened(f"{paths[0]} is not there")
        return {}

    def is_done(self, slip: Slip, plan: dict[str, Any], paths: list[Path]) -> bool | None:
        return slip.has(OLD)

    def do(self, slip: Slip, paths: list[Path]) -> None:
        move(paths[0], slip.at(OLD))

    def undo(self, slip: Slip, plan: dict[str, Any], paths: list[Path]) -> None:
        if not slip.has(OLD):
            return
        if os.path.lexists(paths[0]):
            raise _changed(paths[0], slip)
        move(slip.at(OLD), paths[0])


class _Move:
    def plan(self, slip: Slip, paths: list[Path], content: Any) -> dict[str, Any]:
        source, target = paths
        if not os.path.lexists(source):
            raise NotHappened(f"{source} is not there")
        if os.path.lexists(target):
            raise NotHappened(f"{target} is there already: delete it first")
        return {"stamp": stamp_of(source)}

    def is_done(self, slip: Slip, plan: dict[str, Any], paths: list[Path]) -> bool | None:
        source, target = (os.path.lexists(path) and path.lstat().st_ino == plan["stamp"][0] for path in paths)
        return None if source == target else target

    def do(self, slip: Slip, paths: list[Path]) -> None:
        move(*paths)

    def undo(self, slip: Slip, plan: dict[str, Any], paths: list[Path]) -> None:
        source, target = paths
        if os.path.lexists(source):
            if stamp_of(source) == plan["stamp"]:
                return
            raise _changed(source, slip)
        if not os.path.lexists(target) or stamp_of(target) != plan["stamp"]:
            raise _changed(target, slip)
        move(target, source)


class _Make:
    def plan(self, slip: Slip, paths: list[Path], content: Any) -> dict[str, Any]:
        if os.path.lexists(paths[0]):
            raise NotHappened(f"{paths[0]} is there already")
        slip.clear(NEW)
        slip.at(NEW).mkdir()
        return {"stamp": stamp_of(slip.at(NEW))}

    def is_done(self, slip: Slip, plan: dict[str, Any], paths: list[Path]) -> bool | None:
        return not slip.has(NEW)

    def do(self, slip: Slip, paths: list[Path]) -> None:
        move(slip.at(NEW), paths[0])

    def undo(self, slip: Slip, plan: dict[str, Any], paths: list[Path]) -> None:
        path = paths[0]
        if slip.has(TAKEN):
            return
        if not path.is_dir() or stamp_of(path) != plan["stamp"] or any(path.iterdir()):
            raise _changed(path, slip)
        move(path, slip.at(TAKEN))


_WRITE, _DELETE, _MOVE, _MAKE = _Write(), _Delete(), _Move(), _Make()


def _changed(path: Path, slip: Slip) -> ChangedSince:
    return ChangedSince(
        f"{path} is not as the call left it: somebody has changed it since. Nothing was undone. Put it back or move it"
        f" away, or settle the effect by hand; what was there before is in {slip.folder}"
    )


def _call(verb: _Verb, scope: str, names: tuple[str, ...], content: Any, intent: str, folder: Folder) -> None:
    paths = [folder.path(name) for name in names]
    with folder.trash.slip(keyed(scope, intent)) as slip:
        if slip.has(UNDOING):
            raise NotHappened(f"intent {intent} was undone before this call came: it comes too late")
        plan = slip.plan()
        if slip.has(DONE) or (plan is not None and verb.is_done(slip, plan, paths)):
            slip.mark(DONE)
            return
        # What an earlier try has planned, and not done, is planned anew: the files may be others now.
        slip.clear(PLAN)
        try:
            plan = verb.plan(slip, paths, content)
            if not paths[-1].parent.is_dir():
                raise NotHappened(f"folder {paths[-1].parent} is not there: make it first")
            slip.write_plan({**plan, "intent": intent, "names": names})
        except OSError as error:
            raise NotHappened(f"{error}. Nothing was changed") from error
        verb.do(slip, paths)
        slip.mark(DONE)


def _check(verb: _Verb, scope: str, count: int, call: Call, *, folder: Folder) -> Happened | NotHappened | Unknown:
    paths = [folder.path(name) for name in _names(call, count)]
    with folder.trash.slip(keyed(scope, call.intent)) as slip:
        plan = slip.plan()
        if plan is None or slip.has(UNDONE):
            return NotHappened()
        # An undo that was begun is believed to be needed still: it does nothing twice.
        is_done = True if slip.has(DONE) or slip.has(UNDOING) else verb.is_done(slip, plan, paths)
        return Unknown() if is_done is None else Happened() if is_done else NotHappened()


def _undo(verb: _Verb, scope: str, count: int, call: Call, *, folder: Folder) -> None:
    paths = [folder.path(name) for name in _names(call, count)]
    with folder.trash.slip(keyed(scope, call.intent)) as slip:
        if slip.has(UNDONE):
            return
        plan = slip.plan()
        is_done = plan is not None and (slip.has(DONE) or verb.is_done(slip, plan, paths))
        if is_done is None:
            raise _changed(paths[-1], slip)
        # From here on the call comes too late, if it comes yet.
        slip.mark(UNDOING)
        if plan is not None and is_done:
            verb.undo(slip, plan, paths)
        slip.mark(UNDONE)
        if not is_done:
            slip.clear(OLD, NEW)


def _names(call: Call, count: int) -> tuple[str, ...]:
    return call.args[:count]


def _tool(
    name: str, function: Callable[..., None], verb: _Verb, count: int, folder: Callable[[], Any], scope: str,
    options: Options,
) -> Tool[..., Any]:  # fmt: skip
    undo, check = partial(_undo, verb, scope, count), partial(_check, verb, scope, count)
    return tool(undo=undo, check=check, name=name, resources={"folder": folder}, **options)(function)


def write(name: str, folder: Callable[[], Any], *, scope: str = "", **options: Unpack[Options]) -> Tool[..., Any]:
    """Return a tool that writes a file: `await ctx.call(write, "notes/today.txt", "tea")`, a str or bytes.

    Readers see the old content or the new, never a part. Its folder has to be there. An undo puts the old content
    back, or takes the file away. Arguments are as of all tools of this module:

    Args:
        name: what logs call the tool.
        folder: opens a `Folder`, kept in a variable of its module: `partial(Folder, "shop")`.
        scope: set before the intent, from which the key in the trash is made: needed where several clusters share a
            trash.
        options: timeout (seconds), retry, concurrency: as of any tool.

    What an undo raises: ChangedSince, if a file or folder is not as the call left it.
    """

    def call(path: str, content: str | bytes, /, *, intent: str, folder: Folder) -> None:
        _call(_WRITE, scope, (path,), content, intent, folder)

    return _tool(name, call, _WRITE, 1, folder, scope, options)


def delete(name: str, folder: Callable[[], Any], *, scope: str = "", **options: Unpack[Options]) -> Tool[..., Any]:
    """Return a tool that deletes a file or a folder with all in it: `await ctx.call(delete, "notes")`. As `write`."""

    def call(path: str, /, *, intent: str, folder: Folder) -> None:
        _call(_DELETE, scope, (path,), None, intent, folder)

    return _tool(name, call, _DELETE, 1, folder, scope, options)


def rename(name: str, folder: Callable[[], Any], *, scope: str = "", **options: Unpack[Options]) -> Tool[..., Any]:
    """Return a tool that moves a file or folder: `await ctx.call(rename, "a", "b/a")`, where nothing is. As `write`."""

    def call(source: str, target: str, /, *, intent: str, folder: Folder) -> None:
        _call(_MOVE, scope, (source, target), None, intent, folder)

    return _tool(name, call, _MOVE, 2, folder, scope, options)


def make_folder(name: str, folder: Callable[[], Any], *, scope: str = "", **options: Unpack[Options]) -> Tool[..., Any]:
    """Return a tool that makes a folder: `await ctx.call(make, "notes")`. An undo removes it, if empty. As `write`."""

    def call(path: str, /, *, intent: str, folder: Folder) -> None:
        _call(_MAKE, scope, (path,), None, intent, folder)

    return _tool(name, call, _MAKE, 1, folder, scope, options)
