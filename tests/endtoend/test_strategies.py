"""A program for each way to go back: it prints what happens, line by line, and logs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "strategies"
SAID = {
    "discard": """\
paid: [4, 6, 9000]
would undo: buyer/1/2 cashier/1/2
refunded: 9000
undone: buyer/1/2 cashier/1/2
paid: [4, 6]
cashier: {('paid', 'tea'): 4, ('paid', 'jam'): 6}
""",
    "retry_with_evidence": """\
booked: a band
booked: a hall for 20
seats: 20
told by planner/1/1: half of them would stand, {'needed': 40}
called off: a hall for 20
booked: a hall for 40
seats: 40
booked in the end: ['a band', 'a hall for 40']
""",
    "amend": """\
books: {'mill': 12500, 'dairy': 34500}
taken back: dairy 34500
undone: books/1/2 clerk/1/2
books: {'mill': 12500, 'dairy': 3450}
paid: [('dairy', 3450), ('mill', 500), ('mill', 12000)]
""",
    "compensate": """\
would be: shop/1/2 undone by refund, at a cost of a fee of 1
would be: shop/1/3 undone by refund, at a cost of a fee of 1
refunded: cid 30
refunded: bob 30
went back: False {'bookkeeper': 'the month is closed'}
countered: 2 pending: 0
paid: {'ann': 30}
shop: {('sold', 'jazz'): 1, ('sold', 'folk'): 2}
""",
    "restore": """\
good: {'planned': 3} {'shipped': 3} [1, 2]
bad: {'planned': 3003} {'shipped': 3003} [1, 2, 1000, 2000]
restored: {'planned': 3} {'shipped': 3} [1, 2]
not handled: [1000, 2000]
and on: {'planned': 6} {'shipped': 6} [1, 2, 3]
""",
    "failing_saga": """\
called off: room in Oslo
called off: flight to Oslo
Rome: booked
Oslo: called off by hotel: ValueError: the house is closed
booked in the end: ['flight to Rome', 'room in Rome']
""",
    "signed_approval": """\
at once: [40]
ann is asked: Pay so much? 5000 7000
bob is not the treasurer
then: [40, 5000]
[(40, 'paid'), (5000, 'paid'), (7000, 'ann has rejected it: never heard of it')]
""",
    "overseer_then_narrower": """\
eve is asked: may desk undo 1 step of books: hearsay?
tried: desk/1/1 desk/1/2 -> rejected by eve: what is booked stays
tried: desk/1/2 -> agreed
undone: desk/1/2
{'mill paid': 'noted'} {'mill paid': 'booked'}
""",
    "settlement": """\
before the checkpoint: [] ['mill', 'dairy']
dairy undone: True
after it: ['mill'] wired
mill undone: False since it let __main__:wire go, which can't be undone
""",
    "branch_and_adopt": """\
as it is: {'left': 0, 'earned': 10} [2]
in the branch: buyer spent 30, and not 6
in the branch: shop left 2, and not 0
in the branch: shop earned 40, and not 10
outside meanwhile: [2]
adopted: {'left': 2, 'earned': 40} [10]
""",
}


def test_each_program_is_tried_here() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(SAID)


@pytest.mark.parametrize("name", SAID)
def test_a_strategy_prints_what_happens(name: str) -> None:
    path = FOLDER / f"{name}.py"
    assert f"`.venv/bin/python examples/strategies/{name}.py`" in (ast.get_docstring(ast.parse(path.read_text())) or "")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (SAID[name], "")
