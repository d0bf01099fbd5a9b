"""What a method does, read from its source: to whom it sends what, which tools it uses, which keys it reads and writes.

Only what stands there can be seen: constants, names of classes and tools, f-strings, loops over constants, and what the
method calls of its own class. The rest is noted, and taken for as much as it may be.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_origin

from peer.agents.tool import Tool
from peer.workflows.workflow import ANYWHERE

SENDER = "<sender>"
"""Stands for whoever has sent the message at hand."""
_SPACE_KINDS = ("counter", "map", "set")
_SPACE_WRITES = ("add", "discard")
_STATE_WRITES = ("update", "clear")
_STATE_BOTH = ("setdefault", "pop", "popitem")


@dataclass
class Seen:
    """What was found."""

    sends: set[tuple[str | None, str | None]] = field(default_factory=set)
    """Receiver, as a name or a pattern of names, and kind; None: it can't be told."""
    to_self: set[str | None] = field(default_factory=set)
    """Kinds of timers that it sets."""
    asks: set[tuple[str | None, str | None, str]] = field(default_factory=set)
    """Receiver, kind, and the method that handles the answer."""
    uses: dict[str, Tool[..., Any]] = field(default_factory=dict)
    requests: set[tuple[str, str]] = field(default_factory=set)
    """Tool, and the method that handles the result."""
    tools: dict[str, Tool[..., Any]] = field(default_factory=dict)
    """Those that it uses or requests, by short name."""
    approved: set[str] = field(default_factory=set)
    """Tools that it requests with an approval of that request alone."""
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    replies: bool = False
    proposes: bool = False
    """It proposes rollbacks."""
    unknown: list[str] = field(default_factory=list)


def seen_in(cls: type, name: str, options: Mapping[str, Any]) -> Seen:
    """Return what a method of a class does, and what it calls of its class.

    Args:
        cls: the agent's class.
        name: the method's.
        options: what the agent was made with: `self.NAME` is taken for the option of that name.
    """
    seen, todo, done = Seen(), [name], set[str]()
    while todo:
        at = todo.pop()
        if at in done:
            continue
        done.add(at)
        function = inspect.unwrap(getattr(inspect.getattr_static(cls, at), "__func__", inspect.getattr_static(cls, at)))
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, TypeError, SyntaxError):
            seen.unknown.append(f"{cls.__name__}.{at}: its source is not here")
            continue
        reader = _Reader(cls, at, function, options, seen)
        reader.visit(tree)
        todo += reader.calls
    return seen


