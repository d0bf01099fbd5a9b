"""File tools: each change at once, and put back by its undo, over a crash at any step; what others changed is left."""

import fcntl
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from peer import Call, Happened, NotHappened
from peer.adapters import files, trash
from peer.adapters.files import Folder
from peer.adapters.options import ChangedSince
from peer.errors import ConfigInvalid

PLACE: dict[str, Path] = {}


def opens() -> Folder:
    return Folder(PLACE["root"])


write = files.write("write", opens)
delete = files.delete("delete", opens)
rename = files.rename("rename", opens)
make = files.make_folder("make", opens)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    PLACE["root"] = tmp_path / "root"
    (tmp_path / "root" / "full").mkdir(parents=True)
    (tmp_path / "root" / "full" / "inner").write_text("inner")
    (tmp_path / "root" / "old").write_text("old")
    (tmp_path / "root" / "old").chmod(0o640)
    return PLACE["root"]


@pytest.fixture
def folder(root: Path) -> Iterator[Folder]:
    with opens() as folder:
        yield folder


def seen(root: Path) -> dict[str, str | None]:
    """Return what is in a folder but the trash: a text, or None of a folder."""
    found = dict[str, str | None]()
    for place, folders, names in os.walk(root):
        if Path(place) == root and ".trash" in folders:
            folders.remove(".trash")
        found |= {str((Path(place) / name).relative_to(root)): None for name in folders}
        found |= {str((Path(place) / name).relative_to(root)): (Path(place) / name).read_text() for name in names}
    return found


BEFORE = {"full": None, "full/inner": "inner", "old": "old"}
CASES: list[tuple[Any, tuple[Any, ...], dict[str, str | None]]] = [
    (write, ("new", "tea"), {**BEFORE, "new": "tea"}),
    (write, ("old", b"tea"), {**BEFORE, "old": "tea"}),
    (write, ("old", "old"), BEFORE),
    (delete, ("old",), {"full": None, "full/inner": "inner"}),
    (delete, ("full",), {"old": "old"}),
    (rename, ("old", "full/old"), {"full": None, "full/inner": "inner", "full/old": "old"}),
    (rename, ("full", "full 2"), {"full 2": None, "full 2/inner": "inner", "old": "old"}),
    (make, ("made",), {**BEFORE, "made": None}),
]
NAMES = [f"{tool.name} {args[0]}" for tool, args, _ in CASES]
cases = pytest.mark.parametrize(("tool", "args", "after"), CASES, ids=NAMES)


@cases
def test_a_call_and_its_undo_are_done_once_each(root: Path, folder: Folder, tool: Any, args: Any, after: Any) -> None:
    call, mode = Call("a/1/0", args, {}), (root / "old").stat().st_mode
    assert isinstance(tool.check(call, folder=folder), NotHappened)
    for _ in range(2):
        tool.function(*args, intent="a/1/0", folder=folder)
        assert seen(root) == after
        assert tool.check(call, folder=folder) == Happened()
    for _ in range(2):
        tool.undo(call, folder=folder)
        assert seen(root) == BEFORE
        assert isinstance(tool.check(call, folder=folder), NotHappened)
    assert (root / "old").stat().st_mode == mode
    with pytest.raises(NotHappened, match="comes too late"):
        tool.function(*args, intent="a/1/0", folder=folder)
    assert seen(root) == BEFORE


class Killed(BaseException):
    """The process has ended."""


