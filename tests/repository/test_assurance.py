# SPDX-License-Identifier: Apache-2.0
"""Documents that name tests: each named test exists and detects a fault of its promise."""

import ast
import functools
import re

import pytest

from benchmarks.mutation.promises import KILLED, Promise, promises, run
from tests.support.repository import ROOT

_LINK = re.compile(r"(tests/[a-z_0-9/]+\.py)::(test_[a-z_0-9]+)")
DOCUMENTS = (
    "docs/project/assurance.md",
    "docs/project/assessment.md",
    "docs/engineer/security.md",
    "docs/operator/roll_out.md",
)


@functools.cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_bytes())
    return frozenset(n.name for n in tree.body if isinstance(n, ast.FunctionDef))


def rows(document: str) -> list[str]:
    """Return the rows of the tables of a document, without their heads."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("| ") and "|---" not in line]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_names_a_test_that_exists(document: str) -> None:
    links = _LINK.findall((ROOT / document).read_text(encoding="utf-8"))
    assert links
    missing = [
        f"{file}::{name}"
        for file, name in links
        if not (ROOT / file).exists() or name not in names_in(file)
    ]
    assert missing == []


def test_checklist_is_complete_and_each_line_has_a_test() -> None:
    result = {}
    for row in rows("docs/project/assurance.md"):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if cells[0].isdecimal():
            result[int(cells[0])] = cells[2]
    assert sorted(result) == list(range(1, 29))
    assert [number for number, shown in result.items() if not _LINK.search(shown)] == []


def test_each_line_of_the_assessment_has_a_state_and_done_has_a_test() -> None:
    lines = [line for line in rows("docs/project/assessment.md") if " state | how" not in line]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(cells) > 60
    states = {"done", "partly", "not done", "not applicable"}
    assert [row for row in cells if len(row) != 3 or row[1] not in states] == []
    assert [row[0] for row in cells if row[1] == "done" and not _LINK.search(row[2])] == []


def test_the_policy_has_its_times() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for words in ("3 working days", "30 days", "90 days", "five years", "VEX", "private"):
        assert words in text, words


def test_every_threat_names_a_test() -> None:
    threats = [row for row in rows("docs/engineer/security.md") if not row.startswith("| threat |")]
    assert len(threats) > 15
    assert [row for row in threats if not _LINK.search(row)] == []


# Faults that break a promise.


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