class _Reader(ast.NodeVisitor):
    """Goes through one function."""

    def __init__(self, cls: type, name: str, function: Any, options: Mapping[str, Any], seen: Seen) -> None:
        self.calls: list[str] = []
        self._cls, self._name, self._options, self._seen = cls, name, options, seen
        closed = inspect.getclosurevars(function)
        self._names: dict[str, Any] = {**closed.builtins, **closed.globals, **closed.nonlocals}
        notes = getattr(function, "__annotations__", {})
        self._types = {name: self._noted(note) for name, note in notes.items()}
        self._contexts = {"ctx"} | {name for name, note in notes.items() if "Context" in str(note)}
        self._locals: dict[str, list[ast.expr]] = {}
        """What local names are given: all of it."""
        self._aliases: dict[str, str] = {}
        """Local names of shared values, by key."""

    def _noted(self, note: Any) -> type | None:
        """Return the type that an annotation names; None: it is more than that."""
        found = self._names.get(note) if isinstance(note, str) else note
        found = get_origin(found) or found
        return found if isinstance(found, type) else None

    def _place(self, node: ast.AST) -> str:
        return f"{self._cls.__name__}.{self._name}, line {getattr(node, 'lineno', 0)} of it"

    # -- names ---------------------------------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        """Remember what a local name is given."""
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._locals.setdefault(target.id, []).append(node.value)
                if (key := self._space_key(node.value)) is not None:
                    self._aliases[target.id] = key
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        """Remember what a loop goes through, if that stands there."""
        if isinstance(node.target, ast.Name) and isinstance(node.iter, ast.Tuple | ast.List | ast.Set):
            self._locals.setdefault(node.target.id, []).extend(node.iter.elts)
        self.generic_visit(node)

    def _value(self, node: ast.expr | None) -> Any:
        """Return the value of a name that stands outside of the function, or of the class; None: it can't be told."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                return self._options.get(node.attr, getattr(self._cls, node.attr, None))
            found = self._value(node.value)
            return None if found is None else getattr(found, node.attr, None)
        return None

    def _texts(self, node: ast.expr | None) -> list[str | None]:
        """Return what a text may be: names, or patterns of names; None among them: it can't be told."""
        match node:
            case ast.Constant(value=str(text)):
                return [re.escape(text)]
            case ast.JoinedStr(values=parts):
                return ["".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".*" for p in parts)]
            case ast.Attribute(value=ast.Name(id=name), attr="sender") if name in self._contexts:
                return [SENDER]
            case ast.IfExp(body=body, orelse=orelse):
                return self._texts(body) + self._texts(orelse)
            case ast.Name(id=name) if name in self._locals:
                return [text for value in self._locals[name] for text in self._texts(value)]
            case _:
                found = self._value(node)
                return [re.escape(found) if isinstance(found, str) else None]

    def _kinds_of(self, node: ast.expr | None) -> list[str | None]:
        """Return of which kinds a message may be."""
        match node:
            case ast.Constant(value=value):
                return [type(value).__name__]
            case ast.JoinedStr():
                return ["str"]
            case ast.List() | ast.Tuple() | ast.Dict() | ast.Set():
                return [type(node).__name__.lower()]
            case ast.Call(func=function) if isinstance(kind := self._value(function), type):
                return [kind.__name__]
            case ast.IfExp(body=body, orelse=orelse):
                return self._kinds_of(body) + self._kinds_of(orelse)
            case ast.Name(id=name) if name in self._locals:
                return [kind for value in self._locals[name] for kind in self._kinds_of(value)]
            case ast.Name(id=name):
                return [_name_of(self._types.get(name))]
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in self._types:
                # A field of a message: its class says what it is.
                return [_name_of(self._noted(getattr(self._types[name], "__annotations__", {}).get(attr)))]
            case _:
                return [None]

    # -- what is done --------------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        """Take in what is called."""
        match node.func:
            case ast.Attribute(value=ast.Name(id=name), attr=verb) if name in self._contexts:
                self._of_context(verb, node)
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if callable(getattr(self._cls, name, None)):
                self.calls.append(name)
        self.generic_visit(node)

    def _of_context(self, verb: str, node: ast.Call) -> None:
        seen, named = self._seen, {each.arg: each.value for each in node.keywords if each.arg}
        first = node.args[0] if node.args else None
        second = node.args[1] if len(node.args) > 1 else None
        match verb:
            case "send" | "ask":
                receivers = self._texts(first or named.get("receiver") or named.get("agent"))
                kinds = self._kinds_of(second or named.get("message"))
                pairs = [(receiver, kind) for receiver in receivers for kind in kinds]
                if verb == "send":
                    seen.sends.update(pairs)
                else:
                    seen.asks.update((*pair, self._then(named)) for pair in pairs)
                if (None, None) in pairs:
                    seen.unknown.append(f"{self._place(node)}: neither whom it sends to nor what can be told")
            case "after":
                seen.to_self.update(self._kinds_of(second or named.get("message")))
            case "reply":
                seen.replies = True
            case "rollback":
                seen.proposes = True
            case "call" | "request":
                self._used(verb, self._value(first), node, named)
            case "ask_person":
                seen.requests.add(("person", self._then(named)))
            case _:
                pass

    def _used(self, verb: str, tool: Any, node: ast.Call, named: Mapping[str, ast.expr]) -> None:
        if not isinstance(tool, Tool):
            self._seen.unknown.append(f"{self._place(node)}: which tool it uses can't be told")
            return
        name = tool.name.rpartition(":")[2]
        self._seen.tools[name] = tool
        if verb == "call":
            self._seen.uses[name] = tool
        else:
            self._seen.requests.add((name, self._then(named)))
            if "approval" in named:
                self._seen.approved.add(name)

    def _then(self, named: Mapping[str, ast.expr]) -> str:
        match named.get("then"):
            case ast.Attribute(attr=name):
                return name
            case ast.Constant(value=str(name)):
                return name
            case _:
                return ""

    # -- keys ----------------------------------------------------------------------------------------------------------

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Take in what is read or written by a key."""
        if _is_state(node.value):
            self._touch(self._key(node.slice), node.ctx)
        elif (key := self._space_of(node.value)) is not None:
            self._touch(key, node.ctx)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """What is added to is read as well."""
        if isinstance(node.target, ast.Subscript) and _is_state(node.target.value):
            self._seen.reads.add(self._key(node.target.slice))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Take in what is read or written by a method of state, or of something shared."""
        if _is_state(node.value):
            self._by_method(node.attr)
        elif (key := self._space_of(node.value)) is not None and node.attr != "observe":
            (self._seen.writes if node.attr in _SPACE_WRITES else self._seen.reads).add(key)
        self.generic_visit(node)

    def _by_method(self, verb: str) -> None:
        # `get` and its like are told by their call below; here the key is not known.
        if verb in ("observe", "at", "get"):
            return
        if verb in (*_STATE_WRITES, *_STATE_BOTH):
            self._seen.writes.add(ANYWHERE)
        if verb not in _STATE_WRITES:
            self._seen.reads.add(ANYWHERE)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Whether a key is there is read, too."""
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.In | ast.NotIn) and _is_state(right):
                self._seen.reads.add(self._key(node.left))
        self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        """Go on, with what is read by `get`, and with all of the state where it is looked at as a whole."""
        match node:
            case ast.Call(func=ast.Attribute(value=state, attr="get"), args=[key, *_]) if _is_state(state):
                self._seen.reads.add(self._key(key))
        for child in ast.iter_child_nodes(node):
            if _is_state(child) and not isinstance(node, ast.Subscript | ast.Attribute | ast.Compare):
                self._seen.reads.add(ANYWHERE)
        super().generic_visit(node)

    def _touch(self, key: str, how: ast.expr_context) -> None:
        (self._seen.reads if isinstance(how, ast.Load) else self._seen.writes).add(key)

    def _key(self, node: ast.expr) -> str:
        """Return what a key has in common with others: of a tuple its first element, else all of it."""
        first = node.elts[0] if isinstance(node, ast.Tuple) and node.elts else node
        if isinstance(first, ast.Constant):
            return str(first.value)
        found = self._value(first)
        return found if isinstance(found, str) else ANYWHERE

    def _space_of(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return self._aliases.get(node.id)
        return self._space_key(node)

    def _space_key(self, node: ast.expr) -> str | None:
        """Return the shared key that `ctx.space("S").counter("K")` names; None: it is no such thing."""
        match node:
            case ast.Call(func=ast.Attribute(value=space, attr=kind), args=[key, *_]) if kind in _SPACE_KINDS:
                match space:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="space"), args=[named, *_]):
                        if name in self._contexts:
                            return f"space:{self._key(named)}/{self._key(key)}"
        return None


def _name_of(kind: type | None) -> str | None:
    return None if kind is None else kind.__name__


def _is_state(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr="state"):
            return True
    return False
