"""How often a handler is tried on one input, and after which waits: `Retry`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from peer import errors
from peer.agents.failures import leaves
from peer.values.fields import number

POISON = (
    errors.HandlerMissing,
    errors.PayloadInvalid,
    errors.ReadOnly,
    errors.ProcessEnded,
    errors.AgentAbsent,
    errors.AgentBroken,
)
"""Will not go away by trying again, whatever a policy says."""
WAIT_S = 0.05
FACTOR = 2.0
WAIT_S_MAX = 300.0
"""Unless a policy says else: of the first wait, of how waits grow, and of the longest."""
_NUMBER_MAX = 100 * 366 * 24 * 3600
"""Of what a policy is given: as seconds, a century."""
_REST = "*"
"""The rule of whatever no other rule is for."""


@dataclass(frozen=True)
class Retry:
    """How often a handler is tried on one input before that is a dead letter, and how long each try waits.

    The most specific class that an error is of decides, as `except` would have it: failures that fall under one class
    are counted together, and apart from others. What is left out is as in the policy around it, and then as in the
    defaults.

    Args:
        tries: how often in all, the first one included; None: as often as the agent's `tries`.
        wait: seconds before the second try; 0.05 if left out.
        factor: how many times longer each further wait is; 2 if left out, 1 for equal waits.
        wait_max: seconds of the longest wait; 300 if left out, or `wait` if that is longer.
        on: by class of errors, how often to try then: a number, or a `Retry` with waits of its own.
        never: classes of errors after which nothing is tried again.

    Raises: DeclarationRefused, naming what is no number, no class, or would never count.
    """

    tries: int | None = None
    wait: float | None = None
    factor: float | None = None
    wait_max: float | None = None
    on: "Mapping[type[BaseException], int | Retry]" = field(default_factory=dict)
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if self.tries is not None:
            _check_tries("tries", self.tries)
        least = 0.0 if self.wait is None else self.wait
        for name, floor, remedy in (
            ("wait", 0.0, "seconds, from 0 on"),
            ("factor", 1.0, "a number from 1 on (1: each wait is as long as the one before)"),
            ("wait_max", least, "seconds, and no fewer than wait"),
        ):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, _checked(name, given, floor, remedy))
        if not isinstance(cast(Any, self.on), Mapping):
            raise _refused("on", self.on, "a dict of classes, as on={ConnectionError: 10}")
        if not isinstance(cast(Any, self.never), tuple | list):
            raise _refused("never", self.never, "a tuple of classes, as never=(ValueError,)")
        for kind, given in self.on.items():
            _check_kind("on", kind)
            if isinstance(given, Retry):
                if given.on or given.never:
                    raise _refused(f"on[{kind.__name__}]", given, "without on= and never= of its own: name all in one")
            else:
                _check_tries(f"on[{kind.__name__}]", given)
        for kind in self.never:
            _check_kind("never", kind)
            if kind in self.on:
                raise _refused("never", kind, f"not also in on=, which tries {kind.__name__} again. Leave one")

    def ruling(self, error: BaseException, failed: Mapping[str, int], tries: int) -> "Ruling":
        """Return what becomes of an input after a failure.

        Args:
            error: what the handler has raised; of a group, whichever of its errors is tried least.
            failed: how often the input has failed before, by rule.
            tries: the agent's own.
        """
        kind = self._match(error)
        is_named = kind is not None and issubclass(kind, BaseExceptionGroup)
        ends = [error] if is_named else leaves(error)
        return min((self._of(end, failed, tries) for end in ends), key=lambda ruling: ruling.left)

    def _match(self, error: BaseException) -> type[BaseException] | None:
        return next((kind for kind in type(error).__mro__ if kind in self.on or kind in self.never), None)

    def _of(self, error: BaseException, failed: Mapping[str, int], tries: int) -> "Ruling":
        kind = self._match(error)
        rule = _REST if kind is None else f"{kind.__module__}.{kind.__qualname__}"
        failures = failed.get(rule, 0) + 1
        own: Retry = self
        most = tries if self.tries is None else self.tries
        if kind is not None and kind in self.never:
            most = 1
        elif kind is not None:
            given = self.on[kind]
            own = given if isinstance(given, Retry) else Retry(given)
            most = most if own.tries is None else own.tries
        return Ruling(rule, max(0, most - failures), self._wait_s(own, failures))

    def _wait_s(self, own: "Retry", failures: int) -> float:
        wait = _first(own.wait, self.wait, WAIT_S)
        most = _first(own.wait_max, self.wait_max, WAIT_S_MAX)
        factor = _first(own.factor, self.factor, FACTOR)
        try:
            return min(wait * factor ** (failures - 1), max(wait, most))
        except OverflowError:
            return max(wait, most)


class Ruling(NamedTuple):
    """What a policy says of one failure."""

    rule: str
    """What it falls under: failures of one rule are counted together."""
    left: int
    """How many tries are left."""
    wait_s: float
    """Until the next of them."""


def checked_retry(what: str, given: Any) -> Retry | None:
    """Return a policy as it was declared.

    Raises: DeclarationRefused, naming what was given in its place.
    """
    if given is None or isinstance(given, Retry):
        return given
    raise errors.DeclarationRefused(
        f"{what}: retry={given!r}: a policy, such as Retry(5, wait=1.0, on={{ConnectionError: 10}},"
        " never=(ValueError,)). A tool's is tenacity's; a handler's is ebbtide.Retry."
    )


def _first(*given: float | None) -> float:
    return next(each for each in given if each is not None)


def _refused(name: str, value: Any, remedy: str) -> errors.DeclarationRefused:
    shown = value.__name__ if isinstance(value, type) else repr(value)
    return errors.DeclarationRefused(f"Retry: {name}={shown}: it is {remedy}.")


def _check_tries(name: str, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise _refused(name, value, "how often to try in all, an int from 1 on (1: never again, as never= has it)")


def _checked(name: str, value: Any, least: float, remedy: str) -> float:
    try:
        found = number(name, value)
    except errors.CallerError:
        raise _refused(name, value, remedy) from None
    if not least <= found <= _NUMBER_MAX:
        raise _refused(name, value, remedy)
    return found


def _check_kind(name: str, kind: Any) -> None:
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        raise _refused(name, kind, "for classes of errors, such as ConnectionError")
    if issubclass(kind, POISON):
        raise _refused(name, kind, "for what a handler raises: this is a dead letter at once, whatever a policy says")
    if issubclass(kind, errors.Unready):
        raise _refused(
            name, kind, "for what a handler raises: this waits for as long as it takes (docs/guide/retries.md)"
        )
