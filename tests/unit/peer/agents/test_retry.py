"""Retry policies: which rule an error falls under, what that says, and what is no policy."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from peer import Agent, Context, DeclarationRefused, HandlerMissing, Retry, UndoPending, answers, every, handles


def left(policy: Retry, error: BaseException, **failed: int) -> int:
    return policy.ruling(error, failed, 3).left


def waits(policy: Retry, error: BaseException, count: int) -> list[float]:
    rule = policy.ruling(error, {}, 3).rule
    return [policy.ruling(error, {rule: failures}, 3).wait_s for failures in range(count)]


def test_the_most_specific_class_decides_and_subclasses_match() -> None:
    policy = Retry(5, on={OSError: 7, ConnectionError: 10}, never=(BrokenPipeError,))
    assert left(policy, ConnectionResetError()) == 9
    assert left(policy, TimeoutError()) == 6
    assert left(policy, BrokenPipeError()) == 0
    assert left(policy, KeyError()) == 4


def test_failures_of_one_rule_count_together_and_apart_from_others() -> None:
    policy = Retry(2, on={ConnectionError: 3})
    rule = policy.ruling(ConnectionResetError(), {}, 3).rule
    assert policy.ruling(ConnectionAbortedError(), {rule: 2}, 3).left == 0
    assert policy.ruling(KeyError(), {rule: 2}, 3).left == 1


def test_what_is_left_out_is_as_in_the_policy_around_it_and_then_as_the_agent_says() -> None:
    policy = Retry(wait=1.0, factor=3.0, on={OSError: Retry(9), KeyError: Retry(wait=0.5), ValueError: 4})
    assert left(policy, TypeError()) == 2
    assert (left(policy, OSError()), waits(policy, OSError(), 3)) == (8, [1.0, 3.0, 9.0])
    assert (left(policy, KeyError()), waits(policy, KeyError(), 2)) == (2, [0.5, 1.5])
    assert left(policy, ValueError()) == 3


def test_waits_grow_up_to_a_bound() -> None:
    assert waits(Retry(wait=1.0, wait_max=3.0), OSError(), 4) == [1.0, 2.0, 3.0, 3.0]
    assert waits(Retry(wait=400.0), OSError(), 3) == [400.0, 400.0, 400.0]
    assert waits(Retry(wait=2, factor=1), OSError(), 3) == [2.0, 2.0, 2.0]
    assert Retry(wait=1.0).ruling(OSError(), {"*": 5_000}, 3).wait_s == 300.0


def test_of_a_group_whichever_is_tried_least_decides_unless_the_group_is_named() -> None:
    group = ExceptionGroup("both", [OSError(), ExceptionGroup("inner", [ValueError()])])
    assert left(Retry(5, never=(ValueError,)), group) == 0
    assert left(Retry(5, on={ExceptionGroup: 7}, never=(ValueError,)), group) == 6
    assert left(Retry(5, on={Exception: 7}, never=(ValueError,)), group) == 0


def test_a_policy_is_copied_as_pickle_does() -> None:
    policy = Retry(5, wait=1.0, on={OSError: 7}, never=(ValueError,))
    assert copy.deepcopy(policy) == policy


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Retry(0), "tries=0"),
        (lambda: Retry(True), "tries=True"),
        (lambda: Retry(wait=-1), "wait=-1"),
        (lambda: Retry(wait="1s"), "wait='1s'"),
        (lambda: Retry(wait=float("nan")), "wait=nan"),
        (lambda: Retry(factor=0.5), "factor=0.5"),
        (lambda: Retry(wait=2, wait_max=1), "wait_max=1"),
        (lambda: Retry(on=[ConnectionError]), "on="),
        (lambda: Retry(on={"ConnectionError": 3}), "on='ConnectionError'"),
        (lambda: Retry(on={int: 3}), "on=int"),
        (lambda: Retry(on={ValueError: 0}), r"on\[ValueError\]=0"),
        (lambda: Retry(on={ValueError: Retry(on={KeyError: 1})}), r"on\[ValueError\]"),
        (lambda: Retry(never=ValueError), "never=ValueError"),
        (lambda: Retry(never=(3,)), "never=3"),
        (lambda: Retry(on={ValueError: 3}, never=(ValueError,)), "never=ValueError"),
        (lambda: Retry(on={HandlerMissing: 3}), "on=HandlerMissing"),
        (lambda: Retry(never=(UndoPending,)), "never=UndoPending"),
        (lambda: handles(str, retry=5), r"@handles\(str\): retry=5"),
        (lambda: every(1, retry=5), r"@every\(1\): retry=5"),
        (lambda: answers(retry=5), "@answers: retry=5"),
        (lambda: handles(str, timeout=0), r"@handles\(str\): timeout=0"),
        (lambda: handles(str, timeout="1s"), r"@handles\(str\): timeout='1s'"),
        (lambda: every(1, timeout=-1), r"@every\(1\): timeout=-1"),
        (lambda: answers(timeout=True), "@answers: timeout=True"),
        (lambda: type("Odd", (Agent,), {"retry": 5}), "class Odd: retry=5"),
    ],
)
def test_what_is_no_policy_is_refused_where_it_is_written(made: Callable[[], Any], said: str) -> None:
    with pytest.raises(DeclarationRefused, match=said):
        made()


def test_an_overridden_handler_keeps_its_policy_unless_it_has_its_own() -> None:
    class Base(Agent):
        @handles(str, retry=Retry(7))
        async def one(self, message: str, ctx: Context) -> None: ...

        @handles(int, retry=Retry(7))
        async def two(self, message: int, ctx: Context) -> None: ...

    class Derived(Base):
        async def one(self, message: str, ctx: Context) -> None: ...

        @handles(int, retry=Retry(8))
        async def two(self, message: int, ctx: Context) -> None: ...

    found = {name: terms.retry.tries for name, terms in Derived.terms.items() if terms.retry is not None}
    assert found == {"one": 7, "two": 8}
