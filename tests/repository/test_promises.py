# SPDX-License-Identifier: Apache-2.0
"""Each promise of docs/project/assurance.md has a fault that its named test detects."""

import pytest

from benchmarks.mutation.promises import KILLED, Promise, promises, run
from tests.repository.test_assurance import rows
from tests.support.repository import ROOT


def named_tests() -> dict[int, str]:
    """Return the cell with the tests of each promise."""
    found = {}
    for row in rows("docs/project/assurance.md"):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if cells[0].isdecimal():
            found[int(cells[0])] = cells[2]
    return found


def test_each_promise_has_a_fault() -> None:
    assert {promise.line for promise in promises()} == set(range(1, 29))
    assert len({promise.key() for promise in promises()}) == len(promises())


@pytest.mark.parametrize("promise", promises(), ids=Promise.key)
def test_a_fault_stands_at_one_place_and_its_test_is_named(promise: Promise) -> None:
    assert (ROOT / promise.file).read_text().count(promise.before) == 1
    assert promise.before != promise.after
    assert f"`{promise.test}`" in named_tests()[promise.line]


@pytest.mark.soak
def test_each_broken_promise_is_detected() -> None:
    results = run(promises())
    assert {key: result for key, result in results.items() if result != KILLED} == {}
