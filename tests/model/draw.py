"""Draw behaviours of the model Behaviours.tla, and write them down for test_behaviours.py: `make model-behaviours`.

TLC walks at random and writes every state of each walk to a file; what was done is told by what has changed from one
state to the next. Kept are the walks in which somebody decides, none twice.
"""

import argparse
import gzip
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.model.tlc import Unavailable, running

FILE = Path(__file__).with_name("behaviours.json.gz")
TOKEN = re.compile(r"<<|>>|\|->|:>|@@|[\[\](){},]|\w+|\"[^\"]*\"")


class Text:
    """The text of a value, token by token."""

    def __init__(self, text: str) -> None:
        self._tokens = TOKEN.findall(text)
        self._at = 0

    def peek(self) -> str:
        """Return the next token."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, wanted: str = "") -> str:
        """Take the next token, which must be `wanted` if that is given."""
        token = self.peek()
        assert wanted in ("", token), f"{token!r} where {wanted!r} was expected"
        self._at += 1
        return token

    def value(self) -> Any:
        """Take a value: functions and records as dicts, tuples as lists, sets as sorted lists."""
        token = self.take()
        if token == "<<":
            return self._items(">>")
        if token == "{":
            return sorted(self._items("}"))
        if token == "[":
            fields = {}
            while self.peek() != "]":
                name = self.take()
                self.take("|->")
                fields[name] = self.value()
                if self.peek() == ",":
                    self.take()
            self.take("]")
            return fields
        if token == "(":
            pairs = {}
            while self.peek() != ")":
                name = self.value()
                self.take(":>")
                pairs[name] = self.value()
                if self.peek() == "@@":
                    self.take()
            self.take(")")
            return pairs
        if token in ("TRUE", "FALSE"):
            return token == "TRUE"
        return int(token) if token.isdigit() else token.strip('"')

    def _items(self, end: str) -> list[Any]:
        items = []
        while self.peek() != end:
            items.append(self.value())
            if self.peek() == ",":
                self.take()
        self.take(end)
        return items


def states_of(text: str) -> Iterator[dict[str, Any]]:
    """Yield the states of one walk."""
    for block in re.split(r"^STATE_\d+ ==\s*$", text, flags=re.MULTILINE)[1:]:
        block = block.split("====")[0]
        parts = re.split(r"^/\\ (\w+) = ", block, flags=re.MULTILINE)[1:]
        yield {name: Text(value).value() for name, value in zip(parts[::2], parts[1::2], strict=True)}


def action_between(old: dict[str, Any], new: dict[str, Any]) -> list[Any]:
    """Return what was done, by name, with its arguments."""
    agents, props = list(old["steps"]), list(old["root"])
    for agent in agents:
        if len(new["steps"][agent]) > len(old["steps"][agent]):
            step = new["steps"][agent][-1]
            return ["run", agent, step["in"], step["reads"], step["to"]]
    for prop in props:
        if new["root"][prop] != old["root"][prop]:
            return ["propose", prop, new["root"][prop]]
        for agent in agents:
            if len(new["votes"][prop][agent]) > len(old["votes"][prop][agent]):
                vote = new["votes"][prop][agent][-1]
                return ["vote", agent, prop, vote["cone"], vote["acc"], vote["ok"]]
            if new["decided"][prop][agent] != old["decided"][prop][agent]:
                return [new["decided"][prop][agent], agent, prop]
    for agent in agents:
        for prop in props:
            for other in agents:
                before, after = old["known"][agent][prop][other], new["known"][agent][prop][other]
                if after > before:
                    return ["learn", agent, prop, other, after]
                if after < before:
                    return ["forget", agent]
    raise AssertionError("nothing has changed")


def behaviour_of(states: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return a walk as its actions, what is due after each, and how it ends; None if nobody decides."""
    actions = []
    for old, new in pairwise(states):
        action = action_between(old, new)
        concerned = action[1]
        due = {prop: new["due"][prop][concerned] for prop in new["root"]} if concerned in new["steps"] else {}
        actions.append([*action, due])
    if not any(action[0] in ("commit", "abort") for action in actions):
        return None
    # What happens after the last vote, decision or lesson says nothing about rollback.
    while actions[-1][0] in ("run", "propose", "forget"):
        actions.pop()
    return {"actions": actions}


def draw(config: str, walks: int, depth: int, seed: int) -> list[dict[str, Any]]:
    """Have TLC walk at random; return the behaviours that are kept.

    Raises: Unavailable, if TLC can't run here.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = ["-workers", "1", "-simulate", f"file={folder}/walk,num={walks}"]
        with running("Behaviours", config, *options, "-depth", str(depth), "-seed", str(seed)) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("Error"):
                    raise SystemExit(f"TLC found an error while it walked: {line}")
        files = sorted(Path(folder).glob("walk_*"), key=lambda path: int(path.name.rsplit("_", 1)[1]))
        walked = [behaviour_of(list(states_of(path.read_text(encoding="utf-8")))) for path in files]
    return [behaviour for behaviour in walked if behaviour is not None]


def main() -> int:
    """Draw and write; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--walks", type=int, default=500, help="of each configuration")
    parser.add_argument("--keep", type=int, default=150, help="of each configuration, at most")
    parser.add_argument("--depth", type=int, default=70)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    kept: list[dict[str, Any]] = []
    for config in ("behaviours", "behaviours-rejects"):
        try:
            drawn = draw(config, options.walks, options.depth, options.seed)
        except Unavailable as problem:
            print(f"No behaviours were drawn: {problem}", file=sys.stderr)
            return 2
        unique = list({json.dumps(behaviour["actions"]): behaviour for behaviour in drawn}.values())
        # Those with most commits first: walks at random reach them least.
        unique.sort(key=lambda behaviour: -sum(action[0] == "commit" for action in behaviour["actions"]))
        kept += [{"config": config, **behaviour} for behaviour in unique[: options.keep]]
        kept_now = min(len(unique), options.keep)
        print(f"{config}: {options.walks} walks, {len(unique)} in which somebody decides, {kept_now} kept")
    text = "[\n" + ",\n".join(json.dumps(behaviour, separators=(",", ":")) for behaviour in kept) + "\n]\n"
    options.out.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{len(kept)} behaviours, {options.out.stat().st_size:,} bytes in {options.out.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
