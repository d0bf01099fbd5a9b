"""What a method does, read from its source: to whom it sends what, which tools it uses, which keys it reads and writes.

Only what stands there can be seen: constants, names of classes and tools, f-strings, loops over constants, and what the
method calls of its own class. The rest is noted, and taken for as much as it may be.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from types import FunctionType
from typing import Any, get_origin

from peer.agents.suspecting import watchers_of
from peer.agents.tool import Tool
from peer.workflows.graph import SPACE
from peer.workflows.seen import ANSWER, SAGAS, SENDER, SUSPICION, Seen
from peer.workflows.workflow import ANYWHERE

_SPACE_KINDS = ("counter", "map", "set")
_SPACE_WRITES = ("add", "discard")
_STATE_WRITES = ("update", "clear")
_STATE_BOTH = ("setdefault", "pop", "popitem")
_STATE_KEYED = ("setdefault", "pop")
_LOOKS = ("all", "any", "bool", "dict", "len", "list", "max", "min", "set", "sorted", "sum", "tuple")
"""Functions that only look at what they are given."""


def seen_in(cls: type, name: str, options: Mapping[str, Any]) -> Seen:
    """Return what a method of a class does, and what it calls of its class.

    Args:
        cls: the agent's class.
        name: the method's.
        options: what the agent was made with: `self.NAME` is taken for the option of that name.
    """
    seen, found = Seen(), _method(cls, name)
    todo, done = [found], list[FunctionType]()
    while todo:
        function = todo.pop()
        if function is None or function in done:
            continue
        done.append(function)
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
            names = inspect.getclosurevars(function)
        except (OSError, TypeError, ValueError, SyntaxError):
            seen.unknown.append(f"{function.__qualname__}: its source is not here")
            continue
        reader = _Reader(cls, function, {**names.builtins, **names.globals, **names.nonlocals}, options, seen)
        reader.visit(tree)
        reader.end()
        todo += reader.calls
    if found is None:
        seen.unknown.append(f"{cls.__name__}.{name} is no plain method: what it does can't be told")
    return seen


def _method(cls: type, name: str, above: FunctionType | None = None) -> FunctionType | None:
    """Return a method of a class, or of those above the one that has `above`; None: it is nothing that has source."""
    kinds = [*cls.__mro__]
    if above is not None:
        owner = next((at for at, kind in enumerate(kinds) if above in map(_plain, vars(kind).values())), 0)
        kinds = kinds[owner + 1 :]
    return next((_plain(vars(kind)[name]) for kind in kinds if name in vars(kind)), None)


def _plain(member: Any) -> FunctionType | None:
    found = inspect.unwrap(getattr(member, "__func__", member)) if callable(member) or member is not None else None
    return found if isinstance(found, FunctionType) else None


class _Reader(ast.NodeVisitor):
    """Goes through one function."""

    def __init__(
        self, cls: type, function: FunctionType, names: Mapping[str, Any], options: Mapping[str, Any], seen: Seen
    ) -> None:
        self.calls: list[FunctionType | None] = []
        """What it calls of its class, or gives its context to."""
        self._cls, self._function, self._options, self._seen = cls, function, options, seen
        notes = function.__annotations__
        code = function.__code__
        self._given = {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}
        self._names = {name: value for name, value in names.items() if name not in self._given}
        self._types = {name: self._noted(note) for name, note in notes.items()}
        self._contexts = {"ctx"} | {name for name, note in notes.items() if "Context" in str(note)}
        self._locals: dict[str, list[ast.expr]] = {}
        """What local names are given: all of it."""
        self._aliases: dict[str, str] = {}
        """Local names of shared values, by key."""
        self._spaces: dict[str, str] = {}
        """Local names of spaces."""
        self._opened: dict[ast.AST, str] = {}
        """Where a space is opened, and which."""
        self._told: set[ast.AST] = set()
        """Of these, those of which it is clear what is done with them."""

    def end(self) -> None:
        """Take a space of which it is not clear what is done with it for read and written as a whole."""
        for node, space in self._opened.items():
            if node not in self._told:
                self._both(f"{SPACE}{space}/{ANYWHERE}")

    def _both(self, key: str) -> None:
        self._seen.reads.add(key)
        self._seen.writes.add(key)

    def _noted(self, note: Any) -> type | None:
        """Return the type that an annotation names; None: it is more than that."""
        found = self._names.get(note) if isinstance(note, str) else note
        found = get_origin(found) or found
        return found if isinstance(found, type) else None

    def _place(self, node: ast.AST) -> str:
        return f"{self._function.__qualname__}, line {getattr(node, 'lineno', 0)} of it"

    # -- names ---------------------------------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        """Remember what a local name is given."""
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._locals.setdefault(target.id, []).append(node.value)
                if (key := self._space_key(node.value)) is not None:
                    self._aliases[target.id] = key
                elif (space := self._space(node.value)) is not None:
                    self._spaces[target.id] = space
                    self._told.add(node.value)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        """Remember what a loop goes through, if that stands there."""
        if isinstance(node.target, ast.Name) and isinstance(node.iter, ast.Tuple | ast.List | ast.Set):
            self._locals.setdefault(node.target.id, []).extend(node.iter.elts)
        self.generic_visit(node)

    def _value(self, node: ast.expr | None) -> Any:
        """Return the value of a name that stands outside of the function, or of the class; None: it can't be told."""
        if isinstance(node, ast.Name):
            return None if node.id in self._locals else self._names.get(node.id)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                return self._options.get(node.attr, getattr(self._cls, node.attr, None))
            found = self._value(node.value)
            return None if found is None else getattr(found, node.attr, None)
        return None

    def _values(self, node: ast.expr | None) -> list[Any]:
        """Return the values that a name may have, of this function's own too."""
        match node:
            case ast.Name(id=name) if name in self._locals:
                return [found for value in self._locals[name] for found in self._values(value)]
            case ast.IfExp(body=body, orelse=orelse):
                return self._values(body) + self._values(orelse)
            case _:
                return [self._value(node)]

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
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                self.calls.append(_method(self._cls, name))
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name):
                self.calls.append(_method(self._cls, name, self._function))
            case function if any(isinstance(each, ast.Name) and each.id in self._contexts for each in node.args):
                found = _plain(self._value(function))
                self.calls.append(found)
                if found is None:
                    self._seen.unknown.append(f"{self._place(node)}: what its context is given to can't be told")
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
                    seen.to_self.update([ANSWER] if "timeout" in named else [])
                if (None, None) in pairs:
                    seen.unknown.append(f"{self._place(node)}: neither whom it sends to nor what can be told")
            case "after":
                seen.to_self.update(self._kinds_of(second or named.get("message")))
            case "reply":
                seen.replies = True
            case "rollback":
                seen.proposes = True
                seen.ended.update([self._then(named)] if "then" in named else [])
            case "suspect":
                seen.sends.update((to, SUSPICION) for to in self._watchers(named.get("to")))
            case "call" | "request":
                for tool in self._values(first or named.get("tool")):
                    self._used(verb, tool, node, named)
            case "saga":
                seen.sagas.add(self._then(named, "failed"))
                self._both(SAGAS)
                seen.unknown.append(f"{self._place(node)}: the runtime's own word that a saga has failed is not here")
            case "spawn":
                seen.unknown.append(f"{self._place(node)}: the agent that it makes is not here, unless you name it")
            case "space":
                self._opened[node] = self._key(first or named["name"])
            case "ask_person":
                seen.requests.add(("person", self._then(named)))
            case _:
                pass

    def _watchers(self, to: ast.expr | None) -> list[str | None]:
        return self._texts(to) if to is not None else [re.escape(name) for name in watchers_of(self._cls)]

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

    def _then(self, named: Mapping[str, ast.expr], option: str = "then") -> str:
        match named.get(option):
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
        if _is_state(node.value) and node not in self._told:
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
        """Go on, with what is read by `get`, and with what is handed on as a whole."""
        match node:
            case ast.Call(func=ast.Attribute(value=state, attr=verb), args=[key, *_]) if _is_state(state):
                if verb == "get":
                    self._seen.reads.add(self._key(key))
                elif verb in _STATE_KEYED:
                    self._both(self._key(key))
                    self._told.add(node.func)
        if not isinstance(node, ast.Subscript | ast.Attribute | ast.Compare):
            for child in ast.iter_child_nodes(node):
                self._handed_on(child, node)
        super().generic_visit(node)

    def _handed_on(self, child: ast.AST, to: ast.AST) -> None:
        only_looks = isinstance(to, ast.For | ast.comprehension) or (
            isinstance(to, ast.Call) and isinstance(to.func, ast.Name) and to.func.id in _LOOKS
        )
        key = ANYWHERE if _is_state(child) else None
        match child:
            case ast.Name(id=name, ctx=ast.Load()) if name in self._aliases:
                key = self._aliases[name]
            case ast.Name(id=name, ctx=ast.Load()) if name in self._spaces:
                key, only_looks = f"{SPACE}{self._spaces[name]}/{ANYWHERE}", False
        if key is not None:
            self._seen.reads.add(key)
        if key is not None and not only_looks:
            self._seen.writes.add(key)

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
            case ast.Call(func=ast.Attribute(value=opened, attr=kind), args=[key, *_]) if kind in _SPACE_KINDS:
                space = self._spaces.get(opened.id) if isinstance(opened, ast.Name) else self._space(opened)
                if space is not None:
                    self._told.add(opened)
                    return f"{SPACE}{space}/{self._key(key)}"
        return None

    def _space(self, node: ast.expr) -> str | None:
        """Return the space that `ctx.space("S")` names; None: it is no such thing."""
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="space"), args=[named, *_]):
                return self._key(named) if name in self._contexts else None
        return None


def _name_of(kind: type | None) -> str | None:
    return None if kind is None else kind.__name__


def _is_state(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr="state"):
            return True
    return False