class Steps:
    """Counts what is done to the disk, and ends the process at the n-th time: before it, or after it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        # The process ends, not the machine: nothing has to reach the disk.
        patch.setattr(os, "fsync", lambda handle: None)
        self.count, self.last, self.is_after = 0, 0, False
        for owner, name in [(os, "fsync"), (os, "link"), (Path, "rename"), (Path, "replace"), (Path, "unlink"),
                            (Path, "mkdir"), (Path, "chmod")]:  # fmt: skip
            patch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            is_last = self.count == self.last
            if is_last and not self.is_after:
                raise Killed
            result = function(*args, **kwargs)
            if is_last:
                raise Killed
            return result

        return counted

    def run(self, last: int, is_after: bool, work: Callable[[], Any]) -> bool:
        """Work; return whether the process has ended."""
        self.count, self.last, self.is_after = 0, last, is_after
        try:
            work()
        except Killed:
            return True
        finally:
            self.last = 0
        return False


@cases
@pytest.mark.parametrize("is_after", [False, True])
def test_after_a_crash_at_any_step_of_a_call_the_check_knows(
    root: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch, tool: Any, args: Any, after: Any, is_after: bool
) -> None:
    steps, at = Steps(monkeypatch), 0
    while True:
        at += 1
        call = Call(f"a/{at}/0", args, {})
        was_killed = steps.run(at, is_after, partial(tool.function, *args, intent=call.intent, folder=folder))
        found = tool.check(call, folder=folder)
        assert seen(root) == (after if found == Happened() else BEFORE)
        if found != Happened():
            assert isinstance(found, NotHappened)
            # Undone as it is, or done after all.
            if at % 2:
                tool.function(*args, intent=call.intent, folder=folder)
                assert seen(root) == after
        elif at % 2:
            # Nobody has asked, and it is called again.
            tool.function(*args, intent=call.intent, folder=folder)
            assert seen(root) == after
        tool.undo(call, folder=folder)
        assert seen(root) == BEFORE
        if not was_killed:
            break
    assert at > 4


@cases
def test_a_call_that_is_killed_twice_is_done_once(
    root: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch, tool: Any, args: Any, after: Any
) -> None:
    whole = Steps(monkeypatch)
    assert not whole.run(-1, False, partial(tool.function, *args, intent="a/0/0", folder=folder))
    count = whole.count
    tool.undo(Call("a/0/0", args, {}), folder=folder)
    for first in range(count - 3, count + 1):
        for second in range(1, count + 3, 2):
            call = Call(f"a/{first}/{second}", args, {})
            again = partial(tool.function, *args, intent=call.intent, folder=folder)
            assert whole.run(first, True, again)
            whole.run(second, True, again)
            found = tool.check(call, folder=folder)
            assert seen(root) == (after if found == Happened() else BEFORE)
            tool.undo(call, folder=folder)
            assert seen(root) == BEFORE


def test_a_call_has_what_belongs_to_it_alone(folder: Folder) -> None:
    with folder.trash.slip("a/1/0") as slip, slip.at("lock").open() as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@cases
@pytest.mark.parametrize("is_after", [False, True])
def test_after_a_crash_at_any_step_of_an_undo_it_is_undone_once(
    root: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch, tool: Any, args: Any, after: Any, is_after: bool
) -> None:
    steps, at = Steps(monkeypatch), 0
    while True:
        at += 1
        call = Call(f"a/{at}/0", args, {})
        tool.function(*args, intent=call.intent, folder=folder)
        was_killed = steps.run(at, is_after, partial(tool.undo, call, folder=folder))
        if isinstance(tool.check(call, folder=folder), NotHappened):
            assert seen(root) == BEFORE
        tool.undo(call, folder=folder)
        assert seen(root) == BEFORE
        assert isinstance(tool.check(call, folder=folder), NotHappened)
        if not was_killed:
            break
    assert at > 2


def others_write(root: Path) -> None:
    (root / "old").write_text("by others")


def others_delete(root: Path) -> None:
    (root / "old").unlink()


@pytest.mark.parametrize(
    ("tool", "args", "others", "place"),
    [
        (write, ("old", "tea"), others_write, "old"),
        (write, ("old", "tea"), others_delete, "old"),
        (write, ("new", "tea"), lambda root: (root / "new").write_text("by others"), "new"),
        (delete, ("old",), others_write, "old"),
        (rename, ("old", "to"), others_write, "old"),
        (rename, ("old", "to"), lambda root: (root / "to").write_text("by others"), "to"),
        (make, ("made",), lambda root: (root / "made" / "x").write_text("by others"), "made"),
        (make, ("made",), lambda root: (root / "made").rmdir(), "made"),
    ],
)
def test_what_others_have_changed_since_is_left_alone_and_named(
    root: Path, folder: Folder, tool: Any, args: Any, others: Callable[[Path], Any], place: str
) -> None:
    call = Call("a/1/0", args, {})
    tool.function(*args, intent="a/1/0", folder=folder)
    others(root)
    left = seen(root)
    for _ in range(2):
        with pytest.raises(ChangedSince, match=rf"{root / place} is not as .* by hand"):
            tool.undo(call, folder=folder)
        assert seen(root) == left
    assert tool.check(call, folder=folder) == Happened()


def test_an_undo_goes_on_once_what_was_in_its_way_is_gone(root: Path, folder: Folder) -> None:
    call = Call("a/1/0", ("old", "tea"), {})
    write.function("old", "tea", intent="a/1/0", folder=folder)
    others_write(root)
    with pytest.raises(ChangedSince):
        write.undo(call, folder=folder)  # type: ignore[misc]
    (root / "old").write_text("tea")
    write.undo(call, folder=folder)  # type: ignore[misc]
    assert seen(root) == BEFORE


@pytest.mark.parametrize("path", ["../out", "a/../../out", "/etc/hosts", "", ".", ".trash/x", ".trash", "link/out"])
def test_paths_stay_below_the_root_and_out_of_the_trash(root: Path, folder: Folder, path: str) -> None:
    (root / "link").symlink_to(root.parent)
    with pytest.raises(NotHappened, match="is not below"):
        write.function(path, "tea", intent="a/1/0", folder=folder)
    assert not (root.parent / "out").exists()


@pytest.mark.parametrize(
    ("tool", "args", "why"),
    [
        (write, ("full", "tea"), "is a folder"),
        (write, ("none/new", "tea"), "folder .*none is not there"),
        (write, ("new", 7), "of type int"),
        (delete, ("none",), "is not there"),
        (rename, ("none", "new"), "is not there"),
        (rename, ("old", "full"), "is there already"),
        (rename, ("old", "none/new"), "folder .*none is not there"),
        (make, ("full",), "is there already"),
    ],
)
def test_what_can_not_be_done_says_why_and_changes_nothing(
    root: Path, folder: Folder, tool: Any, args: Any, why: str
) -> None:
    with pytest.raises(NotHappened, match=why):
        tool.function(*args, intent="a/1/0", folder=folder)
    assert seen(root) == BEFORE
    tool.undo(Call("a/1/0", args, {}), folder=folder)
    assert seen(root) == BEFORE


def test_old_content_is_kept_where_the_file_system_has_no_second_names(
    root: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", refuse)
    write.function("old", "tea", intent="a/1/0", folder=folder)
    write.undo(Call("a/1/0", ("old", "tea"), {}), folder=folder)  # type: ignore[misc]
    assert seen(root) == BEFORE
    assert (root / "old").stat().st_mode & 0o777 == 0o640


def test_the_root_has_to_be_there_and_the_trash_on_its_file_system(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigInvalid, match="none is no folder"), Folder(tmp_path / "none"):
        pass
    real = Path.stat

    class Elsewhere:
        st_dev = -1

    monkeypatch.setattr(Path, "stat", lambda path, **more: Elsewhere if path == root else real(path, **more))
    with pytest.raises(ConfigInvalid, match="another file system"):
        trash.Trash(tmp_path / "bin", root)


def test_two_scopes_of_one_trash_do_not_meet(root: Path, folder: Folder) -> None:
    for scope in ("one", "two"):
        tool = files.write(f"write {scope}", opens, scope=scope)
        tool.function(scope, "tea", intent="a/1/0", folder=folder)
    assert seen(root) == {**BEFORE, "one": "tea", "two": "tea"}
